//! Heartbeats sealed as a holder of the key might who writes something else than we do.
//!
//! Owns the names of a small cluster and a second way to authenticate bytes, written from the
//! description of the key's derivation and not with the core's code.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standin_core::heartbeat::{ClusterId, Key, KeyRing};

/// The name of the cluster.
pub const CLUSTER: &str = "web";
/// The key of all its nodes.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
/// Bytes in front of the sections of a heartbeat.
pub const HEADER_LENGTH: usize = 120;
/// Bytes of its authentication.
pub const TAG_LENGTH: usize = 16;

/// The cluster in a packet.
pub fn cluster() -> ClusterId {
    ClusterId::of(CLUSTER)
}

/// The key that every node has.
///
/// # Panics
/// Never: the secret is long enough.
pub fn ring() -> KeyRing {
    KeyRing::new(Key::derive(SECRET, CLUSTER).expect("the secret is long enough"))
}

/// The key as the second way has it.
#[derive(Debug)]
pub struct Seal {
    key: [u8; 32],
    number: [u8; 2],
}

impl Default for Seal {
    fn default() -> Self {
        Self::new()
    }
}

impl Seal {
    /// The key of the cluster.
    ///
    /// # Panics
    /// Never: both keys are short.
    pub fn new() -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(b"standin heartbeat"), SECRET);
        let (mut key, mut number) = ([0; 32], [0; 2]);
        let label = |what: &[u8]| [what, b"\0\x01", CLUSTER.as_bytes()].concat();
        hkdf.expand(&label(b"authenticate"), &mut key).expect("short");
        hkdf.expand(&label(b"number"), &mut number).expect("short");
        Self { key, number }
    }

    /// Makes bytes, at least a header, a packet of the cluster that is authentic.
    ///
    /// # Panics
    /// When there is less than a header.
    pub fn seal(&self, bytes: &mut Vec<u8>) {
        bytes[..5].copy_from_slice(b"STDB\x01");
        bytes[6..8].copy_from_slice(&self.number);
        bytes[8..16].copy_from_slice(&cluster().0.to_be_bytes());
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length is a key");
        let tag = mac.chain_update(&*bytes).finalize().into_bytes();
        bytes.extend_from_slice(&tag[..TAG_LENGTH]);
    }
}
