//! Time as the core sees it: a number handed in with every input.
//!
//! Owns [`Instant`] and the way a duration is written for people. Never asks a clock. Invariant:
//! arithmetic saturates, so no input can make it panic.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Nanoseconds since an origin that the shell chose (`CLOCK_BOOTTIME` in the daemon, zero in a
/// simulation). Only differences mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant `nanos` nanoseconds after the origin.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Writes a duration as a person would say it: `1.2 s`, `250 ms`, `80 µs`.
#[derive(Clone, Copy, Debug)]
pub struct Spoken(pub Duration);

impl fmt::Display for Spoken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0.as_micros();
        if micros >= 10_000_000 {
            write!(f, "{} s", (micros + 500_000) / 1_000_000)
        } else if micros >= 1_000_000 {
            tenths(f, micros / 100_000, "s")
        } else if micros >= 10_000 {
            write!(f, "{} ms", micros / 1000)
        } else if micros >= 1000 {
            tenths(f, micros / 100, "ms")
        } else {
            write!(f, "{micros} µs")
        }
    }
}

fn tenths(f: &mut fmt::Formatter<'_>, tenths: u128, unit: &str) -> fmt::Result {
    match tenths % 10 {
        0 => write!(f, "{} {unit}", tenths / 10),
        digit => write!(f, "{}.{digit} {unit}", tenths / 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn arithmetic_saturates() {
        let start = Instant::from_nanos(5);
        assert_eq!(start - Duration::from_secs(1), Instant::from_nanos(0));
        assert_eq!(start + Duration::MAX, Instant::from_nanos(u64::MAX));
        assert_eq!(start.since(start + Duration::from_nanos(1)), Duration::ZERO);
    }

    #[test]
    fn durations_read_as_a_person_would_say_them() {
        for (duration, said) in [
            (Duration::from_secs(75), "75 s"),
            (Duration::from_secs(1), "1 s"),
            (Duration::from_millis(1250), "1.2 s"),
            (Duration::from_millis(250), "250 ms"),
            (Duration::from_micros(1500), "1.5 ms"),
            (Duration::from_micros(80), "80 µs"),
            (Duration::ZERO, "0 µs"),
        ] {
            assert_eq!(Spoken(duration).to_string(), said);
        }
    }
}
