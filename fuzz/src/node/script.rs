//! What happens to a node, one choice at a time.
//!
//! Owns the meaning of the bytes. Some choices are as hostile as they can be, some let everything
//! go well for a while, so that later ones find a node that holds something.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{CheckId, LinkId, PeerId, VipId};
use standin_core::io::CheckTarget;
use standin_core::place::NodeId;
use standin_core::wire::{Advertisement, ArpPacket, Mac, Solicitation};
use standin_core::{Action, Input};

use super::{Play, Request, keep, setting};
use crate::bytes::Bytes;

/// Timeouts that one choice of 'all goes well' lives through.
const WELL_MOST: usize = 24;

impl Play {
    pub(super) fn take_step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(26) {
            0 => self.turn(),
            1 => self.wait(bytes),
            2 => self.next(),
            3 | 4 => self.go_well(bytes),
            5 | 6 => self.acknowledge(true),
            7 => self.acknowledge(false),
            8 => drop(self.requests.pop_front()),
            9 => self.echo(bytes),
            10 => {
                let from = self.address(bytes);
                let raw = bytes.take(24);
                self.hand_in(Input::Echo { from, bytes: raw });
            }
            11 | 12 => self.frame(bytes),
            13 => {
                let (link, length) = (LinkId(u32::from(bytes.byte() % 3)), bytes.byte());
                let raw = bytes.take(usize::from(length % 128));
                self.hand_in(Input::Frame { link, bytes: raw });
            }
            14 => self.change_link(bytes),
            15 => self.finish_check(bytes),
            16 => self.lose(bytes),
            17 => {
                let (vip, quiet) = (VipId(u32::from(bytes.byte() % 5)), bytes.yes());
                let result = if bytes.yes() { Err("no".to_owned()) } else { Ok(()) };
                self.hand_in(Input::Quieted { vip, quiet, result });
            }
            18 | 19 => self.heartbeat(bytes),
            20 => {
                let (from, length) = (self.address(bytes), bytes.byte());
                let raw = bytes.take(usize::from(length));
                self.hand_in(Input::Heartbeat { from, bytes: raw });
            }
            21 => {
                let from = self.address(bytes);
                self.hand_in(Input::HeartbeatRefused { from });
            }
            22 => {
                let (node, drained) = (NodeId(u16::from(bytes.byte() % 6)), bytes.yes());
                self.hand_in(Input::Drain { node, drained });
            }
            23 => {
                let (group, node) = (bytes.below(5), bytes.byte() % 7);
                let node = (node != 6).then_some(NodeId(u16::from(node)));
                self.hand_in(Input::Place { group, node });
            }
            24 => self.ask(bytes),
            _ => self.disturb(bytes),
        }
    }

    /// Time goes on; what was due meanwhile is late.
    fn wait(&mut self, bytes: &mut Bytes<'_>) {
        let choice = u32::from(bytes.byte());
        self.now = self.now + Duration::from_micros(1_u64 << (choice % 27));
        if choice >= 128 {
            self.turn();
        }
    }

    /// The next moment at which something is due.
    fn next(&mut self) {
        if let Some((at, _)) = self.node.poll_timeout() {
            self.now = self.now.max(at);
        }
        self.turn();
    }

    /// The kernel obeys and hosts answer, for a while; a bit for each host says which.
    fn go_well(&mut self, bytes: &mut Bytes<'_>) {
        let living = bytes.byte();
        let rounds = 1 + bytes.below(WELL_MOST);
        for _ in 0..rounds {
            self.next();
            while !self.requests.is_empty() {
                self.acknowledge(true);
            }
            while let Some((to, message)) = self.echoes.pop_front() {
                let alive = self.peers().any(|peer| {
                    let addresses = &self.node.config().peers()[peer.index()].addresses;
                    living & 1 << (peer.0 % 8) != 0 && addresses.iter().any(|a| a.ip == to)
                });
                if alive {
                    self.answer(to, message);
                }
            }
            for (check, target) in std::mem::take(&mut self.runs) {
                let result = if living & 0x80 == 0 { Ok(()) } else { Err("500".to_owned()) };
                self.hand_in(Input::Check { check, target, result });
            }
            for fellow in 0..self.fellows.len() {
                if living & 1 << (fellow % 8) != 0 {
                    let packet = self.fellows[fellow].speak(&mut Bytes::new(&[0, 3, 12, 12, 12]));
                    let from = self.home_of(self.fellows[fellow].peer);
                    self.hand_in(Input::Heartbeat { from, bytes: &packet });
                }
            }
            self.turn();
        }
    }

    fn acknowledge(&mut self, well: bool) {
        let Some(request) = self.requests.pop_front() else { return };
        let result = if well { Ok(()) } else { Err("Operation not permitted".to_owned()) };
        match request {
            Request::Add(vip) => {
                if well {
                    self.judge.note_confirmed(vip);
                }
                self.hand_in(Input::AddressAdded { vip, result });
            }
            Request::Remove(vip) => self.hand_in(Input::AddressRemoved { vip, result }),
            Request::Sign => self.hand_in(Input::LifeSigned { result }),
            Request::Quiet(vip, quiet) => self.hand_in(Input::Quieted { vip, quiet, result }),
            Request::ExtendLease(group, until) => {
                self.hand_in(Input::LeaseExtended { group, until, result });
            }
            Request::EndLease(group) => self.hand_in(Input::LeaseEnded { group, result }),
            Request::Fence(node) => self.hand_in(Input::Fenced { node, result }),
        }
    }

    fn echo(&mut self, bytes: &mut Bytes<'_>) {
        let place = bytes.below(self.echoes.len());
        if let Some((to, message)) = self.echoes.remove(place) {
            self.answer(to, message);
        }
    }

    /// The reply that a host makes of a request: another type, and for IPv4 the sum of it.
    fn answer(&mut self, from: IpAddr, mut message: Vec<u8>) {
        message[0] = if from.is_ipv4() { 0 } else { 129 };
        message[2..4].fill(0);
        if from.is_ipv4() {
            let sum = standin_core::wire::checksum::internet(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        self.hand_in(Input::Echo { from, bytes: &message });
    }

    fn home_of(&self, peer: PeerId) -> IpAddr {
        self.node.config().peers()[peer.index()].addresses[0].ip
    }

    /// An address that means something to the node.
    fn address(&self, bytes: &mut Bytes<'_>) -> IpAddr {
        let choice = bytes.byte();
        let config = self.node.config();
        let real = config.peers().iter().flat_map(|peer| peer.addresses.iter().map(|a| a.ip));
        let vips = config.vips().iter().map(|vip| vip.address);
        let others = [setting::real(choice & 1 == 0, 0, 1), setting::real(choice & 1 == 0, 0, 10)];
        let all: Vec<IpAddr> = vips.chain(real).chain(others).collect();
        all[usize::from(choice >> 1) % all.len()]
    }

    fn mac(bytes: &mut Bytes<'_>) -> Mac {
        match bytes.byte() {
            0 => Mac::ZERO,
            1 => Mac::BROADCAST,
            choice => setting::mac(choice >> 6, [5, 10, 20, 21, 22, 30][usize::from(choice % 6)]),
        }
    }

    /// A host says or asks something about an address.
    fn frame(&mut self, bytes: &mut Bytes<'_>) {
        let link = LinkId(u32::from(bytes.byte() % 2));
        let (mac, address, form) = (Self::mac(bytes), self.address(bytes), bytes.byte());
        let frame = match (address, form % 4) {
            (IpAddr::V4(v4), 0) => ArpPacket::probe(mac, v4).encode(mac, Mac::BROADCAST),
            (IpAddr::V4(v4), 1) => ArpPacket::gratuitous_reply(mac, v4).encode(mac, Mac::BROADCAST),
            (IpAddr::V4(v4), _) => {
                let IpAddr::V4(target) = setting::real(false, 0, form) else { return };
                ArpPacket::request(mac, v4, target).encode(mac, Mac::BROADCAST)
            }
            (IpAddr::V6(v6), 0) => Solicitation::probe(mac, v6).encode(),
            (IpAddr::V6(v6), 1) => Advertisement::unsolicited(mac, v6, form & 4 != 0).encode(),
            (IpAddr::V6(v6), _) => {
                let IpAddr::V6(target) = setting::real(true, 0, form) else { return };
                Solicitation::request(mac, v6, target, None).encode()
            }
        };
        self.hand_in(Input::Frame { link, bytes: &frame });
    }

    fn change_link(&mut self, bytes: &mut Bytes<'_>) {
        let number = bytes.byte() % 2;
        let (link, state) = (LinkId(u32::from(number)), setting::link_state(bytes, number));
        if link.index() < self.node.config().links().len() {
            self.judge.note_mac(link, state.mac);
        }
        self.hand_in(Input::Link { link, state });
    }

    fn finish_check(&mut self, bytes: &mut Bytes<'_>) {
        let result = if bytes.yes() { Ok(()) } else { Err("refused".to_owned()) };
        let (check, target) = match self.runs.pop_front() {
            Some(run) if bytes.byte() < 224 => run,
            _ => (CheckId(u32::from(bytes.byte() % 4)), CheckTarget::Vip),
        };
        self.hand_in(Input::Check { check, target, result });
    }

    fn lose(&mut self, bytes: &mut Bytes<'_>) {
        let vip = VipId(u32::from(bytes.byte() % 5));
        self.judge.note_lost(vip);
        self.hand_in(Input::AddressLost { vip });
    }

    fn heartbeat(&mut self, bytes: &mut Bytes<'_>) {
        let place = bytes.below(self.fellows.len());
        let Some(fellow) = self.fellows.get_mut(place) else { return };
        let peer = fellow.peer;
        let packet = fellow.speak(bytes);
        let from = if bytes.byte() < 224 { self.home_of(peer) } else { self.address(bytes) };
        self.hand_in(Input::Heartbeat { from, bytes: &packet });
        if bytes.byte() < 16 {
            self.hand_in(Input::Heartbeat { from, bytes: &packet });
        }
    }

    /// People ask; nothing changes by it.
    fn ask(&mut self, bytes: &mut Bytes<'_>) {
        let before = self.node.status(self.now);
        let group = bytes.below(5);
        let explained = self.node.explain(group);
        let groups = self.settings.as_ref().map_or(0, |settings| settings.groups.len());
        assert_eq!(explained.is_some(), group < groups);
        let failing: Vec<NodeId> = (0..6).filter(|_| bytes.yes()).map(NodeId).collect();
        assert_eq!(self.node.foresee(&failing).len(), groups);
        let status = self.node.cluster_status();
        assert_eq!(status.is_some(), self.settings.is_some());
        let _ = self.node.status(super::BEGINNING);
        assert_eq!(self.node.status(self.now), before);
    }

    /// Rare things.
    fn disturb(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.byte() {
            0..24 => {
                self.judge.note_stop(false);
                self.hand_in(Input::Stop);
            }
            24..40 => {
                self.judge.note_stop(true);
                self.hand_in(Input::StopKeeping);
            }
            40..100 => {
                let peer = PeerId(u32::from(bytes.byte()) % self.peers().count() as u32);
                self.hand_in(Input::ProbeNotSent { peer, why: "Network is unreachable" });
            }
            100..130 => self.requests.clear(),
            130..160 => self.echoes.clear(),
            160..200 => {
                // A clock that goes backwards stands still.
                let now = self.now;
                self.now = now - Duration::from_millis(u64::from(bytes.byte()));
                self.hand_in(Input::Idle);
                self.now = now;
            }
            200..220 => {
                let (group, node) = (bytes.below(5), NodeId(u16::from(bytes.byte() % 6)));
                let until = self.now + Duration::from_millis(u64::from(bytes.byte()));
                self.hand_in(match bytes.byte() % 3 {
                    0 => Input::LeaseExtended { group, until, result: Ok(()) },
                    1 => Input::LeaseEnded { group, result: Ok(()) },
                    _ => Input::Fenced { node, result: Ok(()) },
                });
            }
            _ => self.wait(bytes),
        }
    }

    pub(super) fn remember(&mut self, action: &Action) {
        match action {
            Action::AddAddress { vip, .. } => keep(&mut self.requests, Request::Add(*vip)),
            Action::RemoveAddress { vip } => keep(&mut self.requests, Request::Remove(*vip)),
            Action::SignLife { .. } => keep(&mut self.requests, Request::Sign),
            Action::QuietAddress { vip, quiet } => {
                keep(&mut self.requests, Request::Quiet(*vip, *quiet));
            }
            Action::ExtendLease { group, until, .. } => {
                keep(&mut self.requests, Request::ExtendLease(*group, *until));
            }
            Action::EndLease { group, .. } => {
                keep(&mut self.requests, Request::EndLease(*group));
            }
            Action::Fence { node } => keep(&mut self.requests, Request::Fence(*node)),
            Action::SendEcho { to, message, .. } => keep(&mut self.echoes, (*to, message.to_vec())),
            Action::RunCheck { check, target } => keep(&mut self.runs, (*check, *target)),
            Action::SendHeartbeat { peer, bytes } => {
                let fellow = self.fellows.iter_mut().find(|fellow| fellow.peer == *peer);
                fellow.expect("heartbeats go to members").hear(bytes);
            }
            Action::SendFrame { .. } | Action::Report(_) | Action::Stopped => {}
        }
    }
}
