//! Whether a service works: when its check runs, and how many results make an opinion.
//!
//! Owns the schedule and the count of one check. Never runs it and never decides what follows.
//! Invariant: at most one run is under way, and a result for another target than the present one
//! changes nothing.
//!
//! ```text
//!            rise × ok                       fall × failed
//!  Unknown ───────────▶ Passing ◀──────────▶ Failing
//!     └──────────────────────────────────────▶ fall × NEVER_PASSED × failed
//! ```

use alloc::string::String;
use core::time::Duration;

use crate::config::Check as Settings;
use crate::decide::Service;
use crate::io::CheckTarget;
use crate::time::Instant;

/// A check that has never passed may itself be wrong, so it takes so many times more failures.
pub const NEVER_PASSED: u32 = 3;
/// How long after its timeout a run of which nothing was heard is given up.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It passes.
    Passing,
    /// It fails, and why.
    Failing(String),
    /// It has never passed; so many more failures count.
    NeverPassed(String, u32),
}

/// One check of one VIP.
#[derive(Clone, Debug)]
pub struct Check {
    interval: Duration,
    timeout: Duration,
    rise: u32,
    fall: u32,
    target: CheckTarget,
    service: Service,
    passed_ever: bool,
    passed: u32,
    failed: u32,
    next_run: Option<Instant>,
    running_since: Option<Instant>,
    last_failure: Option<String>,
}

impl Check {
    /// A check whose first run is due at `first_run`.
    pub fn new(settings: &Settings, first_run: Instant) -> Self {
        Self {
            interval: settings.interval,
            timeout: settings.timeout,
            rise: settings.rise,
            fall: settings.fall,
            target: CheckTarget::Vip,
            service: Service::Unknown,
            passed_ever: false,
            passed: 0,
            failed: 0,
            next_run: Some(first_run),
            running_since: None,
            last_failure: None,
        }
    }

    /// What it says.
    pub fn service(&self) -> Service {
        self.service
    }

    /// What it is aimed at.
    pub fn target(&self) -> CheckTarget {
        self.target
    }

    /// Why it last failed.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// When the next run is due, or the present one given up.
    pub fn timeout(&self) -> Option<Instant> {
        match self.running_since {
            Some(since) => Some(since + self.timeout + LOST_AFTER),
            None => self.next_run,
        }
    }

    /// Whether a run is to be started now.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.timeout().is_none_or(|at| now < at) {
            return false;
        }
        self.running_since = Some(now);
        self.next_run = Some(now + self.interval);
        true
    }

    /// Aims at something else; what was known of the old target is forgotten.
    pub fn aim(&mut self, now: Instant, target: CheckTarget) {
        if self.target == target {
            return;
        }
        self.target = target;
        self.service = Service::Unknown;
        self.passed = 0;
        self.failed = 0;
        self.running_since = None;
        self.next_run = Some(now + self.interval);
    }

    /// Asks elsewhere for the same service: what was said of it holds until it is said otherwise.
    pub fn redirect(&mut self, now: Instant, target: CheckTarget) {
        if self.target != target {
            let service = self.service;
            self.aim(now, target);
            self.service = service;
        }
    }

    /// Forgets what was known and runs no more until it is told to begin.
    pub fn rest(&mut self) {
        self.service = Service::Unknown;
        self.passed = 0;
        self.failed = 0;
        self.running_since = None;
        self.next_run = None;
    }

    /// Begins anew, with a first run at `first_run`.
    pub fn begin(&mut self, first_run: Instant) {
        self.rest();
        self.next_run = Some(first_run);
    }

    /// A run has ended.
    pub fn handle_result(
        &mut self,
        now: Instant,
        target: CheckTarget,
        result: Result<(), String>,
    ) -> Option<Change> {
        if target != self.target || self.running_since.take().is_none() {
            return None;
        }
        match result {
            Ok(()) => self.handle_pass(now),
            Err(why) => self.handle_failure(now, why),
        }
    }

    fn handle_pass(&mut self, now: Instant) -> Option<Change> {
        self.failed = 0;
        self.passed = self.passed.saturating_add(1);
        if self.passed < self.rise || matches!(self.service, Service::Passing(_)) {
            return None;
        }
        self.passed_ever = true;
        self.service = Service::Passing(now);
        Some(Change::Passing)
    }

    fn handle_failure(&mut self, now: Instant, why: String) -> Option<Change> {
        self.passed = 0;
        self.failed = self.failed.saturating_add(1);
        self.last_failure = Some(why.clone());
        if matches!(self.service, Service::Failing(_)) {
            return None;
        }
        let needed =
            if self.passed_ever { self.fall } else { self.fall.saturating_mul(NEVER_PASSED) };
        if self.failed >= needed {
            self.service = Service::Failing(now);
            return Some(Change::Failing(why));
        }
        (self.failed == self.fall).then(|| Change::NeverPassed(why, needed - self.failed))
    }
}

/// What several checks of one VIP say together: one failure fails it, and all must pass.
pub fn together(services: impl Iterator<Item = Service>) -> Service {
    let mut all = None;
    for service in services {
        all = Some(match (all, service) {
            (None, only) => only,
            (Some(Service::Failing(a)), Service::Failing(b)) => Service::Failing(a.min(b)),
            (Some(Service::Failing(since)), _) | (Some(_), Service::Failing(since)) => {
                Service::Failing(since)
            }
            (Some(Service::Passing(a)), Service::Passing(b)) => Service::Passing(a.max(b)),
            (Some(Service::Unknown), _) | (Some(_), Service::Unknown) => Service::Unknown,
        });
    }
    all.unwrap_or(Service::Unknown)
}
