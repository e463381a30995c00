//! A voter says yes to one at a time.

use std::time::Duration;

use standin_core::Instant;
use standin_core::lease::voter::{Request, Voter};
use standin_core::lease::{Answer, Ask, Ballot, Key};

const LENGTH: Duration = Duration::from_millis(100);
const KEY: Key = Key(7);
const PINKY: u64 = 1;
const BRAIN: u64 = 2;

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

fn ballot(round: u32, run: u32) -> Ballot {
    Ballot { round, run }
}

/// One that started long enough ago.
fn voter() -> Voter {
    Voter::new([KEY], LENGTH, at(0))
}

fn request(from: u64, ask: Ask, ballot: Ballot) -> Request {
    Request { from, key: KEY, ballot, ask, stamp: 42, length: LENGTH }
}

fn granted() -> Answer {
    Answer::Granted { stamp: 42, length: LENGTH }
}

#[test]
fn one_that_starts_keeps_quiet_for_one_length() {
    let mut voter = voter();
    let ask = request(PINKY, Ask::Prepare, ballot(1, 1));
    let left = Duration::from_millis(1);
    assert_eq!(voter.hear(at(99), &ask), Answer::Quiet { left });
    assert_eq!(voter.quiet_for(at(99)), left);
    assert_eq!(voter.hear(at(100), &ask), Answer::Promised);
}

#[test]
fn what_is_granted_is_granted_to_nobody_else_until_it_has_run_out() {
    let mut voter = voter();
    let proposal = request(PINKY, Ask::Propose, ballot(1, 1));
    assert_eq!(voter.hear(at(200), &proposal), granted());
    for ask in [Ask::Prepare, Ask::Propose] {
        let taken = voter.hear(at(299), &request(BRAIN, ask, ballot(9, 2)));
        let left = Duration::from_millis(1);
        assert_eq!(taken, Answer::Taken { holder: PINKY, ballot: ballot(1, 1), left });
    }
    assert_eq!(voter.grants(at(299)), [(KEY, PINKY, at(300))]);
    assert_eq!(voter.hear(at(300), &request(BRAIN, Ask::Propose, ballot(9, 2))), granted());
    assert_eq!(voter.grants(at(300)), [(KEY, BRAIN, at(400))]);
}

#[test]
fn a_renewal_counts_from_when_it_was_heard() {
    let mut voter = voter();
    let proposal = request(PINKY, Ask::Propose, ballot(1, 1));
    voter.hear(at(200), &proposal);
    voter.hear(at(250), &proposal);
    assert_eq!(voter.grants(at(349)), [(KEY, PINKY, at(350))]);
}

#[test]
fn a_shorter_length_does_not_unbind_from_a_longer_one() {
    let mut voter = voter();
    voter.hear(at(200), &request(PINKY, Ask::Propose, ballot(1, 1)));
    let length = Duration::from_millis(10);
    let shorter = Request { length, ..request(PINKY, Ask::Propose, ballot(1, 1)) };
    assert_eq!(voter.hear(at(201), &shorter), Answer::Granted { stamp: 42, length });
    assert_eq!(voter.grants(at(250)), [(KEY, PINKY, at(300))]);
}

#[test]
fn nobody_is_bound_for_longer_than_the_wait_after_a_start() {
    let mut voter = voter();
    let longer = Duration::from_millis(101);
    let proposal = Request { length: longer, ..request(PINKY, Ask::Propose, ballot(1, 1)) };
    assert_eq!(voter.hear(at(200), &proposal), Answer::TooLong { most: LENGTH });
    assert!(voter.grants(at(200)).is_empty());
}

#[test]
fn a_lower_ballot_than_the_promised_one_is_refused() {
    let mut voter = voter();
    voter.hear(at(200), &request(PINKY, Ask::Prepare, ballot(5, 1)));
    for ask in [Ask::Prepare, Ask::Propose] {
        let outbid = voter.hear(at(201), &request(BRAIN, ask, ballot(4, 9)));
        assert_eq!(outbid, Answer::Outbid(ballot(5, 1)));
    }
    // Of one round the run decides, and the promised one itself is heard.
    assert_eq!(
        voter.hear(at(202), &request(PINKY, Ask::Propose, ballot(5, 1))),
        granted(),
        "the one who was promised"
    );
}

#[test]
fn a_release_ends_the_grant_of_its_ballot_and_no_later_one() {
    let mut voter = voter();
    voter.hear(at(200), &request(PINKY, Ask::Propose, ballot(3, 1)));
    // Of another run, and one that was overtaken by a new claim.
    for stale in [ballot(3, 2), ballot(2, 1)] {
        assert_eq!(voter.hear(at(201), &request(PINKY, Ask::Release, stale)), Answer::Released);
        assert_eq!(voter.grants(at(201)).len(), 1, "{stale:?}");
    }
    // Anybody may say it who knows the ballot: it is how a fenced holder's grant ends.
    voter.hear(at(202), &request(BRAIN, Ask::Release, ballot(4, 1)));
    assert!(voter.grants(at(202)).is_empty());
}

#[test]
fn a_group_that_is_not_in_the_file_is_nobodys() {
    let mut voter = voter();
    let other = Request { key: Key(8), ..request(PINKY, Ask::Propose, ballot(1, 1)) };
    assert_eq!(voter.hear(at(200), &other), Answer::Stranger);
}

#[test]
fn a_changed_file_keeps_what_was_granted_and_is_quiet_about_what_is_new() {
    let mut voter = voter();
    voter.hear(at(200), &request(PINKY, Ask::Propose, ballot(1, 1)));
    voter.change([KEY, Key(8)], LENGTH / 2, at(210));
    assert_eq!(voter.grants(at(210)), [(KEY, PINKY, at(300))]);
    let new =
        Request { key: Key(8), length: LENGTH / 2, ..request(BRAIN, Ask::Propose, ballot(1, 2)) };
    // For the longer of the two lengths: another may hold one of its addresses by the old file.
    assert!(matches!(voter.hear(at(309), &new), Answer::Quiet { .. }));
    assert!(matches!(voter.hear(at(310), &new), Answer::Granted { .. }));
}

#[test]
fn a_release_of_the_very_ballot_that_was_granted_frees_the_group() {
    let mut voter = voter();
    assert_eq!(voter.hear(at(200), &request(PINKY, Ask::Propose, ballot(3, 1))), granted());
    voter.hear(at(201), &request(PINKY, Ask::Release, ballot(3, 1)));
    assert_eq!(voter.grants(at(201)), []);
    assert_eq!(voter.hear(at(202), &request(BRAIN, Ask::Propose, ballot(4, 2))), granted());
}

#[test]
fn a_grant_is_over_at_its_very_end() {
    let mut voter = voter();
    voter.hear(at(200), &request(PINKY, Ask::Propose, ballot(3, 1)));
    assert_eq!(voter.grants(at(299)), [(KEY, PINKY, at(300))]);
    assert_eq!(voter.grants(at(300)), []);
}
