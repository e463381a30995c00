//! When the neighbours are told: a quick series first, then slowly for ever.
//!
//! Where there are many addresses, those that move at one moment are told of in one short frame each
//! first; everything that follows is spread, so that neither a switch nor this host is flooded.
//!
//! Owns the schedule only. Invariant: it never ends, since a switch forgets a port after about
//! 300 s while a router remembers an address for 1200 s.

use core::time::Duration;

use crate::config::RENEW_INTERVAL;
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
const PER_MILLISECOND: usize = 50;
/// So many addresses of a crowd are renewed in one turn, and the next so much earlier.
pub(crate) const RENEWED_TOGETHER: usize = 1000;
pub(crate) const RENEWALS_APART: Duration = Duration::from_millis(25);
/// After the series.
const SLOWLY: Duration = Duration::from_mins(1);
/// After the series while another host has the address too and answers for it.
const SLOWLY_CONTENDED: Duration = Duration::from_secs(5);

/// How long one address of a crowd lets others go first when it repeats an announcement. Small, since
/// there is one for each address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    millis: u16,
}

impl Pace {
    /// Of one address of so many, at this position; none where they are no crowd.
    pub(super) fn of(position: usize, count: usize) -> Option<Self> {
        let millis = u16::try_from(position / PER_MILLISECOND).unwrap_or(u16::MAX);
        (count >= CROWD).then_some(Self { millis })
    }

    pub(super) fn wait(self) -> Duration {
        Duration::from_millis(self.millis.into())
    }

    /// How much earlier than others it is renewed for the first time, and so ever after: ten thousand
    /// renewals in one turn would keep it from everything else.
    pub(super) fn ahead(self) -> Duration {
        let before = usize::from(self.millis) * PER_MILLISECOND / RENEWED_TOGETHER;
        (RENEWALS_APART * before as u32).min(RENEW_INTERVAL / 2)
    }
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
    /// Another host has the address too.
    contended: bool,
    /// In a crowd, how long others go first.
    pace: Option<Pace>,
}

impl Announcer {
    /// A series that starts at `now`, and goes on slowly.
    pub(super) fn new(now: Instant, contended: bool, pace: Option<Pace>) -> Self {
        Self { started: now, next: now, contended, pace }
    }

    pub(super) fn restart(&mut self, now: Instant) {
        *self = Self::new(now, self.contended, self.pace);
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
        let pace = self.pace.map(Pace::wait).unwrap_or_default();
        let slowly = if self.contended { SLOWLY_CONTENDED } else { SLOWLY };
        // What was missed meanwhile (this process did not run) is made up for by this one.
        let offsets = follows.into_iter().chain(SERIES);
        let mut times = offsets.map(|offset| self.started + offset + pace);
        // The first of the series is now; behind a short announcement it is the one that follows.
        self.next = times.find(|at| *at > now).unwrap_or(now + slowly);
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
        let mut announcer = Announcer::new(start, false, None);
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
        let mut announcer = Announcer::new(start, false, Pace::of(9_999, 10_000));
        let mut said = Vec::new();
        for _ in 0..7 {
            let at = announcer.next();
            said.push((at.since(start).as_millis(), announcer.take_due(at)));
        }
        let whole = [209, 399, 1299, 2399, 5199, 65_199].map(|at| (at, Due::Whole));
        assert_eq!(said[0], (0, Due::Short));
        assert_eq!(said[1..], whole);
        let wait = |position, count| Pace::of(position, count).map(Pace::wait);
        assert_eq!((wait(63, 64), wait(0, 65)), (None, Some(Duration::ZERO)));
        let ahead = |position| Pace::of(position, 10_000).map(|pace| pace.ahead().as_millis());
        assert_eq!(
            [ahead(0), ahead(999), ahead(1000), ahead(9_999)].map(Option::unwrap_or_default),
            [0, 0, 25, 225]
        );
        // Too late for the short one.
        let mut announcer = Announcer::new(start, false, Pace::of(0, 65));
        assert_eq!(announcer.take_due(start + FOLLOWS), Due::Whole);
    }
}
