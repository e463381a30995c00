//! A claim asks its voters at the right times, and counts what they grant and nothing else.

use std::time::Duration;

use standin_core::Instant;
use standin_core::lease::claim::{Claim, Obstacle};
use standin_core::lease::electorate::{Electorate, Electorates};
use standin_core::lease::{Answer, Ask, Ballot};
use standin_core::place::{NodeId, NodeSet};

const LENGTH: Duration = Duration::from_millis(100);
/// What a holder counts on: 98 % of it.
const HELD: Duration = Duration::from_millis(98);
/// From a request to the next where nobody answers: 1/32 of the length.
const PACE: Duration = Duration::from_micros(3125);
const PAUSE: Duration = Duration::from_millis(5);
const ALL: [NodeId; 3] = [NodeId(0), NodeId(1), NodeId(2)];
const FIRST: Ballot = Ballot { round: 1, run: 7 };
const SECOND: Ballot = Ballot { round: 2, run: 7 };

fn at(micros: u64) -> Instant {
    Instant::from_nanos(micros * 1000)
}

fn set(nodes: &[NodeId]) -> NodeSet {
    nodes.iter().copied().collect()
}

fn voters() -> Electorates {
    let names = ["pinky", "brain", "larry"];
    let present = Electorate::new(names.into_iter().zip(ALL.map(Some)));
    Electorates { present, before: None }
}

fn granted(stamp: Instant) -> Answer {
    Answer::Granted { stamp: stamp.as_nanos(), length: LENGTH }
}

/// A claim and its voters.
struct Play {
    claim: Claim,
    voters: Electorates,
}

impl Play {
    fn new() -> Self {
        Self { claim: Claim::new(3, LENGTH, at(0)), voters: voters() }
    }

    /// One that has begun.
    fn begun(now: Instant) -> Self {
        let mut play = Self::new();
        play.claim.begin(now, FIRST);
        play
    }

    /// One that a majority has promised to hear.
    fn proposing(now: Instant) -> Self {
        let mut play = Self::begun(now);
        for voter in [ALL[0], ALL[1]] {
            play.claim.ask(now, voter);
            play.hear(now, voter, Answer::Promised);
        }
        play
    }

    /// One that holds, by grants of the first two voters asked for `now`.
    fn held(now: Instant) -> Self {
        let mut play = Self::proposing(now);
        for voter in [ALL[0], ALL[1]] {
            play.claim.ask(now, voter);
            play.hear(now, voter, granted(now));
        }
        play
    }

    fn hear(&mut self, now: Instant, voter: NodeId, answer: Answer) -> Option<Ballot> {
        let ballot = self.claim.ballot();
        self.hear_of(now, voter, ballot, answer)
    }

    fn hear_of(
        &mut self,
        now: Instant,
        voter: NodeId,
        ballot: Ballot,
        answer: Answer,
    ) -> Option<Ballot> {
        self.claim.hear(now, &self.voters, voter, (ballot, answer), PAUSE)
    }

    fn until(&self) -> Option<Instant> {
        self.claim.until(&self.voters)
    }

    fn due(&self, now: Instant) -> NodeSet {
        self.claim.due(now, &self.voters)
    }

    /// The first moment at which a voter is to be asked, and not a moment before.
    fn due_at(&self, voter: NodeId, from: Instant) -> Duration {
        let mut waited = Duration::ZERO;
        while !self.due(from + waited).contains(voter) {
            waited += Duration::from_micros(5);
            assert!(waited < Duration::from_secs(1), "it is never asked");
        }
        waited
    }
}

#[test]
fn a_majority_promises_then_a_majority_grants() {
    let mut play = Play::begun(at(10));
    assert!(play.claim.is_active());
    assert_eq!(play.due(at(10)), set(&ALL));
    assert_eq!(play.claim.ask(at(10), NodeId(9)), None, "there is no such voter");
    for voter in ALL {
        assert_eq!(play.claim.ask(at(10), voter), Some((Ask::Prepare, FIRST, LENGTH)));
    }
    assert_eq!(play.due(at(10)), NodeSet::EMPTY);
    play.hear(at(20), ALL[0], Answer::Promised);
    assert_eq!(play.claim.ask(at(20), ALL[0]), None, "it has promised");
    assert_eq!(play.claim.ask(at(20), ALL[1]), Some((Ask::Prepare, FIRST, LENGTH)));
    play.hear(at(30), ALL[1], Answer::Promised);
    assert_eq!(play.due(at(30)), set(&ALL), "proposed at once");
    for voter in ALL {
        assert_eq!(play.claim.ask(at(30), voter), Some((Ask::Propose, FIRST, LENGTH)));
    }
    play.hear(at(40), ALL[0], granted(at(30)));
    assert_eq!(play.until(), None, "one of three is no majority");
    assert_eq!(play.claim.granted_by(at(40)), set(&ALL[..1]));
    play.hear(at(50), ALL[2], granted(at(30)));
    assert_eq!(play.until(), Some(at(30) + HELD));
    let end = at(30) + HELD;
    assert_eq!(play.claim.granted_by(end - Duration::from_nanos(1)), set(&[ALL[0], ALL[2]]));
    assert_eq!(play.claim.granted_by(end), NodeSet::EMPTY);
}

#[test]
fn who_does_not_answer_is_asked_ever_more_slowly() {
    let mut play = Play::begun(at(0));
    let (mut now, mut pauses) = (at(0), Vec::new());
    for _ in 0..9 {
        play.claim.ask(now, ALL[0]);
        let waited = play.due_at(ALL[0], now);
        pauses.push(waited);
        now = now + waited;
    }
    let (two, four, most) = (PACE * 2, PACE * 4, LENGTH / 4);
    assert_eq!(pauses, [PACE, PACE, PACE, PACE, two, four, most, most, most]);
    // An answer of any kind ends that.
    play.hear(now, ALL[0], Answer::Outbid(Ballot { round: 0, run: 1 }));
    play.claim.retry(SECOND);
    play.claim.ask(now, ALL[0]);
    assert_eq!(play.due_at(ALL[0], now), PACE);
}

#[test]
fn a_long_or_a_short_lease_bounds_the_pace() {
    for (length, pace) in [(20, 2), (60_000, 100)] {
        let mut claim = Claim::new(3, Duration::from_millis(length), at(0));
        claim.begin(at(0), FIRST);
        claim.ask(at(0), ALL[0]);
        let due = |micros| claim.due(at(micros), &voters()).contains(ALL[0]);
        assert!(!due(pace * 1000 - 1) && due(pace * 1000), "{length} ms");
    }
}

#[test]
fn one_that_says_it_is_taken_is_asked_when_it_may_be_free() {
    let mut play = Play::begun(at(0));
    play.claim.ask(at(0), ALL[0]);
    let taken = |left| Answer::Taken { holder: 5, ballot: SECOND, left };
    let long = Duration::from_millis(60);
    play.hear(at(0), ALL[0], taken(long));
    assert_eq!(play.due_at(ALL[0], at(0)), long / 2, "it may be given up meanwhile");
    let end = |left: Duration| left + left / 50 + Duration::from_micros(100);
    let told = Obstacle { taken: Some((5, SECOND, at(0) + end(long))), ..Obstacle::default() };
    assert_eq!(play.claim.obstacle(), told);
    let short = Duration::from_millis(25);
    play.hear(at(0), ALL[0], taken(short));
    assert_eq!(play.due_at(ALL[0], at(0)), end(short), "its clock may be the slower one");
    // A new word is a new beginning.
    play.claim.ask(at(0), ALL[0]);
    assert_eq!(play.due_at(ALL[0], at(0)), PACE);
}

#[test]
fn what_is_being_given_to_us_is_asked_for_at_once() {
    let mut play = Play::begun(at(0));
    let long = Duration::from_millis(60);
    let taken = Answer::Taken { holder: 5, ballot: SECOND, left: long };
    play.claim.ask(at(0), ALL[0]);
    play.hear(at(0), ALL[0], taken);
    assert!(!play.claim.hurry(false), "it was not hurried");
    assert_eq!(play.due_at(ALL[0], at(0)), long / 2);
    assert!(play.claim.hurry(true));
    assert_eq!(play.due_at(ALL[0], at(0)), PACE);
    play.claim.ask(at(0), ALL[0]);
    play.hear(at(5000), ALL[0], taken);
    assert_eq!(play.due_at(ALL[0], at(5000)), Duration::from_millis(1));
    assert!(!play.claim.hurry(true), "that is no news");
    assert_eq!(play.due_at(ALL[0], at(5000)), Duration::from_millis(1));
    assert!(play.claim.hurry(false));
    assert!(play.claim.hurry(true));
    play.claim.give_up(at(6000));
    assert!(play.claim.hurry(true), "forgotten with the claim");
}

#[test]
fn voters_that_just_started_or_know_others_are_left_alone_for_a_while() {
    let mut play = Play::begun(at(0));
    for voter in ALL {
        play.claim.ask(at(0), voter);
    }
    let left = Duration::from_millis(50);
    play.hear(at(0), ALL[0], Answer::Quiet { left });
    play.hear(at(0), ALL[1], Answer::Stranger);
    let quiet = left + left / 50 + Duration::from_micros(100);
    assert_eq!(play.due_at(ALL[0], at(0)), quiet);
    assert_eq!(play.due_at(ALL[1], at(0)), LENGTH);
    let told = Obstacle { taken: None, quiet: set(&ALL[..1]), strangers: set(&ALL[1..2]) };
    assert_eq!(play.claim.obstacle(), told);
    play.hear(at(9), ALL[0], Answer::Promised);
    play.hear(at(9), ALL[1], Answer::Quiet { left });
    let told = Obstacle { quiet: set(&ALL[1..2]), ..Obstacle::default() };
    assert_eq!(play.claim.obstacle(), told);
}

#[test]
fn a_voter_that_binds_itself_for_less_is_asked_for_that_at_once_and_ever_after() {
    let mut play = Play::begun(at(0));
    play.claim.ask(at(0), ALL[0]);
    let most = Duration::from_millis(40);
    play.hear(at(0), ALL[0], Answer::TooLong { most });
    assert_eq!(play.due(at(0)), set(&ALL));
    assert_eq!(play.claim.ask(at(0), ALL[0]), Some((Ask::Prepare, FIRST, most)));
    play.claim.give_up(at(1));
    assert_eq!(play.claim.ask(at(1), ALL[0]), Some((Ask::Release, FIRST, most)));
    play.claim.begin(at(2), SECOND);
    assert_eq!(play.claim.ask(at(2), ALL[0]), Some((Ask::Prepare, SECOND, most)));
    // What it offers beyond what we ask for is not asked for.
    play.hear(at(2), ALL[0], Answer::TooLong { most: LENGTH * 2 });
    assert_eq!(play.claim.ask(at(2), ALL[0]), Some((Ask::Prepare, SECOND, LENGTH)));
}

#[test]
fn who_is_outbid_waits_and_tries_again_higher() {
    let mut play = Play::proposing(at(0));
    let higher = Ballot { round: 9, run: 3 };
    assert_eq!(play.hear(at(10), ALL[1], Answer::Outbid(higher)), Some(higher));
    let again = at(10) + PAUSE;
    assert_eq!(play.claim.ask(at(10), ALL[0]), None, "it waits");
    assert_eq!(play.due(at(10)), NodeSet::EMPTY);
    assert_eq!(play.claim.timeout(at(10), &play.voters), Some(again));
    // Told once more: the pause does not grow.
    play.hear(at(2000), ALL[0], Answer::Outbid(higher));
    assert!(!play.claim.retries(again - Duration::from_nanos(1)));
    assert!(play.claim.retries(again));
    let next = Ballot { round: 10, run: 7 };
    play.claim.retry(next);
    assert_eq!((play.claim.ballot(), play.claim.retries(again)), (next, false));
    assert_eq!(play.claim.ask(again, ALL[0]), Some((Ask::Prepare, next, LENGTH)));
    // What was said of the ballot before means nothing now.
    assert_eq!(play.hear_of(again, ALL[1], FIRST, Answer::Outbid(higher)), None);
    play.hear_of(again, ALL[1], FIRST, Answer::Promised);
    play.hear(again, ALL[2], Answer::Promised);
    assert_eq!(play.claim.ask(again, ALL[1]), Some((Ask::Prepare, next, LENGTH)));
}

#[test]
fn a_holder_that_is_outbid_by_one_voter_goes_on_with_a_higher_ballot() {
    let mut play = Play::held(at(0));
    let higher = Ballot { round: 9, run: 3 };
    assert_eq!(play.hear(at(10), ALL[2], Answer::Outbid(higher)), Some(higher));
    assert!(!play.claim.retries(at(10) + PAUSE));
    assert_eq!(play.until(), Some(at(0) + HELD));
    let next = Ballot { round: 10, run: 7 };
    play.claim.raise(next);
    assert_eq!(play.claim.ask(at(20), ALL[2]), Some((Ask::Propose, next, LENGTH)));
    play.claim.raise(next);
    play.claim.raise(FIRST);
    assert_eq!(play.claim.ballot(), next, "never lower");
    // A grant of the ballot before is of the same tenure.
    play.hear_of(at(30), ALL[2], FIRST, granted(at(20)));
    assert_eq!(play.claim.granted_by(at(30)), set(&ALL));
    let mut preparing = Play::begun(at(0));
    preparing.claim.raise(next);
    assert_eq!(preparing.claim.ballot(), FIRST, "only what is proposed");
}

#[test]
fn what_is_given_up_counts_no_more_and_the_voters_are_told() {
    let mut play = Play::held(at(0));
    play.claim.give_up(at(1000));
    assert!(!play.claim.is_active());
    assert_eq!((play.until(), play.claim.granted_by(at(1000))), (None, NodeSet::EMPTY));
    assert_eq!(play.due(at(1000)), set(&ALL));
    for voter in ALL {
        assert_eq!(play.claim.ask(at(1000), voter), Some((Ask::Release, FIRST, LENGTH)));
    }
    assert_eq!(play.due_at(ALL[0], at(1000)), PACE);
    play.hear(at(1100), ALL[0], granted(at(900)));
    assert_eq!(play.claim.granted_by(at(1100)), NodeSet::EMPTY, "a late word");
    play.hear_of(at(1100), ALL[0], SECOND, Answer::Released);
    assert!(play.claim.ask(at(1100), ALL[0]).is_some(), "that was about another");
    play.hear(at(1200), ALL[0], Answer::Released);
    assert_eq!(play.claim.ask(at(1200), ALL[0]), None);
    assert_eq!(play.due(at(1000) + LENGTH / 2), set(&ALL[1..]));
    let end = at(1000) + LENGTH;
    assert!(play.claim.ask(end - Duration::from_nanos(1), ALL[1]).is_some());
    assert_eq!(play.claim.ask(end, ALL[1]), None, "its grant has run out by itself");
    assert_eq!((play.due(end), play.claim.timeout(end, &play.voters)), (NodeSet::EMPTY, None));
    // Once more.
    play.claim.begin(end, SECOND);
    assert_eq!(play.claim.ask(end, ALL[0]), Some((Ask::Prepare, SECOND, LENGTH)));
}

#[test]
fn nothing_is_given_up_twice_and_nothing_begun_twice() {
    let mut play = Play::new();
    play.claim.give_up(at(0));
    assert_eq!(play.claim.ask(at(0), ALL[0]), None, "there was nothing to release");
    let mut play = Play::held(at(0));
    play.claim.begin(at(10), SECOND);
    assert_eq!((play.claim.ballot(), play.until()), (FIRST, Some(at(0) + HELD)));
    play.claim.give_up(at(10));
    play.claim.give_up(at(10) + LENGTH);
    assert_eq!(play.claim.ask(at(10) + LENGTH, ALL[0]), None);
    // A release is not taken for one of a claim that goes on.
    let mut play = Play::held(at(0));
    play.hear(at(10), ALL[0], Answer::Released);
    assert_eq!(play.until(), Some(at(0) + HELD));
}

#[test]
fn only_grants_of_this_tenure_count_and_from_their_own_stamp() {
    let mut play = Play::proposing(at(1000));
    play.hear(at(2000), ALL[0], granted(at(1500)));
    play.hear(at(2000), ALL[1], granted(at(999)));
    assert_eq!(play.claim.granted_by(at(2000)), set(&ALL[..1]), "before the beginning");
    play.hear(at(2000), ALL[1], granted(at(2001)));
    assert_eq!(play.claim.granted_by(at(2000)), set(&ALL[..1]), "not yet");
    play.hear(at(2000), ALL[1], granted(at(1000)));
    assert_eq!(play.until(), Some(at(1000) + HELD));
    play.hear(at(2000), ALL[1], granted(at(2000)));
    assert_eq!(play.until(), Some(at(1500) + HELD), "the second best of three");
    // One that comes late takes nothing back.
    play.hear(at(2000), ALL[0], granted(at(1200)));
    assert_eq!(play.until(), Some(at(1500) + HELD));
    for stranger in [Ballot { round: 1, run: 8 }, Ballot { round: 2, run: 7 }, Ballot::default()] {
        play.hear_of(at(2000), ALL[2], stranger, granted(at(2000)));
        assert_eq!(play.claim.granted_by(at(2000)), set(&ALL[..2]), "{stranger:?}");
    }
}

#[test]
fn a_grant_says_that_it_is_not_taken() {
    let mut play = Play::proposing(at(0));
    let left = Duration::from_millis(1);
    play.hear(at(1), ALL[2], Answer::Taken { holder: 5, ballot: SECOND, left });
    assert!(play.claim.obstacle().taken.is_some());
    play.hear(at(2), ALL[0], granted(at(1)));
    assert_eq!(play.claim.obstacle(), Obstacle::default());
    play.hear(at(3), ALL[2], Answer::Taken { holder: 5, ballot: SECOND, left });
    play.claim.give_up(at(4));
    play.claim.begin(at(5), SECOND);
    assert_eq!(play.claim.obstacle(), Obstacle::default(), "a new claim knows nothing");
}

#[test]
fn a_lease_is_renewed_in_good_time() {
    let play = Play::held(at(0));
    let third = HELD / 3;
    let waited = play.due_at(ALL[0], at(0));
    assert!(waited >= third && waited < third + Duration::from_micros(5), "{waited:?}");
    // The third voter has granted nothing yet, and was never asked.
    assert_eq!(play.due(at(0)), set(&ALL[2..]));
    let mut play = play;
    play.claim.ask(at(0), ALL[2]);
    play.hear(at(0), ALL[2], granted(at(0)));
    let timeout = play.claim.timeout(at(0), &play.voters).expect("a renewal");
    assert_eq!(timeout, at(0) + third);
    // One that is asked late in a lease is pressed again soon: four tenths are left.
    let late = at(0) + HELD * 7 / 10;
    play.claim.ask(late, ALL[0]);
    assert_eq!(play.due_at(ALL[0], late), PACE);
    // One that is ahead of the majority is not.
    play.hear(late, ALL[0], granted(late));
    play.claim.ask(late, ALL[0]);
    assert!(play.due_at(ALL[0], late) > PACE * 2);
}

#[test]
fn what_is_kept_in_reserve_is_renewed_that_much_earlier() {
    let mut play = Play::held(at(0));
    let reserve = Duration::from_millis(38);
    play.claim = play.claim.with_reserve(reserve);
    let third = HELD.saturating_sub(reserve) / 3;
    assert_eq!(play.due_at(ALL[0], at(0)), third);
    // Of 60 ms 24 are left 36 ms after the beginning.
    play.claim.ask(at(30_000), ALL[0]);
    assert_eq!(play.due_at(ALL[0], at(30_000)), Duration::from_millis(6));
    // Where all is reserve: as fast as may be, and no faster.
    let mut play = Play::held(at(0));
    play.claim = play.claim.with_reserve(LENGTH);
    assert!(play.due_at(ALL[0], at(0)) >= Duration::from_millis(2));
}

#[test]
fn a_lease_is_over_at_its_very_end() {
    let (end, early) = (at(0) + HELD, at(90_000));
    // One voter granted later than the others and is in no hurry while it is held.
    let mut play = Play::held(at(0));
    play.claim.ask(early, ALL[2]);
    play.hear(early, ALL[2], granted(early));
    assert_eq!(play.until(), Some(end));
    assert!(!play.due(end - Duration::from_nanos(1)).contains(ALL[2]));
    assert!(play.due(end).contains(ALL[2]), "it is not held any more");
    // Nothing happens at an end that has come.
    let late = end - Duration::from_micros(100);
    for voter in ALL {
        play.claim.ask(late, voter);
    }
    assert_eq!(play.claim.timeout(late, &play.voters), Some(end));
    assert_eq!(play.claim.timeout(end, &play.voters), Some(late + PACE));
    // Who is outbid then has to begin again.
    let higher = Ballot { round: 9, run: 3 };
    assert_eq!(play.hear(end, ALL[0], Answer::Outbid(higher)), Some(higher));
    assert!(play.claim.retries(end + PAUSE));
}

#[test]
fn a_ballot_of_another_run_between_our_own_is_not_ours() {
    let mut play = Play::held(at(0));
    play.claim.raise(Ballot { round: 10, run: 7 });
    play.hear_of(at(10), ALL[2], Ballot { round: 5, run: 3 }, granted(at(10)));
    assert_eq!(play.claim.granted_by(at(10)), set(&ALL[..2]));
    play.hear_of(at(10), ALL[2], Ballot { round: 5, run: 7 }, granted(at(10)));
    assert_eq!(play.claim.granted_by(at(10)), set(&ALL));
}
