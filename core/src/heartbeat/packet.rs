//! The layout of a heartbeat, and how one is written.
//!
//! Owns the header and the buffer. Never chooses what is said.
//!
//! All numbers are big-endian. Everything in front of the tag is authenticated, and nothing is
//! encrypted: who listens on the link learns which node holds what, as he would from ARP.
//!
//! ```text
//!        0         2         4    5    6         8                             16
//!      +---------------------+----+----+---------+------------------------------+
//!    0 | magic 53 54 44 42   |ver.| 0  | key id  | cluster                      |
//!      +---------------------+----+----+---------+------------------------------+
//!   16 | sender (digest of its name)             | receiver (likewise)          |
//!      +---------+---------+---------------------+------------------------------+
//!   32 | number  | flags   | 0                   | digest of the nodes          |
//!      +---------+---------+---------------------+------------------------------+
//!   48 | digest of the VIPs                      | incarnation of the sender    |
//!      +-----------------------------------------+------------------------------+
//!   64 | counter, from 1                         | heard: receiver's incarnation|
//!      +-----------------------------------------+------------------------------+
//!   80 | challenge, 0 for none                   | response, 0 for none         |
//!      +-----------------------------------------+------------------------------+
//!   96 | stamp: the sender's time, to be echoed  | stamp echoed, 0 for none     |
//!      +-----------------------------------------+------------------------------+
//!  112 | nanoseconds the echoed one was held     | sections: type u8,           |
//!      +-----------------------------------------+  length u16, body; any number|
//!      |                                                                        |
//!      +------------------------------------------------------------------------+
//!  end | HMAC-SHA256 over everything before, its first 16 bytes                  |
//!      +------------------------------------------------------------------------+
//! ```
//!
//! The fields marked 0 are sent as 0 and ignored, as are flags without a meaning yet. The magic
//! and the version keep their place in every version.
//!
//! `receiver` stops a packet for one node from being played to another: a node counts its packets
//! to each peer apart, so the foreign counter would push the receiver's window beyond the real one.
//! `heard` tells the receiver whether he is heard himself, and a restarted one is told apart.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU64;
use core::time::Duration;

use super::VERSION;
use super::identity::{ClusterId, ConfigDigest, NodeId};
use super::key::{KeyId, KeyRing, TAG_LENGTH};
use super::section::{self, LinkStates, Unreachable, VipState};

/// The first bytes of every heartbeat: "STDB", stand by.
pub const MAGIC: [u8; 4] = *b"STDB";

/// Bytes in front of the sections.
pub const HEADER_LENGTH: usize = 120;
/// The shortest packet.
pub const PACKET_LENGTH_MIN: usize = HEADER_LENGTH + TAG_LENGTH;
/// The longest packet. With the headers of UDP and IPv6 it fits the 1280 bytes that every IPv6
/// path carries (RFC 8200, section 5), so no heartbeat is ever fragmented.
pub const PACKET_LENGTH_MAX: usize = 1200;

/// Bytes 6 and 7: the key's number, known only when the packet is sealed.
const KEY_ID_AT: usize = 6;

/// One run of a node's daemon: random, drawn at its start, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(NonZeroU64);

/// A number drawn to be echoed: who repeats it has received it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(NonZeroU64);

macro_rules! random_number {
    ($name:ident) => {
        impl $name {
            /// Made of 64 random bits that no outsider can guess. Zero, which means 'none' in a
            /// packet, becomes one.
            pub const fn from_random(bits: u64) -> Self {
                match NonZeroU64::new(bits) {
                    Some(bits) => Self(bits),
                    None => Self(NonZeroU64::MIN),
                }
            }

            /// Its bits, never zero.
            pub const fn bits(self) -> u64 {
                self.0.get()
            }

            fn encode(number: Option<Self>) -> u64 {
                number.map_or(0, Self::bits)
            }

            fn parse(bits: u64) -> Option<Self> {
                NonZeroU64::new(bits).map(Self)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }
    };
}

random_number!(Incarnation);
random_number!(Nonce);

/// What a packet says about its sender as a whole. Bits without a name are reserved: they are
/// kept, and mean nothing yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// Nothing special.
    pub const NONE: Self = Self(0);
    /// The receiver is to answer at once, on the path this came by.
    pub const QUERY: Self = Self(1);
    /// This is such an answer.
    pub const ANSWER: Self = Self(1 << 1);
    /// The sender ends and has given up, or is giving up, all it holds.
    pub const LEAVING: Self = Self(1 << 2);
    /// The sender restarts and keeps its VIPs meanwhile: the peers wait for it.
    pub const KEEPING: Self = Self(1 << 3);
    /// The sender is drained: it holds nothing for longer than it must.
    pub const DRAINING: Self = Self(1 << 4);
    /// The sender has just begun and waits until it has heard its peers.
    pub const NEWCOMER: Self = Self(1 << 5);

    /// Whether all bits of `flags` are set.
    pub const fn contains(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Without what is about this one packet: the rest says how its sender is.
    #[must_use]
    pub const fn lasting(self) -> Self {
        Self(self.0 & !(Self::QUERY.0 | Self::ANSWER.0))
    }

    /// These and those of `flags`.
    #[must_use]
    pub const fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

/// A stamp on its way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Echo {
    /// The stamp of a packet that the receiver of this one once sent.
    pub stamp: NonZeroU64,
    /// For how long it lay here before it was sent back: the time from the stamp until now, less
    /// this, is the round trip, whatever the two clocks say. At most 584 years.
    pub held: Duration,
}

/// The fixed part of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Whom it is from.
    pub sender: NodeId,
    /// Whom it is for.
    pub receiver: NodeId,
    /// The sender's place among the nodes, by its own count; see [`ConfigDigest::nodes`].
    pub number: u16,
    /// About the sender as a whole.
    pub flags: Flags,
    /// What the sender was told by its file.
    pub config: ConfigDigest,
    /// The sender's run.
    pub incarnation: Incarnation,
    /// How many packets this run has made for this receiver, this one included. The same packet
    /// on another path has the same number.
    pub counter: NonZeroU64,
    /// The run of the receiver that the sender believes.
    pub heard: Option<Incarnation>,
    /// What the receiver is to send back as `response`.
    pub challenge: Option<Nonce>,
    /// What the receiver asked to have sent back.
    pub response: Option<Nonce>,
    /// The sender's time, in a unit of its own, for it alone to read.
    pub stamp: Option<NonZeroU64>,
    /// A stamp of the receiver's.
    pub echo: Option<Echo>,
}

impl Header {
    /// The header's bytes; the key's number is left 0.
    fn encode(&self, cluster: ClusterId) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let mut put = |at: usize, number: u64| {
            bytes[at..at + 8].copy_from_slice(&number.to_be_bytes());
        };
        put(8, cluster.0);
        put(16, self.sender.0);
        put(24, self.receiver.0);
        put(40, self.config.nodes);
        put(48, self.config.vips);
        put(56, self.incarnation.bits());
        put(64, self.counter.get());
        put(72, Incarnation::encode(self.heard));
        put(80, Nonce::encode(self.challenge));
        put(88, Nonce::encode(self.response));
        put(96, self.stamp.map_or(0, NonZeroU64::get));
        if let Some(echo) = self.echo {
            put(104, echo.stamp.get());
            put(112, u64::try_from(echo.held.as_nanos()).unwrap_or(u64::MAX));
        }
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[32..34].copy_from_slice(&self.number.to_be_bytes());
        bytes[34..36].copy_from_slice(&self.flags.0.to_be_bytes());
        bytes
    }

    /// Reads what [`Header::encode`] wrote. `None` for an incarnation or a counter of zero.
    pub(super) fn parse(bytes: &[u8; HEADER_LENGTH]) -> Option<Self> {
        let number = |at| u64::from_be_bytes(field(bytes, at));
        let echo = NonZeroU64::new(number(104))
            .map(|stamp| Echo { stamp, held: Duration::from_nanos(number(112)) });
        Some(Self {
            sender: NodeId(number(16)),
            receiver: NodeId(number(24)),
            number: u16::from_be_bytes(field(bytes, 32)),
            flags: Flags(u16::from_be_bytes(field(bytes, 34))),
            config: ConfigDigest { nodes: number(40), vips: number(48) },
            incarnation: Incarnation::parse(number(56))?,
            counter: NonZeroU64::new(number(64))?,
            heard: Incarnation::parse(number(72)),
            challenge: Nonce::parse(number(80)),
            response: Nonce::parse(number(88)),
            stamp: NonZeroU64::new(number(96)),
            echo,
        })
    }
}

/// The `N` bytes of the header at `at`, which is a constant at every call.
fn field<const N: usize>(bytes: &[u8; HEADER_LENGTH], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

/// What a header says before anything is authenticated.
pub(super) struct Claims {
    pub(super) cluster: ClusterId,
    pub(super) key: KeyId,
}

impl Claims {
    pub(super) fn read(bytes: &[u8; HEADER_LENGTH]) -> Self {
        Self {
            cluster: ClusterId(u64::from_be_bytes(field(bytes, 8))),
            key: KeyId(u16::from_be_bytes(field(bytes, KEY_ID_AT))),
        }
    }
}

/// There is no room left in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the packet has no room within {PACKET_LENGTH_MAX} bytes")
    }
}

impl core::error::Error for Full {}

/// A packet while it is written, in a buffer that its owner keeps: once that has grown to
/// [`PACKET_LENGTH_MAX`], writing allocates nothing.
///
/// Invariant: the buffer never holds more than a packet without its tag may have.
#[derive(Debug)]
pub struct Draft<'b> {
    bytes: &'b mut Vec<u8>,
}

impl<'b> Draft<'b> {
    /// Begins a packet in place of whatever `buffer` held.
    pub fn new(cluster: ClusterId, header: &Header, buffer: &'b mut Vec<u8>) -> Self {
        buffer.clear();
        buffer.reserve(PACKET_LENGTH_MAX);
        buffer.extend_from_slice(&header.encode(cluster));
        Self { bytes: buffer }
    }

    /// How many bytes of sections, each with [`section::PREFIX_LENGTH`] in front, may still follow.
    pub fn room(&self) -> usize {
        PACKET_LENGTH_MAX - TAG_LENGTH - self.bytes.len()
    }

    /// Appends a section. [`Full`] when it does not fit; the packet is as it was then.
    ///
    /// A kind that this version knows (see [`section`]) is for the methods below: a packet with
    /// two sections of one kind, or with a body that does not parse, is refused by its receiver.
    pub fn section(&mut self, kind: u8, body: &[u8]) -> Result<(), Full> {
        let length = u16::try_from(body.len()).map_err(|_| Full)?;
        if section::PREFIX_LENGTH + body.len() > self.room() {
            return Err(Full);
        }
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(body);
        Ok(())
    }

    /// Appends the states of the VIP groups from number `first` on, as many as fit, and returns
    /// how many those are: the rest goes into another packet. [`section::VIP_GROUPS_SURE`] groups
    /// always fit an otherwise empty packet, and many more where neighbours are alike.
    pub fn vip_states(&mut self, first: u16, states: &[VipState]) -> usize {
        let limit = self.bytes.len() + self.room();
        section::encode_vip_states(self.bytes, limit, first, states)
    }

    /// Appends which of the sender's paths have a link.
    pub fn link_states(&mut self, links: LinkStates) -> Result<(), Full> {
        self.section(section::LINK_STATES, &links.0.to_be_bytes())
    }

    /// Appends which nodes the sender does not hear.
    pub fn unreachable(&mut self, nodes: Unreachable) -> Result<(), Full> {
        self.section(section::UNREACHABLE, &nodes.0.to_be_bytes())
    }

    /// Authenticates the packet with the current key: the buffer holds what is to be sent.
    pub fn seal(self, keys: &KeyRing) {
        let key = keys.current();
        self.bytes[KEY_ID_AT..KEY_ID_AT + 2].copy_from_slice(&key.id().0.to_be_bytes());
        let tag = key.tag(self.bytes);
        self.bytes.extend_from_slice(&tag);
    }
}
