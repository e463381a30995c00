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
use standin_sys::process::{CommandExt, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::failure::plain_io;
use crate::file::{HookCommand, Hooks};
use crate::log::{Event, Level, rfc3339};

/// Hooks that run at a time, whatever the number of VIPs.
const AT_ONCE: usize = 16;
/// Hooks of one VIP that wait; one that finds more is not run, which is told.
const WAITING_MOST: usize = 64;
/// Ends a process that cannot object.
const SIGKILL: i32 = 9;

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
    running: JoinSet<(IpAddr, Option<Event>)>,
    slots: Arc<Semaphore>,
}

/// What every hook is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) node: String,
    pub(super) cluster: String,
    pub(super) interfaces: BTreeMap<IpAddr, String>,
}

impl HookRunner {
    pub(super) fn new(hooks: Hooks, names: Names) -> Self {
        Self {
            hooks: Arc::new(hooks),
            names: Arc::new(names),
            waiting: BTreeMap::new(),
            running: JoinSet::new(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Other hooks from here on; those that wait are run as they are now.
    pub(super) fn change(&mut self, hooks: Hooks, names: Names) {
        (self.hooks, self.names) = (Arc::new(hooks), Arc::new(names));
    }

    /// Something happened at `at`: perhaps a hook is to be run.
    pub(super) fn note(&mut self, report: &Report, at: SystemTime) -> Option<Event> {
        let event = match report {
            Report::Claimed { .. } => "take",
            Report::Released { .. } | Report::Lapsed { .. } => "release",
            Report::Conflict { .. } | Report::Duplicate { .. } => "conflict",
            _ => return None,
        };
        let vip = report.vip()?;
        command(&self.hooks, event)?;
        let occasion = Occasion { event, vip, reason: report.to_string(), at };
        if let Some(queue) = self.waiting.get_mut(&vip) {
            if queue.len() >= WAITING_MOST {
                let what =
                    format!("on-{event} of {vip} was not run: {WAITING_MOST} wait before it");
                return Some(Event::new(Level::Warn, "hook-failed", what));
            }
            queue.push_back(occasion);
            return None;
        }
        // An empty queue says that one runs.
        self.waiting.insert(vip, VecDeque::new());
        self.start(occasion);
        None
    }

    /// Waits until a hook has ended; what it has to say, if it failed.
    pub(super) async fn ended(&mut self) -> Option<Event> {
        let Some(ended) = self.running.join_next().await else {
            return std::future::pending().await;
        };
        let (vip, event) = ended.ok()?;
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
            let Some(hook) = command(&hooks, occasion.event) else { return (vip, None) };
            let outcome = run(hook, &occasion, &names, hooks.timeout).await;
            let failed = outcome.err().map(|why| {
                let what =
                    format!("on-{} of {vip}, {}: {why}", occasion.event, hook.program.display());
                Event::new(Level::Warn, "hook-failed", what)
                    .with("vip", vip.to_string())
                    .with("hook", format!("on-{}", occasion.event))
            });
            (vip, failed)
        });
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
    let mut command = std::process::Command::new(&hook.program);
    command
        .args(&hook.arguments)
        .env("STANDIN_EVENT", occasion.event)
        .env("STANDIN_VIP", occasion.vip.to_string())
        .env("STANDIN_INTERFACE", names.interfaces.get(&occasion.vip).map_or("", String::as_str))
        .env("STANDIN_NODE", &names.node)
        .env("STANDIN_CLUSTER", &names.cluster)
        .env("STANDIN_REASON", &occasion.reason)
        .env("STANDIN_TIME", rfc3339(occasion.at))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // The fast loop has blocked ours; a hook could not be ended otherwise.
        .with_default_signals();
    let mut command = Command::from(command);
    let mut child = command
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("it cannot be run: {}", plain_io(&error)))?;
    let group = Group::of(&child);
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

/// The hook's process group, killed when this is dropped while the leader is not reaped yet.
struct Group(Option<u32>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id())
    }

    fn leader_reaped(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only when nothing is left of the group, which is what is wanted.
            let _ = kill_process_group(group, SIGKILL);
        }
    }
}
