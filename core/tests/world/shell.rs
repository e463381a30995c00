//! What the shell of a node does: inputs in, actions out, and the requests to the kernel.
//!
//! Owns the turn: every input through [`step`], then `Idle`, then all actions, then sleep until
//! `poll_timeout`. Checks the invariants of [`super`] on the way.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{CheckId, VipId};
use standin_core::io::CheckTarget;
use standin_core::wire::frame::Frame;
use standin_core::{Action, Input, Instant, neighbour, step};

use super::plan::LINK;
use super::{Entry, Event, Host, HostId, Waiting, What, World};

/// From a request to the kernel until its acknowledgement.
const ACK_DELAY: Duration = Duration::from_micros(20);
/// A check of a service that answers.
const CHECK_TAKES: Duration = Duration::from_millis(1);
/// More turns of one host in a virtual second than anything here can need.
const TURNS_MOST: u32 = 20_000;

impl World {
    pub(super) fn note(&mut self, host: HostId, what: What) {
        self.log.push(Entry { at: self.now, host, what });
    }

    fn vip_of(&self, host: HostId, address: IpAddr) -> Option<VipId> {
        let node = self.hosts[host].node.as_ref()?;
        let place = node.config().vips().iter().position(|vip| vip.address == address)?;
        Some(VipId(place as u32))
    }

    pub(super) fn lose_address(&mut self, host: HostId, address: IpAddr) {
        if self.hosts[host].kernel.held.remove(&address).is_none() {
            return;
        }
        self.note(host, What::Gone(address));
        if let Some(vip) = self.vip_of(host, address) {
            self.give(host, Waiting::Lost(vip));
        }
    }

    fn add_address(&mut self, id: HostId, vip: VipId, lifetime: Duration) {
        let now = self.now;
        let node = self.hosts[id].node.as_ref().expect("it asked");
        let address = node.config().vips()[vip.index()].address;
        let kernel = &mut self.hosts[id].kernel;
        let mut result = Ok(());
        if kernel.refuse_adds > 0 {
            kernel.refuse_adds -= 1;
            result = Err(String::from("no buffer space"));
        } else {
            let new = kernel.held.insert(address, Some(now + lifetime)).is_none();
            self.schedule(now + lifetime, Event::Expire { host: id, address });
            if new {
                self.note(id, What::Got(address));
            }
        }
        self.acknowledge(id, Waiting::Added(vip, result));
    }

    fn remove_address(&mut self, id: HostId, vip: VipId) {
        let node = self.hosts[id].node.as_ref().expect("it asked");
        let address = node.config().vips()[vip.index()].address;
        let kernel = &mut self.hosts[id].kernel;
        if kernel.refuse_removes > 0 {
            kernel.refuse_removes -= 1;
            self.acknowledge(id, Waiting::Removed(vip, Err(String::from("no buffer space"))));
            return;
        }
        // The kernel tells everybody who listens, us included, and answers the request.
        self.lose_address(id, address);
        self.acknowledge(id, Waiting::Removed(vip, Ok(())));
    }

    fn acknowledge(&mut self, id: HostId, input: Waiting) {
        let kernel = &mut self.hosts[id].kernel;
        if kernel.lose_acks > 0 {
            kernel.lose_acks -= 1;
            return;
        }
        let boot = self.hosts[id].boot;
        self.schedule(self.now + ACK_DELAY, Event::ForNode { to: id, boot, input });
    }

    /// Puts an input where the process will find it.
    pub(super) fn give(&mut self, id: HostId, input: Waiting) {
        if self.hosts[id].node.is_none() || !self.hosts[id].powered {
            return;
        }
        self.hosts[id].inbox.push_back(input);
        self.schedule_turn(id, self.now);
    }

    pub(super) fn schedule_turn(&mut self, id: HostId, at: Instant) {
        let host = &mut self.hosts[id];
        if host.wake_at.is_none_or(|before| at < before || before < self.now) {
            host.wake_at = Some(at);
            let boot = host.boot;
            self.schedule(at, Event::Turn { host: id, boot });
        }
    }

    /// One turn of a shell.
    pub(super) fn turn(&mut self, id: HostId) {
        let now = self.now;
        let host = &mut self.hosts[id];
        let Some(node) = host.node.as_mut().filter(|_| host.powered && !host.stalled) else {
            host.wake_at = None;
            return;
        };
        let second = now.as_nanos() / 1_000_000_000;
        host.turns = if host.turns.0 == second { (second, host.turns.1 + 1) } else { (second, 0) };
        assert!(host.turns.1 < TURNS_MOST, "{} spins", host.name);
        for waiting in host.inbox.drain(..) {
            let input = match &waiting {
                Waiting::Frame(frame) => Input::Frame { link: LINK, bytes: frame },
                Waiting::Echo { from, message } => Input::Echo { from: *from, bytes: message },
                Waiting::Added(vip, result) => {
                    Input::AddressAdded { vip: *vip, result: result.clone() }
                }
                Waiting::Removed(vip, result) => {
                    Input::AddressRemoved { vip: *vip, result: result.clone() }
                }
                Waiting::Lost(vip) => Input::AddressLost { vip: *vip },
                Waiting::Link(state) => Input::Link { link: LINK, state: state.clone() },
                Waiting::Check(check, target, result) => {
                    Input::Check { check: *check, target: *target, result: result.clone() }
                }
                Waiting::Stop => Input::Stop,
            };
            step(node, now, input);
        }
        step(node, now, Input::Idle);
        let mut actions = Vec::new();
        while let Some(action) = node.poll_action() {
            actions.push(action);
        }
        let next = node.poll_timeout();
        host.wake_at = None;
        for action in actions {
            self.carry_out(id, action);
        }
        if let Some((at, timer)) = next {
            assert!(at > now, "{} is due again at once: {timer:?}", self.hosts[id].name);
            self.schedule_turn(id, at);
        }
    }

    fn carry_out(&mut self, id: HostId, action: Action) {
        match action {
            Action::SendFrame { frame, .. } => {
                self.check_announcement(id, &frame);
                self.note(id, What::Sent(frame.clone()));
                self.transmit(id, &frame);
            }
            Action::SendEcho { to, message, .. } => self.send_echo(id, to, &message),
            Action::AddAddress { vip, lifetime } => self.add_address(id, vip, lifetime),
            Action::RemoveAddress { vip } => self.remove_address(id, vip),
            Action::RunCheck { check, target } => self.run_check(id, check, target),
            Action::Report(report) => self.note(id, What::Said(report)),
            Action::QuietAddress { .. }
            | Action::SendHeartbeat { .. }
            | Action::SignLife { .. }
            | Action::ExtendLease { .. }
            | Action::EndLease { .. }
            | Action::Fence { .. } => {
                panic!("{} is no node of a cluster", self.hosts[id].name)
            }
            Action::Stopped => self.note(id, What::Stopped),
        }
    }

    fn check_announcement(&self, id: HostId, frame: &Frame) {
        let heard = neighbour::hear(frame).expect("a node sends what it understands");
        let host = &self.hosts[id];
        if heard.mac == host.kernel.mac
            && let Some(address) = heard.asserts.filter(|a| self.managed.contains(a))
        {
            let name = &host.name;
            assert!(
                host.kernel.has(address),
                "{name} announced {address} without having it\n{}",
                self.story()
            );
        }
    }

    fn run_check(&mut self, by: HostId, check: CheckId, target: CheckTarget) {
        let node = self.hosts[by].node.as_ref().expect("it asked");
        let vip = node.config().checks()[check.index()].vip;
        let address = node.config().vips()[vip.index()].address;
        let answers = |host: &Host| match target {
            CheckTarget::Vip => host.kernel.has(address),
            CheckTarget::Home(real) => host.kernel.real == real,
        };
        let here = &self.hosts[by];
        let service = self.hosts.iter().find(|host| {
            host.powered && host.carrier && host.segment == here.segment && answers(host)
        });
        let result = match service {
            Some(host) if host.service => Ok(()),
            Some(_) => Err(String::from("connection refused")),
            None => Err(String::from("timed out")),
        };
        let boot = self.hosts[by].boot;
        let input = Waiting::Check(check, target, result);
        self.schedule(self.now + CHECK_TAKES, Event::ForNode { to: by, boot, input });
    }
}
