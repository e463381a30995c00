//! What the service manager is told: that the run is ready, that it lives, what it does.
//!
//! Owns the messages of `sd_notify(3)` and the proof of life behind them. The watchdog is fed from
//! here, in the slow loop, and only after the fast loop has answered a question: one that hangs
//! leaves it hungry, and so does a slow loop that hangs. Outside a service manager nothing of this
//! happens. Invariant: no message says more than both loops have shown.
//!
//! ```text
//!   asked ── the fast loop answers ──▶ fed: READY=1 the first time, WATCHDOG=1, perhaps STATUS=
//!     ▲                                  │
//!     └──── a quarter of WatchdogSec ────┘        no answer: nothing is said, the manager acts
//! ```

use std::fmt::Write;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use sd_notify::NotifyState;
use standin_core::node::ClusterStatus;
use standin_core::place::Life;
use standin_core::status::Status;
use standin_core::vip::Place;
use standin_sys::event::Wakeup;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::link::{Answer, Command, Order, ToFast};

/// Where a service manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";
/// What a child of ours must not have: it would speak for us.
pub(crate) const ENVIRONMENT: [&str; 3] = [NOTIFY_SOCKET, "WATCHDOG_USEC", "WATCHDOG_PID"];
/// From one question to the next where there is no watchdog: the status line follows that fast.
const UNWATCHED: Duration = Duration::from_secs(2);
/// After a question that was lost: the queue is full, or the configuration is just changing.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends messages to the service manager, in one datagram.
type Tell = fn(&[NotifyState<'_>]);

/// Whether a service manager started us.
pub(crate) fn is_managed() -> bool {
    std::env::var_os(NOTIFY_SOCKET).is_some_and(|socket| !socket.is_empty())
}

/// The service manager, as long as it listens.
pub(super) struct Service {
    tell: Tell,
    to_fast: SyncSender<ToFast>,
    wakeup: Arc<Wakeup>,
    period: Duration,
    watched: bool,
    ready: bool,
    /// Something has happened since the last status line.
    pub(super) stale: bool,
    asked: Option<oneshot::Receiver<Answer>>,
    next: Instant,
}

impl Service {
    /// None when no service manager started us.
    pub(super) fn of_environment(to_fast: SyncSender<ToFast>, wakeup: Arc<Wakeup>) -> Option<Self> {
        let watchdog = sd_notify::watchdog_enabled();
        is_managed().then(|| Self::new(tell, watchdog, to_fast, wakeup))
    }

    fn new(
        tell: Tell,
        watchdog: Option<Duration>,
        to_fast: SyncSender<ToFast>,
        wakeup: Arc<Wakeup>,
    ) -> Self {
        Self {
            tell,
            to_fast,
            wakeup,
            period: watchdog.map_or(UNWATCHED, |limit| limit / 4),
            watched: watchdog.is_some(),
            ready: false,
            stale: true,
            asked: None,
            next: Instant::now(),
        }
    }

    /// Asks the fast loop when it is time, or waits for its answer and passes it on. Nothing is
    /// lost when this is dropped half way.
    async fn beat(&mut self) {
        let Some(answer) = &mut self.asked else {
            tokio::time::sleep_until(self.next).await;
            return self.ask();
        };
        let answer = answer.await;
        self.asked = None;
        let Ok(answer) = answer else {
            self.next = Instant::now() + AGAIN;
            return;
        };
        self.next = Instant::now() + self.period;
        self.pass_on(answer);
    }

    fn ask(&mut self) {
        // A status of ten thousand addresses is not made for nothing.
        let command = if self.stale { Command::Status } else { Command::Ping };
        let (reply, answer) = oneshot::channel();
        match self.to_fast.try_send(ToFast::Order(Order { command, reply })) {
            Ok(()) => {
                let _ = self.wakeup.notify();
                self.asked = Some(answer);
            }
            Err(_) => self.next = Instant::now() + AGAIN,
        }
    }

    fn pass_on(&mut self, answer: Answer) {
        let line = match answer {
            Answer::Status { status, cluster, pulse: _ } => {
                self.stale = false;
                Some(in_one_line(&status, cluster.as_deref()))
            }
            Answer::Explained(_) | Answer::Foreseen(_) | Answer::Done => None,
        };
        let mut news = Vec::new();
        if !self.ready {
            self.ready = true;
            news.push(NotifyState::Ready);
        }
        if self.watched {
            news.push(NotifyState::Watchdog);
        }
        news.extend(line.as_deref().map(NotifyState::Status));
        if !news.is_empty() {
            (self.tell)(&news);
        }
    }

    /// The file is read again.
    pub(super) fn reloading(&mut self) {
        if !self.ready {
            return;
        }
        let mut news = vec![NotifyState::Reloading];
        news.extend(NotifyState::monotonic_usec_now());
        (self.tell)(&news);
    }

    /// It was read, and taken up or refused.
    pub(super) fn reloaded(&mut self) {
        self.stale = true;
        if self.ready {
            (self.tell)(&[NotifyState::Ready]);
        }
    }

    /// The run ends.
    pub(super) fn stopping(&self, keeps: bool) {
        let line = if keeps { "leaving everything to the next run" } else { "handing over" };
        (self.tell)(&[NotifyState::Stopping, NotifyState::Status(line)]);
    }
}

/// The next beat of a service that there may be.
pub(super) async fn beat(service: &mut Option<Service>) {
    match service {
        Some(service) => service.beat().await,
        None => std::future::pending().await,
    }
}

/// A manager that cannot be told finds out by its watchdog; nothing here depends on it.
fn tell(news: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(news);
}

/// The line that `systemctl status` shows.
fn in_one_line(status: &Status, cluster: Option<&ClusterStatus>) -> String {
    let here = status.vips.iter().filter(|vip| vip.place == Place::Held).count();
    let mut line = format!("{here} of {} VIPs here", status.vips.len());
    match cluster {
        Some(cluster) if cluster.isolated => line.push_str("; cut off"),
        Some(cluster) => {
            let nodes = &cluster.nodes;
            let there = nodes.iter().filter(|node| node.life == Life::Participating).count();
            let _ = write!(line, "; {there} of {} nodes take part", nodes.len());
        }
        None => {
            let peers = status.peers.iter();
            line.extend(peers.map(|peer| format!("; {} is {}", peer.name, peer.life.name())));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::sync_channel;

    use super::*;

    thread_local! {
        /// What the manager of this test was told.
        static TOLD: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    }

    fn told() -> Vec<String> {
        TOLD.take()
    }

    fn write_down(news: &[NotifyState<'_>]) {
        TOLD.with_borrow_mut(|told| told.extend(news.iter().map(ToString::to_string)));
    }

    fn empty() -> Answer {
        let (peers, vips, checks, malformed) = Default::default();
        Answer::Status {
            status: Box::new(Status { peers, vips, checks, malformed }),
            cluster: None,
            pulse: Box::default(),
        }
    }

    /// Runs the service for a while, on a clock that stands still but for its own waiting.
    async fn for_ten_seconds(service: &mut Service) {
        let beats = async {
            loop {
                service.beat().await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(10), beats).await;
    }

    #[test]
    fn the_watchdog_is_fed_only_while_the_fast_loop_answers() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let (to_fast, orders) = sync_channel(4);
            let wakeup = Arc::new(Wakeup::new().expect("an eventfd"));
            let watchdog = Some(Duration::from_secs(8));
            let mut service = Service::new(write_down, watchdog, to_fast, wakeup);
            // A fast loop that hangs from the start: not ready, not alive.
            for_ten_seconds(&mut service).await;
            assert_eq!(told(), [""; 0]);
            service.reloading();
            assert_eq!(told(), [""; 0], "who is not ready reloads nothing");
            // It answers.
            let Ok(ToFast::Order(order)) = orders.recv() else { panic!("a question") };
            assert!(matches!(order.command, Command::Status));
            order.reply.send(empty()).expect("somebody waits");
            for_ten_seconds(&mut service).await;
            assert_eq!(told(), ["READY=1", "WATCHDOG=1", "STATUS=0 of 0 VIPs here"]);
            // Asked again a quarter of the limit later, and it hangs: hungry.
            let Ok(ToFast::Order(order)) = orders.recv() else { panic!("a question") };
            assert!(matches!(order.command, Command::Ping));
            assert!(orders.try_recv().is_err(), "one question at a time");
            order.reply.send(Answer::Done).expect("somebody waits");
            for_ten_seconds(&mut service).await;
            assert_eq!(told(), ["WATCHDOG=1"]);
            // Dropped unanswered, as when the configuration changes: asked anew, not fed.
            let Ok(ToFast::Order(order)) = orders.recv() else { panic!("a question") };
            drop(order);
            for_ten_seconds(&mut service).await;
            assert_eq!(told(), [""; 0]);
            assert!(orders.try_recv().is_ok());
            service.stopping(true);
            assert_eq!(told(), ["STOPPING=1", "STATUS=leaving everything to the next run"]);
        });
    }
}
