//! UDP for heartbeats: many datagrams in one call, and what became of those that did not arrive.
//!
//! Owns UDP sockets with the highest priority a user may give (DSCP CS6, RFC 4594), their error
//! queue and a filter that lets junk die in the kernel. Never reads a payload.
//!
//! A closed port shows as [`Event::Refused`]: the peer's host lives, the daemon does not. Hosts
//! limit how often they say so; Linux sends such a message to one destination in bursts of six
//! and then once a second (`net.ipv4.icmp_ratelimit`). Anyone on the way can forge one, if they
//! see or guess addresses and ports.
//!
//! Invariant: an error that came back from an earlier datagram never counts as the failure of
//! another one, nor is it lost: it is in the error queue ([`UdpSocket::next_event`]).

mod event;
mod junk;

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::control::{self, ControlBuffer};
use crate::error::{Error, Result};
use crate::filter;
use crate::raw;
use crate::socket_address::{self, Name};

pub use event::Event;
pub use junk::Filter;

use event::{extended_error, may_be_old};

/// Datagrams that one system call sends or receives at most.
const BATCH: usize = 64;
/// What comes or goes in quiet times fits into this; more take room for [`BATCH`], whose preparation
/// costs more than the system call.
const FEW: usize = 8;
/// Class selector 6, 'network control', in the upper six bits of the field.
const CLASS_SELECTOR_6: i32 = 0xc0;
/// The highest that needs no rights (socket(7)).
const PRIORITY: i32 = 6;
/// How often an error of an earlier datagram may come in the way of one call.
const OLD_ERRORS_MAX: usize = 8;
/// What is left of a datagram in the error queue; of no use to us.
const QUOTE_LENGTH: usize = 64;
/// `SK_MEMINFO_DROPS`, and how many numbers there are.
const MEMORY_INFO_DROPS: usize = 8;
const MEMORY_INFO_LENGTH: usize = 9;

/// How a socket shall be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The interface it sends and receives by, whatever the routes say.
    pub interface: Option<String>,
    /// Which payloads it takes; none: all.
    pub filter: Option<Filter>,
    /// Whether the kernel shall note when it received each datagram.
    pub timestamps: bool,
    /// How many bytes may wait to be received; none: the system's usual. Without `CAP_NET_ADMIN`
    /// the kernel caps it at `net.core.rmem_max`.
    pub receive_queue_length: Option<u32>,
}

/// A datagram to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outgoing<'p> {
    /// Where to. The scope of a link-local address is its interface.
    pub destination: SocketAddr,
    /// The payload.
    pub payload: &'p [u8],
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'b> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to.
    pub local: Option<IpAddr>,
    /// The interface it came in by.
    pub ifindex: Option<u32>,
    /// When the kernel received it: nanoseconds of `CLOCK_REALTIME`, where time stamps are on.
    /// [`crate::clock::Correspondence`] turns it into boot time.
    pub realtime_ns: Option<u64>,
    /// The payload, as much as fitted.
    pub payload: &'b [u8],
    /// Whether the payload was longer.
    pub truncated: bool,
}

/// Room for the datagrams of one call.
#[derive(Debug)]
pub struct Inbox {
    payload_length: usize,
    bytes: Vec<u8>,
    arrivals: Vec<Arrival>,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    source: SocketAddr,
    local: Option<IpAddr>,
    ifindex: Option<u32>,
    realtime_ns: Option<u64>,
    length: usize,
    truncated: bool,
}

impl Inbox {
    /// Room for payloads of at most this many bytes; longer ones are cut, and said to be.
    pub fn new(payload_length: usize) -> Self {
        let payload_length = payload_length.max(1);
        Self {
            payload_length,
            bytes: vec![0; payload_length * BATCH],
            arrivals: Vec::with_capacity(BATCH),
        }
    }

    /// What the last call received, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Received<'_>> {
        let rooms = self.bytes.chunks(self.payload_length);
        self.arrivals.iter().zip(rooms).map(|(arrival, room)| Received {
            source: arrival.source,
            local: arrival.local,
            ifindex: arrival.ifindex,
            realtime_ns: arrival.realtime_ns,
            payload: &room[..arrival.length],
            truncated: arrival.truncated,
        })
    }
}

/// A non-blocking UDP socket of one IP version.
///
/// A poller reports it as readable also when there is an event in its error queue.
#[derive(Debug)]
pub struct UdpSocket {
    fd: OwnedFd,
    local: SocketAddr,
}

impl UdpSocket {
    /// Binds to an address and port of this host; an unspecified address is any, port 0 is one
    /// that is free. An IPv6 socket takes no IPv4.
    ///
    /// `EADDRINUSE` where another has the port, `EADDRNOTAVAIL` where the host has not (yet) the
    /// address.
    pub fn bind(local: SocketAddr, options: &Options) -> Result<Self> {
        let failed = |error| Error::new(format!("open UDP socket {local}"), error);
        if let Some(filter) = &options.filter {
            filter.check().map_err(|failure| failure.named(format!("open UDP socket {local}")))?;
        }
        if let Some(name) = &options.interface {
            crate::netlink::link::check_name(name)
                .map_err(|failure| failure.named(format!("open UDP socket {local} on {name}")))?;
        }
        let fd = Self::open(local, options).map_err(failed)?;
        let local = socket_address::local(fd.as_fd()).map_err(failed)?;
        Ok(Self { fd, local })
    }

    fn open(local: SocketAddr, options: &Options) -> io::Result<OwnedFd> {
        let family = if local.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        let owned = raw::socket(family, libc::SOCK_DGRAM | libc::SOCK_NONBLOCK, 0)?;
        let fd = owned.as_fd();
        if let Some(filter) = &options.filter {
            filter::attach(fd, &filter.program())?;
        }
        let wanted: &[(i32, i32, i32)] = if local.is_ipv4() {
            &[
                (libc::IPPROTO_IP, libc::IP_RECVERR, 1),
                (libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
                (libc::IPPROTO_IP, libc::IP_TOS, CLASS_SELECTOR_6),
            ]
        } else {
            &[
                (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1),
                (libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
                (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, CLASS_SELECTOR_6),
            ]
        };
        for &(level, name, value) in wanted {
            raw::set_option(fd, level, name, &value)?;
        }
        // After IP_TOS, which sets a priority of its own.
        raw::set_option(fd, libc::SOL_SOCKET, libc::SO_PRIORITY, &PRIORITY)?;
        if options.timestamps {
            raw::set_option(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &1i32)?;
        }
        if let Some(length) = options.receive_queue_length {
            let length = i32::try_from(length).unwrap_or(i32::MAX);
            if raw::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &length).is_err() {
                raw::set_option(fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &length)?;
            }
        }
        if let Some(name) = &options.interface {
            let mut bytes = [0u8; libc::IFNAMSIZ];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            raw::set_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &bytes)?;
        }
        match Name::from(local) {
            Name::V4(name) => raw::bind(fd, &name)?,
            Name::V6(name) => raw::bind(fd, &name)?,
        }
        Ok(owned)
    }

    /// The address and port it is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Sends datagrams in as few system calls as possible; how many were sent. `failed` is told
    /// the position of each that was not, and why: `ENETUNREACH` without a route, `EPERM` from a
    /// filter of this host, `EAGAIN` when the socket's queue is full. One that fails does not
    /// keep the others back.
    pub fn send_batch(
        &self,
        datagrams: &[Outgoing<'_>],
        mut failed: impl FnMut(usize, Error),
    ) -> usize {
        let (mut next, mut sent, mut old_errors) = (0, 0, 0);
        while let Some(rest) = datagrams.get(next..).filter(|rest| !rest.is_empty()) {
            match self.send_some(rest) {
                Ok(count) => {
                    next += count;
                    sent += count;
                    old_errors = 0;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Reported once, the error of an earlier datagram is out of the way. What fails
                // again and again fails by itself.
                Err(error) if may_be_old(&error) && old_errors < OLD_ERRORS_MAX => old_errors += 1,
                Err(error) => {
                    let operation = format!("send to {}", rest[0].destination);
                    failed(next, Error::new(operation, error));
                    next += 1;
                    old_errors = 0;
                }
            }
        }
        sent
    }

    /// `sendmmsg(2)`. An error is that of the first datagram, or of one sent earlier.
    fn send_some(&self, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
        if datagrams[0].destination.is_ipv4() != self.local.is_ipv4() {
            return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
        }
        if datagrams.len() <= FEW {
            self.send_up_to::<FEW>(datagrams)
        } else {
            self.send_up_to::<BATCH>(datagrams)
        }
    }

    fn send_up_to<const MOST: usize>(&self, datagrams: &[Outgoing<'_>]) -> io::Result<usize> {
        let count = datagrams.len().min(MOST);
        let mut names = [Name::room(); MOST];
        let mut parts = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; MOST];
        // SAFETY: mmsghdr is pointers and numbers; null and zero are valid.
        let mut headers: [libc::mmsghdr; MOST] = unsafe { zeroed() };
        let rooms = headers.iter_mut().zip(names.iter_mut().zip(&mut parts));
        for ((header, (name, part)), datagram) in rooms.zip(datagrams) {
            *name = Name::from(datagram.destination);
            // The kernel only reads what is sent.
            part.iov_base = datagram.payload.as_ptr().cast_mut().cast();
            part.iov_len = datagram.payload.len();
            let (pointer, length) = name.as_mut_ptr();
            header.msg_hdr.msg_name = pointer;
            header.msg_hdr.msg_namelen = length;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_NOSIGNAL);
        // SAFETY: the first `count` headers point to live names and parts, and those to live
        // payloads.
        let sent = raw::check(unsafe {
            libc::sendmmsg(fd, headers.as_mut_ptr(), count as u32, flags as _)
        })?;
        Ok(sent.unsigned_abs() as usize)
    }

    /// Receives up to 64 datagrams in one system call, or two if there are many; how many. Fewer
    /// than 64: there were no more.
    pub fn receive_batch(&self, inbox: &mut Inbox) -> Result<usize> {
        inbox.arrivals.clear();
        for _ in 0..=OLD_ERRORS_MAX {
            match raw::unless_empty(|| self.receive_some(inbox)) {
                Ok(_) => return Ok(inbox.arrivals.len()),
                Err(error) if may_be_old(&error) => {}
                Err(_) if !inbox.arrivals.is_empty() => break,
                Err(error) => {
                    return Err(Error::new(format!("receive at UDP {}", self.local), error));
                }
            }
        }
        Ok(inbox.arrivals.len())
    }

    fn receive_some(&self, inbox: &mut Inbox) -> io::Result<()> {
        if inbox.arrivals.is_empty() && self.receive_up_to::<FEW>(inbox)? < FEW {
            return Ok(());
        }
        self.receive_up_to::<{ BATCH - FEW }>(inbox).map(drop)
    }

    /// Behind what the inbox has already, whose room has to suffice.
    fn receive_up_to<const MOST: usize>(&self, inbox: &mut Inbox) -> io::Result<usize> {
        let mut names = [Name::room(); MOST];
        let mut controls = [ControlBuffer::new(); MOST];
        let empty = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut parts = [empty; MOST];
        // SAFETY: mmsghdr is pointers and numbers; null and zero are valid.
        let mut headers: [libc::mmsghdr; MOST] = unsafe { zeroed() };
        let rooms = inbox.bytes.chunks_mut(inbox.payload_length).skip(inbox.arrivals.len());
        for (((header, part), (name, control)), room) in
            headers.iter_mut().zip(&mut parts).zip(names.iter_mut().zip(&mut controls)).zip(rooms)
        {
            part.iov_base = room.as_mut_ptr().cast();
            part.iov_len = room.len();
            let (pointer, length) = name.as_mut_ptr();
            header.msg_hdr.msg_name = pointer;
            header.msg_hdr.msg_namelen = length;
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
            control.attach(&mut header.msg_hdr);
        }
        let (fd, no_limit) = (self.fd.as_raw_fd(), std::ptr::null_mut());
        // SAFETY: every header points to a live name, part and control buffer of the lengths
        // beside them, and every part to a room of the inbox.
        let count = raw::check(unsafe {
            libc::recvmmsg(fd, headers.as_mut_ptr(), MOST as u32, 0, no_limit)
        })?;
        let count = count.unsigned_abs() as usize;
        for (header, name) in headers.iter().zip(&names).take(count) {
            let mut arrival = Arrival {
                source: name.read(),
                local: None,
                ifindex: None,
                realtime_ns: None,
                length: (header.msg_len as usize).min(inbox.payload_length),
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            };
            // SAFETY: the kernel has filled this header; its control buffer is still there.
            unsafe {
                control::each(&header.msg_hdr, |level, kind, data| {
                    if let Some((local, ifindex)) = packet_information(level, kind, data) {
                        arrival.local = Some(local);
                        arrival.ifindex = Some(ifindex).filter(|&ifindex| ifindex != 0);
                    }
                    arrival.realtime_ns =
                        arrival.realtime_ns.or(control::timestamp(level, kind, data));
                });
            }
            inbox.arrivals.push(arrival);
        }
        Ok(count)
    }

    /// The next event in the error queue; none: there is none. Read it, until there is none,
    /// whenever a poller says that something failed ([`Ready::failed`](crate::poll::Ready)).
    pub fn next_event(&self) -> Result<Option<Event>> {
        loop {
            let mut event = None;
            let received = raw::unless_empty(|| {
                let (mut name, mut quote) = (Name::room(), [0; QUOTE_LENGTH]);
                let (fd, flags) = (self.fd.as_fd(), libc::MSG_ERRQUEUE);
                let Name::V6(room) = &mut name else { return Ok(None) };
                let mut told = None;
                control::receive(fd, &mut quote, room, flags, |level, kind, data| {
                    told = told.or(extended_error(level, kind, data));
                })?;
                Ok(told.map(|told| (name.read(), told)))
            });
            match received {
                Ok(None) => return Ok(None),
                // Not an error of a datagram; the next one may be.
                Ok(Some(None)) => {}
                Ok(Some(Some((peer, (errno, by))))) => event = Some(Event::new(peer, errno, by)),
                Err(error) => {
                    let operation = format!("read the errors of UDP {}", self.local);
                    return Err(Error::new(operation, error));
                }
            }
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// How many datagrams the kernel dropped at this socket since it was opened: those that its
    /// filter refused, and those that found its queue full.
    pub fn dropped(&self) -> Result<u32> {
        let numbers: [u32; MEMORY_INFO_LENGTH] =
            raw::option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)
                .map_err(|error| Error::new(format!("ask UDP {} for drops", self.local), error))?;
        Ok(numbers[MEMORY_INFO_DROPS])
    }
}

impl AsFd for UdpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn field<const LENGTH: usize>(data: &[u8], offset: usize) -> Option<[u8; LENGTH]> {
    data.get(offset..offset + LENGTH)?.try_into().ok()
}

/// Our address and the interface, of `in_pktinfo` or `in6_pktinfo`.
fn packet_information(level: i32, kind: i32, data: &[u8]) -> Option<(IpAddr, u32)> {
    match (level, kind) {
        // Interface, our address, the destination in the header.
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            Some((field::<4>(data, 4)?.into(), u32::from_ne_bytes(field(data, 0)?)))
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            Some((field::<16>(data, 0)?.into(), u32::from_ne_bytes(field(data, 16)?)))
        }
        _ => None,
    }
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[test]
    fn packet_information_is_read() {
        let v4 = [3, 0, 0, 0, 10, 0, 0, 1, 10, 0, 0, 255];
        let read = |data: &[u8]| packet_information(libc::IPPROTO_IP, libc::IP_PKTINFO, data);
        assert_eq!(read(&v4), Some(([10, 0, 0, 1].into(), 3)));
        assert_eq!(read(&v4[..7]), None);
        let mut v6 = [0; 20];
        (v6[0], v6[15], v6[16]) = (0xfd, 1, 4);
        let read = |data: &[u8]| packet_information(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, data);
        assert_eq!(read(&v6), Some(("fd00::1".parse().unwrap(), 4)));
        assert_eq!(read(&v6[..19]), None);
        assert_eq!(packet_information(libc::SOL_SOCKET, libc::IP_PKTINFO, &v4), None);
    }
}
