//! The clock of the fast loop.
//!
//! Owns the choice of clock: `CLOCK_BOOTTIME`, because `CLOCK_MONOTONIC` (and std's `Instant`)
//! stand still while the machine is suspended, and a lease does not. Wall-clock time is only for
//! people and for the kernel's packet time stamps.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since boot, suspension included. Never goes back.
pub fn boottime_ns() -> u64 {
    read_ns(ClockId::Boottime)
}

/// Nanoseconds since 1970 (`CLOCK_REALTIME`). May jump both ways.
pub fn realtime_ns() -> u64 {
    read_ns(ClockId::Realtime)
}

fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    // Neither clock is before its own beginning, nor 584 years after it.
    let whole_ns = time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000);
    whole_ns.saturating_add(time.tv_nsec.unsigned_abs())
}

/// Readings for one sample.
const READINGS: usize = 4;

/// Which wall-clock time belongs to which boot time, at the moment of its sampling. Valid until
/// somebody sets the wall clock; sample it anew for each use that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Correspondence {
    boottime_ns: u64,
    realtime_ns: u64,
}

impl Correspondence {
    /// Reads both clocks, to within the microsecond that reading takes: of a few readings the one
    /// that took the shortest, since the process may be interrupted amid any of them.
    pub fn sample() -> Self {
        let readings = (0..READINGS).map(|_| {
            let before_ns = boottime_ns();
            let realtime_ns = realtime_ns();
            (boottime_ns().saturating_sub(before_ns), before_ns, realtime_ns)
        });
        let (took_ns, before_ns, realtime_ns) = readings.min().unwrap_or_default();
        Self { boottime_ns: before_ns + took_ns / 2, realtime_ns }
    }

    /// The boot time of a wall-clock time; 0 for a time before boot.
    pub fn boottime_of(&self, realtime_ns: u64) -> u64 {
        shift(realtime_ns, self.realtime_ns, self.boottime_ns)
    }

    /// The wall-clock time of a boot time, in nanoseconds since 1970.
    pub fn realtime_of(&self, boottime_ns: u64) -> u64 {
        shift(boottime_ns, self.boottime_ns, self.realtime_ns)
    }

    /// The wall-clock time of a boot time, in std's form.
    pub fn system_time_of(&self, boottime_ns: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.realtime_of(boottime_ns))
    }
}

fn shift(time: u64, from: u64, to: u64) -> u64 {
    if time >= from { to.saturating_add(time - from) } else { to.saturating_sub(from - time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_forward() {
        let first = boottime_ns();
        assert!(boottime_ns() >= first);
        assert!(first > 0);
    }

    #[test]
    fn the_two_clocks_convert_both_ways() {
        let pair = Correspondence { boottime_ns: 50, realtime_ns: 1_000 };
        assert_eq!((pair.boottime_of(1_010), pair.boottime_of(990)), (60, 40));
        assert_eq!(pair.boottime_of(1), 0);
        assert_eq!((pair.realtime_of(60), pair.realtime_of(0)), (1_010, 950));
        let now = Correspondence::sample();
        let error = SystemTime::now().duration_since(now.system_time_of(boottime_ns()));
        assert!(error.unwrap_or_else(|e| e.duration()) < Duration::from_secs(1));
    }
}
