//! The state of a VIP as it is told to others, and the start of a run.

use std::time::Duration;

use standin_core::config::{ADDRESS_LIFETIME, Home, RENEW_INTERVAL};
use standin_core::decide::{Cause, Reason};
use standin_core::vip::{Place, Vip};
use standin_core::{Action, Instant};

use crate::support::{
    AT_BRAIN, HIGHER, Stage, WINDOW, adds, announces, asserts, is_probe, just_under, ms, removes,
};

/// What an earlier run left is renewed before its rest of life is over.
#[test]
fn an_adopted_address_is_renewed_at_once() {
    for home in [Home::Here, AT_BRAIN, Home::Cluster] {
        let mut stage = Stage::with(home, |settings| settings.adopted = true);
        let start = stage.now;
        assert_eq!(stage.vip.timeout(), Some(start));
        assert!(stage.vip.is_held(), "the kernel answers for it all along");
        stage.run(Duration::ZERO);
        assert_eq!(stage.times(start, adds), [Duration::ZERO]);
        assert!(!stage.did(announces), "unconfirmed");
        stage.added();
        assert_eq!(stage.vip.place(), Place::Held);
        assert!(stage.did(announces));
    }
}

#[test]
fn an_adopted_address_that_is_never_confirmed_is_added_again_and_never_announced() {
    let mut stage = Stage::with(AT_BRAIN, |settings| settings.adopted = true);
    let start = stage.now;
    stage.run(ms(1400));
    assert_eq!(stage.times(start, adds), [Duration::ZERO, ms(500), ms(1000)]);
    assert!(!stage.did(announces));
}

#[test]
fn an_address_is_being_removed_until_the_kernel_says_so() {
    let mut stage = Stage::held(AT_BRAIN);
    assert!(!stage.vip.is_removing());
    stage.act(|vip, around| vip.unwant(around, Reason::Stopping));
    assert!(stage.vip.is_removing() && stage.vip.is_on_host());
    let start = stage.now;
    stage.run(ms(100));
    stage.act(Vip::handle_timeout);
    stage.run(ms(900));
    let told = [Duration::ZERO, ms(500), ms(1000)];
    assert_eq!(stage.times(start, removes), told, "told again while it says nothing");
    stage.removed();
    assert!(!stage.vip.is_removing() && !stage.vip.is_on_host());
}

#[test]
fn it_is_known_since_when_it_is_where_it_is() {
    let mut stage = Stage::new(AT_BRAIN);
    let start = stage.now;
    assert_eq!(stage.vip.changed_at(), start);
    stage.now = start + ms(10);
    stage.want();
    assert_eq!(stage.vip.changed_at(), start + ms(10));
    stage.run(WINDOW);
    let claimed: Instant = stage.now;
    assert_eq!((stage.vip.place(), stage.vip.changed_at()), (Place::Adding, claimed));
    stage.added();
    stage.run_confirming(ms(5000));
    assert_eq!((stage.vip.place(), stage.vip.changed_at()), (Place::Held, claimed));
}

#[test]
fn contested_is_what_another_claims_until_it_has_been_quiet() {
    let mut stage = Stage::held(AT_BRAIN);
    assert!(!stage.vip.is_contested());
    stage.hear(asserts(HIGHER));
    assert!(stage.vip.is_contested());
    stage.run_confirming(ms(29_999));
    assert!(stage.vip.is_contested());
    stage.run_confirming(ms(1));
    assert!(!stage.vip.is_contested());
}

/// The question has three probes, and the last is given its time.
#[test]
fn nothing_is_added_before_the_whole_question_went_unanswered() {
    let mut stage = Stage::new(AT_BRAIN);
    let start = stage.now;
    stage.want();
    stage.run(just_under(WINDOW));
    assert_eq!(stage.times(start, is_probe), [Duration::ZERO, WINDOW / 3, WINDOW * 2 / 3]);
    assert!(!stage.did(adds));
    stage.run(Duration::from_nanos(1));
    let lifetime = |action: &Action| match action {
        Action::AddAddress { lifetime, .. } => Some(*lifetime),
        _ => None,
    };
    let added: Vec<_> = stage.done.iter().filter_map(|(_, action)| lifetime(action)).collect();
    assert_eq!(added, [ADDRESS_LIFETIME]);
}

/// A service that fails while its host answers cannot be asked away: whoever answers is who is meant.
#[test]
fn what_is_wanted_for_a_dead_service_waits_for_no_answer() {
    let service = Some(Cause::ServiceDown);
    let mut waiting = Stage::asking(AT_BRAIN);
    waiting.hear(asserts(HIGHER));
    assert_eq!(waiting.vip.place(), Place::Waiting(HIGHER));
    for mut stage in [Stage::new(AT_BRAIN), Stage::asking(AT_BRAIN), waiting] {
        stage.want_for(service);
        assert_eq!((stage.vip.place(), stage.did(adds)), (Place::Adding, true));
    }
}

/// Of a crowd each is told of in one frame at once, and in every form when its turn comes.
#[test]
fn one_of_a_crowd_is_announced_shortly_and_then_wholly() {
    let mut stage = Stage::new(AT_BRAIN);
    stage.vip = stage.vip.among(100, 1000);
    stage.want();
    stage.run(WINDOW);
    let start = stage.now;
    stage.added();
    stage.run(ms(20));
    let all = stage.done.iter().filter(|(_, action)| announces(action));
    let times: Vec<Duration> = all.map(|(at, _)| at.since(start)).collect();
    assert_eq!(times, [Duration::ZERO, ms(12), ms(12)]);
}

/// A thousand of a crowd are renewed together, the next some time before them, and none so soon that it
/// would be renewed twice as often.
#[test]
fn a_crowd_is_renewed_at_different_times() {
    let ahead = [(0, 0), (999, 0), (1000, 25), (9_999, 225), (20_000, 260), (60_000, 260)];
    for (position, ahead) in ahead {
        let mut stage = Stage::new(AT_BRAIN);
        stage.vip = stage.vip.among(position, 60_001);
        stage.want();
        stage.run(WINDOW);
        let start = stage.now;
        stage.added();
        stage.done.clear();
        stage.run(RENEW_INTERVAL);
        let first = stage.times(start, adds)[0];
        assert_eq!(first + ms(ahead), RENEW_INTERVAL, "{position}");
    }
}

/// A lease may end between one announcement and the next.
#[test]
fn nothing_is_announced_without_the_right_to_it() {
    for count in [1, 1000] {
        let mut stage = Stage::new(Home::Cluster);
        stage.vip = stage.vip.among(0, count);
        stage.want();
        stage.run(WINDOW);
        stage.vip.allow(false);
        stage.added();
        stage.run_confirming(ms(3000));
        stage.hear(asserts(HIGHER));
        assert!(!stage.did(announces), "{count}");
        stage.vip.allow(true);
        stage.run_confirming(ms(60_000));
        assert!(stage.did(announces), "{count}");
    }
}

/// What is asked ahead is asked on a link that carries, and only while it may be wanted soon.
#[test]
fn nothing_is_asked_ahead_on_a_link_that_is_down() {
    let mut stage = Stage::new(AT_BRAIN);
    stage.link.up = false;
    stage.act(|vip, around| vip.anticipate(around, true));
    stage.link.up = true;
    stage.act(|vip, around| vip.anticipate(around, false));
    assert_eq!((stage.vip.place(), stage.done.len()), (Place::Away, 0));
    stage.act(|vip, around| vip.anticipate(around, true));
    assert_eq!(stage.vip.place(), Place::Asking);
    stage.act(|vip, around| vip.anticipate(around, false));
    assert_eq!(stage.vip.place(), Place::Away);
}

/// A process that did not run for a lifetime cannot know what the kernel still has.
#[test]
fn an_addition_that_was_never_confirmed_lapses_with_its_lifetime() {
    for (stalled, lapses) in [(just_under(ADDRESS_LIFETIME), false), (ADDRESS_LIFETIME, true)] {
        let mut stage = Stage::asking(AT_BRAIN);
        stage.run(WINDOW);
        assert_eq!(stage.vip.place(), Place::Adding);
        stage.done.clear();
        stage.now = stage.now + stalled;
        stage.act(Vip::handle_timeout);
        assert_eq!((stage.did(removes), stage.did(adds)), (lapses, !lapses), "{stalled:?}");
        let place = if lapses { Place::Asking } else { Place::Adding };
        assert_eq!(stage.vip.place(), place);
    }
}

/// In a cluster it is no news that nobody has what was let go; its holder speaks for itself.
#[test]
fn what_a_node_of_a_cluster_lets_go_is_not_missed() {
    let mut stage = Stage::held(Home::Cluster);
    stage.act(|vip, around| vip.unwant(around, Reason::PlacedElsewhere));
    stage.removed();
    stage.done.clear();
    stage.run(WINDOW * 2);
    assert_eq!(stage.said(), [""; 0]);
}

#[test]
fn a_question_ends_when_nobody_wants_its_answer_nor_soon_will() {
    for (anticipated, reason, ends) in [
        (false, Reason::HomeAlive, true),
        (false, Reason::Stopping, true),
        (true, Reason::HomeAlive, false),
        (true, Reason::Stopping, true),
    ] {
        let mut waiting = Stage::asking(AT_BRAIN);
        waiting.hear(asserts(HIGHER));
        for mut stage in [Stage::asking(AT_BRAIN), waiting] {
            let before = stage.vip.place();
            stage.act(|vip, around| vip.anticipate(around, anticipated));
            stage.act(|vip, around| vip.unwant(around, reason));
            let expected = if ends { Place::Away } else { before };
            assert_eq!(stage.vip.place(), expected, "{anticipated}, {reason:?}");
        }
    }
}

#[test]
fn a_run_that_stops_waits_for_no_successor() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    stage.removed();
    assert!(stage.did(is_probe), "who has it now?");
    stage.done.clear();
    stage.act(|vip, around| vip.unwant(around, Reason::Stopping));
    stage.run(WINDOW * 2);
    assert_eq!((stage.vip.timeout(), stage.done.len()), (None, 0));
}

#[test]
fn a_vip_that_nobody_wants_does_nothing() {
    let mut stage = Stage::new(AT_BRAIN);
    stage.act(Vip::settle);
    stage.act(Vip::handle_timeout);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    assert_eq!((stage.vip.timeout(), stage.done.len()), (None, 0));
}

/// Frames were lost: who was asked may have answered. It is asked again, but not for ever.
#[test]
fn a_question_whose_answers_were_lost_is_begun_again_a_few_times() {
    let mut stage = Stage::asking(AT_BRAIN);
    stage.want();
    for _ in 0..4 {
        stage.run(just_under(WINDOW));
        stage.done.clear();
        stage.act(Vip::handle_frames_lost);
        assert!(stage.did(is_probe));
        stage.act(Vip::settle);
        assert_eq!(stage.vip.place(), Place::Asking);
    }
    stage.run(just_under(WINDOW));
    stage.act(Vip::handle_frames_lost);
    stage.run(Duration::from_nanos(1));
    stage.act(Vip::settle);
    assert_eq!(stage.vip.place(), Place::Adding, "somebody has to serve");
    // What is not being asked for is not asked for.
    let mut held = Stage::held(AT_BRAIN);
    held.act(Vip::handle_frames_lost);
    assert!(held.done.is_empty() && !held.vip.is_asking());
}
