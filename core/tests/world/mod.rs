//! A small deterministic world around the core: virtual time, one broadcast segment, hosts with a
//! kernel each, some of which run a node.
//!
//! Owns time, the wire, and the shell's contract with the core: every input through
//! [`standin_core::step`] (overdue timers first), then `Idle`, then all actions, then sleep until
//! `poll_timeout`. Invariants, checked at every turn: a node never asks to be called again at the
//! same instant, and announces an address as its own only while its kernel has it. The same seed
//! and the same calls give the same [`World::trace`].

#![allow(dead_code, reason = "each test file uses its own part of the world")]

pub mod kernel;
pub mod plan;
mod shell;
pub mod stage;
mod view;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use standin_core::config::{CheckId, LinkState, VipId};
use standin_core::io::CheckTarget;
use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;
use standin_core::{Instant, Node, Report};

use kernel::Kernel;
use plan::Plan;

/// From a host to every other.
pub const LATENCY: Duration = Duration::from_micros(100);

pub type HostId = usize;

/// Something that can be looked at afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub at: Instant,
    pub host: HostId,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A node sent a frame.
    Sent(Frame),
    /// The kernel got an address.
    Got(IpAddr),
    /// The kernel has an address no longer.
    Gone(IpAddr),
    /// A node said something.
    Said(Report),
    /// A node stopped.
    Stopped,
}

/// An input that waits in a socket.
#[derive(Clone, Debug)]
enum Waiting {
    Frame(Frame),
    Echo { from: IpAddr, message: Frame },
    Added(VipId, Result<(), String>),
    Removed(VipId, Result<(), String>),
    Lost(VipId),
    Link(LinkState),
    Check(CheckId, CheckTarget, Result<(), String>),
    Stop,
}

#[derive(Debug)]
enum Event {
    Frame {
        to: HostId,
        frame: Frame,
    },
    Echo {
        by: HostId,
        to: HostId,
        message: Frame,
    },
    EchoReply {
        from: HostId,
        to: HostId,
        message: Frame,
    },
    /// Something for the process of one boot of a host.
    ForNode {
        to: HostId,
        boot: u32,
        input: Waiting,
    },
    Turn {
        host: HostId,
        boot: u32,
    },
    Expire {
        host: HostId,
        address: IpAddr,
    },
}

#[expect(clippy::struct_excessive_bools, reason = "what can go wrong with a host is independent")]
pub struct Host {
    pub name: String,
    pub kernel: Kernel,
    pub node: Option<Node>,
    pub powered: bool,
    pub carrier: bool,
    /// Hosts hear each other only within a segment.
    pub segment: u32,
    /// Whether its service answers wherever it has the address.
    pub service: bool,
    stalled: bool,
    plan: Option<Plan>,
    boot: u32,
    inbox: VecDeque<Waiting>,
    wake_at: Option<Instant>,
    turns: (u64, u32),
}

pub struct World {
    pub now: Instant,
    pub hosts: Vec<Host>,
    pub log: Vec<Entry>,
    /// Of a thousand frames and echoes, so many are lost.
    pub loss_per_mille: u64,
    v6: bool,
    queue: BTreeMap<(Instant, u64), Event>,
    sequence: u64,
    random: u64,
    managed: BTreeSet<IpAddr>,
}

/// Runs a test in both families.
pub fn in_both_families(test: impl Fn(bool)) {
    for v6 in [false, true] {
        test(v6);
    }
}

impl World {
    pub fn new(v6: bool, seed: u64) -> Self {
        Self {
            now: Instant::from_nanos(3_600_000_000_000),
            hosts: Vec::new(),
            log: Vec::new(),
            loss_per_mille: 0,
            v6,
            queue: BTreeMap::new(),
            sequence: 0,
            random: seed,
            managed: BTreeSet::new(),
        }
    }

    /// An address of the segment.
    pub fn address(&self, number: u8) -> IpAddr {
        if self.v6 {
            IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(number)))
        } else {
            IpAddr::V4(Ipv4Addr::new(192, 0, 2, number))
        }
    }

    /// A host without a node: its real address and its MAC end in `number`.
    pub fn add_host(&mut self, name: &str, number: u8) -> HostId {
        let kernel = Kernel::new(Mac([2, 0, 0, 0, 0, number]), self.address(number));
        self.hosts.push(Host {
            name: name.to_owned(),
            kernel,
            node: None,
            powered: true,
            carrier: true,
            segment: 0,
            service: true,
            stalled: false,
            plan: None,
            boot: 0,
            inbox: VecDeque::new(),
            wake_at: None,
            turns: (0, 0),
        });
        self.hosts.len() - 1
    }

    /// Gives a host an address that outlives a boot.
    pub fn configure(&mut self, host: HostId, address: IpAddr) {
        self.hosts[host].kernel.configured.insert(address);
        self.hosts[host].kernel.held.insert(address, None);
    }

    /// The beginning of a plan for a host; `gateway` is told of every claim.
    pub fn plan(&self, host: HostId, gateway: HostId, dead_after: Duration) -> Plan {
        let mut link = self.link_state(host);
        link.gateways = vec![self.hosts[gateway].kernel.real];
        Plan::new(link, dead_after)
    }

    fn link_state(&self, host: HostId) -> LinkState {
        let host = &self.hosts[host];
        let gateways = host.plan.as_ref().map(|plan| plan.link.gateways.clone());
        LinkState {
            up: host.carrier,
            mac: host.kernel.mac,
            ipv4: match host.kernel.real {
                IpAddr::V4(v4) => Some(v4),
                IpAddr::V6(_) => None,
            },
            ipv6: match host.kernel.real {
                IpAddr::V4(_) => None,
                IpAddr::V6(v6) => Some(v6),
            },
            gateways: gateways.unwrap_or_default(),
            router: false,
        }
    }

    /// Starts the node of a host.
    pub fn start(&mut self, id: HostId, plan: Plan) {
        self.managed.extend(plan.vips.iter().map(|vip| vip.address));
        let seed = self.chance();
        let now = self.now;
        let host = &mut self.hosts[id];
        host.boot += 1;
        host.inbox.clear();
        host.wake_at = None;
        host.node = Some(Node::new(plan.config(), seed, now));
        host.plan = Some(plan);
        self.schedule_turn(id, now);
    }

    // What can happen to a host.

    /// Pulls the plug, or puts it in again; a node starts with its host.
    pub fn power(&mut self, id: HostId, on: bool) {
        let host = &mut self.hosts[id];
        if host.powered == on {
            return;
        }
        host.powered = on;
        host.node = None;
        host.inbox.clear();
        host.stalled = false;
        host.boot += 1;
        let gone: Vec<IpAddr> = host.kernel.held.keys().copied().collect();
        if on {
            host.kernel.boot();
            if let Some(plan) = host.plan.clone() {
                self.start(id, plan);
            }
        } else {
            host.kernel.held.clear();
            self.log.extend(gone.into_iter().map(|address| Entry {
                at: self.now,
                host: id,
                what: What::Gone(address),
            }));
        }
    }

    /// Kills the process: the kernel keeps the addresses for the rest of their lifetime.
    pub fn kill(&mut self, id: HostId) {
        let host = &mut self.hosts[id];
        host.node = None;
        host.boot += 1;
        host.inbox.clear();
    }

    pub fn carrier(&mut self, id: HostId, up: bool) {
        if self.hosts[id].carrier == up {
            return;
        }
        self.hosts[id].carrier = up;
        let state = self.link_state(id);
        self.give(id, Waiting::Link(state));
    }

    /// Stops and continues the process.
    pub fn stall(&mut self, id: HostId, stalled: bool) {
        self.hosts[id].stalled = stalled;
        if !stalled {
            self.schedule_turn(id, self.now);
        }
    }

    pub fn stop(&mut self, id: HostId) {
        self.give(id, Waiting::Stop);
    }

    /// Another program removes an address.
    pub fn strip(&mut self, id: HostId, address: IpAddr) {
        self.lose_address(id, address);
    }

    /// A host says something on the wire.
    pub fn say(&mut self, from: HostId, frame: &Frame) {
        self.transmit(from, frame);
    }

    // Time.

    pub fn run(&mut self, length: Duration) {
        let end = self.now + length;
        self.run_to(end);
    }

    pub fn run_to(&mut self, end: Instant) {
        while let Some(((at, _), event)) = self.pop_until(end) {
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// Runs until something is so, event by event.
    ///
    /// # Panics
    /// When it is not within `most`.
    #[track_caller]
    pub fn run_until(&mut self, most: Duration, what: &str, so: impl Fn(&Self) -> bool) {
        let end = self.now + most;
        while !so(self) {
            let Some(((at, _), event)) = self.pop_until(end) else {
                panic!("not within {most:?}: {what}\n{}", self.story());
            };
            self.now = at;
            self.happen(event);
        }
    }

    fn pop_until(&mut self, end: Instant) -> Option<((Instant, u64), Event)> {
        let first = self.queue.first_entry().filter(|first| first.key().0 <= end)?;
        Some(first.remove_entry())
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Frame { to, frame } => self.receive(to, &frame),
            Event::Echo { by, to, message } => self.answer_echo(by, to, &message),
            Event::EchoReply { from, to, message } => {
                if self.can_hear(to) {
                    let from = self.hosts[from].kernel.real;
                    self.give(to, Waiting::Echo { from, message });
                }
            }
            Event::ForNode { to, boot, input } => {
                if self.hosts[to].boot == boot {
                    self.give(to, input);
                }
            }
            Event::Turn { host, boot } => {
                let here = &self.hosts[host];
                if here.boot == boot && here.wake_at.is_some_and(|at| at <= self.now) {
                    self.turn(host);
                }
            }
            Event::Expire { host, address } => {
                let due = self.hosts[host].kernel.held.get(&address).copied().flatten();
                if due.is_some_and(|at| at <= self.now) {
                    self.lose_address(host, address);
                }
            }
        }
    }

    // The wire.

    fn chance(&mut self) -> u64 {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.chance() % limit
    }

    fn can_hear(&self, id: HostId) -> bool {
        self.hosts[id].powered && self.hosts[id].carrier
    }

    fn carries(&mut self, from: HostId, to: HostId) -> bool {
        let together = self.hosts[from].segment == self.hosts[to].segment;
        let lost = self.below(1000) < self.loss_per_mille;
        together && !lost && self.can_hear(from) && self.can_hear(to)
    }

    fn transmit(&mut self, from: HostId, frame: &Frame) {
        let destination = Mac([frame[0], frame[1], frame[2], frame[3], frame[4], frame[5]]);
        for to in 0..self.hosts.len() {
            let meant = destination.is_multicast() || destination == self.mac(to);
            if to != from && meant && self.carries(from, to) {
                self.schedule(self.now + LATENCY, Event::Frame { to, frame: frame.clone() });
            }
        }
    }

    fn receive(&mut self, to: HostId, frame: &Frame) {
        if !self.can_hear(to) {
            return;
        }
        if let Some(answer) = self.hosts[to].kernel.hear(frame) {
            self.transmit(to, &answer);
        }
        self.give(to, Waiting::Frame(frame.clone()));
    }

    fn send_echo(&mut self, by: HostId, address: IpAddr, message: &Frame) {
        let to = (0..self.hosts.len()).find(|id| self.hosts[*id].kernel.real == address);
        if let Some(to) = to.filter(|to| self.carries(by, *to)) {
            self.schedule(self.now + LATENCY, Event::Echo { by, to, message: message.clone() });
        }
    }

    fn answer_echo(&mut self, by: HostId, to: HostId, message: &Frame) {
        if self.hosts[to].kernel.real_is_silent || !self.can_hear(to) || !self.carries(to, by) {
            return;
        }
        let mut bytes = message.to_vec();
        if bytes[0] == 8 {
            bytes[0] = 0;
            // The checksum, for a first word that is 0x0800 less (RFC 1624).
            let (sum, carry) = u16::from_be_bytes([bytes[2], bytes[3]]).overflowing_add(0x0800);
            bytes[2..4].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
        } else {
            bytes[0] = 129;
        }
        let message = Frame::try_from(&bytes[..]).expect("as long as the request");
        self.schedule(self.now + LATENCY, Event::EchoReply { from: to, to: by, message });
    }
}
