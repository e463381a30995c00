//! Fellow nodes that say anything, always with the right key.
//!
//! Owns what one of them has heard: the challenge it may answer and the run it hears. Never keeps
//! to the protocol.

use std::num::NonZeroU64;
use std::time::Duration;

use standin_core::cluster::settings::Settings;
use standin_core::config::PeerId;
use standin_core::heartbeat::{
    Draft, Echo, Flags, Gate, Header, Incarnation, LinkStates, NodeId, Nonce, Role, Unreachable,
    VipState,
};

use super::setting::DIGEST;
use crate::bytes::Bytes;
use crate::sealing::{cluster, ring};

/// A fellow node.
pub struct Fellow {
    pub peer: PeerId,
    name: NodeId,
    number: u16,
    gate: Gate,
    node: NodeId,
    run: u64,
    counter: u64,
    challenge: Option<Nonce>,
    heard: Option<Incarnation>,
    stamp: Option<NonZeroU64>,
}

/// All of them, in the order of the members.
pub fn all(settings: &Settings) -> Vec<Fellow> {
    let each = settings.members.iter().map(|member| {
        let name = NodeId::of(settings.name(member.node));
        Fellow {
            peer: member.peer,
            name,
            number: member.node.0,
            gate: Gate::new(cluster(), name, ring()),
            node: settings.own_id(),
            run: 1,
            counter: 0,
            challenge: None,
            heard: None,
            stamp: None,
        }
    });
    each.collect()
}

impl Fellow {
    /// Reads what the node under test has sent it.
    pub fn hear(&mut self, packet: &[u8]) {
        let opened = self.gate.open(packet).expect("a node's heartbeats can be read");
        let header = opened.header();
        assert_eq!(header.sender, self.node);
        self.challenge = header.challenge.or(self.challenge);
        self.heard = Some(header.incarnation);
        self.stamp = header.stamp;
    }

    /// Writes a heartbeat, mostly as a running daemon would.
    pub fn speak(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let choice = bytes.byte();
        if choice & 0xe0 == 0xe0 {
            self.run = u64::from(bytes.byte() % 8) + 1;
        }
        self.counter = match choice & 0x18 {
            0x18 => u64::from(bytes.byte()),
            _ => self.counter.saturating_add(1),
        };
        let echo = self
            .stamp
            .filter(|_| choice & 4 != 0)
            .map(|stamp| Echo { stamp, held: Duration::from_micros(u64::from(bytes.byte())) });
        let odd = choice & 3 == 3;
        let config = if odd && bytes.yes() {
            standin_core::heartbeat::ConfigDigest { nodes: 1, vips: u64::from(bytes.byte()) }
        } else {
            DIGEST
        };
        let header = Header {
            sender: self.name,
            receiver: self.node,
            number: if odd { u16::from(bytes.byte()) } else { self.number },
            flags: Flags(if choice.is_multiple_of(4) { 0 } else { u16::from(bytes.byte()) }),
            config,
            incarnation: Incarnation::from_random(self.run << 8 | u64::from(self.number)),
            counter: NonZeroU64::new(self.counter).unwrap_or(NonZeroU64::MIN),
            heard: self.heard.filter(|_| !odd),
            challenge: odd.then(|| Nonce::from_random(u64::from(bytes.byte()))),
            response: self.challenge,
            stamp: NonZeroU64::new(self.counter),
            echo,
        };
        let mut packet = Vec::new();
        let mut draft = Draft::new(cluster(), &header, &mut packet);
        write_sections(&mut draft, bytes, odd);
        draft.seal(&ring());
        packet
    }
}

fn write_sections(draft: &mut Draft<'_>, bytes: &mut Bytes<'_>, odd: bool) {
    let count = bytes.below(5);
    let states: Vec<VipState> = (0..count).map(|_| state(bytes.byte())).collect();
    let first = if odd { u16::from(bytes.byte()) } else { 0 };
    draft.vip_states(first, &states);
    if bytes.yes() {
        let _ = draft.unreachable(Unreachable(u64::from(bytes.byte())));
    }
    if odd {
        let _ = draft.link_states(LinkStates(u64::from(bytes.byte())));
        // Placements and drains, and kinds that do not exist yet.
        let (kind, length) = (3 + bytes.byte() % 6, usize::from(bytes.byte() % 32));
        let _ = draft.section(kind, bytes.take(length));
    }
}

const fn state(byte: u8) -> VipState {
    let role = match byte & 3 {
        0 => Role::Idle,
        1 => Role::Taking,
        2 => Role::Holding,
        _ => Role::Yielding,
    };
    VipState {
        role,
        eligible: byte & 4 != 0,
        healthy: byte & 8 != 0,
        asked: byte & 16 != 0,
        doubted: byte & 32 != 0,
        refused: byte & 64 != 0,
    }
}
