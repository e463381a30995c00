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
use crate::filter::{self, Instruction, KEEP, LOAD_HALF, LOAD_WORD, RETURN, step, unless_equal};
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
    /// A route of the main table was added or removed.
    RouteChanged,
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
                    return Some(Self::RouteChanged);
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
            .map_err(|error| Error::new("listen for network changes", error))?;
        Ok(Self { fd, events: VecDeque::new(), buffer: reply_buffer() })
    }

    /// No longer tells of addresses that this queue adds or renews: of those there is an
    /// acknowledgement. Their removal, by whomever, is told as ever.
    pub fn leave_out_additions_of(&self, queue: &RouteQueue) -> Result<()> {
        port_of(queue.as_fd())
            .and_then(|port| filter::attach(self.fd.as_fd(), &all_but_additions_of(port)))
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

/// Keeps every announcement but those of addresses that the socket of this number added or renewed. The
/// header is in the host's byte order (`struct nlmsghdr`), and the filter loads as from a network.
fn all_but_additions_of(port: u32) -> [Instruction; 6] {
    const KIND_OFFSET: u32 = 4;
    const PORT_OFFSET: u32 = 12;
    let kind = u16::from_be_bytes(libc::RTM_NEWADDR.to_ne_bytes());
    let port = u32::from_be_bytes(port.to_ne_bytes());
    [
        step(LOAD_HALF, KIND_OFFSET),
        unless_equal(kind.into(), 3),
        step(LOAD_WORD, PORT_OFFSET),
        unless_equal(port, 1),
        step(RETURN, 0),
        step(RETURN, KEEP),
    ]
}

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
    fn own_additions_alone_are_left_out() {
        let told = |kind: u16, port: u32| {
            let mut datagram = vec![];
            append_message(&mut datagram, kind, 0, 7, |_| {});
            datagram[12..16].copy_from_slice(&port.to_ne_bytes());
            filter::accepts(&all_but_additions_of(0x8000_1234), &datagram, |_| None)
        };
        assert!(!told(libc::RTM_NEWADDR, 0x8000_1234));
        for (kind, port) in [
            (libc::RTM_NEWADDR, 0x8000_1235),
            (libc::RTM_NEWADDR, 0),
            (libc::RTM_DELADDR, 0x8000_1234),
            (libc::RTM_NEWLINK, 0x8000_1234),
        ] {
            assert!(told(kind, port), "{kind} of {port:x}");
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
