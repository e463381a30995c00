//! When the neighbours are told: a quick series first, then slowly for ever.
//!
//! Owns the schedule only. Invariant: it never ends, since a switch forgets a port after about
//! 300 s while a router remembers an address for 1200 s.

use core::time::Duration;

use crate::time::Instant;

/// Offsets of the series from its start: once is not enough, since a frame can be lost and some
/// neighbours lock an entry for a second after an update.
const SERIES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(1100),
    Duration::from_millis(2200),
    Duration::from_secs(5),
];
/// After the series.
pub(super) const SLOWLY: Duration = Duration::from_mins(1);
/// After the series while another host has the address too and answers for it.
pub(super) const SLOWLY_CONTENDED: Duration = Duration::from_secs(5);

/// The schedule of one address.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    started: Instant,
    next: Instant,
    slowly: Duration,
}

impl Announcer {
    /// A series that starts at `now`, and goes on every `slowly`.
    pub(super) fn new(now: Instant, slowly: Duration) -> Self {
        Self { started: now, next: now, slowly }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(now, self.slowly);
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// When the present series began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// Whether an announcement is to be sent now.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        if now < self.next {
            return false;
        }
        // What was missed meanwhile (this process did not run) is made up for by this one.
        let mut offsets = SERIES.iter().map(|offset| self.started + *offset);
        self.next = offsets.find(|at| *at > now).unwrap_or(now + self.slowly);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_series_and_then_slowly_for_ever() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut announcer = Announcer::new(start, SLOWLY);
        let mut said = Vec::new();
        for _ in 0..8 {
            let at = announcer.next();
            assert!(announcer.take_due(at));
            assert!(!announcer.take_due(at), "once is once");
            said.push(at.since(start).as_millis());
        }
        assert_eq!(said, [0, 200, 1100, 2200, 5000, 65_000, 125_000, 185_000]);
        announcer.restart(start + Duration::from_mins(5));
        assert!(announcer.take_due(start + Duration::from_mins(5)));
        // Two were missed: one makes up for both, and the series goes on.
        let late = start + Duration::from_mins(5) + Duration::from_millis(1500);
        assert!(announcer.take_due(late));
        assert_eq!(announcer.next().since(late).as_millis(), 700);
    }
}
