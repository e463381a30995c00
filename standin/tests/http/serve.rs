//! What is served, to whom, and what a client may cost.

use std::io::{Read, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::world::{Scrap, Served, local};

const TOKEN: &str = "a-token-of-some-length";

fn status(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

#[test]
fn metrics_come_in_the_format_that_is_asked_for() {
    let served = Served::start();
    let (head, body) = served.get("/metrics", "Accept: application/openmetrics-text\r\n");
    assert_eq!(status(&head), "HTTP/1.1 200 OK");
    assert!(head.contains("application/openmetrics-text; version=1.0.0; charset=utf-8"), "{head}");
    assert!(body.ends_with("# EOF\n"));
    let (head, body) = served.get("/metrics", "");
    assert!(head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(!body.contains("# EOF"));
}

#[test]
fn the_status_is_what_the_control_socket_says() {
    let served = Served::start();
    let (head, body) = served.get("/status.json", "");
    assert!(head.contains("content-type: application/json"), "{head}");
    let told: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(told, served.seen.lock().expect("seen").as_ref().expect("a look").to_json());
}

#[test]
fn nothing_can_be_changed_and_nothing_else_is_there() {
    let served = Served::start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let request = format!(
            "{method} /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let (head, _) = served.send(&request);
        assert_eq!(status(&head), "HTTP/1.1 405 Method Not Allowed", "{method}");
        assert!(head.contains("allow: GET, HEAD"), "{head}");
    }
    for path in ["/nothing", "/metrics/", "//", "/../etc/passwd", "/%00"] {
        let (head, _) = served.get(path, "");
        assert_eq!(status(&head), "HTTP/1.1 404 Not Found", "{path}");
    }
    assert_eq!(served.looks.load(Ordering::SeqCst), 0, "a refusal asks the fast loop");
}

#[test]
fn a_head_request_gets_the_head_alone() {
    let served = Served::start();
    let (head, body) =
        served.send("HEAD /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&head), "HTTP/1.1 200 OK");
    assert!(head.contains("content-length: "), "{head}");
    assert_eq!(body, "");
}

#[test]
fn every_answer_forbids_what_no_page_of_ours_needs() {
    let served = Served::start();
    for path in ["/metrics", "/status.json", "/nothing"] {
        let (head, _) = served.get(path, "");
        for header in [
            "content-security-policy: default-src 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-resource-policy: same-origin",
            "cache-control: ",
        ] {
            assert!(head.contains(header), "{path} lacks {header}:\n{head}");
        }
        assert!(!head.contains("nsafe-inline"), "{head}");
    }
}

#[test]
fn a_foreign_name_is_refused_on_loopback() {
    let served = Served::start();
    let ask = |host: &str| {
        let (head, _) = served
            .send(&format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        head.lines().next().unwrap_or_default().to_owned()
    };
    for host in ["localhost", "LOCALHOST:4962", "127.0.0.1:4962", "[::1]:4962", "10.0.0.1"] {
        assert_eq!(ask(host), "HTTP/1.1 200 OK", "{host}");
    }
    for host in ["evil.example", "localhost.evil.example:4962", "127.0.0.1.evil.example", ""] {
        assert_eq!(ask(host), "HTTP/1.1 403 Forbidden", "{host}");
    }
    // A proxy's form of the request line names the host as well, and it comes first.
    let (head, _) = served.send(
        "GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(status(&head), "HTTP/1.1 403 Forbidden");
}

#[test]
fn who_does_not_know_the_token_gets_nothing() {
    let token = Scrap::new(&format!("{TOKEN}\nnot this\n"), 0o600);
    let mut settings = local();
    settings.token_file = Some(token.0.clone());
    let served = Served::behind(&settings);
    let wrong = [
        String::new(),
        "Authorization: Bearer\r\n".to_owned(),
        "Authorization: Bearer not-the-token-at-all\r\n".to_owned(),
        format!("Authorization: Bearer {TOKEN}x\r\n"),
        format!("Authorization: Digest {TOKEN}\r\n"),
        // `:` and `x:x`
        "Authorization: Basic Og==\r\n".to_owned(),
        "Authorization: Basic eDp4\r\n".to_owned(),
        "Authorization: Basic *\r\n".to_owned(),
    ];
    for header in &wrong {
        let (head, body) = served.get("/metrics", header);
        assert_eq!(status(&head), "HTTP/1.1 401 Unauthorized", "{header}");
        assert!(head.contains("www-authenticate: Basic realm=\"standin\""), "{head}");
        assert_eq!(body, "a token is needed\n");
    }
    assert_eq!(served.looks.load(Ordering::SeqCst), 0);
    // `anybody:a-token-of-some-length`
    let basic = "Basic YW55Ym9keTphLXRva2VuLW9mLXNvbWUtbGVuZ3Ro";
    for header in
        [format!("Authorization: Bearer {TOKEN}\r\n"), format!("Authorization: {basic}\r\n")]
    {
        let (head, _) = served.get("/metrics", &header);
        assert_eq!(status(&head), "HTTP/1.1 200 OK", "{header}");
    }
    // With a token any name will do: a foreign page does not know it.
    let (head, _) = served.send(&format!(
        "GET /metrics HTTP/1.1\r\nHost: pinky.example\r\nAuthorization: Bearer {TOKEN}\r\n\
         Connection: close\r\n\r\n"
    ));
    assert_eq!(status(&head), "HTTP/1.1 200 OK");
}

#[test]
fn a_flood_of_scrapes_asks_the_fast_loop_ten_times_a_second_at_most() {
    let served = Served::start();
    let begun = Instant::now();
    let mut answers = 0;
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0_usize;
                    while begun.elapsed() < Duration::from_secs(1) {
                        let (head, _) = served.get("/metrics", "");
                        assert_eq!(status(&head), "HTTP/1.1 200 OK");
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        answers = clients.into_iter().map(|client| client.join().expect("a client")).sum();
    });
    let looks = served.looks.load(Ordering::SeqCst);
    let most = begun.elapsed().as_millis() / 100 + 1;
    assert!(looks as u128 <= most, "{looks} looks for {answers} answers");
    assert!(answers > 2 * looks, "{answers} answers, {looks} looks");
}

#[test]
fn a_fast_loop_that_does_not_answer_is_said_so() {
    let served = Served::start();
    *served.seen.lock().expect("seen") = Err("no answer from the fast loop".to_owned());
    let (head, body) = served.get("/metrics", "");
    assert_eq!(status(&head), "HTTP/1.1 503 Service Unavailable");
    assert_eq!(body, "no answer from the fast loop\n");
}

#[test]
fn a_long_head_is_refused_and_a_slow_one_is_not_waited_for() {
    let served = Served::start();
    let long = format!("X-Long: {}\r\n", "x".repeat(64 << 10));
    let mut stream = served.connect();
    let _ = stream
        .write_all(format!("GET /metrics HTTP/1.1\r\nHost: localhost\r\n{long}\r\n").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    // One byte, and then nothing.
    let mut slow = served.connect();
    slow.write_all(b"G").expect("sent");
    let begun = Instant::now();
    let mut rest = Vec::new();
    let _ = slow.read_to_end(&mut rest);
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(5) && waited < Duration::from_secs(15), "{waited:?}");
}

#[test]
fn clients_beyond_the_limit_take_the_places_of_those_who_let_us_wait() {
    let served = Served::start();
    let mut held: Vec<_> = (0..64).map(|_| served.connect()).collect();
    // Half of them keep a page up to date, the others send half a request or have had an answer.
    for (number, stream) in held.iter_mut().enumerate() {
        let request = match number % 4 {
            0 | 1 => "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
            2 => "GET /metrics HTTP/1.1\r\nX-Slow: ",
            _ => "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        };
        stream.write_all(request.as_bytes()).expect("sent");
        if number % 4 != 2 {
            let mut first = [0; 12];
            stream.read_exact(&mut first).expect("an answer");
        }
    }
    for _ in 0..200 {
        let begun = Instant::now();
        let (answer, _) = served.get("/metrics", "");
        assert_eq!(status(&answer), "HTTP/1.1 200 OK");
        assert!(begun.elapsed() < Duration::from_secs(5), "it waited {:?}", begun.elapsed());
        // Who has an answer and keeps the place loses it, not a page that is kept up to date.
        let mut kept = served.connect();
        kept.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
        held.push(kept);
    }
    for (number, stream) in held.iter_mut().enumerate().take(64) {
        stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a limit");
        let mut rest = [0; 4096];
        let ended = loop {
            match stream.read(&mut rest) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != std::io::ErrorKind::WouldBlock,
            }
        };
        assert_eq!(ended, number % 4 > 1, "number {number}");
    }
}
