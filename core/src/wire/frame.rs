//! The buffer a packet is encoded into, the Ethernet header, and the reasons to refuse bytes.
//!
//! Owns what all codecs share. Never looks behind the Ethernet header.
//!
//! ```text
//!  0                 6                12          14
//! +-----------------+-----------------+-----------+- - - - -
//! | destination MAC |   source MAC    | ethertype | payload
//! +-----------------+-----------------+-----------+- - - - -
//! ```

use core::fmt;
use core::ops::Deref;

use super::mac::Mac;

/// Why bytes are not a packet of the kind that was asked for.
///
/// Not always somebody's fault: a packet socket also delivers frames that are simply of no
/// interest here. So a refusal is data, to be counted by [`Malformed::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Malformed {
    /// The bytes end before the packet does.
    Truncated,
    /// More bytes than a [`Frame`] holds.
    Oversized,
    /// Another ethertype than expected, a VLAN tag, or an 802.3 length.
    Ethertype,
    /// ARP for hardware that is not Ethernet.
    ArpHardware,
    /// ARP for a protocol that is not IPv4.
    ArpProtocol,
    /// An ARP operation other than request and reply.
    ArpOperation,
    /// The IP version is not 6 behind the ethertype of IPv6.
    IpVersion,
    /// The IPv6 next header is not ICMPv6: extension headers included.
    NextHeader,
    /// The hop limit is not 255: the packet crossed a router, or was forged from beyond one.
    HopLimit,
    /// An ICMP type that this parser does not read.
    Type,
    /// An ICMP code that is not 0.
    Code,
    /// The checksum does not match.
    Checksum,
    /// An option of length zero, beyond the end, or with an address that is not Ethernet's.
    OptionLength,
    /// A source address that this message cannot come from.
    Source,
    /// A destination address that this message cannot be sent to.
    Destination,
    /// A target that is a multicast address.
    Target,
    /// A probe that carries its sender's link-layer address.
    ProbeOption,
    /// A solicited advertisement sent to a multicast address.
    SolicitedMulticast,
    /// An echo payload of a size that is not ours.
    PayloadLength,
}

impl Malformed {
    /// Every reason, in the order of declaration: the rows of a counter.
    pub const ALL: [Self; 19] = [
        Self::Truncated,
        Self::Oversized,
        Self::Ethertype,
        Self::ArpHardware,
        Self::ArpProtocol,
        Self::ArpOperation,
        Self::IpVersion,
        Self::NextHeader,
        Self::HopLimit,
        Self::Type,
        Self::Code,
        Self::Checksum,
        Self::OptionLength,
        Self::Source,
        Self::Destination,
        Self::Target,
        Self::ProbeOption,
        Self::SolicitedMulticast,
        Self::PayloadLength,
    ];

    /// A short stable name to count by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Oversized => "oversized",
            Self::Ethertype => "ethertype",
            Self::ArpHardware => "arp-hardware",
            Self::ArpProtocol => "arp-protocol",
            Self::ArpOperation => "arp-operation",
            Self::IpVersion => "ip-version",
            Self::NextHeader => "next-header",
            Self::HopLimit => "hop-limit",
            Self::Type => "type",
            Self::Code => "code",
            Self::Checksum => "checksum",
            Self::OptionLength => "option-length",
            Self::Source => "source",
            Self::Destination => "destination",
            Self::Target => "target",
            Self::ProbeOption => "probe-option",
            Self::SolicitedMulticast => "solicited-multicast",
            Self::PayloadLength => "payload-length",
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is cut short",
            Self::Oversized => "the packet is longer than any that is sent here",
            Self::Ethertype => "the ethertype is another one",
            Self::ArpHardware => "the ARP hardware is not Ethernet",
            Self::ArpProtocol => "the ARP protocol is not IPv4",
            Self::ArpOperation => "the ARP operation is neither request nor reply",
            Self::IpVersion => "the IP version is not 6",
            Self::NextHeader => "the next header is not ICMPv6",
            Self::HopLimit => "the hop limit is not 255",
            Self::Type => "the ICMP type is another one",
            Self::Code => "the ICMP code is not 0",
            Self::Checksum => "the checksum is wrong",
            Self::OptionLength => "an option has a wrong length",
            Self::Source => "the source address is not possible",
            Self::Destination => "the destination address is not possible",
            Self::Target => "the target is a multicast address",
            Self::ProbeOption => "a probe carries a link-layer address",
            Self::SolicitedMulticast => "a solicited advertisement went to a multicast address",
            Self::PayloadLength => "the echo payload has another size",
        })
    }
}

impl core::error::Error for Malformed {}

/// A packet as it is handed to a socket: at most [`Frame::CAPACITY`] bytes, held inline so that
/// sending allocates nothing.
///
/// Invariant: the bytes behind `length` are zero, so derived equality is equality of the packets.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: [u8; Self::CAPACITY],
    length: u8,
}

impl Frame {
    /// The most bytes a frame holds. The longest packet encoded here is a neighbour advertisement
    /// with its link-layer address, 86 bytes.
    pub const CAPACITY: usize = 88;

    /// A frame without a byte, for an encoder to fill.
    pub(super) const fn empty() -> Self {
        Self { bytes: [0; Self::CAPACITY], length: 0 }
    }

    /// Appends `part`. Only encoders call this, with packets whose greatest size is fixed.
    pub(super) fn put(&mut self, part: &[u8]) {
        let start = usize::from(self.length);
        let end = start + part.len();
        self.bytes[start..end].copy_from_slice(part);
        // At most the capacity, which fits.
        self.length = end as u8;
    }
}

impl TryFrom<&[u8]> for Frame {
    type Error = Malformed;

    /// Copies `bytes`; [`Malformed::Oversized`] when they are more than [`Frame::CAPACITY`].
    fn try_from(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::CAPACITY {
            return Err(Malformed::Oversized);
        }
        let mut frame = Self::empty();
        frame.put(bytes);
        Ok(frame)
    }
}

impl Deref for Frame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Frame(")?;
        for byte in self.iter() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// The ethertype of ARP.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// The ethertype of IPv6.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;

/// The tags of 802.1Q and 802.1ad, and the one used for the latter before it was assigned.
const VLAN_TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
/// Lower values are the length of an 802.3 frame.
const LOWEST_ETHERTYPE: u16 = 0x0600;

/// The first 14 bytes of an untagged Ethernet II frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EthernetHeader {
    /// The station or group the frame is for.
    pub destination: Mac,
    /// The station that sent it.
    pub source: Mac,
    /// What follows, such as [`ETHERTYPE_ARP`].
    pub ethertype: u16,
}

impl EthernetHeader {
    /// Bytes in the header.
    pub const LENGTH: usize = 14;

    /// Splits a frame into its header and its payload, which may end in padding.
    ///
    /// A VLAN-tagged frame is [`Malformed::Ethertype`]: the kernel strips the tag of a VLAN it
    /// belongs to, so a frame that still has one is for another segment.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Malformed> {
        let mut rest = Reader::new(frame);
        let header = Self {
            destination: Mac(rest.take()?),
            source: Mac(rest.take()?),
            ethertype: rest.take_u16()?,
        };
        if VLAN_TAGS.contains(&header.ethertype) || header.ethertype < LOWEST_ETHERTYPE {
            return Err(Malformed::Ethertype);
        }
        Ok((header, rest.bytes))
    }

    /// As [`EthernetHeader::parse`], for frames that carry `ethertype` and nothing else.
    pub(super) fn parse_only(frame: &[u8], ethertype: u16) -> Result<(Self, &[u8]), Malformed> {
        let (header, payload) = Self::parse(frame)?;
        if header.ethertype != ethertype {
            return Err(Malformed::Ethertype);
        }
        Ok((header, payload))
    }

    /// The header's bytes.
    pub fn encode(&self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..6].copy_from_slice(&self.destination.0);
        bytes[6..12].copy_from_slice(&self.source.0);
        bytes[12..].copy_from_slice(&self.ethertype.to_be_bytes());
        bytes
    }
}

/// Takes fields off the front of bytes; whatever is missing is [`Malformed::Truncated`].
pub(super) struct Reader<'a> {
    /// What was not taken yet.
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
        self.bytes = rest;
        Ok(*field)
    }

    pub(super) fn take_u8(&mut self) -> Result<u8, Malformed> {
        self.take().map(u8::from_be_bytes)
    }

    pub(super) fn take_u16(&mut self) -> Result<u16, Malformed> {
        self.take().map(u16::from_be_bytes)
    }
}
