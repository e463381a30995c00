//! Checks from outside: whose word counts, what is sent of it, and the pause that follows a move.

use std::time::Duration;

use proptest::prelude::*;
use standin_core::Instant;
use standin_core::cluster::outside::{
    ACCUSATION_LENGTH, Accusations, Doubt, FIRST_PAUSE, LONGEST_PAUSE, Presence, encode,
    is_majority, parse,
};
use standin_core::place::NodeId;

const HERE: Presence = Presence::Here { accused: false };
const ACCUSED: Presence = Presence::Here { accused: true };

fn at(secs: u64) -> Instant {
    Instant::from_nanos(secs * 1_000_000_000)
}

/// Follows one thing after another, a second apart from `from`, and says whether it is doubted.
fn follow(doubt: &mut Doubt, from: u64, all: &[Presence]) -> bool {
    for (second, presence) in (from..).zip(all) {
        doubt.follow(at(second), *presence);
    }
    doubt.is_doubted()
}

#[test]
fn more_than_half_of_those_who_can_judge_have_to_say_so() {
    for (accusers, judges, counts) in [
        (0, 0, false),
        (0, 1, false),
        (1, 1, true),
        (1, 2, false),
        (2, 2, true),
        (1, 3, false),
        (2, 3, true),
        (32, 63, true),
        (31, 63, false),
    ] {
        assert_eq!(is_majority(accusers, judges), counts, "{accusers} of {judges}");
    }
}

#[test]
fn a_holder_is_in_doubt_while_it_is_accused_and_no_longer() {
    let mut doubt = Doubt::default();
    assert!(!follow(&mut doubt, 0, &[Presence::Away, HERE]));
    assert!(follow(&mut doubt, 10, &[ACCUSED]));
    assert!(!follow(&mut doubt, 11, &[HERE]));
    // Nothing followed from it, so there is no pause.
    assert!(!follow(&mut doubt, 12, &[Presence::Away]));
    assert_eq!(doubt.timeout(), None);
}

#[test]
fn what_is_given_away_is_not_taken_back_before_the_pause_is_over() {
    let mut doubt = Doubt::default();
    // The others look at the new holder already while this one still serves the last packets.
    assert!(follow(&mut doubt, 0, &[ACCUSED, Presence::Leaving, Presence::Leaving]));
    assert!(follow(&mut doubt, 3, &[Presence::Away]));
    let end = at(3) + FIRST_PAUSE;
    assert_eq!(doubt.timeout(), Some(end));
    doubt.follow(end - Duration::from_nanos(1), Presence::Away);
    assert!(doubt.is_doubted());
    doubt.follow(end, Presence::Away);
    assert!(!doubt.is_doubted());
    assert_eq!(doubt.timeout(), None);
}

#[test]
fn a_holder_by_order_is_judged_by_what_is_so_now() {
    let mut doubt = Doubt::default();
    follow(&mut doubt, 0, &[ACCUSED, Presence::Away]);
    assert!(!follow(&mut doubt, 2, &[HERE]), "the pause is about being chosen");
    assert_eq!(doubt.timeout(), None);
    assert!(follow(&mut doubt, 3, &[ACCUSED]));
}

#[test]
fn the_pause_doubles_up_to_a_limit_and_a_sound_spell_ends_that() {
    let mut doubt = Doubt::default();
    let mut now = at(0);
    let mut pause = FIRST_PAUSE;
    for _ in 0..20 {
        doubt.follow(now, ACCUSED);
        doubt.follow(now, Presence::Away);
        assert_eq!(doubt.timeout(), Some(now + pause));
        now = now + pause;
        doubt.follow(now, Presence::Away);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    doubt.follow(now, HERE);
    now = now + LONGEST_PAUSE;
    doubt.follow(now, ACCUSED);
    doubt.follow(now, Presence::Away);
    assert_eq!(doubt.timeout(), Some(now + FIRST_PAUSE), "it was sound for as long as the pause");
}

#[test]
fn groups_in_a_row_cost_one_row() {
    let all: Accusations = (3..1000).map(|group| (group, NodeId(1))).collect();
    assert_eq!(encode(&all, 6), [0, 3, 0x03, 0xe5, 0, 1]);
    assert_eq!(encode(&all, 5), []);
    let two = Accusations::from([(0, NodeId(1)), (1, NodeId(2))]);
    assert_eq!(encode(&two, 100), [0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2]);
    assert_eq!(encode(&two, 11).len(), ACCUSATION_LENGTH, "what fits");
}

#[test]
fn rows_that_claim_too_much_are_cut() {
    let all = parse(&[0, 1, 0xff, 0xff, 0, 2], 3);
    assert_eq!(all, Accusations::from([(1, NodeId(2)), (2, NodeId(2))]));
    assert_eq!(parse(&[0xff, 0xff, 0xff, 0xff, 0, 2], 3), Accusations::new());
    assert_eq!(parse(&[0, 0, 0, 1, 0], 3), Accusations::new(), "cut short");
}

proptest! {
    #[test]
    fn accusations_come_back(rows in prop::collection::btree_map(0_u16..500, 0_u16..4, 0..200)) {
        let all: Accusations = rows.into_iter().map(|(group, node)| (group, NodeId(node))).collect();
        prop_assert_eq!(parse(&encode(&all, 1200), 500), all);
    }

    #[test]
    fn any_bytes_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..1200), groups in 0_usize..50) {
        prop_assert!(parse(&bytes, groups).keys().all(|group| usize::from(*group) < groups));
    }
}
