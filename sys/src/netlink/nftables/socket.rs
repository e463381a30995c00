//! The socket that has transactions made, and reads what is there.
//!
//! Owns the way of a batch to the kernel and of its answers back. `nf_tables` handles a batch
//! within the sending system call, so the answers are there when it returns: no call of this room
//! waits for anything but the kernel's own work, and every call fits a loop that must not wait.
//! The kernel's work may include another process's transaction that is being made at the moment.
//!
//! Invariant: when a call returns, no reply to it is unread.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::super::message::{
    Message, Payload, Verdict, append_message, attributes, messages, read_ip, read_text,
};
use super::super::socket::{Failure, open_protocol, receive_datagram, reply_buffer};
use super::rule::DATA_VALUE;
use super::set::Key;
use super::transaction::{
    ELEMENT_EXPIRATION, ELEMENT_KEY, ELEMENT_TIMEOUT, ELEMENTS, Family, GENERIC_LENGTH,
    GET_ELEMENTS, GET_TABLE, NEW_ELEMENTS, Table, Transaction, message_type,
};
use crate::error::{Error, Result};
use crate::raw;

/// What a netlink socket takes in one send unless told otherwise (`net.core.wmem_default`, at
/// its smallest usual value, and less what the kernel keeps for itself).
const USUAL_SEND_LENGTH: usize = 100_000;
/// How often a dump that others' changes interrupted is read again before it is given up.
const DUMP_ATTEMPTS: u32 = 20;

/// A socket for `nf_tables` in one network namespace.
#[derive(Debug)]
pub struct NetfilterSocket {
    fd: OwnedFd,
    sequence: u32,
    send_length: usize,
    reply: Vec<u8>,
}

/// An element as the kernel describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its value; that of a set of numbers reads as the IPv4 address with the same bytes.
    pub key: Key,
    /// The timeout it was given, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What is left of it.
    pub expires_in_ms: Option<u64>,
}

impl NetfilterSocket {
    /// Opens a socket in the network namespace of the calling thread. `EPROTONOSUPPORT` where the
    /// kernel has no netfilter.
    pub fn open() -> Result<Self> {
        let fd = open_protocol(libc::NETLINK_NETFILTER, 0, true)
            .map_err(|error| Error::new("open a netfilter socket", error))?;
        Ok(Self { fd, sequence: 0, send_length: USUAL_SEND_LENGTH, reply: reply_buffer() })
    }

    /// A new transaction for this socket.
    pub fn transaction(&self) -> Transaction {
        Transaction::new(self.sequence.wrapping_add(1))
    }

    /// Has the kernel make all of the changes, or none. The error names the first change that was
    /// refused.
    pub fn commit(&mut self, mut transaction: Transaction) -> Result<()> {
        self.submit(&mut transaction, true)
    }

    /// Asks the kernel whether it would make the changes, and makes none.
    pub fn check(&mut self, mut transaction: Transaction) -> Result<()> {
        self.submit(&mut transaction, false)
    }

    fn submit(&mut self, transaction: &mut Transaction, commit: bool) -> Result<()> {
        if transaction.is_empty() {
            return Ok(());
        }
        self.sequence = transaction.last_sequence().wrapping_add(1);
        self.send(transaction.finish(commit))
            .map_err(|error| Error::new(transaction.operation(0, None), error))?;
        let mut refusal = None;
        let mut acknowledged = false;
        self.replies(|message| {
            let Some(position) = transaction.position(message.sequence) else { return };
            match message.verdict() {
                Verdict::Done => acknowledged = true,
                Verdict::Refused(errno, explanation) if refusal.is_none() => {
                    let operation = transaction.operation(position, message.error_offset());
                    let error = io::Error::from_raw_os_error(errno);
                    refusal = Some(Failure { error, explanation }.named(operation));
                }
                // The first refusal is the cause; others may follow from it.
                Verdict::Data | Verdict::Refused(..) => {}
            }
        })
        .map_err(|error| Error::new(transaction.operation(0, None), error))?;
        match refusal {
            Some(error) => Err(explain(error)),
            None if acknowledged || !commit => Ok(()),
            None => Err(Error::from_errno(transaction.operation(0, None), libc::EBADMSG)
                .with_explanation("the kernel did not acknowledge the transaction")),
        }
    }

    /// Sends a batch whole; the socket's buffer grows with the largest.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > self.send_length {
            // The kernel doubles the number, for its own overhead.
            let length = i32::try_from(bytes.len())
                .map_err(|_| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
            let fd = self.fd.as_fd();
            if raw::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &length).is_err() {
                raw::set_option(fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &length)?;
            }
            self.send_length = bytes.len();
        }
        raw::unless_empty(|| raw::send(self.fd.as_fd(), bytes))?
            .map(drop)
            .ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// Reads all replies there are.
    fn replies(&mut self, mut read: impl FnMut(&Message<'_>)) -> io::Result<()> {
        loop {
            let fd = self.fd.as_fd();
            let received =
                raw::unless_empty(|| receive_datagram(fd, &mut self.reply).map(<[u8]>::len))?;
            let Some(length) = received else { return Ok(()) };
            messages(&self.reply[..length]).for_each(|message| read(&message));
        }
    }

    /// All tables of the families this crate knows, as family and name.
    pub fn tables(&mut self) -> Result<Vec<(Family, String)>> {
        let found = self.dump(GET_TABLE, 0, |_| {}, read_table);
        found.map_err(|failure| explain(failure.named("list the packet filter's tables".into())))
    }

    /// The elements of a set that have not timed out. `ENOENT` where there is no such set.
    pub fn elements(&mut self, table: Table<'_>, set: &str) -> Result<Vec<Element>> {
        let found = self.dump(
            GET_ELEMENTS,
            table.family.number(),
            |payload| {
                payload.attribute_text(1, table.name).attribute_text(2, set);
            },
            read_elements,
        );
        found
            .map(|lists| lists.into_iter().flatten().collect())
            .map_err(|failure| explain(failure.named(format!("list set {set} of {table}"))))
    }

    fn dump<T>(
        &mut self,
        kind: u16,
        family: u8,
        fill: impl Fn(&mut Payload<'_>),
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        for _ in 0..DUMP_ATTEMPTS {
            self.sequence = self.sequence.wrapping_add(1);
            let sequence = self.sequence;
            let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP).cast_unsigned() as u16;
            let mut request = vec![];
            append_message(&mut request, message_type(kind), flags, sequence, |payload| {
                fill(payload.bytes(&[family, 0, 0, 0]));
            });
            self.send(&request)?;
            let (mut found, mut outcome) = (vec![], None);
            let mut interrupted = false;
            self.replies(|message| {
                if message.sequence != sequence {
                    return;
                }
                interrupted |= i32::from(message.flags) & libc::NLM_F_DUMP_INTR != 0;
                match message.verdict() {
                    Verdict::Data => found.extend(read(message)),
                    Verdict::Done => outcome = Some(Ok(())),
                    Verdict::Refused(libc::EINTR, _) => interrupted = true,
                    Verdict::Refused(errno, explanation) => {
                        let error = io::Error::from_raw_os_error(errno);
                        outcome = Some(Err(Failure { error, explanation }));
                    }
                }
            })?;
            if interrupted {
                continue;
            }
            return match outcome {
                Some(outcome) => outcome.map(|()| found),
                None => Err(Failure::errno(libc::EBADMSG)),
            };
        }
        Err(Failure::errno(libc::EINTR))
    }
}

/// Adds to the kernel's number what a person can do about it.
fn explain(error: Error) -> Error {
    let advice = match error.errno() {
        _ if error.explanation().is_some() => return error,
        Some(libc::EPERM) => "needs CAP_NET_ADMIN, and no other process may own the table",
        Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => {
            "this kernel lacks nf_tables, or this family of it"
        }
        _ => return error,
    };
    error.with_explanation(advice)
}

/// A table's family and name, from an answer to a dump of the tables; `None` when it is none.
pub fn read_table(message: &Message<'_>) -> Option<(Family, String)> {
    let family = Family::from_number(*message.payload.first()?)?;
    let (_, name) =
        attributes(message.payload.get(GENERIC_LENGTH..)?).find(|&(kind, _)| kind == 1)?;
    Some((family, read_text(name)))
}

/// The elements of a set, from an answer to a dump of it; `None` when it is none.
pub fn read_elements(message: &Message<'_>) -> Option<Vec<Element>> {
    if message.kind != message_type(NEW_ELEMENTS) {
        return None;
    }
    let payload = message.payload.get(GENERIC_LENGTH..)?;
    let (_, list) = attributes(payload).find(|&(kind, _)| kind == ELEMENTS)?;
    Some(attributes(list).filter_map(|(_, element)| read_element(element)).collect())
}

fn read_element(element: &[u8]) -> Option<Element> {
    let (mut key, mut timeout_ms, mut expires_in_ms) = (None, None, None);
    for (kind, value) in attributes(element) {
        match kind {
            ELEMENT_KEY => {
                let (_, bytes) = attributes(value).find(|&(kind, _)| kind == DATA_VALUE)?;
                key = read_ip(bytes);
            }
            ELEMENT_TIMEOUT => timeout_ms = read_be64(value),
            ELEMENT_EXPIRATION => expires_in_ms = read_be64(value),
            _ => {}
        }
    }
    Some(Element { key: Key::Ip(key?), timeout_ms, expires_in_ms })
}

fn read_be64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::*;

    #[rustfmt::skip]
    const ANSWER: [u8; 76] = [
        2, 0, 0, 1,
        6, 0, 1, 0,  b't', 0,  0, 0,
        6, 0, 2, 0,  b'h', 0,  0, 0,
        56, 0, 3, 0x80,
            40, 0, 1, 0x80,
                12, 0, 1, 0x80,  8, 0, 1, 0,  10, 0, 0, 1,
                12, 0, 4, 0,  0, 0, 0, 0, 0, 0, 1, 0xf4,
                12, 0, 5, 0,  0, 0, 0, 0, 0, 0, 0, 0x10,
            // An element without a key is passed over.
            12, 0, 1, 0x80,  8, 0, 9, 0,  0, 0, 0, 0,
    ];

    fn message(payload: &[u8]) -> Message<'_> {
        Message { kind: 0x0a0c, flags: 0, sequence: 1, payload }
    }

    #[test]
    fn elements_are_read() {
        let expected = Element {
            key: Key::Ip([10, 0, 0, 1].into()),
            timeout_ms: Some(500),
            expires_in_ms: Some(16),
        };
        assert_eq!(read_elements(&message(&ANSWER)), Some(vec![expected]));
    }

    #[test]
    fn cut_answers_are_survived() {
        for end in 0..ANSWER.len() {
            let _ = read_elements(&message(&ANSWER[..end]));
            let _ = read_table(&message(&ANSWER[..end]));
        }
        assert_eq!(read_table(&message(&ANSWER)), Some((Family::Ip, "t".into())));
        assert_eq!(read_table(&message(&[7, 0, 0, 0])), None);
    }

    #[test]
    fn an_error_says_what_to_do() {
        let error = explain(Error::from_errno("create table ip standin", libc::EPERM));
        assert_eq!(
            error.to_string(),
            "create table ip standin: Operation not permitted (needs CAP_NET_ADMIN, and no other \
             process may own the table)"
        );
        let error = explain(Error::from_errno("x", libc::ENOENT));
        assert_eq!(error.explanation(), None);
    }
}
