//! What the kernel says, and what it does not say, about an address.

use std::time::Duration;

use standin_core::decide::Reason;
use standin_core::vip::{Place, Vip};

use crate::support::{AT_BRAIN, Stage, WINDOW, adds, announces, is_probe, ms, removes};

fn failures(stage: &Stage, name: &str) -> usize {
    stage.said().into_iter().filter(|said| *said == name).count()
}

fn refused() -> Result<(), String> {
    Err("no buffer space".to_owned())
}

#[test]
fn a_renewal_that_is_refused_is_told_of_once_until_one_succeeds() {
    let mut stage = Stage::held(AT_BRAIN);
    for _ in 0..3 {
        stage.act(|vip, around| vip.handle_added(around, refused()));
    }
    assert_eq!(failures(&stage, "add-failed"), 1);
    stage.added();
    stage.act(|vip, around| vip.handle_added(around, refused()));
    assert_eq!(failures(&stage, "add-failed"), 2);
}

#[test]
fn a_removal_that_is_refused_is_told_of_once_and_asked_for_again() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    let start = stage.now;
    for _ in 0..3 {
        stage.act(|vip, around| vip.handle_removed(around, refused()));
        stage.run(ms(500));
    }
    assert_eq!(failures(&stage, "remove-failed"), 1);
    let told = [Duration::ZERO, ms(500), ms(1000), ms(1500)];
    assert_eq!(stage.times(start, removes), told);
    assert_eq!(stage.vip.place(), Place::Removing);
}

/// Acknowledgements come in the order of the requests: one of a request before the loss says nothing
/// about the address after it.
#[test]
fn what_was_asked_for_before_a_loss_confirms_nothing_after_it() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.run(ms(250));
    assert_eq!(stage.done.iter().filter(|(_, action)| adds(action)).count(), 1, "a renewal");
    stage.act(Vip::handle_lost);
    stage.added();
    assert!(!stage.did(announces), "that was the renewal");
    stage.added();
    assert!(stage.did(announces));
}

/// Between the addition and its acknowledgement.
#[test]
fn what_is_lost_before_it_was_confirmed_is_not_confirmed_by_the_first_word() {
    let mut stage = Stage::asking(AT_BRAIN);
    stage.run(WINDOW);
    stage.act(Vip::handle_lost);
    stage.added();
    assert_eq!(stage.vip.place(), Place::Adding);
    stage.added();
    assert_eq!(stage.vip.place(), Place::Held);
}

/// However late the first word is: that the addition was asked for again does not make it younger.
#[test]
fn a_word_that_comes_late_confirms_nothing_that_was_lost_since() {
    let mut stage = Stage::asking(AT_BRAIN);
    stage.run(WINDOW);
    stage.act(Vip::handle_lost);
    stage.run(ms(700));
    stage.added();
    assert_eq!(stage.vip.place(), Place::Adding);
    assert!(!stage.did(announces));
    stage.added();
    assert_eq!(stage.vip.place(), Place::Held);
}

/// Answers that never came are not waited for in another life of the address.
#[test]
fn an_addition_after_a_removal_is_confirmed_by_the_first_word() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.run(ms(250));
    stage.act(Vip::handle_lost);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    stage.removed();
    stage.want();
    stage.run(WINDOW);
    assert_eq!(stage.vip.place(), Place::Adding);
    stage.added();
    assert_eq!(stage.vip.place(), Place::Held);
}

/// Another may have it meanwhile.
#[test]
fn after_a_link_came_back_the_whole_question_comes_first() {
    let mut stage = Stage::held(AT_BRAIN);
    // Until the next renewal is far away.
    stage.run_confirming(ms(100));
    stage.done.clear();
    let start = stage.now;
    stage.act(Vip::handle_link);
    stage.run(WINDOW * 2);
    let third = WINDOW / 3;
    assert_eq!(stage.times(start, is_probe), [Duration::ZERO, third, third * 2]);
    assert_eq!(stage.times(start, adds), [WINDOW]);
    assert!(!stage.did(announces));
    stage.added();
    assert!(stage.did(announces));
}

#[test]
fn after_a_release_the_successor_is_given_a_whole_question() {
    let mut stage = Stage::held(AT_BRAIN);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    stage.removed();
    let start = stage.now;
    stage.run(WINDOW * 2);
    let missed = |action: &standin_core::Action| matches!(action, standin_core::Action::Report(report) if report.name() == "nobody-answers");
    assert_eq!(stage.times(start, missed), [WINDOW]);
}

/// The renewals may have been made and the answers to them lost.
#[test]
fn what_was_given_up_for_gone_is_removed_at_a_stop_all_the_same() {
    for confirmed in [false, true] {
        let mut stage = Stage::held(AT_BRAIN);
        // Nothing is confirmed to be renewed for two seconds.
        while stage.vip.place() != Place::Asking {
            stage.run(ms(10));
        }
        if confirmed {
            stage.removed();
        }
        stage.done.clear();
        stage.act(|vip, around| vip.unwant(around, Reason::Stopping));
        assert_eq!(stage.did(removes), !confirmed);
        assert_eq!(stage.vip.is_on_host(), !confirmed);
        if !confirmed {
            stage.removed();
        }
        assert_eq!(stage.vip.place(), Place::Away);
    }
}

/// One refusal may be a moment's. Two in a row are a state of the host: another node is to have it,
/// and this one is asked again more and more rarely.
#[test]
fn what_is_refused_twice_in_a_row_is_refused_for_a_pause_that_grows() {
    let mut stage = Stage::asking(AT_BRAIN);
    stage.run(WINDOW);
    let refuse = |stage: &mut Stage| stage.act(|vip, around| vip.handle_added(around, refused()));
    refuse(&mut stage);
    assert!(!stage.vip.is_refused(stage.now), "once is nothing");
    stage.run(ms(500));
    refuse(&mut stage);
    let mut pause = ms(5000);
    for _ in 0..3 {
        assert!(stage.vip.is_refused(stage.now));
        refuse(&mut stage);
        let end = stage.now + pause;
        assert_eq!(
            stage.vip.refused_until(),
            Some(end),
            "what is refused meanwhile is nothing new"
        );
        assert!(!stage.vip.is_refused(end));
        stage.now = end;
        refuse(&mut stage);
        pause *= 2;
    }
    stage.added();
    assert_eq!((stage.vip.place(), stage.vip.refused_until()), (Place::Held, None));
}

/// The kernel has it for the rest of its life, and a later renewal may do.
#[test]
fn a_renewal_that_is_refused_makes_the_host_no_worse_a_place() {
    let mut stage = Stage::held(AT_BRAIN);
    for _ in 0..3 {
        stage.act(|vip, around| vip.handle_added(around, refused()));
    }
    assert!(!stage.vip.is_refused(stage.now));
    stage.act(Vip::handle_lost);
    for _ in 0..2 {
        stage.act(|vip, around| vip.handle_added(around, refused()));
    }
    assert!(stage.vip.is_refused(stage.now), "it was taken away and is not let back");
}
