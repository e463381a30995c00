//! What must never be so, checked after every event.
//!
//! Owns the promises of phase one, for authority `none` and for what is held in doubt; those of
//! `quorum` are in `exclusive`:
//!
//! - Two nodes that hear each other do not both answer for an address for longer than
//!   [`World::both_most`]. 'Hear each other' is: both daemons run, and some path between them has
//!   been whole both ways, without loss, all that time; and their kernels do what they are told.
//! - In a gentle scenario (operators, stops, kills and power failures on a sound network) no two
//!   nodes ever answer for an address, not even for a moment. So the giver of a planned move is
//!   quiet before the receiver has the address. (Unless processes are stopped between a decision
//!   and its effect.)
//! - Where the file names references, a node that is reached by nothing of them nor of any other
//!   node holds nothing after a while, but for what is held in doubt.
//! - Nothing is announced by a node whose kernel does not hold the address, or is quiet about it.
//!
//! The others are where they arise: nobody spins, nothing is left behind by a plain stop, a
//! recording or a forgery changes nothing (all in `process`).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use standin_core::wire::frame::Frame;
use standin_core::{Instant, neighbour};

use super::{Event, World};
use crate::kernel::Trouble;
use crate::scenario::{HostId, Manner};

/// What is remembered from one check to the next.
#[derive(Debug)]
pub(super) struct Safety {
    /// Who answers may have changed.
    pub(super) dirty: bool,
    /// `a * nodes + b`: the two hear each other.
    hear: Vec<bool>,
    nodes: usize,
    /// By node: since when nothing of any other node nor of its references has reached it.
    alone: Vec<Option<Instant>>,
    /// Since when two that hear each other both answer for an address.
    both: BTreeMap<(usize, HostId, HostId), Instant>,
}

impl Safety {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            dirty: true,
            hear: vec![false; nodes * nodes],
            nodes,
            alone: vec![None; nodes],
            both: BTreeMap::new(),
        }
    }
}

impl Safety {
    /// Something has reached a node: it is alone from now on at the earliest.
    pub(super) fn forget_alone(&mut self, node: HostId) {
        self.alone[node] = None;
    }
}

impl World {
    /// For how long two nodes that hear each other may both answer: until each has heard the
    /// other, one interval of heartbeats at most, and has said so. A check that passes meanwhile may
    /// turn it round once.
    pub fn both_most(&self) -> Duration {
        let intervals = 2 + u32::from(self.scenario.checked);
        self.scenario.timing.interval * intervals + Duration::from_millis(60)
    }

    /// A path, a process or a kernel has changed: who hears whom?
    pub(super) fn look_at_paths(&mut self) {
        for a in 0..self.safety.nodes {
            for b in a + 1..self.safety.nodes {
                let hear = self.hear_each_other(a, b);
                let place = a * self.safety.nodes + b;
                self.safety.dirty |= hear != self.safety.hear[place];
                self.safety.hear[place] = hear;
            }
        }
        for node in 0..self.safety.nodes {
            let alone = self.is_alone(node);
            let since = self.safety.alone[node].filter(|_| alone);
            if alone && since.is_none() {
                self.schedule(self.now + self.alone_most(), Event::Examine);
            }
            self.safety.alone[node] = since.or(alone.then_some(self.now));
        }
    }

    /// A node that reaches neither others nor its references has noticed it after so long: links
    /// are given 3 s to prove themselves, or three times `dead-after`.
    fn alone_most(&self) -> Duration {
        self.scenario.timing.dead_after * 4 + Duration::from_secs(4)
    }

    /// Its daemon runs, its kernel does what it is told, its links are up, and nothing that it
    /// knows gets through to it.
    fn is_alone(&self, id: HostId) -> bool {
        let runs = self.runs(id)
            && self.hosts[id].kernel.trouble == Trouble::default()
            && self.now >= self.hosts[id].sound_from
            && (0..self.segments.len()).all(|segment| self.is_linked(id, segment));
        let heard = |other: HostId| {
            let mut all = 0..self.segments.len();
            all.any(|segment| {
                self.is_linked(other, segment) && !self.segments[segment].is_cut(other, id)
            })
        };
        runs && self.scenario.references && !self.scenario.watched(id).any(heard)
    }

    fn check_alone(&mut self) {
        let most = self.alone_most();
        for node in 0..self.safety.nodes {
            let long = self.safety.alone[node].is_some_and(|at| self.now.since(at) >= most);
            // What is held in doubt stays.
            let released = |vip: &IpAddr| !self.scenario.is_held_in_doubt(*vip);
            let has = |vip: &&IpAddr| self.hosts[node].kernel.has(**vip) && released(vip);
            let held = self.vips.iter().find(has).copied();
            if let Some(vip) = held.filter(|_| long) {
                let name = self.scenario.name(node);
                self.break_promise(format!("{name} reaches nobody and still holds {vip}"));
            }
        }
    }

    fn hear_each_other(&self, a: HostId, b: HostId) -> bool {
        let runs = |id: HostId| {
            let host = &self.hosts[id];
            let process = host.process.as_ref();
            host.powered
                && process.is_some_and(|process| process.is_running())
                && host.kernel.trouble == Trouble::default()
                && self.now >= host.sound_from
        };
        let path = |segment: usize| {
            let switch = &self.segments[segment];
            let whole = !switch.is_cut(a, b) && !switch.is_cut(b, a) && switch.is_sound();
            whole && self.is_linked(a, segment) && self.is_linked(b, segment)
        };
        let agree = self.hosts[a].file.keys.agrees(self.hosts[b].file.keys);
        runs(a) && runs(b) && agree && (0..self.segments.len()).any(path)
    }

    pub(super) fn check_safety(&mut self) {
        if !self.is_cluster() {
            return;
        }
        if std::mem::take(&mut self.safety.dirty) {
            for number in 0..self.vips.len() {
                if self.is_exclusive(number) {
                    self.look_for_two(number);
                } else {
                    self.look_at_answers(number);
                }
            }
        }
        self.check_overlaps();
        if self.scenario.references {
            self.check_alone();
        }
        let most = self.both_most();
        let over = self.safety.both.iter().find(|(_, since)| self.now.since(**since) > most);
        if let Some(((number, a, b), since)) = over {
            let vip = self.vips[*number];
            let (a, b) = (self.scenario.name(*a), self.scenario.name(*b));
            let length = self.now.since(*since);
            self.break_promise(format!(
                "{a} and {b} hear each other, and both have answered for {vip} for {length:?}"
            ));
        }
    }

    fn look_at_answers(&mut self, number: usize) {
        let vip = self.vips[number];
        let answers =
            |id: &HostId| self.hosts[*id].powered && self.hosts[*id].kernel.answers(vip, self.now);
        let answering: Vec<HostId> = (0..self.safety.nodes).filter(answers).collect();
        if let [a, b, ..] = answering[..]
            && self.scenario.manner == Manner::Gentle
            && self.scenario.stall.chance == 0
        {
            let (a, b) = (self.scenario.name(a), self.scenario.name(b));
            self.break_promise(format!("{a} and {b} both answer for {vip} on a sound network"));
        }
        let hear = |a: HostId, b: HostId| self.safety.hear[a * self.safety.nodes + b];
        let mut both: Vec<(usize, HostId, HostId)> = Vec::new();
        for (place, a) in answering.iter().enumerate() {
            let others = answering[place + 1..].iter().filter(|b| hear(*a, **b));
            both.extend(others.map(|b| (number, *a, *b)));
        }
        self.safety.both.retain(|key, _| key.0 != number || both.contains(key));
        let examine_at = self.now + self.both_most() + Duration::from_nanos(1);
        for key in both {
            if let std::collections::btree_map::Entry::Vacant(free) = self.safety.both.entry(key) {
                free.insert(self.now);
                self.schedule(examine_at, Event::Examine);
            }
        }
    }

    /// A node says something on the wire.
    pub(super) fn check_announcement(&mut self, id: HostId, frame: &Frame) {
        let name = self.scenario.name(id);
        let Ok(heard) = neighbour::hear(frame) else {
            self.break_promise(format!("{name} sent a frame that nobody understands"));
            return;
        };
        let host = &self.hosts[id];
        // What was decided before the process was stopped is said after it.
        if host.process.as_ref().is_none_or(|process| process.decided_at != self.now) {
            return;
        }
        let ours = host.kernel.nics.iter().any(|nic| nic.mac == heard.mac);
        let managed = |address: &IpAddr| self.vips.contains(address);
        let Some(address) = heard.asserts.filter(|address| ours && managed(address)) else {
            return;
        };
        if !host.kernel.has(address) {
            self.break_promise(format!("{name} announced {address} without having it"));
        } else if host.kernel.quiet.contains(&address) {
            self.break_promise(format!("{name} announced {address}, which it gives away"));
        } else {
            self.check_rightful(id, address);
        }
    }
}
