//! The asking socket: one request, wait for its end, say what went wrong.
//!
//! Owns sequence numbers, acknowledgements, dumps and their interruptions. Never interprets a
//! payload; the rooms beside it do.
//!
//! Invariant: when a call returns, the socket holds no unread reply of it, or the next call
//! discards it by its sequence number.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::message::{Message, Payload, Verdict, append_message, messages};
use crate::error::{Error, Result};
use crate::raw;

/// The kernel builds dumps in buffers of at most 32 KiB; a single message with all a link's
/// statistics stays below as well.
const REPLY_BUFFER_LENGTH: usize = 64 * 1024;
/// Room for the acknowledgements of a batch, and for bursts of notifications. The kernel caps it
/// at `net.core.rmem_max`.
const RECEIVE_QUEUE_LENGTH: i32 = 4 * 1024 * 1024;
/// The kernel answers while it handles the request; whoever waits longer waits for a bug.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// How often a dump that others' changes interrupted is read again before it is given up.
const DUMP_ATTEMPTS: u32 = 20;

/// A `NETLINK_ROUTE` socket that asks and waits.
#[derive(Debug)]
pub struct RouteSocket {
    fd: OwnedFd,
    sequence: u32,
    request: Vec<u8>,
    reply: Vec<u8>,
}

/// Why a request failed, before its operation is named.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: io::Error,
    pub(crate) explanation: Option<String>,
}

impl Failure {
    pub(crate) fn errno(errno: i32) -> Self {
        io::Error::from_raw_os_error(errno).into()
    }

    pub(crate) fn named(self, operation: String) -> Error {
        let error = Error::new(operation, self.error);
        match self.explanation {
            Some(text) => error.with_explanation(text),
            None => error,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self { error, explanation: None }
    }
}

/// Opens a `NETLINK_ROUTE` socket with extended acknowledgements, joined to the groups of a bit
/// mask.
pub(crate) fn open_socket(groups: u32, nonblocking: bool) -> io::Result<OwnedFd> {
    open_protocol(libc::NETLINK_ROUTE, groups, nonblocking)
}

/// The same for any `NETLINK_*`.
pub(crate) fn open_protocol(protocol: i32, groups: u32, nonblocking: bool) -> io::Result<OwnedFd> {
    let flags = if nonblocking { libc::SOCK_NONBLOCK } else { 0 };
    let fd = raw::socket(libc::AF_NETLINK, libc::SOCK_RAW | flags, protocol)?;
    // Comfort: an older kernel without these is as correct, only less talkative.
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK] {
        let _ = raw::set_option(fd.as_fd(), libc::SOL_NETLINK, option, &1i32);
    }
    let length = &RECEIVE_QUEUE_LENGTH;
    if raw::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, length).is_err() {
        raw::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, length)?;
    }
    // SAFETY: an all-zero sockaddr_nl is valid: the kernel picks the port.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    address.nl_groups = groups;
    raw::bind(fd.as_fd(), &address)?;
    Ok(fd)
}

/// What the kernel knows a netlink socket by: the number in the announcements of what it changed.
pub(crate) fn port_of(fd: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: an all-zero sockaddr_nl is valid.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    let mut length = size_of_val(&address) as libc::socklen_t;
    let name = std::ptr::from_mut(&mut address).cast();
    // SAFETY: the kernel writes at most `length` bytes to the live address.
    raw::check(unsafe { libc::getsockname(fd.as_raw_fd(), name, &raw mut length) })?;
    Ok(address.nl_pid)
}

/// Receives one datagram into `buffer`; a datagram that does not fit is an error (`EMSGSIZE`),
/// never a silently shorter one.
pub(crate) fn receive_datagram<'b>(
    fd: BorrowedFd<'_>,
    buffer: &'b mut [u8],
) -> io::Result<&'b [u8]> {
    let length = raw::receive(fd, buffer, libc::MSG_TRUNC)?;
    buffer.get(..length).ok_or_else(|| io::Error::from_raw_os_error(libc::EMSGSIZE))
}

/// A receive buffer that holds any datagram of the kernel.
pub(crate) fn reply_buffer() -> Vec<u8> {
    vec![0; REPLY_BUFFER_LENGTH]
}

impl RouteSocket {
    /// Opens a socket in the network namespace of the calling thread.
    pub fn open() -> Result<Self> {
        let failed = |error| Error::new("open a netlink socket", error);
        let fd = open_socket(0, false).map_err(failed)?;
        let patience = libc::timeval {
            tv_sec: ANSWER_PATIENCE.as_secs().cast_signed(),
            tv_usec: i64::from(ANSWER_PATIENCE.subsec_micros()),
        };
        raw::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVTIMEO, &patience)
            .map_err(failed)?;
        Ok(Self { fd, sequence: 0, request: vec![], reply: reply_buffer() })
    }

    /// Sends a request and waits for its acknowledgement.
    pub(crate) fn acknowledged(
        &mut self,
        kind: u16,
        flags: i32,
        fill: impl FnOnce(&mut Payload<'_>),
    ) -> Result<(), Failure> {
        self.send(kind, flags | libc::NLM_F_ACK, fill)?;
        self.until_done(|_| {}).map(drop)
    }

    /// Sends a question that has one answer, and gives that to `read`.
    pub(crate) fn asked<T>(
        &mut self,
        kind: u16,
        flags: i32,
        fill: impl FnOnce(&mut Payload<'_>),
        mut read: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<T, Failure> {
        // The acknowledgement that follows the answer marks its end.
        self.send(kind, flags | libc::NLM_F_ACK, fill)?;
        let mut answer = None;
        self.until_done(|message| answer = answer.take().or_else(|| read(message)))?;
        answer.ok_or_else(|| Failure::errno(libc::EBADMSG))
    }

    /// Reads a whole table. A dump that was interrupted by a change is read again.
    pub(crate) fn dumped<T>(
        &mut self,
        kind: u16,
        fill: impl Fn(&mut Payload<'_>),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        for _ in 0..DUMP_ATTEMPTS {
            self.send(kind, libc::NLM_F_DUMP, &fill)?;
            let mut found = vec![];
            if self.until_done(|message| found.extend(read(message)))? {
                return Ok(found);
            }
        }
        Err(Failure::errno(libc::EINTR))
    }

    fn send(
        &mut self,
        kind: u16,
        flags: i32,
        fill: impl FnOnce(&mut Payload<'_>),
    ) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.request.clear();
        let flags = (flags | libc::NLM_F_REQUEST).cast_unsigned() as u16;
        append_message(&mut self.request, kind, flags, self.sequence, fill);
        raw::send(self.fd.as_fd(), &self.request).map(drop)
    }

    /// Reads replies of the current request until its end. False: the dump was interrupted and
    /// what it gave is not one state of the kernel.
    fn until_done(&mut self, mut data: impl FnMut(&Message<'_>)) -> Result<bool, Failure> {
        let mut consistent = true;
        loop {
            let datagram = loop {
                match receive_datagram(self.fd.as_fd(), &mut self.reply) {
                    Ok(datagram) => break datagram.len(),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return Err(Failure::errno(libc::ETIMEDOUT));
                    }
                    Err(error) => return Err(error.into()),
                }
            };
            for message in messages(&self.reply[..datagram]) {
                if message.sequence != self.sequence {
                    continue;
                }
                consistent &= i32::from(message.flags) & libc::NLM_F_DUMP_INTR == 0;
                match message.verdict() {
                    Verdict::Data => data(&message),
                    Verdict::Done => return Ok(consistent),
                    Verdict::Refused(errno, explanation) => {
                        let error = io::Error::from_raw_os_error(errno);
                        return Err(Failure { error, explanation });
                    }
                }
            }
        }
    }

    /// Names the operation of a failure. The interface's name is asked for only then.
    pub(crate) fn explain<T>(
        &mut self,
        outcome: Result<T, Failure>,
        operation: impl FnOnce(&mut Self) -> String,
    ) -> Result<T> {
        outcome.map_err(|failure| {
            let operation = operation(self);
            failure.named(operation)
        })
    }
}

impl AsFd for RouteSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
