//! What must be so of everything a node does, whatever is done to it.
//!
//! Owns what the kernel would know. Invariants asserted: an address that was not here is claimed
//! only when everything that had arrived was read; nothing is announced that the kernel has not
//! confirmed; whatever an action names exists; what is sent can be read; after the end nothing is
//! done.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{ADDRESS_LIFETIME, Home, LinkId, VipId};
use standin_core::status::Status;
use standin_core::vip::Place;
use standin_core::{Action, Input, Node, neighbour};

/// More actions than this for one input are a storm. A burst to four hosts with two addresses is
/// far below it.
pub const ACTIONS_MOST: usize = 400;

/// What is left to the next run of the program lives so long.
const KEEP_LIFETIME: Duration = Duration::from_secs(30);

/// What an input is, as far as the rules of claiming look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Everything was read.
    Idle,
    /// A frame.
    Frame,
    /// Anything else.
    Other,
}

impl Kind {
    /// Of an input.
    pub const fn of(input: &Input<'_>) -> Self {
        match input {
            Input::Idle => Self::Idle,
            Input::Frame { .. } => Self::Frame,
            _ => Self::Other,
        }
    }
}

/// What is known from the outside.
pub struct Judge {
    /// The kernel has acknowledged it, and was not told to remove it since.
    confirmed: BTreeSet<VipId>,
    confirmations: u64,
    macs: Vec<standin_core::wire::Mac>,
    stop_asked: bool,
    keeping: bool,
    stopped: bool,
}

impl Judge {
    pub fn new(node: &Node) -> Self {
        let macs = node.config().links().iter().map(|link| link.state.mac).collect();
        Self {
            confirmed: BTreeSet::new(),
            confirmations: 0,
            macs,
            stop_asked: false,
            keeping: false,
            stopped: false,
        }
    }

    pub fn note_confirmed(&mut self, vip: VipId) {
        self.confirmations += 1;
        self.confirmed.insert(vip);
    }

    pub const fn confirmations(&self) -> u64 {
        self.confirmations
    }

    pub fn note_lost(&mut self, vip: VipId) {
        self.confirmed.remove(&vip);
    }

    pub fn note_mac(&mut self, link: LinkId, mac: standin_core::wire::Mac) {
        self.macs[link.index()] = mac;
    }

    pub fn note_stop(&mut self, keeping: bool) {
        self.stop_asked = true;
        self.keeping |= keeping;
    }

    /// An address comes from elsewhere to here only when all is read; or when the one who answered
    /// for this host's own address lets go of it.
    pub fn judge_claims(before: &Status, after: &Status, kind: Option<Kind>) {
        let here = |place: &Place| matches!(place, Place::Adding | Place::Held | Place::Removing);
        for (before, after) in before.vips.iter().zip(&after.vips) {
            if !here(&before.place) && here(&after.place) {
                let own = after.home.is_none() && kind == Some(Kind::Frame);
                assert!(
                    kind == Some(Kind::Idle) || own,
                    "{} was claimed at {kind:?}",
                    after.address
                );
            }
        }
    }

    pub fn judge_action(&mut self, node: &Node, action: &Action) {
        let config = node.config();
        assert!(!self.stopped, "after the end: {action:?}");
        match action {
            Action::AddAddress { vip, lifetime } => {
                assert!(vip.index() < config.vips().len());
                let own = *lifetime == ADDRESS_LIFETIME;
                assert!(own || (self.stop_asked && *lifetime == KEEP_LIFETIME), "{lifetime:?}");
                assert!(*lifetime > Duration::ZERO);
            }
            Action::SignLife { lifetime } => assert_eq!(*lifetime, ADDRESS_LIFETIME),
            Action::RemoveAddress { vip } => {
                assert!(vip.index() < config.vips().len());
                self.confirmed.remove(vip);
            }
            Action::QuietAddress { vip, .. } => assert!(vip.index() < config.vips().len()),
            Action::SendFrame { link, frame, probes } => {
                assert!(link.index() < config.links().len());
                assert!(probes.is_none_or(|peer| peer.index() < config.peers().len()));
                self.judge_frame(node, frame);
            }
            Action::SendEcho { peer, to, link, message } => {
                let addresses = &config.peers()[peer.index()].addresses;
                assert!(addresses.iter().any(|address| address.ip == *to));
                assert!(link.is_none_or(|link| link.index() < config.links().len()));
                assert_eq!(message.len(), 16);
            }
            Action::ExtendLease { vips, .. } | Action::EndLease { vips, .. } => {
                assert!(!vips.is_empty());
                assert!(vips.iter().all(|vip| vip.index() < config.vips().len()));
            }
            Action::Fence { .. } => {}
            // Its fellow reads it.
            Action::SendHeartbeat { peer, .. } => assert!(peer.index() < config.peers().len()),
            Action::RunCheck { check, .. } => assert!(check.index() < config.checks().len()),
            Action::Report(report) => {
                assert!(!report.name().is_empty());
                let _ = (report.to_string(), report.level(), report.fields());
            }
            Action::Stopped => {
                assert!(self.stop_asked, "it was not told to stop");
                self.stopped = true;
            }
        }
    }

    /// Only what the kernel has confirmed is announced in this host's name.
    fn judge_frame(&self, node: &Node, frame: &[u8]) {
        let heard = neighbour::hear(frame).expect("what is sent can be read");
        let Some(address) = heard.asserts else { return };
        let vips = node.config().vips().iter();
        let Some(vip) = (0..).map(VipId).zip(vips).find(|(_, vip)| vip.address == address) else {
            return;
        };
        let for_home = matches!(vip.1.home, Home::Peer(_)) && !self.macs.contains(&heard.mac);
        assert!(
            for_home || self.confirmed.contains(&vip.0),
            "{address} is announced and was not confirmed"
        );
    }

    /// Who was told to stop and says that it has stopped has nothing left, unless it keeps it.
    pub fn judge_stop(&self, status: &Status) {
        if self.stopped && !self.keeping {
            let left: Vec<&IpAddr> = status
                .vips
                .iter()
                .filter(|vip| matches!(vip.place, Place::Adding | Place::Held | Place::Removing))
                .map(|vip| &vip.address)
                .collect();
            assert!(left.is_empty(), "stopped with {left:?}");
        }
    }

    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }
}
