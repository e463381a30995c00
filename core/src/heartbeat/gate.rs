//! The way in: which bytes are an authentic, well formed packet for this node.
//!
//! Owns the order of the questions and the count of what was refused. Never asks whether a packet
//! is fresh (that is the [`Session`](super::Session)'s) and remembers no sender.
//!
//! ```text
//!             question                    refused as            costs
//!    1  are there eight bytes?            too-short             nothing
//!    2  the magic?                        not-ours                 |
//!    3  the version?                      version                  |
//!    4  136 to 1200 bytes?                too-short, too-long      |
//!    5  the cluster?                      other-cluster            |
//!    6  a key with that number?           unknown-key           nothing
//!    7  the authentication?               bad-authentication    one HMAC: 4 to 20 blocks of SHA-256
//!    --- from here on a holder of the key wrote it ---
//!    8  header well formed?               malformed             a walk over the bytes
//!    9  from another node than this?      from-self                |
//!   10  for this node?                    not-for-us               |
//!   11  all sections well formed?         malformed             a walk over the bytes
//! ```
//!
//! Invariant: a forged packet costs at most one HMAC, and one whose forger does not know the
//! cluster's name and the key's number costs none. Both can be overheard, so a forger on the link
//! can make each packet cost that one HMAC, which is of the order of receiving it.
//!
//! What is refused before question 7 was not authenticated: it may be counted and shown ('another
//! key is used at the address of brain'), and must change nothing else.

use core::fmt;

use super::VERSION;
use super::identity::{ClusterId, NodeId};
use super::key::{KeyRing, KeyRole, TAG_LENGTH};
use super::packet::{Claims, HEADER_LENGTH, Header, MAGIC, PACKET_LENGTH_MAX, PACKET_LENGTH_MIN};
use super::section::Payload;

/// Magic and version, and as many bytes again as every version will have.
const PRELUDE_LENGTH: usize = 8;

/// Why a packet is not believed.
///
/// Not always somebody's fault, so it is data: to be counted by [`Rejected::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejected {
    /// Fewer bytes than any packet has.
    TooShort,
    /// More bytes than any packet has.
    TooLong,
    /// Another program's packet.
    NotOurs,
    /// Another version of this protocol: this one.
    Version(u8),
    /// Another cluster on the same port.
    OtherCluster,
    /// The sender uses a key that is not known here.
    UnknownKey,
    /// The number of our key and yet not its authentication: forged, or damaged on the way.
    BadAuthentication,
    /// Authentic, and still a header or a section that does not parse.
    Malformed,
    /// This node's own packet, or that of another which was given the same name.
    FromSelf,
    /// A packet for another node of the cluster.
    NotForUs,
    /// Heard before, or too old to tell.
    Replayed,
    /// From a run of the peer's daemon that was followed by another.
    PastIncarnation,
    /// From a run of the peer's daemon that has yet to prove that it is going on.
    UnknownIncarnation,
}

impl Rejected {
    /// Every reason in the order of declaration, the version standing for all: the rows of a
    /// counter.
    pub const ALL: [Self; 13] = [
        Self::TooShort,
        Self::TooLong,
        Self::NotOurs,
        Self::Version(0),
        Self::OtherCluster,
        Self::UnknownKey,
        Self::BadAuthentication,
        Self::Malformed,
        Self::FromSelf,
        Self::NotForUs,
        Self::Replayed,
        Self::PastIncarnation,
        Self::UnknownIncarnation,
    ];

    /// A short stable name to count by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooShort => "too-short",
            Self::TooLong => "too-long",
            Self::NotOurs => "not-ours",
            Self::Version(_) => "version",
            Self::OtherCluster => "other-cluster",
            Self::UnknownKey => "unknown-key",
            Self::BadAuthentication => "bad-authentication",
            Self::Malformed => "malformed",
            Self::FromSelf => "from-self",
            Self::NotForUs => "not-for-us",
            Self::Replayed => "replayed",
            Self::PastIncarnation => "past-incarnation",
            Self::UnknownIncarnation => "unknown-incarnation",
        }
    }

    /// Its place in [`Rejected::ALL`].
    const fn row(self) -> usize {
        match self {
            Self::TooShort => 0,
            Self::TooLong => 1,
            Self::NotOurs => 2,
            Self::Version(_) => 3,
            Self::OtherCluster => 4,
            Self::UnknownKey => 5,
            Self::BadAuthentication => 6,
            Self::Malformed => 7,
            Self::FromSelf => 8,
            Self::NotForUs => 9,
            Self::Replayed => 10,
            Self::PastIncarnation => 11,
            Self::UnknownIncarnation => 12,
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "it is shorter than any heartbeat",
            Self::TooLong => "it is longer than any heartbeat",
            Self::NotOurs => "it is not a heartbeat",
            Self::Version(version) => {
                return write!(f, "it has version {version} of the protocol, this is {VERSION}");
            }
            Self::OtherCluster => "it belongs to another cluster",
            Self::UnknownKey => "its sender uses another key",
            Self::BadAuthentication => "it is forged, or was damaged on the way",
            Self::Malformed => "it is authentic and does not parse",
            Self::FromSelf => "its sender has this node's own name",
            Self::NotForUs => "it is for another node of the cluster",
            Self::Replayed => "it was heard before, or is too old to tell",
            Self::PastIncarnation => "its sender has been restarted since",
            Self::UnknownIncarnation => "its sender has yet to prove that it sent it just now",
        })
    }
}

impl core::error::Error for Rejected {}

/// An authentic, well formed packet for this node. Only a [`Gate`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'p> {
    header: Header,
    key: KeyRole,
    payload: Payload<'p>,
}

impl<'p> Opened<'p> {
    /// Its fixed part.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// With which of our keys it was sealed: during a rotation, who has not switched yet.
    pub const fn key(&self) -> KeyRole {
        self.key
    }

    /// Its sections.
    pub const fn payload(&self) -> &Payload<'p> {
        &self.payload
    }
}

/// One node's way in.
#[derive(Clone, Debug)]
pub struct Gate {
    cluster: ClusterId,
    node: NodeId,
    keys: KeyRing,
    verifications: u64,
    refused: [u64; Rejected::ALL.len()],
}

impl Gate {
    /// The way in of the node `node`.
    pub const fn new(cluster: ClusterId, node: NodeId, keys: KeyRing) -> Self {
        Self { cluster, node, keys, verifications: 0, refused: [0; Rejected::ALL.len()] }
    }

    /// The keys, to seal what goes out.
    pub const fn keys(&self) -> &KeyRing {
        &self.keys
    }

    /// The next step of a rotation. Sessions go on: they do not depend on the key.
    pub fn change_keys(&mut self, keys: KeyRing) {
        self.keys = keys;
    }

    /// Reads a packet, or says why not and counts that.
    pub fn open<'p>(&mut self, bytes: &'p [u8]) -> Result<Opened<'p>, Rejected> {
        let opened = self.examine(bytes);
        if let Err(why) = opened {
            self.count(why);
        }
        opened
    }

    /// Counts a packet that was refused behind the gate, by a session.
    pub fn count(&mut self, why: Rejected) {
        let row = &mut self.refused[why.row()];
        *row = row.saturating_add(1);
    }

    /// How many packets were refused, by [`Rejected::name`].
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        Rejected::ALL.iter().map(|why| why.name()).zip(self.refused.iter().copied())
    }

    /// How many packets were refused for this reason.
    pub const fn refused_as(&self, why: Rejected) -> u64 {
        self.refused[why.row()]
    }

    /// How many packets were refused.
    pub fn refused_in_all(&self) -> u64 {
        self.refused.iter().fold(0, |all, count| all.saturating_add(*count))
    }

    /// How many packets were worth an HMAC.
    pub const fn verifications(&self) -> u64 {
        self.verifications
    }

    fn examine<'p>(&mut self, bytes: &'p [u8]) -> Result<Opened<'p>, Rejected> {
        let prelude: &[u8; PRELUDE_LENGTH] = bytes.first_chunk().ok_or(Rejected::TooShort)?;
        if !prelude.starts_with(&MAGIC) {
            return Err(Rejected::NotOurs);
        }
        let version = prelude[MAGIC.len()];
        if version != VERSION {
            return Err(Rejected::Version(version));
        }
        if bytes.len() < PACKET_LENGTH_MIN {
            return Err(Rejected::TooShort);
        }
        if bytes.len() > PACKET_LENGTH_MAX {
            return Err(Rejected::TooLong);
        }
        let (authenticated, tag) =
            bytes.split_last_chunk::<TAG_LENGTH>().ok_or(Rejected::TooShort)?;
        let (header, sections) =
            authenticated.split_first_chunk::<HEADER_LENGTH>().ok_or(Rejected::TooShort)?;
        let claims = Claims::read(header);
        if claims.cluster != self.cluster {
            return Err(Rejected::OtherCluster);
        }
        let (key, role) = self.keys.find(claims.key).ok_or(Rejected::UnknownKey)?;
        self.verifications = self.verifications.saturating_add(1);
        if !key.verifies(authenticated, tag) {
            return Err(Rejected::BadAuthentication);
        }
        let header = Header::parse(header).ok_or(Rejected::Malformed)?;
        if header.sender == self.node {
            return Err(Rejected::FromSelf);
        }
        if header.receiver != self.node {
            return Err(Rejected::NotForUs);
        }
        let payload = Payload::parse(sections).ok_or(Rejected::Malformed)?;
        Ok(Opened { header, key: role, payload })
    }
}
