//! ICMP echo, for IPv4 (RFC 792) and IPv6 (RFC 4443), as a raw socket carries it: the message
//! without its IP header.
//!
//! Owns the message and the cookie in it. Never matches replies with requests: that is for whoever
//! chose the identifier, the sequence number and the cookie.
//!
//! ```text
//!    0      1      2             4             6             8                   16
//!  +------+------+-------------+-------------+-------------+-------------------+
//!  | type | code |  checksum   | identifier  |  sequence   |      cookie       |
//!  +------+------+-------------+-------------+-------------+-------------------+
//!    request 8 (IPv4), 128 (IPv6); reply 0, 129; code 0
//! ```

use super::checksum;
use super::frame::{Frame, Malformed, Reader};

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// Bytes in the message.
const LENGTH: usize = 16;
/// Bytes of the message in front of the cookie.
const HEADER_LENGTH: usize = 8;

/// An echo request, or the reply that repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Echo {
    /// Tells the pings of this process from those of others on the host.
    pub identifier: u16,
    /// Counts the requests to one peer.
    pub sequence: u16,
    /// The payload: what a sender that never saw the request cannot guess.
    pub cookie: u64,
}

impl Echo {
    /// The request for a raw `IPPROTO_ICMP` socket, its checksum filled in.
    pub fn encode_request_v4(&self) -> Frame {
        let sum = checksum::internet(&self.message(REQUEST_V4, 0));
        self.frame(REQUEST_V4, sum)
    }

    /// The request for a raw `IPPROTO_ICMPV6` socket. Its checksum is 0: it covers addresses that
    /// only the kernel knows, which always fills it in itself (RFC 3542, section 3.1).
    pub fn encode_request_v6(&self) -> Frame {
        self.frame(REQUEST_V6, 0)
    }

    fn frame(&self, kind: u8, sum: u16) -> Frame {
        let mut frame = Frame::empty();
        frame.put(&self.message(kind, sum));
        frame
    }

    fn message(&self, kind: u8, sum: u16) -> [u8; LENGTH] {
        let mut message = [0; LENGTH];
        message[0] = kind;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        message[4..6].copy_from_slice(&self.identifier.to_be_bytes());
        message[6..8].copy_from_slice(&self.sequence.to_be_bytes());
        message[8..].copy_from_slice(&self.cookie.to_be_bytes());
        message
    }
}

/// Reads an ICMPv4 echo reply without its IP header.
///
/// Refuses with [`Malformed::Truncated`], [`Malformed::Type`] (any other message, an echo request
/// included), [`Malformed::Code`], [`Malformed::Checksum`], or [`Malformed::PayloadLength`] when
/// the reply is to a ping that is not ours.
pub fn parse_reply_v4(message: &[u8]) -> Result<Echo, Malformed> {
    parse_kind(message, REPLY_V4)?;
    if checksum::internet(message) != 0 {
        return Err(Malformed::Checksum);
    }
    parse_body(message)
}

/// Reads an ICMPv6 echo reply without its IP header. The kernel verified the checksum before it
/// delivered the message, and only the kernel knows the addresses it covers.
///
/// Refuses as [`parse_reply_v4`] does, except for the checksum.
pub fn parse_reply_v6(message: &[u8]) -> Result<Echo, Malformed> {
    parse_kind(message, REPLY_V6)?;
    parse_body(message)
}

fn parse_kind(message: &[u8], kind: u8) -> Result<(), Malformed> {
    let mut rest = Reader::new(message);
    if rest.take_u8()? != kind {
        return Err(Malformed::Type);
    }
    if message.len() < HEADER_LENGTH {
        return Err(Malformed::Truncated);
    }
    if rest.take_u8()? != 0 {
        return Err(Malformed::Code);
    }
    Ok(())
}

fn parse_body(message: &[u8]) -> Result<Echo, Malformed> {
    if message.len() != LENGTH {
        return Err(Malformed::PayloadLength);
    }
    let mut rest = Reader::new(message);
    let _type_code_checksum: [u8; 4] = rest.take()?;
    Ok(Echo {
        identifier: rest.take_u16()?,
        sequence: rest.take_u16()?,
        cookie: u64::from_be_bytes(rest.take()?),
    })
}
