//! Links on which nobody is heard though fellows are heard by other paths.
//!
//! Owns the judgement of paths and of the links that they lead through. A carrier says only that the
//! next switch lives; where the network behind it has failed, or this host's port, the fellows are
//! still heard over another network, so nobody is dead, and yet no neighbour reaches a VIP there.
//!
//! Invariant: a link is silent only by the word of two hosts or more, each of which would be heard on
//! it: of a single one this node cannot know on whose side the fault is.

use core::time::Duration;

use super::Node;
use crate::cluster::report::ClusterReport;
use crate::cluster::{Cluster, Silence};
use crate::config::LinkId;
use crate::peer::Life;

/// A path that has carried nothing for so many times `dead-after` is silent. No burst of questions
/// backs this verdict as it does that of a death, so heartbeats alone have to: sixteen at the least,
/// of which at 20 % loss none comes once in 10^11 times.
const PATIENCE: u32 = 4;
/// So many times `dead-after` pass until all have found the same of a network that has failed, or works
/// again, for all: two heartbeats at the most lie between their verdicts.
const GRACE: u32 = 1;
/// So many hosts have to be missed on a link.
const WITNESSES: usize = 2;

impl Node {
    /// It is time for a heartbeat to a member: what have its paths carried?
    pub(super) fn judge_paths(&mut self, cluster: &mut Cluster, member: usize) {
        let patience: Duration = self.config.timing.dead_after * PATIENCE;
        let fellow = &mut cluster.members[member];
        let addresses = &self.config.peers[fellow.peer.index()].addresses;
        if addresses.len() < 2 {
            return;
        }
        let heard = fellow.is_heard();
        let mut silent = false;
        for (number, address) in addresses.iter().enumerate() {
            let Some(link) = address.link else { continue };
            let usable = heard && self.links[link.index()].state.up;
            let path = fellow.path(number);
            path.judge(usable, patience, self.now);
            silent |= path.silent;
        }
        if silent || !cluster.silent_links.is_empty() {
            self.judge_links(cluster);
        }
    }

    fn judge_links(&mut self, cluster: &mut Cluster) {
        let grace = self.config.timing.dead_after * GRACE;
        for link in self.link_ids() {
            let before = cluster.silent_links.get(&link).copied();
            let lasts = self.is_silent(cluster, link);
            if before.is_none() && !lasts {
                continue;
            }
            let turned = before.is_none_or(|before| before.lasts != lasts);
            let since = before.filter(|_| !turned).map_or(self.now, |before| before.since);
            let settled = self.now.since(since) >= grace;
            let after = (lasts || !settled).then_some(Silence { lasts, since, settled });
            if after == before {
                continue;
            }
            match after {
                Some(after) => cluster.silent_links.insert(link, after),
                None => cluster.silent_links.remove(&link),
            };
            self.undecided = true;
            // One whose carrier has gone meanwhile has a word of its own.
            if turned && self.links[link.index()].state.up {
                let link = self.links[link.index()].name.clone();
                self.report_cluster(if lasts {
                    ClusterReport::LinkSilent { link }
                } else {
                    ClusterReport::LinkHeard { link }
                });
            }
        }
    }

    /// Whether a link carries what is on it, for a node that holds something there or for one that might.
    /// Who might believes at once that it does not, and later that it does again; who holds something
    /// there the other way round. So where the network itself fails, and comes back, for all of them,
    /// nobody is better off at any moment, and nothing moves.
    pub(super) fn carries(&self, cluster: &Cluster, link: LinkId, holds: bool) -> bool {
        let carries = match cluster.silent_links.get(&link) {
            None => true,
            Some(silence) if silence.lasts => holds && !silence.settled,
            Some(_) => holds,
        };
        self.links[link.index()].state.up && carries
    }

    fn is_silent(&self, cluster: &Cluster, link: LinkId) -> bool {
        let (mut missed, mut members) = (0, 0);
        for member in cluster.members.iter().filter(|member| member.is_heard()) {
            let addresses = self.config.peers[member.peer.index()].addresses.iter();
            let on_link = addresses.enumerate().filter(|(_, address)| address.link == Some(link));
            let mut paths = on_link.map(|(number, _)| member.paths.get(number)).peekable();
            if paths.peek().is_none() {
                continue;
            }
            if !paths.all(|path| path.is_some_and(|path| path.silent)) {
                return false;
            }
            members += 1;
        }
        for reference in &cluster.settings.references {
            let addresses = &self.config.peers[reference.index()].addresses;
            if !addresses.iter().any(|address| address.link == Some(link)) {
                continue;
            }
            match self.peers[reference.index()].peer.life() {
                Life::Alive => return false,
                Life::Dead { .. } => missed += 1,
                Life::Unknown => {}
            }
        }
        members > 0 && members + missed >= WITNESSES
    }
}
