//! What is known, asked for once for all who want it.
//!
//! Owns the latest look at the fast loop and what was made of it. Invariant: the fast loop is asked
//! at most once in [`FRESH_FOR`], however many ask here, and by one at a time.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Mutex;

use super::metrics::{self, Format};
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
}

/// A look, and what was made of it so far.
struct Latest {
    at: Instant,
    seen: Result<Arc<Seen>, String>,
    metrics: [Option<Bytes>; 2],
    json: Option<Bytes>,
}

impl Site {
    /// A site that looks with `look` and reads what the slow loop writes down.
    pub fn new(look: Look, ledger: SharedLedger) -> Arc<Self> {
        Arc::new(Self { look, ledger, latest: Mutex::new(None) })
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
            *held = Some(Latest { at: Instant::now(), seen, metrics: [None, None], json: None });
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

    /// The status as JSON, as `standin status --json` prints it.
    pub(super) async fn json(&self) -> Result<Bytes, String> {
        self.with_latest(|latest, seen| {
            let make = || Bytes::from(format!("{:#}\n", seen.to_json()));
            latest.json.get_or_insert_with(make).clone()
        })
        .await
    }
}
