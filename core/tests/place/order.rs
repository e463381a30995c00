//! Who should hold a group with a preference order: the whole table, as data and in words.

use crate::world::*;
use Seen::*;
use standin_core::config::Failback;
use standin_core::place::{
    Course, Decision, Group, Holding, NodeId, NodeSet, Reason, address_key, decide_group,
};

const NOBODY: [NodeId; 0] = [];

/// Decides and compares with who should hold it, how, and the sentence.
fn expect(world: &World, holder: Option<NodeId>, course: Course, sentence: &str) -> Decision {
    let decision = world.decide();
    let said = decision.reason.sentence(&NAMES[..]).to_string();
    assert_eq!((decision.holder, decision.course, said.as_str()), (holder, course, sentence));
    decision
}

#[test]
fn a_group_that_nobody_holds_goes_to_the_first_that_can() {
    let table: &[(&[Seen], Option<NodeId>, &str)] = &[
        (&[Well, Well, Well], Some(PINKY), "nobody holds it; pinky is home"),
        (
            &[Dead, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky is dead; brain is next in its order",
        ),
        (
            &[Drained, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky is drained; brain is next in its order",
        ),
        (
            &[Leaving, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky is stopping; brain is next in its order",
        ),
        (
            &[Isolated, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky is cut off; brain is next in its order",
        ),
        (
            &[NotHeard, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky has not been heard yet; brain is next in its order",
        ),
        (
            &[DaemonGone, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky's daemon is gone though its host answers; brain is next in its order",
        ),
        (
            &[New, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky is new and still listens to its peers; brain is next in its order",
        ),
        (
            &[LinkDown, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky's link is down; brain is next in its order",
        ),
        (
            &[Fails, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky fails its check; brain is next in its order",
        ),
        (
            &[Unchecked, Well, Well],
            Some(BRAIN),
            "nobody holds it; pinky's check has not said anything yet; brain is next in its order",
        ),
        (
            &[Dead, Fails, Well, Well],
            Some(SNOWBALL),
            "nobody holds it; pinky is dead; snowball is the next node that can hold it",
        ),
        (
            &[Unchecked, Unchecked, Dead],
            Some(PINKY),
            "nobody holds it and no check has said anything yet; pinky tries",
        ),
        (&[Fails, Fails, Fails], None, "nobody can hold it; pinky fails its check"),
        (&[Dead, Drained, New], None, "nobody can hold it; pinky is dead"),
        (&[], None, "nobody can hold it; pinky has not been heard yet"),
    ];
    for (seen, holder, sentence) in table {
        let world = World::new(&[PINKY, BRAIN], seen, &NOBODY);
        let course = if holder.is_some() { Course::Claim } else { Course::Keep };
        let decision = expect(&world, *holder, course, sentence);
        assert_eq!((decision.present, decision.again_in), (None, None));
    }
}

#[test]
fn a_fit_holder_keeps_it_unless_another_is_preferred() {
    let table: &[(&[Seen], NodeId, NodeId, &str)] = &[
        (&[Well, Well, Well], PINKY, PINKY, "pinky is home"),
        (&[Dead, Well, Well], BRAIN, BRAIN, "pinky is dead; brain is next in its order"),
        (&[Well, Well, Well], BRAIN, PINKY, "pinky is home and has been back for 12 s"),
        (&[WellSinceEver, Well, Well], BRAIN, PINKY, "pinky is home"),
        (
            &[Dead, Well, Well],
            SNOWBALL,
            BRAIN,
            "brain is next in its order and has been back for 12 s",
        ),
        // Nodes that the order does not name are equals.
        (
            &[Dead, Dead, Well, Well],
            LARRY,
            LARRY,
            "pinky is dead; larry holds it and no other is preferred",
        ),
        // A daemon that restarted and still has it: its home or not, nothing moves for that.
        (&[Restarted, Well, Well], PINKY, PINKY, "pinky is home"),
        (&[Dead, Restarted, Well], BRAIN, BRAIN, "pinky is dead; brain is next in its order"),
        // Whoever is no candidate is not preferred.
        (
            &[New, Well],
            BRAIN,
            BRAIN,
            "pinky is new and still listens to its peers; brain is next in its order",
        ),
        (
            &[Unchecked, Well],
            BRAIN,
            BRAIN,
            "pinky's check has not said anything yet; brain is next in its order",
        ),
    ];
    for (seen, present, holder, sentence) in table {
        let world = World::new(&[PINKY, BRAIN], seen, &[*present]);
        let course = if holder == present { Course::Keep } else { Course::Move };
        let decision = expect(&world, Some(*holder), course, sentence);
        assert_eq!(decision.present, Some(*present));
        assert_eq!(decision.again_in, None);
    }
    let world = World::new(&[], &[Well, Well], &[BRAIN]);
    expect(&world, Some(BRAIN), Course::Keep, "brain holds it and no node is preferred");
}

#[test]
fn failback_is_at_once_after_a_delay_or_never() {
    let delay = Failback::After(secs(30));
    let stays = "pinky holds it and failback is no, though brain is home";
    let table = [
        (WellFor(12), Failback::Yes, BRAIN, "brain is home and has been back for 12 s", None),
        (WellFor(0), Failback::Yes, BRAIN, "brain is home", None),
        (WellFor(900), Failback::No, PINKY, stays, None),
        (
            WellFor(12),
            delay,
            PINKY,
            "brain is home; pinky keeps it until brain has been back for 18 s more",
            Some(18),
        ),
        (
            WellSinceEver,
            delay,
            PINKY,
            "brain is home; pinky keeps it until brain has been back for 30 s more",
            Some(30),
        ),
        (WellFor(30), delay, BRAIN, "brain is home and has been back for 30 s", None),
        (WellFor(31), delay, BRAIN, "brain is home and has been back for 31 s", None),
    ];
    for (brain, failback, holder, sentence, again_in) in table {
        let world = World::new(&[BRAIN, PINKY], &[Well, brain], &[PINKY]).failback(failback);
        let course = if holder == PINKY { Course::Keep } else { Course::Move };
        let decision = expect(&world, Some(holder), course, sentence);
        assert_eq!(decision.again_in, again_in.map(secs));
    }
}

#[test]
fn an_unfit_holder_gives_it_to_a_candidate_whatever_failback_says_and_else_keeps_it() {
    let table = [
        (Drained, "pinky is drained", true),
        (Leaving, "pinky is stopping", true),
        (LinkDown, "pinky's link is down", true),
        (Refused, "pinky's kernel refuses the address", true),
        (Fails, "pinky fails its check", true),
        (Isolated, "pinky is cut off", false),
    ];
    for failback in [Failback::Yes, Failback::No, Failback::After(secs(30))] {
        for (pinky, words, keeps) in table {
            let with =
                |brain| World::new(&[PINKY, BRAIN], &[pinky, brain], &[PINKY]).failback(failback);
            let moves = format!("{words}; brain is next in its order");
            expect(&with(WellFor(0)), Some(BRAIN), Course::Move, &moves);
            // Never to a node that is no candidate, nor to one whose check has not spoken.
            for brain in
                [Drained, Leaving, LinkDown, Refused, Dead, NotHeard, DaemonGone, New, Unchecked]
            {
                let (holder, course, sentence) = if keeps {
                    let sentence = format!("{words} but nobody else can hold it; pinky keeps it");
                    (Some(PINKY), Course::Keep, sentence)
                } else {
                    (None, Course::GiveUp, String::from("pinky is cut off and gives it up"))
                };
                if pinky == Fails && matches!(brain, Dead | NotHeard | DaemonGone) {
                    // Of those that are heard, none passes.
                    expect(&with(brain), holder, course, "nobody passes its check; pinky keeps it");
                } else {
                    expect(&with(brain), holder, course, &sentence);
                }
            }
        }
        let world = World::new(&[PINKY], &[Fails, Fails], &[PINKY]).failback(failback);
        expect(&world, Some(PINKY), Course::Keep, "nobody passes its check; pinky keeps it");
    }
}

#[test]
fn a_holder_that_is_not_heard_is_robbed_only_once_nobody_answers() {
    let table = [
        (DaemonGone, "pinky's daemon is gone though its host answers"),
        (OtherFile, "pinky has another file"),
        (OutOfReach, "pinky is out of reach: the link to it is down"),
        (NotHeard, "pinky has not been heard yet"),
    ];
    for (pinky, words) in table {
        let world = World::new(&[PINKY, BRAIN], &[pinky, Well, Well], &[PINKY]);
        let sentence = format!("{words}; brain takes over as soon as nobody answers");
        let decision = expect(&world, Some(BRAIN), Course::ClaimWhenSilent, &sentence);
        assert_eq!(decision.present, Some(PINKY));
        let world = World::new(&[PINKY, BRAIN], &[pinky, Fails, Drained], &[PINKY]);
        let sentence = format!("{words} and nobody else can hold it");
        expect(&world, Some(PINKY), Course::Keep, &sentence);
        let world = World::new(&[PINKY, BRAIN], &[pinky, Unchecked], &[PINKY]);
        assert_eq!(world.decide().course, Course::ClaimWhenSilent);
    }
    // What a silent daemon once said does not make two of one holder that is heard.
    let world = World::new(&[PINKY, BRAIN], &[DaemonGone, Well], &[PINKY, BRAIN]);
    let sentence = "pinky's daemon is gone though its host answers; brain is next in its order";
    expect(&world, Some(BRAIN), Course::Keep, sentence);
    let world = World::new(&[], &[DaemonGone, NotHeard, Well], &[PINKY, BRAIN]);
    assert_eq!(world.decide().course, Course::ClaimWhenSilent);
}

#[test]
fn a_dead_holder_holds_nothing() {
    let world = World::new(&[PINKY, BRAIN], &[Dead, Well], &[PINKY]);
    let decision =
        expect(&world, Some(BRAIN), Course::Claim, "pinky is dead; brain is next in its order");
    assert_eq!(decision.present, None);
    let world = World::new(&[PINKY, BRAIN], &[Well, Dead], &[BRAIN]);
    expect(&world, Some(PINKY), Course::Claim, "brain is dead; pinky is home");
    let world = World::new(&[PINKY], &[Dead, Fails], &[PINKY]);
    expect(&world, None, Course::Keep, "nobody can hold it; pinky is dead");
    let world = World::new(&[PINKY, BRAIN], &[Well, Dead], &[PINKY, BRAIN]);
    expect(&world, Some(PINKY), Course::Keep, "pinky is home");
}

#[test]
fn of_two_holders_the_fit_one_keeps_it_then_the_preferred_then_the_lower() {
    let pinky = "pinky and brain both hold it; brain withdraws first";
    let brain = "pinky and brain both hold it; pinky withdraws first";
    let same = |words: &str| words.replace("pinky and brain", "brain and pinky");
    let table = [
        (vec![PINKY, BRAIN], Well, Well, PINKY, String::from(pinky)),
        (vec![BRAIN, PINKY], Well, Well, BRAIN, same(brain)),
        (vec![], Well, Well, PINKY, String::from(pinky)),
        (vec![PINKY, BRAIN], Fails, Well, BRAIN, same(brain)),
        (vec![PINKY, BRAIN], Drained, Well, BRAIN, same(brain)),
        (vec![PINKY, BRAIN], Restarted, Well, BRAIN, same(brain)),
        // Neither is a candidate, but a new one may keep what it has.
        (vec![PINKY, BRAIN], Fails, Restarted, BRAIN, same(brain)),
        (vec![BRAIN, PINKY], Fails, Fails, BRAIN, same(brain)),
    ];
    for (order, first, second, winner, sentence) in table {
        let world = World::new(&order, &[first, second, Well], &[PINKY, BRAIN]);
        let decision = expect(&world, Some(winner), Course::Resolve, &sentence);
        assert_eq!(decision.present, Some(winner));
        let world = world.failback(Failback::No);
        assert_eq!(world.decide().course, Course::Resolve);
    }
    let world = World::new(&[PINKY], &[Well, Well, Well], &[PINKY, BRAIN, SNOWBALL]);
    let sentence = "3 nodes hold it; all but pinky withdraw first";
    expect(&world, Some(PINKY), Course::Resolve, sentence);
}

#[test]
fn a_giver_that_yields_is_the_holder_until_its_receiver_is() {
    let order = [BRAIN, PINKY];
    let world = World::new(&order, &[Well, Well], &NOBODY).yielding(PINKY);
    let decision = world.decide();
    assert_eq!((decision.present, decision.course), (Some(PINKY), Course::Move));
    // The receiver has it too: no duplicate, and no way back.
    let world = World::new(&order, &[Well, Well], &[BRAIN]).yielding(PINKY);
    expect(&world, Some(BRAIN), Course::Keep, "brain is home");
    // The receiver fell out before it had it: the giver keeps it after all.
    let world = World::new(&order, &[Well, Dead], &NOBODY).yielding(PINKY);
    let words = "brain is dead; pinky is next in its order";
    let decision = expect(&world, Some(PINKY), Course::Keep, words);
    assert_eq!(decision.present, Some(PINKY));
    // Its daemon fell out when it had it: its address may still answer.
    let world = World::new(&order, &[Well, DaemonGone], &[BRAIN]).yielding(PINKY);
    let words = "brain's daemon is gone though its host answers; pinky takes over as soon as nobody answers";
    expect(&world, Some(PINKY), Course::ClaimWhenSilent, words);
    let world = World::new(&order, &[Well, Well], &NOBODY).yielding(PINKY).yielding(BRAIN);
    assert_eq!(world.decide().course, Course::Resolve);
}

#[test]
fn the_operators_placement_holds_until_its_node_cannot() {
    let words = "the operator placed it on brain";
    let world = |seen: &[Seen], present| World::new(&[PINKY], seen, &[present]).placed(BRAIN);
    for failback in [Failback::Yes, Failback::No, Failback::After(secs(30))] {
        let all_well = world(&[Well, WellFor(0), Well], PINKY).failback(failback);
        assert!(!expect(&all_well, Some(BRAIN), Course::Move, words).lapsed);
        let there = world(&[Well, Well, Well], BRAIN).failback(failback);
        assert!(!expect(&there, Some(BRAIN), Course::Keep, words).lapsed);
    }
    for brain in [Dead, Drained, Leaving, Isolated, LinkDown, Refused, Fails] {
        for present in [PINKY, BRAIN] {
            let decision = world(&[Well, brain, Well], present).decide();
            assert_eq!((decision.holder, decision.lapsed), (Some(PINKY), true), "{brain:?}");
        }
    }
    // A daemon that restarts is waited for, unless somebody else had to take over.
    for (brain, lapsed) in [(New, false), (Restarted, false), (NotHeard, false), (DaemonGone, true)]
    {
        let decision = world(&[Well, brain, Well], PINKY).decide();
        assert_eq!((decision.holder, decision.lapsed), (Some(PINKY), lapsed), "{brain:?}");
        assert!(!world(&[Well, brain, Well], BRAIN).decide().lapsed, "{brain:?}");
    }
    let unheld = World::new(&[PINKY], &[Well, Well], &NOBODY).placed(BRAIN);
    expect(&unheld, Some(BRAIN), Course::Claim, "nobody holds it; the operator placed it on brain");
    let twice = World::new(&[PINKY], &[Well, Well], &[PINKY, BRAIN]).placed(BRAIN);
    assert_eq!(twice.decide().holder, Some(BRAIN));
}

#[test]
fn only_members_hold_it() {
    let mut world = World::new(&[PINKY, BRAIN], &[Well, Well, Well], &NOBODY);
    world.rules.members = [BRAIN, SNOWBALL].into_iter().collect();
    let words = "nobody holds it; pinky is not one of its nodes; brain is next in its order";
    expect(&world, Some(BRAIN), Course::Claim, words);
    world.standings[0].holding = Holding::Yes;
    let words = "pinky is not one of its nodes; brain is next in its order";
    expect(&world, Some(BRAIN), Course::Move, words);
    world.rules.members = NodeSet::EMPTY;
    let words = "pinky is not one of its nodes but nobody else can hold it; pinky keeps it";
    expect(&world, Some(PINKY), Course::Keep, words);
}

#[test]
fn a_name_that_is_missing_and_a_word_for_machines() {
    let reason = Reason::CutOff { holder: NodeId(9) };
    let said = reason.sentence(&NAMES[..]).to_string();
    assert_eq!(said, "an unknown node is cut off and gives it up");
    assert_eq!(reason.name(), "cut-off");
}

#[test]
fn what_many_lost_nodes_leave_behind_is_shared_by_those_that_are_left() {
    let nodes = vec![well(); 8];
    let standings = vec![fit(Holding::No); 8];
    let rules = World::new(&[NodeId(60)], &[], &[]).rules;
    let mut load = [0_usize; 8];
    for number in 0..800_u32 {
        let key = address_key(std::net::Ipv4Addr::from(0x0a00_0000 + number).into());
        let group = Group { key, rules: &rules, standings: &standings, placed: None };
        load[decide_group(&nodes, &group).holder.unwrap().index()] += 1;
    }
    assert!(load.iter().all(|held| (60..140).contains(held)), "{load:?}");
}
