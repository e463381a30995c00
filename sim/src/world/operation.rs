//! What can be done to a world: by its operators, by chance, by an attacker.
//!
//! Owns the words for each operation and what it does. Never chooses one.

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use standin_core::place::NodeId;

use super::network::Wire;
use super::process::Waiting;
use super::{Event, World};
use crate::file::Edit;
use crate::kernel::Trouble;
use crate::scenario::HostId;

/// What a kernel refused, or did not acknowledge, it is told again within this time.
const TOLD_AGAIN: Duration = Duration::from_millis(1100);

/// Something that is done to a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The daemon ends without a word.
    Kill(HostId),
    /// The daemon starts, and knows its own addresses of an earlier run.
    Start(HostId),
    /// The daemon is told to stop.
    Stop(HostId),
    /// The daemon is told to stop and to leave everything to the next run.
    StopKeeping(HostId),
    /// Power, off or on; a daemon starts with its host.
    Power(HostId, bool),
    /// The daemon does not run; its kernel does.
    Pause(HostId),
    /// It runs again.
    Resume(HostId),
    /// The daemon is stopped in the middle of a turn, after so many steps more, for so long.
    Freeze(HostId, u32, Duration),
    /// The files of a host are changed, and its daemon is told to read them again.
    Reload(HostId, Edit),
    /// No daemon is stopped in the middle of a turn any more.
    Smooth,
    /// The fencing command of a host against another has run, and worked or not.
    Fence(HostId, HostId, bool),
    /// An interface loses its carrier, or has it back.
    Carrier(HostId, usize, bool),
    /// On a segment nothing gets from one host to another; or it does again.
    Cut(usize, HostId, HostId, bool),
    /// A segment falls apart: those in the mask on one side.
    Partition(usize, u64),
    /// A segment is whole and sound again.
    Mend(usize),
    /// What goes wrong on a segment.
    Wire(usize, Wire),
    /// The switch of a segment forgets what it knows.
    Forget(usize),
    /// What goes wrong with requests to a kernel.
    Trouble(HostId, Trouble),
    /// Another program removes an address.
    Strip(HostId, IpAddr),
    /// The service of a host works, or does not.
    Service(HostId, bool),
    /// The operator, at a node, drains another (or it itself), or takes that back.
    Drain(HostId, HostId, bool),
    /// The operator, at a node, places a group.
    Place(HostId, usize, Option<HostId>),
    /// A stranger takes an address, or leaves.
    Stranger(IpAddr, bool),
    /// An attacker plays back what a host once heard, to it or to another.
    Replay(HostId, u64),
    /// An attacker sends a heartbeat with a bit turned round.
    Forge(HostId, u64),
    /// An attacker says that nobody takes heartbeats at another node.
    Refuse(HostId, HostId),
    /// Somebody sets the time of day. No node looks at it.
    StepClock(HostId),
}

/// An operation with the names of a world, for display.
struct Told<'a>(&'a Operation, &'a World);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |host: &HostId| self.1.scenario.name(*host);
        let group = |number: &usize| &self.1.scenario.groups[*number].name;
        match self.0 {
            Operation::Kill(host) => write!(f, "* {}'s daemon is killed", name(host)),
            Operation::Start(host) => write!(f, "* {}'s daemon starts", name(host)),
            Operation::Stop(host) => write!(f, "* {} is told to stop", name(host)),
            Operation::StopKeeping(host) => write!(f, "* {} is told to stop --keep", name(host)),
            Operation::Power(host, true) => write!(f, "* {} is switched on", name(host)),
            Operation::Power(host, false) => write!(f, "* {} loses its power", name(host)),
            Operation::Pause(host) => write!(f, "* {}'s daemon hangs", name(host)),
            Operation::Resume(host) => write!(f, "* {}'s daemon goes on", name(host)),
            Operation::Freeze(host, steps, length) => {
                let name = name(host);
                write!(f, "* {name}'s daemon will be stopped in {steps} steps, for {length:?}")
            }
            Operation::Reload(host, edit) => {
                write!(f, "* {} is told to read its file again: {edit:?}", name(host))
            }
            Operation::Smooth => write!(f, "* daemons are no longer held up"),
            Operation::Fence(by, host, works) => {
                let how = if *works { "switches off" } else { "fails against" };
                write!(f, "* the fencing command of {} {how} {}", name(by), name(host))
            }
            Operation::Carrier(host, segment, true) => {
                write!(f, "* {}'s eth{segment} has its carrier again", name(host))
            }
            Operation::Carrier(host, segment, false) => {
                write!(f, "* {}'s eth{segment} loses its carrier", name(host))
            }
            Operation::Cut(segment, from, to, cut) => {
                let how = if *cut { "nothing gets" } else { "packets get again" };
                write!(f, "* on segment {segment} {how} from {} to {}", name(from), name(to))
            }
            Operation::Partition(segment, mask) => {
                let inside = (0..self.1.hosts.len()).filter(|host| mask >> host & 1 == 1);
                let inside: Vec<String> = inside.map(|host| name(&host)).collect();
                write!(f, "* segment {segment} falls apart: {} alone", inside.join(", "))
            }
            Operation::Mend(segment) => write!(f, "* segment {segment} is whole and sound"),
            Operation::Wire(segment, wire) => write!(
                f,
                "* on segment {segment} {} % is lost, {} % doubled, and late by up to {:?}",
                wire.lose, wire.double, wire.late
            ),
            Operation::Forget(segment) => write!(f, "* the switch of segment {segment} restarts"),
            Operation::Trouble(host, trouble) => write!(
                f,
                "* {}'s kernel refuses {} %, loses {} % of its answers, undoes {} %, late by up \
                 to {:?}",
                name(host),
                trouble.refuse,
                trouble.lose,
                trouble.undo,
                trouble.late
            ),
            Operation::Strip(host, vip) => {
                write!(f, "* another program removes {vip} from {}", name(host))
            }
            Operation::Service(host, true) => write!(f, "* {}'s service works", name(host)),
            Operation::Service(host, false) => write!(f, "* {}'s service fails", name(host)),
            Operation::Drain(at, host, drained) => {
                let how = if *drained { "drained" } else { "drained no more" };
                write!(f, "* at {} {} is {how}", name(at), name(host))
            }
            Operation::Place(at, number, to) => {
                let to = to.map_or("where it belongs".to_owned(), |host| name(&host));
                write!(f, "* at {} {} is moved to {to}", name(at), group(number))
            }
            Operation::Stranger(vip, true) => write!(f, "* a stranger takes {vip}"),
            Operation::Stranger(vip, false) => write!(f, "* a stranger leaves {vip}"),
            Operation::Replay(host, _) => write!(f, "* an attacker plays back to {}", name(host)),
            Operation::Forge(host, _) => write!(f, "* an attacker sends {} a forgery", name(host)),
            Operation::Refuse(host, other) => {
                write!(f, "* an attacker tells {} that {} refuses", name(host), name(other))
            }
            Operation::StepClock(host) => write!(f, "* somebody sets {}'s time", name(host)),
        }
    }
}

impl World {
    /// Does it.
    pub fn operate(&mut self, operation: &Operation) {
        let told = Told(operation, self).to_string();
        self.tell(None, || told);
        match operation {
            Operation::Kill(host) => self.kill(*host),
            Operation::Start(host) => self.start(*host),
            Operation::Stop(host) => self.end_with(*host, Waiting::Stop),
            Operation::StopKeeping(host) => self.end_with(*host, Waiting::StopKeeping),
            Operation::Power(host, on) => self.power(*host, *on),
            Operation::Pause(host) => self.pause(*host, true),
            Operation::Resume(host) => self.pause(*host, false),
            Operation::Freeze(host, steps, length) => {
                if let Some(process) = &mut self.hosts[*host].process {
                    process.freeze = Some((*steps, *length));
                }
            }
            Operation::Reload(host, edit) => self.reload(*host, *edit),
            Operation::Smooth => {
                self.smooth = true;
                for process in self.hosts.iter_mut().filter_map(|host| host.process.as_mut()) {
                    process.freeze = None;
                }
            }
            Operation::Fence(by, host, works) => self.fenced(*by, *host, *works),
            Operation::Carrier(host, segment, up) => self.set_carrier(*host, *segment, *up),
            Operation::Cut(segment, from, to, cut) => {
                self.segments[*segment].cut(*from, *to, *cut);
            }
            Operation::Partition(segment, mask) => self.partition(*segment, *mask),
            Operation::Mend(segment) => self.segments[*segment].mend(),
            Operation::Wire(segment, wire) => self.segments[*segment].wire = *wire,
            Operation::Forget(segment) => self.segments[*segment].forget(),
            Operation::Trouble(host, trouble) => {
                let troubled = self.hosts[*host].kernel.trouble != Trouble::default();
                self.hosts[*host].kernel.trouble = *trouble;
                if troubled && *trouble == Trouble::default() {
                    self.hosts[*host].sound_from = self.now + TOLD_AGAIN;
                    self.schedule(self.now + TOLD_AGAIN, Event::Examine);
                }
            }
            Operation::Strip(host, vip) => self.lose_address(*host, *vip),
            Operation::Service(host, works) => self.hosts[*host].service = *works,
            Operation::Drain(at, host, drained) => {
                self.give(*at, Waiting::Drain(NodeId(*host as u16), *drained));
            }
            Operation::Place(at, group, to) => {
                let node = to.map(|host| NodeId(host as u16));
                self.give(*at, Waiting::Place(*group, node));
            }
            Operation::Stranger(vip, comes) => self.let_stranger(*vip, *comes),
            Operation::Replay(host, chance) => self.replay(*host, *chance),
            Operation::Forge(host, chance) => self.forge(*host, *chance),
            Operation::Refuse(host, other) => {
                let nic = &self.hosts[*other].kernel.nics[0];
                let v6 = self.scenario.heartbeats_v6;
                let from = if v6 { nic.ipv6.into() } else { nic.ipv4.into() };
                // Somebody reaches it, be it that one.
                self.safety.forget_alone(*host);
                self.give(*host, Waiting::Refused { from });
            }
            Operation::StepClock(_) => {}
        }
        self.look_at_paths();
    }

    pub(super) fn end_with(&mut self, host: HostId, input: Waiting) {
        let keeping = matches!(input, Waiting::StopKeeping);
        if let Some(process) = &mut self.hosts[host].process {
            process.leaving |= !keeping;
            process.keeping |= keeping;
        }
        self.give(host, input);
    }

    pub(super) fn power(&mut self, host: HostId, on: bool) {
        if self.hosts[host].powered == on {
            return;
        }
        self.kill(host);
        self.hosts[host].powered = on;
        let gone: Vec<IpAddr> = self.hosts[host].kernel.held.keys().copied().collect();
        self.hosts[host].kernel.boot();
        for address in gone {
            self.note_change(host, address, "lost");
        }
        if on {
            self.start(host);
        }
    }

    fn pause(&mut self, host: HostId, paused: bool) {
        let now = self.now;
        if let Some(process) = &mut self.hosts[host].process {
            process.paused = paused;
            process.wake_at = None;
            let goes_on = process.stopped_until.unwrap_or(now).max(now);
            if !paused {
                self.wake(host, goes_on);
            }
        }
    }

    fn set_carrier(&mut self, host: HostId, segment: usize, up: bool) {
        let Some(nic) = self.hosts[host].kernel.nics.get_mut(segment) else { return };
        if nic.up == up {
            return;
        }
        nic.up = up;
        self.safety.dirty = true;
        let state = self.scenario.link_state(&self.hosts[host].kernel.nics, segment);
        self.give(host, Waiting::Link(segment, state));
    }

    fn partition(&mut self, segment: usize, mask: u64) {
        let side = |host: usize| mask >> host & 1;
        for from in 0..self.hosts.len() {
            for to in 0..self.hosts.len() {
                self.segments[segment].cut(from, to, side(from) != side(to));
            }
        }
    }

    fn let_stranger(&mut self, vip: IpAddr, comes: bool) {
        let stranger = self.scenario.bystander();
        let held = &mut self.hosts[stranger].kernel.held;
        if !comes {
            held.remove(&vip);
        } else if held.insert(vip, None).is_none()
            && let IpAddr::V4(v4) = vip
        {
            let mac = self.hosts[stranger].kernel.nics[0].mac;
            let packet = standin_core::wire::arp::ArpPacket::gratuitous_request(mac, v4);
            let frame = packet.encode(mac, standin_core::wire::mac::Mac::BROADCAST);
            self.transmit(stranger, 0, &frame);
        }
    }

    fn replay(&mut self, host: HostId, chance: u64) {
        let Some(count) = self.recordings.len().checked_sub(1) else { return };
        let (_, from, bytes) = &self.recordings[(chance as usize) % (count + 1)];
        let (from, bytes) = (*from, bytes.clone());
        self.give(host, Waiting::Heartbeat { from, bytes, genuine: false });
    }

    fn forge(&mut self, host: HostId, chance: u64) {
        let Some((_, from, bytes)) = self.recordings.back().cloned() else { return };
        let mut bytes = bytes.to_vec();
        let bit = (chance as usize) % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        self.give(host, Waiting::Heartbeat { from, bytes: Rc::from(bytes), genuine: false });
    }
}
