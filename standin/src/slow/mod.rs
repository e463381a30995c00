//! The slow loop: a thread of its own for what may take time.
//!
//! Owns the log, the service checks, the hooks and webhooks, what the service manager is told, the control socket and the reading of a changed
//! file, on a tokio runtime of one thread. Never touches an address or a packet socket. Invariant:
//! whatever happens here, the fast loop goes on; it ends when the fast loop has gone and everything
//! it said is written.

mod counter;
mod desk;
mod directory;
mod events;
mod fence;
mod hooks;
mod reload;
pub(crate) mod service;
mod status;

use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use standin_core::cluster::report::ClusterReport;
use standin_core::config::CheckId;
use standin_core::io::CheckTarget;
use standin_core::place::NodeId;
use standin_core::{Instant, Report, report};
use standin_sys::clock::Correspondence;
use standin_sys::event::Wakeup;
use standin_sys::process;
use tokio::sync::mpsc::Receiver;
use tokio::task::{AbortHandle, JoinSet};

use crate::checks::Outcome;
use crate::control::Server;
use crate::failure::{Code, Failure};
use crate::file::ClusterFile;
use crate::host::{PreparedCheck, PreparedCluster};
use crate::http::{Door, Front, Ledger, Look, SharedLedger, Site};
use crate::link::{ToFast, ToSlow};
use crate::log::{Event, Level, Logger};
use crate::notify::{LAST_NOTICES, Notifier, Places, Scene};

use counter::Counter;
use desk::{Book, Desk, Remembered};
pub use directory::Directory;
pub use events::{started, started_in_cluster};
use fence::Fencer;
use hooks::{HookRunner, Names};
use reload::{InEffect, Reloader};
pub use reload::{Origin, Role};
use service::Service;
pub use status::{Seen, SeenCluster};

/// At the end of a run its last hooks get so long.
const LAST_HOOKS: Duration = Duration::from_secs(10);
/// People who want the file read again and wait.
const RELOADS: usize = 16;

/// The loop's ends of what it shares with the fast loop.
pub struct Ends {
    /// What the fast loop tells.
    pub inbox: Receiver<ToSlow>,
    /// Where results go.
    pub outbox: SyncSender<ToFast>,
    /// Rung after each message into `outbox`.
    pub wakeup: Arc<Wakeup>,
}

/// What the slow loop works with; a changed configuration brings another.
#[derive(Debug)]
pub struct Matters {
    /// The checks, by their ids.
    checks: Vec<PreparedCheck>,
    /// In a cluster: the file, and the names in it.
    cluster: Option<(ClusterFile, Arc<Directory>, Names)>,
    /// How the file calls each check.
    check_names: Vec<String>,
}

impl Matters {
    /// Of `standin for`.
    pub fn of_host(checks: Vec<PreparedCheck>) -> Self {
        Self { checks, cluster: None, check_names: Vec::new() }
    }

    /// Of a node of a cluster.
    pub fn of_cluster(file: &ClusterFile, prepared: &PreparedCluster) -> Self {
        let config = &prepared.host.config;
        let directory = Arc::new(Directory::of(&prepared.settings, file));
        let link = |vip: &standin_core::config::Vip| {
            (vip.address, config.links()[vip.link.index()].name.clone())
        };
        let names = Names {
            node: directory.own_name().to_owned(),
            cluster: file.cluster.clone(),
            interfaces: config.vips().iter().map(link).collect(),
        };
        Self {
            checks: prepared.host.checks.clone(),
            cluster: Some((file.clone(), directory, names)),
            check_names: prepared.host.checks.iter().map(|check| name_of(file, check)).collect(),
        }
    }
}

/// How the file calls a check.
fn name_of(file: &ClusterFile, check: &PreparedCheck) -> String {
    let mut named = file.checks.iter();
    let found = named.find(|named| named.check == *check.prober.check());
    found.map(|named| named.name.clone()).unwrap_or_default()
}

/// The slow loop.
pub struct SlowLoop {
    ends: Ends,
    logger: Logger,
    checks: Vec<PreparedCheck>,
    running: JoinSet<()>,
    /// By check: its run, if it has one.
    current: Vec<Option<AbortHandle>>,
    hooks: Option<HookRunner>,
    notifier: Notifier,
    /// `[[webhook]]` is to be looked at again.
    webhooks_stale: bool,
    fencer: Fencer,
    reloader: Option<Reloader>,
    book: Arc<Mutex<Book>>,
    service: Option<Service>,
    counter: Option<Counter>,
    ledger: SharedLedger,
    door: Option<Door>,
    /// `[http]` is to be looked at again.
    front_stale: bool,
}

impl SlowLoop {
    /// A loop that is not running yet. With an origin, the file can be read again.
    pub fn new(ends: Ends, logger: Logger, matters: Matters, origin: Option<Origin>) -> Self {
        let service = Service::of_environment(ends.outbox.clone(), ends.wakeup.clone());
        let mut this = Self {
            ends,
            logger,
            checks: Vec::new(),
            running: JoinSet::new(),
            current: Vec::new(),
            hooks: None,
            notifier: Notifier::new(SystemTime::now()),
            webhooks_stale: false,
            fencer: Fencer::default(),
            reloader: origin.map(Reloader::new),
            book: Arc::default(),
            service,
            counter: None,
            ledger: SharedLedger::default(),
            door: None,
            front_stale: false,
        };
        this.adopt(matters);
        this
    }

    /// Serves its pages behind this door.
    #[must_use]
    pub fn with_door(mut self, door: Option<Door>) -> Self {
        self.door = door;
        self
    }

    /// Works with these from here on.
    fn adopt(&mut self, matters: Matters) {
        self.running.abort_all();
        self.current = matters.checks.iter().map(|_| None).collect();
        self.checks = matters.checks;
        let Some((file, directory, names)) = matters.cluster else { return };
        self.ledger().adopt(directory.groups(), matters.check_names);
        self.front_stale = true;
        self.webhooks_stale = true;
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.cluster = Some((file.cluster.clone(), directory));
        match &mut self.hooks {
            Some(hooks) => hooks.change(file.hooks.clone(), names),
            None => self.hooks = Some(HookRunner::new(file.hooks.clone(), names)),
        }
        if let Some(reloader) = &mut self.reloader {
            reloader.current = Some(InEffect::new(file));
        }
    }

    /// Runs until the fast loop has gone.
    pub async fn run(mut self, server: Option<Server>) {
        let (reload, mut reloads) = tokio::sync::mpsc::channel(RELOADS);
        let desk = Desk {
            to_fast: self.ends.outbox.clone(),
            wakeup: self.ends.wakeup.clone(),
            reload,
            book: self.book.clone(),
            ledger: self.ledger.clone(),
        };
        let site =
            Site::new(look_from(desk.clone()), self.ledger.clone(), process::open_files_most());
        let mut front = Front::open(site, self.door.take());
        self.front_stale = false;
        self.follow_webhooks();
        self.counter = server.map(|server| Counter::open(server, desk.handler()));
        loop {
            tokio::select! {
                message = self.ends.inbox.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
                Some(reply) = reloads.recv() => self.reload(Some(reply)),
                judged = reload::judged(&mut self.reloader) => self.settle_reload(judged),
                event = ended(&mut self.hooks) => self.write_event(event),
                event = self.notifier.said() => self.write_event(Some(event)),
                () = service::beat(&mut self.service) => {}
                fenced = self.fencer.ended() => self.settle_fence(fenced),
            }
            if std::mem::take(&mut self.front_stale) {
                self.follow_front(&mut front).await;
            }
            if self.webhooks_stale {
                self.follow_webhooks();
            }
            while self.running.try_join_next().is_some() {}
        }
        drop(front);
        self.running.shutdown().await;
        self.notifier.finish();
        let no_more_notices = tokio::time::Instant::now() + LAST_NOTICES;
        let last_words = async {
            while self.hooks.as_ref().is_some_and(|hooks| !hooks.is_idle()) {
                let event = ended(&mut self.hooks).await;
                self.write_event(event);
            }
        };
        let _ = tokio::time::timeout(LAST_HOOKS, last_words).await;
        for event in self.notifier.finished(no_more_notices).await {
            self.write_event(Some(event));
        }
        if let Some(counter) = self.counter {
            counter.shut().await;
        }
    }

    fn take(&mut self, message: ToSlow) {
        match message {
            ToSlow::RunCheck { check, target } => self.run_check(check, target),
            ToSlow::Fence { node } => self.fence(node),
            ToSlow::ReloadAsked => self.reload(None),
            ToSlow::Renewed(matters) => {
                self.adopt(*matters);
                self.answer_reload(&Ok("reloaded".to_owned()));
            }
            ToSlow::RenewalRefused { why } => {
                self.answer_reload(&Err(Failure::new(Code::TemporaryFailure, why)));
            }
            ToSlow::NotRenewed { why, matters } => {
                self.adopt(*matters);
                self.answer_reload(&Err(why));
            }
            ToSlow::Report { at, report } => {
                let time = time_of(Some(at));
                self.ledger().note_report(&report, at);
                let event = events::of_report(&report, at);
                self.tell(time, &event);
                self.notifier.note(&report, &event, time);
                self.remember(&report, time);
                if let Some(service) = &mut self.service {
                    service.stale |= report.level() >= report::Level::Info;
                }
                let hook = self.hooks.as_mut().and_then(|hooks| hooks.note(&report, time));
                self.write_event(hook);
            }
            ToSlow::Stopping { cause, keeps } => {
                if let Some(service) = &self.service {
                    service.stopping(keeps);
                }
                self.write_event(Some(events::stopping(cause, keeps)));
            }
            ToSlow::Trouble { at, why } => {
                let event = Event::new(Level::Warn, "trouble", format!("cannot {why}"));
                self.tell(time_of(Some(at)), &event);
            }
            ToSlow::Lost { at, count } => {
                let what = format!("{count} events were not logged");
                self.ledger().lost += count;
                self.tell(time_of(Some(at)), &Event::new(Level::Warn, "events-lost", what));
            }
        }
    }

    /// Runs the fencing command of the file in effect.
    fn fence(&mut self, node: NodeId) {
        let current = self.reloader.as_ref().and_then(|reloader| reloader.current.as_ref());
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let own_name = book.cluster.as_ref().map(|(_, directory)| directory.own_name());
        if let (Some(current), Some(own_name)) = (current, own_name) {
            self.fencer.start(&current.file, own_name, node);
        }
    }

    fn settle_fence(&mut self, ended: fence::Ended) {
        self.write_event(Some(ended.event()));
        let fence::Ended { node, result } = ended;
        // Were the queue full, the lease would be waited out.
        if self.ends.outbox.try_send(ToFast::Fenced { node, result }).is_ok() {
            let _ = self.ends.wakeup.notify();
        }
    }

    fn write_event(&mut self, event: Option<Event>) {
        if let Some(hooks) = &self.hooks {
            let mut ledger = self.ledger();
            if ledger.hooks != hooks.counts {
                ledger.hooks.clone_from(&hooks.counts);
            }
        }
        if let Some(event) = event {
            self.tell(SystemTime::now(), &event);
        }
    }

    /// To the log and to the pages.
    fn tell(&mut self, at: SystemTime, event: &Event) {
        self.ledger().note_event(at, event);
        self.logger.write(at, event);
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `[http]`, or a file that it names, may have changed.
    async fn follow_front(&mut self, front: &mut Front) {
        let current = self.reloader.as_ref().and_then(|reloader| reloader.current.as_ref());
        let settings = current.and_then(|current| current.file.http.clone());
        if let Err(why) = front.change(settings.as_ref()).await {
            self.write_event(Some(Event::new(Level::Error, "http-refused", why.to_string())));
        }
    }

    /// `[[webhook]]`, or a file that it names, may have changed.
    fn follow_webhooks(&mut self) {
        self.webhooks_stale = false;
        let current = self.reloader.as_ref().and_then(Reloader::of_node);
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((current, (_, directory))) = current.zip(book.cluster.as_ref()) else { return };
        let home = |name: &str| {
            let group = current.file.vips.iter().find(|group| group.name == name)?;
            group.placement.home().map(|home| Arc::from(current.file.node(home).name.as_str()))
        };
        let places: Places = directory
            .groups()
            .flat_map(|(name, vips)| {
                let place = (name.clone(), home(name));
                vips.iter().map(move |vip| (*vip, place.clone()))
            })
            .collect();
        let scene = Scene {
            cluster: current.file.cluster.clone(),
            node: directory.own_name().to_owned(),
            places,
        };
        let webhooks = current.file.webhooks.clone();
        drop(book);
        let events = self.notifier.follow(&webhooks, scene);
        self.ledger().webhooks = self.notifier.tallies();
        for event in events {
            self.write_event(Some(event));
        }
    }

    /// What was believed when a group was last decided about, for `explain`.
    fn remember(&mut self, report: &Report, at: SystemTime) {
        if let Report::Cluster(ClusterReport::Placed { group, sentence, .. }) = report {
            let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
            book.last.insert(group.clone(), Remembered { at, sentence: sentence.clone() });
        }
    }

    fn run_check(&mut self, check: CheckId, target: CheckTarget) {
        // One of a configuration that has just been replaced.
        let Some(prepared) = self.checks.get(check.index()).cloned() else { return };
        // The core has given the last run up, or aims elsewhere.
        if let Some(old) = self.current[check.index()].take() {
            old.abort();
        }
        let (outbox, wakeup) = (self.ends.outbox.clone(), self.ends.wakeup.clone());
        let ledger = self.ledger.clone();
        self.current[check.index()] = Some(self.running.spawn(async move {
            let begun = std::time::Instant::now();
            let result = match prepared.prober.run(&prepared.target(target)).await {
                Outcome::Ok { .. } => Ok(()),
                Outcome::Failed { why } => Err(why),
            };
            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
            ledger.note_check(check.index(), result.is_ok(), begun.elapsed());
            drop(ledger);
            // A full queue loses the result; the core gives the run up in time and starts another.
            if outbox.try_send(ToFast::CheckResult { check, target, result }).is_ok() {
                let _ = wakeup.notify();
            }
        }));
    }
}

/// How the pages look at the fast loop.
fn look_from(desk: Desk) -> Look {
    Arc::new(move || {
        let desk = desk.clone();
        Box::pin(async move { desk.look().await })
    })
}

async fn ended(hooks: &mut Option<HookRunner>) -> Option<Event> {
    match hooks {
        Some(hooks) => hooks.ended().await,
        None => std::future::pending().await,
    }
}

/// The time of day of an instant of the fast loop's clock.
fn time_of(at: Option<Instant>) -> SystemTime {
    match at {
        Some(at) => Correspondence::sample().system_time_of(at.as_nanos()),
        None => SystemTime::now(),
    }
}
