//! The secret that nodes of one cluster share, and how one is exchanged for the next.
//!
//! Owns the derivation (HKDF-SHA256, RFC 5869) and the authentication of bytes (HMAC-SHA256,
//! RFC 2104, truncated to 16 bytes as its section 5 allows). Never reads a file and never shows a
//! key: `Debug` prints its number alone.
//!
//! ```text
//!   bytes of the key file, without white space at either end
//!            |  extract, salt "standin heartbeat"
//!            v
//!      pseudorandom key
//!            |  expand, info = purpose, protocol version, cluster name
//!            +-- "authenticate" -> 32 bytes, the key of HMAC-SHA256
//!            +-- "number"       ->  2 bytes, the key's number, sent in clear
//! ```
//!
//! The cluster's name goes into the derivation, so two clusters that share a key file still do not
//! understand each other. The number tells the keys of a [`KeyRing`] apart before any of them is
//! tried, so a packet costs at most one HMAC; it says nothing about the key, since HKDF's outputs
//! for different purposes are independent.
//!
//! What memory held a key is overwritten when it is dropped, as far as that is possible without
//! `unsafe`: copies that the compiler made when it moved a value are out of reach.

use core::fmt;
use core::hint::black_box;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::VERSION;

/// Bytes of HMAC-SHA256 that a packet carries.
pub const TAG_LENGTH: usize = 16;

/// A key file with fewer bytes, without the white space around them, is refused. 128 bits can
/// not be searched; a password of sixteen letters can, so `standin keygen` writes 32 random bytes.
pub const SECRET_LENGTH_MIN: usize = 16;

const SALT: &[u8] = b"standin heartbeat";

/// A key's number: not secret, and different for almost every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u16);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The key file has this many bytes, fewer than [`SECRET_LENGTH_MIN`].
    Short(usize),
    /// Two keys of a rotation have the same number: they are the same key, or (one pair in
    /// 65 536) a new one must be made.
    SameNumber(KeyId),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(length) => write!(
                f,
                "a key of {length} bytes is too short, {SECRET_LENGTH_MIN} are the least: make \
                 one with 'standin keygen'"
            ),
            Self::SameNumber(id) => write!(
                f,
                "both keys have the number {id}, so they cannot be told apart: make another with \
                 'standin keygen'"
            ),
        }
    }
}

impl core::error::Error for KeyError {}

/// One cluster's key, ready to authenticate.
#[derive(Clone)]
pub struct Key {
    /// HMAC with the key taken in: each packet starts from a copy, two blocks of SHA-256 cheaper.
    /// Overwrites itself when dropped.
    keyed: Hmac<Sha256>,
    id: KeyId,
}

impl Key {
    /// Derives the key of the cluster called `cluster` from the bytes of its key file.
    ///
    /// White space at either end does not count, so a file that an editor ended with a line feed
    /// is still the same key. [`KeyError::Short`] when too little is left.
    pub fn derive(file: &[u8], cluster: &str) -> Result<Self, KeyError> {
        let secret = file.trim_ascii();
        if secret.len() < SECRET_LENGTH_MIN {
            return Err(KeyError::Short(secret.len()));
        }
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), secret);
        let expand = |purpose: &[u8], output: &mut [u8]| {
            let info = [purpose, &[0, VERSION], cluster.as_bytes()];
            hkdf.expand_multi_info(&info, output).expect("HKDF-SHA256 gives up to 8160 bytes");
        };
        let (mut bytes, mut id) = ([0; 32], [0; 2]);
        expand(b"authenticate", &mut bytes);
        expand(b"number", &mut id);
        let keyed = Hmac::new_from_slice(&bytes).expect("HMAC takes keys of any length");
        bytes.fill(0);
        // Keeps the compiler from leaving the overwriting out.
        black_box(&bytes);
        Ok(Self { keyed, id: KeyId(u16::from_be_bytes(id)) })
    }

    /// Its number.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The authentication of `bytes`.
    pub(super) fn tag(&self, bytes: &[u8]) -> [u8; TAG_LENGTH] {
        let full: [u8; 32] = self.keyed.clone().chain_update(bytes).finalize().into_bytes().into();
        let (tag, _) = full.split_first_chunk().expect("SHA-256 has 32 bytes");
        *tag
    }

    /// Whether `tag` authenticates `bytes`; takes the same time wherever the two differ.
    pub(super) fn verifies(&self, bytes: &[u8], tag: &[u8; TAG_LENGTH]) -> bool {
        self.keyed.clone().chain_update(bytes).verify_truncated_left(tag).is_ok()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// Which key of a [`KeyRing`] authenticated a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// The one we send with, too.
    Current,
    /// The other one of a rotation.
    Accepted,
}

/// The keys a node knows: it sends with one and believes one or two.
///
/// A rotation takes three steps, each of them in any order of the nodes and at any pace, and no
/// two nodes ever fail to understand each other:
///
/// ```text
///              sends with   believes
///   before     old          old
///   1. learn   old          old, new      then, once every node has learnt:
///   2. switch  new          new, old      then, once every node has switched:
///   3. forget  new          new
/// ```
///
/// Invariant: two keys of one ring have different numbers.
#[derive(Clone, Debug)]
pub struct KeyRing {
    current: Key,
    accepted: Option<Key>,
}

impl KeyRing {
    /// One key, to send with and to believe.
    pub const fn new(current: Key) -> Self {
        Self { current, accepted: None }
    }

    /// Sends with `current` and believes both. [`KeyError::SameNumber`] when their numbers do not
    /// tell them apart.
    pub fn rotating(current: Key, accepted: Key) -> Result<Self, KeyError> {
        if current.id == accepted.id {
            return Err(KeyError::SameNumber(current.id));
        }
        Ok(Self { current, accepted: Some(accepted) })
    }

    /// The key to send with.
    pub const fn current(&self) -> &Key {
        &self.current
    }

    /// The key with this number, and which of the two it is.
    pub(super) fn find(&self, id: KeyId) -> Option<(&Key, KeyRole)> {
        if id == self.current.id {
            return Some((&self.current, KeyRole::Current));
        }
        let accepted = self.accepted.as_ref().filter(|key| key.id == id)?;
        Some((accepted, KeyRole::Accepted))
    }
}
