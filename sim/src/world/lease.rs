//! Leases in the kernel of a host, and the power switch.
//!
//! Owns the steps of a renewal as `sys` makes them: a ticket, the clock, one transaction, the clock
//! again. A process may be stopped between any two of them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use standin_core::Instant;
use standin_core::config::VipId;
use standin_core::place::NodeId;

use super::process::{Waiting, Work};
use super::{Event, Operation, World};
use crate::guard::Guard;
use crate::scenario::HostId;

/// A ticket may be stale by the time it is used.
const ATTEMPTS: u32 = 4;

/// A renewal under way.
#[derive(Debug)]
pub(super) struct Renewal {
    groups: Vec<usize>,
    vips: Vec<IpAddr>,
    until: Instant,
    attempts: u32,
    too_long: bool,
    step: RenewalStep,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug)]
enum RenewalStep {
    TakeTicket,
    ReadClock { ticket: u64 },
    Ask { ticket: u64, taken: Instant },
    Judge { taken: Instant },
}

impl World {
    fn addresses(&self, vips: &[VipId]) -> Vec<IpAddr> {
        vips.iter().map(|vip| self.vips[vip.index()]).collect()
    }

    /// Those that follow each other with one end go to the kernel as one.
    pub(super) fn extend(&mut self, id: HostId, group: usize, vips: &Arc<[VipId]>, until: Instant) {
        let (mut groups, mut addresses) = (vec![group], self.addresses(vips));
        while let Some((group, vips)) = self.also_extended(id, until) {
            groups.push(group);
            addresses.extend(self.addresses(&vips));
        }
        let step = RenewalStep::TakeTicket;
        let (attempts, too_long) = (0, false);
        let renewal = Renewal { groups, vips: addresses, until, attempts, too_long, step };
        self.do_next(id, Work::Renew(renewal));
    }

    /// The next step of a renewal.
    pub(super) fn renew(&mut self, id: HostId, mut renewal: Renewal) {
        let own = self.hosts[id].clock.show(self.now);
        let now = self.now;
        match renewal.step {
            RenewalStep::TakeTicket => {
                if let Err(why) = self.is_refused(id) {
                    self.answer(id, &renewal, &Err(why));
                    return;
                }
                let ticket = self.hosts[id].kernel.guard.take_ticket(now);
                renewal.step = RenewalStep::ReadClock { ticket };
            }
            RenewalStep::ReadClock { ticket } => {
                renewal.step = RenewalStep::Ask { ticket, taken: own };
            }
            RenewalStep::Ask { ticket, taken } => {
                let Some(timeout) = Guard::timeout(taken, renewal.until, renewal.vips.len()) else {
                    let why = String::from("the lease ends too soon to be renewed");
                    self.answer(id, &renewal, &Err(why));
                    return;
                };
                if let Err(why) = self.is_refused(id) {
                    self.answer(id, &renewal, &Err(why));
                    return;
                }
                let guard = &mut self.hosts[id].kernel.guard;
                let Some(end) = guard.renew(ticket, &renewal.vips, timeout, now) else {
                    self.try_again(id, renewal);
                    return;
                };
                self.safety.dirty = true;
                self.schedule(end, Event::Examine);
                renewal.step = RenewalStep::Judge { taken };
            }
            RenewalStep::Judge { taken } => {
                if own.since(taken) <= Guard::allowance(renewal.vips.len()) {
                    self.answer(id, &renewal, &Ok(()));
                } else {
                    renewal.too_long = true;
                    self.try_again(id, renewal);
                }
                return;
            }
        }
        self.do_next(id, Work::Renew(renewal));
    }

    fn try_again(&mut self, id: HostId, mut renewal: Renewal) {
        renewal.attempts += 1;
        if renewal.attempts < ATTEMPTS {
            renewal.step = RenewalStep::TakeTicket;
            self.do_next(id, Work::Renew(renewal));
            return;
        }
        if renewal.too_long {
            self.hosts[id].kernel.guard.release(&renewal.vips);
            self.safety.dirty = true;
        }
        let why = String::from("more than 10 ms passed before the kernel had done it");
        self.answer(id, &renewal, &Err(why));
    }

    fn answer(&mut self, id: HostId, renewal: &Renewal, result: &Result<(), String>) {
        if let Err(why) = result {
            self.tell(Some(id), || format!("extends no lease in its kernel: {why}"));
        }
        for group in &renewal.groups {
            self.give(id, Waiting::Extended(*group, renewal.until, result.clone()));
        }
    }

    pub(super) fn end_lease(&mut self, id: HostId, group: usize, vips: &Arc<[VipId]>) {
        let result = self.is_refused(id);
        if result.is_ok() {
            let addresses = self.addresses(vips);
            self.hosts[id].kernel.guard.release(&addresses);
            self.safety.dirty = true;
            let name = self.scenario.groups[group].name.clone();
            self.tell(Some(id), || format!("has no lease of {name} in its kernel any more"));
        }
        self.give(id, Waiting::Ended(group, result));
    }

    /// The command takes its time, and works or does not.
    pub(super) fn fence(&mut self, id: HostId, node: NodeId) {
        let most = self.random.pick(&[50, 1000]);
        let takes = self.random.length(Duration::from_millis(5), Duration::from_millis(most));
        let works = self.random.percent(70);
        self.tell(Some(id), || format!("runs its fencing command against node {}", node.0));
        self.schedule(
            self.now + takes,
            Event::Operation(Operation::Fence(id, node.index(), works)),
        );
    }

    /// The fencing command has run.
    pub(super) fn fenced(&mut self, by: HostId, target: HostId, works: bool) {
        if works {
            self.power(target, false);
        }
        let result = if works { Ok(()) } else { Err(String::from("the switch did not answer")) };
        self.give(by, Waiting::Fenced(NodeId(target as u16), result));
    }
}
