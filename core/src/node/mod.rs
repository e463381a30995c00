//! The whole of one host: the only entry for a shell.
//!
//! Owns the links, the watched hosts, the checks and the VIPs, and passes between them what each
//! needs of the others. Never does anything itself. Invariant: the only effects are the
//! [`Action`]s, in the order in which they are to be carried out.
//!
//! One turn: [`step`] for every input, the last being [`Input::Idle`]; then [`Node::poll_action`]
//! until it is empty; then sleep until [`Node::poll_timeout`].

mod cluster;
mod listen;
mod look;
mod probe;
mod service;
mod sign;
mod touched;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::check::{self, Check};
use crate::cluster::Cluster;
use crate::config::{
    ADDRESS_LIFETIME, CheckId, Config, Home, LinkId, LinkState, PeerId, RENEW_ALONG,
    RENEW_INTERVAL, Vantage, VipId,
};
use crate::decide::{self, Decision, HomeView, Reason, Rules};
use crate::io::{Action, Input};
use crate::random::Random;
use crate::report::Report;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use crate::vip::{RENEWALS_APART, RENEWED_TOGETHER, Surroundings, Vip};
use crate::wire::mac::Mac;

use probe::Watched;
use sign::Sign;
use touched::Touched;

pub use cluster::inquire::{
    ClusterStatus, Explained, Foreseen, GroupStatus, LeaseStatus, NodeStatus, PathTraffic,
    QuorumStatus, Traffic,
};

/// So many renewals go along with a round, of few addresses.
const RENEWALS_ALONG: usize = 16;
/// The longest question before a claim.
const ASK_WINDOW_MOST: Duration = Duration::from_millis(120);
/// An address that still answers is asked for again after this share of a question's length: the
/// moment it falls silent is noticed that much later at the most.
const ASK_PAUSE_SHARE: u32 = 2 * crate::vip::ASK_PROBES;
/// All addresses together are asked for no more often than once in so long.
const ASK_SPACING: Duration = Duration::from_micros(100);
/// Datagrams whose memory is kept for others: one for each member that there may be.
const SPARE_MOST: usize = 64;
/// Actions whose memory is kept for others; what a crowd of addresses needs at one moment is given
/// back.
const ACTIONS_KEPT: usize = 1024;
/// An address whose renewal is late by less is still there.
const LAPSE_LATENESS: Duration = ADDRESS_LIFETIME.saturating_sub(RENEW_INTERVAL);
/// A stall is reported at most this often.
const STALL_REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// An interface and what is known of it.
#[derive(Clone, Debug)]
struct LinkRuntime {
    name: Arc<str>,
    state: LinkState,
    /// It has carried a frame of another host since it came up.
    proven: bool,
    /// Gateways and watched hosts on it.
    known: Vec<IpAddr>,
}

/// One host's share of the work.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub struct Node {
    config: Config,
    links: Vec<LinkRuntime>,
    peers: Vec<Watched>,
    checks: Vec<Check>,
    vips: Vec<Vip>,
    /// In the order of the addresses.
    vip_of: Vec<(IpAddr, VipId)>,
    /// Which checks a VIP has, in the order of the VIPs.
    checks_of: Vec<(VipId, CheckId)>,
    peer_of: BTreeMap<IpAddr, PeerId>,
    own_macs: Vec<Mac>,
    peer_macs: Vec<Mac>,
    timers: Timers,
    /// Room for the timers that are due.
    due: Vec<Timer>,
    /// Room for heartbeats.
    spare: Vec<Vec<u8>>,
    actions: VecDeque<Action>,
    random: Random,
    now: Instant,
    /// So many VIPs are being asked for.
    asking: usize,
    /// VIPs whose question may have its answer at the next [`Input::Idle`].
    touched: Touched,
    /// Something changed from which another decision may follow.
    undecided: bool,
    /// What this node says of its groups may be something else than it last was.
    restated: bool,
    stopping: bool,
    stopped: bool,
    stall_reported: Option<Instant>,
    /// Of the addresses that share a lifetime, while one of them is here.
    sign: Option<Sign>,
    /// When the next right to answer for a group ends.
    rights_end: Option<Instant>,
    /// In a cluster: the fellow nodes and the groups.
    cluster: Option<Box<Cluster>>,
    malformed: BTreeMap<&'static str, u64>,
    identifier: u16,
    /// What this host is called in sentences, and who last held an address of the cluster.
    here: Arc<str>,
    holder: Arc<str>,
}

/// One input at `now`: overdue timers first, so that after a stall what has run out is noticed
/// before what has queued up is believed; then the input.
pub fn step(node: &mut Node, now: Instant, input: Input<'_>) {
    node.handle_timeout(now);
    node.handle(now, input);
}

impl Node {
    /// A host that starts at `now`. `seed` is the only source of chance.
    pub fn new(config: Config, seed: u64, now: Instant) -> Self {
        let mut random = Random::new(seed);
        let identifier = random.next() as u16;
        let own_macs = config.links.iter().map(|link| link.state.mac).collect();
        let links = config.links.iter().map(|link| LinkRuntime {
            name: link.name.clone(),
            state: link.state.clone(),
            proven: false,
            known: Vec::new(),
        });
        let mut node = Self {
            links: links.collect(),
            peers: config.peers.iter().map(|p| Watched::new(p, config.timing, now)).collect(),
            checks: Vec::new(),
            vips: Vec::new(),
            vip_of: Vec::new(),
            checks_of: Vec::new(),
            peer_of: BTreeMap::new(),
            own_macs,
            peer_macs: Vec::new(),
            timers: Timers::default(),
            due: Vec::new(),
            spare: Vec::new(),
            actions: VecDeque::new(),
            random,
            now,
            asking: 0,
            touched: Touched::default(),
            undecided: true,
            restated: true,
            stopping: false,
            stopped: false,
            stall_reported: None,
            sign: None,
            rights_end: None,
            cluster: None,
            malformed: BTreeMap::new(),
            identifier,
            here: Arc::from("this host"),
            holder: Arc::from("its holder"),
            config,
        };
        node.populate(now);
        node
    }

    fn populate(&mut self, now: Instant) {
        for (id, settings) in (0..).map(VipId).zip(&self.config.vips) {
            let vip = Vip::new(id, settings, now);
            self.vips.push(vip.among(id.index(), self.config.vips.len()));
            self.vip_of.push((settings.address, id));
        }
        self.vip_of.sort_unstable();
        self.timers.make_room(self.vips.len());
        self.vips.shrink_to_fit();
        self.vip_of.shrink_to_fit();
        let checks = (0..).map(CheckId).zip(&self.config.checks);
        self.checks_of = checks.map(|(id, check)| (check.vip, id)).collect();
        self.checks_of.sort_unstable();
        for (id, peer) in (0..).map(PeerId).zip(&self.config.peers) {
            self.peer_of.extend(peer.addresses.iter().map(|address| (address.ip, id)));
        }
        for settings in &self.config.checks {
            let first_run = now + self.random.below(settings.interval / 4);
            let mut check = Check::new(settings, first_run);
            if settings.vantage == Vantage::Peers {
                check.rest();
            }
            self.checks.push(check);
        }
        for id in self.link_ids() {
            self.refresh_known(id);
        }
        for id in self.peer_ids() {
            if !self.is_reachable(id) {
                self.peers[id.index()].peer.pause();
            }
            self.schedule_peer(id);
        }
        for id in self.check_ids() {
            self.schedule_check(id);
        }
        for id in self.vip_ids() {
            self.with_vip(id, |_, _| ());
        }
    }

    /// Takes an input that happened at `now`. Time that goes backwards is taken as standing still.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = self.now.max(now);
        match input {
            Input::Frame { link, bytes } => self.handle_frame(link, bytes),
            Input::FramesLost { link } => self.handle_frames_lost(link),
            Input::Echo { from, bytes } => self.handle_echo(from, bytes),
            Input::ProbeNotSent { peer, why } => self.handle_probe_not_sent(peer, why),
            Input::AddressAdded { vip, .. }
            | Input::AddressRemoved { vip, .. }
            | Input::AddressLost { vip }
            | Input::Quieted { vip, .. }
                if vip.index() >= self.vips.len() => {}
            Input::AddressAdded { vip, result } => {
                let before = self.vips[vip.index()].is_refused(self.now);
                self.with_vip(vip, |vip, around| vip.handle_added(around, result));
                if before != self.vips[vip.index()].is_refused(self.now) {
                    self.tell_at_once();
                }
                self.aim_checks(vip);
            }
            Input::AddressRemoved { vip, result } => {
                self.with_vip(vip, |vip, around| vip.handle_removed(around, result));
                self.aim_checks(vip);
            }
            Input::AddressLost { vip } => {
                self.with_vip(vip, super::vip::Vip::handle_lost);
            }
            Input::LifeSigned { result } => self.handle_life_signed(result),
            Input::Link { link, state } => self.handle_link(link, state),
            Input::Check { check, target, result } => self.handle_check(check, target, result),
            Input::Quieted { vip, quiet, result } => {
                self.with_vip(vip, |vip, around| vip.handle_quieted(around, quiet, &result));
                self.undecided = true;
            }
            Input::Heartbeat { from, bytes } => self.handle_heartbeat(from, bytes),
            Input::HeartbeatRefused { from } => self.handle_refused(from),
            Input::LeaseExtended { group, until, result } => {
                self.handle_lease_extended(group, until, result);
            }
            Input::LeaseEnded { group, result } => self.handle_lease_ended(group, &result),
            Input::Fenced { node, result } => self.handle_fenced(node, &result),
            Input::Drain { node, drained } => self.handle_drain(node, drained),
            Input::Place { group, node } => self.handle_place(group, node),
            Input::Stop => self.handle_stop(),
            Input::StopKeeping => self.handle_stop_keeping(),
            Input::Idle => self.handle_idle(),
        }
    }

    /// Does everything that is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        if self.stopped {
            // What is left to the next run has its lifetime: a renewal would shorten it.
            return;
        }
        if let Some((deadline, _)) = self.timers.next() {
            self.notice_stall(self.now.since(deadline));
        }
        self.judge_rights();
        let mut due = core::mem::take(&mut self.due);
        while let Some((at, timer)) = self.timers.pop_due(self.now) {
            match timer {
                // Before any heartbeat: it may tell that much is gone.
                Timer::Sign => self.handle_sign_timeout(),
                // So late the kernel may have removed it, and no heartbeat may tell of it as here.
                Timer::Vip(id) if self.now.since(at) >= LAPSE_LATENESS => {
                    self.handle_vip_timeout(id);
                }
                timer => due.push(timer),
            }
        }
        let round = self.gather_rounds(&mut due);
        if round {
            self.hasten_sign(RENEW_ALONG);
        }
        self.gather_renewals(&mut due, round);
        for timer in due.drain(..) {
            match timer {
                Timer::Peer(id) => self.handle_peer_timeout(id),
                Timer::Check(id) => self.handle_check_timeout(id),
                Timer::Daemon(member) => self.handle_daemon_timeout(member as usize),
                Timer::Group(_) | Timer::Handover(_) | Timer::Decision(_) => self.undecided = true,
                Timer::Lease => self.stir_leases(),
                // Renewed above, before all others.
                Timer::Sign => {}
                Timer::Stop => self.stopping = true,
                Timer::Vip(id) => self.handle_vip_timeout(id),
            }
        }
        due.shrink_to(ACTIONS_KEPT);
        self.due = due;
    }

    /// Who is awake for a round renews what would wake it soon. A crowd has moments of its own: whoever is
    /// renewed takes along those whose moment is next to it, so that they do not scatter.
    fn gather_renewals(&mut self, due: &mut Vec<Timer>, round: bool) {
        let of_crowd = |timer: &&Timer| match timer {
            Timer::Vip(id) => self.vips[id.index()].is_crowd_renewal_due(self.now),
            _ => false,
        };
        let crowd = due.iter().filter(of_crowd).count();
        let (within, most) = match crowd {
            0 if !round => return,
            0 => (RENEW_ALONG, RENEWALS_ALONG),
            crowd => (RENEWALS_APART / 2, RENEWED_TOGETHER.saturating_sub(crowd)),
        };
        for _ in 0..most {
            let Some((deadline, timer @ Timer::Vip(id))) = self.timers.next() else { return };
            let vip = &mut self.vips[id.index()];
            let along = deadline <= self.now + within && vip.is_crowd() == (crowd > 0);
            if !(along && vip.hasten_renewal(self.now, deadline)) {
                return;
            }
            self.timers.set(timer, None);
            due.push(timer);
        }
    }

    /// A datagram of [`Action::SendHeartbeat`] that was sent: its memory serves for another.
    pub fn reuse(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < SPARE_MOST {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// What is due but waits until all that arrived is read is not asked for again before
    /// [`Input::Idle`]: were it, every frame in between would cost a look at every such VIP.
    fn handle_vip_timeout(&mut self, id: VipId) {
        self.with_vip(id, super::vip::Vip::handle_timeout);
        if self.vips[id.index()].timeout().is_some_and(|at| at <= self.now) {
            self.timers.set(Timer::Vip(id), None);
        }
    }

    /// When [`Node::handle_timeout`] is to be called next, and for whom; never again after
    /// [`Action::Stopped`].
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.next().filter(|_| !self.stopped)
    }

    /// The next thing to do, in order.
    pub fn poll_action(&mut self) -> Option<Action> {
        let action = self.actions.pop_front();
        if action.is_none() && self.actions.capacity() > ACTIONS_KEPT {
            self.actions.shrink_to(ACTIONS_KEPT);
        }
        action
    }

    /// Which VIP an address is.
    pub fn vip_of(&self, address: IpAddr) -> Option<VipId> {
        let place = self.vip_of.binary_search_by_key(&address, |(known, _)| *known).ok()?;
        Some(self.vip_of[place].1)
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether [`Input::Idle`] may make something of what has *not* arrived: somebody is suspected, an
    /// address was asked for, a decision is open. Only then has everything to be read before it.
    pub fn minds_silence(&self) -> bool {
        let cluster = self.cluster.as_ref();
        let suspected = self.peers.iter().any(|watched| watched.peer.is_suspected());
        suspected
            || self.undecided
            || !self.touched.is_empty()
            || cluster.is_some_and(|cluster| {
                let mut members = cluster.members.iter();
                cluster.leases.is_some() || members.any(|member| member.daemon.is_suspected())
            })
    }

    /// Whether an address is being asked for, so that a lost answer would be taken for silence.
    pub fn is_asking(&self) -> bool {
        self.asking > 0
    }

    /// Who answered on this link may not have been heard.
    fn handle_frames_lost(&mut self, link: LinkId) {
        for id in self.vip_ids() {
            let vip = &self.vips[id.index()];
            if vip.link() == link && vip.is_asking() {
                self.with_vip(id, Vip::handle_frames_lost);
            }
        }
    }

    /// All that has arrived is read: judge, decide, claim.
    fn handle_idle(&mut self) {
        if self.stopped {
            return;
        }
        for id in self.peer_ids() {
            let watched = &mut self.peers[id.index()];
            if let Some(change) = watched.peer.judge(self.now) {
                self.report_peer(id, change);
                self.undecided = true;
                self.schedule_peer(id);
            }
        }
        self.judge_daemons();
        if core::mem::take(&mut self.undecided) {
            for id in self.vip_ids() {
                self.decide(id);
            }
            self.settle_groups();
            self.stir_leases();
            self.restated = true;
        }
        self.ask_ahead();
        self.settle_touched();
        self.drive_leases();
        // What a lease has allowed is done at once.
        self.settle_touched();
        self.tell_news();
        if (self.stopping || self.is_leaving())
            && self.vips.iter().all(|vip| !vip.is_on_host())
            && self.leases_are_over()
            && !core::mem::replace(&mut self.stopped, true)
        {
            self.actions.push_back(Action::Stopped);
        }
    }

    fn settle_touched(&mut self) {
        let touched = self.touched.take();
        for id in &touched {
            self.with_vip(*id, super::vip::Vip::settle);
            self.aim_checks(*id);
        }
        self.touched.reuse(touched);
    }

    /// Who should hold this VIP?
    fn decide(&mut self, id: VipId) {
        if self.stopping {
            self.with_vip(id, |vip, around| vip.unwant(around, Reason::Stopping));
            return;
        }
        let home = match self.vips[id.index()].home() {
            Home::Peer(home) => home,
            Home::Here => {
                self.with_vip(id, |vip, around| vip.want(around, None, Reason::Own));
                return;
            }
            Home::Cluster => return,
        };
        let decision = self.decision(id, home);
        self.timers.set(Timer::Decision(id), decision.again_at);
        let reason = decision.reason;
        self.with_vip(id, |vip, around| match decision.here {
            Some(cause) => vip.want(around, Some(cause), reason),
            None => vip.unwant(around, reason),
        });
    }

    fn decision(&self, id: VipId, home: PeerId) -> Decision {
        let peer = &self.peers[home.index()].peer;
        let settings = &self.config.vips[id.index()];
        let view = HomeView {
            life: peer.life(),
            steady_since: peer.steady_since(),
            heard_at: peer.heard_at(),
            service: check::together(self.checks_of(id).map(|c| self.checks[c.index()].service())),
        };
        let rules = Rules {
            failback: settings.failback,
            on_check_failure: settings.on_check_failure,
            back_after: self.config.timing.back_after,
        };
        decide::decide(self.now, view, self.vips[id.index()].standing_in(), rules)
    }

    /// Runs something on a VIP with all that it may look at, and keeps its deadline.
    fn with_vip<T>(
        &mut self,
        id: VipId,
        run: impl FnOnce(&mut Vip, &mut Surroundings<'_>) -> T,
    ) -> T {
        let ask_window = ask_window(self.config.timing.dead_after);
        let vips = self.vips.len() as u32;
        let vip = &mut self.vips[id.index()];
        let link = &self.links[vip.link().index()];
        let (home, home_macs): (&Arc<str>, &[Mac]) = match vip.home() {
            Home::Here => (&self.here, &[]),
            Home::Cluster => (&self.holder, &[]),
            Home::Peer(peer) => {
                (&self.config.peers[peer.index()].name, &self.peers[peer.index()].macs)
            }
        };
        let mut around = Surroundings {
            now: self.now,
            link: &link.state,
            home_macs,
            peer_macs: &self.peer_macs,
            home,
            known: &link.known,
            ask_window,
            ask_pause: (ask_window / ASK_PAUSE_SHARE).max(ASK_SPACING * vips),
            actions: &mut self.actions,
        };
        let now = self.now;
        let before = (vip.place(), vip.is_held(), vip.is_refused(now));
        let asked = vip.is_asking();
        let result = run(vip, &mut around);
        self.asking = self.asking + usize::from(vip.is_asking()) - usize::from(asked);
        let moved = before != (vip.place(), vip.is_held(), vip.is_refused(now));
        self.undecided |= moved;
        self.restated |= moved;
        self.timers.set(Timer::Vip(id), vip.timeout());
        self.touched.insert(id);
        if moved {
            self.begin_sign(id);
        }
        result
    }

    /// A late timer means that this process, or the whole machine, did not run: silence heard
    /// meanwhile is our own.
    fn notice_stall(&mut self, late: Duration) {
        if late <= self.config.timing.dead_after / 4 {
            return;
        }
        for id in self.peer_ids() {
            self.peers[id.index()].peer.handle_stall(self.now);
            self.schedule_peer(id);
        }
        let recently =
            self.stall_reported.is_some_and(|at| self.now.since(at) < STALL_REPORT_INTERVAL);
        if !recently {
            self.stall_reported = Some(self.now);
            self.actions.push_back(Action::Report(Report::Stalled { late }));
        }
    }

    fn link_ids(&self) -> impl Iterator<Item = LinkId> + use<> {
        (0..self.links.len() as u32).map(LinkId)
    }

    fn peer_ids(&self) -> impl Iterator<Item = PeerId> + use<> {
        (0..self.peers.len() as u32).map(PeerId)
    }

    fn check_ids(&self) -> impl Iterator<Item = CheckId> + use<> {
        (0..self.checks.len() as u32).map(CheckId)
    }

    fn vip_ids(&self) -> impl Iterator<Item = VipId> + use<> {
        (0..self.vips.len() as u32).map(VipId)
    }
}

/// How long the question before a claim takes: long enough for an answer, short enough to fit into
/// the suspicion.
pub fn ask_window(dead_after: Duration) -> Duration {
    (dead_after * 3 / 10).min(ASK_WINDOW_MOST)
}
