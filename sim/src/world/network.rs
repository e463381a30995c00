//! The network: one switch for each segment, and what goes wrong on the way through it.
//!
//! Owns the forwarding tables and the faults of the paths. Invariant: what is lost, late, doubled
//! or overtaken is so by the world's own chance.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;

use super::process::Waiting;
use super::{Event, World};
use crate::scenario::HostId;

/// What goes wrong on a segment; chances are in a hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// Lost.
    pub lose: u64,
    /// Delivered twice.
    pub double: u64,
    /// Later than usual by up to so much, each by itself: so they overtake each other.
    pub late: Duration,
}

/// A switch and the cables to it.
#[derive(Debug)]
pub(super) struct Segment {
    /// Where the switch saw a link-layer address last.
    table: BTreeMap<Mac, HostId>,
    pub(super) wire: Wire,
    /// `from * hosts + to`: nothing gets through.
    cuts: Vec<bool>,
    hosts: usize,
}

/// What travels.
#[derive(Clone, Debug)]
pub(super) enum Packet {
    /// ARP or NDP.
    Frame(Frame),
    /// An echo request to a real address.
    Request { from: HostId, to: IpAddr, message: Frame },
    /// Its reply, from that address.
    Reply { from: IpAddr, message: Frame },
    /// A heartbeat from a real address to another.
    Heartbeat { from: IpAddr, sender: HostId, to: IpAddr, bytes: Rc<[u8]> },
    /// 'Nobody takes that here', says the host with that address.
    Refused { from: IpAddr },
}

impl Segment {
    pub(super) fn new(hosts: usize) -> Self {
        let cuts = vec![false; hosts * hosts];
        Self { table: BTreeMap::new(), wire: Wire::default(), cuts, hosts }
    }

    pub(super) fn cut(&mut self, from: HostId, to: HostId, cut: bool) {
        self.cuts[from * self.hosts + to] = cut;
    }

    pub(super) fn is_cut(&self, from: HostId, to: HostId) -> bool {
        self.cuts[from * self.hosts + to]
    }

    pub(super) fn mend(&mut self) {
        self.cuts.fill(false);
        self.wire = Wire::default();
    }

    pub(super) fn forget(&mut self) {
        self.table.clear();
    }

    /// Whether nothing goes wrong but what is cut.
    pub(super) fn is_sound(&self) -> bool {
        self.wire == Wire::default()
    }

    /// The port behind which an address is, if the switch knows.
    pub(super) fn port(&self, mac: Mac) -> Option<HostId> {
        self.table.get(&mac).copied()
    }
}

impl World {
    pub(super) fn is_linked(&self, host: HostId, segment: usize) -> bool {
        let host = &self.hosts[host];
        host.powered && host.kernel.nics.get(segment).is_some_and(|nic| nic.up)
    }

    /// Sends a frame into the switch.
    pub(super) fn transmit(&mut self, from: HostId, segment: usize, frame: &Frame) {
        if !self.is_linked(from, segment) {
            return;
        }
        let destination = Mac([frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]]);
        let source = Mac([frame[6], frame[7], frame[8], frame[9], frame[10], frame[11]]);
        let switch = &mut self.segments[segment];
        switch.table.insert(source, from);
        let port = switch.port(destination).filter(|_| !destination.is_multicast());
        for to in 0..self.hosts.len() {
            let there = self.hosts[to].kernel.nics.get(segment);
            let meant = destination.is_multicast() || there.is_some_and(|n| n.mac == destination);
            if to != from && meant && port.is_none_or(|port| port == to) {
                self.carry(from, to, segment, &Packet::Frame(frame.clone()));
            }
        }
    }

    /// Sends an IP packet to the host that has a real address.
    pub(super) fn send_ip(&mut self, from: HostId, to: IpAddr, packet: &Packet) {
        let Some((host, segment)) = self.owner(to) else { return };
        if self.is_linked(from, segment) {
            self.carry(from, host, segment, packet);
        }
    }

    fn owner(&self, real: IpAddr) -> Option<(HostId, usize)> {
        let of = |host: &super::Host| {
            let mut nics = host.kernel.nics.iter();
            nics.position(|n| IpAddr::V4(n.ipv4) == real || IpAddr::V6(n.ipv6) == real)
        };
        self.hosts.iter().enumerate().find_map(|(id, host)| Some((id, of(host)?)))
    }

    fn carry(&mut self, from: HostId, to: HostId, segment: usize, packet: &Packet) {
        let Segment { wire, .. } = self.segments[segment];
        if self.segments[segment].is_cut(from, to) || self.random.percent(wire.lose) {
            return;
        }
        let copies = 1 + usize::from(self.random.percent(wire.double));
        for _ in 0..copies {
            let late = self.random.length(Duration::ZERO, wire.late);
            let at = self.now + self.scenario.latency + late;
            self.schedule(at, Event::Arrive { to, segment, packet: packet.clone() });
        }
    }

    pub(super) fn arrive(&mut self, to: HostId, segment: usize, packet: Packet) {
        if !self.is_linked(to, segment) {
            return;
        }
        match packet {
            Packet::Frame(frame) => {
                let now = self.now;
                let host = &mut self.hosts[to];
                if let Some(answer) = host.kernel.hear(segment, &frame, now) {
                    self.transmit(to, segment, &answer);
                }
                let host = &mut self.hosts[to];
                let awaited = |at: &standin_core::Instant| now.since(*at).as_secs() < 1;
                if host.asking.values().any(awaited) {
                    host.kernel.expect_answer(&frame, now);
                }
                if !self.scenario.is_witness(to) {
                    self.give(to, Waiting::Frame { segment, frame });
                }
            }
            Packet::Request { from, to: address, message } => {
                let reply = Packet::Reply { from: address, message: answer_to(&message) };
                self.carry(to, from, segment, &reply);
            }
            Packet::Reply { .. } if self.scenario.is_witness(to) => {}
            Packet::Reply { from, message } => self.give(to, Waiting::Echo { from, message }),
            Packet::Heartbeat { from, sender, to: address, bytes } => {
                if self.hosts[to].process.is_some() {
                    self.give(to, Waiting::Heartbeat { from, bytes, genuine: true });
                } else {
                    self.carry(to, sender, segment, &Packet::Refused { from: address });
                }
            }
            Packet::Refused { from } => self.give(to, Waiting::Refused { from }),
        }
    }
}

/// A kernel's reply to an echo request.
fn answer_to(message: &Frame) -> Frame {
    let mut bytes = message.to_vec();
    if bytes[0] == 8 {
        bytes[0] = 0;
        // The checksum, for a first word that is 0x0800 less (RFC 1624).
        let (sum, carry) = u16::from_be_bytes([bytes[2], bytes[3]]).overflowing_add(0x0800);
        bytes[2..4].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    } else {
        bytes[0] = 129;
    }
    Frame::try_from(&bytes[..]).expect("as long as the request")
}
