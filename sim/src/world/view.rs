//! What can be seen of a world: who has what, and whom a packet would reach.
//!
//! Owns nothing and changes nothing.

use std::net::IpAddr;

use standin_core::Instant;

use super::World;
use crate::file::Keys;
use crate::scenario::HostId;

impl World {
    /// Tells how each node sees each group in the end.
    pub(crate) fn tell_views(&mut self) {
        if self.story.is_none() {
            return;
        }
        for id in 0..self.hosts.len() {
            let Some(mut process) = self.hosts[id].process.take() else { continue };
            for group in 0..self.scenario.groups.len() {
                let Some(seen) = process.node.explain(group) else { continue };
                self.tell(Some(id), || {
                    format!("sees {}: {}; {}", seen.group, seen.reason, seen.nodes.join("; "))
                });
            }
            let lease = process.node.cluster_status().map(|status| {
                let each = status.groups.iter();
                each.map(|group| format!("{:?} {:?}", group.name, group.lease)).collect::<Vec<_>>()
            });
            self.tell(Some(id), || {
                format!("has the leases {}", lease.unwrap_or_default().join(", "))
            });
            self.hosts[id].process = Some(process);
        }
    }

    /// The nodes whose kernel has an address.
    pub fn holders(&self, address: IpAddr) -> Vec<HostId> {
        let has = |id: &HostId| {
            self.hosts[*id].powered && self.hosts[*id].kernel.holds(address, self.now)
        };
        (0..self.scenario.nodes()).filter(has).collect()
    }

    /// The nodes that answer ARP or NDP for an address.
    pub fn answerers(&self, address: IpAddr) -> Vec<HostId> {
        let answers = |id: &HostId| {
            self.hosts[*id].powered && self.hosts[*id].kernel.answers(address, self.now)
        };
        (0..self.scenario.nodes()).filter(answers).collect()
    }

    /// Whom a packet for an address would reach now, sent by the first router; `None` where nobody
    /// would take it.
    pub fn reached(&self, address: IpAddr) -> Option<HostId> {
        self.reached_from(self.scenario.members(), address)
    }

    /// The same, sent by any router.
    pub fn reached_from(&self, router: HostId, address: IpAddr) -> Option<HostId> {
        let mac = self.hosts[router].kernel.neighbours.get(&address)?.mac;
        let switch = &self.segments[0];
        let owner = self.hosts.iter().position(|host| host.kernel.nics[0].mac == mac)?;
        // What the switch does not know it sends everywhere.
        let port = switch.port(mac).unwrap_or(owner);
        let gets_through = self.is_linked(router, 0)
            && self.is_linked(port, 0)
            && !switch.is_cut(router, port)
            && port == owner;
        (gets_through && self.hosts[port].kernel.serves(address, self.now)).then_some(port)
    }

    /// Whether a router has forgotten an address, and would ask for it.
    pub fn is_forgotten(&self, router: HostId, address: IpAddr) -> bool {
        !self.hosts[router].kernel.neighbours.contains_key(&address)
    }

    /// Whether the daemon of a node runs and was not told to stop.
    pub fn runs(&self, id: HostId) -> bool {
        let process = self.hosts[id].process.as_ref();
        process.is_some_and(|process| process.is_running() && !process.leaving && !process.keeping)
    }

    /// Whether more than half of those who vote are there, by every file that may be in force;
    /// `None` where one says so and another does not. Under authority `none` nobody asks.
    pub fn has_majority(&self) -> Option<bool> {
        if self.scenario.quorum.is_none() {
            return Some(true);
        }
        let votes = |id: &HostId| {
            let reached = (0..self.segments.len()).any(|segment| self.is_linked(*id, segment));
            let process = self.hosts[*id].process.as_ref();
            process.is_some_and(|process| process.is_running()) && reached
        };
        let here: Vec<HostId> = (0..self.scenario.members()).filter(votes).collect();
        let files = here.iter().map(|id| self.hosts[*id].file.voters);
        let (least, most) = (files.clone().min(), files.max());
        let (Some(least), Some(most)) = (least, most) else { return Some(false) };
        // Until a change is settled the voters before are asked as well.
        let near = usize::from(self.scenario.reloads);
        let each = least.saturating_sub(near)..=(most + near).min(self.scenario.witnesses);
        let mut all = each.map(|witnesses| {
            let all = self.scenario.nodes() + witnesses;
            here.iter().filter(|id| **id < all).count() * 2 > all
        });
        let first = all.next().unwrap_or(false);
        (least == most && all.all(|other| other == first)).then_some(first)
    }

    /// The latest voters that any node has taken over.
    pub fn latest_voters(&self) -> usize {
        self.voters
    }

    /// The keys with which an exchange that has begun ends.
    pub fn latest_keys(&self) -> Keys {
        let keys = self.hosts[..self.scenario.members()].iter().map(|host| host.file.keys);
        let begun = |keys: Keys| !matches!(keys, Keys::Old | Keys::Wrong);
        if keys.into_iter().any(begun) { Keys::New } else { Keys::Old }
    }

    /// Whether the daemon of a node was told to leave everything to the next run, and still runs.
    pub fn is_keeping(&self, id: HostId) -> bool {
        self.hosts[id].process.as_ref().is_some_and(|process| process.keeping)
    }

    /// Until when the daemon of a node is held up; now where it is not.
    pub fn held_up_until(&self, id: HostId) -> Instant {
        let process = self.hosts[id].process.as_ref();
        process.and_then(|process| process.stopped_until).unwrap_or(self.now).max(self.now)
    }

    /// Whether there is a daemon at all.
    pub fn has_daemon(&self, id: HostId) -> bool {
        self.hosts[id].process.is_some()
    }

    /// Whether a node can hold a group: it has power, its daemon runs, it is not drained, its link
    /// is up, and its service works where that is checked.
    pub fn is_eligible(&self, id: HostId) -> bool {
        let host = &self.hosts[id];
        let service = host.service || !self.scenario.checked;
        self.runs(id) && self.is_linked(id, 0) && !self.is_drained(id) && service
    }

    /// Whether a node knows that it is drained.
    pub fn is_drained(&self, id: HostId) -> bool {
        self.believes_drained(id, id)
    }

    /// Whether a node believes that another is drained.
    pub fn believes_drained(&self, id: HostId, other: HostId) -> bool {
        let process = self.hosts[id].process.as_ref();
        let status = process.and_then(|process| process.node.cluster_status());
        status.is_some_and(|status| status.nodes[other].draining)
    }
}
