//! Names as they stand in a packet: short digests of the cluster, of a node and of what a
//! configuration says.
//!
//! Owns the digests. Never knows a secret: everything here can be computed by whoever guesses the
//! name. Invariant: two lists of parts have the same fingerprint only when they are the same list
//! (each part is preceded by its length), but for a chance of 1 in 2^64.

use core::fmt;

use sha2::{Digest, Sha256};

/// The first eight bytes of SHA-256 over `label` and `parts`, each preceded by its length.
///
/// For comparing, never for secrets. Equal input gives equal output on every machine.
pub fn fingerprint<'a>(label: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut digest = Sha256::new();
    for part in core::iter::once(label.as_bytes()).chain(parts) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let (front, _) = digest.split_first_chunk().expect("SHA-256 has 32 bytes");
    u64::from_be_bytes(*front)
}

/// Which cluster a packet belongs to. Not secret: it tells 'another cluster' from 'another key'.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u64);

impl ClusterId {
    /// The identity of the cluster called `name`.
    pub fn of(name: &str) -> Self {
        Self(fingerprint("standin cluster", [name.as_bytes()]))
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({:016x})", self.0)
    }
}

/// Which node a packet is from or for.
///
/// Made of the name alone, so that it stays the same when a reload adds nodes or orders them
/// anew, and while the nodes still run different versions of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// Its bits.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The identity of the node called `name`.
    pub fn of(name: &str) -> Self {
        Self(fingerprint("standin node", [name.as_bytes()]))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({:016x})", self.0)
    }
}

/// What must be the same in every node's configuration, as two numbers to compare.
///
/// Places in a [`VipStates`](super::VipStates) mean something only between nodes that agree on
/// `vips`, places in an [`Unreachable`](super::Unreachable) only between those that agree on
/// `nodes`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ConfigDigest {
    /// [`fingerprint`] of the nodes' names, in the order in which they are numbered.
    pub nodes: u64,
    /// [`fingerprint`] of the VIP groups and their homes, in the order in which they are numbered.
    pub vips: u64,
}
