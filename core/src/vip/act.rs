//! What the machine of a VIP does: asks, adds, announces, renews and removes.
//!
//! Owns the actions and the reports that go with them. Decides nothing: [`super`] and
//! [`super::heard`] say when.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use super::announcer::Due;
use super::state::{Answered, Ask, Held, State};
use super::{DOUBT_INTERVAL, Surroundings, Vip, Wanted};
use crate::config::{ADDRESS_LIFETIME, Home, LinkId, OnAnswer, RENEW_INTERVAL};
use crate::decide::{Cause, Reason};
use crate::io::Action;
use crate::neighbour;
use crate::report::Report;
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::mac::Mac;

impl Vip {
    pub(super) fn handle_held_timeout(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let State::Held(held) = &mut self.state else { return };
        let late = now.since(held.renewed_at);
        if held.renew_at.is_some() && late >= ADDRESS_LIFETIME {
            // The kernel has removed it by now, and somebody else may have it.
            held.missing = true;
            if around.link.up {
                self.lapse(around, late);
                return;
            }
        }
        if let Some(ask) = &mut held.ask
            && ask.take_due(now, around.ask_window)
        {
            send_probe(around, self.link, self.address);
        }
        if let Some(ask) = &mut held.resuming
            && ask.take_due(now, around.ask_window)
        {
            send_probe(around, self.link, self.address);
        }
        if held.contested.as_ref().is_some_and(|contested| now >= contested.until) {
            held.contested = None;
            held.announcer.restart(now);
        }
        if held.renew_at.is_some_and(|at| now >= at) {
            held.renew_at = Some(now + RENEW_INTERVAL);
            self.send_add(around);
            self.ask_for_others(around);
        }
        // An announcement that is due waits for `settle`: what took the address away, or claims it,
        // may be among what has not been read yet.
    }

    /// It is one of a crowd and to be renewed now.
    pub(crate) fn is_crowd_renewal_due(&self, now: Instant) -> bool {
        let State::Held(held) = &self.state else { return false };
        self.is_crowd() && held.renew_at.is_some_and(|at| now >= at)
    }

    /// Has the renewal that is what `deadline` is about take place now; whether that is so.
    pub(crate) fn hasten_renewal(&mut self, now: Instant, deadline: Instant) -> bool {
        let State::Held(held) = &mut self.state else { return false };
        if held.renew_at != Some(deadline) {
            return false;
        }
        held.renew_at = Some(now);
        true
    }

    /// When the kernel was asked for it, if it is here and has no time of its own: it is there while the
    /// sign of life is.
    pub(crate) fn signed_since(&self) -> Option<Instant> {
        let State::Held(held) = &self.state else { return None };
        Some(held.renewed_at).filter(|_| held.renew_at.is_none())
    }

    /// It is here and shares a lifetime.
    pub(crate) fn needs_sign(&self) -> bool {
        self.shares_lifetime && matches!(self.state, State::Held(_))
    }

    /// The sign of life has run out, so the kernel does not answer for it, and somebody else may have it.
    pub(crate) fn handle_sign_lost(&mut self, around: &mut Surroundings<'_>, late: Duration) {
        let now = around.now;
        let State::Held(held) = &mut self.state else { return };
        if held.renew_at.is_none() {
            held.miss(now);
            if around.link.up {
                self.lapse(around, late);
            }
        }
    }

    /// A host that has it too and announces nothing gives no sign of itself unless it is asked: Linux
    /// announces no address that is added to it, and answers no announcement of one that it has. It is
    /// asked as anybody asks, since a probe of one who has an address says that it has let go.
    pub(crate) fn ask_for_others(&mut self, around: &mut Surroundings<'_>) {
        let source = match self.address {
            IpAddr::V4(_) => around.link.ipv4.is_some(),
            IpAddr::V6(_) => around.link.ipv6.is_some(),
        };
        let wanted = source
            && around.link.up
            && self.pace.is_none()
            && self.on_answer == OnAnswer::Wait
            && self.standing_in() != Some(Cause::ServiceDown);
        let State::Held(held) = &mut self.state else { return };
        let due = around.now.since(held.doubted_at) >= DOUBT_INTERVAL;
        if wanted && due && held.may_announce() {
            held.doubted_at = around.now;
            let frame = neighbour::question(around.link, self.address, None);
            send(around, self.link, frame);
        }
    }

    /// It was not renewed for so long that the kernel has removed it, or will any moment.
    pub(super) fn lapse(&mut self, around: &mut Surroundings<'_>, late: Duration) {
        around.report(Report::Lapsed { vip: self.address, late });
        self.become_state(around.now, State::Away);
        self.unsure = true;
        around.actions.push_back(Action::RemoveAddress { vip: self.id });
        self.ask(around);
    }

    /// Starts the question.
    pub(super) fn ask(&mut self, around: &mut Surroundings<'_>) {
        let ask = Ask::after_first(around.now, around.ask_window);
        self.become_state(around.now, State::Asking(ask));
        send_probe(around, self.link, self.address);
    }

    pub(super) fn add(&mut self, around: &mut Surroundings<'_>) {
        if let Some(wanted) = &mut self.wanted {
            wanted.since = around.now;
        }
        if let Some(Answered { by, said, .. }) = self.answered
            && self.on_answer == OnAnswer::Wait
        {
            self.answered = None;
            if said {
                around.report(Report::AnswersStopped { vip: self.address, by });
            }
        }
        self.become_state(around.now, State::Adding { sent_at: around.now, refused: false });
        // What is still to come is of requests before this claim.
        self.answers.outdate();
        self.send_add(around);
    }

    pub(super) fn send_add(&mut self, around: &mut Surroundings<'_>) {
        if let State::Held(held) = &mut self.state {
            held.asked_at.get_or_insert(around.now);
        }
        self.answers.expect();
        around.actions.push_back(Action::AddAddress { vip: self.id, lifetime: ADDRESS_LIFETIME });
    }

    pub(super) fn hold(
        &mut self,
        around: &mut Surroundings<'_>,
        asked_at: Instant,
        wanted: Wanted,
    ) {
        let now = around.now;
        let contended = wanted.cause == Some(Cause::ServiceDown);
        let held = Held::new(asked_at, now, contended, self.pace, self.shares_lifetime);
        self.become_state(now, State::Held(held));
        self.allow(self.allowed);
        // From an earlier move.
        self.quiet(around, false);
        self.mute();
        self.announce(around);
        let (vip, home) = (self.address, around.home.clone());
        around.report(Report::Claimed {
            vip,
            home,
            reason: wanted.reason,
            decided: wanted.since,
            confirmed: now,
        });
        let answered = self.answered.take().filter(|answered| !answered.asks);
        let answered_by = answered.map(|answered| answered.by);
        if wanted.cause == Some(Cause::ServiceDown) {
            self.report_duplicate(around, around.home_macs.first().copied());
        } else if let Some(by) = answered_by {
            self.report_duplicate(around, Some(by));
        }
    }

    pub(super) fn remove(&mut self, around: &mut Surroundings<'_>, reason: Reason) {
        let sent_at = around.now;
        self.become_state(sent_at, State::Removing { sent_at, reason, refused: false });
        around.actions.push_back(Action::RemoveAddress { vip: self.id });
    }

    /// Announces if it is time for it and nothing speaks against it.
    pub(super) fn announce(&mut self, around: &mut Surroundings<'_>) {
        if let State::Held(held) = &mut self.state
            && held.may_announce()
        {
            match held.announcer.take_due(around.now) {
                Due::Short => {
                    let (link, mac) = (around.link, around.link.mac);
                    let frame = neighbour::announce_shortly(link, self.address, mac);
                    send(around, self.link, frame);
                }
                Due::Nothing => {}
                Due::Whole => self.announce_now(around),
            }
        }
    }

    pub(super) fn announce_now(&self, around: &mut Surroundings<'_>) {
        if !self.allowed {
            return;
        }
        // A question by name makes the one who is asked remember who asks; ten thousand of them
        // would drive out everybody else whom it remembers (Linux keeps 1024).
        let known = if self.pace.is_some() { &[] } else { around.known };
        let frames = neighbour::announce(around.link, self.address, around.link.mac, known);
        send_all(around, self.link, frames);
    }

    pub(super) fn report_answered(&mut self, around: &mut Surroundings<'_>) {
        let news = |answered: &&mut Answered| !answered.said && !answered.asks;
        let Some(answered) = self.answered.as_mut().filter(news) else { return };
        answered.said = true;
        let by = answered.by;
        let (vip, home) = (self.address, around.home.clone());
        let by_home = around.home_macs.contains(&by);
        let own = self.home == Home::Here;
        around.report(Report::StillAnswered { vip, by, home, by_home, own });
    }

    pub(super) fn report_duplicate(&mut self, around: &mut Surroundings<'_>, other: Option<Mac>) {
        let State::Held(held) = &mut self.state else { return };
        if !core::mem::replace(&mut held.duplicate_reported, true) {
            let (vip, home) = (self.address, around.home.clone());
            around.report(Report::Duplicate { vip, home, other });
        }
    }

    pub(super) fn become_state(&mut self, now: Instant, state: State) {
        if matches!(state, State::Away) {
            self.answered = None;
        }
        self.state = state;
        self.adopted = false;
        self.changed_at = now;
    }
}

pub(super) fn send_probe(around: &mut Surroundings<'_>, link: LinkId, address: IpAddr) {
    let frame = neighbour::probe(around.link, address);
    send(around, link, frame);
}

fn send(around: &mut Surroundings<'_>, link: LinkId, frame: Frame) {
    around.actions.push_back(Action::SendFrame { link, frame, probes: None });
}

pub(super) fn send_all(around: &mut Surroundings<'_>, link: LinkId, frames: Vec<Frame>) {
    let sends = frames.into_iter().map(|frame| Action::SendFrame { link, frame, probes: None });
    around.actions.extend(sends);
}
