//! The watched hosts: rounds of probes out, signs of life in.
//!
//! Owns the numbering of probes, so that only an answer to one of ours counts, and the link-layer
//! addresses at which a host was seen. Never judges: that is [`crate::peer`]. Invariant: memory is
//! bounded by the number of hosts.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Node, ask_window};
use crate::cluster::Cluster;
use crate::config::{Home, LinkId, Peer as Settings, PeerAddress, PeerId, Timing};
use crate::io::Action;
use crate::neighbour;
use crate::peer::{Change, Peer};
use crate::report::Report;
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::icmp::Echo;
use crate::wire::mac::Mac;

/// Probes whose answer is still waited for; older ones do not count as answers.
const OUTSTANDING_MOST: usize = 128;
/// A host that is silent is asked for by broadcast once in so many rounds. Divides
/// [`crate::peer::BURST_ROUNDS`], so that the last of a burst is one.
const BROADCAST_EVERY: u64 = 8;
/// Link-layer addresses remembered of one host, the latest first.
const MACS_MOST: usize = 4;

/// A watched host with what belongs to its probes.
#[derive(Clone, Debug)]
pub(super) struct Watched {
    pub(super) peer: Peer,
    pub(super) macs: Vec<Mac>,
    /// Where it was last seen on each link.
    seen: BTreeMap<LinkId, Mac>,
    pub(super) rounds_sent: u64,
    pub(super) answers: u64,
    sequence: u16,
    outstanding: VecDeque<(u16, u64, Instant)>,
    probes_per_round: usize,
    /// Its addresses are asked for ahead.
    anticipated: bool,
    cannot_said: bool,
    slow_said: bool,
}

impl Watched {
    pub(super) fn new(settings: &Settings, timing: Timing, now: Instant) -> Self {
        let kinds = |address: &PeerAddress| 1 + usize::from(address.link.is_some());
        Self {
            peer: Peer::new(timing, now),
            macs: Vec::new(),
            seen: BTreeMap::new(),
            rounds_sent: 0,
            answers: 0,
            sequence: 0,
            outstanding: VecDeque::new(),
            probes_per_round: settings.addresses.iter().map(kinds).sum(),
            anticipated: false,
            cannot_said: false,
            slow_said: false,
        }
    }

    /// Numbers a probe; the cookie makes its answer unguessable.
    fn number(&mut self, now: Instant, cookie: u64) -> u16 {
        self.sequence = self.sequence.wrapping_add(1);
        if self.outstanding.len() == OUTSTANDING_MOST {
            self.outstanding.pop_front();
        }
        self.outstanding.push_back((self.sequence, cookie, now));
        self.sequence
    }

    /// When the probe that this answers was sent, if it is one of ours, once.
    pub(super) fn take_outstanding(&mut self, sequence: u16, cookie: u64) -> Option<Instant> {
        let place = self.outstanding.iter().position(|(s, c, _)| (*s, *c) == (sequence, cookie))?;
        self.outstanding.remove(place).map(|(_, _, sent)| sent)
    }

    /// Remembers where the host was seen; whether that is new.
    pub(super) fn learn(&mut self, link: LinkId, mac: Mac) -> bool {
        self.seen.insert(link, mac);
        if self.macs.first() == Some(&mac) {
            return false;
        }
        self.macs.retain(|known| *known != mac);
        self.macs.insert(0, mac);
        self.macs.truncate(MACS_MOST);
        true
    }
}

impl Node {
    /// When a round is due for one host, those that are due soon go along: within half an interval,
    /// so that hosts whose rounds lie apart by any time come together in one interval, and never
    /// later than they would have gone alone. Gives whether a round is due.
    pub(super) fn gather_rounds(&mut self, due: &mut Vec<Timer>) -> bool {
        let (now, within) = (self.now, self.config.timing.interval / 2);
        if !due.iter().any(|timer| self.is_round_due(*timer)) {
            return false;
        }
        for id in self.peer_ids() {
            if self.peers[id.index()].peer.hasten(now, within) {
                due.push(Timer::Peer(id));
            }
        }
        if let Some(cluster) = &mut self.cluster {
            for (place, member) in cluster.members.iter_mut().enumerate() {
                if member.daemon.hasten(now, within) {
                    due.push(Cluster::timer(place));
                }
            }
        }
        true
    }

    fn is_round_due(&self, timer: Timer) -> bool {
        match timer {
            Timer::Peer(id) => self.peers[id.index()].peer.is_due(self.now),
            Timer::Daemon(place) => self.cluster.as_ref().is_some_and(|cluster| {
                let member = cluster.members.get(place as usize);
                member.is_some_and(|member| member.daemon.is_due(self.now))
            }),
            Timer::Check(_)
            | Timer::Group(_)
            | Timer::Lease
            | Timer::Handover(_)
            | Timer::Decision(_)
            | Timer::Stop
            | Timer::Sign
            | Timer::Vip(_) => false,
        }
    }

    pub(super) fn handle_peer_timeout(&mut self, id: PeerId) {
        let now = self.now;
        let (change, round_due) = self.peers[id.index()].peer.handle_timeout(now);
        if let Some(change) = change {
            self.report_peer(id, change);
            self.undecided = true;
        }
        // A member whose heartbeats come need not be probed as well,
        // until it is known by which link-layer address it may announce something.
        let watched = &self.peers[id.index()];
        let known = !watched.macs.is_empty() || self.is_routed(id);
        let spared = known && self.is_heard_as_member(id) && !watched.peer.is_suspected();
        if round_due && spared {
            self.peers[id.index()].peer.skip_round();
        } else if round_due {
            self.send_round(id);
        }
        self.anticipate(id);
        self.schedule_peer(id);
    }

    /// Whether it is on no link of ours, so that ARP and NDP never show where it is.
    fn is_routed(&self, id: PeerId) -> bool {
        let mut addresses = self.config.peers[id.index()].addresses.iter();
        addresses.all(|address| address.link.is_none())
    }

    /// One probe of each kind to each address.
    fn send_round(&mut self, id: PeerId) {
        self.peers[id.index()].rounds_sent += 1;
        for place in 0..self.config.peers[id.index()].addresses.len() {
            let address = self.config.peers[id.index()].addresses[place];
            self.send_echo(id, address);
            if let Some(link) = address.link {
                self.send_question(id, address, link);
            }
        }
    }

    fn send_echo(&mut self, id: PeerId, address: PeerAddress) {
        let cookie = self.random.next();
        let watched = &mut self.peers[id.index()];
        let sequence = watched.number(self.now, cookie);
        let echo = Echo { identifier: self.identifier, sequence, cookie };
        let message =
            if address.ip.is_ipv4() { echo.encode_request_v4() } else { echo.encode_request_v6() };
        let (to, link) = (address.ip, address.link);
        self.actions.push_back(Action::SendEcho { peer: id, to, link, message });
    }

    /// To the host itself where it was seen. While it is silent now and then to all, for it may have
    /// moved: not each time, since every host of the segment hears that, and many may be silent at
    /// once. The first round of a suspicion and the last before its verdict are among them.
    fn send_question(&mut self, id: PeerId, address: PeerAddress, link: LinkId) {
        let watched = &self.peers[id.index()];
        let to_all = match watched.peer.burst_round() {
            Some(round) => round == 1 || u64::from(round).is_multiple_of(BROADCAST_EVERY),
            None if watched.peer.steady_since().is_some() => false,
            None => watched.rounds_sent.is_multiple_of(BROADCAST_EVERY),
        };
        let to = watched.seen.get(&link).copied().filter(|_| !to_all);
        let frame = neighbour::question(&self.links[link.index()].state, address.ip, to);
        self.actions.push_back(Action::SendFrame { link, frame, probes: Some(id) });
    }

    pub(super) fn handle_probe_not_sent(&mut self, id: PeerId, why: &str) {
        let Some(watched) = self.peers.get_mut(id.index()) else { return };
        let whole_round = watched.peer.handle_not_sent(watched.probes_per_round);
        if whole_round && !core::mem::replace(&mut watched.cannot_said, true) {
            let peer = self.config.peers[id.index()].name.clone();
            let why = String::from(why);
            self.actions.push_back(Action::Report(Report::CannotProbe { peer, why }));
        }
        self.schedule_peer(id);
    }

    /// A sign of life of a host, with the round trip where it answers a probe.
    pub(super) fn handle_peer_heard(&mut self, id: PeerId, round_trip: Option<Duration>) {
        let watched = &mut self.peers[id.index()];
        watched.answers += 1;
        watched.cannot_said = false;
        let change = watched.peer.handle_heard(self.now, round_trip);
        // A failing check counts only once its host has answered after it.
        self.undecided |= change.is_some() || self.is_any_check_failing();
        if let Some(change) = change {
            self.report_peer(id, change);
            self.anticipate(id);
            if matches!(change, Change::Alive { dead_for: Some(_) }) {
                self.remind_of_own();
            }
        }
        self.notice_slow_path(id);
        self.schedule_peer(id);
    }

    /// A host that was out of reach may have told others that our own addresses, or those of the
    /// cluster that are here, are with it; or have been told so by a third that is gone by now.
    fn remind_of_own(&mut self) {
        for id in self.vip_ids() {
            if matches!(self.vips[id.index()].home(), Home::Here | Home::Cluster) {
                self.with_vip(id, super::super::vip::Vip::announce_again);
            }
        }
    }

    /// Asks ahead for the addresses of a host whose time is nearly over.
    pub(super) fn anticipate(&mut self, id: PeerId) {
        let window = ask_window(self.config.timing.dead_after);
        let ask_at = self.peers[id.index()].peer.ask_at(window);
        let soon = ask_at.is_some_and(|at| at <= self.now);
        // Nearly always there is nothing to be asked and nothing to be taken back.
        let before = core::mem::replace(&mut self.peers[id.index()].anticipated, soon);
        if !soon && !before {
            return;
        }
        for vip in self.vip_ids() {
            if self.vips[vip.index()].home() == Home::Peer(id) {
                self.with_vip(vip, |vip, around| vip.anticipate(around, soon));
            }
        }
    }

    pub(super) fn schedule_peer(&mut self, id: PeerId) {
        let window = ask_window(self.config.timing.dead_after);
        let peer = &self.peers[id.index()].peer;
        let ask_at = peer.ask_at(window).filter(|at| *at > self.now);
        let next = [peer.timeout(), ask_at].into_iter().flatten().min();
        self.timers.set(Timer::Peer(id), next);
    }

    pub(super) fn report_peer(&mut self, id: PeerId, change: Change) {
        let peer = self.config.peers[id.index()].name.clone();
        let kinds = self.peers[id.index()].probes_per_round as u32;
        self.actions.push_back(Action::Report(match change {
            Change::Alive { dead_for } => Report::PeerAlive { peer, dead_for },
            Change::Suspected { silent } => Report::PeerSuspected { peer, silent },
            Change::Cleared { silent } => Report::PeerCleared { peer, silent },
            Change::Died { silent, rounds } => {
                Report::PeerDead { peer, silent, probes: rounds * kinds }
            }
        }));
    }

    fn notice_slow_path(&mut self, id: PeerId) {
        let dead_after = self.config.timing.dead_after;
        let watched = &mut self.peers[id.index()];
        let Some(round_trip) = watched.peer.slow_round_trip() else { return };
        if !core::mem::replace(&mut watched.slow_said, true) {
            let peer = self.config.peers[id.index()].name.clone();
            let report = Report::SlowPath { peer, round_trip, dead_after };
            self.actions.push_back(Action::Report(report));
        }
    }

    fn is_any_check_failing(&self) -> bool {
        use crate::decide::Service;
        self.checks.iter().any(|check| matches!(check.service(), Service::Failing(_)))
    }
}
