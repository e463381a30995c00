//! What a frame of another host means to a VIP, state by state.

use std::time::Duration;

use standin_core::config::{Failback, Home, OnAnswer};
use standin_core::decide::{Cause, Reason};
use standin_core::neighbour::Heard;
use standin_core::vip::{Meaning, Place, Vip};
use standin_core::wire::mac::Mac;

use crate::support::{
    AT_BRAIN, BRAIN, HIGHER, LARRY, LOWER, OTHER, OURS, Stage, WINDOW, adds, announces, asks,
    asserts, is_probe, is_question, just_under, ms, probes, removes, vouches_for,
};

/// No two announcements in defence come closer than this.
const DEFEND_INTERVAL: Duration = ms(10_000);
const NANO: Duration = Duration::from_nanos(1);

fn conflicts(stage: &Stage) -> usize {
    stage.said().into_iter().filter(|name| *name == "conflict").count()
}

/// One that lets go of the address because its home is back, and is asking who has it now.
fn let_go() -> Stage {
    let mut stage = Stage::held(AT_BRAIN);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    stage.removed();
    assert_eq!((stage.vip.place(), stage.did(is_probe)), (Place::Away, true));
    stage.done.clear();
    stage
}

/// One that was told to add the address and has not heard of it.
fn adding(home: Home) -> Stage {
    let mut stage = Stage::asking(home);
    stage.run(WINDOW);
    assert_eq!(stage.vip.place(), Place::Adding);
    stage.done.clear();
    stage
}

/// Whoever wants to send something to an address asks for it, its home as well.
#[test]
fn an_ordinary_question_means_nothing() {
    for home in [Home::Here, AT_BRAIN, Home::Cluster] {
        for by in [BRAIN, LARRY, LOWER, HIGHER] {
            let stages =
                [Stage::new(home), Stage::asking(home), adding(home), Stage::held(home), let_go()];
            for mut stage in stages {
                let place = stage.vip.place();
                assert_eq!(stage.hear(asks(by)), Meaning::None, "{place:?}, {by}");
                assert_eq!((stage.vip.place(), stage.done.len()), (place, 0), "{place:?}, {by}");
            }
        }
    }
}

#[test]
fn a_probe_for_another_address_means_nothing() {
    let elsewhere = Heard { mac: BRAIN, asserts: None, asks: Some(OTHER) };
    let stages = [Stage::new(AT_BRAIN), Stage::asking(AT_BRAIN), Stage::held(AT_BRAIN), let_go()];
    for mut stage in stages {
        let place = stage.vip.place();
        assert_eq!(stage.hear(elsewhere), Meaning::None, "{place:?}");
        assert_eq!((stage.vip.place(), stage.done.len()), (place, 0));
    }
}

/// A host that starts asks for its own address: it lives, wherever the address is.
#[test]
fn a_probe_of_the_home_is_its_claim_in_every_state() {
    let stages = [
        Stage::new(AT_BRAIN),
        Stage::asking(AT_BRAIN),
        adding(AT_BRAIN),
        Stage::held(AT_BRAIN),
        let_go(),
    ];
    for mut stage in stages {
        let place = stage.vip.place();
        assert_eq!(stage.hear(probes(BRAIN)), Meaning::HomeClaims, "{place:?}");
        assert!(!stage.did(vouches_for(BRAIN)), "it has not got it yet");
    }
}

#[test]
fn what_is_away_takes_no_notice_of_others() {
    let mut stage = Stage::new(AT_BRAIN);
    for heard in [probes(LARRY), probes(LOWER), asserts(LARRY), asserts(BRAIN)] {
        assert_eq!(stage.hear(heard), Meaning::None, "{heard:?}");
    }
    assert_eq!((stage.vip.place(), stage.done.len()), (Place::Away, 0));
}

/// Of two that would stand in the lower address goes first.
#[test]
fn a_lower_rival_is_waited_for_and_a_higher_one_is_not() {
    for home in [AT_BRAIN, Home::Cluster] {
        let mut stage = Stage::asking(home);
        stage.hear(probes(HIGHER));
        assert_eq!(stage.vip.place(), Place::Asking);
        stage.hear(probes(LOWER));
        assert_eq!(stage.vip.place(), Place::Waiting(LOWER));
        // It has asked, and says nothing of having it: two nodes that start do that.
        assert!(!stage.said().contains(&"still-answered"), "{:?}", stage.said());
        stage.run(ms(3000));
        let told = stage.said();
        assert!(stage.did(adds) && !told.contains(&"answers-stopped"), "{told:?}");
        // One that is there is another matter.
        let mut stage = Stage::asking(home);
        stage.hear(probes(LOWER));
        stage.hear(asserts(LOWER));
        stage.run(ms(3000));
        let told = stage.said();
        let count = |wanted| told.iter().filter(|name| **name == wanted).count();
        assert_eq!((count("still-answered"), count("answers-stopped")), (1, 1), "{told:?}");
    }
}

/// Who answered for it and asks for it now has let go; anybody else is only curious.
#[test]
fn an_own_address_is_taken_at_the_word_of_the_one_who_answered() {
    let mut stage = Stage::asking(Home::Here);
    stage.hear(probes(LARRY));
    assert_eq!((stage.vip.place(), stage.did(adds)), (Place::Asking, false));
    stage.hear(asserts(LARRY));
    assert_eq!(stage.vip.place(), Place::Waiting(LARRY));
    stage.hear(probes(LOWER));
    assert_eq!(stage.vip.place(), Place::Waiting(LARRY));
    stage.hear(probes(LARRY));
    assert_eq!((stage.vip.place(), stage.did(adds)), (Place::Adding, true));
}

#[test]
fn an_own_address_that_nobody_wants_yet_is_not_taken_at_a_word() {
    let mut stage = Stage::new(Home::Here);
    stage.act(|vip, around| vip.anticipate(around, true));
    stage.hear(asserts(LARRY));
    stage.hear(probes(LARRY));
    assert!(!stage.did(adds) && matches!(stage.vip.place(), Place::Waiting(_)));
}

#[test]
fn a_probe_of_the_home_is_heeded_as_it_is_wished() {
    for failback in [Failback::Yes, Failback::No, Failback::After(ms(1000))] {
        let mut stage = Stage::held_with(AT_BRAIN, |settings| settings.failback = failback);
        assert_eq!(stage.hear(probes(BRAIN)), Meaning::HomeClaims, "a sign of life");
        assert_eq!(stage.did(removes), failback == Failback::Yes, "{failback:?}");
    }
}

/// A watched host that asks is told, but not more than once a second; a stranger is not.
#[test]
fn a_probe_of_a_watched_host_is_a_reason_to_say_where_it_is() {
    for (by, told) in [(LARRY, true), (LOWER, false), (HIGHER, false)] {
        let mut stage = Stage::held(AT_BRAIN);
        assert_eq!(stage.hear(probes(by)), Meaning::None);
        assert_eq!(stage.did(announces), told, "{by}");
        assert_eq!(stage.vip.place(), Place::Held);
        stage.run_confirming(just_under(ms(1000)));
        stage.done.clear();
        stage.hear(probes(by));
        assert!(!stage.did(announces), "just said");
        stage.run_confirming(NANO);
        stage.hear(probes(by));
        assert_eq!(stage.did(announces), told, "{by}: a second ago");
    }
}

/// Who claims the address and then asks for it: one that stands in too, and goes first, or one that
/// has let go.
#[test]
fn of_two_that_stand_in_the_one_with_the_higher_address_lets_go() {
    for (home, by, goes) in [
        (AT_BRAIN, LOWER, true),
        (AT_BRAIN, HIGHER, false),
        // One's own address is not given to whoever stands in for it.
        (Home::Here, LOWER, false),
        (Home::Cluster, LOWER, false),
    ] {
        let mut stage = Stage::held(home);
        stage.hear(asserts(by));
        assert!(stage.vip.is_contested());
        stage.run_confirming(ms(20));
        stage.done.clear();
        stage.hear(probes(by));
        assert_eq!(stage.vip.place(), if goes { Place::Removing } else { Place::Held }, "{by}");
        assert!(!stage.vip.is_contested());
        assert_eq!(stage.did(announces), !goes, "{home:?}, {by}: it has let go");
    }
}

#[test]
fn a_rivals_question_is_no_matter_between_this_host_and_a_third() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.hear(asserts(HIGHER));
    stage.done.clear();
    stage.hear(probes(LOWER));
    assert_eq!((stage.vip.place(), stage.vip.is_contested()), (Place::Held, true));
    assert!(!stage.did(announces));
}

/// The home's own word on a contested address that it did not contest.
#[test]
fn a_home_that_may_not_have_it_back_goes_first_in_no_contest() {
    let stage = Stage::with(AT_BRAIN, |settings| settings.failback = Failback::No);
    let mut stage = stage.held_for(Some(Cause::ServiceDown));
    stage.hear(asserts(BRAIN));
    assert!(!stage.vip.is_contested(), "its defence is known");
    assert_eq!(stage.hear(probes(BRAIN)), Meaning::HomeClaims);
    assert_eq!(stage.vip.place(), Place::Held);
}

#[test]
fn a_defence_is_followed_by_a_question_only_where_two_may_stand_in() {
    let contended = Stage::new(AT_BRAIN).held_for(Some(Cause::ServiceDown));
    for (mut stage, asked) in [
        (Stage::held(AT_BRAIN), true),
        (contended, false),
        (Stage::held(Home::Here), false),
        (Stage::held(Home::Cluster), false),
    ] {
        stage.hear(asserts(HIGHER));
        assert!(stage.did(announces), "{:?}", stage.vip.home());
        assert_eq!(stage.did(is_probe), asked, "{:?}", stage.vip.home());
    }
}

/// However many claim it: one defence in ten seconds, and each of them is named once.
#[test]
fn another_rival_is_named_but_not_answered_in_haste() {
    let mut stage = Stage::held(AT_BRAIN);
    let start = stage.now;
    stage.hear(asserts(HIGHER));
    stage.run_confirming(ms(100));
    for by in [LOWER, HIGHER, LOWER] {
        stage.hear(asserts(by));
        stage.run_confirming(ms(100));
    }
    assert_eq!(conflicts(&stage), 4);
    assert_eq!(stage.times(start, announces), [Duration::ZERO]);
    // The same one again and again is no news, however long ago the defence was.
    let last = conflicts(&stage);
    for _ in 0..30 {
        stage.hear(asserts(LOWER));
        stage.run_confirming(ms(1000));
    }
    assert_eq!((conflicts(&stage), stage.times(start, announces).len()), (last, 1));
    // Another, when the time is over, is answered.
    stage.hear(asserts(HIGHER));
    assert_eq!(stage.times(start, announces).len(), 2);
}

/// Thousands of made-up link-layer addresses are not as many lines, hooks and events.
#[test]
fn a_flood_of_claimants_is_named_by_a_few_of_them() {
    let mut stage = Stage::held(AT_BRAIN);
    for number in 0..2000_u16 {
        let [high, low] = number.to_be_bytes();
        stage.hear(asserts(Mac([2, 9, 9, 9, high, low])));
        stage.run_confirming(ms(10));
    }
    // In twenty seconds: four at once, and after ten again.
    assert_eq!(conflicts(&stage), 8);
}

/// One who insists is waited for until he has been quiet for a while, not longer each time he
/// speaks.
#[test]
fn insistence_does_not_lengthen_the_pause() {
    let mut stage = Stage::held(AT_BRAIN);
    for _ in 0..20 {
        stage.hear(asserts(HIGHER));
        stage.run_confirming(ms(500));
    }
    stage.done.clear();
    stage.run_confirming(ms(29_499));
    assert!(!stage.did(announces) && stage.vip.is_contested());
    stage.run_confirming(ms(1));
    assert!(stage.did(announces) && !stage.vip.is_contested());
}

/// While it is not certain that the kernel has the address there is nothing to defend.
#[test]
fn an_uncertain_address_is_defended_when_it_is_certain() {
    for asked in [false, true] {
        let mut stage = Stage::held(AT_BRAIN);
        if asked {
            // The link was down: another may have it meanwhile.
            stage.act(Vip::handle_link);
        } else {
            stage.act(Vip::handle_lost);
        }
        stage.done.clear();
        stage.hear(asserts(HIGHER));
        assert_eq!((conflicts(&stage), stage.did(announces)), (1, false), "asked: {asked}");
        if asked {
            // Nobody else: it is confirmed anew, and then defended.
            stage.run(WINDOW);
            assert!(!stage.did(announces));
        }
        stage.added();
        assert_eq!((conflicts(&stage), stage.did(announces)), (2, true), "asked: {asked}");
        assert!(stage.did(is_probe));
        // Once.
        stage.done.clear();
        stage.act(Vip::handle_lost);
        stage.added();
        assert!(!stage.did(announces));
    }
}

#[test]
fn a_defence_waits_for_the_question_that_is_still_open() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.act(Vip::handle_link);
    stage.act(Vip::handle_lost);
    stage.hear(asserts(HIGHER));
    stage.done.clear();
    stage.added();
    assert!(!stage.did(announces), "another may have it");
}

#[test]
fn a_late_defence_keeps_the_distance_of_any_other() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.hear(asserts(HIGHER));
    assert!(stage.did(announces));
    stage.run_confirming(ms(9000));
    stage.act(Vip::handle_lost);
    stage.done.clear();
    stage.hear(asserts(LOWER));
    stage.added();
    assert!(!stage.did(announces), "defended {DEFEND_INTERVAL:?} ago at the least");
    stage.run_confirming(ms(1000));
    stage.act(Vip::handle_lost);
    stage.added();
    assert!(stage.did(announces));
}

/// After the release the neighbours are told on behalf of a home that may announce nothing.
#[test]
fn a_home_that_answers_after_the_release_is_vouched_for() {
    let mut stage = let_go();
    let by: Mac = LARRY;
    stage.hear(asserts(by));
    assert!(!stage.did(vouches_for(by)), "only for the home");
    stage.hear(asserts(BRAIN));
    assert!(stage.did(vouches_for(BRAIN)));
    stage.run(WINDOW * 2);
    assert!(!stage.said().contains(&"nobody-answers"));
    let mut stage = let_go();
    stage.run(WINDOW * 2);
    assert_eq!(stage.said(), ["nobody-answers"]);
    assert_ne!(OURS, BRAIN);
}

#[test]
fn who_has_it_too_and_says_nothing_is_asked() {
    for home in [AT_BRAIN, Home::Here, Home::Cluster] {
        let mut stage = Stage::held(home);
        let start = stage.now;
        stage.run_confirming(Duration::from_mins(1));
        let asked = stage.times(start, is_question);
        assert!((5..=6).contains(&asked.len()), "{home:?}: {asked:?}");
        stage.done.clear();
        while !stage.did(is_question) {
            stage.run_confirming(ms(100));
        }
        assert_eq!(stage.hear(asserts(HIGHER)), Meaning::None, "{home:?}");
        assert_eq!(stage.said(), ["conflict"], "{home:?}");
        // Nothing is asked of one who is known to have it.
        stage.done.clear();
        stage.run_confirming(ms(29_000));
        assert!(!stage.did(is_question), "{home:?}");
    }
}

#[test]
fn nobody_is_asked_whose_answer_would_be_no_news() {
    let crowded = |mut stage: Stage| {
        stage.vip = stage.vip.among(0, 65);
        stage
    };
    for mut stage in [
        crowded(Stage::new(Home::Cluster)).held_for(None),
        Stage::held_with(Home::Cluster, |vip| vip.on_answer = OnAnswer::Takeover),
        Stage::new(AT_BRAIN).held_for(Some(Cause::ServiceDown)),
    ] {
        stage.run_confirming(Duration::from_mins(1));
        assert!(!stage.did(is_question), "{:?}", stage.vip);
    }
}

#[test]
fn a_home_that_answers_our_question_is_given_it_back_in_its_own_time() {
    for (failback, said) in [(Failback::Yes, &[][..]), (Failback::No, &["duplicate"])] {
        let mut stage = Stage::held_with(AT_BRAIN, |vip| vip.failback = failback);
        while !stage.did(is_question) {
            stage.run_confirming(ms(100));
        }
        stage.done.clear();
        assert_eq!(stage.hear(asserts(BRAIN)), Meaning::None);
        assert_eq!((stage.vip.place(), stage.said().as_slice()), (Place::Held, said));
        // Unasked it is its claim.
        stage.run_confirming(ms(1500));
        assert_eq!(stage.hear(asserts(BRAIN)), Meaning::HomeClaims);
    }
}

#[test]
fn a_fellow_whose_kernel_has_it_too_is_a_conflict_when_it_was_asked() {
    for (after, said) in [(ms(100), &["conflict"][..]), (ms(1500), &[])] {
        let mut stage = Stage::held(Home::Cluster);
        while !stage.did(is_question) {
            stage.run_confirming(ms(100));
        }
        stage.run_confirming(after);
        stage.done.clear();
        stage.act(|vip, around| vip.handle_fellow(around, LARRY));
        assert_eq!(stage.said(), said);
    }
}

/// The neighbours may have believed a fellow last that has given it up since.
#[test]
fn after_a_dispute_among_fellows_the_holder_announces_at_once() {
    for (by, told) in [(LARRY, true), (HIGHER, false)] {
        let mut stage = Stage::held(Home::Cluster);
        while !stage.did(is_question) {
            stage.run_confirming(ms(100));
        }
        if by == LARRY {
            stage.act(|vip, around| vip.handle_fellow(around, by));
        } else {
            stage.hear(asserts(by));
        }
        assert!(stage.vip.is_contested());
        stage.done.clear();
        stage.act(Vip::announce_again);
        // A stranger is waited for.
        assert_eq!(stage.did(announces), told);
        assert_eq!(stage.vip.is_contested(), !told);
    }
}
