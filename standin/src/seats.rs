//! The places at the control socket and at the page: who has one, and who loses it to the next.
//!
//! Owns the clients' tasks, by their owners (a user, an address), and whose turn it is in each
//! conversation. Never reads or writes a byte. Invariant: a client that is being answered keeps its
//! place; one that lets us wait, half a request sent or half an answer read, keeps it only while
//! nobody else wants it. Of these the owner with the most loses the one that has waited longest, so
//! that no number of clients of one owner keeps another from being heard.

use std::cmp::Reverse;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};

/// The daemon answers at present: no place to be lost.
const OURS: u64 = u64::MAX;

/// All places.
pub(crate) struct Seats<Owner> {
    most: usize,
    clients: JoinSet<()>,
    taken: Vec<Seat<Owner>>,
    /// A place may be had that could not be before.
    freed: Arc<Notify>,
    /// Counts turns, as a clock of which only the order matters.
    turns: Arc<AtomicU64>,
}

struct Seat<Owner> {
    owner: Owner,
    task: AbortHandle,
    since: Arc<AtomicU64>,
}

/// A client's own view of its place: whose turn it is.
pub(crate) struct Turn {
    since: Arc<AtomicU64>,
    turns: Arc<AtomicU64>,
    freed: Arc<Notify>,
}

impl Turn {
    /// A request is being answered.
    pub(crate) fn is_ours(&self) {
        self.since.store(OURS, Ordering::Relaxed);
    }

    /// It is answered: the client has to read, and to ask the next.
    pub(crate) fn is_the_clients(&self) {
        self.since.store(self.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.freed.notify_one();
    }
}

impl<Owner: Copy + PartialEq> Seats<Owner> {
    /// So many places, all free.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            clients: JoinSet::new(),
            taken: Vec::with_capacity(most),
            freed: Arc::default(),
            turns: Arc::default(),
        }
    }

    /// Whether one more client can be served at once.
    pub(crate) fn is_one_to_be_had(&self) -> bool {
        self.taken.len() < self.most || self.taken.iter().any(Seat::is_waited_for)
    }

    /// Gives a place to a client of this owner, if need be that of another.
    pub(crate) fn give<F>(&mut self, owner: Owner, converse: impl FnOnce(Turn) -> F)
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
        self.taken.push(Seat { owner, task, since });
    }

    /// Who would lose a place: of the owner with the most, the one that has let us wait longest.
    fn loser(&self) -> Option<usize> {
        let count = |owner| self.taken.iter().filter(|seat| seat.owner == owner).count();
        let waiting = self.taken.iter().enumerate().filter(|(_, seat)| seat.is_waited_for());
        let age = |seat: &Seat<Owner>| Reverse(seat.since.load(Ordering::Relaxed));
        waiting.max_by_key(|(_, seat)| (count(seat.owner), age(seat))).map(|(position, _)| position)
    }

    /// Waits until a place may have become free, or to be had. Nothing is lost when this is dropped.
    pub(crate) async fn changed(&mut self) {
        tokio::select! {
            Some(_) = self.clients.join_next() => {
                self.taken.retain(|seat| !seat.task.is_finished());
            }
            () = self.freed.notified() => {}
        }
    }

    /// Waits until every client has gone by itself.
    pub(crate) async fn all_have_gone(&mut self) {
        while self.clients.join_next().await.is_some() {}
    }
}

impl<Owner> Seat<Owner> {
    fn is_waited_for(&self) -> bool {
        self.since.load(Ordering::Relaxed) != OURS
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    /// Whose clients have a place, once the tasks have had their turn.
    async fn owners(seats: &mut Seats<u32>) -> Vec<u32> {
        tokio::task::yield_now().await;
        seats.taken.iter().map(|seat| seat.owner).collect()
    }

    #[tokio::test]
    async fn the_owner_with_the_most_loses_a_place_and_one_who_is_answered_never() {
        let mut seats = Seats::new(3);
        let waits = |_turn| pending();
        seats.give(1, waits);
        for _ in 0..9 {
            assert!(seats.is_one_to_be_had());
            seats.give(2, waits);
        }
        assert_eq!(owners(&mut seats).await, [1, 2, 2]);
        seats.give(3, waits);
        assert_eq!(owners(&mut seats).await, [1, 2, 3]);
        // Among equals who has let us wait longest.
        seats.give(4, waits);
        assert_eq!(owners(&mut seats).await, [3, 2, 4]);
        // All are being answered: the next waits until one is not any more.
        let mut seats = Seats::new(2);
        for owner in 1..=2 {
            seats.give(owner, |turn| async move {
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
        seats.give(1, |turn| async move { turn.is_ours() });
        while owners(&mut seats).await != [0; 0] {
            seats.changed().await;
        }
    }
}
