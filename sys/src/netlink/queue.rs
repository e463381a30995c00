//! Changes of addresses and local routes for a loop that must not wait: encoded at once, sent in batches, acknowledged
//! later by sequence number.
//!
//! Owns the order of what was asked and which of it is still unanswered. Never retries.
//!
//! Invariant: the kernel handles requests in order, so an acknowledgement of a later request
//! means that an earlier one without any was lost, and it is reported as such, never forgotten.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::address::{AddressSpec, REPLACE, encode_removal};
use super::link::name_or_number;
use super::local::LocalRoute;
use super::message::{Verdict, append_message, messages};
use super::socket::{Failure, open_socket, receive_datagram, reply_buffer};
use crate::error::{Error, Result};
use crate::raw;

/// An unread acknowledgement costs about 1 KiB of the receive queue, whose smallest usual size is
/// 208 KiB; batches are kept well below, and read between.
const BATCH_MESSAGES: usize = 128;

/// A non-blocking netlink socket for changes of addresses and local routes.
#[derive(Debug)]
pub struct RouteQueue {
    fd: OwnedFd,
    sequence: u32,
    /// Encoded requests, not yet sent, and where each ends.
    buffer: Vec<u8>,
    ends: VecDeque<usize>,
    /// Asked and not yet answered, oldest first.
    pending: VecDeque<Pending>,
    answered: VecDeque<Acknowledgement>,
    reply: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    sequence: u32,
    add: bool,
    /// It is about a local route, not an address.
    route: bool,
    ip: IpAddr,
    prefix: u8,
    ifindex: u32,
}

impl Pending {
    /// The socket's namespace is the one whose interface it is.
    fn operation(&self, socket: BorrowedFd<'_>) -> String {
        let Self { ip, prefix, .. } = self;
        let interface = name_or_number(socket, self.ifindex);
        let (verb, preposition) = if self.add { ("add", "to") } else { ("remove", "from") };
        if self.route {
            return format!("{verb} local route {ip}/{prefix} {preposition} {interface}");
        }
        format!("{verb} {ip}/{prefix} {preposition} {interface}")
    }
}

/// The kernel's answer to one queued request.
#[derive(Debug)]
pub struct Acknowledgement {
    /// What the pushing call returned.
    pub sequence: u32,
    /// Whether the change was made.
    pub outcome: Result<()>,
}

impl RouteQueue {
    /// Opens a queue in the network namespace of the calling thread.
    pub fn open() -> Result<Self> {
        let fd =
            open_socket(0, true).map_err(|error| Error::new("open a netlink socket", error))?;
        Ok(Self {
            fd,
            sequence: 0,
            buffer: vec![],
            ends: VecDeque::new(),
            pending: VecDeque::new(),
            answered: VecDeque::new(),
            reply: reply_buffer(),
        })
    }

    /// Queues the addition, or the renewal, of an address; gives the request's sequence number.
    /// Nothing is sent before [`flush`](Self::flush). Only a malformed label is an error.
    pub fn push_replace(&mut self, spec: &AddressSpec) -> Result<u32> {
        let change = self.pending(true, spec.ip, spec.prefix, spec.ifindex);
        spec.check().map_err(|failure| failure.named(change.operation(self.fd.as_fd())))?;
        self.encode(change, libc::RTM_NEWADDR, REPLACE, |payload| spec.encode(payload));
        Ok(change.sequence)
    }

    /// Queues the removal of an address; gives the request's sequence number.
    pub fn push_removal(&mut self, ifindex: u32, ip: IpAddr, prefix: u8) -> u32 {
        let change = self.pending(false, ip, prefix, ifindex);
        self.encode(change, libc::RTM_DELADDR, 0, |payload| {
            encode_removal(payload, ifindex, ip, prefix);
        });
        change.sequence
    }

    fn pending(&mut self, add: bool, ip: IpAddr, prefix: u8, ifindex: u32) -> Pending {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        Pending { sequence: self.sequence, add, route: false, ip, prefix, ifindex }
    }

    pub(super) fn push_local(
        &mut self,
        add: bool,
        route: LocalRoute,
        kind: u16,
        flags: i32,
    ) -> u32 {
        let change = self.pending(add, route.address.into(), route.prefix, route.ifindex);
        let change = Pending { route: true, ..change };
        self.encode(change, kind, flags, |payload| route.encode(payload));
        change.sequence
    }

    fn encode(
        &mut self,
        change: Pending,
        kind: u16,
        flags: i32,
        fill: impl FnOnce(&mut super::message::Payload<'_>),
    ) {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK).cast_unsigned() as u16;
        append_message(&mut self.buffer, kind, flags, change.sequence, fill);
        self.ends.push_back(self.buffer.len());
        self.pending.push_back(change);
    }

    /// Requests that were sent or queued and have no answer yet.
    pub fn unanswered(&self) -> usize {
        self.pending.len()
    }

    /// Sends what is queued, many requests in one system call. The kernel makes the changes
    /// within the call. After an error what could not be sent is still queued.
    pub fn flush(&mut self) -> Result<()> {
        while !self.ends.is_empty() {
            let count = self.ends.len().min(BATCH_MESSAGES);
            let end = self.ends[count - 1];
            let batch = &self.buffer[..end];
            raw::unless_empty(|| raw::send(self.fd.as_fd(), batch))
                .and_then(|sent| sent.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
                .map_err(|error| Error::new("send address changes", error))?;
            self.ends.drain(..count);
            self.buffer.drain(..end);
            for later in &mut self.ends {
                *later -= end;
            }
            self.collect()?;
        }
        Ok(())
    }

    /// The next answer, in the order of the requests; none: there is none yet.
    ///
    /// An overrun ([`Error::is_overrun`]) means that answers were lost: every request that waited
    /// for one is forgotten and the addresses have to be read again.
    pub fn poll(&mut self) -> Result<Option<Acknowledgement>> {
        if self.answered.is_empty() {
            self.collect()?;
        }
        Ok(self.answered.pop_front())
    }

    /// Reads what the kernel has answered, until nothing is awaited any more.
    fn collect(&mut self) -> Result<()> {
        while self.pending.len() > self.ends.len() {
            match self.receive() {
                Ok(None) => return Ok(()),
                Ok(Some(length)) => {
                    let reply = std::mem::take(&mut self.reply);
                    for message in messages(&reply[..length]) {
                        self.settle(message.sequence, message.verdict());
                    }
                    self.reply = reply;
                }
                Err(error) => {
                    let unsent = self.ends.len();
                    self.pending.drain(..self.pending.len() - unsent);
                    // What else was answered is forgotten as well, and must not take up room.
                    while let Ok(Some(_)) = self.receive() {}
                    return Err(Error::new("read the answers to address changes", error));
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<Option<usize>> {
        let fd = self.fd.as_fd();
        raw::unless_empty(|| receive_datagram(fd, &mut self.reply).map(<[u8]>::len))
    }

    fn settle(&mut self, sequence: u32, verdict: Verdict) {
        let outcome = match verdict {
            Verdict::Data => return,
            Verdict::Done => Ok(()),
            Verdict::Refused(errno, explanation) => {
                Err(Failure { error: io::Error::from_raw_os_error(errno), explanation })
            }
        };
        let Some(position) = self.pending.iter().position(|change| change.sequence == sequence)
        else {
            return;
        };
        for lost in self.pending.drain(..position) {
            let outcome = Err(Error::from_errno(lost.operation(self.fd.as_fd()), libc::ENOBUFS));
            self.answered.push_back(Acknowledgement { sequence: lost.sequence, outcome });
        }
        if let Some(change) = self.pending.pop_front() {
            let outcome =
                outcome.map_err(|failure| failure.named(change.operation(self.fd.as_fd())));
            self.answered.push_back(Acknowledgement { sequence, outcome });
        }
    }
}

impl AsFd for RouteQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
