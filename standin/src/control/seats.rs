//! The places at the control socket: who has one, and who loses it to the next.
//!
//! Owns the clients' tasks, by their users, and whose turn it is in each conversation. Never reads or
//! writes a byte. Invariant: a client that is being answered keeps its place; one that lets us wait,
//! half a request sent or half an answer read, keeps it only while nobody else wants it. Of these the
//! user with the most loses the one that has waited longest, so that no number of clients of one
//! user keeps another from being heard.

use std::cmp::Reverse;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// The daemon answers at present: no place to be lost.
const OURS: u64 = u64::MAX;

/// All places.
pub(super) struct Seats {
    most: usize,
    clients: JoinSet<()>,
    taken: Vec<Seat>,
    /// A place may be had that could not be before.
    freed: Arc<Notify>,
    /// Counts turns, as a clock of which only the order matters.
    turns: Arc<AtomicU64>,
}

struct Seat {
    user: Option<u32>,
    task: AbortHandle,
    since: Arc<AtomicU64>,
}

/// A client's own view of its place: whose turn it is.
pub(super) struct Turn {
    since: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    freed: Arc<Notify>,
}

impl Turn {
    /// A request is being answered.
    pub(super) fn is_ours(&self) {
        self.since.store(OURS, Ordering::Relaxed);
    }

    /// It is answered: the client has to read, and to ask the next.
    pub(super) fn is_the_clients(&self) {
        self.since.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.freed.notify_one();
    }
}

impl Seats {
    /// So many places, all free.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            clients: JoinSet::new(),
            taken: Vec::with_capacity(most),
            freed: Arc::default(),
            turns: Arc::default(),
        }
    }

    /// Whether one more client can be served at once.
    pub(super) fn is_one_to_be_had(&self) -> bool {
        self.taken.len() < self.most || self.taken.iter().any(Seat::is_waited_for)
    }

    /// Gives a place to a client of this user, if need be that of another.
    pub(super) fn give<F>(&mut self, user: Option<u32>, converse: impl FnOnce(Turn) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.taken.len() >= self.most
            && let Some(loser) = self.loser()
        {
            self.taken.swap_remove(loser).task.abort();
        }
        let (turns, freed) = (self.turns.clone(), self.freed.clone());
        let turn = Turn { since: Arc::default(), turns, freed };
        let since = turn.since.clone();
        turn.is_the_clients();
        let task = self.clients.spawn(converse(turn));
        self.taken.push(Seat { user, task, since });
    }

    /// Who would lose a place: of the user with the most, the one that has let us wait longest.
    fn loser(&self) -> Option<usize> {
        let count = |user| self.taken.iter().filter(|seat| seat.user == user).count();
        let waiting = self.taken.iter().enumerate().filter(|(_, seat)| seat.is_waited_for());
        let age = |seat: &Seat| Reverse(seat.since.load(Ordering::Relaxed));
        waiting.max_by_key(|(_, seat)| (count(seat.user), age(seat))).map(|(position, _)| position)
    }

    /// Waits until a place may have become free, or to be had. Nothing is lost when this is dropped.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            Some(_) = self.clients.join_next() => {
                self.taken.retain(|seat| !seat.task.is_finished());
            }
            () = self.freed.notified() => {}
        }
    }

    /// Waits until every client has gone by itself.
    pub(super) async fn all_have_gone(&mut self) {
        while self.clients.join_next().await.is_some() {}
    }
}

impl Seat {
    fn is_waited_for(&self) -> bool {
        self.since.load(Ordering::Relaxed) != OURS
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// The users whose clients have a place, once the tasks have had their turn.
    async fn users(seats: &mut Seats) -> Vec<Option<u32>> {
        tokio::task::yield_now().await;
        seats.taken.iter().map(|seat| seat.user).collect()
    }

    #[tokio::test]
    async fn the_user_with_the_most_loses_a_place_and_one_who_is_answered_never() {
        let mut seats = Seats::new(3);
        let waits = |_turn| pending();
        seats.give(Some(1), waits);
        for _ in 0..9 {
            assert!(seats.is_one_to_be_had());
            seats.give(Some(2), waits);
        }
        assert_eq!(users(&mut seats).await, [Some(1), Some(2), Some(2)]);
        seats.give(Some(3), waits);
        assert_eq!(users(&mut seats).await, [Some(1), Some(2), Some(3)]);
        // Among equals who has let us wait longest.
        seats.give(Some(4), waits);
        assert_eq!(users(&mut seats).await, [Some(3), Some(2), Some(4)]);
        // All are being answered: the next waits until one is not any more.
        let mut seats = Seats::new(2);
        for user in 1..=2 {
            seats.give(Some(user), |turn| async move {
                turn.is_ours();
                for _ in 0..5 {
                    tokio::task::yield_now().await;
                }
                turn.is_the_clients();
                pending::<()>().await;
            });
        }
        tokio::task::yield_now().await;
        assert!(!seats.is_one_to_be_had());
        while !seats.is_one_to_be_had() {
            seats.changed().await;
        }
        // And who goes by itself leaves a place.
        let mut seats = Seats::new(1);
        seats.give(Some(1), |turn| async move { turn.is_ours() });
        while users(&mut seats).await != [None; 0] {
            seats.changed().await;
        }
    }
}
