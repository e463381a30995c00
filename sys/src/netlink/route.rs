//! Routes: the main table, the kernel's own decision for one destination, adding and removing.
//!
//! Owns the layout of `rtmsg` and its attributes. Of a multipath route every next hop is given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address::family;
use super::message::{Message, Payload, attributes, read_ip, read_u16, read_u32};
use super::socket::RouteSocket;
use crate::error::Result;

const RTMSG_LENGTH: usize = 12;
const RTNEXTHOP_LENGTH: usize = 8;
/// `RTPROT_STATIC`: put there by an administrator.
const PROTOCOL_STATIC: u8 = 4;

/// What happens to packets that take a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forwarded or sent, to a gateway or to the destination itself.
    Unicast,
    /// Accepted: the destination is this host.
    Local,
    /// Sent as a broadcast.
    Broadcast,
    /// Accepted as one of several hosts with the address.
    Anycast,
    /// Sent to a group.
    Multicast,
    /// Refused or dropped: blackhole, unreachable, prohibit.
    Refused,
    /// Another `RTN_*`.
    Other(u8),
}

impl RouteKind {
    fn read(number: u8) -> Self {
        match number {
            libc::RTN_UNICAST => Self::Unicast,
            libc::RTN_LOCAL => Self::Local,
            libc::RTN_BROADCAST => Self::Broadcast,
            libc::RTN_ANYCAST => Self::Anycast,
            libc::RTN_MULTICAST => Self::Multicast,
            libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT => Self::Refused,
            number => Self::Other(number),
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Unicast => libc::RTN_UNICAST,
            Self::Local => libc::RTN_LOCAL,
            Self::Broadcast => libc::RTN_BROADCAST,
            Self::Anycast => libc::RTN_ANYCAST,
            Self::Multicast => libc::RTN_MULTICAST,
            Self::Refused => libc::RTN_UNREACHABLE,
            Self::Other(number) => number,
        }
    }
}

/// Where a route leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The interface packets leave by.
    pub ifindex: u32,
    /// The router they are sent to; none: straight to the destination. May be an IPv6 address
    /// on an IPv4 route.
    pub gateway: Option<IpAddr>,
}

/// A route as the kernel describes it, or its decision for one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What happens to packets.
    pub kind: RouteKind,
    /// The destination; unspecified with prefix 0 for a default route.
    pub destination: IpAddr,
    /// The length of the destination's prefix, in bits.
    pub prefix: u8,
    /// Where it leads; several for a multipath route, none for some refusing ones.
    pub next_hops: Vec<NextHop>,
    /// The source address the kernel chooses.
    pub preferred_source: Option<IpAddr>,
    /// The table; 254 is main, 255 local. Without policy rules the kernel keeps both in one, and
    /// a look-up of a local address may then say 254.
    pub table: u32,
    /// Among equal prefixes the smaller wins.
    pub metric: u32,
    /// Who added it (`RTPROT_*`): 2 the kernel, 3 boot, 4 static …
    pub protocol: u8,
}

impl Route {
    /// The interface of the first next hop.
    pub fn ifindex(&self) -> Option<u32> {
        self.next_hops.first().map(|hop| hop.ifindex)
    }

    /// The gateway of the first next hop.
    pub fn gateway(&self) -> Option<IpAddr> {
        self.next_hops.first().and_then(|hop| hop.gateway)
    }

    /// Whether it takes what no other route takes.
    pub fn is_default(&self) -> bool {
        self.prefix == 0 && self.kind == RouteKind::Unicast
    }

    /// Reads `RTM_NEWROUTE` and `RTM_DELROUTE`.
    pub fn read(message: &Message<'_>) -> Option<Self> {
        let fixed = message.payload.get(..RTMSG_LENGTH)?;
        let unspecified: IpAddr = match i32::from(fixed[0]) {
            libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
            libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        };
        let mut route = Self {
            kind: RouteKind::read(fixed[7]),
            destination: unspecified,
            prefix: fixed[1],
            next_hops: vec![],
            preferred_source: None,
            table: u32::from(fixed[4]),
            metric: 0,
            protocol: fixed[5],
        };
        let (mut ifindex, mut gateway) = (None, None);
        for (kind, value) in attributes(&message.payload[RTMSG_LENGTH..]) {
            match kind {
                libc::RTA_DST => route.destination = read_ip(value)?,
                libc::RTA_OIF => ifindex = read_u32(value, 0),
                libc::RTA_GATEWAY => gateway = read_ip(value),
                libc::RTA_VIA => gateway = read_via(value),
                libc::RTA_PREFSRC => route.preferred_source = read_ip(value),
                libc::RTA_TABLE => route.table = read_u32(value, 0)?,
                libc::RTA_PRIORITY => route.metric = read_u32(value, 0)?,
                libc::RTA_MULTIPATH => route.next_hops = read_next_hops(value),
                _ => {}
            }
        }
        if let Some(ifindex) = ifindex {
            route.next_hops.insert(0, NextHop { ifindex, gateway });
        }
        Some(route)
    }
}

/// `struct rtvia`: a family, then the address of a gateway of another family than the route's.
fn read_via(value: &[u8]) -> Option<IpAddr> {
    read_u16(value, 0)?;
    read_ip(value.get(2..)?)
}

/// `struct rtnexthop`: length u16, flags u8, hops u8, ifindex u32, then attributes.
fn read_next_hops(mut rest: &[u8]) -> Vec<NextHop> {
    let mut hops = vec![];
    while let (Some(length), Some(ifindex)) = (read_u16(rest, 0), read_u32(rest, 4)) {
        let length = usize::from(length);
        let Some(value) = rest.get(RTNEXTHOP_LENGTH..length) else { break };
        let gateway = attributes(value).find_map(|(kind, value)| match kind {
            libc::RTA_GATEWAY => read_ip(value),
            libc::RTA_VIA => read_via(value),
            _ => None,
        });
        hops.push(NextHop { ifindex, gateway });
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    hops
}

/// A route that shall be in a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteSpec {
    /// What happens to packets.
    pub kind: RouteKind,
    /// The destination; unspecified with prefix 0 for a default route.
    pub destination: IpAddr,
    /// The length of the destination's prefix, in bits.
    pub prefix: u8,
    /// The interface packets leave by; may be left out where a gateway tells it.
    pub ifindex: Option<u32>,
    /// The router, of the same family as the destination.
    pub gateway: Option<IpAddr>,
    /// The source address to choose.
    pub preferred_source: Option<IpAddr>,
    /// The table; 254 is main, 255 local.
    pub table: u8,
    /// Among equal prefixes the smaller wins; none: the kernel's default.
    pub metric: Option<u32>,
}

impl RouteSpec {
    /// A unicast route in the main table.
    pub fn new(destination: IpAddr, prefix: u8) -> Self {
        Self {
            kind: RouteKind::Unicast,
            destination,
            prefix,
            ifindex: None,
            gateway: None,
            preferred_source: None,
            table: libc::RT_TABLE_MAIN,
            metric: None,
        }
    }

    /// The default route through a gateway.
    pub fn default_via(gateway: IpAddr) -> Self {
        let any: IpAddr = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        Self { gateway: Some(gateway), ..Self::new(any, 0) }
    }

    fn encode(&self, payload: &mut Payload<'_>) {
        let scope = match (self.kind, self.gateway) {
            (RouteKind::Local, _) => libc::RT_SCOPE_HOST,
            (RouteKind::Unicast, None) if self.destination.is_ipv4() => libc::RT_SCOPE_LINK,
            _ => libc::RT_SCOPE_UNIVERSE,
        };
        let family = family(self.destination);
        let kind = self.kind.number();
        payload.bytes(&[
            family,
            self.prefix,
            0,
            0,
            self.table,
            PROTOCOL_STATIC,
            scope,
            kind,
            0,
            0,
            0,
            0,
        ]);
        if self.prefix > 0 {
            payload.attribute_ip(libc::RTA_DST, self.destination);
        }
        if let Some(ifindex) = self.ifindex {
            payload.attribute_u32(libc::RTA_OIF, ifindex);
        }
        if let Some(gateway) = self.gateway {
            payload.attribute_ip(libc::RTA_GATEWAY, gateway);
        }
        if let Some(source) = self.preferred_source {
            payload.attribute_ip(libc::RTA_PREFSRC, source);
        }
        if let Some(metric) = self.metric {
            payload.attribute_u32(libc::RTA_PRIORITY, metric);
        }
    }

    fn operation(&self, verb: &str) -> String {
        let Self { destination, prefix, .. } = self;
        match self.gateway {
            Some(gateway) => format!("{verb} route {destination}/{prefix} via {gateway}"),
            None => format!("{verb} route {destination}/{prefix}"),
        }
    }
}

impl RouteSocket {
    /// The routes of the main table, both families.
    pub fn routes(&mut self) -> Result<Vec<Route>> {
        let outcome = self.dumped(
            libc::RTM_GETROUTE,
            |payload| {
                payload.bytes(&[0; RTMSG_LENGTH]);
            },
            |message| (message.kind == libc::RTM_NEWROUTE).then(|| Route::read(message))?,
        );
        let mut routes = outcome.map_err(|failure| failure.named("list the routes".into()))?;
        routes.retain(|route| route.table == u32::from(libc::RT_TABLE_MAIN));
        Ok(routes)
    }

    /// Which way the kernel would send a packet to `destination`, perhaps only through one
    /// interface. `ENETUNREACH` where no route leads there.
    pub fn route_to(&mut self, destination: IpAddr, through: Option<u32>) -> Result<Route> {
        let bits = if destination.is_ipv4() { 32 } else { 128 };
        let outcome = self.asked(
            libc::RTM_GETROUTE,
            0,
            |payload| {
                let family = family(destination);
                let mut fixed = [family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                if destination.is_ipv4() {
                    // The flag asks for the table the decision came from, not always 'main'. IPv6
                    // always tells it, and under strict checking refuses the flag.
                    fixed[8..].copy_from_slice(&libc::RTM_F_LOOKUP_TABLE.to_ne_bytes());
                }
                payload.bytes(&fixed).attribute_ip(libc::RTA_DST, destination);
                if let Some(ifindex) = through {
                    payload.attribute_u32(libc::RTA_OIF, ifindex);
                }
            },
            Route::read,
        );
        outcome.map_err(|failure| failure.named(format!("look up the route to {destination}")))
    }

    /// The gateways of all default routes that leave by this interface, smallest metric first.
    pub fn default_gateways(&mut self, ifindex: u32) -> Result<Vec<IpAddr>> {
        let mut routes = self.routes()?;
        routes.retain(Route::is_default);
        routes.sort_by_key(|route| route.metric);
        let mut gateways = vec![];
        for hop in routes.iter().flat_map(|route| &route.next_hops) {
            let Some(gateway) = hop.gateway.filter(|_| hop.ifindex == ifindex) else { continue };
            if !gateways.contains(&gateway) {
                gateways.push(gateway);
            }
        }
        Ok(gateways)
    }

    /// Adds a route. `EEXIST` when there is an equal one.
    pub fn add_route(&mut self, spec: &RouteSpec) -> Result<()> {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.acknowledged(libc::RTM_NEWROUTE, flags, |payload| spec.encode(payload))
            .map_err(|failure| failure.named(spec.operation("add")))
    }

    /// Removes a route. `ESRCH` when there is none like it.
    pub fn remove_route(&mut self, spec: &RouteSpec) -> Result<()> {
        self.acknowledged(libc::RTM_DELROUTE, 0, |payload| spec.encode(payload))
            .map_err(|failure| failure.named(spec.operation("remove")))
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    fn message(payload: &[u8]) -> Message<'_> {
        Message { kind: 24, flags: 0, sequence: 1, payload }
    }

    #[test]
    fn reads_a_default_route() {
        #[rustfmt::skip]
        let payload = [
            2, 0, 0, 0,  254, 3, 0, 1,  0, 0, 0, 0,
            8, 0, 15, 0,  254, 0, 0, 0,
            8, 0, 5, 0,  10, 0, 0, 254,
            8, 0, 4, 0,  3, 0, 0, 0,
        ];
        let route = Route::read(&message(&payload)).unwrap();
        assert!(route.is_default());
        assert_eq!((route.ifindex(), route.table), (Some(3), 254));
        assert_eq!(route.gateway(), Some(IpAddr::from([10, 0, 0, 254])));
        for end in 0..payload.len() {
            let _ = Route::read(&message(&payload[..end]));
        }
    }

    #[test]
    fn reads_every_next_hop() {
        #[rustfmt::skip]
        let hops = [
            16, 0, 0, 0,  3, 0, 0, 0,  8, 0, 5, 0,  10, 0, 0, 1,
            8, 0, 0, 0,  4, 0, 0, 0,
        ];
        let found = read_next_hops(&hops);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].ifindex, found[0].gateway), (3, Some(IpAddr::from([10, 0, 0, 1]))));
        assert_eq!((found[1].ifindex, found[1].gateway), (4, None));
        assert_eq!(read_next_hops(&[0, 0, 0, 0, 3, 0, 0, 0]), []);
        assert_eq!(read_next_hops(&[255, 255, 0, 0, 3, 0, 0, 0]), []);
    }
}
