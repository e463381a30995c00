//! A cluster called "web" with the nodes pinky, brain and larry, and a second way to seal bytes.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standin_core::heartbeat::{
    ClusterId, ConfigDigest, Draft, Flags, Gate, Header, Incarnation, Key, KeyRing, NodeId, PathId,
    Receipt, Rejected, Role, Session, VipState,
};

pub const CLUSTER: &str = "web";
pub const OLD: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const NEW: &[u8] = b"fedcba9876543210fedcba9876543210";

/// A group that its node has not, and could take.
pub const READY: VipState = VipState {
    role: Role::Idle,
    eligible: true,
    healthy: true,
    asked: false,
    doubted: false,
    refused: false,
};
pub const HOLDING: VipState = VipState { role: Role::Holding, ..READY };

pub fn key(secret: &[u8]) -> Key {
    Key::derive(secret, CLUSTER).expect("long enough")
}

pub fn ring() -> KeyRing {
    KeyRing::new(key(OLD))
}

pub fn gate(node: &str) -> Gate {
    Gate::new(ClusterId::of(CLUSTER), NodeId::of(node), ring())
}

pub fn number(value: u64) -> NonZeroU64 {
    NonZeroU64::new(value).expect("not zero")
}

/// A first packet from pinky to brain.
pub fn header() -> Header {
    Header {
        sender: NodeId::of("pinky"),
        receiver: NodeId::of("brain"),
        number: 1,
        flags: Flags::NONE,
        config: ConfigDigest { nodes: 0x1111, vips: 0x2222 },
        incarnation: Incarnation::from_random(0x3333),
        counter: number(1),
        heard: None,
        challenge: None,
        response: None,
        stamp: None,
        echo: None,
    }
}

pub fn sealed(header: &Header, write: impl FnOnce(&mut Draft<'_>)) -> Vec<u8> {
    let mut buffer = Vec::new();
    let mut draft = Draft::new(ClusterId::of(CLUSTER), header, &mut buffer);
    write(&mut draft);
    draft.seal(&ring());
    buffer
}

/// Authenticates bytes as a holder of the key might who writes something else than we do. Written
/// from the description of the key's derivation, not with our code.
pub fn seal_raw(mut bytes: Vec<u8>) -> Vec<u8> {
    let hkdf = Hkdf::<Sha256>::new(Some(b"standin heartbeat"), OLD);
    let (mut key, mut id) = ([0; 32], [0; 2]);
    hkdf.expand(b"authenticate\0\x01web", &mut key).expect("short");
    hkdf.expand(b"number\0\x01web", &mut id).expect("short");
    bytes[6..8].copy_from_slice(&id);
    let tag = Hmac::<Sha256>::new_from_slice(&key).expect("any").chain_update(&bytes).finalize();
    bytes.extend(&tag.into_bytes()[..16]);
    bytes
}

/// A packet from pinky to brain with these bytes in place of sections.
pub fn with_sections(sections: &[u8]) -> Vec<u8> {
    let mut bytes = sealed(&header(), |_| ());
    bytes.truncate(120);
    bytes.extend(sections);
    seal_raw(bytes)
}

/// A node with a gate and a session for each peer it has heard of.
pub struct Node {
    pub id: NodeId,
    pub gate: Gate,
    own: Incarnation,
    sessions: BTreeMap<NodeId, Session>,
    drawn: u64,
}

impl Node {
    /// A node that has just begun; `run` makes this run's random numbers.
    pub fn start(name: &str, run: u64) -> Self {
        let own = Incarnation::from_random(NodeId::of(name).0 ^ (run << 32));
        let drawn = own.bits().wrapping_mul(3);
        Self { id: NodeId::of(name), gate: gate(name), own, sessions: BTreeMap::new(), drawn }
    }

    pub fn own(&self) -> Incarnation {
        self.own
    }

    pub fn session(&mut self, peer: NodeId) -> &mut Session {
        self.drawn += 1;
        let (own, nonce) = (self.own, self.drawn);
        self.sessions.entry(peer).or_insert_with(|| Session::new(own, nonce))
    }

    pub fn send(&mut self, peer: NodeId) -> Vec<u8> {
        self.send_flagged(peer, Flags::NONE)
    }

    pub fn send_flagged(&mut self, peer: NodeId, flags: Flags) -> Vec<u8> {
        let outgoing = self.session(peer).outgoing();
        let header = Header {
            sender: self.id,
            receiver: peer,
            flags,
            incarnation: self.own,
            counter: outgoing.counter,
            heard: outgoing.heard,
            challenge: outgoing.challenge,
            response: outgoing.response,
            ..header()
        };
        let mut buffer = Vec::new();
        Draft::new(ClusterId::of(CLUSTER), &header, &mut buffer).seal(self.gate.keys());
        buffer
    }

    pub fn receive(&mut self, bytes: &[u8], path: usize) -> Result<Receipt, Rejected> {
        let opened = self.gate.open(bytes)?;
        self.drawn += 1;
        let nonce = self.drawn;
        let path = PathId::new(path).expect("a path");
        Ok(self.session(opened.header().sender).receive(&opened, path, || nonce))
    }
}
