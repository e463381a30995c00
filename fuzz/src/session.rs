//! Which of many authentic heartbeats are believed, in whatever order they come.
//!
//! Owns the way from bytes to the packets of one peer's runs. Invariants asserted: the same packet
//! is evidence once at most, a run that was followed by another is never believed again while it is
//! remembered, and a run is first believed only for an answer to our own challenge. One whose
//! numbers went back, as no daemon's do, may prove itself anew when it is forgotten; then what it
//! sent before with higher numbers is evidence once more.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use standin_core::heartbeat::session::PAST_MAX;
use standin_core::heartbeat::{
    ConfigDigest, Draft, Flags, Gate, Header, Incarnation, NodeId, Nonce, PathId, Session, Verdict,
};

use crate::bytes::Bytes;
use crate::sealing::{cluster, ring};

/// Packets remembered, to come again.
const RECORDED_MOST: usize = 64;
/// Choices followed.
const STEPS_MOST: usize = 400;

/// A session and what is known of it from outside.
struct Play {
    session: Session,
    gate: Gate,
    /// The newest packet number of each of the peer's runs.
    counters: [u64; 8],
    /// Every challenge that went out, the newest last.
    challenges: Vec<Nonce>,
    recorded: Vec<Vec<u8>>,
    /// Places in `recorded` that were evidence, with their run and number.
    believed: BTreeMap<usize, (Incarnation, u64)>,
    /// Runs in the order in which they were believed.
    runs: Vec<Incarnation>,
    drawn: u64,
}

/// Packets of a peer's runs, sent, recorded, doubled and played again.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut play = Play {
        session: Session::new(Incarnation::from_random(7), 1),
        gate: Gate::new(cluster(), NodeId::of("brain"), ring()),
        counters: [0; 8],
        challenges: Vec::new(),
        recorded: Vec::new(),
        believed: BTreeMap::new(),
        runs: Vec::new(),
        drawn: 1,
    };
    for _ in 0..STEPS_MOST {
        if bytes.is_empty() {
            return;
        }
        play.step(&mut bytes);
    }
}

impl Play {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(8) {
            0 => {
                let outgoing = self.session.outgoing();
                self.challenges.extend(outgoing.challenge);
                assert_eq!(outgoing.heard, self.session.incarnation());
            }
            1 => {
                self.drawn += 1;
                self.session.renew_challenge(self.drawn);
            }
            2..=4 => {
                let packet = self.write(bytes);
                self.recorded.push(packet);
                self.recorded.truncate(RECORDED_MOST);
                self.receive(self.recorded.len() - 1, bytes);
            }
            5 => {
                let packet = self.write(bytes);
                self.recorded.push(packet);
                self.recorded.truncate(RECORDED_MOST);
            }
            _ if self.recorded.is_empty() => {}
            _ => {
                let place = bytes.below(self.recorded.len());
                self.receive(place, bytes);
            }
        }
    }

    /// The next packet of one of the peer's runs; one may also leave numbers out, or repeat them.
    fn write(&mut self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let which = bytes.below(8);
        let counter = &mut self.counters[which];
        *counter = match bytes.byte() {
            choice @ 0..192 => counter.saturating_add(u64::from(choice % 3)).max(1),
            choice @ 192..224 => counter.saturating_add(u64::from(choice) * 8),
            choice @ 224..250 => counter.saturating_sub(u64::from(choice - 220)).max(1),
            _ => bytes.number().max(1),
        };
        let newest = self.challenges.len();
        let response = match bytes.byte() {
            0..160 => self.challenges.last().copied(),
            160..224 => self.challenges.get(newest.saturating_sub(2)).copied(),
            224..240 => Some(Nonce::from_random(u64::from(bytes.byte()))),
            _ => None,
        };
        let header = Header {
            sender: NodeId::of("pinky"),
            receiver: NodeId::of("brain"),
            number: 0,
            flags: Flags(u16::from(bytes.byte())),
            config: ConfigDigest::default(),
            incarnation: Incarnation::from_random(100 + which as u64),
            counter: NonZeroU64::new(*counter).unwrap_or(NonZeroU64::MIN),
            heard: None,
            challenge: bytes.yes().then(|| Nonce::from_random(u64::from(bytes.byte()))),
            response,
            stamp: None,
            echo: None,
        };
        let mut packet = Vec::new();
        Draft::new(cluster(), &header, &mut packet).seal(&ring());
        packet
    }

    fn receive(&mut self, place: usize, bytes: &mut Bytes<'_>) {
        let packet = self.recorded[place].clone();
        let opened = self.gate.open(&packet).expect("it was sealed with the right key");
        let header = *opened.header();
        let asked = self.challenges.clone();
        self.drawn += 1;
        let (drawn, before) = (self.drawn, self.session.incarnation());
        let path = PathId::new(bytes.below(3)).expect("there are more paths");
        let receipt = self.session.receive(&opened, path, || drawn);
        let _ = self.session.heard();
        let Verdict::Evidence { new_incarnation } = receipt.verdict else {
            assert_eq!(self.session.incarnation(), before, "believed without evidence");
            return;
        };
        assert_eq!(self.session.incarnation(), Some(header.incarnation));
        assert_eq!(new_incarnation, before != Some(header.incarnation));
        let same = |at: &usize| self.recorded[*at] == packet;
        assert!(!self.believed.keys().any(same), "believed twice: packet {place}");
        let number = header.counter.get();
        self.believed.insert(place, (header.incarnation, number));
        if new_incarnation {
            self.believed.retain(|_, (run, known)| *run != header.incarnation || *known <= number);
            let proof = header.response.expect("a run proves itself");
            assert!(proof.bits() == 1 || asked.contains(&proof) || proof.bits() <= drawn);
            let remembered = self.runs.iter().rev().take(PAST_MAX);
            assert!(
                !remembered.clone().any(|run| *run == header.incarnation),
                "a past run is back"
            );
            self.runs.push(header.incarnation);
        }
    }
}
