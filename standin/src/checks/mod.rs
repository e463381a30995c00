//! Service checks: is what runs on a VIP in order, seen from outside?
//!
//! Owns the kinds of checks, how each is run once, and the sentence that says why one failed. It
//! never decides anything: counting (rise, fall) and consequences belong to the core. Everything
//! here runs in the slow loop and every run ends within its timeout.
//!
//! ```text
//! Check (from the command line) ── Prober::new ──► Prober ── run(&Target) ──► Outcome
//! ```
//!
//! A run is told where to connect. HOST's service is reached at the VIP while HOST holds it, and
//! at HOST's real address while we stand in; the virtual host, the certificate's name and the
//! environment of a command stay those of the VIP.

mod command;
mod dns;
mod http;
mod icmp;
mod spec;
mod tcp;
mod timing;
pub(crate) mod tls;
pub mod url;
pub mod words;

pub(crate) use http::converse;

use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

pub use dns::DnsProbe;
pub use icmp::IcmpProbe;
pub use spec::{
    Check, CommandProbe, Concerns, HttpProbe, Probe, StatusSet, TcpProbe, Timing, TlsOptions,
};
pub use timing::{GREATEST_COUNT, TimingFault, TimingWish};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::duration;
use crate::failure::{Result, plain_io};
use crate::file::NamedCheck;

/// What one run is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address that is connected to: the VIP, or HOST's real address while we stand in.
    pub connect: IpAddr,
    /// The VIP that the result is about.
    pub vip: IpAddr,
    /// HOST as it was named.
    pub host: String,
    /// The interface's index, needed for IPv6 link-local addresses.
    pub interface_index: u32,
}

impl Target {
    /// Where to connect for `port`.
    fn socket_address(&self, port: u16) -> SocketAddr {
        match (self.connect, self.scope()) {
            (IpAddr::V6(address), Some(scope)) => SocketAddrV6::new(address, port, 0, scope).into(),
            (address, _) => SocketAddr::new(address, port),
        }
    }

    /// The interface, where the address says nothing without it.
    fn scope(&self) -> Option<u32> {
        let is_link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        is_link_local(self.connect).then_some(self.interface_index)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All was as expected.
    Ok {
        /// From the start of the run to its end.
        elapsed: Duration,
    },
    /// Something was not.
    Failed {
        /// A human reason, such as `HTTP 503 after 12 ms, expected 2xx or 3xx`.
        why: String,
    },
}

impl Outcome {
    /// Whether all was as expected.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }
}

/// A check made ready: certificates are loaded, so that a run opens no files.
#[derive(Debug, Clone)]
pub struct Prober {
    check: Check,
    tls: Option<tls::Client>,
}

impl Prober {
    /// Makes `check` ready.
    ///
    /// # Errors
    /// An unreadable `--ca-file`, or a `--server-name` that is no name.
    pub fn new(check: Check) -> Result<Self> {
        let tls = match &check.probe {
            Probe::Http(http) if http.url.tls => Some(tls::Client::new(&http.tls)?),
            Probe::Http(_) | Probe::Tcp(_) | Probe::Dns(_) | Probe::Icmp(_) | Probe::Command(_) => {
                None
            }
        };
        Ok(Self { check, tls })
    }

    /// The check.
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// Runs the check once. Ends within the check's timeout; dropping the future stops a run and
    /// kills its command.
    pub async fn run(&self, target: &Target) -> Outcome {
        let start = Instant::now();
        let phase = Phase::default();
        let work = async {
            match &self.check.probe {
                Probe::Http(probe) => http::run(probe, self.tls.as_ref(), target, &phase).await,
                Probe::Tcp(probe) => tcp::run(probe, target, &phase).await,
                Probe::Dns(probe) => dns::run(probe, target, &phase).await,
                Probe::Icmp(_) => icmp::run(target, &phase).await,
                Probe::Command(probe) => command::run(probe, target, &phase).await,
            }
        };
        match tokio::time::timeout(self.check.timing.timeout, work).await {
            Ok(Ok(())) => Outcome::Ok { elapsed: start.elapsed() },
            Ok(Err(why)) => Outcome::Failed { why },
            Err(_) => {
                let timeout = duration::show(self.check.timing.timeout);
                Outcome::Failed { why: format!("no result within {timeout} ({})", phase.get()) }
            }
        }
    }
}

/// What a run is waiting for, for the sentence about its timeout.
#[derive(Debug)]
struct Phase(std::sync::Mutex<&'static str>);

impl Default for Phase {
    fn default() -> Self {
        Self(std::sync::Mutex::new("starting"))
    }
}

impl Phase {
    fn set(&self, phase: &'static str) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = phase;
    }

    fn get(&self) -> &'static str {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Connects; the source address is the kernel's choice.
async fn connect(
    target: &Target,
    port: u16,
    phase: &Phase,
) -> std::result::Result<TcpStream, String> {
    phase.set("connecting");
    TcpStream::connect(target.socket_address(port)).await.map_err(|error| connect_error(&error))
}

/// A failed connect in the words people use.
pub(crate) fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::TimedOut => "no answer to the connection attempt".into(),
        io::ErrorKind::HostUnreachable => "no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "network unreachable".into(),
        _ => plain_io(error),
    }
}

/// Makes a check of the file ready.
///
/// # Errors
/// It cannot be, in the words of the file.
pub fn prober(named: &NamedCheck) -> Result<Prober> {
    Prober::new(named.check.clone())
        .map_err(|failure| failure.in_words_of_the_file().about(format!("[check.{}]", named.name)))
}

/// Makes all `checks` ready.
///
/// # Errors
/// The first one that cannot be.
pub fn probers(checks: &[Check]) -> Result<Vec<Prober>> {
    checks
        .iter()
        .map(|check| {
            Prober::new(check.clone())
                .map_err(|failure| failure.about(format!("--check {}", check.probe)))
        })
        .collect()
}
