//! The node's deadlines, one per machine, in order of time.
//!
//! Owns nothing but the order. Invariant: a key has at most one deadline, so the queue is bounded
//! by the number of machines.
//!
//! A heap that knows where each key is: ten thousand addresses that are claimed or renewed in one
//! turn set as many deadlines, and a search tree spent a third of that turn on them. Many of these are
//! at one moment, so a key is a number here: to compare two is to compare numbers.

use alloc::vec::Vec;

use crate::config::{CheckId, PeerId, VipId};
use crate::time::Instant;

/// Whose deadline it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A probe, the start of suspicion, a verdict or the end of the wait for steadiness.
    Peer(PeerId),
    /// A run of a check.
    Check(CheckId),
    /// A round of heartbeats to a member of the cluster, by its place in the list.
    Daemon(u32),
    /// A decision about a group that time alone changes.
    Group(u32),
    /// A lease that is to be asked for, renewed or given up, or that ends.
    Lease,
    /// A planned move that waits.
    Handover(u32),
    /// A decision that time alone changes.
    Decision(VipId),
    /// The end of the time in which others may take over what a node that stops holds.
    Stop,
    /// The renewal of the sign of life.
    Sign,
    /// A question, an announcement, a renewal or a missing acknowledgement.
    Vip(VipId),
}

/// Of peers, members, checks and the rest there are seldom more.
const OTHERS: usize = 256;

/// The kinds of [`Timer`].
const KINDS: usize = 10;

/// A [`Timer`] as a number: the order of these is that of the timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u64);

impl Key {
    const fn of(timer: Timer) -> Self {
        let (kind, number) = timer.slot();
        Self((kind as u64) << u32::BITS | number as u64)
    }

    /// The timer's kind and its number in it.
    const fn slot(self) -> (usize, usize) {
        ((self.0 >> u32::BITS) as usize, self.0 as u32 as usize)
    }

    const fn timer(self) -> Timer {
        let number = self.0 as u32;
        match self.0 >> u32::BITS {
            0 => Timer::Peer(PeerId(number)),
            1 => Timer::Check(CheckId(number)),
            2 => Timer::Daemon(number),
            3 => Timer::Group(number),
            4 => Timer::Lease,
            5 => Timer::Handover(number),
            6 => Timer::Decision(VipId(number)),
            7 => Timer::Stop,
            8 => Timer::Sign,
            _ => Timer::Vip(VipId(number)),
        }
    }
}

impl Timer {
    /// Its kind and its number in it.
    const fn slot(self) -> (usize, usize) {
        match self {
            Self::Peer(id) => (0, id.index()),
            Self::Check(id) => (1, id.index()),
            Self::Daemon(member) => (2, member as usize),
            Self::Group(group) => (3, group as usize),
            Self::Lease => (4, 0),
            Self::Handover(group) => (5, group as usize),
            Self::Decision(id) => (6, id.index()),
            Self::Stop => (7, 0),
            Self::Sign => (8, 0),
            Self::Vip(id) => (9, id.index()),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// None is later than the two at twice its place: the earliest is in front.
    heap: Vec<(Instant, Key)>,
    /// By kind and number, the place in the heap counted from 1; 0 for none.
    places: [Vec<u32>; KINDS],
}

impl Timers {
    /// Makes room for the deadlines of so many VIPs and some others, and no more: it would double by
    /// itself.
    pub(crate) fn make_room(&mut self, vips: usize) {
        self.heap.reserve_exact(vips + OTHERS);
        let (kind, number) = Timer::Vip(VipId(vips as u32)).slot();
        self.places[kind].reserve_exact(number);
    }

    pub(crate) fn set(&mut self, timer: Timer, deadline: Option<Instant>) {
        let (kind, number) = timer.slot();
        let known = self.places[kind].get(number).copied().unwrap_or(0);
        let place = (known as usize).checked_sub(1);
        match (place, deadline) {
            (None, None) => {}
            (None, Some(at)) => {
                if self.places[kind].len() <= number {
                    self.places[kind].resize(number + 1, 0);
                }
                self.heap.push((at, Key::of(timer)));
                self.rise(self.heap.len() - 1);
            }
            (Some(place), Some(at)) => {
                let before = core::mem::replace(&mut self.heap[place].0, at);
                if at < before {
                    self.rise(place);
                } else if at > before {
                    self.sink(place);
                }
            }
            (Some(place), None) => {
                self.places[kind][number] = 0;
                self.heap.swap_remove(place);
                if place < self.heap.len() {
                    // The last one has come here, from anywhere below.
                    let place = self.rise(place);
                    self.sink(place);
                }
            }
        }
    }

    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.heap.first().map(|(at, key)| (*at, key.timer()))
    }

    /// Takes the earliest timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let (at, timer) = self.next().filter(|(at, _)| *at <= now)?;
        self.set(timer, None);
        Some((at, timer))
    }

    /// Moves an entry up to where none above it is later; its new place.
    fn rise(&mut self, place: usize) -> usize {
        let entry = self.heap[place];
        self.rise_from(place, entry)
    }

    /// The same with an entry that is not in the heap at the moment, from a place that is free.
    fn rise_from(&mut self, mut place: usize, entry: (Instant, Key)) -> usize {
        while let Some(above) = place.checked_sub(1).map(|below| below / 2)
            && entry < self.heap[above]
        {
            self.put(place, self.heap[above]);
            place = above;
        }
        self.put(place, entry);
        place
    }

    /// Moves an entry down to where none below it is earlier. What is moved comes from the end or has
    /// got a later deadline and belongs far down: the way is made to the bottom first, without a look
    /// at it, and the last few steps are taken back.
    fn sink(&mut self, mut place: usize) {
        let (top, entry) = (place, self.heap[place]);
        loop {
            let mut below = 2 * place + 1;
            if below + 1 < self.heap.len() && self.heap[below + 1] < self.heap[below] {
                below += 1;
            }
            if below >= self.heap.len() {
                break;
            }
            self.put(place, self.heap[below]);
            place = below;
        }
        let place = self.rise_from(place, entry);
        debug_assert!(place >= top, "what was above it was no later");
    }

    fn put(&mut self, place: usize, entry: (Instant, Key)) {
        let (kind, number) = entry.1.slot();
        self.places[kind][number] = place as u32 + 1;
        self.heap[place] = entry;
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::random::Random;

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_comes_first() {
        let mut timers = Timers::default();
        let at = Instant::from_nanos;
        timers.set(Timer::Peer(PeerId(0)), Some(at(30)));
        timers.set(Timer::Vip(VipId(0)), Some(at(20)));
        timers.set(Timer::Peer(PeerId(0)), Some(at(10)));
        assert_eq!(timers.pop_due(at(5)), None);
        assert_eq!(timers.pop_due(at(25)), Some((at(10), Timer::Peer(PeerId(0)))));
        assert_eq!(timers.pop_due(at(25)), Some((at(20), Timer::Vip(VipId(0)))));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_timer_is_the_same_behind_its_number() {
        let many = [0, 1, 9_999, u32::MAX];
        let mut timers = alloc::vec![Timer::Lease, Timer::Stop, Timer::Sign];
        for number in many {
            timers.extend([Timer::Peer(PeerId(number)), Timer::Check(CheckId(number))]);
            timers.extend([Timer::Daemon(number), Timer::Group(number), Timer::Handover(number)]);
            timers.extend([Timer::Decision(VipId(number)), Timer::Vip(VipId(number))]);
        }
        for one in &timers {
            assert_eq!(Key::of(*one).timer(), *one);
            for other in &timers {
                assert_eq!(
                    Key::of(*one).cmp(&Key::of(*other)),
                    one.cmp(other),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn any_order_of_setting_gives_the_order_of_time() {
        let mut random = Random::new(1);
        let mut draw = |below: u64| (random.next() % below) as u32;
        let (mut timers, mut known) = (Timers::default(), BTreeMap::new());
        for _ in 0..5000 {
            let number = draw(40);
            let timer = match draw(3) {
                0 => Timer::Vip(VipId(number)),
                1 => Timer::Group(number),
                _ => Timer::Lease,
            };
            let at = Some(Instant::from_nanos(draw(100).into())).filter(|_| draw(4) > 0);
            timers.set(timer, at);
            known.remove(&timer);
            known.extend(at.map(|at| (timer, at)));
            let first = known.iter().map(|(timer, at)| (*at, *timer)).min();
            assert_eq!(timers.next(), first);
        }
        let mut left: Vec<_> = known.into_iter().map(|(timer, at)| (at, timer)).collect();
        left.sort_unstable();
        let late = Instant::from_nanos(1000);
        let popped: Vec<_> = core::iter::from_fn(|| timers.pop_due(late)).collect();
        assert_eq!(popped, left);
    }
}
