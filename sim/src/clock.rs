//! A host's clock: its own origin and its own rate.
//!
//! Owns the translation between the world's time and a host's. Invariant: monotonic, and a host's
//! deadline translated to the world's time is never early.

use standin_core::Instant;
use std::time::Duration;

const MILLION: i128 = 1_000_000;

/// A clock that runs at its own rate.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: u64,
    /// Parts per million by which it is fast; at most 10 000, one per cent.
    fast: i64,
}

impl Clock {
    /// A clock that showed `origin` at the world's beginning.
    pub const fn new(origin: u64, fast: i64) -> Self {
        Self { origin, fast }
    }

    /// What it shows.
    pub fn show(self, world: Instant) -> Instant {
        let passed = i128::from(world.as_nanos());
        let own = passed + passed * i128::from(self.fast) / MILLION;
        Instant::from_nanos(self.origin.saturating_add(u64::try_from(own).unwrap_or(u64::MAX)))
    }

    /// The first moment at which it shows `own`.
    pub fn when(self, own: Instant) -> Instant {
        let passed = i128::from(own.as_nanos().saturating_sub(self.origin));
        let near = passed * MILLION / (MILLION + i128::from(self.fast));
        let mut at = u64::try_from(near).unwrap_or(u64::MAX);
        while self.show(Instant::from_nanos(at)) < own {
            at += 1;
        }
        Instant::from_nanos(at)
    }

    /// How long one of its lengths takes.
    pub fn takes(self, own: Duration) -> Duration {
        let nanos = i128::try_from(own.as_nanos()).unwrap_or(i128::MAX / MILLION);
        let world = nanos * MILLION / (MILLION + i128::from(self.fast));
        Duration::from_nanos(u64::try_from(world).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early() {
        for fast in [-10_000, -37, 0, 41, 10_000] {
            let clock = Clock::new(5_000_000_000, fast);
            for nanos in [5_000_000_000, 5_000_000_001, 6_234_567_891, 99_999_999_999] {
                let own = Instant::from_nanos(nanos);
                let at = clock.when(own);
                assert!(clock.show(at) >= own);
                let before = Instant::from_nanos(at.as_nanos().saturating_sub(2));
                assert!(at.as_nanos() == 0 || clock.show(before) <= own);
            }
        }
    }
}
