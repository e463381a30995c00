//! TLS for checks: rustls with ring, the system's roots and what the user adds.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::TlsOptions;
use super::url::Host;
use crate::failure::{Code, Failure, Result, plain_io};
use crate::regular;

/// Every authority there is fits many times.
const LARGEST_CA_FILE_BYTES: u64 = 8 << 20;

/// A TLS client configuration, and the name the server has to prove if one was given.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Client").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Client {
    /// Loads what is needed to verify a server.
    ///
    /// # Errors
    /// An unreadable CA file, a name that is none, or no CA at all.
    pub fn new(options: &TlsOptions) -> Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(Code::OsError, format!("cannot set up TLS: {error}")))?;
        let mut config = if options.insecure {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth()
        } else {
            let roots = roots(options.ca_file.as_deref())?;
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would skip the certificate, which is part of what is checked.
        config.resumption = rustls::client::Resumption::disabled();
        let name = options.server_name.as_deref().map(server_name).transpose()?;
        Ok(Self { config: Arc::new(config), name })
    }

    /// The handshake, for a URL that names `host` and a run about `vip`.
    pub async fn connect(
        &self,
        stream: TcpStream,
        host: &Host,
        vip: IpAddr,
    ) -> std::result::Result<TlsStream<TcpStream>, String> {
        let name = match (&self.name, host) {
            (Some(name), _) => name.clone(),
            (None, Host::Vip) => ServerName::from(vip),
            (None, Host::Address(address)) => ServerName::from(*address),
            (None, Host::Name(name)) => ServerName::try_from(name.clone())
                .map_err(|_| format!("TLS: '{name}' cannot be in a certificate"))?,
        };
        let shown = name.to_str().into_owned();
        TlsConnector::from(self.config.clone())
            .connect(name, stream)
            .await
            .map_err(|error| explain_for(&error, &shown))
    }
}

fn server_name(text: &str) -> Result<ServerName<'static>> {
    ServerName::try_from(text.to_string()).map_err(|_| {
        Failure::usage(format!("--server-name '{text}' cannot be in a certificate"))
            .expected("a host name or an address")
    })
}

/// The system's roots and those of `ca_file`.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Single unreadable files of the system's store are none of our business.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(path) = ca_file {
        let shown = path.display();
        let wrong = |why: String| {
            Failure::config(format!("--ca-file {shown}: {why}"))
                .expected("a PEM file of certificates")
        };
        let pem =
            regular::read(path, LARGEST_CA_FILE_BYTES).map_err(|error| wrong(plain_io(&error)))?;
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
            count += 1;
        }
        if count == 0 {
            return Err(wrong("there is no certificate in it".into()));
        }
    }
    if roots.is_empty() {
        return Err(Failure::config("this system has no certificate authorities to trust")
            .advice("install ca-certificates, or give --ca-file FILE or --insecure"));
    }
    Ok(roots)
}

/// An I/O error of a TLS stream in the words people use.
pub fn explain(error: &io::Error) -> String {
    explain_for(error, "the name")
}

fn explain_for(error: &io::Error, name: &str) -> String {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "the connection was closed too early".into(),
            io::ErrorKind::ConnectionReset => "connection reset".into(),
            _ => plain_io(error),
        };
    };
    match tls {
        Error::InvalidCertificate(certificate) => format!("TLS: {}", judged(certificate, name)),
        Error::InvalidMessage(_) => "TLS: the answer is not TLS".into(),
        other => format!("TLS: {other}"),
    }
}

/// What the library calls it.
const CA_AT_THE_END: &str = "CaUsedAsEndEntity";

fn judged(error: &CertificateError, name: &str) -> String {
    use CertificateError as E;
    match error {
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            format!("certificate is not valid for {name}")
        }
        E::Expired | E::ExpiredContext { .. } => "certificate has expired".into(),
        E::NotValidYet | E::NotValidYetContext { .. } => "certificate is not valid yet".into(),
        E::UnknownIssuer => "certificate is from an unknown issuer".into(),
        E::BadSignature => "certificate was not signed by the authority it names".into(),
        E::Revoked => "certificate has been revoked".into(),
        // As `openssl req -x509` makes them where nothing else is said.
        E::Other(why) if why.0.to_string() == CA_AT_THE_END => {
            "certificate is an authority's (CA:TRUE), which a server may not show as its own".into()
        }
        E::Other(why) => format!("certificate refused: {}", why.0),
        other => format!("certificate refused: {other}"),
    }
}

/// `--insecure`: any certificate will do, though the server has to have its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
