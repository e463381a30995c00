//! Whether time passes here as it should.
//!
//! Deadlines run on `CLOCK_BOOTTIME`, which nobody can set; a wall clock that is set only makes
//! the log hard to read. A clock source that is slow or coarse makes every deadline late.

use std::time::Duration;

use standin_sys::clock::{boottime_ns, realtime_ns};

use super::{Finding, Findings, Patient};

const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
/// More than slewing (500 ppm) can do while the paths are asked, less than any step.
const STEP: Duration = Duration::from_millis(20);

/// Judges the clock source.
pub fn judge_source(patient: &Patient<'_, '_>, findings: &mut Findings) {
    let Ok(source) = patient.files.read(SOURCE) else { return };
    match source.as_str() {
        "jiffies" | "refined-jiffies" => findings.push(
            Finding::fail("clock", &source, "this clock source ticks in milliseconds: deadlines cannot be kept")
                .to_do(format!("see what there is: cat {}", SOURCE.replace("current", "available"))),
        ),
        "acpi_pm" | "hpet" | "pit" => findings.push(
            Finding::warn("clock", &source, "reading this clock source costs microseconds; the kernel may have found the TSC unstable")
                .to_do("look for 'clocksource' in the kernel's log"),
        ),
        _ => findings.ok("clock", &source, "a fast clock source"),
    }
}

/// Compares the clocks while something else is done.
pub struct Watch {
    boottime_ns: u64,
    realtime_ns: u64,
}

impl Watch {
    /// Begins.
    pub fn start() -> Self {
        Self { boottime_ns: boottime_ns(), realtime_ns: realtime_ns() }
    }

    /// Says whether the wall clock was set meanwhile.
    pub fn finish(self, findings: &mut Findings) {
        self.compare(boottime_ns(), realtime_ns(), findings);
    }

    fn compare(&self, boottime_ns: u64, realtime_ns: u64, findings: &mut Findings) {
        let passed = |now: u64, then: u64| i128::from(now) - i128::from(then);
        let ahead = passed(realtime_ns, self.realtime_ns) - passed(boottime_ns, self.boottime_ns);
        if ahead.unsigned_abs() < STEP.as_nanos() {
            return;
        }
        let milliseconds = ahead / 1_000_000;
        findings.push(
            Finding::warn("clock", "wall clock", format!("it was set by {milliseconds}ms just now: no deadline depends on it, the log's times do"))
                .to_do("let one time service slew it, and only one"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_from_slewing() {
        let watch = Watch { boottime_ns: 1_000_000_000, realtime_ns: 5_000_000_000 };
        let mut findings = Findings::default();
        watch.compare(2_000_000_000, 6_000_500_000, &mut findings);
        assert_eq!(findings.iter().count(), 0);
        watch.compare(2_000_000_000, 2_500_000_000, &mut findings);
        let said: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert!(said[0].starts_with("it was set by -3500ms just now"), "{said:?}");
    }
}
