//! When the neighbours are told: a quick series first, then slowly for ever.
//!
//! Where there are many addresses, those that move at one moment are told of in one short frame each
//! first; everything that follows is spread, so that neither a switch nor this host is flooded.
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
/// In a crowd the whole announcement follows the short one after this, and its place in the crowd.
const FOLLOWS: Duration = Duration::from_millis(10);
/// From so many addresses on they are a crowd.
const CROWD: usize = 65;
/// Repeats of so many addresses of a crowd begin in one millisecond: 10 000 take 200 ms.
const PER_MILLISECOND: u64 = 50;
/// After the series.
pub(super) const SLOWLY: Duration = Duration::from_mins(1);
/// After the series while another host has the address too and answers for it.
pub(super) const SLOWLY_CONTENDED: Duration = Duration::from_secs(5);

/// How long one address of so many lets others go first when it repeats an announcement; none where
/// they are no crowd.
pub(super) fn pace(position: usize, count: usize) -> Option<Duration> {
    (count >= CROWD).then(|| Duration::from_millis(position as u64 / PER_MILLISECOND))
}

/// What is to be said now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// One frame to everybody.
    Short,
    /// In every form, to everybody and to those who are known.
    Whole,
}

/// The schedule of one address.
#[derive(Clone, Debug)]
pub(super) struct Announcer {
    started: Instant,
    next: Instant,
    slowly: Duration,
    /// In a crowd, how long others go first.
    pace: Option<Duration>,
}

impl Announcer {
    /// A series that starts at `now`, and goes on every `slowly`.
    pub(super) fn new(now: Instant, slowly: Duration, pace: Option<Duration>) -> Self {
        Self { started: now, next: now, slowly, pace }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(now, self.slowly, self.pace);
    }

    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// When the present series began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// What is to be said now.
    pub(super) fn take_due(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due::Nothing;
        }
        let due = match self.pace {
            Some(_) if self.next == self.started && now < self.started + FOLLOWS => Due::Short,
            Some(_) | None => Due::Whole,
        };
        let follows = self.pace.map(|_| FOLLOWS);
        let pace = self.pace.unwrap_or_default();
        // What was missed meanwhile (this process did not run) is made up for by this one.
        let offsets = follows.into_iter().chain(SERIES);
        let mut times = offsets.map(|offset| self.started + offset + pace);
        // The first of the series is now; behind a short announcement it is the one that follows.
        self.next = times.find(|at| *at > now).unwrap_or(now + self.slowly);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_series_and_then_slowly_for_ever() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut announcer = Announcer::new(start, SLOWLY, None);
        let mut said = Vec::new();
        for _ in 0..8 {
            let at = announcer.next();
            assert_eq!(announcer.take_due(at), Due::Whole);
            assert_eq!(announcer.take_due(at), Due::Nothing, "once is once");
            said.push(at.since(start).as_millis());
        }
        assert_eq!(said, [0, 200, 1100, 2200, 5000, 65_000, 125_000, 185_000]);
        announcer.restart(start + Duration::from_mins(5));
        assert_eq!(announcer.take_due(start + Duration::from_mins(5)), Due::Whole);
        // Two were missed: one makes up for both, and the series goes on.
        let late = start + Duration::from_mins(5) + Duration::from_millis(1500);
        assert_eq!(announcer.take_due(late), Due::Whole);
        assert_eq!(announcer.next().since(late).as_millis(), 700);
    }

    #[test]
    fn a_crowd_is_told_of_at_once_and_then_spread() {
        let start = Instant::from_nanos(1_000_000_000);
        let mut announcer = Announcer::new(start, SLOWLY, pace(9_999, 10_000));
        let mut said = Vec::new();
        for _ in 0..7 {
            let at = announcer.next();
            said.push((at.since(start).as_millis(), announcer.take_due(at)));
        }
        let whole = [209, 399, 1299, 2399, 5199, 65_199].map(|at| (at, Due::Whole));
        assert_eq!(said[0], (0, Due::Short));
        assert_eq!(said[1..], whole);
        assert_eq!((pace(63, 64), pace(0, 65)), (None, Some(Duration::ZERO)));
        // Too late for the short one.
        let mut announcer = Announcer::new(start, SLOWLY, pace(0, 65));
        assert_eq!(announcer.take_due(start + FOLLOWS), Due::Whole);
    }
}
