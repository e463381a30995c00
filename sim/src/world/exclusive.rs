//! Never two: what must be so under authority `quorum`, checked after every event.
//!
//! Owns that promise alone, for groups that are released in doubt. It is judged at the kernels
//! (address, lifetime, nftables), whatever any node believes and whether or not anybody hears them:
//!
//! - No two kernels answer ARP or NDP for an address.
//! - No two take traffic for it, but for [`SERVED_OUT_MOST`] while a move that was planned goes on:
//!   the giver is quiet, and serves out what still reaches it.
//! - Nobody announces an address for which another answers, unless it was stopped between the
//!   decision and the announcement.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::IpAddr;
use std::time::Duration;

use standin_core::Instant;
use standin_core::cluster::settings::OnDoubt;

use super::{Event, World};
use crate::scenario::HostId;

/// 50 ms of the giver's clock, which may be slow by one per cent.
pub const SERVED_OUT_MOST: Duration = Duration::from_micros(50_510);

/// What is remembered from one check to the next: since when two take traffic for an address.
#[derive(Debug, Default)]
pub(super) struct Overlaps(BTreeMap<(usize, HostId, HostId), Instant>);

impl World {
    /// Whether nobody may ever answer for an address besides its holder.
    pub(super) fn is_exclusive(&self, number: usize) -> bool {
        let group = self.scenario.vips().nth(number).map(|(group, _)| group);
        self.scenario.quorum.is_some()
            && group.is_some_and(|group| self.scenario.groups[group].on_doubt == OnDoubt::Release)
    }

    pub(super) fn look_for_two(&mut self, number: usize) {
        let vip = self.vips[number];
        let serves = |id: &HostId| {
            let host = &self.hosts[*id];
            host.powered && host.kernel.serves(vip, self.now)
        };
        let serving: Vec<HostId> = (0..self.scenario.nodes()).filter(serves).collect();
        if serving.len() < 2 {
            self.overlaps.0.retain(|key, _| key.0 != number);
            return;
        }
        let quiet = |id: &&HostId| self.hosts[**id].kernel.quiet.contains(&vip);
        let answering: Vec<HostId> = serving.iter().filter(|id| !quiet(id)).copied().collect();
        if let [a, b, ..] = answering[..] {
            let (a, b) = (self.scenario.name(a), self.scenario.name(b));
            self.break_promise(format!("{a} and {b} both answer for {vip}"));
        }
        let mut pairs = Vec::new();
        for (place, a) in serving.iter().enumerate() {
            pairs.extend(serving[place + 1..].iter().map(|b| (number, *a, *b)));
        }
        self.overlaps.0.retain(|key, _| key.0 != number || pairs.contains(key));
        let examine_at = self.now + SERVED_OUT_MOST + Duration::from_nanos(1);
        for pair in pairs {
            if let Entry::Vacant(free) = self.overlaps.0.entry(pair) {
                free.insert(self.now);
                self.schedule(examine_at, Event::Examine);
            }
        }
    }

    pub(super) fn check_overlaps(&mut self) {
        let over = |since: &Instant| self.now.since(*since) > SERVED_OUT_MOST;
        let found = self.overlaps.0.iter().find(|(_, since)| over(since));
        let Some(((number, a, b), since)) = found else { return };
        let vip = self.vips[*number];
        let (a, b) = (self.scenario.name(*a), self.scenario.name(*b));
        let length = self.now.since(*since);
        self.break_promise(format!("{a} and {b} both take traffic for {vip}, for {length:?}"));
    }

    /// A node announces an address, and was not stopped since it decided to.
    pub(super) fn check_rightful(&mut self, id: HostId, vip: IpAddr) {
        let number = self.vips.iter().position(|known| *known == vip);
        if !number.is_some_and(|number| self.is_exclusive(number)) {
            return;
        }
        if let Some(other) = self.answerers(vip).into_iter().find(|other| *other != id) {
            let (name, other) = (self.scenario.name(id), self.scenario.name(other));
            self.break_promise(format!("{name} announced {vip}, for which {other} answers"));
        }
    }
}
