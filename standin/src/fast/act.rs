//! Carrying out the core's actions.
//!
//! Owns the way from an [`Action`] to a system call and back to its acknowledgement. Invariant:
//! actions are carried out in their order; what the kernel acknowledged is handed in before the
//! next is asked for, so that an announcement never overtakes its address.

use std::time::Duration;

use standin_core::config::{LinkId, PeerId, VipId};
use standin_core::report::Report;
use standin_core::wire::frame::Frame;
use standin_core::{Action, Input, Instant, step};
use standin_sys::netlink::AddressSpec;

use super::leases::{Quieting, Renewal};
use super::ports::is_link_down;
use super::{FastLoop, ROUNDS_PER_TURN, now};
use crate::failure::Result;
use crate::host::{ADDRESS_PROTO, Install};
use crate::link::ToSlow;

/// What the kernel says of an address that is not there, or whose interface is not.
const NOT_THERE: [i32; 2] = [99, 19];

/// Frames that leave through one interface in one call.
#[derive(Default)]
struct Batch {
    link: Option<LinkId>,
    frames: Vec<(Frame, Option<PeerId>)>,
    /// What is to be told once they are sent: that an address was announced.
    reports: Vec<Report>,
}

/// So many frames are sent in one go: their memory stays small.
const BATCH_MOST: usize = 512;

impl FastLoop<'_> {
    /// Carries out everything there is to do, and what follows from its acknowledgements; before that
    /// what has come meanwhile is read.
    pub(super) fn carry_out(&mut self) -> Result<()> {
        for _ in 0..ROUNDS_PER_TURN {
            self.drain_actions();
            let acknowledged = self.exchange();
            let answered = std::mem::take(&mut self.answered);
            if !(acknowledged || answered) {
                break;
            }
            self.take_in(now())?;
        }
        Ok(())
    }

    pub(super) fn drain_actions(&mut self) {
        let mut batch = Batch::default();
        let mut renewal = Renewal::default();
        let mut quieting = Quieting::default();
        while let Some(action) = self.next_action(&mut renewal, &mut quieting) {
            if let Action::QuietAddress { vip, quiet } = action {
                // What depends on it waits for its acknowledgement.
                self.gather_quiet(&mut quieting, vip, quiet);
                continue;
            }
            if let Action::ExtendLease { group, vips, until } = action {
                self.send_batch(&mut batch);
                self.send_heartbeats();
                self.gather_lease(&mut renewal, group, vips, until);
                continue;
            }
            self.extend_leases(&mut renewal);
            if let Action::SendHeartbeat { peer, bytes } = action {
                self.send_batch(&mut batch);
                self.departing.push((peer, bytes));
                continue;
            }
            self.send_heartbeats();
            if let Action::SendFrame { link, frame, probes } = action {
                if batch.link != Some(link) || batch.frames.len() >= BATCH_MOST {
                    self.send_batch(&mut batch);
                }
                batch.link = Some(link);
                batch.frames.push((frame, probes));
                continue;
            }
            // Many addresses are claimed at once: a report of each must not part their frames.
            if let (Action::Report(report), false) = (&action, batch.frames.is_empty()) {
                batch.reports.push(report.clone());
                continue;
            }
            self.send_batch(&mut batch);
            self.act(action);
        }
        self.send_batch(&mut batch);
        self.send_heartbeats();
    }

    /// The next action. When there is none the leases and the quiet that were gathered go to the kernel, and
    /// what follows from its word is next.
    fn next_action(&mut self, renewal: &mut Renewal, quieting: &mut Quieting) -> Option<Action> {
        self.node.poll_action().or_else(|| {
            self.extend_leases(renewal);
            self.quiet_addresses(quieting);
            self.node.poll_action()
        })
    }

    fn act(&mut self, action: Action) {
        let at = now();
        match action {
            // Gathered by the caller.
            Action::SendFrame { .. }
            | Action::ExtendLease { .. }
            | Action::QuietAddress { .. }
            | Action::SendHeartbeat { .. } => {}
            Action::SendEcho { peer, to, link, message } => {
                self.send_echo(at, peer, to, link, &message);
            }
            Action::SignLife { lifetime } => self.gather_sign(lifetime),
            Action::AddAddress { vip, lifetime } if self.installs[vip.index()].route => {
                self.add_route(vip, lifetime);
            }
            Action::RemoveAddress { vip } if self.installs[vip.index()].route => {
                self.remove_route(vip);
            }
            Action::AddAddress { vip, lifetime } => self.add_address(at, vip, lifetime),
            Action::RemoveAddress { vip } => {
                let install = &self.installs[vip.index()];
                let (ifindex, ip, prefix) = (install.ifindex, install.address, install.prefix);
                let Some(doors) = &mut self.doors else { return };
                let sequence = doors.queue.push_removal(ifindex, ip, prefix);
                self.asked.insert(sequence, (vip, false));
            }
            Action::EndLease { group, vips } => self.end_lease(group, &vips),
            Action::Fence { node } => self.tell(at, ToSlow::Fence { node }),
            Action::RunCheck { check, target } => self.tell(at, ToSlow::RunCheck { check, target }),
            Action::Report(report) => self.tell(at, ToSlow::Report { at, report }),
            Action::Stopped => self.stopped = true,
        }
    }

    fn add_address(&mut self, at: Instant, vip: VipId, lifetime: Duration) {
        let (install, Some(doors)) = (&self.installs[vip.index()], &mut self.doors) else { return };
        match doors.queue.push_replace(&spec(install, lifetime)) {
            Ok(sequence) => {
                self.asked.insert(sequence, (vip, true));
            }
            Err(error) => {
                let result = Err(error.to_string());
                step(&mut self.node, at, Input::AddressAdded { vip, result });
            }
        }
    }

    fn send_echo(
        &mut self,
        at: Instant,
        peer: PeerId,
        to: std::net::IpAddr,
        link: Option<LinkId>,
        message: &Frame,
    ) {
        let socket = if to.is_ipv4() { &self.icmp_v4 } else { &self.icmp_v6 };
        let is_link_local = matches!(to, std::net::IpAddr::V6(v6) if v6.is_unicast_link_local());
        let scope = link.filter(|_| is_link_local).map(|link| self.ports[link.index()].ifindex);
        let Some(socket) = socket else { return };
        if let Err(error) = socket.send(to, scope, message) {
            let why = error.to_string();
            step(&mut self.node, at, Input::ProbeNotSent { peer, why: &why });
        }
    }

    fn send_batch(&mut self, batch: &mut Batch) {
        let Some(link) = batch.link.take() else { return };
        let mut frames = std::mem::take(&mut batch.frames);
        self.leave_out_stale(&mut frames);
        self.send_frames(link, frames);
        let at = now();
        for report in batch.reports.drain(..) {
            self.tell(at, ToSlow::Report { at, report });
        }
    }

    fn send_frames(&mut self, link: LinkId, mut frames: Vec<(Frame, Option<PeerId>)>) {
        let mut failure = None;
        while !frames.is_empty() {
            let Some(sockets) = &self.ports[link.index()].sockets else { break };
            let bytes: Vec<&[u8]> = frames.iter().map(|(frame, _)| &**frame).collect();
            match sockets.arp.send_batch(&bytes) {
                Ok(0) => break,
                Ok(sent) => {
                    frames.drain(..sent);
                }
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if frames.is_empty() {
            return;
        }
        let at = now();
        let why = failure.as_ref().map_or("its queue is full".to_owned(), ToString::to_string);
        for peer in frames.iter().filter_map(|(_, probes)| *probes) {
            step(&mut self.node, at, Input::ProbeNotSent { peer, why: &why });
        }
        if let Some(error) = failure.filter(|error| !is_link_down(error)) {
            self.complain(at, &error);
        }
    }

    /// Sends what was asked of the kernel and hands in its answers; whether there were any.
    fn exchange(&mut self) -> bool {
        let routed = self.exchange_routes();
        if self.asked.is_empty() {
            return routed;
        }
        let flushed = self.doors.as_mut().map(|doors| doors.queue.flush());
        if let Some(Err(error)) = flushed {
            self.complain(now(), &error);
        }
        let mut answered = routed;
        while let Some(doors) = &mut self.doors {
            let answer = match doors.queue.poll() {
                Ok(Some(answer)) => answer,
                Ok(None) => break,
                Err(error) => {
                    // The core asks again for what was not answered.
                    self.asked.clear();
                    self.complain(now(), &error);
                    break;
                }
            };
            let Some((vip, adds)) = self.asked.remove(&answer.sequence) else { continue };
            answered = true;
            let input = match (adds, answer.outcome) {
                (true, outcome) => {
                    Input::AddressAdded { vip, result: outcome.map_err(|e| e.to_string()) }
                }
                (false, Err(error))
                    if !error.errno().is_some_and(|errno| NOT_THERE.contains(&errno)) =>
                {
                    Input::AddressRemoved { vip, result: Err(error.to_string()) }
                }
                (false, _) => Input::AddressRemoved { vip, result: Ok(()) },
            };
            step(&mut self.node, now(), input);
        }
        answered
    }
}

fn spec(install: &Install, lifetime: Duration) -> AddressSpec {
    let mut spec = AddressSpec::new(install.ifindex, install.address, install.prefix);
    spec.label.clone_from(&install.label);
    spec.proto = Some(ADDRESS_PROTO);
    spec.no_dad = true;
    spec.valid_lft_s = Some(u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX).max(1));
    // Never the source of what this host sends by itself.
    spec.preferred_lft_s = install.address.is_ipv6().then_some(0);
    spec
}
