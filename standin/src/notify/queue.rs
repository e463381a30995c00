//! The events of one webhook that are still to be sent.
//!
//! Owns their order, their sequence numbers and what has become of those that have left. Knows no
//! clock and no network. Invariant: at most [`WAITING_MOST`] wait; one that is being tried stays in
//! its place until it is known what became of it; every event is counted once when it leaves.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::notice::Notice;

/// Events that wait for one webhook; what comes on top drops the oldest.
pub const WAITING_MOST: usize = 256;
/// What happens within so long and is the same but for the address becomes one event, so that the
/// takeover of a thousand addresses is no thousand messages.
const GATHERED: Duration = Duration::from_millis(200);

/// What has become of a webhook's events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The receiver has taken them.
    pub delivered: u64,
    /// The receiver does not want them.
    pub refused: u64,
    /// The receiver could not be told in time.
    pub expired: u64,
    /// Too many waited, or the run ended.
    pub dropped: u64,
    /// Attempts that the receiver took.
    pub succeeded: u64,
    /// Attempts that it did not.
    pub failed: u64,
    /// Events that wait.
    pub waiting: usize,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Send this; [`Queue::settle`] or [`Queue::put_back`] follows.
    Send {
        /// What is sent.
        body: Bytes,
        /// What tells it from every other event.
        id: String,
    },
    /// Nothing before then.
    At(Instant),
    /// Nothing before something happens.
    Nothing,
    /// Nothing any more.
    Over,
}

/// What became of the event that was being tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The receiver has taken it.
    Delivered,
    /// The receiver does not want it.
    Refused,
    /// It is too old.
    Expired,
}

#[derive(Debug)]
struct Entry {
    notice: Notice,
    sequence: u64,
    queued: Instant,
    /// Made for the first attempt, and the same for all.
    body: Option<Bytes>,
}

/// The queue.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Entry>,
    /// The first one is being tried.
    trying: bool,
    closed: bool,
    /// Events so far.
    sequence: u64,
    tally: Tally,
    /// One was dropped since the last that was delivered.
    overflows: bool,
}

impl Queue {
    /// Adds an event, or makes it one with the last. Whether one was dropped for it, and that is
    /// news.
    pub fn push(&mut self, notice: Notice) -> bool {
        let now = Instant::now();
        let last = self.waiting.back_mut().filter(|last| last.body.is_none());
        if let Some(last) = last
            && now.duration_since(last.queued) < GATHERED
            && last.notice.takes(&notice)
        {
            return false;
        }
        let is_full = self.waiting.len() >= WAITING_MOST;
        if is_full {
            self.waiting.remove(usize::from(self.trying));
            self.tally.dropped += 1;
        }
        self.sequence += 1;
        let entry = Entry { notice, sequence: self.sequence, queued: now, body: None };
        self.waiting.push_back(entry);
        is_full && !std::mem::replace(&mut self.overflows, true)
    }

    /// What is to be done at `now`.
    pub fn next(&mut self, now: Instant) -> Next {
        let closed = self.closed;
        let Some(first) = self.waiting.front_mut() else {
            return if closed { Next::Over } else { Next::Nothing };
        };
        let gathered = first.queued + GATHERED;
        if first.body.is_none() && now < gathered && !closed {
            return Next::At(gathered);
        }
        let (notice, sequence) = (&first.notice, first.sequence);
        let body = first.body.get_or_insert_with(|| Bytes::from(notice.to_json(sequence)));
        self.trying = true;
        Next::Send { body: body.clone(), id: notice.id.clone() }
    }

    /// How long the first one has waited.
    pub fn age(&self, now: Instant) -> Duration {
        self.waiting.front().map_or(Duration::ZERO, |first| now.duration_since(first.queued))
    }

    /// The receiver did not take the attempt.
    pub fn count_failure(&mut self) {
        self.tally.failed += 1;
    }

    /// The first one leaves.
    pub fn settle(&mut self, left: Left) {
        self.trying = false;
        if self.waiting.pop_front().is_none() {
            return;
        }
        match left {
            Left::Delivered => {
                self.tally.delivered += 1;
                self.tally.succeeded += 1;
                self.overflows = false;
            }
            Left::Refused => self.tally.refused += 1,
            Left::Expired => self.tally.expired += 1,
        }
    }

    /// The first one is not being tried any more, and waits.
    pub fn put_back(&mut self) {
        self.trying = false;
    }

    /// Nothing comes any more.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether nothing comes any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Drops what waits; how many that were.
    pub fn give_up(&mut self) -> usize {
        let count = self.waiting.len();
        self.waiting.clear();
        self.trying = false;
        self.tally.dropped += count as u64;
        count
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What has become of its events so far.
    pub fn tally(&self) -> Tally {
        Tally { waiting: self.waiting.len(), ..self.tally }
    }
}
