//! What a daemon asks of its kernel about addresses, and checks of services.
//!
//! Owns the kernel's side of a request: refused, undone, acknowledged late or never.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::Instant;
use standin_core::config::{CheckId, VipId};
use standin_core::io::CheckTarget;

use super::process::Waiting;
use super::{Event, Operation, World};
use crate::scenario::HostId;

/// From a request to the kernel until its acknowledgement.
const ACK_DELAY: Duration = Duration::from_micros(20);
/// With less left of its sign of life nothing of an earlier run is adopted.
const ADOPTABLE: Duration = Duration::from_millis(250);
/// A check of a service that answers.
const CHECK_TAKES: Duration = Duration::from_millis(1);

impl World {
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

    pub(super) fn is_refused(&mut self, id: HostId) -> Result<(), String> {
        let refused = self.random.percent(self.hosts[id].kernel.trouble.refuse);
        if refused { Err(String::from("no buffer space")) } else { Ok(()) }
    }

    pub(super) fn add_address(&mut self, id: HostId, vip: VipId, lifetime: Duration) {
        let address = self.vips[vip.index()];
        let mut result = self.is_refused(id);
        if self.hosts[id].kernel.refuses.contains(&address) {
            result = Err(String::from("permission denied"));
        }
        if result.is_ok() {
            let until = self.now + self.hosts[id].clock.takes(lifetime);
            let kernel = &mut self.hosts[id].kernel;
            let own_end = Some(until).filter(|_| !kernel.routes);
            let new = kernel.held.insert(address, own_end).is_none();
            if own_end.is_some() {
                self.schedule(until, Event::Expire { host: id, address });
            } else {
                self.sign_until(id, until);
            }
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

    /// What is held as routes is answered for, for so long.
    pub(super) fn sign_life(&mut self, id: HostId, lifetime: Duration) {
        let result = self.is_refused(id);
        if result.is_ok() {
            let until = self.now + self.hosts[id].clock.takes(lifetime);
            self.sign_until(id, until);
        }
        self.acknowledge(id, Waiting::Signed(result));
    }

    fn sign_until(&mut self, id: HostId, until: Instant) {
        self.hosts[id].kernel.alive_until = Some(until);
        self.safety.dirty = true;
        self.schedule(until, Event::SignEnds { host: id });
    }

    pub(super) fn end_sign(&mut self, id: HostId) {
        let kernel = &self.hosts[id].kernel;
        let ends = kernel.alive_until.is_some_and(|until| until <= self.now);
        if let Some(some) = kernel.held.keys().next().copied().filter(|_| ends) {
            self.note_change(id, some, "answers no more, without a sign of life, for all like");
        }
    }

    /// The routes of an earlier run that nobody looks after are removed before anything else.
    pub(super) fn sweep_routes(&mut self, id: HostId) {
        let kernel = &self.hosts[id].kernel;
        if !kernel.routes || kernel.alive_for(self.now) >= ADOPTABLE {
            return;
        }
        let left: Vec<IpAddr> = kernel.held.keys().copied().collect();
        for address in left {
            self.lose_address(id, address);
        }
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

    pub(super) fn remove_address(&mut self, id: HostId, vip: VipId) {
        let address = self.vips[vip.index()];
        let result = self.is_refused(id);
        if result.is_ok() {
            // The kernel tells everybody who listens, us included, and answers the request.
            self.lose_address(id, address);
        }
        self.acknowledge(id, Waiting::Removed(vip, result));
    }

    pub(super) fn quiet_address(&mut self, id: HostId, vip: VipId, quiet: bool) {
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

    pub(super) fn acknowledge(&mut self, id: HostId, input: Waiting) {
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

    pub(super) fn run_check(&mut self, by: HostId, check: CheckId, target: CheckTarget) {
        let group = check.index();
        let vip = self.scenario.groups[group].addresses[0];
        let answers = match target {
            CheckTarget::Home(_) => Some(by),
            CheckTarget::Vip if self.hosts[by].kernel.serves(vip, self.now) => Some(by),
            CheckTarget::Vip => {
                (0..self.scenario.nodes()).find(|id| self.hosts[*id].kernel.serves(vip, self.now))
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
