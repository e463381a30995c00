//! What the two loops say to each other.
//!
//! The fast loop decides and acts; the slow loop logs, checks services and answers people. Both
//! queues are bounded, and the fast loop never waits for either.

use standin_core::config::CheckId;
use standin_core::io::CheckTarget;
use standin_core::{Instant, Report};

/// Messages that fit into the queue to the slow loop.
pub const TO_SLOW: usize = 4096;
/// Messages that fit into the queue to the fast loop.
pub const TO_FAST: usize = 1024;

/// From the fast loop.
#[derive(Debug)]
pub enum ToSlow {
    /// Something to log.
    Report {
        /// When it was carried out: after what it tells of.
        at: Instant,
        /// What.
        report: Report,
    },
    /// A check to run.
    RunCheck {
        /// Which.
        check: CheckId,
        /// Against what.
        target: CheckTarget,
    },
    /// A signal told us to stop.
    Stopping {
        /// Its number.
        signal: i32,
    },
    /// A socket makes trouble.
    Trouble {
        /// When.
        at: Instant,
        /// The operation, its object and the kernel's word.
        why: String,
    },
    /// Messages that did not fit.
    Lost {
        /// When this was noticed.
        at: Instant,
        /// How many.
        count: u64,
    },
}

/// From the slow loop.
#[derive(Debug)]
pub enum ToFast {
    /// A check has run.
    CheckResult {
        /// Which.
        check: CheckId,
        /// Against what.
        target: CheckTarget,
        /// Failed, and why.
        result: Result<(), String>,
    },
}
