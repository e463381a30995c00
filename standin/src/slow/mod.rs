//! The slow loop: a thread of its own for what may take time.
//!
//! Owns the log, the service checks and the control socket, on a tokio runtime of one thread.
//! Never touches an address or a packet socket. Invariant: whatever happens here, the fast loop
//! goes on; it ends when the fast loop has gone and everything it said is written.

mod events;
mod status;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::SystemTime;

use standin_core::Instant;
use standin_core::config::CheckId;
use standin_core::io::CheckTarget;
use standin_sys::clock::Correspondence;
use standin_sys::event::Wakeup;
use tokio::sync::mpsc::Receiver;
use tokio::task::{AbortHandle, JoinSet};

use crate::checks::Outcome;
use crate::control::{Provider, Server};
use crate::fast::Published;
use crate::host::PreparedCheck;
use crate::link::{ToFast, ToSlow};
use crate::log::{Event, Level, Logger};

pub use events::started;

/// The loop's ends of what it shares with the fast loop.
pub struct Ends {
    /// What the fast loop tells.
    pub inbox: Receiver<ToSlow>,
    /// Where results go.
    pub outbox: SyncSender<ToFast>,
    /// Rung after each message into `outbox`.
    pub wakeup: Arc<Wakeup>,
}

/// What the slow loop works with.
pub struct SlowLoop {
    /// Its ends.
    pub ends: Ends,
    /// Where events are written.
    pub logger: Logger<io::Stdout>,
    /// The checks, by their ids.
    pub checks: Vec<PreparedCheck>,
    /// The control socket and the status it tells.
    pub control: Option<(Server, Published)>,
}

impl SlowLoop {
    /// Runs until the fast loop has gone.
    pub async fn run(mut self) {
        let server = self.control.take().map(|(server, published)| {
            let provider: Provider = Arc::new(move || status::read(&published));
            tokio::spawn(server.serve(provider))
        });
        let mut running: JoinSet<()> = JoinSet::new();
        let mut current: Vec<Option<AbortHandle>> = self.checks.iter().map(|_| None).collect();
        while let Some(message) = self.ends.inbox.recv().await {
            match message {
                ToSlow::RunCheck { check, target } => {
                    let place = &mut current[check.index()];
                    // The core has given the last run up, or aims elsewhere.
                    if let Some(old) = place.take() {
                        old.abort();
                    }
                    *place = Some(self.start_check(&mut running, check, target));
                }
                other => self.log(&other),
            }
            while running.try_join_next().is_some() {}
        }
        running.shutdown().await;
        if let Some(server) = server {
            server.abort();
            // Its file is removed when it is dropped.
            let _ = server.await;
        }
    }

    fn start_check(
        &self,
        running: &mut JoinSet<()>,
        check: CheckId,
        target: CheckTarget,
    ) -> AbortHandle {
        let prepared = self.checks[check.index()].clone();
        let (outbox, wakeup) = (self.ends.outbox.clone(), self.ends.wakeup.clone());
        running.spawn(async move {
            let result = match prepared.prober.run(&prepared.target(target)).await {
                Outcome::Ok { .. } => Ok(()),
                Outcome::Failed { why } => Err(why),
            };
            // A full queue loses the result; the core gives the run up in time and starts another.
            if outbox.try_send(ToFast::CheckResult { check, target, result }).is_ok() {
                let _ = wakeup.notify();
            }
        })
    }

    fn log(&mut self, message: &ToSlow) {
        let (at, event) = match message {
            ToSlow::Report { at, report } => (Some(*at), events::of_report(report, *at)),
            ToSlow::Stopping { signal } => (None, events::stopping(*signal)),
            ToSlow::Trouble { at, why } => {
                (Some(*at), Event::new(Level::Warn, "trouble", format!("cannot {why}")))
            }
            ToSlow::Lost { at, count } => (
                Some(*at),
                Event::new(Level::Warn, "events-lost", format!("{count} events were not logged")),
            ),
            ToSlow::RunCheck { .. } => return,
        };
        self.logger.write(time_of(at), &event);
    }
}

/// The time of day of an instant of the fast loop's clock.
fn time_of(at: Option<Instant>) -> SystemTime {
    match at {
        Some(at) => Correspondence::sample().system_time_of(at.as_nanos()),
        None => SystemTime::now(),
    }
}
