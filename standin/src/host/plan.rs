//! What a run will do on this host, as it takes shape: interfaces, hosts to watch, addresses.
//!
//! Owns the numbering that the core's ids refer to. Judges each address where it is added; changes
//! nothing on the host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use standin_core::config::{
    Check, Failback, Home, Link, LinkId, OnAnswer, OnCheckFailure, Peer, PeerAddress, Vantage, Vip,
    VipId,
};

use super::{Ground, Install, PreparedCheck, Resolved, Way, link_state, routes};
use crate::checks::Prober;
use crate::failure::{Failure, Result};
use crate::file::VipGroup;

/// The longest label the kernel takes (IFNAMSIZ without its final zero).
const LABEL_LENGTH_MAX: usize = 15;

/// The parts of a run that follow from the host alone.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) links: Vec<Link>,
    pub(super) ifindexes: Vec<u32>,
    pub(super) peers: Vec<Peer>,
    pub(super) vips: Vec<Vip>,
    pub(super) installs: Vec<Install>,
    pub(super) warnings: Vec<String>,
    /// What an earlier run left as addresses and this one is to hold as routes.
    pub(super) displaced: Vec<Install>,
}

/// An address that a run is to hold at times.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) address: IpAddr,
    pub(super) interface: Option<&'a str>,
    pub(super) prefix: Option<u8>,
    /// The label's part behind the colon.
    pub(super) label: &'a str,
    pub(super) home: Home,
    pub(super) failback: Failback,
    pub(super) on_answer: OnAnswer,
    pub(super) on_check_failure: OnCheckFailure,
    /// To be held as a route.
    pub(super) route: bool,
}

/// What a host to watch is to whoever named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    /// That of `standin for`.
    Host,
    /// A node or a witness of the file.
    Node,
    /// One of `isolated-when-unreachable`.
    Reference,
}

impl fmt::Display for Called {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Host => "HOST",
            Self::Node => "the node",
            Self::Reference => "the reference",
        })
    }
}

impl Plan {
    pub(super) fn add_vip(&mut self, ground: &mut Ground<'_>, wish: &Wish<'_>) -> Result<()> {
        let address = wish.address;
        let link = match wish.interface {
            Some(name) => ground.interface_named(name)?,
            None => ground.interface_of_subnet(address)?,
        };
        let (ifindex, name, running) = (link.index, link.name.clone(), link.running);
        if !running {
            self.warn(format!("{name} has no carrier: nothing can be watched until it has"));
        }
        if address.is_ipv6() && ground.lacks_ipv6(&name) {
            self.warn(format!(
                "IPv6 is switched off on {name}, so {address} cannot be added there: sysctl -w \
                 net/ipv6/conf/{name}/disable_ipv6=0"
            ));
        }
        if let Some(elsewhere) = ground.leftover(address).filter(|left| left.ifindex != ifindex) {
            return Err(Failure::config(format!(
                "{address} is left over on {} from an earlier run, not on {name}",
                ground.name_of(elsewhere.ifindex)
            ))
            .advice("wait three seconds until the kernel has removed it"));
        }
        let link = self.link_id(ifindex);
        self.vips.push(Vip {
            address,
            link,
            home: wish.home,
            failback: wish.failback,
            on_answer: wish.on_answer,
            on_check_failure: wish.on_check_failure,
            adopted: if wish.route {
                ground.is_routed(address)
            } else {
                ground.leftover(address).is_some()
            },
            shares_lifetime: wish.route,
        });
        if let Some(left) = ground.leftover(address).filter(|_| wish.route) {
            let (prefix, label, route) = (left.prefix, None, false);
            self.displaced.push(Install { ifindex, address, prefix, label, route });
        }
        let (prefix, label) = match address {
            IpAddr::V4(_) if wish.route => (32, None),
            IpAddr::V4(_) => (wish.prefix.unwrap_or(32), label(&name, wish.label)),
            IpAddr::V6(_) => (wish.prefix.unwrap_or(128), None),
        };
        self.installs.push(Install { ifindex, address, prefix, label, route: wish.route });
        Ok(())
    }

    /// Whether this host is on the link that carries a group.
    pub(super) fn carries(ground: &mut Ground<'_>, group: &VipGroup) -> bool {
        match &group.interface {
            Some(name) => ground.interface_named(name).is_ok(),
            None => {
                group.addresses().all(|(address, _)| ground.interface_of_subnet(address).is_ok())
            }
        }
    }

    /// Whether the IPv4 addresses of a group are to be held as routes.
    pub(super) fn judge_routes(
        &mut self,
        ground: &mut Ground<'_>,
        group: &VipGroup,
    ) -> Result<bool> {
        let first = group.addresses().map(|(address, _)| address).find(IpAddr::is_ipv4);
        let Some(first) = first.filter(|_| group.wants_routes()) else { return Ok(false) };
        let link = match &group.interface {
            Some(name) => ground.interface_named(name)?,
            None => ground.interface_of_subnet(first)?,
        };
        let Some(why) =
            routes::unguarded().or_else(|| routes::unanswered(&link.name, routes::sysctl_of_host))
        else {
            return Ok(true);
        };
        let sentence = routes::refused(group, &why)?;
        self.warn(sentence);
        Ok(false)
    }

    /// The addresses that are held as routes.
    pub(super) fn routed(&self) -> Vec<Ipv4Addr> {
        let routed = self.installs.iter().filter(|install| install.route);
        routed
            .filter_map(|install| match install.address {
                IpAddr::V4(address) => Some(address),
                IpAddr::V6(_) => None,
            })
            .collect()
    }

    /// Does not adopt what a killed run was giving to another node, who has it by now; it is to go.
    pub(super) fn disown(&mut self, given_away: &[IpAddr]) -> Vec<Install> {
        let mut disowned = Vec::new();
        for (vip, install) in self.vips.iter_mut().zip(&self.installs) {
            if vip.adopted && given_away.contains(&vip.address) {
                vip.adopted = false;
                disowned.push(install.clone());
            }
        }
        disowned
    }

    /// Adopts nothing that is held as a route: a route stays when its time is over, and another may have
    /// its addresses by now.
    pub(super) fn disown_routes(&mut self) {
        for (vip, install) in self.vips.iter_mut().zip(&self.installs) {
            vip.adopted &= !install.route;
        }
    }

    /// A host to watch; its addresses follow.
    pub(super) fn add_peer(&mut self, name: &str) {
        self.peers.push(Peer { name: name.into(), addresses: Vec::new() });
    }

    /// An address of the host that was added last; `called` is what it is to whoever named it.
    pub(super) fn add_peer_address(
        &mut self,
        ground: &mut Ground<'_>,
        interface: Option<&str>,
        resolved: Resolved,
        called: Called,
    ) -> Result<()> {
        let ip = resolved.ip;
        let host = self.peers.last().map_or_else(String::new, |peer| peer.name.to_string());
        let is_link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let named = match interface {
            Some(name) if is_link_local => Some(ground.interface_named(name)?.index),
            Some(_) | None => None,
        };
        let through = resolved.scope.or(named);
        if is_link_local && through.is_none() {
            return Err(Failure::config(format!("{called} {ip} is a link-local address"))
                .expected("the interface on whose link it is")
                .advice(format!("{ip}%eth0, or --interface")));
        }
        let link = match ground.way_to(ip, through)? {
            Way::Here => {
                let failure =
                    Failure::config(format!("{called} {host} is this host itself ({ip})"));
                return Err(match called {
                    Called::Host => failure.expected("another host, the one to stand in for"),
                    Called::Node => failure
                        .expected("an address of another host")
                        .advice(format!("if this host is {host}: --node {host}"))
                        .advice(format!("if it is not: correct the address of {host} in the file")),
                    Called::Reference => {
                        failure.expected("a host that is no node, such as the router")
                    }
                });
            }
            Way::Group => {
                return Err(Failure::config(format!(
                    "{called} {host} is a broadcast address ({ip})"
                ))
                .expected("the real address of one host"));
            }
            // A HOST on a link without ARP is watched by ICMP alone.
            Way::OnLink(ifindex) => ground.interface(ifindex).ok().map(|link| link.index),
            Way::Beyond => None,
            Way::Nowhere => {
                self.warn(format!("there is no route to {host} ({ip}) for now"));
                None
            }
        };
        let link = link.map(|ifindex| self.link_id(ifindex));
        if let Some(peer) = self.peers.last_mut() {
            peer.addresses.push(PeerAddress { ip, link });
        }
        Ok(())
    }

    /// The id of an interface, given when it is first met.
    fn link_id(&mut self, ifindex: u32) -> LinkId {
        let position = self.ifindexes.iter().position(|known| *known == ifindex);
        let position = position.unwrap_or_else(|| {
            self.ifindexes.push(ifindex);
            self.ifindexes.len() - 1
        });
        LinkId(position as u32)
    }

    pub(super) fn read_links(&mut self, ground: &mut Ground<'_>) -> Result<()> {
        let near: Vec<IpAddr> = self
            .peers
            .iter()
            .flat_map(|peer| peer.addresses.iter().map(|address| address.ip))
            .chain(self.vips.iter().map(|vip| vip.address))
            .collect();
        let ours: Vec<IpAddr> = self.vips.iter().map(|vip| vip.address).collect();
        for ifindex in self.ifindexes.clone() {
            let (name, state) = link_state(ground, ifindex, &near, &ours)?;
            self.links.push(Link { name: name.into(), state });
        }
        Ok(())
    }

    pub(super) fn warn(&mut self, sentence: String) {
        if !self.warnings.contains(&sentence) {
            self.warnings.push(sentence);
        }
    }

    /// A check of one VIP, in the core's order and in ours.
    pub(super) fn place_check(
        &self,
        placed: &mut (Vec<PreparedCheck>, Vec<Check>),
        prober: &Arc<Prober>,
        position: usize,
        (host, vantage): (&str, Vantage),
    ) {
        let vip = &self.vips[position];
        let timing = prober.check().timing;
        placed.1.push(Check {
            name: prober.check().probe.name_for(vip.address).into(),
            vip: VipId(position as u32),
            interval: timing.interval,
            timeout: timing.timeout,
            rise: timing.rise,
            fall: timing.fall,
            vantage,
        });
        placed.0.push(PreparedCheck {
            prober: prober.clone(),
            vip: vip.address,
            host: host.to_owned(),
            ifindex: self.installs[position].ifindex,
        });
    }
}

/// `IF:NAME`, cut to what the kernel takes. A name's domain is left out. None when the
/// interface's own name leaves no room.
pub(super) fn label(interface: &str, name: &str) -> Option<String> {
    let name = if name.parse::<IpAddr>().is_ok() {
        name
    } else {
        name.split(['.', '%']).next().unwrap_or_default()
    };
    let name: String =
        name.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':')).collect();
    let room = LABEL_LENGTH_MAX.checked_sub(interface.len() + 1)?;
    let name = &name[..name.len().min(room)];
    if name.is_empty() { None } else { Some(format!("{interface}:{name}")) }
}
