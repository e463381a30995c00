//! A daemon: its turns, step by step, and its end.
//!
//! Owns the shell's contract with the core: every input through [`standin_core::step`] (overdue
//! timers first), then `Idle`, then all actions in their order, then sleep until `poll_timeout`.
//! The clock is read once a turn, and again after each heartbeat was received. Between any two
//! steps a process may be stopped for any time: what it decided before, it does after.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use standin_core::cluster::leases::Memory;
use standin_core::config::{CheckId, LinkId, LinkState, VipId};
use standin_core::heartbeat::Rejected;
use standin_core::io::CheckTarget;
use standin_core::place::NodeId;
use standin_core::wire::frame::Frame;
use standin_core::{Action, Input, Instant, Node, step};

use super::lease::Renewal;
use super::network::Packet;
use super::{Event, World};
use crate::file::File;
use crate::scenario::HostId;

/// What the sockets of a process hold; the rest is lost.
const INBOX_MOST: usize = 2000;
/// Of a hundred times that something has come since the process was woken, and nothing hangs on it, so
/// many it waits for the next turn.
const READS_LESS: u64 = 50;
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
    /// It was stopped in the middle of a turn, until then.
    pub(super) stopped_until: Option<Instant>,
    /// It is to be stopped after so many steps more, for so long.
    pub(super) freeze: Option<(u32, Duration)>,
    /// It was told to stop.
    pub(super) leaving: bool,
    /// It was told to leave everything to the next run.
    pub(super) keeping: bool,
    /// So much of what waits was there when it was woken, and is not read yet.
    found: usize,
    /// It makes way for a run with another file.
    pub(super) reload: Option<File>,
    /// What its kernel had of an earlier run.
    pub(super) adopted: Vec<IpAddr>,
    pub(super) started: Instant,
    /// When its turn began, in the world's time: what it does was decided upon since.
    pub(super) decided_at: Instant,
    inbox: VecDeque<Waiting>,
    /// So many frames of the first segment did not fit, and it has not been told yet.
    lost_frames: u32,
    /// What is left of its turn.
    work: VecDeque<Work>,
    /// The clock as it was read for this turn.
    at: Instant,
    pub(super) wake_at: Option<Instant>,
    second: u64,
    turns: u32,
}

/// A step of a turn.
#[derive(Debug)]
pub(super) enum Work {
    /// Read the clock.
    Sample,
    /// Take what has arrived, one by one.
    Receive,
    /// Read the clock for what was just received.
    Stamp(Waiting),
    /// Give it to the core.
    HandIn(Waiting, Instant),
    /// All that has arrived was read.
    Idle,
    /// Take what the core has decided.
    Collect,
    /// Carry one of that out.
    Act(Action),
    /// Bring a lease into the kernel.
    Renew(Renewal),
    /// Until something arrives or is due.
    Sleep,
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
    Extended(usize, Instant, Result<(), String>),
    Ended(usize, Result<(), String>),
    Fenced(NodeId, Result<(), String>),
    Signed(Result<(), String>),
    Lost(VipId),
    Link(usize, LinkState),
    Check(CheckId, CheckTarget, Result<(), String>),
    Drain(NodeId, bool),
    Place(usize, Option<NodeId>),
    Stop,
    StopKeeping,
}

impl Waiting {
    /// Whether it waits in a socket, which may be full: signals and orders are not lost.
    fn is_packet(&self) -> bool {
        match self {
            Self::Frame { .. }
            | Self::Echo { .. }
            | Self::Heartbeat { .. }
            | Self::Refused { .. } => true,
            Self::Added(..)
            | Self::Removed(..)
            | Self::Quieted(..)
            | Self::Extended(..)
            | Self::Ended(..)
            | Self::Fenced(..)
            | Self::Signed(_)
            | Self::Lost(_)
            | Self::Link(..)
            | Self::Check(..)
            | Self::Drain(..)
            | Self::Place(..)
            | Self::Stop
            | Self::StopKeeping => false,
        }
    }
}

impl Process {
    /// Whether it makes its turns.
    pub(super) fn is_running(&self) -> bool {
        !self.paused && self.stopped_until.is_none()
    }
}

impl World {
    /// Starts the daemon of a host, unless it runs or the host has no power.
    pub(super) fn start(&mut self, id: HostId) {
        self.start_after(id, None);
    }

    /// The same in a process that ran with another file until now: with its voters, and what it
    /// knew of leases.
    pub(super) fn start_after(&mut self, id: HostId, earlier: Option<(usize, Option<Memory>)>) {
        let secret = self.random.secret();
        let scenario = self.scenario.clone();
        let host = &mut self.hosts[id];
        if host.process.is_some() || !host.powered || id >= scenario.members() {
            return;
        }
        // What an earlier run was giving away is another's by now.
        for given in std::mem::take(&mut host.kernel.quiet) {
            self.lose_address(id, given);
        }
        self.sweep_routes(id);
        let host = &mut self.hosts[id];
        host.kernel.guard.install(scenario.managed(id));
        self.safety.dirty = true;
        let kernel = &host.kernel;
        let now = host.clock.show(self.now);
        let (before, memory) = earlier.unzip();
        let with = (host.file, before);
        let mut node = scenario.start(id, with, &kernel.nics, &|vip| kernel.has(vip), secret, now);
        if let Some(memory) = memory.flatten() {
            node.recall_leases(memory);
        }
        let adopted = kernel.held.keys().copied().collect();
        host.run += 1;
        host.process = Some(Box::new(Process {
            node,
            paused: false,
            stopped_until: None,
            freeze: None,
            leaving: false,
            keeping: false,
            found: 0,
            reload: None,
            adopted,
            started: self.now,
            decided_at: self.now,
            inbox: VecDeque::new(),
            lost_frames: 0,
            work: VecDeque::new(),
            at: now,
            wake_at: None,
            second: 0,
            turns: 0,
        }));
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
        let of_vips = |waiting: &Waiting| matches!(waiting, Waiting::Frame { segment: 0, .. });
        let frames = || process.inbox.iter().filter(|waiting| of_vips(waiting)).count();
        if of_vips(&input) && frames() >= self.scenario.queue {
            process.lost_frames += 1;
        } else if process.inbox.len() < INBOX_MOST || !input.is_packet() {
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

    /// A daemon begins a turn, or goes on with the one in which it was stopped.
    pub(super) fn turn(&mut self, id: HostId) {
        let Some(process) = &mut self.hosts[id].process else { return };
        if process.paused || process.stopped_until.is_some_and(|until| until > self.now) {
            return;
        }
        if process.stopped_until.take().is_some() {
            self.look_at_paths();
        } else if process.work.is_empty() && process.wake_at.is_some_and(|at| at <= self.now) {
            process.wake_at = None;
            let turn = [Work::Sample, Work::Receive, Work::Idle, Work::Collect, Work::Sleep];
            process.work.extend(turn);
        }
        self.go_on(id);
    }

    fn go_on(&mut self, id: HostId) {
        let run = self.hosts[id].run;
        while self.hosts[id].run == run {
            let Some(process) = &mut self.hosts[id].process else { return };
            let Some(work) = process.work.pop_front() else { return };
            self.work(id, work);
            if self.is_stopped(id) {
                return;
            }
        }
    }

    /// Between two steps: whether the process is stopped here.
    fn is_stopped(&mut self, id: HostId) -> bool {
        let host = &mut self.hosts[id];
        let (run, now) = (host.run, self.now);
        let Some(process) = &mut host.process else { return false };
        let Some(next) = process.work.front() else { return false };
        let stall = self.scenario.stall;
        let length = match process.freeze {
            Some((0, length)) => {
                process.freeze = None;
                length
            }
            Some((steps, length)) => {
                process.freeze = Some((steps - 1, length));
                return false;
            }
            None if stall.chance > 0
                && !self.smooth
                && self.random.below(100_000) < stall.chance =>
            {
                let most = self.random.pick(&[1, 10, 100]);
                self.random.length(Duration::ZERO, stall.most * most / 100)
            }
            None => return false,
        };
        let next = format!("{next:?}");
        let next = next.split_once(|letter: char| !letter.is_alphanumeric()).map_or("", |n| n.0);
        let what = format!("* is stopped for {length:?} before it does: {next}");
        process.stopped_until = Some(now + length);
        self.tell(Some(id), || what);
        self.schedule(now + length, Event::Turn { host: id, run });
        self.look_at_paths();
        true
    }

    /// One step of a turn.
    fn work(&mut self, id: HostId, work: Work) {
        let now = self.hosts[id].clock.show(self.now);
        let Some(process) = &mut self.hosts[id].process else { return };
        match work {
            Work::Sample => {
                process.at = now;
                process.decided_at = self.now;
                process.found = process.inbox.len();
                process.node.handle_timeout(now);
            }
            Work::Receive => {
                // As the shell: what was there when it was woken is read in any case.
                let found = process.found;
                process.found = found.saturating_sub(1);
                let waits =
                    found == 0 && !process.inbox.is_empty() && !process.node.minds_silence();
                if !(waits && self.random.percent(READS_LESS))
                    && let Some(waiting) = process.inbox.pop_front()
                {
                    process.work.push_front(Work::Receive);
                    process.work.push_front(Work::Stamp(waiting));
                }
            }
            Work::Stamp(waiting) => {
                let stamped = matches!(waiting, Waiting::Heartbeat { .. });
                let at = if stamped { now } else { process.at };
                process.work.push_front(Work::HandIn(waiting, at));
            }
            Work::HandIn(waiting, at) => self.hand_in(id, at, &waiting),
            Work::Idle => {
                if process.node.is_asking() && std::mem::take(&mut process.lost_frames) > 0 {
                    step(&mut process.node, process.at, Input::FramesLost { link: LinkId(0) });
                }
                step(&mut process.node, process.at, Input::Idle);
            }
            Work::Collect => {
                let mut actions = Vec::new();
                while let Some(action) = process.node.poll_action() {
                    actions.push(action);
                }
                for action in actions.into_iter().rev() {
                    process.work.push_front(Work::Act(action));
                }
            }
            Work::Act(action) => self.carry_out(id, action),
            Work::Renew(renewal) => self.renew(id, renewal),
            Work::Sleep => self.sleep(id),
        }
    }

    /// Does this next.
    pub(super) fn do_next(&mut self, id: HostId, work: Work) {
        if let Some(process) = &mut self.hosts[id].process {
            process.work.push_front(work);
        }
    }

    /// If the next step is to extend a lease to the same end: its group and addresses.
    pub(super) fn also_extended(
        &mut self,
        id: HostId,
        end: Instant,
    ) -> Option<(usize, std::sync::Arc<[VipId]>)> {
        let process = self.hosts[id].process.as_mut()?;
        let next = process.work.pop_front_if(
            |work| matches!(work, Work::Act(Action::ExtendLease { until, .. }) if *until == end),
        )?;
        let Work::Act(Action::ExtendLease { group, vips, .. }) = next else { return None };
        Some((group, vips))
    }

    /// The end of a turn.
    fn sleep(&mut self, id: HostId) {
        let Some(process) = &mut self.hosts[id].process else { return };
        process.wake_at = None;
        let (at, waits) = (process.at, !process.inbox.is_empty());
        let next = process.node.poll_timeout();
        let second = at.as_nanos() / 1_000_000_000;
        process.turns = if process.second == second { process.turns + 1 } else { 0 };
        process.second = second;
        if process.turns > TURNS_MOST {
            let (name, turns) = (self.scenario.name(id), process.turns);
            self.break_promise(format!("{name} spins: {turns} turns in a second"));
        }
        if waits {
            self.wake(id, self.now + self.scenario.scheduling);
        }
        let Some((due, timer)) = next else { return };
        if due <= at {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} spins: {timer:?} is due again at once"));
        }
        let due = self.hosts[id].clock.when(due).max(self.now);
        self.wake(id, due);
    }

    fn hand_in(&mut self, id: HostId, at: Instant, waiting: &Waiting) {
        let Some(mut process) = self.hosts[id].process.take() else { return };
        self.hand_to(id, &mut process.node, at, waiting);
        self.hosts[id].process = Some(process);
    }

    fn hand_to(&mut self, id: HostId, node: &mut Node, now: Instant, waiting: &Waiting) {
        let input = match waiting {
            Waiting::Frame { segment, frame } => {
                Input::Frame { link: LinkId(*segment as u32), bytes: frame }
            }
            Waiting::Echo { from, message } => Input::Echo { from: *from, bytes: message },
            Waiting::Heartbeat { from, bytes, genuine: true } => {
                let unread = node.refused_as(Rejected::UnknownKey);
                step(node, now, Input::Heartbeat { from: *from, bytes });
                // What it could not read is still news to it, whoever brings it later.
                if node.refused_as(Rejected::UnknownKey) == unread {
                    self.record(id, *from, bytes);
                }
                return;
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
            Waiting::Extended(group, until, result) => {
                Input::LeaseExtended { group: *group, until: *until, result: result.clone() }
            }
            Waiting::Ended(group, result) => {
                Input::LeaseEnded { group: *group, result: result.clone() }
            }
            Waiting::Fenced(node, result) => Input::Fenced { node: *node, result: result.clone() },
            Waiting::Signed(result) => Input::LifeSigned { result: result.clone() },
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

    /// An attacker keeps what a host has heard.
    fn record(&mut self, by: HostId, from: IpAddr, bytes: &Rc<[u8]>) {
        if self.recordings.len() == RECORDINGS {
            self.recordings.pop_front();
        }
        self.recordings.push_back((by, from, bytes.clone()));
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
            Action::ExtendLease { group, vips, until } => self.extend(id, group, &vips, until),
            Action::EndLease { group, vips } => self.end_lease(id, group, &vips),
            Action::Fence { node } => self.fence(id, node),
            Action::SendHeartbeat { peer, bytes } => self.send_heartbeat(id, peer.index(), &bytes),
            Action::AddAddress { vip, lifetime } => self.add_address(id, vip, lifetime),
            Action::SignLife { lifetime } => self.sign_life(id, lifetime),
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
        if let Some(file) = self.hosts[id].process.as_ref().and_then(|process| process.reload) {
            self.follow(id, file);
            return;
        }
        self.tell(Some(id), || "has stopped".to_owned());
        let kept = self.hosts[id].process.as_ref().is_some_and(|process| process.keeping);
        let left: Vec<IpAddr> = self.hosts[id].kernel.held.keys().copied().collect();
        if !kept {
            self.hosts[id].kernel.guard.remove();
        }
        if !kept && let Some(vip) = left.first() {
            let name = self.scenario.name(id);
            self.break_promise(format!("{name} stopped and left {vip} behind"));
        }
        self.kill(id);
    }
}
