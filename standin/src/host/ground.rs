//! This host's network as it is before a run, and what may be said of an address in it.
//!
//! A snapshot: read once, judged often. Everything that `standin for` and `standin announce`
//! refuse because of this host is refused here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use standin_core::config::ADDRESS_LIFETIME;
use standin_sys::netlink::{Address, Link, LocalRoute, RouteKind};

use super::kernel::Kernel;
use super::routes;
use crate::failure::{Code, Failure, Result, nearest};

/// The `IFA_PROTO` of every address that standin adds: how a later run knows what is left over from
/// one that was killed.
pub const ADDRESS_PROTO: u8 = 93;

/// A snapshot of the interfaces and addresses, and the door to the routes.
pub struct Ground<'a> {
    kernel: &'a mut dyn Kernel,
    /// All interfaces.
    pub links: Vec<Link>,
    /// All addresses.
    pub addresses: Vec<Address>,
    /// The local routes of this cluster, and their metric; see [`Ground::find_routes`].
    routes: Vec<LocalRoute>,
    metric: Option<u32>,
}

/// How an address is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It is on the link of this interface.
    OnLink(u32),
    /// Through a gateway.
    Beyond,
    /// It is this host's own.
    Here,
    /// It is a broadcast or multicast address.
    Group,
    /// Not at all.
    Nowhere,
}

impl<'a> Ground<'a> {
    /// Reads the snapshot.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn survey(kernel: &'a mut dyn Kernel) -> Result<Self> {
        let links = kernel.links().map_err(|error| os(&error))?;
        let addresses = kernel.addresses().map_err(|error| os(&error))?;
        Ok(Self { kernel, links, addresses, routes: Vec::new(), metric: None })
    }

    /// Looks for the routes that earlier runs with this metric left.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn find_routes(&mut self, metric: u32) -> Result<()> {
        self.routes = self.kernel.local_routes().map_err(|error| os(&error))?;
        self.routes.retain(|route| route.metric == metric);
        self.metric = Some(metric);
        Ok(())
    }

    /// Whether a route of an earlier run has the address.
    pub fn is_routed(&self, address: IpAddr) -> bool {
        self.routes.iter().any(|route| routes::covers(route, address))
    }

    /// How `to` is reached, perhaps only through one interface.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn way_to(&mut self, to: IpAddr, through: Option<u32>) -> Result<Way> {
        let Some(route) = self.kernel.route_to(to, through).map_err(|error| os(&error))? else {
            return Ok(Way::Nowhere);
        };
        Ok(match (route.kind, route.gateway(), route.ifindex()) {
            (RouteKind::Local | RouteKind::Anycast, _, _) => Way::Here,
            (RouteKind::Broadcast | RouteKind::Multicast, _, _) => Way::Group,
            (RouteKind::Unicast, None, Some(ifindex)) => Way::OnLink(ifindex),
            (RouteKind::Unicast, _, _) => Way::Beyond,
            _ => Way::Nowhere,
        })
    }

    /// The interface of that name, fit for ARP.
    ///
    /// # Errors
    /// It does not exist, is down, is a loopback or has no ARP.
    pub fn interface_named(&self, name: &str) -> Result<&Link> {
        let Some(link) = self.links.iter().find(|link| link.name == name) else {
            let names: Vec<&str> = self.usable().map(|link| link.name.as_str()).collect();
            let failure =
                Failure::new(Code::Unavailable, format!("there is no interface '{name}'"));
            let failure = match names.as_slice() {
                [] => failure,
                names => failure.expected(format!("one of {}", names.join(", "))),
            };
            return Err(match nearest(name, names) {
                Some(meant) => failure.advice(format!("did you mean --interface {meant}?")),
                None => failure.advice("see: ip link"),
            });
        };
        fit(link)?;
        Ok(link)
    }

    /// The interface of that index, fit for ARP.
    ///
    /// # Errors
    /// As of [`Self::interface_named`].
    pub fn interface(&self, ifindex: u32) -> Result<&Link> {
        let link = self.links.iter().find(|link| link.index == ifindex).ok_or_else(|| {
            Failure::new(Code::Unavailable, format!("interface number {ifindex} has gone"))
        })?;
        fit(link)?;
        Ok(link)
    }

    fn usable(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(|link| !link.loopback)
    }

    /// The interface in whose subnet `address` is.
    ///
    /// # Errors
    /// It is in none, or the interface is not fit.
    pub fn interface_of_subnet(&mut self, address: IpAddr) -> Result<&Link> {
        self.judge_link_local(address)?;
        let mut left_on = self.left_on(address);
        let way = self.way_to(address, None)?;
        if left_on.is_none() && way == Way::Here {
            // It may have come since the snapshot: a run whose file is judged claims meanwhile.
            self.look_again()?;
            left_on = self.left_on(address);
        }
        let ifindex = match (left_on, way) {
            (Some(ifindex), _) | (None, Way::OnLink(ifindex)) => ifindex,
            (None, way) => {
                // An interface that is down keeps its address, and no route leads there.
                if let Some(ifindex) = self.around(address) {
                    self.interface(ifindex)?;
                }
                return Err(self.in_no_subnet(address, way));
            }
        };
        self.interface(ifindex)
    }

    /// Refuses an address that may be meant on any of several links: the kernel would just take one.
    fn judge_link_local(&self, address: IpAddr) -> Result<()> {
        let is_link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let has_subnet = |link: &&Link| {
            let mut own = self.addresses.iter().filter(|found| found.ifindex == link.index);
            fit(link).is_ok() && own.any(|found| is_link_local(found.ip))
        };
        let names: Vec<&str> =
            self.usable().filter(has_subnet).map(|link| link.name.as_str()).collect();
        let [first, _, ..] = names.as_slice() else { return Ok(()) };
        if !is_link_local(address) {
            return Ok(());
        }
        let what = format!("{address} is a link-local address, and may be on any of several links");
        Err(Failure::config(what)
            .expected(format!("the interface beside it, one of {}", names.join(", ")))
            .advice(format!("name the interface, as in --interface {first}")))
    }

    /// The interface on which an earlier run, or this one, holds the address.
    fn left_on(&self, address: IpAddr) -> Option<u32> {
        let routed = || self.is_routed(address).then(|| self.around(address)).flatten();
        self.leftover(address).map(|found| found.ifindex).or_else(routed)
    }

    fn look_again(&mut self) -> Result<()> {
        self.addresses = self.kernel.addresses().map_err(|error| os(&error))?;
        self.metric.map_or(Ok(()), |metric| self.find_routes(metric))
    }

    /// The interface with a real address in whose subnet this one is: the way to an address that is
    /// held as a route leads to this host itself.
    fn around(&self, address: IpAddr) -> Option<u32> {
        let shares = |found: &&Address| {
            !is_ours(found) && super::shares_subnet(found.ip, address, found.prefix)
        };
        let closest = self.addresses.iter().filter(shares).max_by_key(|found| found.prefix);
        closest.map(|found| found.ifindex)
    }

    fn in_no_subnet(&self, address: IpAddr, way: Way) -> Failure {
        if way == Way::Group {
            return Failure::config(format!("{address} is a broadcast or multicast address"))
                .expected("an address that one host can have");
        }
        let why = match way {
            Way::Beyond => "it is behind a gateway",
            Way::Here => "it is this host's own",
            Way::Nowhere | Way::Group | Way::OnLink(_) => "there is no route to it",
        };
        let example = self.usable().find(|link| fit(link).is_ok());
        let example = example.map_or("eth0", |link| link.name.as_str());
        Failure::config(format!("{address} is in no connected subnet: {why}"))
            .expected("an address in the subnet of one of this host's interfaces")
            .advice(format!("name the interface, as in --interface {example}"))
    }

    /// The address left over by a killed run of standin, if it is there.
    pub fn leftover(&self, address: IpAddr) -> Option<&Address> {
        self.addresses.iter().find(|found| found.ip == address && is_ours(found))
    }

    /// Refuses an address that cannot move here: another's, a subnet's own, or one we have.
    ///
    /// # Errors
    /// Says what the address is.
    pub fn judge_claim(&self, flag: &str, address: IpAddr, host: &[IpAddr]) -> Result<()> {
        if host.contains(&address) {
            return Err(Failure::config(format!("{flag} {address} is HOST's real address"))
                .expected("an address that HOST can lose without becoming unreachable")
                .advice("give HOST by its real address, one that never moves"));
        }
        if let Some(found) =
            self.addresses.iter().find(|found| found.ip == address && !is_ours(found))
        {
            let (prefix, on) = (found.prefix, self.name_of(found.ifindex));
            return Err(Failure::config(format!(
                "{flag} {address} is already on this host, on {on}, and standin did not put it there"
            ))
            .expected("an address that standin itself adds and removes")
            .advice(format!(
                "if it should move, take it out of the network configuration: \
                 ip address del {address}/{prefix} dev {on}"
            )));
        }
        match address {
            IpAddr::V4(v4) => self.judge_subnet_ends(flag, v4),
            IpAddr::V6(v6) => self.judge_anycast(flag, v6),
        }
    }

    /// RFC 3021 has no such addresses in a /31, nor has a /32.
    fn judge_subnet_ends(&self, flag: &str, address: Ipv4Addr) -> Result<()> {
        for found in self.addresses.iter().filter(|found| found.prefix < 31) {
            let IpAddr::V4(ip) = found.ip else { continue };
            let mask = u32::MAX.checked_shl(32 - u32::from(found.prefix)).unwrap_or(0);
            let network = u32::from(ip) & mask;
            let kind = match u32::from(address) {
                bits if bits == network => "network",
                bits if bits == network | !mask => "broadcast",
                _ => continue,
            };
            let subnet = Ipv4Addr::from(network);
            return Err(Failure::config(format!(
                "{flag} {address} is the {kind} address of {subnet}/{} on {}",
                found.prefix,
                self.name_of(found.ifindex)
            ))
            .expected("an address that one host can have"));
        }
        Ok(())
    }

    /// RFC 4291, section 2.6.1: an address whose interface part is zero is every router's.
    fn judge_anycast(&self, flag: &str, address: Ipv6Addr) -> Result<()> {
        for found in self.addresses.iter().filter(|found| found.prefix < 127) {
            let IpAddr::V6(ip) = found.ip else { continue };
            let mask = u128::MAX.checked_shl(128 - u32::from(found.prefix)).unwrap_or(0);
            if u128::from(address) == u128::from(ip) & mask {
                return Err(Failure::config(format!(
                    "{flag} {address} is the routers' anycast address of {address}/{} on {}",
                    found.prefix,
                    self.name_of(found.ifindex)
                ))
                .expected("an address that one host can have"));
            }
        }
        Ok(())
    }

    /// The name of an interface.
    pub fn name_of(&self, ifindex: u32) -> &str {
        self.links
            .iter()
            .find(|link| link.index == ifindex)
            .map_or("a vanished interface", |link| link.name.as_str())
    }

    /// This host's real addresses on an interface: not those that standin moves.
    pub fn real_addresses(&self, ifindex: u32) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(move |found| found.ifindex == ifindex && !is_ours(found))
    }

    /// The default gateways behind an interface.
    ///
    /// # Errors
    /// The kernel refuses to tell.
    pub fn gateways(&mut self, ifindex: u32) -> Result<Vec<IpAddr>> {
        self.kernel.gateways(ifindex).map_err(|error| os(&error))
    }

    /// Whether this host forwards IPv6 on the interface.
    pub fn is_router(&mut self, interface: &str) -> bool {
        self.kernel.is_router(interface)
    }

    /// Whether IPv6 is switched off on the interface.
    pub fn lacks_ipv6(&mut self, interface: &str) -> bool {
        self.kernel.lacks_ipv6(interface)
    }
}

/// Whether some standin added this address. Before Linux 5.18 the kernel does not keep who added
/// one; there the short life that only ours have tells.
fn is_ours(found: &Address) -> bool {
    match (found.proto, found.valid_lft_s) {
        (Some(proto), _) => proto == ADDRESS_PROTO,
        (None, Some(lifetime_s)) => u64::from(lifetime_s) <= ADDRESS_LIFETIME.as_secs(),
        (None, None) => false,
    }
}

/// Whether an address can be announced on `link`.
fn fit(link: &Link) -> Result<()> {
    let name = &link.name;
    if link.loopback {
        return Err(Failure::config(format!("{name} is a loopback interface"))
            .expected("an interface that other hosts are connected to"));
    }
    if link.no_arp || !link.is_ethernet() || link.mac.is_none() {
        return Err(Failure::config(format!("{name} has no ARP: nobody could be told of a move"))
            .expected("an Ethernet interface"));
    }
    if !link.up {
        return Err(Failure::new(Code::Unavailable, format!("interface {name} is down"))
            .advice(format!("ip link set {name} up")));
    }
    Ok(())
}

/// A refusal of the kernel.
pub fn os(error: &standin_sys::error::Error) -> Failure {
    let code = if error.is_permission() { Code::NoPermission } else { Code::OsError };
    Failure::new(code, format!("cannot {error}"))
}
