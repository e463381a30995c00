//! One VIP: what is wanted against what the kernel has confirmed, and what the neighbours are told.
//!
//! Owns the question before a claim, the address, its renewal, its announcements, its defence and
//! its hand-back. Never decides whether it should be here. Invariants: nothing is announced before
//! the kernel acknowledged the address, nor after it was told to remove it; an address is claimed
//! only after everything that had arrived was read.
//!
//! ```text
//!                 want                silent, read          ack
//!   Away ──────────────────▶ Asking ───────────▶ Adding ──────────▶ Held ⟲ renew, announce, defend
//!    ▲ ▲                      │  ▲                 ▲                  │  │ not renewed in time
//!    │ │              answered│  │ask again        │ let go, or       │  └──▶ Asking
//!    │ │                      ▼  │                 │ on-answer        │ unwanted, or home claims
//!    │ └─────────────────── Waiting ───────────────┘                  ▼
//!    └───────── LetGo ◀────────────────────────────────────────── Removing
//!            'who has it now?'                 ack
//! ```

mod act;
mod announcer;
mod disturbed;
mod giving;
mod heard;
mod refused;
mod state;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::{
    ADDRESS_LIFETIME, Failback, Home, LinkId, LinkState, OnAnswer, Vip as Settings, VipId,
};
use crate::decide::{Cause, Reason};
use crate::io::Action;
use crate::report::Report;
use crate::time::Instant;
use crate::wire::mac::Mac;

use act::send_probe;
use announcer::Pace;
pub(crate) use announcer::{RENEWALS_APART, RENEWED_TOGETHER};
use giving::Quiet;
use refused::Refusal;
use state::{Answered, Answers, Ask, State};

/// Probes in one question.
pub const ASK_PROBES: u32 = 3;
/// After one defence of an address none is defended for so long (RFC 5227, `DEFEND_INTERVAL`).
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// A held address is asked for so often, in case another host has it as well and says nothing; one of
/// a crowd is not.
const DOUBT_INTERVAL: Duration = Duration::from_secs(10);
/// What is heard of it so soon after the question is an answer to it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long nothing is heard of another claimant before announcements go on, the first time.
const CONTESTED_FIRST: Duration = Duration::from_secs(30);
const CONTESTED_MOST: Duration = Duration::from_hours(1);
/// How long the kernel's acknowledgement is waited for before the request is sent again.
const ACK_TIMEOUT: Duration = Duration::from_millis(500);
/// An address that is stripped more often than this within a second is put back at the next
/// renewal instead of at once.
const STRIPPED_MOST: u32 = 20;

/// Everything around a VIP that its machine looks at, and where its actions go.
pub struct Surroundings<'a> {
    /// The time of this input.
    pub now: Instant,
    /// The interface that carries it.
    pub link: &'a LinkState,
    /// Those of its home, as far as they have been seen.
    pub home_macs: &'a [Mac],
    /// Those of every watched host.
    pub peer_macs: &'a [Mac],
    /// The name of its home.
    pub home: &'a Arc<str>,
    /// Gateways and watched hosts on the link: asked by name in every announcement.
    pub known: &'a [IpAddr],
    /// How long a question takes.
    pub ask_window: Duration,
    /// How soon an address that still answers is asked for again, the first time.
    pub ask_pause: Duration,
    /// Where actions go.
    pub actions: &'a mut VecDeque<Action>,
}

impl Surroundings<'_> {
    fn report(&mut self, report: Report) {
        self.actions.push_back(Action::Report(report));
    }
}

/// What hearing a frame meant for the home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing.
    None,
    /// The home claims its address, which is a sign of life.
    HomeClaims,
    /// A watched host says that it has an address of the cluster that is here.
    PeerClaims,
}

/// Where a VIP is, as far as this host can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Not here.
    Away,
    /// Not here; being asked for.
    Asking,
    /// Not here; this one answers.
    Waiting(Mac),
    /// The kernel was told to add it.
    Adding,
    /// Here.
    Held,
    /// The kernel was told to remove it.
    Removing,
}

/// What is wanted of a VIP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    cause: Option<Cause>,
    reason: Reason,
    since: Instant,
}

/// The machine of one VIP.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each set elsewhere")]
pub struct Vip {
    id: VipId,
    address: IpAddr,
    link: LinkId,
    home: Home,
    failback: Failback,
    on_answer: OnAnswer,
    state: State,
    wanted: Option<Wanted>,
    anticipated: bool,
    answered: Option<Answered>,
    quiet: Quiet,
    answers: Answers,
    last_reason: Reason,
    changed_at: Instant,
    stopping: bool,
    /// The kernel has it from an earlier run and has not been asked about it yet.
    adopted: bool,
    /// It was given up for gone and the kernel has not confirmed that: where the kernel's answers were
    /// lost, not the renewals, it may be there yet.
    unsure: bool,
    /// This host has the right to answer for it, as far as a lease goes.
    allowed: bool,
    /// Among many others, how long they go first when an announcement is repeated.
    pace: Option<Pace>,
    /// See [`Settings::shares_lifetime`].
    shares_lifetime: bool,
    /// The kernel refuses it; rare, and so apart.
    refusal: Option<Box<Refusal>>,
}

impl Vip {
    /// A VIP that is not here, or that the kernel still has from an earlier run.
    pub fn new(id: VipId, settings: &Settings, now: Instant) -> Self {
        let state = if settings.adopted {
            State::Adding { sent_at: now - ACK_TIMEOUT, refused: false }
        } else {
            State::Away
        };
        let (cause, reason) = match settings.home {
            Home::Here => (None, Reason::Own),
            Home::Peer(_) => (Some(Cause::Adopted), Reason::NotYetKnown),
            Home::Cluster => (None, Reason::PlacedHere),
        };
        let wanted = settings.adopted.then_some(Wanted { cause, reason, since: now });
        Self {
            id,
            address: settings.address,
            link: settings.link,
            home: settings.home,
            failback: settings.failback,
            on_answer: settings.on_answer,
            state,
            wanted,
            anticipated: false,
            answered: None,
            quiet: Quiet::default(),
            answers: Answers::default(),
            last_reason: Reason::NotYetKnown,
            changed_at: now,
            stopping: false,
            adopted: settings.adopted,
            unsure: false,
            allowed: true,
            pace: None,
            shares_lifetime: settings.shares_lifetime,
            refusal: None,
        }
    }

    /// One of so many addresses, at this position.
    #[must_use]
    pub fn among(self, position: usize, count: usize) -> Self {
        Self { pace: Pace::of(position, count), ..self }
    }

    /// It is one of a crowd: see [`Vip::among`].
    pub(crate) fn is_crowd(&self) -> bool {
        self.pace.is_some()
    }

    /// The address.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// The interface that carries it.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Where it belongs.
    pub fn home(&self) -> Home {
        self.home
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        match &self.state {
            State::Away | State::LetGo { .. } => Place::Away,
            State::Asking(_) => Place::Asking,
            State::Waiting { by, .. } => Place::Waiting(*by),
            State::Adding { .. } => Place::Adding,
            State::Held(_) => Place::Held,
            State::Removing { .. } => Place::Removing,
        }
    }

    /// Whether the kernel has it and answers for it: as it confirmed, or from an earlier run.
    pub fn is_held(&self) -> bool {
        self.adopted || matches!(self.state, State::Held(_))
    }

    /// Whether the kernel has it, or may have it.
    pub fn is_on_host(&self) -> bool {
        match self.state {
            State::Adding { .. } | State::Held(_) | State::Removing { .. } => true,
            State::Away | State::Asking(_) | State::Waiting { .. } | State::LetGo { .. } => false,
        }
    }

    /// The kernel was told to remove it.
    pub fn is_removing(&self) -> bool {
        matches!(self.state, State::Removing { .. })
    }

    /// Why it is here, while it is or is about to be: the first cause, until it goes.
    pub fn standing_in(&self) -> Option<Cause> {
        match self.state {
            State::Adding { .. } | State::Held(_) => self.wanted.and_then(|wanted| wanted.cause),
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => None,
        }
    }

    /// Why it is where it is.
    pub fn reason(&self) -> Reason {
        self.last_reason
    }

    /// Since when it is where it is.
    pub fn changed_at(&self) -> Instant {
        self.changed_at
    }

    /// Another host that claims it too.
    pub fn contested_by(&self) -> Option<Mac> {
        let State::Held(held) = &self.state else { return None };
        held.contested.as_ref().map(|contested| contested.by)
    }

    /// Another host claims it too.
    pub fn is_contested(&self) -> bool {
        self.contested_by().is_some()
    }

    /// When something is to be done.
    pub fn timeout(&self) -> Option<Instant> {
        match (self.state_timeout(), self.quiet_timeout()) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    fn state_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Away => None,
            // An answer that nobody wants yet, or may act upon, can wait.
            State::Asking(ask) if ask.is_over() && (self.wanted.is_none() || !self.allowed) => None,
            State::Asking(ask) | State::LetGo { ask, .. } => Some(ask.next),
            State::Waiting { ask_at, .. } => Some(*ask_at),
            State::Adding { sent_at, .. } | State::Removing { sent_at, .. } => {
                Some(*sent_at + ACK_TIMEOUT)
            }
            State::Held(held) => held.timeout(),
        }
    }

    /// It should be here for this cause (`None`: as this host's own address) and reason.
    pub fn want(&mut self, around: &mut Surroundings<'_>, cause: Option<Cause>, reason: Reason) {
        self.last_reason = reason;
        match &mut self.wanted {
            Some(wanted) => {
                wanted.reason = reason;
                wanted.cause = cause;
            }
            None => self.wanted = Some(Wanted { cause, reason, since: around.now }),
        }
        match self.state {
            State::Away | State::LetGo { .. } if around.link.up => {
                if cause == Some(Cause::ServiceDown) {
                    self.add(around);
                } else {
                    self.ask(around);
                }
            }
            State::Waiting { .. } | State::Asking(_) if cause == Some(Cause::ServiceDown) => {
                self.add(around);
            }
            State::Waiting { .. } => self.report_answered(around),
            State::Away
            | State::Asking(_)
            | State::Adding { .. }
            | State::Held(_)
            | State::Removing { .. }
            | State::LetGo { .. } => {}
        }
    }

    /// Whether this host has the right to answer for it; without, nothing is added and nothing
    /// announced.
    pub fn allow(&mut self, allowed: bool) {
        self.allowed = allowed;
        if let State::Held(held) = &mut self.state {
            held.barred = !allowed;
        }
    }

    /// Whether this host has the right to answer for it.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// It should not be here, for this reason.
    pub fn unwant(&mut self, around: &mut Surroundings<'_>, reason: Reason) {
        self.wanted = None;
        self.stopping |= reason == Reason::Stopping;
        match self.state {
            State::Away | State::Asking(_) | State::Waiting { .. }
                if self.stopping && self.unsure =>
            {
                self.remove(around, reason);
                return;
            }
            State::Asking(_) | State::Waiting { .. } if !self.anticipated || self.stopping => {
                self.become_state(around.now, State::Away);
            }
            State::LetGo { .. } if self.stopping => self.become_state(around.now, State::Away),
            // The kernel may have it although it has not said so yet.
            State::Held(_) | State::Adding { .. } => {
                self.remove(around, reason);
                return;
            }
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => {}
        }
        self.last_reason = reason;
    }

    /// It may be wanted soon (its home is suspected), or no longer: the question is asked ahead, so
    /// that the claim need not wait for it.
    pub fn anticipate(&mut self, around: &mut Surroundings<'_>, soon: bool) {
        if self.anticipated == soon || self.stopping {
            return;
        }
        self.anticipated = soon;
        match self.state {
            State::Away | State::LetGo { .. } if soon && around.link.up => self.ask(around),
            State::Asking(_) | State::Waiting { .. } if !soon && self.wanted.is_none() => {
                self.become_state(around.now, State::Away);
            }
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Held(_)
            | State::Removing { .. }
            | State::LetGo { .. } => {}
        }
    }

    /// Everything that had arrived has been read: a question that nobody answered has its answer,
    /// and an announcement that is due is true.
    pub fn settle(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        self.settle_resuming(around);
        match &mut self.state {
            State::Asking(ask)
                if ask.is_over() && now >= ask.next && self.wanted.is_some() && self.allowed =>
            {
                self.add(around);
            }
            State::Held(held)
                if held.ask.as_ref().is_some_and(|a| a.is_over() && now >= a.next) =>
            {
                held.ask = None;
                held.miss(now);
                self.send_add(around);
            }
            State::Held(_) => self.announce(around),
            State::LetGo { ask, seen, .. } if ask.is_over() && now >= ask.next => {
                let seen = *seen;
                self.become_state(now, State::Away);
                if !seen && matches!(self.home, Home::Peer(_)) {
                    let (vip, home) = (self.address, around.home.clone());
                    around.report(Report::NobodyAnswers { vip, home });
                }
            }
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        self.handle_quiet_timeout(around);
        match &mut self.state {
            State::Asking(ask) | State::LetGo { ask, .. } => {
                if ask.take_due(now, around.ask_window) {
                    send_probe(around, self.link, self.address);
                }
            }
            State::Waiting { ask_at, .. } => {
                if now >= *ask_at {
                    self.ask(around);
                }
            }
            State::Adding { sent_at, .. } => {
                let late = now.since(*sent_at);
                if late >= ACK_TIMEOUT {
                    *sent_at = now;
                    match self.wanted {
                        Some(_) if late >= ADDRESS_LIFETIME => self.lapse(around, late),
                        Some(_) => self.send_add(around),
                        None => self.remove(around, self.last_reason),
                    }
                }
            }
            State::Removing { sent_at, .. } => {
                if now >= *sent_at + ACK_TIMEOUT {
                    *sent_at = now;
                    around.actions.push_back(Action::RemoveAddress { vip: self.id });
                }
            }
            State::Held(_) => self.handle_held_timeout(around),
            State::Away => {}
        }
    }

    /// The kernel's answer to [`Action::AddAddress`].
    pub fn handle_added(&mut self, around: &mut Surroundings<'_>, result: Result<(), String>) {
        let now = around.now;
        let vip = self.address;
        let fresh = self.answers.take();
        if !fresh && matches!(self.state, State::Held(_) | State::Adding { .. }) {
            // It says nothing about an address that was lost since it was asked for.
            return;
        }
        match result {
            Ok(()) => self.forget_refusal(),
            Err(_) if self.lacks_address() => self.note_refusal(now),
            Err(_) => {}
        }
        match (&mut self.state, result) {
            (State::Adding { sent_at, .. }, Ok(())) => match self.wanted {
                Some(wanted) => {
                    let asked_at = *sent_at;
                    self.hold(around, asked_at, wanted);
                }
                None => self.remove(around, self.last_reason),
            },
            (State::Adding { refused, .. }, Err(why)) => {
                let first = !core::mem::replace(refused, true);
                if self.wanted.is_none() {
                    self.become_state(now, State::Away);
                }
                if first {
                    around.report(Report::AddFailed { vip, why });
                }
            }
            (State::Held(held), Ok(())) => {
                held.renewed_at = held.asked_at.take().unwrap_or(held.renewed_at);
                held.refused = false;
                if self.shares_lifetime {
                    held.renew_at = None;
                }
                if core::mem::take(&mut held.missing) {
                    held.announcer.restart(now);
                    self.announce(around);
                    self.defend_late(around);
                }
            }
            (State::Held(held), Err(why)) => {
                held.asked_at = None;
                if !core::mem::replace(&mut held.refused, true) {
                    around.report(Report::AddFailed { vip, why });
                }
            }
            // An acknowledgement that comes late: the removal was sent after the addition.
            (
                State::Away
                | State::Asking(_)
                | State::Waiting { .. }
                | State::Removing { .. }
                | State::LetGo { .. },
                _,
            ) => {}
        }
    }

    /// The kernel's answer to [`Action::RemoveAddress`].
    pub fn handle_removed(&mut self, around: &mut Surroundings<'_>, result: Result<(), String>) {
        self.unsure &= result.is_err();
        let State::Removing { reason, refused, .. } = &mut self.state else {
            return;
        };
        let reason = *reason;
        // Nothing was added since: what was asked for before has been answered, or never will be.
        self.answers.forget();
        if let Err(why) = result {
            if !core::mem::replace(refused, true) {
                around.report(Report::RemoveFailed { vip: self.address, why });
            }
            return;
        }
        let (vip, home) = (self.address, around.home.clone());
        around.report(Report::Released { vip, home, reason });
        self.last_reason = reason;
        self.quiet(around, false);
        // 'I let go; who has it now?' The one who waited for it takes this as the release.
        send_probe(around, self.link, self.address);
        if self.stopping {
            self.become_state(around.now, State::Away);
        } else if self.wanted.is_some() {
            self.become_state(around.now, State::Away);
            if around.link.up {
                self.ask(around);
            }
        } else {
            let ask = Ask::after_first(around.now, around.ask_window);
            // One that claims its address announces it as well.
            let vouch = reason != Reason::HomeClaims;
            self.become_state(around.now, State::LetGo { ask, vouch, seen: false });
        }
    }

    /// The network may have changed its mind about us (a host came back, a partition healed): say
    /// again where this address is. A fellow that had it too is not waited for any longer: who keeps it is
    /// settled by heartbeats, and the neighbours may have believed the other last.
    pub fn announce_again(&mut self, around: &mut Surroundings<'_>) {
        let State::Held(held) = &mut self.state else { return };
        if held.contested.as_ref().is_some_and(|other| around.peer_macs.contains(&other.by)) {
            held.contested = None;
        }
        if held.may_announce() {
            held.announcer.restart(around.now);
            self.announce(around);
        }
    }
}
