//! Neighbour solicitations and advertisements over Ethernet (RFC 4861), and their use to probe for
//! an address (RFC 4862).
//!
//! Owns the two messages, the IPv6 header in front of them, and the rules by which a receiver must
//! drop one (RFC 4861, sections 7.1.1 and 7.1.2). Never decides when one is sent, and never asks
//! whether a claim in one is true. Options other than the link-layer addresses are skipped.
//!
//! ```text
//!        0             4                    6             7            8
//!      +-------------+--------------------+-------------+------------+
//!   14 | 6, class,   | payload length     | next header | hop limit  |
//!      | flow label  | (24 or 32)         | 58          | 255        |
//!      +-------------+--------------------+-------------+------------+
//!   22 | source (16)                                                 |
//!   38 | destination (16)                                            |
//!      +------+------+-------------+---------------------------------+
//!   54 | type | code |  checksum   | R S O and 29 bits reserved      |    type 135 solicitation
//!      +------+------+-------------+---------------------------------+         136 advertisement
//!   62 | target (16)                                                 |
//!      +------+------+-----------------------------------------------+
//!   78 | opt  | len 1| MAC (6)                                       |    option 1 source's MAC
//!      +------+------+-----------------------------------------------+           2 target's MAC
//! ```
//!
//! The offsets on the left count the 14 bytes of the Ethernet header. A probe has no option and
//! ends at 78, all others at 86.

use core::net::Ipv6Addr;

use super::checksum::{self, NEXT_HEADER_ICMPV6};
use super::frame::{ETHERTYPE_IPV6, EthernetHeader, Frame, Malformed, Reader};
use super::mac::Mac;

const HOP_LIMIT: u8 = 255;
const TYPE_SOLICITATION: u8 = 135;
const TYPE_ADVERTISEMENT: u8 = 136;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
const OPTION_SOURCE_MAC: u8 = 1;
const OPTION_TARGET_MAC: u8 = 2;

/// Bytes of a message without options.
const MESSAGE_LENGTH: usize = 24;
/// Bytes of an option that carries an Ethernet address.
const OPTION_LENGTH: usize = 8;

/// Every node on the link.
pub const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The multicast group in which the owner of `address` listens for solicitations: `ff02::1:ff` and
/// the last three octets of the address (RFC 4291, section 2.7.1).
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

fn is_solicited_node(address: Ipv6Addr) -> bool {
    address == solicited_node(address)
}

/// A neighbour solicitation: who has `target`?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Solicitation {
    /// The Ethernet source.
    pub link_source: Mac,
    /// The Ethernet destination.
    pub link_destination: Mac,
    /// The IPv6 source; :: in a probe.
    pub source: Ipv6Addr,
    /// The IPv6 destination: the target, or its solicited-node group.
    pub destination: Ipv6Addr,
    /// The address that is asked for.
    pub target: Ipv6Addr,
    /// The MAC that the sender says it has; none in a probe.
    pub source_mac: Option<Mac>,
}

impl Solicitation {
    /// Asks whether anyone has `vip`, without claiming it: the source is ::, so no cache changes
    /// (RFC 4862, section 5.4.2). The owner answers to all nodes.
    pub const fn probe(mac: Mac, vip: Ipv6Addr) -> Self {
        let group = solicited_node(vip);
        Self {
            link_source: mac,
            link_destination: Mac::ipv6_multicast(group),
            source: Ipv6Addr::UNSPECIFIED,
            destination: group,
            target: vip,
            source_mac: None,
        }
    }

    /// Asks for the hardware address of `target` in the name of `source`. Whoever answers also
    /// learns that `mac` has `source`. Goes to the station `to`, or without one to the target's
    /// solicited-node group.
    pub const fn request(mac: Mac, source: Ipv6Addr, target: Ipv6Addr, to: Option<Mac>) -> Self {
        let group = solicited_node(target);
        let (link_destination, destination) = match to {
            Some(station) => (station, target),
            None => (Mac::ipv6_multicast(group), group),
        };
        Self {
            link_source: mac,
            link_destination,
            source,
            destination,
            target,
            source_mac: Some(mac),
        }
    }

    /// Whether this asks for an address that the sender does not have yet: its source is ::.
    pub const fn is_probe(&self) -> bool {
        self.source.is_unspecified()
    }

    /// The frame that carries this solicitation, its checksum filled in.
    pub fn encode(&self) -> Frame {
        Envelope {
            link_source: self.link_source,
            link_destination: self.link_destination,
            source: self.source,
            destination: self.destination,
        }
        .encode(
            TYPE_SOLICITATION,
            0,
            self.target,
            self.source_mac.map(|mac| (OPTION_SOURCE_MAC, mac)),
        )
    }
}

/// A neighbour advertisement: `target` is at `target_mac`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Advertisement {
    /// The Ethernet source.
    pub link_source: Mac,
    /// The Ethernet destination.
    pub link_destination: Mac,
    /// The IPv6 source: an address of the sender's interface.
    pub source: Ipv6Addr,
    /// The IPv6 destination: the asker, or all nodes.
    pub destination: Ipv6Addr,
    /// The address that is told about.
    pub target: Ipv6Addr,
    /// Whether the sender forwards packets. Neighbours drop a default router that says no.
    pub router: bool,
    /// Whether this answers a solicitation from `destination`.
    pub solicited: bool,
    /// Whether it replaces what neighbours have cached.
    pub override_flag: bool,
    /// The MAC that the target is said to have.
    pub target_mac: Option<Mac>,
}

impl Advertisement {
    /// Announces to all nodes that `mac` has `vip` (RFC 4861, section 7.2.6).
    ///
    /// With the override flag and the MAC, without which no existing entry would move, and not
    /// solicited. `router` says whether this host forwards IPv6.
    pub const fn unsolicited(mac: Mac, vip: Ipv6Addr, router: bool) -> Self {
        Self {
            link_source: mac,
            link_destination: Mac::ipv6_multicast(ALL_NODES),
            source: vip,
            destination: ALL_NODES,
            target: vip,
            router,
            solicited: false,
            override_flag: true,
            target_mac: Some(mac),
        }
    }

    /// The frame that carries this advertisement, its checksum filled in.
    pub fn encode(&self) -> Frame {
        let mut flags = 0;
        for (set, flag) in [
            (self.router, FLAG_ROUTER),
            (self.solicited, FLAG_SOLICITED),
            (self.override_flag, FLAG_OVERRIDE),
        ] {
            if set {
                flags |= flag;
            }
        }
        Envelope {
            link_source: self.link_source,
            link_destination: self.link_destination,
            source: self.source,
            destination: self.destination,
        }
        .encode(
            TYPE_ADVERTISEMENT,
            flags,
            self.target,
            self.target_mac.map(|mac| (OPTION_TARGET_MAC, mac)),
        )
    }
}

/// Either of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Who has an address?
    Solicitation(Solicitation),
    /// An address is here.
    Advertisement(Advertisement),
}

impl Message {
    /// The frame that carries this message, its checksum filled in.
    pub fn encode(&self) -> Frame {
        match self {
            Self::Solicitation(solicitation) => solicitation.encode(),
            Self::Advertisement(advertisement) => advertisement.encode(),
        }
    }
}

/// The addresses in front of a message.
struct Envelope {
    link_source: Mac,
    link_destination: Mac,
    source: Ipv6Addr,
    destination: Ipv6Addr,
}

impl Envelope {
    fn encode(&self, kind: u8, flags: u8, target: Ipv6Addr, option: Option<(u8, Mac)>) -> Frame {
        let mut message = Frame::empty();
        message.put(&[kind, 0, 0, 0, flags, 0, 0, 0]);
        message.put(&target.octets());
        if let Some((option, mac)) = option {
            message.put(&[option, 1]);
            message.put(&mac.0);
        }
        let sum = checksum::icmpv6(self.source, self.destination, &message).to_be_bytes();

        let header = EthernetHeader {
            destination: self.link_destination,
            source: self.link_source,
            ethertype: ETHERTYPE_IPV6,
        };
        let mut frame = Frame::empty();
        frame.put(&header.encode());
        frame.put(&[0x60, 0, 0, 0]);
        frame.put(&(message.len() as u16).to_be_bytes());
        frame.put(&[NEXT_HEADER_ICMPV6, HOP_LIMIT]);
        frame.put(&self.source.octets());
        frame.put(&self.destination.octets());
        frame.put(&message[..2]);
        frame.put(&sum);
        frame.put(&message[4..]);
        frame
    }
}

/// Reads a whole Ethernet frame.
///
/// Anything that RFC 4861 tells a receiver to drop is refused, each rule with its own reason.
/// The type is looked at before the rules: other ICMPv6 traffic is [`Malformed::Type`], not a
/// broken rule.
pub fn parse(frame: &[u8]) -> Result<(EthernetHeader, Message), Malformed> {
    let (header, payload) = EthernetHeader::parse_only(frame, ETHERTYPE_IPV6)?;
    let packet = Packet::parse(payload)?;
    let envelope = Envelope {
        link_source: header.source,
        link_destination: header.destination,
        source: packet.source,
        destination: packet.destination,
    };
    let message = match *packet.message.first().ok_or(Malformed::Truncated)? {
        TYPE_SOLICITATION => {
            Message::Solicitation(solicitation(&envelope, &Body::parse(&packet)?)?)
        }
        TYPE_ADVERTISEMENT => {
            Message::Advertisement(advertisement(&envelope, &Body::parse(&packet)?)?)
        }
        _ => return Err(Malformed::Type),
    };
    Ok((header, message))
}

fn solicitation(envelope: &Envelope, body: &Body) -> Result<Solicitation, Malformed> {
    if envelope.source.is_unspecified() {
        if !is_solicited_node(envelope.destination) {
            return Err(Malformed::Destination);
        }
        if body.source_mac.is_some() {
            return Err(Malformed::ProbeOption);
        }
    }
    Ok(Solicitation {
        link_source: envelope.link_source,
        link_destination: envelope.link_destination,
        source: envelope.source,
        destination: envelope.destination,
        target: body.target,
        source_mac: body.source_mac,
    })
}

fn advertisement(envelope: &Envelope, body: &Body) -> Result<Advertisement, Malformed> {
    // Section 4.4: the source is an address of the interface, which :: never is.
    if envelope.source.is_unspecified() {
        return Err(Malformed::Source);
    }
    let solicited = body.flags & FLAG_SOLICITED != 0;
    if solicited && envelope.destination.is_multicast() {
        return Err(Malformed::SolicitedMulticast);
    }
    Ok(Advertisement {
        link_source: envelope.link_source,
        link_destination: envelope.link_destination,
        source: envelope.source,
        destination: envelope.destination,
        target: body.target,
        router: body.flags & FLAG_ROUTER != 0,
        solicited,
        override_flag: body.flags & FLAG_OVERRIDE != 0,
        target_mac: body.target_mac,
    })
}

/// An IPv6 packet that carries ICMPv6 directly behind its header.
struct Packet<'a> {
    hop_limit: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    /// As long as the header says; Ethernet padding is cut off.
    message: &'a [u8],
}

impl<'a> Packet<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut rest = Reader::new(bytes);
        let [version_class, ..] = rest.take::<4>()?;
        if version_class >> 4 != 6 {
            return Err(Malformed::IpVersion);
        }
        let length = usize::from(rest.take_u16()?);
        let next_header = rest.take_u8()?;
        let hop_limit = rest.take_u8()?;
        let source = Ipv6Addr::from(rest.take::<16>()?);
        let destination = Ipv6Addr::from(rest.take::<16>()?);
        if next_header != NEXT_HEADER_ICMPV6 {
            return Err(Malformed::NextHeader);
        }
        let message = rest.bytes.get(..length).ok_or(Malformed::Truncated)?;
        Ok(Self { hop_limit, source, destination, message })
    }
}

/// What both messages consist of.
struct Body {
    flags: u8,
    target: Ipv6Addr,
    source_mac: Option<Mac>,
    target_mac: Option<Mac>,
}

impl Body {
    /// Applies the rules that both messages share.
    fn parse(packet: &Packet<'_>) -> Result<Self, Malformed> {
        if packet.hop_limit != HOP_LIMIT {
            return Err(Malformed::HopLimit);
        }
        if packet.message.len() < MESSAGE_LENGTH {
            return Err(Malformed::Truncated);
        }
        if checksum::icmpv6(packet.source, packet.destination, packet.message) != 0 {
            return Err(Malformed::Checksum);
        }
        if packet.source.is_multicast() {
            return Err(Malformed::Source);
        }
        let mut rest = Reader::new(packet.message);
        let [_type, code, _, _] = rest.take()?;
        if code != 0 {
            return Err(Malformed::Code);
        }
        let [flags, ..] = rest.take::<4>()?;
        let target = Ipv6Addr::from(rest.take::<16>()?);
        if target.is_multicast() {
            return Err(Malformed::Target);
        }
        let mut body = Self { flags, target, source_mac: None, target_mac: None };
        body.parse_options(rest.bytes)?;
        Ok(body)
    }

    /// Keeps the first address of each kind, as Linux does.
    fn parse_options(&mut self, mut options: &[u8]) -> Result<(), Malformed> {
        while !options.is_empty() {
            let [kind, units, ..] = *options else { return Err(Malformed::OptionLength) };
            let length = usize::from(units) * OPTION_LENGTH;
            if length == 0 || length > options.len() {
                return Err(Malformed::OptionLength);
            }
            let (option, rest) = options.split_at(length);
            options = rest;
            let slot = match kind {
                OPTION_SOURCE_MAC => &mut self.source_mac,
                OPTION_TARGET_MAC => &mut self.target_mac,
                _ => continue,
            };
            let [_, _, mac @ ..] = option else { return Err(Malformed::OptionLength) };
            let mac = <[u8; 6]>::try_from(mac).map_err(|_| Malformed::OptionLength)?;
            slot.get_or_insert(Mac(mac));
        }
        Ok(())
    }
}
