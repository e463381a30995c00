//! The VIPs to be looked at once everything that had arrived is read.
//!
//! Owns the list. Invariant: each is in it once, and they are taken in the order of their numbers.

use alloc::vec::Vec;

use crate::config::VipId;

/// Room that is kept for others.
const KEPT: usize = 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Touched {
    ids: Vec<VipId>,
    /// By VIP, whether it is in the list.
    listed: Vec<bool>,
}

impl Touched {
    pub(super) fn insert(&mut self, id: VipId) {
        if self.listed.len() <= id.index() {
            self.listed.resize(id.index() + 1, false);
        }
        if !core::mem::replace(&mut self.listed[id.index()], true) {
            self.ids.push(id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All of them. They stay in the list until [`Touched::reuse`], so that whoever looks at one need
    /// not mind that this touches it.
    pub(super) fn take(&mut self) -> Vec<VipId> {
        let mut ids = core::mem::take(&mut self.ids);
        ids.sort_unstable();
        ids
    }

    /// They were looked at; their memory serves for others.
    pub(super) fn reuse(&mut self, mut ids: Vec<VipId>) {
        for id in &ids {
            self.listed[id.index()] = false;
        }
        // What was touched besides waits for its turn.
        ids.clear();
        ids.append(&mut self.ids);
        ids.shrink_to(KEPT);
        self.ids = ids;
    }
}
