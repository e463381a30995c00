//! Little servers on loopback for the checks, each in a thread of its own.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, atomic};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Numbers what has to have a name of its own.
static NEXT: atomic::AtomicU32 = atomic::AtomicU32::new(0);

/// Answers every connection with the same bytes and closes it.
pub struct Http {
    pub port: u16,
    requests: Receiver<String>,
}

impl Http {
    pub fn serving(reply: Vec<u8>) -> Self {
        Self::start(reply, None)
    }

    pub fn serving_tls(reply: Vec<u8>, tls: &Tls) -> Self {
        Self::start(reply, Some(tls.config.clone()))
    }

    fn start(reply: Vec<u8>, tls: Option<Arc<ServerConfig>>) -> Self {
        let (listener, port) = silent_listener();
        let (sender, requests) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let request = match &tls {
                    None => answer(&stream, &reply, &stream),
                    Some(config) => {
                        let connection = ServerConnection::new(config.clone()).expect("TLS");
                        let mut stream = StreamOwned::new(connection, &stream);
                        let request = answer_owned(&mut stream, &reply);
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                        request
                    }
                };
                // Read what else arrives, so that closing does not reset the connection.
                let _ = stream.shutdown(std::net::Shutdown::Write);
                let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
                let _ = (&stream).read_to_end(&mut Vec::new());
                let _ = sender.send(request);
            }
        });
        Self { port, requests }
    }

    /// The head of the next request that has been answered.
    pub fn request(&self) -> String {
        self.requests.recv_timeout(Duration::from_secs(10)).expect("a request")
    }
}

fn answer(mut reader: &TcpStream, reply: &[u8], mut writer: &TcpStream) -> String {
    let request = read_head(&mut reader);
    let _ = writer.write_all(reply);
    request
}

fn answer_owned(stream: &mut (impl Read + Write), reply: &[u8]) -> String {
    let request = read_head(stream);
    let _ = stream.write_all(reply);
    let _ = stream.flush();
    request
}

/// Reads until the end of a request's head, or until the client says nothing sensible.
fn read_head(reader: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && head.first().is_none_or(|first| *first != 0x16) {
        match reader.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A reply with a body of known length.
pub fn page(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// Accepts connections in its backlog and says nothing.
pub fn silent_listener() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    (listener, port)
}

/// A port on which nobody listens.
pub fn closed_port() -> u16 {
    silent_listener().1
}

/// A certificate authority of its own and a server certificate signed by it.
pub struct Tls {
    config: Arc<ServerConfig>,
    pub ca_file: PathBuf,
}

impl Tls {
    pub fn for_names(names: &[&str]) -> Self {
        let mut ca = CertificateParams::new(Vec::new()).expect("parameters");
        let name = format!("authority {}", NEXT.fetch_add(1, atomic::Ordering::Relaxed));
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_key = KeyPair::generate().expect("a key");
        let ca = CertifiedIssuer::self_signed(ca, ca_key).expect("an authority");
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let key = KeyPair::generate().expect("a key");
        let certificate = CertificateParams::new(names)
            .and_then(|params| params.signed_by(&key, &ca))
            .expect("a certificate");
        let ca_file = directory("ca").join("ca.pem");
        fs::write(&ca_file, ca.pem()).expect("a file");
        Self::serving(certificate.der().clone(), &key, ca_file)
    }

    /// A certificate that signed itself and calls itself an authority, as many a command makes them.
    pub fn self_signed_authority(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.into()]).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        let ca_file = directory("ca").join("ca.pem");
        fs::write(&ca_file, certificate.pem()).expect("a file");
        Self::serving(certificate.der().clone(), &key, ca_file)
    }

    fn serving(certificate: CertificateDer<'static>, key: &KeyPair, ca_file: PathBuf) -> Self {
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], private)
            .expect("a server");
        Self { config: Arc::new(config), ca_file }
    }
}

/// A fresh directory below cargo's own for tests.
pub fn directory(name: &str) -> PathBuf {
    let number = NEXT.fetch_add(1, atomic::Ordering::Relaxed);
    let name = format!("{name}-{}-{number}", std::process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).expect("a directory");
    path
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "still waiting until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process has gone, or waits to be reaped by whoever adopted it.
pub fn has_ended(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    matches!(state, None | Some('Z' | 'X'))
}
