//! Sharing a pool evenly: rendezvous hashing (Thaler, Ravishankar 1998) with bounded loads.
//!
//! Owns the shares. Knows nothing of why a node can hold an item. Invariants: the same items give
//! the same shares whatever their order, an item goes only to a node that can hold it, and an item
//! moves only where that makes the pool more even.
//!
//! ```text
//!                          fill: each item that        level: from the fullest to the
//!                          nobody holds, to the        emptiest, while they are two
//!            held          emptiest                    or more apart
//!  A         ▇▇▇▇          ▇▇▇▇                        ▇▇▇
//!  B         ▇▇▇           ▇▇▇                         ▇▇▇
//!  C                       ▇▇                          ▇▇▇
//!  nobody    ▇▇
//! ```
//!
//! Filling and levelling say only how many items each node ends with. Which ones: a node keeps
//! those that weigh most on it, and the others go, in the order of their keys, each to the node
//! with room on which it weighs most. That order does not depend on who holds what, so moves that
//! were half carried out do not change where the rest goes.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::set::{MOST_NODES, NodeId, NodeSet};
use super::view::mix;

/// One item of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What its weights are made from; different from every other key of the pool.
    pub key: u64,
    /// The nodes that can hold it.
    pub can: NodeSet,
    /// Who holds it. A holder that is not in `can` loses it.
    pub holder: Option<NodeId>,
    /// It stays with its holder though the pool be uneven.
    pub pinned: bool,
}

/// The shares of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Who should hold each item, in the order they were given; `None` for one nobody can hold.
    pub shares: Vec<Option<NodeId>>,
    /// The nodes that have too little, and would be given more if they were takers.
    pub lacking: NodeSet,
}

/// The weight of an item on a node; the highest wins.
pub(super) fn weight(key: u64, node: NodeId) -> u64 {
    mix(key ^ (u64::from(node.0) << 48))
}

/// A number for each node.
type Counts = [usize; MOST_NODES];

/// Shares the items of a pool. Items that somebody holds move only to `takers`: every node for
/// failback at once, none for no failback, those that are back for long enough for a delay. Nothing that
/// is held moves while there are items that nobody holds.
///
/// So who gets what nobody holds does not depend on the takers. Since when a node is back each sees in
/// its own way, and two that each left an item to the other would wait for as long as they differ.
///
/// `seed` breaks ties, differently for each pool, lest the lowest node get the odd item of all.
pub fn spread(seed: u64, items: &[Item], takers: NodeSet) -> Spread {
    let field = items.iter().fold(NodeSet::EMPTY, |all, item| all.union(item.can));
    let mut load: Counts = [0; MOST_NODES];
    let mut going: Vec<usize> = Vec::new();
    let mut shares: Vec<Option<NodeId>> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let holder = item.holder.filter(|node| item.can.contains(*node));
        match holder {
            Some(node) => load[node.index()] += 1,
            None if item.can.is_empty() => {}
            None => going.push(index),
        }
        shares.push(holder);
    }
    // Filling first and levelling later also keeps each of the two the same while it is under way.
    let takers = if going.is_empty() { takers } else { NodeSet::EMPTY };

    let quotas = Quotas::new(&load, going.len(), &ties(seed, field), takers);
    let lacking = quotas.lacking;
    let mut sharing = Sharing { items, shares, load, quotas };
    let mut spare = sharing.release(&mut going);
    going.sort_unstable_by_key(|index| items[*index].key);
    for index in going {
        sharing.place(index);
    }
    // Of items that few can hold, some found no room: others go for them, the lightest first.
    spare.sort_unstable();
    for (_, index) in spare {
        sharing.place_instead(index);
    }
    Spread { shares: sharing.shares, lacking }
}

/// The nodes, those first that are given the odd item.
fn ties(seed: u64, field: NodeSet) -> Vec<NodeId> {
    let mut ties: Vec<NodeId> = field.iter().collect();
    ties.sort_unstable_by_key(|node| (!weight(seed, *node), *node));
    ties
}

/// How many items each node loses and has room for.
struct Quotas {
    lose: Counts,
    room: Counts,
    /// The nodes with room, for a quick answer.
    roomy: NodeSet,
    /// Those that would have more if they were takers.
    lacking: NodeSet,
}

impl Quotas {
    fn new(load: &Counts, unheld: usize, ties: &[NodeId], takers: NodeSet) -> Self {
        let places = ties.iter().enumerate();
        // The emptiest comes first and the fullest last; of equals the first of the ties is given
        // to first, and gives last.
        let mut levels: BTreeSet<(usize, usize)> =
            places.clone().map(|(place, node)| (load[node.index()], place)).collect();
        for _ in 0..unheld {
            let Some((level, place)) = levels.pop_first() else { break };
            levels.insert((level + 1, place));
        }
        let may_gain = |place: usize| takers.contains(ties[place]);
        let mut taking: BTreeSet<(usize, usize)> =
            levels.iter().copied().filter(|(_, place)| may_gain(*place)).collect();
        // Each turn brings two nodes closer, so there are no more turns than items.
        while let (Some(&full), Some(&empty)) = (levels.last(), taking.first()) {
            if full.0 < empty.0 + 2 {
                break;
            }
            let (less, more) = ((full.0 - 1, full.1), (empty.0 + 1, empty.1));
            for set in [&mut levels, &mut taking] {
                if set.remove(&full) {
                    set.insert(less);
                }
                set.remove(&empty);
                set.insert(more);
            }
        }
        let most = levels.last().map_or(0, |(level, _)| *level);
        let mut quotas = Self {
            lose: [0; MOST_NODES],
            room: [0; MOST_NODES],
            roomy: NodeSet::EMPTY,
            lacking: NodeSet::EMPTY,
        };
        for (level, place) in levels {
            let (node, had) = (ties[place], load[ties[place].index()]);
            quotas.lose[node.index()] = had.saturating_sub(level);
            quotas.room[node.index()] = level.saturating_sub(had);
            if level > had {
                quotas.roomy.insert(node);
            }
            if most >= level + 2 {
                quotas.lacking.insert(node);
            }
        }
        quotas
    }

    /// One item less of room on a node.
    fn use_room(&mut self, node: NodeId) {
        let room = &mut self.room[node.index()];
        *room = room.saturating_sub(1);
        if *room == 0 {
            self.roomy = self.roomy.without(NodeSet::only(node));
        }
    }
}

/// The shares in the making.
struct Sharing<'a> {
    items: &'a [Item],
    shares: Vec<Option<NodeId>>,
    load: Counts,
    quotas: Quotas,
}

impl Sharing<'_> {
    /// Adds to those that go what nodes hold beyond their quota, what weighs least on them first.
    /// The others of those nodes that may go are the answer, with their weights.
    fn release(&mut self, going: &mut Vec<usize>) -> Vec<(u64, usize)> {
        let mut movable: Vec<(NodeId, u64, usize)> = Vec::new();
        for (index, item) in self.items.iter().enumerate() {
            let Some(from) = self.shares[index].filter(|_| !item.pinned) else { continue };
            let stays_here = item.can.and(self.quotas.roomy).is_empty();
            if self.quotas.lose[from.index()] > 0 && !stays_here {
                movable.push((from, weight(item.key, from), index));
            }
        }
        movable
            .sort_unstable_by_key(|(from, weight, index)| (*from, *weight, self.items[*index].key));
        let mut left = self.quotas.lose;
        let mut spare = Vec::new();
        for (from, weight, index) in movable {
            if left[from.index()] > 0 {
                left[from.index()] -= 1;
                going.push(index);
            } else {
                spare.push((weight, index));
            }
        }
        spare
    }

    /// Places an item that goes: where there is room. If there is none where it can be, it stays
    /// with its holder; one that nobody holds goes to the least loaded.
    fn place(&mut self, index: usize) {
        let Item { key, can, .. } = self.items[index];
        let least_loaded =
            || can.iter().min_by_key(|node| (self.load[node.index()], !weight(key, *node)));
        let from = self.shares[index];
        let roomy = heaviest(key, can.and(self.quotas.roomy));
        let Some(to) = roomy.or(from).or_else(least_loaded) else { return };
        if from == Some(to) {
            return;
        }
        if let Some(from) = from {
            self.quotas.lose[from.index()] -= 1;
            self.load[from.index()] -= 1;
        }
        self.load[to.index()] += 1;
        self.quotas.use_room(to);
        self.shares[index] = Some(to);
    }

    /// Places an item in the stead of one of its holder that found no room, if there was one.
    fn place_instead(&mut self, index: usize) {
        let loses = self.shares[index].is_some_and(|from| self.quotas.lose[from.index()] > 0);
        if loses {
            self.place(index);
        }
    }
}

/// The node of some on which an item weighs most.
pub(super) fn heaviest(key: u64, among: NodeSet) -> Option<NodeId> {
    among.iter().max_by_key(|node| (weight(key, *node), core::cmp::Reverse(*node)))
}
