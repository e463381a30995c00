//! What the slow loop has seen happen since the run began: the story, and what is counted from it.
//!
//! Owns the transitions by VIP and reason, the time from a last sign of life to the announcement,
//! the runs of checks and hooks, and the latest events. Never asks anybody. Invariant: everything
//! in it is bounded, by the configuration or by [`STORY_LENGTH`].

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use standin_core::cluster::report::ClusterReport;
use standin_core::histogram::Histogram;
use standin_core::{Instant, Report};

use tokio::sync::watch;

use crate::address_map::AddressMap;
use crate::log::{Event, Level};
use crate::notify::Tallies;

/// How many events are kept to be shown.
pub const STORY_LENGTH: usize = 200;
/// The reason of a decision that changes nothing; what led to it is of more interest.
const STEADY: &str = "best";

/// One event of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: SystemTime,
    /// What it means for the reader.
    pub level: Level,
    /// Its kind.
    pub name: &'static str,
    /// The sentence.
    pub message: String,
}

/// The runs of one check, on all of its VIPs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckRuns {
    /// That passed.
    pub passed: u64,
    /// That did not.
    pub failed: u64,
    /// From the start of each to its end.
    pub durations: Histogram,
}

/// The last decision about a group that was no mere 'it stays'.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cause {
    why: &'static str,
    silent: Option<Arc<str>>,
}

/// Everything that was seen.
#[derive(Debug)]
pub struct Ledger {
    /// When the run began.
    pub started: SystemTime,
    /// By kind of change and reason, how often it came to each VIP.
    pub transitions: BTreeMap<(&'static str, &'static str), AddressMap<u64>>,
    /// From the last sign of life of who held a VIP to its announcement here.
    pub takeovers: Histogram,
    /// By check, as the file calls it.
    pub checks: BTreeMap<String, CheckRuns>,
    /// By hook and whether it succeeded.
    pub hooks: BTreeMap<(&'static str, bool), u64>,
    /// The webhooks, by name.
    pub webhooks: Tallies,
    /// Events that the fast loop could not tell.
    pub lost: u64,
    /// The latest events, the oldest first.
    pub story: VecDeque<Told>,
    /// How the file calls each check, by number.
    pub check_names: Vec<String>,
    group_of: AddressMap<Arc<str>>,
    causes: BTreeMap<Arc<str>, Cause>,
    /// The last sign of life of who is dead.
    last_signs: BTreeMap<Arc<str>, Instant>,
    /// How many events there were; who waits for the next one listens.
    told: watch::Sender<u64>,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            started: SystemTime::now(),
            transitions: BTreeMap::new(),
            takeovers: Histogram::default(),
            checks: BTreeMap::new(),
            hooks: BTreeMap::new(),
            webhooks: Tallies::new(),
            lost: 0,
            story: VecDeque::new(),
            check_names: Vec::new(),
            group_of: AddressMap::default(),
            causes: BTreeMap::new(),
            last_signs: BTreeMap::new(),
            told: watch::Sender::new(0),
        }
    }
}

impl Ledger {
    /// A configuration is in effect: its groups with their VIPs, and how each check is called.
    /// What is counted of those that are no longer there is forgotten.
    pub fn adopt<'a>(
        &mut self,
        groups: impl Iterator<Item = (&'a Arc<str>, &'a [IpAddr])>,
        check_names: Vec<String>,
    ) {
        self.group_of =
            groups.flat_map(|(name, vips)| vips.iter().map(|vip| (*vip, name.clone()))).collect();
        let vips = &self.group_of;
        for counts in self.transitions.values_mut() {
            counts.retain(|vip| vips.contains(vip));
        }
        self.causes.retain(|group, _| vips.values().any(|known| known == group));
        self.checks.retain(|name, _| check_names.contains(name));
        for name in &check_names {
            self.checks.entry(name.clone()).or_default();
        }
        self.check_names = check_names;
    }

    /// Counts what a report tells of; it was carried out at `at`.
    pub fn note_report(&mut self, report: &Report, at: Instant) {
        match report {
            Report::PeerDead { peer, silent, .. } => {
                let sign = Instant::from_nanos(at.as_nanos().saturating_sub(nanos(*silent)));
                self.last_signs.insert(peer.clone(), sign);
            }
            Report::PeerAlive { peer, .. } => {
                self.last_signs.remove(peer);
            }
            Report::Cluster(ClusterReport::Placed { group, why, silent, .. }) if *why != STEADY => {
                let cause = Cause { why, silent: silent.clone() };
                self.causes.insert(group.clone(), cause);
            }
            Report::Claimed { vip, reason, .. } => {
                self.note_takeover(*vip, at);
                let why = self.cause(*vip).map_or(reason.name(), |cause| cause.why);
                self.count(*vip, "taken", why);
            }
            Report::Released { vip, reason, .. } => {
                let why = self.cause(*vip).map_or(reason.name(), |cause| cause.why);
                let stops = *reason == standin_core::decide::Reason::Stopping;
                self.count(*vip, "released", if stops { reason.name() } else { why });
            }
            Report::Lapsed { vip, .. } => self.count(*vip, "lapsed", "late"),
            Report::Stripped { vip } => self.count(*vip, "stripped", "somebody-removed-it"),
            _ => {}
        }
    }

    /// Keeps an event to be shown.
    pub fn note_event(&mut self, at: SystemTime, event: &Event) {
        if event.level < Level::Info {
            return;
        }
        if self.story.len() == STORY_LENGTH {
            self.story.pop_front();
        }
        let Event { level, name, ref message, .. } = *event;
        self.told.send_modify(|count| *count += 1);
        self.story.push_back(Told { at, level, name, message: message.clone() });
    }

    /// Changes with every event that is kept.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    /// Counts a run of a check.
    pub fn note_check(&mut self, check: usize, passed: bool, duration: Duration) {
        let Some(name) = self.check_names.get(check) else { return };
        let Some(runs) = self.checks.get_mut(name) else { return };
        let count = if passed { &mut runs.passed } else { &mut runs.failed };
        *count = count.saturating_add(1);
        runs.durations.record(duration);
    }

    /// Counts a hook that has ended, or was not run.
    pub fn note_hook(&mut self, hook: &'static str, succeeded: bool) {
        *self.hooks.entry((hook, succeeded)).or_default() += 1;
    }

    fn cause(&self, vip: IpAddr) -> Option<&Cause> {
        self.causes.get(self.group_of.get(vip)?)
    }

    fn note_takeover(&mut self, vip: IpAddr, at: Instant) {
        let silent = self.cause(vip).and_then(|cause| cause.silent.as_ref());
        if let Some(sign) = silent.and_then(|name| self.last_signs.get(name)) {
            let length = at.since(*sign);
            self.takeovers.record(length);
        }
    }

    fn count(&mut self, vip: IpAddr, change: &'static str, why: &'static str) {
        let counts = self.transitions.entry((change, why)).or_default();
        counts.insert(vip, counts.get(vip).map_or(1, |count| count.saturating_add(1)));
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
