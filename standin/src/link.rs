//! What the two loops say to each other.
//!
//! The fast loop decides and acts; the slow loop logs, checks services and answers people. Both
//! queues are bounded, and the fast loop never waits for either.

use std::sync::Arc;

use standin_core::config::CheckId;
use standin_core::heartbeat::KeyRing;
use standin_core::histogram::Histogram;
use standin_core::io::CheckTarget;
use standin_core::node::{ClusterStatus, Explained, Foreseen};
use standin_core::place::NodeId;
use standin_core::status::Status;
use standin_core::{Instant, Report};
use tokio::sync::oneshot;

use crate::failure::Failure;
use crate::file::{self, ClusterFile};
use crate::slow::Matters;

/// Messages that fit into the queue to the slow loop: two of each VIP that there may be, since a takeover
/// tells of all of them at one moment, and hooks hang on what is told; and the rest. Room is taken only
/// by what waits.
pub const TO_SLOW: usize = 2 * file::MOST_VIPS as usize + 4096;
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
    /// The fencing command is to be run.
    Fence {
        /// Against whom.
        node: NodeId,
    },
    /// Somebody told us to stop.
    Stopping {
        /// The number of the signal; none: a command.
        cause: Option<i32>,
        /// Everything is left to the next run.
        keeps: bool,
    },
    /// A signal told us to read the file again.
    ReloadAsked,
    /// A changed configuration is in effect from here on; its numbers are others.
    Renewed(Box<Matters>),
    /// It cannot be put into effect now; nothing has changed.
    RenewalRefused {
        /// Why, as a sentence.
        why: String,
    },
    /// It could not be put into effect; the one before is.
    NotRenewed {
        /// Why.
        why: Failure,
        /// What belongs to the one before: everything was started anew.
        matters: Box<Matters>,
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
    /// The fencing command has run.
    Fenced {
        /// Against whom, by name: a configuration that changed meanwhile has other numbers.
        node: String,
        /// Failed, and why.
        result: Result<(), String>,
    },
    /// Somebody asks or orders something.
    Order(Order),
}

/// A question or an order, and where the answer goes. Dropped unanswered when the configuration
/// changes meanwhile.
#[derive(Debug)]
pub struct Order {
    /// What.
    pub command: Command,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Answer>,
}

/// What is asked or ordered.
#[derive(Debug)]
pub enum Command {
    /// Does the loop turn?
    Ping,
    /// How is everything?
    Status,
    /// Why is a group where it is?
    Explain {
        /// Its number.
        group: usize,
    },
    /// What if these nodes failed?
    Foresee {
        /// Their numbers.
        failing: Vec<NodeId>,
    },
    /// Put a group on a node, or take an earlier such order back.
    Place {
        /// The group's number.
        group: usize,
        /// The node.
        node: Option<NodeId>,
    },
    /// Take everything off a node, or let it have its share again.
    Drain {
        /// The node.
        node: NodeId,
        /// Which of the two.
        drained: bool,
    },
    /// End the run.
    Stop {
        /// Leave the addresses to the next run.
        keeps: bool,
    },
    /// Use these keys from here on.
    ChangeKeys(Box<KeyRing>),
    /// End the run in favour of one with this file, in the same process.
    Renew(Box<ClusterFile>),
}

/// What is said to it.
#[derive(Debug)]
pub enum Answer {
    /// To [`Command::Status`].
    Status {
        /// Of this host.
        status: Box<Status>,
        /// Of the cluster, in one.
        cluster: Option<Box<ClusterStatus>>,
        /// Of the fast loop itself.
        pulse: Box<Pulse>,
    },
    /// To [`Command::Explain`].
    Explained(Option<Explained>),
    /// To [`Command::Foresee`], by group.
    Foreseen(Vec<Foreseen>),
    /// It was taken note of, or it turns.
    Done,
}

/// Whether the fast loop is on time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pulse {
    /// How often it woke up.
    pub turns: u64,
    /// How much later than it had asked to be.
    pub lateness: Histogram,
}

/// What the operator ordered and a changed configuration does not undo.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Orders {
    /// The drained nodes.
    pub drained: Vec<Arc<str>>,
    /// Groups and where they were placed.
    pub placed: Vec<(Arc<str>, Arc<str>)>,
}
