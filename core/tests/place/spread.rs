//! A pool is even, and stays where it is as far as it can.

use std::collections::BTreeMap;

use proptest::prelude::*;
use standin_core::place::{Item, NodeId, NodeSet, Spread, address_key, spread};

const SEED: u64 = 5;

fn nodes(count: u16) -> NodeSet {
    (0..count).map(NodeId).collect()
}

/// `count` addresses that every node of `can` can hold and nobody holds.
fn pool(count: u32, can: NodeSet) -> Vec<Item> {
    let address = |host: u32| std::net::Ipv4Addr::from(0x0a00_0000 + host).into();
    (0..count)
        .map(|host| Item { key: address_key(address(host)), can, holder: None, pinned: false })
        .collect()
}

/// The same items, held by those whose share they were.
fn held(items: &[Item], shares: &Spread) -> Vec<Item> {
    items
        .iter()
        .zip(&shares.shares)
        .map(|(item, holder)| Item { holder: *holder, ..*item })
        .collect()
}

fn with_nodes(items: &[Item], can: NodeSet) -> Vec<Item> {
    items.iter().map(|item| Item { can, ..*item }).collect()
}

fn loads(shares: &[Option<NodeId>], field: NodeSet) -> BTreeMap<NodeId, usize> {
    let mut loads: BTreeMap<NodeId, usize> = field.iter().map(|node| (node, 0)).collect();
    for node in shares.iter().flatten() {
        *loads.entry(*node).or_default() += 1;
    }
    loads
}

fn is_even(shares: &[Option<NodeId>], field: NodeSet) -> bool {
    let loads = loads(shares, field);
    let (most, least) = (loads.values().max(), loads.values().min());
    shares.iter().all(Option::is_some)
        && most.zip(least).is_none_or(|(most, least)| most - least <= 1)
}

/// Pairs of who had it and who is to have it, where these differ and somebody had it.
fn moves(items: &[Item], shares: &Spread) -> Vec<(NodeId, NodeId)> {
    let pairs = items.iter().zip(&shares.shares);
    pairs
        .filter_map(|(item, share)| item.holder.zip(*share))
        .filter(|(from, to)| from != to)
        .collect()
}

/// The fewest moves after which no node has more than one item more than another.
fn fewest_moves(loads: &BTreeMap<NodeId, usize>) -> usize {
    let total: usize = loads.values().sum();
    let (floor, odd) = (total / loads.len(), total % loads.len());
    let mut sorted: Vec<usize> = loads.values().copied().collect();
    sorted.sort_unstable_by(|one, other| other.cmp(one));
    let quota = |place: usize| floor + usize::from(place < odd);
    sorted.iter().enumerate().map(|(place, load)| load.saturating_sub(quota(place))).sum()
}

/// Where everything is in the end: what nobody holds is claimed first.
fn even(items: &[Item]) -> Spread {
    let claimed = spread(SEED, items, NodeSet::ALL);
    spread(SEED, &held(items, &claimed), NodeSet::ALL)
}

#[test]
fn who_gets_what_nobody_holds_does_not_depend_on_who_is_back_for_long_enough() {
    let field = nodes(3);
    for holder in (0..3).map(NodeId) {
        let mut items = pool(3, field);
        items[0].holder = Some(holder);
        items[1].holder = Some(holder);
        let all: Vec<Spread> = [NodeSet::ALL, NodeSet::EMPTY, NodeSet::only(NodeId(0))]
            .map(|takers| spread(SEED, &items, takers))
            .into();
        assert!(all.iter().all(|one| one.shares == all[0].shares), "{all:?}");
        assert!(is_even(&even(&items).shares, field));
    }
}

/// A pool with arbitrary holders, some of which may be no node of it.
fn any_held(
    nodes_count: std::ops::RangeInclusive<u16>,
) -> impl Strategy<Value = (Vec<Item>, NodeSet)> {
    (nodes_count, 0u32..120).prop_flat_map(|(count, addresses)| {
        let holder = proptest::option::of(0..count + 2);
        proptest::collection::vec(holder, addresses as usize).prop_map(move |holders| {
            let field = nodes(count);
            let mut items = pool(addresses, field);
            for (item, holder) in items.iter_mut().zip(holders) {
                item.holder = holder.map(NodeId);
            }
            (items, field)
        })
    })
}

proptest! {
    #[test]
    fn every_pool_becomes_even_with_the_fewest_moves_and_then_stays((items, field) in any_held(1..=64)) {
        let shares = even(&items);
        prop_assert!(items.is_empty() || is_even(&shares.shares, field));
        prop_assert!(shares.lacking.is_empty());
        let after = held(&items, &shares);
        prop_assert_eq!(&even(&after), &shares, "it does not stay");
        // Every item has a holder: only then is the least number of moves known so simply.
        let all_held: Vec<Item> =
            items.iter().filter(|item| item.holder.is_some_and(|node| field.contains(node))).copied().collect();
        let before: Vec<Option<NodeId>> = all_held.iter().map(|item| item.holder).collect();
        let moved = moves(&all_held, &even(&all_held)).len();
        prop_assert_eq!(moved, fewest_moves(&loads(&before, field)));
    }

    #[test]
    fn the_order_of_the_items_does_not_matter((items, _) in any_held(1..=64), turn in 0usize..120) {
        let mut turned = items.clone();
        turned.rotate_left(turn % items.len().max(1));
        turned.reverse();
        let by_key = |items: &[Item]| -> BTreeMap<u64, Option<NodeId>> {
            items.iter().map(|item| item.key).zip(even(items).shares).collect()
        };
        prop_assert_eq!(by_key(&items), by_key(&turned));
    }

    #[test]
    fn a_lost_node_moves_only_its_own(count in 2u16..=64, addresses in 0u32..300, lost in 0u16..64) {
        let lost = NodeId(lost % count);
        let field = nodes(count);
        let before = held(&pool(addresses, field), &even(&pool(addresses, field)));
        let left = field.without(NodeSet::only(lost));
        let items = with_nodes(&before, left);
        let shares = even(&items);
        prop_assert!(items.is_empty() || is_even(&shares.shares, left));
        prop_assert!(moves(&items, &shares).iter().all(|(from, _)| *from == lost));
        // It comes back, and gets its share from those that have most.
        let again = with_nodes(&held(&items, &shares), field);
        let shares = even(&again);
        let moved = moves(&again, &shares);
        prop_assert!(moved.iter().all(|(_, to)| *to == lost), "others exchange theirs");
        prop_assert_eq!(moved.len(), addresses as usize / usize::from(count));
        prop_assert!(addresses == 0 || is_even(&shares.shares, field));
    }

    #[test]
    fn without_failback_only_what_nobody_holds_is_placed((items, field) in any_held(1..=64)) {
        let shares = spread(SEED, &items, NodeSet::EMPTY);
        for (item, share) in items.iter().zip(&shares.shares) {
            match item.holder.filter(|node| field.contains(*node)) {
                Some(holder) => prop_assert_eq!(*share, Some(holder)),
                None => prop_assert!(share.is_some()),
            }
        }
        prop_assert_eq!(!shares.lacking.is_empty(), !items.is_empty() && !is_even(&shares.shares, field));
        // What was placed went to the emptiest: none of it could be on a node two below.
        let after = loads(&shares.shares, field);
        let least = after.values().min().copied().unwrap_or_default();
        for (item, share) in items.iter().zip(&shares.shares) {
            if !item.holder.is_some_and(|node| field.contains(node)) {
                prop_assert!(share.is_some_and(|node| after[&node] <= least + 1));
            }
        }
    }

    /// Claims and moves are not carried out at one blow: what is left to do is still the same.
    #[test]
    fn moves_under_way_do_not_change_where_the_rest_goes(
        (items, _) in any_held(1..=12),
        done in proptest::collection::vec(any::<bool>(), 120),
        takers in any::<u16>(),
        everyone in any::<bool>(),
    ) {
        let takers = if everyone {
            NodeSet::ALL
        } else {
            (0..16).filter(|node| takers & (1 << node) != 0).map(NodeId).collect()
        };
        let target = spread(SEED, &items, takers);
        let mut half = items.clone();
        for ((item, share), done) in half.iter_mut().zip(&target.shares).zip(done) {
            if done {
                item.holder = *share;
            }
        }
        let again = spread(SEED, &half, takers);
        for ((item, again), target) in half.iter().zip(&again.shares).zip(&target.shares) {
            // Levelling may begin once everything is claimed.
            let claimed = item.holder.is_some_and(|holder| item.can.contains(holder));
            let may_level = claimed && half.iter().all(|other| {
                other.holder.is_some_and(|holder| other.can.contains(holder))
            });
            prop_assert!(may_level || again == target);
        }
    }

    #[test]
    fn an_item_that_few_can_hold_is_with_them_and_the_pool_comes_to_rest(
        (mut items, _) in any_held(2..=8),
        cans in proptest::collection::vec(0u16..256, 120),
        pins in proptest::collection::vec(any::<bool>(), 120),
    ) {
        for ((item, can), pinned) in items.iter_mut().zip(cans).zip(pins) {
            item.can = (0..8).filter(|node| can & (1 << node) != 0).map(NodeId).collect();
            item.pinned = pinned;
        }
        let mut rounds = 0;
        loop {
            let shares = even(&items);
            for (item, share) in items.iter().zip(&shares.shares) {
                prop_assert_eq!(share.is_some(), !item.can.is_empty());
                prop_assert!(share.is_none_or(|node| item.can.contains(node)));
                if item.pinned && item.holder.is_some_and(|node| item.can.contains(node)) {
                    prop_assert_eq!(*share, item.holder);
                }
            }
            let next = held(&items, &shares);
            if next == items {
                break;
            }
            items = next;
            rounds += 1;
            prop_assert!(rounds < 40, "it never comes to rest");
        }
    }
}

#[test]
fn takers_alone_receive_what_others_hold() {
    let all = nodes(3);
    let (first, second, third) = (NodeId(0), NodeId(1), NodeId(2));
    let mut items = pool(12, all);
    for item in &mut items {
        item.holder = Some(first);
    }
    let shares = spread(SEED, &items, NodeSet::only(second));
    let now = loads(&shares.shares, all);
    assert_eq!((now[&first], now[&second], now[&third]), (6, 6, 0));
    assert_eq!(shares.lacking, NodeSet::only(third), "it would make it more even");
    // What nobody holds goes to the emptiest, taker or not.
    items[0].holder = None;
    let shares = spread(SEED, &items, NodeSet::EMPTY);
    assert!(shares.shares[0].is_some_and(|node| node != first));
}

#[test]
fn keys_and_weights_are_well_mixed() {
    // Without anything to balance, each of 8 nodes weighs most for about an eighth of 8000.
    let field = nodes(8);
    let mut firsts: BTreeMap<NodeId, usize> = BTreeMap::new();
    for item in pool(8000, field) {
        let winner = even(&[item]).shares[0].unwrap();
        *firsts.entry(winner).or_default() += 1;
    }
    // One item alone goes where the tie falls, so the pool's seed decides.
    assert_eq!(firsts.len(), 1);
    let winners: std::collections::BTreeSet<_> =
        (0..64).filter_map(|seed| spread(seed, &pool(1, field), NodeSet::ALL).shares[0]).collect();
    assert!(winners.len() >= 6, "pools of one address crowd on {winners:?}");
    // Two pools do not put the same neighbours together: a node's items scatter when it is lost.
    let before = held(&pool(8000, field), &even(&pool(8000, field)));
    let left = field.without(NodeSet::only(NodeId(3)));
    let heirs = loads(&even(&with_nodes(&before, left)).shares, left);
    assert!(heirs.values().all(|load| (1142..=1143).contains(load)), "{heirs:?}");
}

#[test]
fn an_address_has_the_same_key_whoever_computes_it() {
    let keys: Vec<u64> = ["10.0.0.1", "10.0.0.2", "::ffff:10.0.0.1", "fd00::1"]
        .map(|address| address_key(address.parse().unwrap()))
        .to_vec();
    assert_eq!(keys[0], keys[2], "an IPv4 address is its mapped form");
    assert_eq!(keys.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[test]
fn no_items_and_no_nodes() {
    assert_eq!(even(&[]), Spread { shares: vec![], lacking: NodeSet::EMPTY });
    let nowhere = Item { key: 1, can: NodeSet::EMPTY, holder: Some(NodeId(0)), pinned: true };
    assert_eq!(even(&[nowhere]).shares, [None]);
}
