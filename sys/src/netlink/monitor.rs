//! What others change: interfaces, addresses and routes, as the kernel announces it.
//!
//! Owns a netlink socket joined to the kernel's groups. It never waits and never asks.
//!
//! Invariant: whoever reads the tables after opening the monitor and then follows its events
//! misses nothing; where the kernel had to drop announcements there is an [`Event::Overrun`], and
//! the tables have to be read again.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::address::Address;
use super::link::Link;
use super::local::LocalRoute;
use super::message::{Message, messages};
use super::queue::RouteQueue;
use super::route::Route;
use super::socket::{open_socket, port_of, receive_datagram, reply_buffer};
use crate::error::{Error, Result};
use crate::filter::{
    self, Instruction, JUMP_EQUAL, KEEP, LOAD_BYTE, LOAD_HALF, LOAD_WORD, RETURN, step,
};
use crate::raw;

/// A change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An interface appeared or changed: its whole present state.
    LinkChanged(Link),
    /// An interface disappeared: its number and its last name.
    LinkGone(u32, String),
    /// An address was added, or changed, or its lifetime renewed.
    AddressAdded(Address),
    /// An address was removed, by whomever, also because its lifetime ended.
    AddressRemoved(Address),
    /// A default route of the main table was added or removed. Of others there may be a million, which
    /// a routing daemon changes all the time.
    DefaultRouteChanged,
    /// A local route of IPv4 was removed, by whomever; not one that the kernel made for an address.
    LocalRouteRemoved(LocalRoute),
    /// Announcements were lost: read everything again.
    Overrun,
}

impl Event {
    /// Reads an announcement of the kernel; `None` when it tells of nothing that is followed.
    pub fn read(message: &Message<'_>) -> Option<Self> {
        match message.kind {
            // Bridges announce changes of their ports as links of their own family, also with
            // RTM_DELLINK when a port merely leaves.
            libc::RTM_NEWLINK | libc::RTM_DELLINK if message.payload.first() != Some(&0) => None,
            libc::RTM_NEWLINK => Link::read(message).map(Self::LinkChanged),
            libc::RTM_DELLINK => {
                Link::read(message).map(|link| Self::LinkGone(link.index, link.name))
            }
            libc::RTM_NEWADDR => Address::read(message).map(Self::AddressAdded),
            libc::RTM_DELADDR => Address::read(message).map(Self::AddressRemoved),
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => {
                let route = Route::read(message)?;
                if route.table == u32::from(libc::RT_TABLE_MAIN) {
                    return route.is_default().then_some(Self::DefaultRouteChanged);
                }
                let removed =
                    message.kind == libc::RTM_DELROUTE && route.protocol != libc::RTPROT_KERNEL;
                LocalRoute::of(&route).filter(|_| removed).map(Self::LocalRouteRemoved)
            }
            _ => None,
        }
    }
}

/// A non-blocking listener to the kernel's announcements.
#[derive(Debug)]
pub struct Monitor {
    fd: OwnedFd,
    events: VecDeque<Event>,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Listens for links and addresses, and for routes if wanted, in the network namespace of the
    /// calling thread.
    pub fn open(routes: bool) -> Result<Self> {
        let mut groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
        if routes {
            groups |= libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        }
        let fd = open_socket(groups.cast_unsigned(), true)
            .and_then(|fd| filter::attach(fd.as_fd(), &followed(None)).map(|()| fd))
            .map_err(|error| Error::new("listen for network changes", error))?;
        Ok(Self { fd, events: VecDeque::new(), buffer: reply_buffer() })
    }

    /// No longer tells of addresses that this queue adds or renews: of those there is an
    /// acknowledgement. Their removal, by whomever, is told as ever.
    pub fn leave_out_additions_of(&self, queue: &RouteQueue) -> Result<()> {
        port_of(queue.as_fd())
            .and_then(|port| filter::attach(self.fd.as_fd(), &followed(Some(port))))
            .map_err(|error| Error::new("leave out own additions of addresses", error))
    }

    /// The next change, none when there is none yet.
    pub fn poll(&mut self) -> Result<Option<Event>> {
        while self.events.is_empty() {
            let fd = self.fd.as_fd();
            let received =
                raw::unless_empty(|| receive_datagram(fd, &mut self.buffer).map(<[u8]>::len));
            match received {
                Ok(None) => break,
                Ok(Some(length)) => {
                    let found = messages(&self.buffer[..length]).filter_map(|m| Event::read(&m));
                    self.events.extend(found);
                }
                Err(error) if lost_something(&error) => return Ok(Some(Event::Overrun)),
                Err(error) => return Err(Error::new("read network changes", error)),
            }
        }
        Ok(self.events.pop_front())
    }
}

/// Keeps every announcement but those of addresses that the socket of this number added or renewed, and
/// of routes that are nobody's default and none of ours. The header is in the host's byte order
/// (`struct nlmsghdr`), and the filter loads as from a network.
fn followed(port: Option<u32>) -> [Instruction; 12] {
    const KIND_OFFSET: u32 = 4;
    const PORT_OFFSET: u32 = 12;
    // In struct rtmsg behind it.
    const ROUTE_PREFIX_OFFSET: u32 = 16 + 1;
    const ROUTE_KIND_OFFSET: u32 = 16 + 7;
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let port = u32::from_be_bytes(port.unwrap_or(NOBODYS_PORT).to_ne_bytes());
    let jump = |operand, equal, unequal| Instruction {
        code: JUMP_EQUAL,
        jt: equal,
        jf: unequal,
        k: operand,
    };
    [
        step(LOAD_HALF, KIND_OFFSET),
        jump(kind(libc::RTM_NEWROUTE), 6, 0),
        jump(kind(libc::RTM_DELROUTE), 3, 0),
        jump(kind(libc::RTM_NEWADDR), 0, 6),
        // An address was added.
        step(LOAD_WORD, PORT_OFFSET),
        jump(port, 5, 4),
        // A route was removed; those that hold addresses are local.
        step(LOAD_BYTE, ROUTE_KIND_OFFSET),
        jump(libc::RTN_LOCAL.into(), 2, 0),
        // Or added.
        step(LOAD_BYTE, ROUTE_PREFIX_OFFSET),
        jump(0, 0, 1),
        step(RETURN, KEEP),
        step(RETURN, 0),
    ]
}

/// The kernel gives no socket this number; 0 is its own, and what it does itself is news.
const NOBODYS_PORT: u32 = u32::MAX;

/// A full queue, or an announcement that is larger than any buffer should have to be.
fn lost_something(error: &std::io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EMSGSIZE))
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::message::append_message;

    #[test]
    fn own_additions_and_routes_of_others_are_left_out() {
        let told = |filter: &[Instruction], kind: u16, port: u32, payload: &[u8]| {
            let mut datagram = vec![];
            append_message(&mut datagram, kind, 0, 7, |message| {
                message.bytes(payload);
            });
            datagram[12..16].copy_from_slice(&port.to_ne_bytes());
            filter::accepts(filter, &datagram, |_| None)
        };
        let ours = 0x8000_1234;
        let with = followed(Some(ours));
        assert!(!told(&with, libc::RTM_NEWADDR, ours, &[]));
        assert!(told(&followed(None), libc::RTM_NEWADDR, ours, &[]));
        for (kind, port) in [
            (libc::RTM_NEWADDR, ours + 1),
            (libc::RTM_NEWADDR, 0),
            (libc::RTM_DELADDR, ours),
            (libc::RTM_NEWLINK, ours),
        ] {
            assert!(told(&with, kind, port, &[]), "{kind} of {port:x}");
        }
        let route = |prefix, kind| [2, prefix, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0];
        let (unicast, local) = (libc::RTN_UNICAST, libc::RTN_LOCAL);
        for (kind, prefix, what, wanted) in [
            (libc::RTM_NEWROUTE, 0, unicast, true),
            (libc::RTM_NEWROUTE, 24, unicast, false),
            (libc::RTM_NEWROUTE, 32, local, false),
            (libc::RTM_DELROUTE, 0, unicast, true),
            (libc::RTM_DELROUTE, 24, unicast, false),
            (libc::RTM_DELROUTE, 32, local, true),
        ] {
            for filter in [&with, &followed(None)] {
                let is_told = told(filter, kind, 9, &route(prefix, what));
                assert_eq!(is_told, wanted, "{kind} /{prefix} {what}");
            }
        }
    }

    #[test]
    fn noise_in_any_announcement_is_survived() {
        let kinds = [
            libc::RTM_NEWLINK,
            libc::RTM_DELLINK,
            libc::RTM_NEWADDR,
            libc::RTM_DELADDR,
            libc::RTM_NEWROUTE,
            libc::RTM_DELROUTE,
        ];
        // xorshift64: the same noise every time. Small numbers make plausible lengths.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut noise = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(4) { (state >> 8) as u8 } else { (state >> 8) as u8 & 0x1f }
        };
        let mut understood = 0;
        for round in 0..60_000 {
            let mut payload: Vec<u8> = (0..round % 120).map(|_| noise()).collect();
            if let Some(family) = payload.first_mut() {
                *family = [0, 2, 10][round % 3];
            }
            let mut datagram = vec![];
            append_message(&mut datagram, kinds[round % kinds.len()], 0, 0, |message| {
                message.bytes(&payload);
            });
            understood += messages(&datagram).filter_map(|m| Event::read(&m)).count();
        }
        assert!(understood > 0);
    }
}
