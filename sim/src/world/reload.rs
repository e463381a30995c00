//! A file that is read again while the daemon runs.
//!
//! Owns the shell's way from one configuration to the next: what is refused, what is changed in
//! place, and what one run leaves to the next in the same process.

use standin_core::lease::electorate::judge_change;

use super::World;
use super::process::Waiting;
use crate::file::{Edit, File};
use crate::scenario::HostId;

impl World {
    /// Changes the files of a host; a daemon that runs reads them again, unless it must not.
    pub(super) fn reload(&mut self, id: HostId, edit: Edit) {
        let old = self.hosts[id].file;
        let file = old.with(edit);
        if file == old || id >= self.scenario.members() {
            return;
        }
        let Some(process) = &mut self.hosts[id].process else {
            // The operator keeps to the rule: one change of the voters at a time.
            if file.voters == old.voters || file.voters == self.voters {
                self.hosts[id].file = file;
            }
            return;
        };
        if file == old.with(Edit::Keys(file.keys)) {
            process.node.change_keys(self.scenario.ring(file));
            self.hosts[id].file = file;
            self.wake(id, self.now + self.scenario.scheduling);
            return;
        }
        if !process.is_running() || process.keeping || process.leaving {
            return;
        }
        if file.voters != old.voters {
            let names = (self.scenario.voters(old.voters), self.scenario.voters(file.voters));
            let old: Vec<&str> = names.0.iter().map(String::as_str).collect();
            let new: Vec<&str> = names.1.iter().map(String::as_str).collect();
            let judged = judge_change(&old, &new);
            let judged = judged.and_then(|()| process.node.judge_voters_settled(&new));
            if let Err(why) = judged {
                self.tell(Some(id), || format!("keeps its file: {why}"));
                return;
            }
        }
        process.reload = Some(file);
        self.end_with(id, Waiting::StopKeeping);
    }

    /// The run with the old file has left everything: the one with the new begins.
    pub(super) fn follow(&mut self, id: HostId, file: File) {
        let Some(process) = &self.hosts[id].process else { return };
        let memory = process.node.lease_memory();
        let status = process.node.cluster_status();
        let before = self.hosts[id].file.voters;
        self.voters = file.voters;
        self.hosts[id].file = file;
        self.kill(id);
        self.start_after(id, Some((before, memory)));
        let Some(status) = status else { return };
        let nodes = (0..).map(standin_core::place::NodeId).zip(status.nodes);
        for (node, _) in nodes.filter(|(_, status)| status.draining) {
            self.give(id, Waiting::Drain(node, true));
        }
        for (number, group) in status.groups.into_iter().enumerate() {
            let names = &self.scenario.names;
            let placed = group.placed.and_then(|name| names.iter().position(|n| **n == *name));
            if let Some(node) = placed {
                let node = standin_core::place::NodeId(node as u16);
                self.give(id, Waiting::Place(number, Some(node)));
            }
        }
    }
}
