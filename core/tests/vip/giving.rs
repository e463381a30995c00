//! A planned move of one address: kept quiet by its giver, and what follows when it goes wrong.

use std::time::Duration;

use standin_core::config::Home;
use standin_core::decide::Reason;
use standin_core::vip::{Place, Vip};

use crate::support::{LARRY, Stage, WINDOW, announces, asserts, ends_quiet, is_probe, ms, removes};

/// A kernel that does not confirm is told again after this.
const TOLD_AGAIN: Duration = ms(500);

/// One whose kernel has confirmed that it answers no more.
fn quiet() -> Stage {
    let mut stage = Stage::held(Home::Cluster);
    stage.act(|vip, around| vip.quiet(around, true));
    stage.quieted(true, true);
    stage.done.clear();
    stage
}

/// One whose kernel was told to answer again, after the question whether the receiver has it.
fn answering_again() -> Stage {
    let mut stage = quiet();
    stage.act(Vip::resume);
    stage.run(WINDOW);
    assert!(stage.did(ends_quiet));
    stage.done.clear();
    stage
}

#[test]
fn a_move_that_went_wrong_ends_with_a_whole_question() {
    let mut stage = quiet();
    let start = stage.now;
    stage.act(Vip::resume);
    stage.run_confirming(WINDOW * 2);
    let third = WINDOW / 3;
    assert_eq!(stage.times(start, is_probe), [Duration::ZERO, third, third * 2]);
    assert_eq!(stage.times(start, ends_quiet), [WINDOW], "the last probe is given its time");
    assert!(!stage.did(announces), "the kernel does not answer yet");
    stage.quieted(false, true);
    assert_eq!(stage.times(start, announces), [WINDOW * 2]);
}

#[test]
fn a_receiver_that_has_it_after_all_keeps_it() {
    let mut stage = quiet();
    stage.act(Vip::resume);
    stage.run_confirming(WINDOW / 2);
    stage.hear(asserts(LARRY));
    assert_eq!(stage.vip.place(), Place::Removing);
    stage.run(WINDOW * 2);
    assert!(stage.did(removes) && !stage.did(ends_quiet) && !stage.did(announces));
}

#[test]
fn a_kernel_that_does_not_answer_again_is_told_again_and_nothing_announced() {
    let mut stage = answering_again();
    let told = stage.now;
    // It refuses the first, and says nothing to the second.
    stage.quieted(false, false);
    stage.run_confirming(TOLD_AGAIN * 5 / 2);
    assert_eq!(stage.times(told, ends_quiet), [TOLD_AGAIN, TOLD_AGAIN * 2]);
    assert!(!stage.did(announces));
    stage.quieted(false, true);
    assert!(stage.did(announces));
    stage.done.clear();
    stage.run_confirming(ms(10_000));
    assert!(!stage.did(ends_quiet), "once it has confirmed, that is that");
}

#[test]
fn quiet_is_what_the_kernel_has_said_something_to() {
    let mut stage = Stage::new(Home::Cluster);
    assert!(stage.vip.is_quiet(), "what is not here answers for nothing");
    assert!(!stage.vip.is_surely_quiet());
    for can in [true, false] {
        stage = Stage::held(Home::Cluster);
        assert!(!stage.vip.is_quiet() && !stage.vip.is_surely_quiet());
        stage.act(|vip, around| vip.quiet(around, true));
        assert!(!stage.vip.is_quiet() && !stage.vip.is_surely_quiet(), "not confirmed yet");
        stage.quieted(true, can);
        assert!(stage.vip.is_quiet(), "the move goes on");
        assert_eq!(stage.vip.is_surely_quiet(), can);
    }
    // A kernel that never was quiet has nothing to end.
    stage.act(Vip::resume);
    stage.run_confirming(WINDOW);
    assert!(!stage.vip.is_quiet());
    assert!(stage.did(announces), "and is believed at once");
}

#[test]
fn what_is_offered_is_taken_without_a_question() {
    let mut stage = Stage::new(Home::Cluster);
    stage.act(|vip, around| vip.take(around, Reason::PlacedHere));
    assert_eq!((stage.vip.place(), stage.did(is_probe)), (Place::Adding, false));
}
