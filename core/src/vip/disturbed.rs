//! A VIP that somebody else's hand or the link disturbs.
//!
//! Owns what follows when the kernel lost the address, when answers were lost, and when the interface
//! lost its carrier or got it back. Never decides whether the address should be here.

use core::time::Duration;

use super::act::send_probe;
use super::state::{Ask, State};
use super::{STRIPPED_MOST, Surroundings, Vip};
use crate::config::Home;
use crate::report::Report;

impl Vip {
    /// The kernel no longer has it, by somebody else's hand.
    pub fn handle_lost(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if let State::Adding { sent_at, .. } = &mut self.state
            && self.wanted.is_some()
        {
            // Between the addition and its acknowledgement, which will come all the same.
            *sent_at = now;
            self.answers.outdate();
            self.send_add(around);
            return;
        }
        let State::Held(held) = &mut self.state else {
            return;
        };
        held.miss(now);
        self.answers.outdate();
        if !around.link.up {
            return;
        }
        let (since, times) = &mut held.trouble(now).stripped;
        if now.since(*since) > Duration::from_secs(1) {
            (*since, *times) = (now, 0);
        }
        *times += 1;
        if *times > STRIPPED_MOST {
            return;
        }
        around.report(Report::Stripped { vip: self.address });
        self.send_add(around);
    }

    /// Whether a question is under way whose silence would mean that nobody has it.
    pub fn is_asking(&self) -> bool {
        match &self.state {
            State::Asking(_) => true,
            State::Held(held) => held.ask.is_some() || held.resuming.is_some(),
            State::Away
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => false,
        }
    }

    /// Frames were lost before they could be read: a question that is under way has no answer yet.
    pub fn handle_frames_lost(&mut self, around: &mut Surroundings<'_>) {
        let (now, window) = (around.now, around.ask_window);
        let begin_again = |ask: &mut Ask| ask.begin_again(now, window);
        let again = match &mut self.state {
            State::Asking(ask) => begin_again(ask),
            State::Held(held) => {
                let asked = held.ask.as_mut().is_some_and(begin_again);
                held.resuming.as_mut().is_some_and(begin_again) || asked
            }
            State::Away
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => false,
        };
        if again {
            send_probe(around, self.link, self.address);
        }
    }

    /// The interface lost its carrier or got it back.
    pub fn handle_link(&mut self, around: &mut Surroundings<'_>) {
        let now = around.now;
        if !around.link.up {
            if matches!(self.state, State::Asking(_) | State::Waiting { .. } | State::LetGo { .. })
            {
                self.become_state(now, State::Away);
            }
            if let State::Held(held) = &mut self.state {
                held.ask = None;
            }
            return;
        }
        match &mut self.state {
            State::Held(held) => match self.home {
                Home::Here => {
                    held.miss(now);
                    self.send_add(around);
                }
                // Another may have it meanwhile: ask before telling anybody.
                Home::Peer(_) | Home::Cluster => {
                    held.ask = Some(Ask::after_first(now, around.ask_window));
                    send_probe(around, self.link, self.address);
                }
            },
            State::Away if self.wanted.is_some() => self.ask(around),
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Adding { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => {}
        }
    }
}
