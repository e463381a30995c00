//! What the kernel of a host does: holds addresses with a lifetime, answers for them, remembers its
//! neighbours.
//!
//! Owns the tables of one host. Never decides anything and knows nothing of the core.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use standin_core::Instant;
use standin_core::wire::arp::{self, ArpPacket, Operation};
use standin_core::wire::frame::{ETHERTYPE_IPV6, Frame};
use standin_core::wire::mac::Mac;
use standin_core::wire::ndp::{self, Advertisement, Message, Solicitation};

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The tables of one host.
#[derive(Debug)]
pub struct Kernel {
    pub mac: Mac,
    pub real: IpAddr,
    /// Addresses besides the real one, and when the kernel removes each by itself.
    pub held: BTreeMap<IpAddr, Option<Instant>>,
    /// Those that come back with the power.
    pub configured: BTreeSet<IpAddr>,
    pub neighbours: BTreeMap<IpAddr, Mac>,
    /// The real address neither answers ARP nor echoes (a filter, a broken route).
    pub real_is_silent: bool,
    /// So many further requests to add an address are refused.
    pub refuse_adds: u32,
    /// So many further requests to remove an address are refused.
    pub refuse_removes: u32,
    /// So many further acknowledgements are lost.
    pub lose_acks: u32,
}

impl Kernel {
    pub fn new(mac: Mac, real: IpAddr) -> Self {
        Self {
            mac,
            real,
            held: BTreeMap::new(),
            configured: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            real_is_silent: false,
            refuse_adds: 0,
            refuse_removes: 0,
            lose_acks: 0,
        }
    }

    pub fn boot(&mut self) {
        self.held = self.configured.iter().map(|address| (*address, None)).collect();
        self.neighbours.clear();
    }

    pub fn has(&self, address: IpAddr) -> bool {
        self.held.contains_key(&address)
    }

    fn answers_for(&self, address: IpAddr) -> bool {
        self.has(address) || (address == self.real && !self.real_is_silent)
    }

    fn is_mine(&self, address: IpAddr) -> bool {
        self.has(address) || address == self.real
    }

    /// Takes a frame and gives the answer to it, where there is one.
    pub fn hear(&mut self, frame: &[u8]) -> Option<Frame> {
        if frame[12..14] == ETHERTYPE_IPV6.to_be_bytes() {
            match ndp::parse(frame).ok()?.1 {
                Message::Solicitation(ask) => self.hear_solicitation(&ask),
                Message::Advertisement(told) => {
                    self.hear_advertisement(&told);
                    None
                }
            }
        } else {
            let (_, packet) = arp::parse(frame).ok()?;
            self.hear_arp(&packet)
        }
    }

    fn hear_arp(&mut self, packet: &ArpPacket) -> Option<Frame> {
        let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
        if self.is_mine(sender) {
            // A martian source: Linux drops it.
            return None;
        }
        let request = packet.operation == Operation::Request;
        let asked = request && sender != target && self.answers_for(target);
        if !packet.sender_ip.is_unspecified() {
            if asked {
                self.neighbours.insert(sender, packet.sender_mac);
            } else if let Some(entry) = self.neighbours.get_mut(&sender) {
                *entry = packet.sender_mac;
            }
        }
        asked.then(|| {
            let answer = ArpPacket {
                operation: Operation::Reply,
                sender_mac: self.mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            };
            answer.encode(self.mac, packet.sender_mac)
        })
    }

    fn hear_solicitation(&mut self, ask: &Solicitation) -> Option<Frame> {
        if !self.answers_for(IpAddr::V6(ask.target)) || self.is_mine(IpAddr::V6(ask.source)) {
            return None;
        }
        let asker = ask.source_mac.unwrap_or(ask.link_source);
        let probe = ask.is_probe();
        if !probe {
            self.neighbours.insert(IpAddr::V6(ask.source), asker);
        }
        let mut answer = Advertisement::unsolicited(self.mac, ask.target, false);
        if probe {
            answer.link_destination = Mac::ipv6_multicast(ALL_NODES);
        } else {
            answer.solicited = true;
            answer.destination = ask.source;
            answer.link_destination = asker;
        }
        Some(answer.encode())
    }

    fn hear_advertisement(&mut self, told: &Advertisement) {
        let target = IpAddr::V6(told.target);
        if self.is_mine(target) || !told.override_flag {
            return;
        }
        if let (Some(entry), Some(mac)) = (self.neighbours.get_mut(&target), told.target_mac) {
            *entry = mac;
        }
    }
}
