//! The way of one webhook's events to their receiver: one after the other, each until it is taken,
//! refused or too old.
//!
//! Owns the pauses between attempts and what is said in the log: a change, never every attempt.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Shared;
use super::post::{Outcome, Target, post};
use super::queue::{Left, Next};
use crate::duration;
use crate::log::{Event, Level};

/// The pause after a first failure; each one after it is twice as long.
const PAUSE_LEAST: Duration = Duration::from_millis(250);
/// Until it is as long as this.
const PAUSE_MOST: Duration = Duration::from_mins(1);
/// A receiver may ask for a longer one, up to this.
const PAUSE_ASKED_MOST: Duration = Duration::from_mins(5);
/// However short `retry-for` is: an event that waited behind others gets its attempt until it is
/// this old.
const FIRST_ATTEMPT_WITHIN: Duration = Duration::from_mins(1);

/// What was last said in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// That all is well, or nothing.
    Well,
    /// That it fails, or is refused, and how.
    Ill(String),
}

/// Sends until the queue is over.
pub(super) async fn run(target: Arc<Target>, shared: Arc<Shared>, tell: mpsc::Sender<Event>) {
    let mut courier = Courier { target, shared, tell, said: Said::Well, failures: 0 };
    loop {
        let next = courier.shared.queue().next(Instant::now());
        match next {
            Next::Send { body, id } => {
                let pause = if courier.is_too_old() {
                    courier.expire();
                    None
                } else {
                    let outcome = post(&courier.target, body, &id).await;
                    courier.settle(outcome)
                };
                if pause.is_some() && courier.shared.queue().is_closed() {
                    // What is left is counted by whoever closed it.
                    return;
                }
                if let Some(pause) = pause {
                    courier.rest(pause).await;
                }
            }
            Next::At(then) => courier.rest_until(then).await,
            Next::Nothing => courier.shared.news.notified().await,
            Next::Over => return,
        }
    }
}

struct Courier {
    target: Arc<Target>,
    shared: Arc<Shared>,
    tell: mpsc::Sender<Event>,
    said: Said,
    /// In a row.
    failures: u32,
}

impl Courier {
    /// Waits for so long, or until the run ends.
    async fn rest(&self, pause: Duration) {
        self.rest_until(Instant::now() + pause).await;
    }

    async fn rest_until(&self, then: Instant) {
        while !self.shared.queue().is_closed() {
            // Every new event is news, too: the pause goes on.
            let news = tokio::time::timeout_at(then, self.shared.news.notified());
            if news.await.is_err() {
                return;
            }
        }
    }

    /// Whether the first event has waited for longer than it is worth.
    fn is_too_old(&self) -> bool {
        let age = self.shared.queue().age(Instant::now());
        age > self.target.retry_for().max(FIRST_ATTEMPT_WITHIN)
    }

    fn expire(&mut self) {
        self.shared.queue().settle(Left::Expired);
        let how =
            format!("an event was given up after {}", duration::show(self.target.retry_for()));
        self.ill("webhook-expired", how.clone(), &how);
    }

    /// What follows from an attempt: a pause, or none.
    fn settle(&mut self, outcome: Outcome) -> Option<Duration> {
        match outcome {
            Outcome::Delivered => {
                self.failures = 0;
                let waiting = {
                    let mut queue = self.shared.queue();
                    queue.settle(Left::Delivered);
                    queue.len()
                };
                if std::mem::replace(&mut self.said, Said::Well) != Said::Well {
                    let what = match waiting {
                        0 => "events are taken again".to_owned(),
                        _ => format!("events are taken again; {waiting} wait"),
                    };
                    self.say(Level::Info, "webhook-works", &what);
                }
                None
            }
            Outcome::Refused { why } => {
                self.failures = 0;
                {
                    let mut queue = self.shared.queue();
                    queue.count_failure();
                    queue.settle(Left::Refused);
                }
                let what = format!("{why}: the event is not sent again");
                self.ill("webhook-refused", why, &what);
                None
            }
            Outcome::Again { why, after } => {
                self.failures = self.failures.saturating_add(1);
                let age = {
                    let mut queue = self.shared.queue();
                    queue.count_failure();
                    queue.put_back();
                    queue.age(Instant::now())
                };
                if age >= self.target.retry_for() {
                    self.expire();
                } else if self.said == Said::Well {
                    let limit = duration::show(self.target.retry_for());
                    let what = format!("{why}; trying again, for {limit}");
                    self.ill("webhook-failed", why, &what);
                }
                Some(pause(self.failures, after, random()))
            }
        }
    }

    /// Says what is wrong, unless that was the last thing that was said.
    fn ill(&mut self, name: &'static str, how: String, what: &str) {
        let said = Said::Ill(how);
        if self.said != said {
            self.said = said;
            self.say(Level::Warn, name, what);
        }
    }

    fn say(&self, level: Level, name: &'static str, what: &str) {
        let webhook = self.target.name();
        let event = Event::new(level, name, format!("webhook {webhook}: {what}"));
        // Were there no room, the metrics would still tell.
        let _ = self.tell.try_send(event.with("webhook", webhook));
    }
}

/// The pause after so many failures in a row: twice the one before, between half of it and all of
/// it, so that many nodes do not come back together; or what the receiver asked for.
fn pause(failures: u32, asked: Option<Duration>, random: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = (PAUSE_LEAST * 2_u32.pow(doublings)).min(PAUSE_MOST);
    let half = whole / 2;
    // A pause is at most 60 000 ms.
    let millis = half.as_millis() as u64;
    let pause = half + Duration::from_millis(random % (millis + 1));
    pause.max(asked.unwrap_or_default().min(PAUSE_ASKED_MOST))
}

/// The standard library seeds its hash maps from the kernel, each another way.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_scatter() {
        let millis = |failures, random| pause(failures, None, random).as_millis();
        assert_eq!((millis(1, 0), millis(1, 125)), (125, 250));
        assert_eq!((millis(3, 0), millis(3, 500)), (500, 1000));
        for failures in [9, 20, u32::MAX] {
            assert_eq!((millis(failures, 0), millis(failures, 30_000)), (30_000, 60_000));
        }
        assert_eq!(pause(1, Some(Duration::from_secs(7)), 0), Duration::from_secs(7));
        assert_eq!(pause(1, Some(Duration::from_hours(7)), 0), PAUSE_ASKED_MOST);
    }
}
