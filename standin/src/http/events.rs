//! The page kept up to date: server-sent events with the sections that have changed.
//!
//! Owns how often is looked and what is sent. Every page that listens costs one task, which looks
//! like any other reader; what one sees, all see. Invariant: a page that does not read makes its own
//! task wait and nobody else.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};

use super::page::sections::Section;
use super::site::{FRESH_FOR, Site};

/// Figures that change all the time are sent so often; an event is told at once.
const PERIOD: Duration = Duration::from_secs(1);
/// A line goes out at least so often, so that a page that has gone is noticed.
const QUIET_MOST: Duration = Duration::from_secs(15);

/// Begins to tell; what is sent comes out of the receiver until that is dropped.
pub(super) fn tell(site: Arc<Site>, permit: OwnedSemaphorePermit) -> Receiver<Bytes> {
    let (sender, receiver) = channel(1);
    tokio::spawn(async move {
        let _permit = permit;
        let news = site.ledger().news();
        follow(&site, news, &sender).await;
    });
    receiver
}

async fn follow(site: &Site, mut news: watch::Receiver<u64>, sender: &Sender<Bytes>) {
    let mut shown: Arc<Vec<Section>> = Arc::default();
    let mut quiet = Duration::ZERO;
    if sender.send(Bytes::from_static(b"retry: 2000\n\n")).await.is_err() {
        return;
    }
    loop {
        // While the fast loop does not answer, what is shown stays.
        if let Ok(now) = site.sections().await {
            let message = difference(&shown, &now);
            shown = now;
            quiet += PERIOD;
            let line = match message {
                Some(message) => Some(message),
                None if quiet >= QUIET_MOST => Some(Bytes::from_static(b":\n\n")),
                None => None,
            };
            if let Some(line) = line {
                quiet = Duration::ZERO;
                if sender.send(line).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            told = timeout(PERIOD, news.changed()) => match told {
                // The look that is at hand may be from before it.
                Ok(Ok(())) => sleep(FRESH_FOR).await,
                Ok(Err(_)) => return,
                Err(_) => {}
            },
            () = sender.closed() => return,
        }
    }
}

/// The sections that are other than they were, as one event; none when all are the same.
fn difference(shown: &[Section], now: &[Section]) -> Option<Bytes> {
    let changed = now.iter().filter(|section| !shown.contains(section));
    let changed: Vec<Value> = changed.map(|(id, html)| json!({ "id": id, "html": html })).collect();
    // JSON has no line breaks, which would end the event.
    (!changed.is_empty()).then(|| Bytes::from(format!("data: {}\n\n", Value::from(changed))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_changed_is_sent_and_in_one_line() {
        let section = |id, text: &str| (id, text.to_owned());
        let before = vec![section("a", "1"), section("b", "2")];
        let after = vec![section("a", "1"), section("b", "3\n4")];
        assert_eq!(difference(&before, &before), None);
        let sent = difference(&before, &after).expect("a change");
        assert_eq!(&sent[..], b"data: [{\"html\":\"3\\n4\",\"id\":\"b\"}]\n\n");
    }
}
