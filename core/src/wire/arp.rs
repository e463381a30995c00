//! ARP for IPv4 over Ethernet (RFC 826), and its use to probe for and announce an address
//! (RFC 5227).
//!
//! Owns the packet and the names of its special forms. Never decides when one is sent, and never
//! asks whether a claim in one is true.
//!
//! ```text
//!        0             2             4      5      6            8
//!      +-------------+-------------+------+------+------------+
//!   14 | hardware 1  | proto 0x0800| len 6| len 4| operation  |
//!      +-------------+-------------+------+------+------------+
//!   22 | sender MAC (6)                         |
//!      +----------------------------------------+
//!   28 | sender IP (4)             |
//!      +---------------------------+------------+
//!   32 | target MAC (6)                         |
//!      +----------------------------------------+
//!   38 | target IP (4)             |                 42 bytes in all
//!      +---------------------------+
//! ```
//!
//! The offsets on the left count the 14 bytes of the Ethernet header. The 18 bytes of padding that
//! a wire wants are the network card's to add; received ones are ignored.

use core::net::Ipv4Addr;

use super::frame::{ETHERTYPE_ARP, EthernetHeader, Frame, Malformed, Reader};
use super::mac::Mac;

const HARDWARE_ETHERNET: u16 = 1;
const PROTOCOL_IPV4: u16 = 0x0800;
const HARDWARE_LENGTH: u8 = 6;
const PROTOCOL_LENGTH: u8 = 4;

/// What an ARP packet does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Asks for the target's hardware address; 1 on the wire.
    Request,
    /// Tells the sender's hardware address; 2 on the wire.
    Reply,
}

impl Operation {
    const fn code(self) -> u16 {
        match self {
            Self::Request => 1,
            Self::Reply => 2,
        }
    }

    fn from_code(code: u16) -> Result<Self, Malformed> {
        match code {
            1 => Ok(Self::Request),
            2 => Ok(Self::Reply),
            _ => Err(Malformed::ArpOperation),
        }
    }
}

/// An ARP packet behind its Ethernet header.
///
/// A sender MAC that is a group address is let through: clusters that share one group address
/// announce themselves so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArpPacket {
    /// Request or reply.
    pub operation: Operation,
    /// The hardware address that the sender says it has; usually the Ethernet source.
    pub sender_mac: Mac,
    /// The protocol address that the sender says it has; 0.0.0.0 in a probe.
    pub sender_ip: Ipv4Addr,
    /// The hardware address of the target; zero in a request.
    pub target_mac: Mac,
    /// The protocol address that is asked for, or to whose owner the reply goes.
    pub target_ip: Ipv4Addr,
}

/// Reads a whole Ethernet frame.
///
/// Refuses with [`Malformed::Ethertype`], [`Malformed::Truncated`], [`Malformed::ArpHardware`],
/// [`Malformed::ArpProtocol`] or [`Malformed::ArpOperation`].
pub fn parse(frame: &[u8]) -> Result<(EthernetHeader, ArpPacket), Malformed> {
    let (header, payload) = EthernetHeader::parse_only(frame, ETHERTYPE_ARP)?;
    let mut rest = Reader::new(payload);
    let hardware = rest.take_u16()?;
    let protocol = rest.take_u16()?;
    let hardware_length = rest.take_u8()?;
    let protocol_length = rest.take_u8()?;
    if (hardware, hardware_length) != (HARDWARE_ETHERNET, HARDWARE_LENGTH) {
        return Err(Malformed::ArpHardware);
    }
    if (protocol, protocol_length) != (PROTOCOL_IPV4, PROTOCOL_LENGTH) {
        return Err(Malformed::ArpProtocol);
    }
    let packet = ArpPacket {
        operation: Operation::from_code(rest.take_u16()?)?,
        sender_mac: Mac(rest.take()?),
        sender_ip: Ipv4Addr::from(rest.take::<4>()?),
        target_mac: Mac(rest.take()?),
        target_ip: Ipv4Addr::from(rest.take::<4>()?),
    };
    Ok((header, packet))
}

impl ArpPacket {
    /// Asks whether anyone has `vip`, without claiming it: the sender address is 0.0.0.0, so no
    /// cache changes (RFC 5227, section 2.1.1). Goes to broadcast.
    pub const fn probe(mac: Mac, vip: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, vip)
    }

    /// Announces that `mac` has `vip`, as the request of RFC 5227, section 2.3. Goes to broadcast.
    pub const fn gratuitous_request(mac: Mac, vip: Ipv4Addr) -> Self {
        Self::request(mac, vip, vip)
    }

    /// Announces that `mac` has `vip`, as a reply, for devices that learn from replies alone. Goes
    /// to broadcast.
    ///
    /// The target MAC is `mac` itself: a Linux neighbour that updated its entry within the last
    /// second ignores a gratuitous reply whose target MAC is zero or broadcast, and takes this one.
    pub const fn gratuitous_reply(mac: Mac, vip: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Reply,
            sender_mac: mac,
            sender_ip: vip,
            target_mac: mac,
            target_ip: vip,
        }
    }

    /// Asks for the hardware address of `target_ip` in the name of `sender_ip`. Whoever answers
    /// also learns that `mac` has `sender_ip`. Goes to broadcast, or to a known MAC.
    pub const fn request(mac: Mac, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Self {
        Self {
            operation: Operation::Request,
            sender_mac: mac,
            sender_ip,
            target_mac: Mac::ZERO,
            target_ip,
        }
    }

    /// Whether this asks for an address that the sender does not have yet: a request whose sender
    /// address is 0.0.0.0.
    pub fn is_probe(&self) -> bool {
        self.operation == Operation::Request && self.sender_ip.is_unspecified()
    }

    /// Whether this claims an address unasked, as request or reply: sender and target address are
    /// one and the same, and not 0.0.0.0.
    pub fn is_announcement(&self) -> bool {
        self.sender_ip == self.target_ip && !self.sender_ip.is_unspecified()
    }

    /// The frame that carries this packet from `source` to `destination`: 42 bytes, unpadded.
    pub fn encode(&self, source: Mac, destination: Mac) -> Frame {
        let header = EthernetHeader { destination, source, ethertype: ETHERTYPE_ARP };
        let mut frame = Frame::empty();
        frame.put(&header.encode());
        frame.put(&HARDWARE_ETHERNET.to_be_bytes());
        frame.put(&PROTOCOL_IPV4.to_be_bytes());
        frame.put(&[HARDWARE_LENGTH, PROTOCOL_LENGTH]);
        frame.put(&self.operation.code().to_be_bytes());
        frame.put(&self.sender_mac.0);
        frame.put(&self.sender_ip.octets());
        frame.put(&self.target_mac.0);
        frame.put(&self.target_ip.octets());
        frame
    }
}
