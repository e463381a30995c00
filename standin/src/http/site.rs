//! What is known, asked for once for all who want it.
//!
//! Owns the latest look at the fast loop and what was made of it. Invariant: the fast loop is asked
//! at most once in [`FRESH_FOR`], however many ask here, and by one at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{Mutex, Semaphore};

use super::connection::clients_most;
use super::events;
use super::metrics::{self, Format};
use super::page::{self, sections::Section};
use super::{Ledger, SharedLedger};
use crate::slow::Seen;

/// So long a look at the fast loop is as good as a new one.
pub const FRESH_FOR: Duration = Duration::from_millis(100);

/// Looks at the fast loop. An error is a sentence.
pub type Look =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Seen, String>> + Send>> + Send + Sync>;

/// What is served.
pub struct Site {
    look: Look,
    ledger: SharedLedger,
    latest: Mutex<Option<Latest>>,
    clients_most: usize,
    /// Pages that may be kept up to date.
    listeners: Arc<Semaphore>,
}

/// A look, and what was made of it so far.
struct Latest {
    at: Instant,
    seen: Result<Arc<Seen>, String>,
    metrics: [Option<Bytes>; 2],
    json: Option<Bytes>,
    sections: Option<Arc<Vec<Section>>>,
    page: Option<Bytes>,
}

impl Site {
    /// A site that looks with `look` and reads what the slow loop writes down, in a process that may
    /// have so many files open.
    pub fn new(look: Look, ledger: SharedLedger, open_files: u64) -> Arc<Self> {
        let clients_most = clients_most(open_files);
        Arc::new(Self {
            look,
            ledger,
            latest: Mutex::new(None),
            clients_most,
            // Who only asks has a place all the same.
            listeners: Arc::new(Semaphore::new(clients_most / 2)),
        })
    }

    pub(super) fn clients_most(&self) -> usize {
        self.clients_most
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the latest look.
    async fn with_latest<T>(
        &self,
        work: impl FnOnce(&mut Latest, &Arc<Seen>) -> T,
    ) -> Result<T, String> {
        // Held while the fast loop is asked: the others wait for the same answer.
        let mut held = self.latest.lock().await;
        if held.as_ref().is_none_or(|latest| latest.at.elapsed() >= FRESH_FOR) {
            let seen = (self.look)().await.map(Arc::new);
            *held = Some(Latest {
                at: Instant::now(),
                seen,
                metrics: [None, None],
                json: None,
                sections: None,
                page: None,
            });
        }
        let Some(latest) = held.as_mut() else { return Err("nothing is known yet".to_owned()) };
        let seen = latest.seen.clone()?;
        Ok(work(latest, &seen))
    }

    /// The metrics.
    pub(super) async fn metrics(&self, format: Format) -> Result<Bytes, String> {
        self.with_latest(|latest, seen| {
            let kept = &mut latest.metrics[format as usize];
            let make = || Bytes::from(metrics::exposition(seen, &self.ledger(), format));
            kept.get_or_insert_with(make).clone()
        })
        .await
    }

    /// What of the page changes.
    pub(super) async fn sections(&self) -> Result<Arc<Vec<Section>>, String> {
        self.with_latest(|latest, seen| self.made_sections(latest, seen)).await
    }

    fn made_sections(&self, latest: &mut Latest, seen: &Seen) -> Arc<Vec<Section>> {
        let make = || Arc::new(page::sections(seen, &self.ledger()));
        latest.sections.get_or_insert_with(make).clone()
    }

    /// The page.
    pub(super) async fn page(&self) -> Result<Bytes, String> {
        self.with_latest(|latest, seen| {
            let sections = self.made_sections(latest, seen);
            let make = || Bytes::from(page::page(seen, &sections));
            latest.page.get_or_insert_with(make).clone()
        })
        .await
    }

    /// Changes of the page as they come; none when too many listen already.
    pub(super) fn listen(self: &Arc<Self>) -> Option<Receiver<Bytes>> {
        let permit = self.listeners.clone().try_acquire_owned().ok()?;
        Some(events::tell(self.clone(), permit))
    }

    /// The status as JSON, as `standin status --json` prints it.
    pub(super) async fn json(&self) -> Result<Bytes, String> {
        self.with_latest(|latest, seen| {
            let make = || Bytes::from(format!("{:#}\n", seen.to_json()));
            latest.json.get_or_insert_with(make).clone()
        })
        .await
    }
}
