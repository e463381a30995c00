//! When a check runs and how its results are counted: defaults and bounds, the same for a
//! `--check` of the command line and a `[check.NAME]` of a file.

use std::time::Duration;

use super::Timing;

/// One second: the interval, and the timeout, of a check that names none.
const DEFAULT_TIME: Duration = Duration::from_secs(1);
/// Two good results end a failure: one may be luck.
const DEFAULT_RISE: u32 = 2;
/// Three bad results are a failure: one may be a lost packet.
const DEFAULT_FALL: u32 = 3;
/// Faster than this, a check is a load test.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);
/// Slower than this, nobody would be waiting for it.
const GREATEST_INTERVAL: Duration = Duration::from_hours(1);
/// More results than this never make an opinion.
pub const GREATEST_COUNT: u32 = 100;

/// What was asked for; the rest follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimingWish {
    /// From the start of one run to the start of the next.
    pub interval: Option<Duration>,
    /// The time one run has.
    pub timeout: Option<Duration>,
    /// Successes in a row that end a failure, 1 to [`GREATEST_COUNT`].
    pub rise: Option<u32>,
    /// Failures in a row that are a failure, 1 to [`GREATEST_COUNT`].
    pub fall: Option<u32>,
}

/// Why a wish cannot be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimingFault {
    /// The interval is outside 10 ms to 1 h.
    Interval(Duration),
    /// The timeout is zero, or longer than the interval.
    Timeout {
        /// The time of one run.
        timeout: Duration,
        /// The time between two starts.
        interval: Duration,
    },
}

impl Timing {
    /// Fills in what was not asked for.
    ///
    /// # Errors
    /// The first rule that the result would break.
    pub fn resolve(wish: TimingWish) -> Result<Self, TimingFault> {
        let (interval, timeout) = match (wish.interval, wish.timeout) {
            (Some(interval), Some(timeout)) => (interval, timeout),
            (Some(interval), None) => (interval, interval.min(DEFAULT_TIME)),
            (None, Some(timeout)) => (timeout.max(DEFAULT_TIME), timeout),
            (None, None) => (DEFAULT_TIME, DEFAULT_TIME),
        };
        if !(LEAST_INTERVAL..=GREATEST_INTERVAL).contains(&interval) {
            return Err(TimingFault::Interval(interval));
        }
        if timeout.is_zero() || timeout > interval {
            return Err(TimingFault::Timeout { timeout, interval });
        }
        let rise = wish.rise.unwrap_or(DEFAULT_RISE);
        let fall = wish.fall.unwrap_or(DEFAULT_FALL);
        Ok(Self { interval, timeout, rise, fall })
    }
}
