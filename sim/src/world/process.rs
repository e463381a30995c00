//! A daemon: its turns, its requests to the kernel, its end.
//!
//! Owns the shell's contract with the core: every input through [`standin_core::step`] (overdue
//! timers first), then `Idle`, then all actions in their order, then sleep until `poll_timeout`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use standin_core::config::{CheckId, LinkId, LinkState, VipId};
use standin_core::io::CheckTarget;
use standin_core::place::NodeId;
use standin_core::wire::frame::Frame;
use standin_core::{Action, Input, Instant, Node, step};

use super::network::Packet;
use super::{Event, Operation, World};
use crate::scenario::HostId;

/// From a request to the kernel until its acknowledgement.
const ACK_DELAY: Duration = Duration::from_micros(20);
/// A check of a service that answers.
const CHECK_TAKES: Duration = Duration::from_millis(1);
/// What the sockets of a process hold; the rest is lost.
const INBOX_MOST: usize = 2000;
/// More turns in a second than anything here can need.
const TURNS_MOST: u32 = 20_000;
/// Heartbeats that an attacker keeps.
const RECORDINGS: usize = 64;

/// A running daemon.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) node: Node,
    /// It does not run: stopped, swapped out, starved.
    pub(super) paused: bool,
    /// It was told to stop.
    pub(super) leaving: bool,
    /// It was told to leave everything to the next run.
    pub(super) keeping: bool,
    /// What its kernel had of an earlier run.
    adopted: Vec<IpAddr>,
    started: Instant,
    inbox: VecDeque<Waiting>,
    pub(super) wake_at: Option<Instant>,
    second: u64,
    turns: u32,
}

/// An input that waits in a socket.
#[derive(Clone, Debug)]
pub(super) enum Waiting {
    Frame { segment: usize, frame: Frame },
    Echo { from: IpAddr, message: Frame },
    Heartbeat { from: IpAddr, bytes: Rc<[u8]>, genuine: bool },
    Refused { from: IpAddr },
    Added(VipId, Result<(), String>),
    Removed(VipId, Result<(), String>),
    Quieted(VipId, bool, Result<(), String>),
    Lost(VipId),
    Link(usize, LinkState),
    Check(CheckId, CheckTarget, Result<(), String>),
    Drain(NodeId, bool),
    Place(usize, Option<NodeId>),
    Stop,
    StopKeeping,
}

impl World {
    /// Starts the daemon of a host, unless it runs or the host has no power.
    pub(super) fn start(&mut self, id: HostId) {
        let secret = self.random.secret();
        let scenario = self.scenario.clone();
        let host = &mut self.hosts[id];
        if host.process.is_some() || !host.powered || id >= scenario.nodes() {
            return;
        }
        // What an earlier run was giving away is another's by now.
        for given in std::mem::take(&mut host.kernel.quiet) {
            self.lose_address(id, given);
        }
        let host = &mut self.hosts[id];
        let kernel = &host.kernel;
        let now = host.clock.show(self.now);
        let node = scenario.start(id, &kernel.nics, &|vip| kernel.has(vip), secret, now);
        let adopted = kernel.held.keys().copied().collect();
        host.run += 1;
        host.process = Some(Process {
            node,
            paused: false,
            leaving: false,
            keeping: false,
            adopted,
            started: self.now,
            inbox: VecDeque::new(),
            wake_at: None,
            second: 0,
            turns: 0,
        });
        self.wake(id, self.now + self.scenario.scheduling);
        self.look_at_paths();
    }

    /// Ends the daemon of a host without a word.
    pub(super) fn kill(&mut self, id: HostId) {
        let host = &mut self.hosts[id];
        host.process = None;
        host.run += 1;
        self.look_at_paths();
    }

    /// Puts an input where the process will find it.
    pub(super) fn give(&mut self, id: HostId, input: Waiting) {
        let at = self.now + self.scenario.scheduling;
        let Some(process) = &mut self.hosts[id].process else { return };
        if process.inbox.len() < INBOX_MOST {
            process.inbox.push_back(input);
        }
        self.wake(id, at);
    }

    pub(super) fn wake(&mut self, id: HostId, at: Instant) {
        let host = &mut self.hosts[id];
        let run = host.run;
        let Some(process) = &mut host.process else { return };
        if process.wake_at.is_none_or(|before| at < before) {
            process.wake_at = Some(at);
            self.schedule(at, Event::Turn { host: id, run });
        }
    }

    /// One turn of a daemon.
    pub(super) fn turn(&mut self, id: HostId) {
        let now = self.hosts[id].clock.show(self.now);
        let due = |process: &mut Process| {
            !process.paused && process.wake_at.is_some_and(|at| at <= self.now)
        };
        let Some(mut process) = self.hosts[id].process.take_if(due) else { return };
        process.wake_at = None;
        for waiting in std::mem::take(&mut process.inbox) {
            self.hand_in(id, &mut process.node, now, &waiting);
        }
        step(&mut process.node, now, Input::Idle);
        let mut actions = Vec::new();
        while let Some(action) = process.node.poll_action() {
            actions.push(action);
        }
        let next = process.node.poll_timeout();
        let second = now.as_nanos() / 1_000_000_000;
        process.turns = if process.second == second { process.turns + 1 } else { 0 };
        process.second = second;
        let turns = process.turns;
        self.hosts[id].process = Some(process);
        for action in actions {
            self.carry_out(id, action);
        }
        if turns > TURNS_MOST {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} spins: {turns} turns in a second"));
        }
        let Some((at, timer)) = next else { return };
        if at <= now {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} spins: {timer:?} is due again at once"));
        }
        let at = self.hosts[id].clock.when(at);
        self.wake(id, at);
    }

    fn hand_in(&mut self, id: HostId, node: &mut Node, now: Instant, waiting: &Waiting) {
        let input = match waiting {
            Waiting::Frame { segment, frame } => {
                Input::Frame { link: LinkId(*segment as u32), bytes: frame }
            }
            Waiting::Echo { from, message } => Input::Echo { from: *from, bytes: message },
            Waiting::Heartbeat { from, bytes, genuine: true } => {
                if self.recordings.len() == RECORDINGS {
                    self.recordings.pop_front();
                }
                self.recordings.push_back((id, *from, bytes.clone()));
                Input::Heartbeat { from: *from, bytes }
            }
            Waiting::Heartbeat { from, bytes, genuine: false } => {
                self.hand_in_forged(id, node, now, *from, bytes);
                return;
            }
            Waiting::Refused { from } => Input::HeartbeatRefused { from: *from },
            Waiting::Added(vip, result) => {
                Input::AddressAdded { vip: *vip, result: result.clone() }
            }
            Waiting::Removed(vip, result) => {
                Input::AddressRemoved { vip: *vip, result: result.clone() }
            }
            Waiting::Quieted(vip, quiet, result) => {
                Input::Quieted { vip: *vip, quiet: *quiet, result: result.clone() }
            }
            Waiting::Lost(vip) => Input::AddressLost { vip: *vip },
            Waiting::Link(segment, state) => {
                Input::Link { link: LinkId(*segment as u32), state: state.clone() }
            }
            Waiting::Check(check, target, result) => {
                Input::Check { check: *check, target: *target, result: result.clone() }
            }
            Waiting::Drain(node, drained) => Input::Drain { node: *node, drained: *drained },
            Waiting::Place(group, to) => Input::Place { group: *group, node: *to },
            Waiting::Stop => Input::Stop,
            Waiting::StopKeeping => Input::StopKeeping,
        };
        step(node, now, input);
    }

    /// A recording, or rubbish, must change nothing that is believed or held.
    fn hand_in_forged(
        &mut self,
        id: HostId,
        node: &mut Node,
        now: Instant,
        from: IpAddr,
        bytes: &[u8],
    ) {
        node.handle_timeout(now);
        let before = node.status(now);
        step(node, now, Input::Heartbeat { from, bytes });
        if node.status(now) != before {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} believed a heartbeat that an attacker sent"));
        }
    }

    fn carry_out(&mut self, id: HostId, action: Action) {
        match action {
            Action::SendFrame { link, frame, .. } => {
                self.check_announcement(id, &frame);
                self.mix(&frame);
                self.transmit(id, link.index(), &frame);
            }
            Action::SendEcho { to, message, .. } => {
                self.send_ip(id, to, &Packet::Request { from: id, to, message });
            }
            Action::ExtendLease { .. } | Action::EndLease { .. } | Action::Fence { .. } => {}
            Action::SendHeartbeat { peer, bytes } => self.send_heartbeat(id, peer.index(), &bytes),
            Action::AddAddress { vip, lifetime } => self.add_address(id, vip, lifetime),
            Action::RemoveAddress { vip } => self.remove_address(id, vip),
            Action::QuietAddress { vip, quiet } => self.quiet_address(id, vip, quiet),
            Action::RunCheck { check, target } => self.run_check(id, check, target),
            Action::Report(report) => self.tell(Some(id), || format!("says: {report}")),
            Action::Stopped => self.end(id),
        }
    }

    /// The same bytes to each address of the peer.
    fn send_heartbeat(&mut self, id: HostId, peer: usize, bytes: &[u8]) {
        let Some(to) = self.scenario.watched(id).nth(peer) else { return };
        let bytes: Rc<[u8]> = Rc::from(bytes);
        self.mix(&bytes);
        for segment in 0..self.scenario.paths {
            let real = |host: HostId| {
                let nic = &self.hosts[host].kernel.nics[segment];
                if self.scenario.heartbeats_v6 { nic.ipv6.into() } else { nic.ipv4.into() }
            };
            let (from, to): (IpAddr, IpAddr) = (real(id), real(to));
            let bytes = bytes.clone();
            self.send_ip(id, to, &Packet::Heartbeat { from, sender: id, to, bytes });
        }
    }

    /// The daemon says that it has stopped.
    fn end(&mut self, id: HostId) {
        self.tell(Some(id), || "has stopped".to_owned());
        let kept = self.hosts[id].process.as_ref().is_some_and(|process| process.keeping);
        let left: Vec<IpAddr> = self.hosts[id].kernel.held.keys().copied().collect();
        if !kept && let Some(vip) = left.first() {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} stopped and left {vip} behind"));
        }
        self.kill(id);
    }

    // The kernel.

    pub(super) fn lose_address(&mut self, id: HostId, address: IpAddr) {
        if self.hosts[id].kernel.held.remove(&address).is_none() {
            return;
        }
        self.note_change(id, address, "lost");
        if let Some(place) = self.vips.iter().position(|vip| *vip == address) {
            self.give(id, Waiting::Lost(VipId(place as u32)));
        }
    }

    pub(super) fn note_change(&mut self, id: HostId, address: IpAddr, what: &str) {
        self.changes += 1;
        self.safety.dirty = true;
        self.tell(Some(id), || format!("{what} {address}"));
    }

    fn is_refused(&mut self, id: HostId) -> Result<(), String> {
        let refused = self.random.percent(self.hosts[id].kernel.trouble.refuse);
        if refused { Err(String::from("no buffer space")) } else { Ok(()) }
    }

    fn add_address(&mut self, id: HostId, vip: VipId, lifetime: Duration) {
        let address = self.vips[vip.index()];
        let result = self.is_refused(id);
        if result.is_ok() {
            let until = self.now + self.hosts[id].clock.takes(lifetime);
            let new = self.hosts[id].kernel.held.insert(address, Some(until)).is_none();
            self.schedule(until, Event::Expire { host: id, address });
            if new {
                self.check_newcomer(id, address);
                self.note_change(id, address, "got");
            }
            if self.random.percent(self.hosts[id].kernel.trouble.undo) {
                self.schedule(
                    self.now + ACK_DELAY / 2,
                    Event::Operation(Operation::Strip(id, address)),
                );
            }
        }
        self.acknowledge(id, Waiting::Added(vip, result));
    }

    /// A newcomer takes nothing before it has heard each of its fellows, or found it dead; and it
    /// cannot have found it dead within `dead-after`, but for the rate of its clock.
    fn check_newcomer(&mut self, id: HostId, vip: IpAddr) {
        let Some(process) = &self.hosts[id].process else { return };
        if self.now.since(process.started) >= self.scenario.timing.dead_after * 98 / 100 {
            return;
        }
        // What it has of the group from an earlier run it may complete.
        let mut groups = self.scenario.groups.iter().map(|group| &group.addresses);
        let group = groups.find(|group| group.contains(&vip)).into_iter().flatten();
        let had_some = group.into_iter().any(|address| process.adopted.contains(address));
        let status = process.node.cluster_status().filter(|_| !had_some);
        let unheard = status.and_then(|status| {
            let mut nodes = status.nodes.into_iter();
            nodes.find(|node| node.life == standin_core::place::Life::Unknown)
        });
        if let Some(unheard) = unheard {
            let (name, unheard) = (self.scenario.name(id), unheard.name);
            self.break_promise(format!("{name} took {vip} and does not know about {unheard} yet"));
        }
    }

    fn remove_address(&mut self, id: HostId, vip: VipId) {
        let address = self.vips[vip.index()];
        let result = self.is_refused(id);
        if result.is_ok() {
            // The kernel tells everybody who listens, us included, and answers the request.
            self.lose_address(id, address);
        }
        self.acknowledge(id, Waiting::Removed(vip, result));
    }

    fn quiet_address(&mut self, id: HostId, vip: VipId, quiet: bool) {
        let address = self.vips[vip.index()];
        let result = self.is_refused(id);
        if result.is_ok() {
            let set = &mut self.hosts[id].kernel.quiet;
            let news = if quiet { set.insert(address) } else { set.remove(&address) };
            if news {
                self.safety.dirty = true;
                let what = if quiet { "is quiet about" } else { "answers again for" };
                self.tell(Some(id), || format!("{what} {address}"));
            }
        }
        self.acknowledge(id, Waiting::Quieted(vip, quiet, result));
    }

    fn acknowledge(&mut self, id: HostId, input: Waiting) {
        let trouble = self.hosts[id].kernel.trouble;
        if self.random.percent(trouble.lose) {
            return;
        }
        let late = self.random.length(Duration::ZERO, trouble.late);
        let run = self.hosts[id].run;
        let host = &mut self.hosts[id];
        let at = (self.now + ACK_DELAY + late).max(host.acknowledged_at);
        host.acknowledged_at = at;
        self.schedule(at, Event::ForProcess { to: id, run, input });
    }

    fn run_check(&mut self, by: HostId, check: CheckId, target: CheckTarget) {
        let group = check.index();
        let vip = self.scenario.groups[group].addresses[0];
        let answers = match target {
            CheckTarget::Home(_) => Some(by),
            CheckTarget::Vip if self.hosts[by].kernel.has(vip) => Some(by),
            CheckTarget::Vip => {
                (0..self.scenario.nodes()).find(|id| self.hosts[*id].kernel.has(vip))
            }
        };
        let result = match answers {
            Some(host) if self.hosts[host].unanswered.contains(&by) => {
                Err(String::from("timed out"))
            }
            Some(host) if self.hosts[host].service => Ok(()),
            Some(_) => Err(String::from("connection refused")),
            None => Err(String::from("timed out")),
        };
        let run = self.hosts[by].run;
        let input = Waiting::Check(check, target, result);
        self.schedule(self.now + CHECK_TAKES, Event::ForProcess { to: by, run, input });
    }
}
