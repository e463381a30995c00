//! What arrives from the network: frames, echoes, and news of the interfaces.
//!
//! Owns the way from bytes to the machine they concern. Invariant: what cannot be understood is
//! counted by reason and changes nothing else.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::Node;
use crate::config::{Home, LinkId, LinkState, PeerId, VipId};
use crate::io::Action;
use crate::neighbour::{self, Heard};
use crate::report::Report;
use crate::vip::Meaning;
use crate::wire::icmp;

impl Node {
    pub(super) fn handle_frame(&mut self, link: LinkId, bytes: &[u8]) {
        let heard = match neighbour::hear(bytes) {
            Ok(heard) => heard,
            Err(why) => {
                *self.malformed.entry(why.name()).or_insert(0) += 1;
                return;
            }
        };
        let ours = self.own_macs.contains(&heard.mac);
        if ours
            || heard.mac.is_multicast()
            || heard.mac.is_zero()
            || link.index() >= self.links.len()
        {
            return;
        }
        self.prove_link(link);
        if let Some(address) = heard.asserts
            && let Some(id) = self.peer_of.get(&address).copied()
            && self.is_at(id, address, link)
        {
            self.learn_mac(id, link, &heard);
            self.handle_peer_heard(id, None);
        }
        let concerned = [heard.asserts, heard.asks].map(|address| self.vip_at(address, link));
        for vip in concerned.into_iter().flatten().collect::<alloc::collections::BTreeSet<_>>() {
            let meaning = self.with_vip(vip, |vip, around| vip.handle_heard(around, &heard));
            if meaning == Meaning::PeerClaims {
                self.handle_peer_claim(vip, heard.mac);
            }
            if meaning == Meaning::HomeClaims
                && let Home::Peer(home) = self.vips[vip.index()].home()
            {
                self.handle_peer_heard(home, None);
                self.aim_checks(vip);
            }
        }
    }

    pub(super) fn handle_echo(&mut self, from: IpAddr, bytes: &[u8]) {
        let parsed = match from {
            IpAddr::V4(_) => icmp::parse_reply_v4(bytes),
            IpAddr::V6(_) => icmp::parse_reply_v6(bytes),
        };
        let echo = match parsed {
            Ok(echo) => echo,
            Err(why) => {
                *self.malformed.entry(why.name()).or_insert(0) += 1;
                return;
            }
        };
        let Some(id) =
            self.peer_of.get(&from).copied().filter(|_| echo.identifier == self.identifier)
        else {
            return;
        };
        let watched = &mut self.peers[id.index()];
        if let Some(sent) = watched.take_outstanding(echo.sequence, echo.cookie) {
            let round_trip = self.now.since(sent);
            self.handle_peer_heard(id, Some(round_trip));
        }
    }

    pub(super) fn handle_link(&mut self, id: LinkId, state: LinkState) {
        let Some(link) = self.links.get_mut(id.index()) else { return };
        let before = core::mem::replace(&mut link.state, state);
        let name = link.name.clone();
        let (was_up, is_up) = (before.up, link.state.up);
        let moved = before.mac != link.state.mac;
        if moved {
            self.own_macs = self.links.iter().map(|link| link.state.mac).collect();
        }
        self.refresh_known(id);
        if was_up != is_up {
            self.links[id.index()].proven = false;
            let link = name;
            let report = if is_up { Report::LinkUp { link } } else { Report::LinkDown { link } };
            self.actions.push_back(Action::Report(report));
            self.judge_reachability(is_up);
        }
        for vip in self.vip_ids() {
            if self.vips[vip.index()].link() != id {
                continue;
            }
            if self.vips[vip.index()].refused_until().is_some() {
                self.with_vip(vip, |vip, _| vip.forget_refusal());
            }
            if was_up != is_up {
                self.with_vip(vip, super::super::vip::Vip::handle_link);
            } else if moved {
                self.with_vip(vip, super::super::vip::Vip::announce_again);
            }
        }
        self.undecided = true;
    }

    /// Pauses the watch over hosts that cannot be reached because of us, and resumes it. A host
    /// that was within reach all the while is judged as before, whatever another link does; one
    /// behind a router may be reached through any link, so it is given time again.
    fn judge_reachability(&mut self, came_up: bool) {
        for id in self.peer_ids() {
            let reachable = self.is_reachable(id);
            let mut addresses = self.config.peers[id.index()].addresses.iter();
            let routed = addresses.any(|address| address.link.is_none());
            let now = self.now;
            let peer = &mut self.peers[id.index()].peer;
            if !reachable {
                peer.pause();
            } else if peer.is_paused() || (came_up && routed) {
                peer.resume(now);
            }
            self.anticipate(id);
            self.schedule_peer(id);
        }
    }

    /// Whether an interface is up through which the host may be reached.
    pub(super) fn is_reachable(&self, id: PeerId) -> bool {
        let any_up = self.links.iter().any(|link| link.state.up);
        let addresses = &self.config.peers[id.index()].addresses;
        addresses.iter().any(|address| match address.link {
            Some(link) => self.links[link.index()].state.up,
            None => any_up,
        })
    }

    /// Gateways and watched hosts on the link.
    pub(super) fn refresh_known(&mut self, id: LinkId) {
        let hosts = self.config.peers.iter().flat_map(|peer| peer.addresses.iter());
        let on_link = hosts.filter(|address| address.link == Some(id)).map(|address| address.ip);
        let link = &mut self.links[id.index()];
        let mut known: Vec<IpAddr> = link.state.gateways.iter().copied().chain(on_link).collect();
        known.sort_unstable();
        known.dedup();
        link.known = known;
    }

    fn prove_link(&mut self, id: LinkId) {
        if core::mem::replace(&mut self.links[id.index()].proven, true) {
            return;
        }
        for peer in self.peer_ids() {
            let mut addresses = self.config.peers[peer.index()].addresses.iter();
            if addresses.any(|address| address.link.is_none_or(|link| link == id)) {
                self.peers[peer.index()].peer.handle_link_proven(self.now);
                self.schedule_peer(peer);
            }
        }
    }

    fn is_at(&self, id: PeerId, address: IpAddr, link: LinkId) -> bool {
        let addresses = &self.config.peers[id.index()].addresses;
        addresses.iter().any(|known| known.ip == address && known.link == Some(link))
    }

    fn vip_at(&self, address: Option<IpAddr>, link: LinkId) -> Option<VipId> {
        let id = self.vip_of(address?)?;
        (self.vips[id.index()].link() == link).then_some(id)
    }

    fn learn_mac(&mut self, id: PeerId, link: LinkId, heard: &Heard) {
        if self.peers[id.index()].learn(link, heard.mac) {
            let all = self.peers.iter().flat_map(|watched| watched.macs.iter().copied());
            self.peer_macs = all.collect();
        }
    }
}
