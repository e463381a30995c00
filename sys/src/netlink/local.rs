//! Local routes: whole blocks of IPv4 addresses that this host answers for, in one message.
//!
//! A route of type `local` in the table `local` makes the kernel answer ARP for every address of its
//! block and take what is sent to them, as if each were on an interface (people call it any-IP). It has no
//! lifetime: whoever adds one has to see to its end. Adding n addresses to an interface costs n² in
//! the kernel, routes do not.
//!
//! For IPv6 the kernel takes the traffic but answers no neighbour solicitations, so there are none
//! here.

use std::net::{IpAddr, Ipv4Addr};

use super::message::Payload;
use super::queue::RouteQueue;
use super::route::{Route, RouteKind};
use super::socket::RouteSocket;
use crate::error::Result;

const RTMSG_LENGTH: usize = 12;

/// Addresses with their first bits in common, held as one route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocalRoute {
    /// The first address.
    pub address: Ipv4Addr,
    /// How many bits they have in common.
    pub prefix: u8,
    /// The interface it is bound to; with the loopback interface it stays when others go down.
    pub ifindex: u32,
    /// Who added it: `RTPROT_*`, or a number of one's own.
    pub protocol: u8,
    /// Beside routes of the same block with another metric it stays by itself.
    pub metric: u32,
}

impl LocalRoute {
    /// The local route that a route of the kernel's tables is, if it is one of IPv4.
    pub fn of(route: &Route) -> Option<Self> {
        let IpAddr::V4(address) = route.destination else { return None };
        let local =
            route.kind == RouteKind::Local && route.table == u32::from(libc::RT_TABLE_LOCAL);
        local.then_some(Self {
            address,
            prefix: route.prefix,
            ifindex: route.ifindex()?,
            protocol: route.protocol,
            metric: route.metric,
        })
    }

    pub(super) fn encode(&self, payload: &mut Payload<'_>) {
        payload.bytes(&[
            libc::AF_INET as u8,
            self.prefix,
            0,
            0,
            libc::RT_TABLE_LOCAL,
            self.protocol,
            libc::RT_SCOPE_HOST,
            libc::RTN_LOCAL,
            0,
            0,
            0,
            0,
        ]);
        payload.attribute_ip(libc::RTA_DST, self.address.into());
        payload.attribute_u32(libc::RTA_OIF, self.ifindex);
        payload.attribute_u32(libc::RTA_PRIORITY, self.metric);
    }
}

impl RouteQueue {
    /// Queues the addition of a local route; gives the request's sequence number. One that is there
    /// already is replaced by itself.
    pub fn push_route(&mut self, route: LocalRoute) -> u32 {
        let flags = libc::NLM_F_CREATE | libc::NLM_F_REPLACE;
        self.push_local(true, route, libc::RTM_NEWROUTE, flags)
    }

    /// Queues the removal of a local route; gives the request's sequence number. `ESRCH` where there
    /// is none.
    pub fn push_route_removal(&mut self, route: LocalRoute) -> u32 {
        self.push_local(false, route, libc::RTM_DELROUTE, 0)
    }
}

impl RouteSocket {
    /// The local routes of IPv4 that have this protocol.
    pub fn local_routes(&mut self, protocol: u8) -> Result<Vec<LocalRoute>> {
        let outcome = self.dumped(
            libc::RTM_GETROUTE,
            |payload| {
                let mut fixed = [0; RTMSG_LENGTH];
                // Older kernels pay no heed and tell of every route.
                fixed[0] = libc::AF_INET as u8;
                fixed[4] = libc::RT_TABLE_LOCAL;
                fixed[5] = protocol;
                payload.bytes(&fixed);
            },
            |message| {
                let route = (message.kind == libc::RTM_NEWROUTE).then(|| Route::read(message))?;
                LocalRoute::of(&route?)
            },
        );
        let mut routes = match outcome {
            // The kernel makes the table with the first route that goes there: the loopback's,
            // which is down where nothing has been set up yet.
            Err(failure) if failure.error.raw_os_error() == Some(libc::ENOENT) => Vec::new(),
            outcome => outcome.map_err(|failure| failure.named("list the local routes".into()))?,
        };
        routes.retain(|route| route.protocol == protocol);
        Ok(routes)
    }
}
