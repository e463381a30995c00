//! A host's web server, and what its pages say.
//!
//! Owns the page's text on both sides: writing it, and telling from it who answered. The page ends
//! with `</html>`, as the article's check wishes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::plan::Host;
use crate::failure::{Failure, Result};

/// Where the pages are.
pub const PORT: u16 = 80;
/// A visitor who says nothing for so long is sent away.
const VISITOR_PATIENCE: Duration = Duration::from_secs(1);
const REQUEST_LENGTH_MAX: u64 = 4096;

/// Serves pages on every address of this network namespace until the process is killed.
///
/// # Errors
/// The port cannot be had.
pub fn serve(host: Host, ipv6: bool) -> Result<()> {
    let any: IpAddr =
        if ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let listener = TcpListener::bind(SocketAddr::new(any, PORT))
        .map_err(|error| Failure::os(format!("listen on port {PORT}"), &error))?;
    for visitor in listener.incoming().flatten() {
        // Where no thread can be had the visitor is sent away, and the next may have more luck.
        let _ = thread::Builder::new().spawn(move || answer(host, &visitor));
    }
    Ok(())
}

/// A visitor that goes away early is none of our business.
fn answer(host: Host, visitor: &TcpStream) -> Option<()> {
    visitor.set_read_timeout(Some(VISITOR_PATIENCE)).ok()?;
    let asked = visitor.local_addr().ok()?.ip();
    let mut lines = BufReader::new(visitor.take(REQUEST_LENGTH_MAX));
    let mut line = String::new();
    while lines.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    { visitor }.write_all(page(host, asked).as_bytes()).ok()
}

/// The whole answer.
fn page(host: Host, asked: IpAddr) -> String {
    let name = host.name();
    let body = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><title>{name}</title></head>\
         <body><p>{asked}: {name} answers.</p></body></html>\n"
    );
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

/// Who wrote an answer; none when it is not a whole page of ours.
pub fn author(answer: &str) -> Option<Host> {
    let body = answer.strip_prefix("HTTP/1.1 200 ")?;
    if !body.trim_end().ends_with("</html>") {
        return None;
    }
    let (_, title) = body.split_once("<title>")?;
    Host::named(title.split_once("</title>")?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_author() {
        for host in Host::ALL {
            let text = page(host, Ipv4Addr::LOCALHOST.into());
            assert_eq!(author(&text), Some(host));
            assert!(text.ends_with("</html>\n"));
        }
    }

    #[test]
    fn half_a_page_has_no_author() {
        let whole = page(Host::Pinky, Ipv4Addr::LOCALHOST.into());
        for end in 0..whole.len() - 1 {
            assert_eq!(author(&whole[..end]), None, "{end}");
        }
        for other in ["", "HTTP/1.1 500 x\r\n\r\n<title>pinky</title></html>", "<html></html>"] {
            assert_eq!(author(other), None, "{other}");
        }
        let stranger = whole.replace("pinky", "snowball");
        assert_eq!(author(&stranger), None);
    }

    #[test]
    fn a_visitor_gets_the_page() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = thread::spawn(move || {
            let (visitor, _) = listener.accept().expect("a visitor");
            answer(Host::Brain, &visitor)
        });
        let mut visitor = TcpStream::connect(address).expect("connect");
        visitor.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").expect("ask");
        let mut text = String::new();
        visitor.read_to_string(&mut text).expect("an answer");
        assert_eq!(author(&text), Some(Host::Brain));
        assert!(text.contains("127.0.0.1: brain answers."));
        assert_eq!(server.join().expect("no panic"), Some(()));
    }
}
