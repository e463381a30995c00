//! Webhooks: what happens is told to others by HTTP, as signed JSON.
//!
//! Owns what is told, the queue of each webhook and the way of an event out of it. Runs in the slow
//! loop, a task for each webhook. Invariant: nothing waits for a webhook; whatever it does, at most
//! [`WAITING_MOST`] events wait for it, in order, and everything that it is not told is counted.
//!
//! ```text
//! Report ── Teller ──► Notice ── push ──► Queue ── courier ──► post ──► the receiver
//!                                           ▲                   │
//!                                           └── again, later ◄──┘
//! ```
//!
//! A URL may be a secret as a whole, as chat services hand them out. So it is called by its name, or
//! by its scheme, host and port, and nothing here says more of it.

mod courier;
mod notice;
mod post;
mod queue;
mod sign;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use standin_core::Report;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

pub use notice::{Notice, Scene, Teller};
pub use post::{Outcome, Target};
pub use queue::{Left, Next, Queue, Tally, WAITING_MOST};
pub use sign::{HEADER, Secret, signature};

use crate::address_map::AddressMap;
use crate::failure::Result;
use crate::file::Webhook;
use crate::log::{Event, Level};

/// When a run ends, what is still to be told gets so long.
pub const LAST_NOTICES: Duration = Duration::from_secs(3);
/// Sentences of the couriers that wait to be logged; each says a change, not every attempt.
const SENTENCES: usize = 64;

/// One webhook's queue, shared with its courier.
#[derive(Debug, Default)]
pub struct Shared {
    queue: Mutex<Queue>,
    news: Notify,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has become of its events so far.
    pub fn tally(&self) -> Tally {
        self.queue().tally()
    }
}

/// The webhooks by name, for the metrics.
pub type Tallies = Vec<(String, Arc<Shared>)>;

/// Whether every webhook could be told: its secret and its certificates are there.
///
/// # Errors
/// The first that could not.
pub fn judge(webhooks: &[Webhook]) -> Result<()> {
    webhooks.iter().try_for_each(|webhook| Target::prepare(webhook).map(drop))
}

/// A webhook at work.
struct Line {
    target: Arc<Target>,
    shared: Arc<Shared>,
    courier: JoinHandle<()>,
}

/// All webhooks of a run.
pub struct Notifier {
    teller: Teller,
    lines: Vec<Line>,
    tell: mpsc::Sender<Event>,
    told: mpsc::Receiver<Event>,
}

impl Notifier {
    /// None yet.
    pub fn new(started: SystemTime) -> Self {
        let (tell, told) = mpsc::channel(SENTENCES);
        Self { teller: Teller::new(started), lines: Vec::new(), tell, told }
    }

    /// Works for these from here on, inside the runtime. A webhook that is as before is left alone;
    /// one that is another under the same name takes over what waits. Gives what went wrong: that
    /// webhook stays as it was.
    pub fn follow(&mut self, webhooks: &[Webhook], scene: Scene) -> Vec<Event> {
        self.teller.enter(scene);
        let mut events = Vec::new();
        let mut former = std::mem::take(&mut self.lines);
        for webhook in webhooks {
            let known = former.iter().position(|line| line.target.name() == webhook.name);
            let known = known.map(|position| former.swap_remove(position));
            match (Target::prepare(webhook), known) {
                (Ok(target), Some(line)) if *line.target == target => self.lines.push(line),
                (Ok(target), Some(line)) => {
                    line.courier.abort();
                    line.shared.queue().put_back();
                    self.begin(target, line.shared);
                }
                (Ok(target), None) => self.begin(target, Arc::default()),
                (Err(why), known) => {
                    events.push(Event::new(Level::Error, "webhook-unusable", why.to_string()));
                    self.lines.extend(known);
                }
            }
        }
        for line in former {
            line.courier.abort();
            events.extend(unsent(&line));
        }
        events
    }

    fn begin(&mut self, target: Target, shared: Arc<Shared>) {
        let target = Arc::new(target);
        let courier = courier::run(target.clone(), shared.clone(), self.tell.clone());
        let courier = tokio::spawn(courier);
        self.lines.push(Line { target, shared, courier });
    }

    /// Something happened at `at`, logged as `event`: perhaps it is to be told.
    pub fn note(&mut self, report: &Report, event: &Event, at: SystemTime) {
        let Some(notice) = self.teller.notice(report, event, at) else { return };
        for line in self.lines.iter().filter(|line| line.target.wants(notice.event)) {
            let dropped = line.shared.queue().push(notice.clone());
            line.shared.news.notify_one();
            if dropped {
                let name = line.target.name();
                let what =
                    format!("webhook {name}: {WAITING_MOST} events wait, so the oldest is dropped");
                let _ = self.tell.try_send(
                    Event::new(Level::Warn, "webhook-dropped", what).with("webhook", name),
                );
            }
        }
    }

    /// What a courier has to say, once it has.
    pub async fn said(&mut self) -> Event {
        // There is always a sender: our own.
        match self.told.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    /// The queues, for whoever counts.
    pub fn tallies(&self) -> Tallies {
        self.lines.iter().map(|line| (line.target.name().to_owned(), line.shared.clone())).collect()
    }

    /// Nothing more happens: from here on each waiting event is tried once, without pauses.
    pub fn finish(&self) {
        for line in &self.lines {
            line.shared.queue().close();
            line.shared.news.notify_one();
        }
    }

    /// Waits for the end of that, until `end`; what there is to say.
    pub async fn finished(&mut self, end: tokio::time::Instant) -> Vec<Event> {
        for line in &mut self.lines {
            if tokio::time::timeout_at(end, &mut line.courier).await.is_err() {
                line.courier.abort();
            }
        }
        let mut events = Vec::new();
        while let Ok(event) = self.told.try_recv() {
            events.push(event);
        }
        events.extend(self.lines.iter().filter_map(unsent));
        events
    }
}

fn unsent(line: &Line) -> Option<Event> {
    let waiting = line.shared.queue().give_up();
    let name = line.target.name();
    let events = crate::file::counted(waiting, "event");
    (waiting > 0).then(|| {
        Event::new(Level::Warn, "webhook-unsent", format!("webhook {name}: {events} not sent"))
            .with("webhook", name)
    })
}

/// The group and the home of every VIP, for a [`Scene`].
pub type Places = AddressMap<(Arc<str>, Option<Arc<str>>)>;
