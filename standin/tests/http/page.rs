//! The page: complete without a script, kept up to date with one, and never more than text.

use std::io::{BufRead, BufReader, Read, Write};
use std::time::Duration;

use serde_json::Value;
use standin_core::status::CheckState;

use crate::world::Served;

/// What the server sends as one event.
fn next_event(stream: &mut impl BufRead) -> Value {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).expect("a line") > 0, "the stream has ended");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}

fn listen(served: &Served) -> BufReader<std::net::TcpStream> {
    let mut stream = served.connect();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    BufReader::new(stream)
}

fn section<'e>(event: &'e Value, id: &str) -> &'e str {
    let sections = event.as_array().expect("sections");
    let found = sections.iter().find(|section| section["id"] == id);
    found.and_then(|section| section["html"].as_str()).unwrap_or_default()
}

#[test]
fn the_page_tells_everything_without_a_script() {
    let served = Served::start();
    let (head, body) = served.get("/", "");
    assert!(head.contains("content-type: text/html; charset=utf-8"), "{head}");
    for said in [
        "<html lang=\"en\">",
        "name=\"viewport\"",
        "<main>",
        "<h1>web</h1>",
        "All 4 VIPs are held",
        "<th scope=\"col\"",
        "<th scope=\"row\"",
        "aria-live=\"polite\"",
        "brain is home &amp; well",
        "group &lt;1&gt;",
        "<span class=\"mono\">10.10.0.1</span>",
        "fd00::2",
        "never heard",
        "4.7 %",
        "<noscript>",
    ] {
        assert!(body.contains(said), "no {said} in\n{body}");
    }
    assert!(!body.contains("group <"), "not escaped");
}

#[test]
fn nothing_comes_from_elsewhere_and_nothing_is_in_line() {
    let served = Served::start();
    let (_, body) = served.get("/", "");
    for forbidden in ["http:", "https:", "//", "<style", " style=", " onclick", "javascript:"] {
        assert!(!body.contains(forbidden), "{forbidden}");
    }
    let mut files = 0;
    for reference in ["href=\"", "src=\""] {
        for part in body.split(reference).skip(1) {
            let path = part.split('"').next().expect("a path");
            if path.starts_with('#') {
                continue;
            }
            let (head, body) = served.get(&format!("/{path}"), "");
            assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
            assert!(!body.is_empty());
            files += 1;
        }
    }
    assert_eq!(files, 5, "icon, style, script, status, metrics");
}

#[test]
fn changes_are_sent_and_nothing_else() {
    let served = Served::start();
    let mut stream = listen(&served);
    let all = next_event(&mut stream);
    assert_eq!(all.as_array().map(Vec::len), Some(6), "{all}");
    if let Ok(seen) = &mut *served.seen.lock().expect("seen") {
        seen.status.checks[0].state = CheckState::Failing;
        seen.status.checks[0].last_failure = Some("<b>HTTP 503</b>".to_owned());
    }
    let change = next_event(&mut stream);
    assert!(section(&change, "checks").contains("&lt;b&gt;HTTP 503&lt;/b&gt;"), "{change}");
    assert!(section(&change, "summary").contains("1 check fails"), "{change}");
    assert_eq!(change.as_array().map(Vec::len), Some(2), "{change}");
}

#[test]
fn a_page_too_many_is_told_so_and_one_that_goes_makes_room() {
    let served = Served::start();
    let mut pages: Vec<_> = (0..32).map(|_| listen(&served)).collect();
    for page in &mut pages {
        next_event(page);
    }
    let (head, body) = served.get("/events", "");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.starts_with("too many pages"), "{body}");
    drop(pages.pop());
    let begun = std::time::Instant::now();
    loop {
        let mut page = listen(&served);
        let mut first = [0; 12];
        page.read_exact(&mut first).expect("an answer");
        if &first == b"HTTP/1.1 200" {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "no room again");
    }
}
