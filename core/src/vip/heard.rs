//! What a frame of another host about a VIP means.
//!
//! Owns the answers to a question, conflicts, defence, and the home's own claim. Invariant: however
//! often another host claims an address that is here, it is announced in defence at most once in
//! [`DEFEND_INTERVAL`], and not at all on schedule until the other has been
//! quiet for a while; so two such hosts cannot make a war.

use alloc::boxed::Box;
use core::time::Duration;

use super::act::{send_all, send_probe};
use super::state::{Answered, Contested, State};
use super::{ANSWER_WITHIN, CONTESTED_MOST, DEFEND_INTERVAL, Meaning, Surroundings, Vip};
use crate::config::{Failback, Home, OnAnswer};
use crate::decide::{Cause, Reason};
use crate::io::Action;
use crate::neighbour::{self, Heard};
use crate::report::Report;
use crate::time::Instant;
use crate::wire::mac::Mac;

/// While somebody answers for an address whose home is silent, it is asked again at most this much
/// later, so that the claim follows closely when the answers stop.
const ASK_AGAIN_STANDING_IN: Duration = Duration::from_millis(250);
/// While somebody answers for this host's own address: the one who can let go says so.
const ASK_AGAIN_OWN: Duration = Duration::from_secs(1);
/// So many claimants of one address are named within [`DEFEND_INTERVAL`]: each
/// is a line of the log, a hook and an event, and whoever makes up link-layer addresses has many.
const NAMED_MOST: u32 = 4;
/// Another host's question is answered with an announcement at most this often.
const REMIND_INTERVAL: Duration = Duration::from_secs(1);

impl Vip {
    /// A frame of another host that asserts or asks for this address.
    pub fn handle_heard(&mut self, around: &mut Surroundings<'_>, heard: &Heard) -> Meaning {
        let asserts = heard.asserts == Some(self.address);
        let probes = heard.is_probe() && heard.asks == Some(self.address);
        let by = heard.mac;
        let from_home = around.home_macs.contains(&by);
        match &self.state {
            State::Asking(_) | State::Waiting { .. } if asserts => {
                self.handle_answer(around, by, false)
            }
            State::Asking(_) | State::Waiting { .. } if probes => self.handle_rival(around, by),
            State::Adding { .. } if asserts || probes => {
                self.handle_late_claim(around, by, asserts)
            }
            State::Held(_) if asserts => self.handle_claim(around, by),
            State::Held(_) if probes => self.handle_probe(around, by),
            State::LetGo { .. } if asserts => self.handle_successor(around, by),
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Held(_)
            | State::Removing { .. }
            | State::LetGo { .. } => {
                if probes && from_home {
                    Meaning::HomeClaims
                } else {
                    Meaning::None
                }
            }
        }
    }

    /// Somebody has the address that we asked for, or asks for it and goes first.
    fn handle_answer(&mut self, around: &mut Surroundings<'_>, by: Mac, asks: bool) -> Meaning {
        let before = self.answered.take();
        let known = before.filter(|answered| answered.by == by);
        let (times, said) = known.map_or((0, false), |answered| (answered.times, answered.said));
        self.answered = Some(Answered { by, times: times.saturating_add(1), asks, said });
        if self.on_answer == OnAnswer::Takeover {
            return Meaning::None;
        }
        let most = match self.home {
            Home::Here => ASK_AGAIN_OWN,
            Home::Peer(_) => ASK_AGAIN_STANDING_IN,
            Home::Cluster => around.ask_pause,
        };
        let pause = around.ask_pause * (1 << times.min(8));
        let ask_at = around.now + pause.min(most);
        self.become_state(around.now, State::Waiting { by, ask_at });
        if self.wanted.is_some() {
            self.report_answered(around);
        }
        Meaning::None
    }

    /// Another host asks for the address that we are asking for.
    fn handle_rival(&mut self, around: &mut Surroundings<'_>, by: Mac) -> Meaning {
        match self.home {
            Home::Here => {
                // Who answered before and asks now has let go.
                let let_go = self.answered.as_ref().is_some_and(|answered| answered.by == by);
                if let_go && self.wanted.is_some() {
                    self.answered = None;
                    self.add(around);
                }
                Meaning::None
            }
            Home::Peer(_) if around.home_macs.contains(&by) => Meaning::HomeClaims,
            // Two that would stand in: the lower address goes first, the other waits for its answer.
            Home::Peer(_) | Home::Cluster if by < around.link.mac => {
                self.handle_answer(around, by, true)
            }
            Home::Peer(_) | Home::Cluster => Meaning::None,
        }
    }

    /// The home speaks up between the decision and the kernel's acknowledgement.
    fn handle_late_claim(
        &mut self,
        around: &mut Surroundings<'_>,
        by: Mac,
        asserts: bool,
    ) -> Meaning {
        if !around.home_macs.contains(&by) || self.home == Home::Here {
            return Meaning::None;
        }
        let contended = self.standing_in() == Some(Cause::ServiceDown);
        let takeover = self.on_answer == OnAnswer::Takeover;
        if asserts && (contended || takeover) {
            return Meaning::None;
        }
        self.wanted = None;
        self.last_reason = Reason::HomeClaims;
        Meaning::HomeClaims
    }

    /// Another host says that it has the address that is here.
    fn handle_claim(&mut self, around: &mut Surroundings<'_>, by: Mac) -> Meaning {
        let from_home = around.home_macs.contains(&by) && self.home != Home::Here;
        if matches!(&self.state, State::Held(held) if held.resuming.is_some()) {
            self.wanted = None;
            self.remove(around, Reason::PlacedElsewhere);
            return Meaning::None;
        }
        if self.home == Home::Cluster && around.peer_macs.contains(&by) {
            return Meaning::PeerClaims;
        }
        if matches!(&self.state, State::Held(held) if held.muted) {
            // It is given away: that is its receiver, seen here for the first time.
            return Meaning::None;
        }
        if !from_home {
            self.handle_conflict(around, by);
            return Meaning::None;
        }
        if self.was_asked(around.now) {
            // It was asked, which is another thing than claiming; it gets it in its own time.
            if self.failback != Failback::Yes {
                self.report_duplicate(around, Some(by));
            }
            return Meaning::None;
        }
        if self.standing_in() == Some(Cause::ServiceDown) {
            // It never let go of it; its defence is no return.
            self.report_duplicate(around, Some(by));
            return Meaning::None;
        }
        self.wanted = None;
        self.remove(around, Reason::HomeClaims);
        Meaning::HomeClaims
    }

    /// A fellow, which knows by heartbeat who holds what, has the address that is here. Where that is
    /// its answer to our question its kernel has what its daemon knows nothing of.
    pub fn handle_fellow(&mut self, around: &mut Surroundings<'_>, by: Mac) {
        let certain = matches!(&self.state, State::Held(held) if held.may_announce());
        if certain && self.was_asked(around.now) {
            self.handle_conflict(around, by);
        }
    }

    fn was_asked(&self, now: Instant) -> bool {
        let State::Held(held) = &self.state else { return false };
        held.doubted_at > self.changed_at && now.since(held.doubted_at) < ANSWER_WITHIN
    }

    /// Another host asks whether anybody has the address that is here. The kernel has answered.
    fn handle_probe(&mut self, around: &mut Surroundings<'_>, by: Mac) -> Meaning {
        let from_home = around.home_macs.contains(&by) && self.home != Home::Here;
        if from_home && self.failback == Failback::Yes {
            self.wanted = None;
            self.remove(around, Reason::HomeClaims);
            return Meaning::HomeClaims;
        }
        let known = around.peer_macs.contains(&by);
        let State::Held(held) = &mut self.state else { return Meaning::None };
        let contested = held.contested.as_ref().is_some_and(|contested| contested.by == by);
        let stands_in = matches!(self.home, Home::Peer(_));
        if contested && stands_in && !from_home && by < around.link.mac {
            // It claimed the address and now asks for it: it stands in as well, and goes first. What
            // is still wanted is asked for when the kernel has removed it.
            self.remove(around, Reason::AnotherStandsIn);
            return Meaning::None;
        }
        // Who claimed it and now asks for it has let go.
        let let_go = contested;
        if let_go {
            held.contested = None;
        }
        let quiet = around.now.since(held.announcer.started()) >= REMIND_INTERVAL;
        if let_go || (known && quiet) {
            self.announce_again(around);
        }
        if from_home { Meaning::HomeClaims } else { Meaning::None }
    }

    /// After our release somebody answers for the address.
    fn handle_successor(&mut self, around: &mut Surroundings<'_>, by: Mac) -> Meaning {
        let from_home = around.home_macs.contains(&by);
        let State::LetGo { vouch, seen, .. } = &mut self.state else { return Meaning::None };
        let first = !core::mem::replace(seen, true);
        if *vouch && from_home {
            // It may be a host that announces nothing: the neighbours still send its traffic here.
            let frames = neighbour::announce(around.link, self.address, by, around.known);
            send_all(around, self.link, frames);
            if first {
                let (vip, home) = (self.address, around.home.clone());
                around.actions.push_back(Action::Report(Report::HandedBack { vip, home, mac: by }));
            }
        }
        Meaning::None
    }

    /// The address is certain again: what was claimed meanwhile is answered now, once.
    pub(super) fn defend_late(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        let State::Held(held) = &mut self.state else { return };
        let Some(by) = held.contested.as_ref().map(|contested| contested.by) else { return };
        if held.ask.is_some() || held.defended_recently(now) {
            return;
        }
        held.trouble(now).defended_at = Some(now);
        let (vip, ours) = (self.address, around.link.mac);
        around.report(Report::Conflict { vip, ours, theirs: by, defended: true });
        self.announce_now(around);
        self.ask_rival(around);
    }

    /// A defence and then a question, from one who has the address: so speaks a host that stands in
    /// for another. Of two such the one with the higher link-layer address lets go, so that after a
    /// partition one is left; to anybody else the question is a question.
    fn ask_rival(&self, around: &mut Surroundings<'_>) {
        if matches!(self.home, Home::Peer(_)) && self.standing_in() != Some(Cause::ServiceDown) {
            send_probe(around, self.link, self.address);
        }
    }

    fn handle_conflict(&mut self, around: &mut Surroundings<'_>, by: Mac) {
        let now = around.now;
        let State::Held(held) = &mut self.state else { return };
        let recently = held.defended_recently(now);
        let news = held.contested.as_ref().is_none_or(|contested| contested.by != by);
        // While it is not certain that the kernel has it, there is nothing to defend.
        let certain = !held.missing && held.ask.is_none();
        let defend = news && !recently && certain;
        let again = held.contested.is_none() && held.defended_at().is_some();
        let trouble = held.trouble(now);
        if again {
            trouble.contested_for = (trouble.contested_for * 2).min(CONTESTED_MOST);
        }
        let until = now + trouble.contested_for;
        if defend {
            trouble.defended_at = Some(now);
        }
        let named = held.contested.as_ref().map(|contested| contested.named);
        let mut named =
            named.filter(|(at, _)| now.since(*at) < DEFEND_INTERVAL).unwrap_or((now, 0));
        let tell = news && named.1 < NAMED_MOST;
        named.1 += u32::from(tell);
        held.contested = Some(Box::new(Contested { by, until, named }));
        let ours = around.link.mac;
        let vip = self.address;
        if defend {
            around.report(Report::Conflict { vip, ours, theirs: by, defended: true });
            self.announce_now(around);
            self.ask_rival(around);
        } else if tell {
            around.report(Report::Conflict { vip, ours, theirs: by, defended: false });
        }
    }
}
