//! What the word of the other nodes, who look at a holder from outside, does to a decision, and what a
//! kernel that refuses the address does.

use crate::world::{Seen::*, *};
use standin_core::config::Failback;
use standin_core::place::{Bar, Course, Decision, View, explain};

const ORDER: [standin_core::place::NodeId; 3] = [PINKY, BRAIN, SNOWBALL];

fn said(decision: &Decision) -> String {
    decision.reason.sentence(&NAMES[..]).to_string()
}

#[track_caller]
fn expect(world: &World, holder: standin_core::place::NodeId, course: Course, sentence: &str) {
    let decision = world.decide();
    assert_eq!((decision.holder, decision.course), (Some(holder), course), "{}", said(&decision));
    assert_eq!(said(&decision), sentence);
}

#[test]
fn a_holder_that_the_others_get_no_answer_of_gives_it_to_the_next() {
    let world = World::new(&ORDER, &[Unanswered, Well, Well], &[PINKY]);
    expect(
        &world,
        BRAIN,
        Course::Move,
        "pinky fails the check of the other nodes; brain is next in its order",
    );
}

#[test]
fn it_does_not_go_back_to_where_it_failed_whatever_fails_now() {
    let world = World::new(&ORDER, &[Unanswered, Well, Well], &[BRAIN]);
    expect(
        &world,
        BRAIN,
        Course::Keep,
        "pinky lately failed the check of the other nodes; brain is next in its order",
    );
    // It fails everywhere: it stays.
    let world = World::new(&ORDER, &[Unanswered, Unanswered, Unanswered], &[BRAIN]);
    expect(
        &world,
        BRAIN,
        Course::Keep,
        "brain fails the check of the other nodes but nobody else can hold it; brain keeps it",
    );
    let world = World::new(&ORDER, &[Well, Well, Unanswered], &[BRAIN]).failback(Failback::No);
    expect(&world, BRAIN, Course::Keep, "brain holds it and failback is no, though pinky is home");
}

#[test]
fn where_it_failed_is_better_than_nowhere() {
    let world = World::new(&ORDER, &[Unanswered, Drained, Dead], &[BRAIN]);
    expect(&world, PINKY, Course::Move, "brain is drained; pinky is home");
    let world = World::new(&ORDER, &[Unanswered, Dead, Dead], &[BRAIN]);
    expect(&world, PINKY, Course::Claim, "brain is dead; pinky is home");
    let world = World::new(&ORDER, &[Unanswered, Dead, Unchecked], &[BRAIN]);
    let decision = world.decide();
    assert_eq!(decision.holder, Some(SNOWBALL), "a node that was never tried comes first");
}

#[test]
fn the_operator_may_send_it_back_and_is_not_believed_twice() {
    let world = World::new(&ORDER, &[Well, Unanswered, Well], &[PINKY]).placed(BRAIN);
    expect(&world, BRAIN, Course::Move, "the operator placed it on brain");
    assert!(!world.decide().lapsed);
    let world = World::new(&ORDER, &[Well, Unanswered, Well], &[BRAIN]).placed(BRAIN);
    let decision = world.decide();
    assert_eq!((decision.holder, decision.lapsed), (Some(PINKY), true));
}

#[test]
fn it_is_explained() {
    let world = World::new(&ORDER, &[Unanswered, Well, Well], &[BRAIN]);
    let groups = [world.group()];
    let view = View { nodes: &world.nodes, groups: &groups };
    let explained = explain(&view, 0).unwrap();
    assert_eq!(explained.nodes[0].bars, [Bar::FailedOutside]);
    let changes: Vec<String> =
        explained.changes.iter().map(|change| change.sentence(&NAMES[..]).to_string()).collect();
    assert!(
        changes.contains(&"it goes to pinky once pinky's pause after that is over".to_string()),
        "{changes:?}"
    );
    assert_eq!(Bar::FailsOutside.name(), "fails-outside");
}

#[test]
fn a_node_whose_kernel_refuses_the_address_is_asked_again_only_where_there_is_nobody_else() {
    let world = World::new(&ORDER, &[Refused, Well, Well], &[]);
    expect(
        &world,
        BRAIN,
        Course::Claim,
        "nobody holds it; pinky's kernel refuses the address; brain is next in its order",
    );
    for others in [Dead, Drained, LinkDown, Fails] {
        let world = World::new(&ORDER, &[Refused, others, others], &[]);
        let decision = world.decide();
        assert_eq!((decision.holder, decision.course), (Some(PINKY), Course::Claim), "{others:?}");
        // But nobody gives it to one that cannot have it.
        let world = World::new(&ORDER, &[Refused, others, Fails], &[SNOWBALL]);
        assert_eq!(world.decide().holder, Some(SNOWBALL), "{others:?}");
    }
    let world = World::new(&ORDER, &[Refused, Unanswered, Dead], &[]);
    assert_eq!(world.decide().holder, Some(BRAIN), "where it can be, though nobody got an answer");
}
