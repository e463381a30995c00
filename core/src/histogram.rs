//! How long something takes, counted by size.
//!
//! Owns fixed limits, so that figures of different nodes and paths can be added up. Never
//! allocates, never forgets. Invariant: every duration recorded is counted exactly once.

use core::time::Duration;

/// The upper limits of the classes, each included, from a switch's delay to a long outage; what is
/// longer than the last is counted beyond it.
pub const LIMITS: [Duration; 16] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Durations by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// By class, the last for what is longer than every limit.
    counts: [u64; LIMITS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts one.
    pub fn record(&mut self, duration: Duration) {
        let class = LIMITS.partition_point(|limit| *limit < duration);
        self.counts[class] = self.counts[class].saturating_add(1);
        self.sum = self.sum.saturating_add(duration);
    }

    /// For each of [`LIMITS`], how many were at most that long; they rise.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let sums = self.counts.iter().scan(0_u64, |sum, count| {
            *sum = sum.saturating_add(*count);
            Some(*sum)
        });
        LIMITS.iter().copied().zip(sums)
    }

    /// How many there are in all.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }
}
