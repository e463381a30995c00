//! A kernel that refuses an address.
//!
//! Owns how long this host is no place for it. One refusal may be a moment's (no memory); two in a row,
//! half a second apart, are a state of the host: IPv6 is switched off on the interface, say. Then
//! another node is to have it. Whether the kernel has changed its mind shows only when it is asked
//! again, which may interrupt the other holder for a moment, so it is asked more and more rarely; a
//! change of the interface is a reason to ask at once.

use alloc::boxed::Box;
use core::time::Duration;

use super::Vip;
use super::state::State;
use crate::time::Instant;

/// So many refusals in a row are believed.
const REFUSALS: u32 = 2;
/// How long the host is no place for the address, the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The pause doubles each time, up to this.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// What the kernel has refused since it last took the address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    times: u32,
    pause: Duration,
    until: Option<Instant>,
}

impl Vip {
    /// Whether the kernel refuses it, as far as is known at `now`.
    pub fn is_refused(&self, now: Instant) -> bool {
        self.refused_until().is_some_and(|until| now < until)
    }

    /// Until when it counts as refused, if it does.
    pub fn refused_until(&self) -> Option<Instant> {
        self.refusal.as_ref().and_then(|refusal| refusal.until)
    }

    /// Whether the kernel was asked for what it does not have; a renewal that is refused leaves it the
    /// rest of its life.
    pub(super) fn lacks_address(&self) -> bool {
        match &self.state {
            State::Adding { .. } => true,
            State::Held(held) => held.missing,
            State::Away
            | State::Asking(_)
            | State::Waiting { .. }
            | State::Removing { .. }
            | State::LetGo { .. } => false,
        }
    }

    /// The kernel has refused to add it.
    pub(super) fn note_refusal(&mut self, now: Instant) {
        let first = || Box::new(Refusal { times: 0, pause: FIRST_PAUSE, until: None });
        let refusal = self.refusal.get_or_insert_with(first);
        refusal.times = refusal.times.saturating_add(1);
        if refusal.times < REFUSALS || refusal.until.is_some_and(|until| now < until) {
            return;
        }
        if refusal.until.is_some() {
            refusal.pause = (refusal.pause * 2).min(LONGEST_PAUSE);
        }
        refusal.until = Some(now + refusal.pause);
    }

    /// The kernel has taken it, or its interface is another than it was.
    pub(crate) fn forget_refusal(&mut self) {
        self.refusal = None;
    }
}
