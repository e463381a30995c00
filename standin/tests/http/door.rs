//! What is refused before anything is served, TLS, and following a changed file.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use standin::file::{Http, TlsFiles};
use standin::http::Door;

use crate::world::{Scrap, Served, local};

const TOKEN: &str = "a-token-of-some-length";

fn refused(settings: &Http) -> String {
    Door::open(settings).expect_err("refused").to_string()
}

fn with_token(file: &Scrap) -> Http {
    Http { token_file: Some(file.0.clone()), ..local() }
}

struct Certificate {
    cert: Scrap,
    key: Scrap,
    made: CertifiedKey<rcgen::KeyPair>,
}

impl Certificate {
    fn new() -> Self {
        let made = generate_simple_self_signed(vec!["localhost".to_owned()]).expect("made");
        let cert = Scrap::new(&made.cert.pem(), 0o600);
        let key = Scrap::new(&made.signing_key.serialize_pem(), 0o600);
        Self { cert, key, made }
    }

    fn files(&self) -> TlsFiles {
        TlsFiles { cert: self.cert.0.clone(), key: self.key.0.clone() }
    }

    fn trusting(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.made.cert.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

#[test]
fn a_token_that_is_none_is_refused_and_never_shown() {
    for (text, mode, wanted) in [
        ("short\n", 0o600, "its first line is no token"),
        ("\na-token-of-some-length\n", 0o600, "its first line is no token"),
        ("a token with blanks in it\n", 0o600, "its first line is no token"),
        ("a-token-of-some-length\n", 0o644, "everybody can read it"),
    ] {
        let said = refused(&with_token(&Scrap::new(text, mode)));
        assert!(said.contains(wanted), "{said}");
        assert!(!said.contains(TOKEN) && !said.contains("blanks"), "{said}");
    }
    let gone = Http { token_file: Some("/nonexistent/token".into()), ..local() };
    assert!(refused(&gone).contains("cannot read token-file /nonexistent/token"));
    let kept = Scrap::new(TOKEN, 0o640);
    let door = Door::open(&with_token(&kept)).expect("a door");
    assert!(!format!("{door:?}").contains(TOKEN));
}

#[test]
fn an_address_that_cannot_be_bound_is_refused_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("bound");
    let listen = taken.local_addr().expect("an address");
    let said = refused(&Http { listen, ..local() });
    assert!(
        said.contains(&format!("cannot serve {listen}")) && said.contains("another port"),
        "{said}"
    );
    let listen = "192.0.2.1:4962".parse().expect("an address");
    let said = refused(&Http { listen, ..local() });
    assert!(said.contains("an address of this host"), "{said}");
}

#[test]
fn a_certificate_that_is_none_is_refused() {
    let good = Certificate::new();
    let (other, nonsense) = (Certificate::new(), Scrap::new("nonsense", 0o600));
    for (cert, key, wanted) in [
        (&nonsense, &good.key, "there is no certificate in it"),
        (&good.cert, &nonsense, "there is no private key in it"),
        (&good.cert, &other.key, "tls-cert"),
    ] {
        let tls = Some(TlsFiles { cert: cert.0.clone(), key: key.0.clone() });
        let said = refused(&Http { tls, ..local() });
        assert!(said.contains(wanted), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
}

#[test]
fn with_a_certificate_only_tls_is_spoken() {
    let certificate = Certificate::new();
    let served = Served::behind(&Http { tls: Some(certificate.files()), ..local() });
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(certificate.trusting(), name).expect("a client");
    let mut stream = StreamOwned::new(client, served.connect());
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut text = String::new();
    // The connection may end without TLS' own goodbye.
    let _ = stream.read_to_string(&mut text);
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("standin_build_info"), "{text}");
    let mut plain = served.connect();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "answered in the clear");
}

/// Whether a scrape with these headers is answered.
fn answers(served: &Served, headers: &str) -> bool {
    served.get("/metrics", headers).0.starts_with("HTTP/1.1 200")
}

#[test]
fn a_changed_file_is_followed_and_one_that_cannot_be_is_not() {
    let served = Served::start();
    let settings = Http { listen: served.address, ..local() };
    let change = |settings: Option<&Http>| served.change(settings);
    let mut idle = served.connect();
    change(Some(&settings)).expect("the same");
    idle.write_all(b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).expect("a change of nothing keeps a connection");

    let token = Scrap::new(TOKEN, 0o600);
    let guarded = Http { token_file: Some(token.0.clone()), ..settings.clone() };
    change(Some(&guarded)).expect("a token");
    assert!(!answers(&served, ""));
    assert!(answers(&served, &format!("Authorization: Bearer {TOKEN}\r\n")));
    // Who was let in without it has to come again.
    assert_eq!(idle.read(&mut [0; 4096]).map(|_| ()).and(idle.read(&mut [0; 1])).unwrap_or(0), 0);

    std::fs::write(&token.0, "another-token-of-some-length").expect("written");
    change(Some(&guarded)).expect("another token in the same file");
    assert!(!answers(&served, &format!("Authorization: Bearer {TOKEN}\r\n")));
    assert!(answers(&served, "Authorization: Bearer another-token-of-some-length\r\n"));

    let elsewhere = "192.0.2.1:4962".parse().expect("an address");
    let refused = change(Some(&Http { listen: elsewhere, ..settings.clone() }));
    assert!(refused.expect_err("not here").contains("cannot serve 192.0.2.1:4962"));
    assert!(answers(&served, "Authorization: Bearer another-token-of-some-length\r\n"));

    // The same port on an address that is in the way of itself, and back when that fails.
    let mut here = settings.listen;
    here.set_ip("192.0.2.1".parse().expect("an address"));
    change(Some(&Http { listen: here, ..settings.clone() })).expect_err("not here");
    assert!(answers(&served, "Authorization: Bearer another-token-of-some-length\r\n"));
    here.set_ip("0.0.0.0".parse().expect("an address"));
    change(Some(&Http { listen: here, ..settings })).expect("every address");
    assert!(answers(&served, ""));

    change(None).expect("no page any more");
    // A program that another test is just starting may hold a copy of the socket for a moment.
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(served.address).is_ok() {
        assert!(begun.elapsed().as_secs() < 20, "it still listens");
        std::thread::yield_now();
    }
}
