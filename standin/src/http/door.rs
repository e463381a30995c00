//! The way in: the listening socket, the token that a visitor has to know, the certificate.
//!
//! Owns what is read and bound before anything is served, so that a file that cannot be followed
//! is refused while the one before still is. Invariant: the token and the private key are never
//! shown, and a token is compared in a time that does not depend on where it differs.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::failure::{Code, Failure, Result, plain_io};
use crate::file::{Http, TlsFiles};
use crate::regular;
use crate::secret_line;

/// No certificate is longer, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// How often, and after which pause, a port that was just ours is tried.
const BIND_ATTEMPTS: u32 = 50;
const BIND_PAUSE: Duration = Duration::from_millis(10);

/// What a visitor has to know.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Vec<u8>);

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token")
    }
}

impl Token {
    /// The first line of a file.
    ///
    /// # Errors
    /// It cannot be read, everybody can read it, or what it says is no token.
    fn read(path: &Path) -> Result<Self> {
        secret_line::read(path, "token-file", "token").map(Self)
    }

    /// Whether this is it. Takes as long for any bytes of the same length.
    pub fn is(&self, offered: &[u8]) -> bool {
        let mut difference = self.0.len() ^ offered.len();
        for (position, byte) in offered.iter().enumerate() {
            difference |= usize::from(byte ^ self.0[position % self.0.len()]);
        }
        std::hint::black_box(difference) == 0
    }
}

/// A certificate with its key, and the bytes they were read from.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pem: (Vec<u8>, Vec<u8>),
}

impl Tls {
    fn read(files: &TlsFiles) -> Result<Self> {
        let pem = (contents(&files.cert, "tls-cert")?, contents(&files.key, "tls-key")?);
        let wrong = |what: &str, path: &Path, why: &dyn fmt::Display| {
            Failure::config(format!("{what} {}: {why}", path.display()))
        };
        let chain: std::result::Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(&pem.0).collect();
        let chain = chain.map_err(|error| wrong("tls-cert", &files.cert, &error))?;
        if chain.is_empty() {
            return Err(wrong("tls-cert", &files.cert, &"there is no certificate in it"));
        }
        // What is wrong with a key is not quoted.
        let key = PrivateKeyDer::from_pem_slice(&pem.1)
            .map_err(|_| wrong("tls-key", &files.key, &"there is no private key in it"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Code::OsError, format!("cannot set up TLS: {error}")))?;
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| wrong("tls-cert", &files.cert, &error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pem })
    }
}

fn contents(path: &Path, key: &str) -> Result<Vec<u8>> {
    regular::read(path, FILE_LIMIT).map_err(|error| {
        Failure::config(format!("cannot read {key} {}: {}", path.display(), plain_io(&error)))
    })
}

/// What is asked of a visitor.
#[derive(Clone)]
pub(super) struct Keys {
    pub(super) token: Option<Token>,
    pub(super) tls: Option<Tls>,
    /// Only addresses and `localhost` are taken as the host of a URL.
    pub(super) local_names_only: bool,
}

impl Keys {
    fn read(settings: &Http) -> Result<Self> {
        let token = settings.token_file.as_deref().map(Token::read).transpose()?;
        let tls = settings.tls.as_ref().map(Tls::read).transpose()?;
        let local_names_only = settings.is_loopback() && token.is_none();
        Ok(Self { token, tls, local_names_only })
    }

    fn same_as(&self, other: &Self) -> bool {
        let pem = |keys: &Self| keys.tls.as_ref().map(|tls| tls.pem.clone());
        self.token == other.token
            && self.local_names_only == other.local_names_only
            && pem(self) == pem(other)
    }
}

/// A way in, open.
pub struct Door {
    settings: Http,
    listener: Arc<TcpListener>,
    keys: Keys,
}

impl fmt::Debug for Door {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Door").field("listen", &self.settings.listen).finish_non_exhaustive()
    }
}

impl Door {
    /// Reads the files that the settings name and binds the address.
    ///
    /// # Errors
    /// One of them cannot be read or used, or the address is not here or in use.
    pub fn open(settings: &Http) -> Result<Self> {
        let keys = Keys::read(settings)?;
        let listener = bind(settings.listen).map_err(|error| cannot(settings.listen, &error))?;
        Ok(Self::with(settings, listener, keys))
    }

    /// The same where a socket of ours has just been closed: a program that was about to be
    /// started may hold a copy of it until it has begun.
    ///
    /// # Errors
    /// As of [`Door::open`].
    pub async fn open_after_closing(settings: &Http) -> Result<Self> {
        let keys = Keys::read(settings)?;
        let mut attempts_left = BIND_ATTEMPTS;
        loop {
            match bind(settings.listen) {
                Ok(listener) => return Ok(Self::with(settings, listener, keys)),
                Err(error) if error.kind() == ErrorKind::AddrInUse && attempts_left > 0 => {
                    attempts_left -= 1;
                    tokio::time::sleep(BIND_PAUSE).await;
                }
                Err(error) => return Err(cannot(settings.listen, &error)),
            }
        }
    }

    fn with(settings: &Http, listener: TcpListener, keys: Keys) -> Self {
        // A test lets the kernel choose the port.
        let listen = listener.local_addr().unwrap_or(settings.listen);
        let settings = Http { listen, ..settings.clone() };
        Self { settings, listener: Arc::new(listener), keys }
    }

    /// The door that these settings ask for, with the socket of the one before where it can stay;
    /// none when it is the same in everything.
    ///
    /// # Errors
    /// As of [`Door::open`].
    pub fn follow(before: Option<&Self>, settings: &Http) -> Result<Option<Self>> {
        let Some(before) = before.filter(|before| before.settings.listen == settings.listen) else {
            return Self::open(settings).map(Some);
        };
        let keys = Keys::read(settings)?;
        let changed = !keys.same_as(&before.keys);
        let (settings, listener) = (settings.clone(), before.listener.clone());
        Ok(changed.then_some(Self { settings, listener, keys }))
    }

    /// Whether these settings could be followed from those; nothing is kept.
    ///
    /// # Errors
    /// As of [`Door::open`].
    pub fn judge(before: Option<&Http>, settings: &Http) -> Result<()> {
        Keys::read(settings)?;
        // The same port elsewhere is bound once the socket that is in the way has gone.
        if before.is_none_or(|before| before.listen.port() != settings.listen.port()) {
            bind(settings.listen).map_err(|error| cannot(settings.listen, &error))?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }

    pub(super) fn is_in_the_way_of(&self, settings: &Http) -> bool {
        let (old, new) = (self.settings.listen, settings.listen);
        old != new && old.port() == new.port()
    }

    pub(super) fn settings(&self) -> &Http {
        &self.settings
    }

    pub(super) fn share(&self) -> (Arc<TcpListener>, Keys) {
        (self.listener.clone(), self.keys.clone())
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn cannot(address: SocketAddr, error: &std::io::Error) -> Failure {
    let what = format!("cannot serve {address}: {}", plain_io(error));
    let failure = Failure::new(Code::Unavailable, what);
    match error.kind() {
        ErrorKind::AddrInUse => failure.advice("choose another port in [http] listen"),
        ErrorKind::AddrNotAvailable => failure.expected("an address of this host in [http] listen"),
        ErrorKind::PermissionDenied => {
            failure.advice("choose a port of 1024 or more in [http] listen")
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::Token;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token(b"0123456789abcdef".to_vec());
        assert!(token.is(b"0123456789abcdef"));
        for other in ["", "0", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
        assert!(!token.is(b"0123456789abcdef0123456789abcdef"));
        assert_eq!(format!("{token:?}"), "Token");
    }
}
