//! A VIP in a planned move: taken without a question, or kept quiet until another has it.
//!
//! Owns the two ends of a move for one address. Never decides that there is one: that is
//! [`crate::cluster::handover`].

use alloc::string::String;
use core::time::Duration;

use super::state::State;
use super::{Surroundings, Vip, Wanted};
use crate::decide::Reason;
use crate::io::Action;

impl Vip {
    /// Its holder offers it and answers for it no more: add it without asking.
    pub fn take(&mut self, around: &mut Surroundings<'_>, reason: Reason) {
        self.last_reason = reason;
        self.wanted = Some(Wanted { cause: None, reason, since: around.now });
        match self.state {
            State::Away | State::LetGo { .. } | State::Asking(_) | State::Waiting { .. } => {
                self.answered = None;
                self.add(around);
            }
            State::Adding { .. } | State::Held(_) | State::Removing { .. } => {}
        }
    }

    /// Has the kernel answer for it no more, or again, while it stays on the host.
    pub fn quiet(&mut self, around: &mut Surroundings<'_>, quiet: bool) {
        if self.quiet_asked == quiet {
            return;
        }
        self.quiet_asked = quiet;
        if let State::Held(held) = &mut self.state {
            held.quiet = false;
            held.muted = quiet;
            around.actions.push_back(Action::QuietAddress { vip: self.id, quiet });
        }
    }

    /// The kernel's answer to [`Action::QuietAddress`]. A kernel that cannot keep quiet does not
    /// stop the move: for its moment two hosts answer ARP, and the later announcement counts.
    pub fn handle_quieted(&mut self, quiet: bool, _result: Result<(), String>) {
        if let State::Held(held) = &mut self.state
            && held.muted == quiet
        {
            held.quiet = quiet;
        }
    }

    /// Whether the kernel answers for it no more, or it is not here.
    pub fn is_quiet(&self) -> bool {
        match &self.state {
            State::Held(held) => held.quiet,
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => true,
        }
    }

    /// Gives it a lifetime in which the next run of this program can adopt it.
    pub fn leave_behind(&mut self, around: &mut Surroundings<'_>, lifetime: Duration) {
        if let State::Held(_) = self.state {
            around.actions.push_back(Action::AddAddress { vip: self.id, lifetime });
        }
    }
}
