//! Commands that are run when a VIP comes, goes or is in doubt.
//!
//! Owns their order, their environment and their end. Invariant: the hooks of one VIP run one
//! after the other in the order of what happened, those of different VIPs beside each other; no
//! hook outlives its time limit, nor anything it started in its process group; nothing waits for
//! one.
//!
//! ```text
//! STANDIN_EVENT    take, release, doubt or conflict
//! STANDIN_VIP      the address
//! STANDIN_INTERFACE  the interface that carries it
//! STANDIN_NODE     this node's name
//! STANDIN_CLUSTER  the cluster's name
//! STANDIN_REASON   why, as a sentence
//! STANDIN_TIME     when it happened, as in the log
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use standin_core::Report;
use standin_core::cluster::report::ClusterReport;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::address_map::{AddressMap, AddressSet};
use crate::failure::plain_io;
use crate::file::{HookCommand, Hooks};
use crate::log::{Event, Level, rfc3339};
use crate::program;

/// Hooks that run at a time, whatever the number of VIPs.
const AT_ONCE: usize = 16;
/// Hooks of one VIP that wait; one that finds more is not run, which is told.
const WAITING_MOST: usize = 64;

/// One thing that happened.
#[derive(Debug, Clone)]
struct Occasion {
    event: &'static str,
    vip: IpAddr,
    reason: String,
    at: SystemTime,
}

/// The hooks of a run.
pub(super) struct HookRunner {
    hooks: Arc<Hooks>,
    /// What every hook is told besides.
    names: Arc<Names>,
    waiting: BTreeMap<IpAddr, VecDeque<Occasion>>,
    /// The VIPs that are here.
    held: AddressSet,
    running: JoinSet<(IpAddr, &'static str, Option<Event>)>,
    slots: Arc<Semaphore>,
    /// By the key of the hook and whether it succeeded.
    pub(super) counts: BTreeMap<(&'static str, bool), u64>,
}

/// What every hook is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) node: String,
    pub(super) cluster: String,
    pub(super) interfaces: AddressMap<Arc<str>>,
}

impl HookRunner {
    pub(super) fn new(hooks: Hooks, names: Names) -> Self {
        Self {
            hooks: Arc::new(hooks),
            names: Arc::new(names),
            waiting: BTreeMap::new(),
            held: AddressSet::default(),
            running: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            counts: BTreeMap::new(),
        }
    }

    /// Other hooks and names from here on; what waits is run as it is now.
    pub(super) fn change(&mut self, hooks: Hooks, names: Names) {
        self.names = Arc::new(names);
        self.change_commands(hooks);
    }

    /// Other hooks from here on.
    pub(super) fn change_commands(&mut self, hooks: Hooks) {
        self.hooks = Arc::new(hooks);
    }

    /// Something happened at `at`: perhaps hooks are to be run. Gives what was not run.
    pub(super) fn note(&mut self, report: &Report, at: SystemTime) -> Option<Event> {
        let event = match report {
            Report::Claimed { vip, .. } => {
                // One that an earlier run, or configuration, has left to this one.
                if self.held.insert(*vip, ()).is_some() {
                    return None;
                }
                "take"
            }
            Report::Released { vip, .. } | Report::Lapsed { vip, .. } => {
                self.held.remove(*vip);
                "release"
            }
            Report::Conflict { .. } | Report::Duplicate { .. } => "conflict",
            Report::Cluster(ClusterReport::CutOff) => {
                let reason = report.to_string();
                let held: Vec<IpAddr> = self.held.iter().map(|(vip, ())| vip).collect();
                let mut occasions = held.into_iter().map(|vip| {
                    self.add(Occasion { event: "doubt", vip, reason: reason.clone(), at })
                });
                return occasions.by_ref().fold(None, Option::or);
            }
            _ => return None,
        };
        let vip = report.vip()?;
        command(&self.hooks, event)?;
        let reason = report.to_string();
        self.add(Occasion { event, vip, reason, at })
    }

    fn add(&mut self, occasion: Occasion) -> Option<Event> {
        let (event, vip) = (occasion.event, occasion.vip);
        command(&self.hooks, event)?;
        let Some(queue) = self.waiting.get_mut(&vip) else {
            // An empty queue says that one runs.
            self.waiting.insert(vip, VecDeque::new());
            self.start(occasion);
            return None;
        };
        if queue.len() >= WAITING_MOST {
            *self.counts.entry((key_of(event), false)).or_default() += 1;
            let what = format!("on-{event} of {vip} was not run: {WAITING_MOST} wait before it");
            return Some(Event::new(Level::Warn, "hook-failed", what));
        }
        queue.push_back(occasion);
        None
    }

    /// Waits until a hook has ended; what it has to say, if it failed.
    pub(super) async fn ended(&mut self) -> Option<Event> {
        let Some(ended) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        let (vip, hook, event) = ended.ok()?;
        *self.counts.entry((key_of(hook), event.is_none())).or_default() += 1;
        match self.waiting.get_mut(&vip).and_then(VecDeque::pop_front) {
            Some(next) => self.start(next),
            None => {
                self.waiting.remove(&vip);
            }
        }
        event
    }

    /// Whether nothing runs and nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    fn start(&mut self, occasion: Occasion) {
        let (hooks, names, slots) = (self.hooks.clone(), self.names.clone(), self.slots.clone());
        self.running.spawn(async move {
            let vip = occasion.vip;
            let _slot = slots.acquire_owned().await;
            let Some(hook) = command(&hooks, occasion.event) else {
                return (vip, occasion.event, None);
            };
            let outcome = run(hook, &occasion, &names, hooks.timeout).await;
            let failed = outcome.err().map(|why| {
                let what =
                    format!("on-{} of {vip}, {}: {why}", occasion.event, hook.program.display());
                Event::new(Level::Warn, "hook-failed", what)
                    .with("vip", vip.to_string())
                    .with("hook", format!("on-{}", occasion.event))
            });
            (vip, occasion.event, failed)
        });
    }
}

/// How the file calls the hook of an event.
fn key_of(event: &str) -> &'static str {
    match event {
        "take" => "on-take",
        "release" => "on-release",
        "conflict" => "on-conflict",
        _ => "on-doubt",
    }
}

fn command<'h>(hooks: &'h Hooks, event: &str) -> Option<&'h HookCommand> {
    match event {
        "take" => hooks.on_take.as_ref(),
        "release" => hooks.on_release.as_ref(),
        "conflict" => hooks.on_conflict.as_ref(),
        _ => hooks.on_doubt.as_ref(),
    }
}

async fn run(
    hook: &HookCommand,
    occasion: &Occasion,
    names: &Names,
    limit: Duration,
) -> Result<(), String> {
    let interface = names.interfaces.get(occasion.vip).map(ToString::to_string).unwrap_or_default();
    let environment = [
        ("STANDIN_EVENT", occasion.event.to_owned()),
        ("STANDIN_VIP", occasion.vip.to_string()),
        ("STANDIN_INTERFACE", interface),
        ("STANDIN_NODE", names.node.clone()),
        ("STANDIN_CLUSTER", names.cluster.clone()),
        ("STANDIN_REASON", occasion.reason.clone()),
        ("STANDIN_TIME", rfc3339(occasion.at)),
    ];
    run_command(hook, &environment, limit).await
}

/// Runs a command in a process group of its own, which is killed when the time is over; fails
/// unless it ends with status 0 by then.
pub(super) async fn run_command(
    hook: &HookCommand,
    environment: &[(&'static str, String)],
    limit: Duration,
) -> Result<(), String> {
    let environment = environment.iter().cloned();
    let started = program::start(&hook.program, &hook.arguments, environment, Stdio::null);
    let (mut child, group) =
        started.map_err(|error| format!("it cannot be run: {}", plain_io(&error)))?;
    let ended = tokio::time::timeout(limit, child.wait()).await;
    let Ok(status) = ended else {
        drop(group);
        let _ = child.wait().await;
        return Err(format!("killed after {}", crate::duration::show(limit)));
    };
    group.leader_reaped();
    let status =
        status.map_err(|error| format!("it cannot be waited for: {}", plain_io(&error)))?;
    if status.success() { Ok(()) } else { Err(format!("it ended with {status}")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn shell(script: &str) -> HookCommand {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        HookCommand { program: PathBuf::from("/bin/sh"), arguments }
    }

    fn runner(take: &str, doubt: &str) -> HookRunner {
        let hooks = Hooks {
            on_take: Some(shell(take)),
            on_release: None,
            on_doubt: Some(shell(doubt)),
            on_conflict: None,
            timeout: Duration::from_millis(300),
        };
        let names = Names { node: "pinky".into(), cluster: "web".into(), ..Names::default() };
        HookRunner::new(hooks, names)
    }

    fn claimed(vip: &str) -> Report {
        Report::Claimed {
            vip: vip.parse().expect("an address"),
            home: "pinky".into(),
            reason: standin_core::decide::Reason::PlacedHere,
            decided: standin_core::Instant::default(),
            confirmed: standin_core::Instant::default(),
        }
    }

    fn run_to_the_end(hooks: &mut HookRunner) -> Vec<Event> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut events = Vec::new();
            let happened =
                [claimed("10.0.0.9"), claimed("10.0.0.9"), Report::Cluster(ClusterReport::CutOff)];
            for report in happened {
                events.extend(hooks.note(&report, SystemTime::now()));
            }
            while !hooks.is_idle() {
                events.extend(hooks.ended().await);
            }
            events
        })
    }

    #[test]
    fn hooks_of_one_vip_run_in_their_order_with_what_they_are_told() {
        let record = std::env::temp_dir().join(format!("standin-hooks-{}", std::process::id()));
        let shown = record.display();
        let take = format!("sleep 0.1; echo $STANDIN_NODE $STANDIN_EVENT $STANDIN_VIP >> {shown}");
        let doubt = format!("echo $STANDIN_CLUSTER $STANDIN_EVENT >> {shown}");
        let mut hooks = runner(&take, &doubt);
        assert_eq!(run_to_the_end(&mut hooks), []);
        let text = fs::read_to_string(&record).expect("a record");
        let _ = fs::remove_file(&record);
        // A second claim of what is here is no second take.
        assert_eq!(text, "pinky take 10.0.0.9\nweb doubt\n");
    }

    #[test]
    fn one_that_hangs_is_killed_and_one_that_fails_is_told_of() {
        let mut hooks = runner("sleep 60 & wait", "exit 3");
        let begun = std::time::Instant::now();
        let events = run_to_the_end(&mut hooks);
        assert!(begun.elapsed() < Duration::from_secs(30));
        let said: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("on-take of 10.0.0.9, /bin/sh: killed after 300ms"), "{said:?}");
        assert!(said[1].contains("exit status: 3"), "{said:?}");
    }
}
