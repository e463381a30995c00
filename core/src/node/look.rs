//! What is believed, held and counted, for those who look.
//!
//! Owns the way from the machines to what is shown of them. Changes nothing.

use alloc::string::String;
use alloc::sync::Arc;

use super::Node;
use crate::config::{CheckId, Home, PeerId, VipId};
use crate::decide;
use crate::peer::Life;
use crate::status;
use crate::time::Instant;

impl Node {
    /// What is believed, held and counted, at `now`.
    pub fn status(&self, now: Instant) -> status::Status {
        let now = self.now.max(now);
        status::Status {
            peers: self.peer_ids().map(|id| self.peer_status(id, now)).collect(),
            vips: self.vip_ids().map(|id| self.vip_status(id, now)).collect(),
            checks: self.check_ids().map(|id| self.check_status(id, now)).collect(),
            malformed: self.malformed.iter().map(|(reason, count)| (*reason, *count)).collect(),
        }
    }

    fn peer_status(&self, id: PeerId, now: Instant) -> status::Peer {
        let watched = &self.peers[id.index()];
        status::Peer {
            name: self.config.peers[id.index()].name.clone(),
            addresses: self.config.peers[id.index()].addresses.iter().map(|a| a.ip).collect(),
            life: match watched.peer.life() {
                _ if watched.peer.is_suspected() => status::Life::Suspected,
                Life::Unknown => status::Life::Unknown,
                Life::Alive => status::Life::Alive,
                Life::Dead { .. } => status::Life::Dead,
            },
            heard_ago: watched.peer.heard_at().map(|at| now.since(at)),
            round_trip: watched.peer.round_trip(),
            macs: watched.macs.clone(),
            rounds_sent: watched.rounds_sent,
            answers: watched.answers,
        }
    }

    fn vip_status(&self, id: VipId, now: Instant) -> status::Vip {
        let vip = &self.vips[id.index()];
        let home: Option<Arc<str>> = match vip.home() {
            Home::Here | Home::Cluster => None,
            Home::Peer(peer) => Some(self.config.peers[peer.index()].name.clone()),
        };
        status::Vip {
            address: vip.address(),
            link: self.links[vip.link().index()].name.clone(),
            home,
            place: vip.place(),
            reason: vip.reason(),
            since: now.since(vip.changed_at()),
            contested_by: vip.contested_by(),
        }
    }

    fn check_status(&self, id: CheckId, now: Instant) -> status::Check {
        let settings = &self.config.checks[id.index()];
        let check = &self.checks[id.index()];
        let (state, since) = match check.service() {
            decide::Service::Unknown => (status::CheckState::Unknown, None),
            decide::Service::Passing(at) => (status::CheckState::Passing, Some(now.since(at))),
            decide::Service::Failing(at) => (status::CheckState::Failing, Some(now.since(at))),
        };
        status::Check {
            name: settings.name.clone(),
            vip: self.config.vips[settings.vip.index()].address,
            target: check.target(),
            vantage: settings.vantage,
            state,
            since,
            last_failure: check.last_failure().map(String::from),
        }
    }
}
