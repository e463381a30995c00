//! What the kernel of a host does: holds addresses with a lifetime, answers for them unless it was
//! told to be quiet, and remembers its neighbours by the rules of Linux.
//!
//! Owns the tables of one host, those of nftables in [`crate::guard`]. Never decides anything and knows nothing of the core. The rules of
//! the neighbour cache are those measured on Linux 6.18: a gratuitous frame or an ordinary request
//! moves an entry at once, any other reply only [`LOCK_TIME`] after the last update, and only a
//! question for its own address (or its own question answered) creates one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use standin_core::Instant;
use standin_core::wire::arp::{self, ArpPacket, Operation};
use standin_core::wire::frame::{ETHERTYPE_IPV6, Frame};
use standin_core::wire::mac::Mac;
use standin_core::wire::ndp::{self, Advertisement, Message, Solicitation};

use crate::guard::Guard;

/// How long an entry is closed to replies that nobody needs (`locktime`).
pub const LOCK_TIME: Duration = Duration::from_secs(1);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An interface.
#[derive(Clone, Debug)]
pub struct Nic {
    /// Its link-layer address.
    pub mac: Mac,
    /// Its real IPv4 address.
    pub ipv4: Ipv4Addr,
    /// Its real IPv6 address.
    pub ipv6: Ipv6Addr,
    /// It has a carrier.
    pub up: bool,
}

/// What a neighbour cache knows of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub mac: Mac,
    /// When that was last said.
    pub updated: Instant,
    /// Questions since then that nobody answered.
    pub unanswered: u32,
}

/// What goes wrong with requests to a kernel; chances are in a hundred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// A request is refused.
    pub refuse: u64,
    /// A request is carried out, and its acknowledgement lost.
    pub lose: u64,
    /// The acknowledgement comes late, by up to so much.
    pub late: Duration,
    /// Acknowledged, and undone by somebody else before the acknowledgement is read.
    pub undo: u64,
}

/// The tables of one host.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Its interfaces, one for each segment it is on.
    pub nics: Vec<Nic>,
    /// Addresses on the first interface besides the real ones, and when each goes by itself.
    pub held: BTreeMap<IpAddr, Option<Instant>>,
    /// Held, and not answered for.
    pub quiet: BTreeSet<IpAddr>,
    /// Which are answered for under a lease alone.
    pub guard: Guard,
    /// What daemons add is held as routes, which go by no time of their own: they are answered for
    /// while there is a sign of life.
    pub routes: bool,
    /// Until when there is one.
    pub alive_until: Option<Instant>,
    /// It refuses to add these.
    pub refuses: BTreeSet<IpAddr>,
    /// What it knows of others.
    pub neighbours: BTreeMap<IpAddr, Entry>,
    /// Gratuitous frames create an entry (`arp_accept`).
    pub accepts_untracked: bool,
    /// What goes wrong with requests.
    pub trouble: Trouble,
}

impl Kernel {
    /// A kernel that holds nothing.
    pub fn new(nics: Vec<Nic>, guard: Guard) -> Self {
        Self {
            nics,
            held: BTreeMap::new(),
            quiet: BTreeSet::new(),
            guard,
            routes: false,
            alive_until: None,
            refuses: BTreeSet::new(),
            neighbours: BTreeMap::new(),
            accepts_untracked: false,
            trouble: Trouble::default(),
        }
    }

    /// A fresh start.
    pub fn boot(&mut self) {
        self.held.clear();
        self.quiet.clear();
        self.alive_until = None;
        self.guard.remove();
        self.neighbours.clear();
        self.trouble = Trouble::default();
    }

    /// Whether it is on the first interface.
    pub fn has(&self, address: IpAddr) -> bool {
        self.held.contains_key(&address)
    }

    /// How long what is held as routes will be answered for yet.
    pub fn alive_for(&self, now: Instant) -> Duration {
        self.alive_until.map_or(Duration::ZERO, |until| until.since(now))
    }

    /// Whether it is there, and not as a route that nobody looks after any more.
    pub fn holds(&self, address: IpAddr, now: Instant) -> bool {
        self.has(address) && (!self.routes || !self.alive_for(now).is_zero())
    }

    /// Whether packets for it are taken: it is there, and under a lease where it needs one.
    pub fn serves(&self, address: IpAddr, now: Instant) -> bool {
        self.holds(address, now) && self.guard.permits(address, now)
    }

    /// Whether ARP and NDP for it are answered.
    pub fn answers(&self, address: IpAddr, now: Instant) -> bool {
        self.nics[0].up && self.serves(address, now) && !self.quiet.contains(&address)
    }

    fn is_real(&self, nic: usize, address: IpAddr) -> bool {
        let nic = &self.nics[nic];
        address == IpAddr::V4(nic.ipv4) || address == IpAddr::V6(nic.ipv6)
    }

    fn is_mine(&self, nic: usize, address: IpAddr) -> bool {
        self.is_real(nic, address) || self.has(address)
    }

    fn replies(&self, nic: usize, address: IpAddr, now: Instant) -> bool {
        self.is_real(nic, address) || (nic == 0 && self.answers(address, now))
    }

    /// Takes a frame and gives the answer to it, where there is one.
    pub fn hear(&mut self, nic: usize, frame: &[u8], now: Instant) -> Option<Frame> {
        if frame.get(12..14)? == ETHERTYPE_IPV6.to_be_bytes() {
            match ndp::parse(frame).ok()?.1 {
                Message::Solicitation(ask) => self.hear_solicitation(nic, &ask, now),
                Message::Advertisement(told) => {
                    self.hear_advertisement(nic, &told, now);
                    None
                }
            }
        } else {
            let (_, packet) = arp::parse(frame).ok()?;
            self.hear_arp(nic, &packet, now)
        }
    }

    fn hear_arp(&mut self, nic: usize, packet: &ArpPacket, now: Instant) -> Option<Frame> {
        let (sender, target) = (IpAddr::V4(packet.sender_ip), IpAddr::V4(packet.target_ip));
        if self.is_mine(nic, sender) {
            // A martian source: Linux drops it.
            return None;
        }
        let request = packet.operation == Operation::Request;
        let asked = request && sender != target && self.replies(nic, target, now);
        if !packet.sender_ip.is_unspecified() {
            let gratuitous =
                sender == target && (request || packet.target_mac == packet.sender_mac);
            let creates = (request && self.is_real(nic, target))
                || (sender == target && self.accepts_untracked);
            self.learn(sender, packet.sender_mac, request || gratuitous, creates, now);
        }
        asked.then(|| {
            let answer = ArpPacket {
                operation: Operation::Reply,
                sender_mac: self.nics[nic].mac,
                sender_ip: packet.target_ip,
                target_mac: packet.sender_mac,
                target_ip: packet.sender_ip,
            };
            answer.encode(self.nics[nic].mac, packet.sender_mac)
        })
    }

    /// `pressing`: moves an entry within its lock time.
    fn learn(&mut self, address: IpAddr, mac: Mac, pressing: bool, creates: bool, now: Instant) {
        let fresh = Entry { mac, updated: now, unanswered: 0 };
        match self.neighbours.get_mut(&address) {
            Some(entry) => {
                let open = now.since(entry.updated) >= LOCK_TIME || entry.unanswered > 0;
                if pressing || open || entry.mac == mac {
                    *entry = fresh;
                }
            }
            None if creates => {
                self.neighbours.insert(address, fresh);
            }
            None => {}
        }
    }

    fn hear_solicitation(&mut self, nic: usize, ask: &Solicitation, now: Instant) -> Option<Frame> {
        let (source, target) = (IpAddr::V6(ask.source), IpAddr::V6(ask.target));
        if self.is_mine(nic, source) || !self.replies(nic, target, now) {
            return None;
        }
        let asker = ask.source_mac.unwrap_or(ask.link_source);
        let probe = ask.is_probe();
        if !probe {
            self.learn(source, asker, true, true, now);
        }
        let mut answer = Advertisement::unsolicited(self.nics[nic].mac, ask.target, false);
        if probe {
            answer.link_destination = Mac::ipv6_multicast(ALL_NODES);
        } else {
            answer.solicited = true;
            answer.destination = ask.source;
            answer.link_destination = asker;
        }
        Some(answer.encode())
    }

    fn hear_advertisement(&mut self, nic: usize, told: &Advertisement, now: Instant) {
        let target = IpAddr::V6(told.target);
        if self.is_mine(nic, target) || !told.override_flag {
            return;
        }
        if let Some(mac) = told.target_mac {
            self.learn(target, mac, true, false, now);
        }
    }

    /// A question for an address that is to be reached, and the entry that waits for its answer.
    /// `None` where the address is of this host.
    pub fn ask(&mut self, address: IpAddr) -> Option<Frame> {
        if self.is_mine(0, address) {
            return None;
        }
        let nic = &self.nics[0];
        let known = self.neighbours.get_mut(&address).map(|entry| {
            entry.unanswered += 1;
            *entry
        });
        // Three times the one that is remembered, then everybody.
        let to = known.filter(|entry| entry.unanswered <= 3).map(|entry| entry.mac);
        Some(match address {
            IpAddr::V4(v4) => {
                let question = ArpPacket::request(nic.mac, nic.ipv4, v4);
                question.encode(nic.mac, to.unwrap_or(Mac::BROADCAST))
            }
            IpAddr::V6(v6) => Solicitation::request(nic.mac, nic.ipv6, v6, to).encode(),
        })
    }

    /// An answer to a question of ours, which creates an entry where there is none.
    pub fn expect_answer(&mut self, frame: &[u8], now: Instant) {
        let Ok(heard) = standin_core::neighbour::hear(frame) else { return };
        if let (Some(address), None) = (heard.asserts, heard.asks)
            && !self.is_mine(0, address)
            && !self.neighbours.contains_key(&address)
        {
            let fresh = Entry { mac: heard.mac, updated: now, unanswered: 0 };
            self.neighbours.insert(address, fresh);
        }
    }
}
