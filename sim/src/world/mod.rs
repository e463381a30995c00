//! A world: time, hosts, the network between them, and what must never be so in it.
//!
//! Owns virtual time and the order of events. Invariants: everything follows from the scenario and
//! the seed; the same two give the same [`World::fingerprint`]; the first promise that is broken
//! stands in [`World::broken`], and nothing happens after it.
//!
//! - `network`: the switch, the paths and what goes wrong on them.
//! - `process`: a daemon's turn.
//! - `request`: what it asks of its kernel, and what becomes of that.
//! - `lease`: the same for leases.
//! - `reload`: a file that is read again.
//! - `operation`: what can be done to a world, in sentences.
//! - `safety`: what is checked after every event; `exclusive`: what quorum promises besides.
//! - `view`: what can be seen.

mod exclusive;
mod lease;
mod network;
mod operation;
mod process;
mod reload;
mod request;
mod safety;
mod view;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use standin_core::Instant;

use crate::clock::Clock;
use crate::file::File;
use crate::guard::Guard;
use crate::kernel::Kernel;
use crate::random::Random;
use crate::scenario::{HostId, Kind, Scenario};

pub use network::Wire;
pub use operation::Operation;

use exclusive::Overlaps;
use network::{Packet, Segment};
use process::{Process, Waiting};
use safety::Safety;

/// How often a router looks whether it knows where to send what its clients send.
const ROUTER_INTERVAL: Duration = Duration::from_millis(500);

/// A host.
#[derive(Debug)]
pub struct Host {
    /// It has power.
    pub powered: bool,
    /// Its kernel.
    pub kernel: Kernel,
    /// Its service answers wherever the host has the address.
    pub service: bool,
    /// Hosts whose checks of an address that is here get no answer.
    pub unanswered: Vec<HostId>,
    clock: Clock,
    file: File,
    process: Option<Box<Process>>,
    /// Which run of its daemon this is; what was meant for an earlier one is lost.
    run: u32,
    /// Its kernel does what it is told, and has been told again what it refused, from then on.
    sound_from: Instant,
    /// The latest acknowledgement of its kernel: they come in the order of the requests.
    acknowledged_at: Instant,
    /// Questions of a router that wait for their answer.
    asking: BTreeMap<IpAddr, Instant>,
}

#[derive(Debug)]
enum Event {
    Arrive { to: HostId, segment: usize, packet: Packet },
    ForProcess { to: HostId, run: u32, input: Waiting },
    Turn { host: HostId, run: u32 },
    Expire { host: HostId, address: IpAddr },
    SignEnds { host: HostId },
    Router { host: HostId },
    Operation(Operation),
    Examine,
}

#[derive(Debug)]
struct Queued {
    at: Instant,
    order: u64,
    event: Box<Event>,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Heartbeats that an attacker wrote down.
type Recording = (HostId, IpAddr, Rc<[u8]>);

/// A world.
#[derive(Debug)]
pub struct World {
    /// What it is about.
    pub scenario: Rc<Scenario>,
    /// The time.
    pub now: Instant,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The first promise that was broken.
    pub broken: Option<String>,
    /// What happened, for people; only where it was asked for.
    pub story: Option<Vec<String>>,
    /// How often an address came to a host or went from it.
    pub changes: u64,
    /// Events so far.
    pub events: u64,
    segments: Vec<Segment>,
    /// The latest voters that any node has taken over.
    voters: usize,
    /// Daemons are not stopped in the middle of a turn any more.
    smooth: bool,
    random: Random,
    queue: BinaryHeap<Reverse<Queued>>,
    queued: u64,
    fingerprint: u64,
    safety: Safety,
    overlaps: Overlaps,
    recordings: VecDeque<Recording>,
    vips: Vec<IpAddr>,
}

impl World {
    /// A world in which every node has power and its daemon starts.
    pub fn new(scenario: Scenario, mut random: Random, story: bool) -> Self {
        let scenario = Rc::new(scenario);
        let hosts = (0..scenario.hosts()).map(|host| {
            let fast = match random.below(4) {
                0 => -10_000,
                1 => 10_000,
                _ => random.below(20_001).cast_signed() - 10_000,
            };
            let clock = Clock::new(random.below(1 << 40), fast);
            let tick = Duration::from_millis(random.pick(&[1, 4, 10]));
            let mut kernel = Kernel::new(scenario.nics(host), Guard::new(clock, tick));
            kernel.routes = scenario.routes && host < scenario.nodes();
            if let Some(router) = host.checked_sub(scenario.members()) {
                let plan = scenario.routers.get(router);
                kernel.accepts_untracked = plan.is_some_and(|plan| plan.accepts_untracked);
            }
            Host {
                powered: true,
                kernel,
                service: true,
                unanswered: Vec::new(),
                clock,
                file: scenario.file,
                process: None,
                run: 0,
                acknowledged_at: Instant::default(),
                sound_from: Instant::default(),
                asking: BTreeMap::new(),
            }
        });
        let hosts: Vec<Host> = hosts.collect();
        let mut world = Self {
            now: Instant::from_nanos(0),
            segments: (0..scenario.paths).map(|_| Segment::new(hosts.len())).collect(),
            safety: Safety::new(scenario.nodes()),
            overlaps: Overlaps::default(),
            vips: scenario.vips().map(|(_, vip)| vip).collect(),
            hosts,
            broken: None,
            story: story.then(Vec::new),
            changes: 0,
            events: 0,
            voters: scenario.file.voters,
            smooth: false,
            random,
            queue: BinaryHeap::new(),
            queued: 0,
            fingerprint: 0xcbf2_9ce4_8422_2325,
            recordings: VecDeque::new(),
            scenario,
        };
        for node in 0..world.scenario.members() {
            world.start(node);
        }
        for router in world.scenario.routers() {
            world.schedule(world.now + ROUTER_INTERVAL, Event::Router { host: router });
        }
        world.look_at_paths();
        world
    }

    /// Has something done to the world later.
    pub fn plan(&mut self, at: Instant, operation: Operation) {
        self.schedule(at, Event::Operation(operation));
    }

    /// Lets time pass.
    pub fn run(&mut self, length: Duration) {
        self.run_to(self.now + length);
    }

    /// Lets time pass until then.
    pub fn run_to(&mut self, end: Instant) {
        while self.broken.is_none() && self.step(end) {}
        if self.broken.is_none() {
            self.now = end;
        }
    }

    /// Lets the next event happen, unless it is after `end`.
    pub fn step(&mut self, end: Instant) -> bool {
        if self.queue.peek().is_none_or(|Reverse(next)| next.at > end) {
            return false;
        }
        let Some(Reverse(Queued { at, event, .. })) = self.queue.pop() else { return false };
        self.now = at;
        self.events += 1;
        self.happen(*event);
        self.check_safety();
        true
    }

    /// Stands for everything that happened.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn schedule(&mut self, at: Instant, event: Event) {
        self.queued += 1;
        self.queue.push(Reverse(Queued { at, order: self.queued, event: Box::new(event) }));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { to, segment, packet } => self.arrive(to, segment, packet),
            Event::ForProcess { to, run, input } => {
                if self.hosts[to].run == run {
                    self.give(to, input);
                }
            }
            Event::Turn { host, run } => {
                if self.hosts[host].run == run {
                    self.turn(host);
                }
            }
            Event::Expire { host, address } => {
                let due = self.hosts[host].kernel.held.get(&address).copied().flatten();
                if due.is_some_and(|at| at <= self.now) {
                    self.lose_address(host, address);
                }
            }
            Event::SignEnds { host } => self.end_sign(host),
            Event::Router { host } => self.route(host),
            Event::Operation(operation) => self.operate(&operation),
            Event::Examine => {
                self.safety.dirty = true;
                self.look_at_paths();
            }
        }
    }

    /// Clients send to every VIP all the time: the router asks for those it does not know, and for
    /// those it has trusted for long enough.
    fn route(&mut self, host: HostId) {
        self.schedule(self.now + ROUTER_INTERVAL, Event::Router { host });
        let plan = self.scenario.routers[host - self.scenario.members()];
        for vip in self.vips.clone() {
            let kernel = &mut self.hosts[host].kernel;
            let entry = kernel.neighbours.get(&vip).copied();
            let stale = entry.is_none_or(|entry| {
                plan.refresh.is_some_and(|trust| self.now.since(entry.updated) >= trust)
            });
            if entry.is_some_and(|entry| entry.unanswered > 3) {
                kernel.neighbours.remove(&vip);
            }
            if stale && let Some(frame) = kernel.ask(vip) {
                self.hosts[host].asking.insert(vip, self.now);
                self.transmit(host, 0, &frame);
            }
        }
    }

    /// Notes what happened: in the fingerprint always, in the story if there is one.
    fn tell(&mut self, host: Option<HostId>, what: impl FnOnce() -> String) {
        let what = what();
        self.mix(what.as_bytes());
        let name = host.map(|host| self.scenario.name(host) + " ").unwrap_or_default();
        let seconds = self.now.as_nanos() / 1_000_000_000;
        let micros = self.now.as_nanos() / 1000 % 1_000_000;
        if let Some(story) = &mut self.story {
            story.push(format!("{seconds:>4}.{micros:06} {name}{what}"));
        }
    }

    fn mix(&mut self, bytes: &[u8]) {
        let mut mixed = self.fingerprint ^ self.now.as_nanos();
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            mixed = (mixed ^ u64::from_le_bytes(word)).wrapping_mul(0x0000_0100_0000_01b3);
            mixed ^= mixed >> 29;
        }
        self.fingerprint = mixed;
    }

    /// A promise is broken.
    fn break_promise(&mut self, what: String) {
        if self.broken.is_none() {
            self.tell(None, || format!("BROKEN: {what}"));
            self.broken = Some(what);
        }
    }

    fn is_cluster(&self) -> bool {
        self.scenario.kind == Kind::Cluster
    }
}
