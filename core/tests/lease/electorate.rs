//! Two majorities share a voter.

use std::collections::BTreeMap;

use standin_core::Instant;
use standin_core::lease::electorate::{ChangeRefused, Electorate, Electorates, judge_change};
use standin_core::place::{NodeId, NodeSet};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn of(count: usize) -> Electorate {
    Electorate::new(NAMES[..count].iter().copied().zip((0..).map(|n| Some(NodeId(n)))))
}

fn subsets(of: NodeSet) -> impl Iterator<Item = NodeSet> {
    let nodes: Vec<NodeId> = of.iter().collect();
    (0..1_u32 << nodes.len()).map(move |bits| {
        let chosen = nodes.iter().enumerate().filter(move |(n, _)| bits & (1 << n) != 0);
        chosen.map(|(_, node)| *node).collect()
    })
}

#[test]
fn two_majorities_share_a_voter_also_across_a_change() {
    for size in 1..NAMES.len() {
        let (less, more) = (of(size), of(size + 1));
        for (old, new) in [(less, more), (more, less)] {
            let changing = Electorates { present: new, before: Some(old) };
            for ours in subsets(old.voters).filter(|yes| old.is_majority(*yes)) {
                let theirs = subsets(changing.voters()).filter(|yes| changing.is_majority(*yes));
                for theirs in theirs {
                    assert!(!ours.and(theirs).is_empty(), "{ours:?} {theirs:?}");
                }
                let settled = Electorates { present: new, before: None };
                for theirs in subsets(new.voters).filter(|yes| settled.is_majority(*yes)) {
                    assert!(!ours.and(theirs).is_empty(), "{ours:?} {theirs:?}");
                }
            }
        }
    }
}

#[test]
fn a_majority_of_grants_lasts_as_long_as_its_shortest() {
    let ends: BTreeMap<NodeId, u64> =
        [(NodeId(0), 10), (NodeId(1), 30), (NodeId(2), 20)].into_iter().collect();
    let end = |node: NodeId| ends.get(&node).copied().map(Instant::from_nanos);
    let until = |present, before| Electorates { present, before }.alive_until(end);
    assert_eq!(until(of(3), None), Some(Instant::from_nanos(20)));
    assert_eq!(until(of(4), None), Some(Instant::from_nanos(10)));
    assert_eq!(until(of(6), None), None, "three of six are no majority");
    assert_eq!(until(of(3), Some(of(4))), Some(Instant::from_nanos(10)), "both are needed");
    assert_eq!(until(of(5), Some(of(6))), None);
}

#[test]
fn a_voter_that_left_the_file_still_counts_in_the_size_of_the_one_before() {
    let before = Electorate::new([("a", Some(NodeId(0))), ("b", Some(NodeId(1))), ("gone", None)]);
    assert_eq!((before.size, before.majority()), (3, 2));
    assert!(!before.is_majority(NodeSet::only(NodeId(0))));
}

#[test]
fn the_tag_names_the_voters_in_any_order() {
    let one = Electorate::new([("a", Some(NodeId(0))), ("b", Some(NodeId(1)))]);
    let other = Electorate::new([("b", Some(NodeId(0))), ("a", Some(NodeId(1)))]);
    assert_eq!(one.tag, other.tag);
    assert_ne!(one.tag, of(3).tag);
    let changing = Electorates { present: of(3), before: Some(of(2)) };
    assert!(changing.knows([of(2).tag; 2]) && changing.knows([of(4).tag, of(3).tag]));
    assert!(!changing.knows([of(4).tag; 2]));
}

#[test]
fn voters_come_and_go_one_at_a_time() {
    assert_eq!(judge_change(&["a", "b"], &["b", "a"]), Ok(()));
    assert_eq!(judge_change(&["a", "b"], &["a", "b", "c"]), Ok(()));
    assert_eq!(judge_change(&["a", "b", "c"], &["a", "b"]), Ok(()));
    let refused = judge_change(&["a", "b", "c"], &["a", "b", "d"]).unwrap_err();
    assert_eq!(
        refused,
        ChangeRefused::TooMany { added: vec!["d".to_owned()], removed: vec!["c".to_owned()] }
    );
    let words = refused.to_string();
    assert!(words.contains("d comes") && words.contains("c goes"), "{words}");
}
