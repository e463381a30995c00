//! A VIP in a planned move: taken without a question, or kept quiet until another has it.
//!
//! Owns the two ends of a move for one address. Never decides that there is one: that is
//! [`crate::cluster::handover`].

use alloc::string::String;
use core::time::Duration;

use super::act::send_probe;
use super::state::{Ask, State};
use super::{ACK_TIMEOUT, Surroundings, Vip, Wanted};
use crate::decide::Reason;
use crate::io::Action;
use crate::time::Instant;

/// Whether the kernel answers for the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Quiet {
    /// It does.
    #[default]
    Off,
    /// It was told to answer no more.
    On {
        /// It has said something to that.
        done: bool,
        /// It has not said that it cannot.
        able: bool,
    },
    /// It was told then to answer again, and has not confirmed it.
    Ending {
        /// When.
        sent_at: Instant,
    },
}

impl Vip {
    /// Its holder offers it and answers for it no more: add it without asking.
    pub fn take(&mut self, around: &mut Surroundings<'_>, reason: Reason) {
        self.last_reason = reason;
        self.wanted = Some(Wanted { cause: None, reason, since: around.now });
        match self.state {
            State::Away | State::LetGo { .. } | State::Asking(_) | State::Waiting { .. } => {
                self.answered = None;
                if self.allowed {
                    self.add(around);
                } else {
                    self.become_state(around.now, State::Asking(Ask::needless(around.now)));
                }
            }
            State::Adding { .. } | State::Held(_) | State::Removing { .. } => {}
        }
    }

    /// Has the kernel answer for it no more, or again, while it stays on the host. Nothing is
    /// announced from the first until the kernel has confirmed the last.
    pub fn quiet(&mut self, around: &mut Surroundings<'_>, quiet: bool) {
        if let State::Held(held) = &mut self.state {
            held.resuming = None;
        }
        let next = match (self.quiet, quiet) {
            (Quiet::On { .. }, true) | (Quiet::Ending { .. } | Quiet::Off, false) => return,
            (Quiet::Off | Quiet::Ending { .. }, true) => Quiet::On { done: false, able: true },
            (Quiet::On { able: false, .. }, false) => Quiet::Off,
            (Quiet::On { .. }, false) => Quiet::Ending { sent_at: around.now },
        };
        self.quiet = next;
        self.mute();
        around.actions.push_back(Action::QuietAddress { vip: self.id, quiet });
    }

    /// The move went wrong: the kernel answers again unless the receiver has the address after all.
    /// Its daemon may have died with the address in its kernel, so the link is asked first; what
    /// still comes here is served meanwhile.
    pub fn resume(&mut self, around: &mut Surroundings<'_>) {
        if let State::Held(held) = &mut self.state {
            held.resuming = Some(Ask::after_first(around.now, around.ask_window));
            send_probe(around, self.link, self.address);
        } else {
            self.quiet(around, false);
        }
    }

    /// Nobody has said that the receiver has it, and everything that had arrived was read.
    pub(super) fn settle_resuming(&mut self, around: &mut Surroundings<'_>) {
        let State::Held(held) = &mut self.state else { return };
        if held.resuming.as_ref().is_some_and(|ask| ask.is_over() && around.now >= ask.next) {
            held.resuming = None;
            self.quiet(around, false);
            self.announce_again(around);
        }
    }

    /// What is held is announced only where the kernel answers for it.
    pub(super) fn mute(&mut self) {
        let muted = self.quiet != Quiet::Off;
        if let State::Held(held) = &mut self.state {
            held.muted = muted;
        }
    }

    /// The kernel's answer to [`Action::QuietAddress`]. A kernel that cannot keep quiet does not
    /// stop the move: for its moment two hosts answer ARP, and the later announcement counts. One
    /// that does not answer again is told again.
    pub fn handle_quieted(
        &mut self,
        around: &mut Surroundings<'_>,
        quiet: bool,
        result: &Result<(), String>,
    ) {
        match (&mut self.quiet, quiet) {
            (Quiet::On { done, able }, true) => {
                *done = true;
                *able = result.is_ok();
            }
            (Quiet::Ending { .. }, false) if result.is_ok() => {
                self.quiet = Quiet::Off;
                self.mute();
                self.announce_again(around);
            }
            (Quiet::Off | Quiet::On { .. } | Quiet::Ending { .. }, _) => {}
        }
    }

    /// Whether the kernel has confirmed that it answers for it no more, while it is here.
    pub fn is_surely_quiet(&self) -> bool {
        matches!(self.quiet, Quiet::On { done: true, able: true })
    }

    /// When the kernel is told again, because it has not confirmed that it answers.
    pub(super) fn quiet_timeout(&self) -> Option<Instant> {
        match self.quiet {
            Quiet::Ending { sent_at } => Some(sent_at + ACK_TIMEOUT),
            Quiet::Off | Quiet::On { .. } => None,
        }
    }

    pub(super) fn handle_quiet_timeout(&mut self, around: &mut Surroundings<'_>) {
        if self.quiet_timeout().is_some_and(|at| around.now >= at) {
            self.quiet = Quiet::Ending { sent_at: around.now };
            around.actions.push_back(Action::QuietAddress { vip: self.id, quiet: false });
        }
    }

    /// Whether the kernel answers for it no more, or it is not here.
    pub fn is_quiet(&self) -> bool {
        let done = matches!(self.quiet, Quiet::On { done: true, .. });
        done || !matches!(self.state, State::Held(_))
    }

    /// Gives it a lifetime in which the next run of this program can adopt it, or none.
    pub fn leave_behind(&mut self, around: &mut Surroundings<'_>, lifetime: Option<Duration>) {
        let sure = match &self.state {
            State::Held(held) => !held.missing,
            State::Adding { .. } => self.adopted,
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => false,
        };
        match (&self.state, lifetime) {
            (_, Some(lifetime)) if sure => {
                around.actions.push_back(Action::AddAddress { vip: self.id, lifetime });
            }
            (State::Adding { .. } | State::Held(_) | State::Removing { .. }, _) => {
                around.actions.push_back(Action::RemoveAddress { vip: self.id });
            }
            (State::Away | State::Asking(_) | State::Waiting { .. } | State::LetGo { .. }, _) => {}
        }
    }
}
