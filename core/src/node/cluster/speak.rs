//! Heartbeats that are sent: one packet for each member, the same bytes on all of its paths.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Node;
use super::hear::{DRAINS, PLACEMENT_LENGTH, PLACEMENTS};
use crate::cluster::handover::{Here, Stage};
use crate::cluster::member::OUTSIDE;
use crate::cluster::{Cluster, outside, stamp_of};
use crate::heartbeat::packet::{PACKET_LENGTH_MAX, PACKET_LENGTH_MIN};
use crate::heartbeat::section::PREFIX_LENGTH;
use crate::heartbeat::{Draft, Echo, Flags, Header, Role, Unreachable, VipState};
use crate::io::Action;
use crate::place::NodeId;
use crate::vip::Place;

impl Node {
    /// Tells one member how things are; `answer`: it asked for it.
    pub(super) fn send_heartbeat(&mut self, cluster: &mut Cluster, member: usize, answer: bool) {
        let node = cluster.members[member].node;
        let states = self.states_for(cluster, member);
        let (now, room) = (self.now, PACKET_LENGTH_MAX - PACKET_LENGTH_MIN - PREFIX_LENGTH);
        let leases = cluster.leases.as_mut();
        let sections = leases.map(|leases| leases.sections_for(member, node, now, room));
        let mut sections = sections.unwrap_or_default().into_iter().peekable();
        let mut first = 0;
        loop {
            let header = self.header_for(cluster, member, answer);
            let mut bytes = self.spare.pop().unwrap_or_default();
            let mut draft = Draft::new(cluster.settings.cluster, &header, &mut bytes);
            while let Some((kind, body)) = sections.peek()
                && draft.section(*kind, body).is_ok()
            {
                sections.next();
            }
            if first == 0 {
                // An otherwise empty packet has room for both.
                let _ = draft.unreachable(Unreachable(unheard(cluster)));
                let _ =
                    draft.section(OUTSIDE, &outside::encode(&cluster.accuses, draft.room() / 4));
                let _ = draft.section(DRAINS, &drains(cluster));
                let _ = draft.section(PLACEMENTS, &placements(cluster, draft.room()));
            }
            let place = u16::try_from(first).unwrap_or(u16::MAX);
            if first < states.len() || first == 0 {
                first += draft.vip_states(place, &states[first..]).max(1);
            }
            draft.seal(cluster.gate.keys());
            let peer = cluster.members[member].peer;
            self.actions.push_back(Action::SendHeartbeat { peer, bytes });
            if first >= states.len() && sections.peek().is_none() {
                return;
            }
        }
    }

    /// Tells every member at once.
    pub(super) fn spread_news(&mut self, cluster: &mut Cluster) {
        if core::mem::take(&mut cluster.news) {
            for member in 0..cluster.members.len() {
                self.send_heartbeat(cluster, member, false);
            }
        }
    }

    fn header_for(&self, cluster: &mut Cluster, member: usize, answer: bool) -> Header {
        let mut flags = cluster.flags();
        let (sender, config, incarnation) =
            (cluster.settings.own_id(), cluster.digest(), cluster.incarnation);
        let number = cluster.me().0;
        let fellow = &mut cluster.members[member];
        let leases = cluster.leases.as_ref();
        let pressed = leases.is_some_and(|leases| leases.presses(fellow.node));
        if answer {
            flags = flags.with(Flags::ANSWER);
        } else if fellow.daemon.is_suspected() || pressed {
            flags = flags.with(Flags::QUERY);
        }
        let outgoing = fellow.session.outgoing();
        let echo = fellow
            .stamp
            .take()
            .map(|held| Echo { stamp: held.stamp, held: self.now.since(held.received) });
        Header {
            sender,
            receiver: fellow.id,
            number,
            flags,
            config,
            incarnation,
            counter: outgoing.counter,
            heard: outgoing.heard,
            challenge: outgoing.challenge,
            response: outgoing.response,
            stamp: stamp_of(self.now),
            echo,
        }
    }

    /// The state of every group, as it concerns one member. Put together anew only when something
    /// has changed.
    fn states_for(&mut self, cluster: &mut Cluster, member: usize) -> Arc<[VipState]> {
        if core::mem::take(&mut self.restated) {
            cluster.members.iter_mut().for_each(|member| member.told = None);
        }
        if let Some(told) = &cluster.members[member].told {
            return told.clone();
        }
        let node = cluster.members[member].node;
        let each = (0..cluster.groups.len()).map(|group| self.state_for(cluster, group, node));
        let states: Arc<[VipState]> = each.collect();
        cluster.members[member].told = Some(states.clone());
        states
    }

    fn state_for(&self, cluster: &Cluster, group: usize, member: NodeId) -> VipState {
        let standing = self.own_standing(cluster, group);
        let (eligible, healthy) = super::settle::fitness(cluster.own_view(), standing);
        let (role, with) = match cluster.groups[group].handover.stage() {
            Stage::Offered { to, .. } | Stage::Quieting { to, .. } => (Role::Holding, Some(to)),
            Stage::Quiet { to, .. } | Stage::Lingering { to, .. } => (Role::Yielding, Some(to)),
            Stage::Accepting { from, .. } | Stage::Taking { from, .. } => {
                let here = self.here(cluster, group) == Here::All;
                (if here { Role::Holding } else { Role::Taking }, Some(from))
            }
            Stage::Idle => (self.role_of(cluster, group), None),
        };
        let (asked, doubted) = (with == Some(member), standing.doubted);
        // Of one that lacks nothing else: it is read as that.
        let refused = standing.refused && standing.link_up && !cluster.isolated;
        VipState { role, eligible, healthy, asked, doubted, refused }
    }

    fn role_of(&self, cluster: &Cluster, group: usize) -> Role {
        let vips = cluster.settings.groups[group].vips.iter().map(|vip| &self.vips[vip.index()]);
        let mut role = Role::Idle;
        for vip in vips {
            match vip.place() {
                Place::Held => return Role::Holding,
                // From an earlier run.
                Place::Adding if vip.is_held() => return Role::Holding,
                Place::Asking | Place::Adding | Place::Waiting(_) => role = Role::Taking,
                Place::Away | Place::Removing => {}
            }
        }
        role
    }
}

fn unheard(cluster: &Cluster) -> u64 {
    let silent = cluster.members.iter().filter(|member| !member.takes_part());
    silent.fold(0, |bits, member| bits | 1_u64.checked_shl(u32::from(member.node.0)).unwrap_or(0))
}

fn drains(cluster: &Cluster) -> Vec<u8> {
    let mut body = Vec::new();
    for (node, order) in (0_u8..).zip(&cluster.drains) {
        if let Some(order) = order {
            body.push(node);
            body.extend_from_slice(&order.serial.to_be_bytes());
            body.extend_from_slice(&order.by.to_be_bytes());
            body.push(u8::from(order.drained));
        }
    }
    body
}

fn placements(cluster: &Cluster, room: usize) -> Vec<u8> {
    let most = room.saturating_sub(8) / PLACEMENT_LENGTH / 2;
    let mut body = Vec::new();
    let placed = (0_u16..).zip(&cluster.groups);
    for (number, placement) in placed.filter_map(|(n, g)| Some((n, g.placement?))).take(most) {
        body.extend_from_slice(&number.to_be_bytes());
        body.extend_from_slice(&placement.serial.to_be_bytes());
        body.extend_from_slice(&placement.by.to_be_bytes());
        body.extend_from_slice(&placement.node.map_or(u16::MAX, |node| node.0).to_be_bytes());
    }
    body
}
