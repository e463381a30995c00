//! What is asked of the kernel before a run: its interfaces, addresses and routes.
//!
//! A trait, so that every judgement about a host can be shown on a host that is made up.

use std::io;
use std::net::IpAddr;

use standin_sys::netlink::{Address, Link, LocalRoute, Route, RouteSocket};
use standin_sys::{error::Error, sysctl};

use super::ground::ADDRESS_PROTO;

/// The kernel's view of this host's network.
pub trait Kernel {
    /// All interfaces.
    fn links(&mut self) -> Result<Vec<Link>, Error>;
    /// All addresses.
    fn addresses(&mut self) -> Result<Vec<Address>, Error>;
    /// The way to an address, or none when there is none.
    fn route_to(&mut self, to: IpAddr, through: Option<u32>) -> Result<Option<Route>, Error>;
    /// The default gateways behind an interface.
    fn gateways(&mut self, ifindex: u32) -> Result<Vec<IpAddr>, Error>;
    /// The local routes that some standin added.
    fn local_routes(&mut self) -> Result<Vec<LocalRoute>, Error> {
        Ok(Vec::new())
    }
    /// Whether this host forwards IPv6 on the interface.
    fn is_router(&mut self, interface: &str) -> bool;

    /// Whether IPv6 is switched off on this interface.
    fn lacks_ipv6(&mut self, interface: &str) -> bool;
}

/// The real one, of the network namespace in which it was opened.
pub struct RealKernel(RouteSocket);

impl RealKernel {
    /// Opens it.
    ///
    /// # Errors
    /// The kernel has no netlink socket for us.
    pub fn open() -> Result<Self, Error> {
        RouteSocket::open().map(Self)
    }
}

impl Kernel for RealKernel {
    fn links(&mut self) -> Result<Vec<Link>, Error> {
        self.0.links()
    }

    fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        self.0.addresses()
    }

    fn route_to(&mut self, to: IpAddr, through: Option<u32>) -> Result<Option<Route>, Error> {
        match self.0.route_to(to, through) {
            Ok(route) => Ok(Some(route)),
            Err(error) if leads_nowhere(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn gateways(&mut self, ifindex: u32) -> Result<Vec<IpAddr>, Error> {
        self.0.default_gateways(ifindex)
    }

    fn local_routes(&mut self) -> Result<Vec<LocalRoute>, Error> {
        self.0.local_routes(ADDRESS_PROTO)
    }

    fn is_router(&mut self, interface: &str) -> bool {
        let key = format!("net/ipv6/conf/{interface}/forwarding");
        sysctl::read(&key).is_ok_and(|value| value != "0")
    }

    fn lacks_ipv6(&mut self, interface: &str) -> bool {
        let key = format!("net/ipv6/conf/{interface}/disable_ipv6");
        sysctl::read(&key).is_ok_and(|value| value != "0")
    }
}

/// Blackhole, unreachable and prohibit routes show as EINVAL, EHOSTUNREACH and EACCES. An
/// explanation means that the question itself was refused.
fn leads_nowhere(error: &Error) -> bool {
    let refused = matches!(
        error.kind(),
        io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidInput
    );
    refused && error.explanation().is_none()
}
