//! The rounds of probes: when each is due, and how long an answer may take.

use std::time::Duration;

use standin_core::Instant;
use standin_core::config::Timing;
use standin_core::peer::{BURST_ROUNDS, Change, ENOUGH_ROUNDS, Life, Peer};

use crate::watch::{DEAD_AFTER, START, Watch, just_under, ms, timing};

#[test]
fn a_slow_answer_is_waited_for() {
    // Round trips of an eighth of dead_after and below are allowed for in the schedule.
    for round_trip in [1, 5, 10, 25] {
        let mut watch = Watch::alive(timing(DEAD_AFTER));
        for _ in 0..50 {
            watch.hear(Some(ms(round_trip)));
        }
        watch.rounds.clear();
        watch.run(DEAD_AFTER);
        let (died, _) = *watch.changes.last().expect("it died");
        let in_time = ms(round_trip);
        let late = watch.rounds.iter().filter(|sent| (START + died).since(**sent) < in_time);
        assert!(late.count() <= 1, "{round_trip}: rounds that could not be answered in time");
    }
}

#[test]
fn an_answer_that_ends_a_silence_says_nothing_about_the_path() {
    let (dead_after, interval) = (Duration::from_secs(1), Duration::from_millis(250));
    let timing = Timing { dead_after, interval, back_after: dead_after };
    let start = Instant::from_nanos(1_000_000_000);
    let mut peer = Peer::new(timing, start);
    peer.handle_heard(start, Some(Duration::from_millis(1)));
    let late = start + Duration::from_millis(900);
    while peer.timeout().is_some_and(|at| at < late) {
        let at = peer.timeout().expect("there is one");
        peer.handle_timeout(at);
    }
    assert!(peer.is_suspected());
    peer.handle_heard(late, Some(Duration::from_millis(890)));
    assert_eq!(peer.round_trip(), Some(Duration::from_millis(1)));
    peer.handle_heard(late + interval, Some(Duration::from_millis(1)));
    assert_eq!(peer.round_trip(), Some(Duration::from_millis(1)));
}

/// Rounds of hosts that are all well may be brought together; those of a suspicion may not.
#[test]
fn a_regular_round_is_brought_forward_and_one_of_a_suspicion_never() {
    let watch = Watch::alive(timing(DEAD_AFTER));
    let (mut peer, now) = (watch.peer, watch.now);
    let next = peer.timeout().expect("a round");
    let wait = next.since(now);
    assert!(wait > ms(1) && !peer.is_due(now) && !peer.is_due(next - Duration::from_nanos(1)));
    assert!(peer.is_due(next));
    assert!(!peer.hasten(now, just_under(wait)), "it is not due so soon");
    assert!(!peer.hasten(next, ms(1)), "it is due already");
    assert_eq!(peer.timeout(), Some(next));
    assert!(peer.hasten(now, wait));
    assert_eq!((peer.timeout(), peer.is_due(now)), (Some(now), true));
    // In the silence that follows the rounds become those of a suspicion.
    let mut now = now;
    while !peer.is_suspected() {
        peer.handle_timeout(now);
        now = peer.timeout().expect("the next").max(now);
    }
    peer.handle_timeout(now);
    let next = peer.timeout().expect("a round of the burst");
    assert!(!peer.is_due(next) && !peer.hasten(now, ms(100)));
    assert_eq!(peer.timeout(), Some(next));
}

/// Lets a host fall silent and die, on time; when each round of that silence was sent.
fn rounds_until_death(mut watch: Watch) -> (Watch, Vec<Instant>) {
    watch.rounds.clear();
    watch.run(DEAD_AFTER);
    assert!(matches!(watch.peer.life(), Life::Dead { .. }));
    let rounds = std::mem::take(&mut watch.rounds);
    (watch, rounds)
}

fn rounds_at_death(watch: &Watch) -> u32 {
    let Some((_, Change::Died { rounds, .. })) = watch.changes.last() else {
        panic!("no verdict: {:?}", watch.changes)
    };
    *rounds
}

/// The mean of the round trips and four deviations more, as for TCP, but a fortieth of `dead_after`
/// at the least and an eighth at the most; a tenth while nothing was measured.
#[test]
fn the_last_round_of_a_burst_is_given_the_time_of_an_answer() {
    let micros = Duration::from_micros;
    for (round_trips, allowance) in [
        (&[][..], ms(20)),
        (&[micros(100)][..], ms(5)),
        (&[ms(10)][..], ms(25)),
        (&[ms(4)][..], ms(4 + 4 * 2)),
        (&[ms(4), ms(4)][..], ms(4) + micros(4 * 1500)),
        (&[ms(4), ms(8)][..], micros(4500 + 4 * 2500)),
        (&[ms(8), ms(4)][..], micros(7500 + 4 * 4000)),
    ] {
        let mut watch = Watch::new(timing(DEAD_AFTER));
        watch.turn();
        for round_trip in round_trips {
            watch.hear(Some(*round_trip));
        }
        if round_trips.is_empty() {
            watch.hear(None);
        }
        let deadline = watch.peer.deadline();
        let (_, rounds) = rounds_until_death(watch);
        let last = rounds.iter().rev().find(|sent| **sent < deadline).expect("a burst");
        let given = deadline.since(*last);
        // The burst is divided by whole nanoseconds.
        let apart = given.abs_diff(allowance);
        assert!(apart < micros(1), "{round_trips:?}: {given:?}, not {allowance:?}");
    }
}

#[test]
fn the_round_trip_is_smoothed_by_an_eighth() {
    let mut watch = Watch::new(timing(DEAD_AFTER));
    watch.turn();
    assert_eq!(watch.peer.round_trip(), None);
    watch.hear(Some(ms(8)));
    assert_eq!(watch.peer.round_trip(), Some(ms(8)));
    watch.hear(Some(ms(16)));
    assert_eq!(watch.peer.round_trip(), Some(ms(9)));
}

/// A shell that woke late sends a burst at twice its pace, and judges when so many rounds as must
/// go unanswered have had their time, not a round later.
#[test]
fn after_a_late_wakeup_the_verdict_waits_for_enough_rounds_and_no_more() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.rounds.clear();
    watch.now = watch.now + ms(300);
    watch.turn();
    watch.run(ms(100));
    let half_pace = DEAD_AFTER / 2 / BURST_ROUNDS / 2;
    for pair in watch.rounds[..ENOUGH_ROUNDS].windows(2) {
        assert_eq!(pair[1].since(pair[0]), half_pace);
    }
    let enough = watch.rounds[ENOUGH_ROUNDS - 1];
    let (died, _) = *watch.changes.last().expect("a verdict");
    assert_eq!((START + died).since(enough), DEAD_AFTER / 40);
}

/// As long as probes cannot be sent, which makes a verdict impossible, they are tried at the pace of
/// the burst.
#[test]
fn rounds_that_cannot_be_sent_go_on_at_the_pace_of_the_burst() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let (deadline, pace) = (watch.peer.deadline(), DEAD_AFTER / 2 / BURST_ROUNDS);
    let end = watch.now + DEAD_AFTER * 2;
    let mut tried = Vec::new();
    while let Some(at) = watch.peer.timeout().filter(|at| *at <= end) {
        watch.now = at;
        if watch.peer.handle_timeout(at).1 {
            tried.push(at);
            watch.peer.handle_not_sent(1);
        }
        assert_eq!(watch.peer.judge(at), None);
    }
    let late: Vec<Instant> = tried.into_iter().filter(|at| *at > deadline).collect();
    assert!(late.len() > 40, "{}", late.len());
    for (place, at) in (1..).zip(late) {
        assert_eq!(at, deadline + pace * place);
    }
}

/// A round that was left out because the host is heard by other means asked for nothing.
#[test]
fn rounds_that_are_skipped_count_for_no_verdict() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let mut sent = 0;
    while !matches!(watch.peer.life(), Life::Dead { .. }) {
        watch.now = watch.peer.timeout().expect("it is watched");
        let (_, round) = watch.peer.handle_timeout(watch.now);
        if round && !watch.peer.is_suspected() {
            watch.peer.skip_round();
        } else if round {
            sent += 1;
        }
        let change = watch.peer.judge(watch.now);
        watch.changes.extend(change.map(|change| (watch.now.since(START), change)));
    }
    assert_eq!(rounds_at_death(&watch), sent);
    // Nor does any number of them.
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    for _ in 0..200 {
        watch.now = watch.peer.timeout().expect("it is watched");
        if watch.peer.handle_timeout(watch.now).1 {
            watch.peer.skip_round();
        }
        assert_eq!(watch.peer.judge(watch.now), None);
    }
    assert!(watch.now > watch.peer.deadline());
}

/// The timers come first: they say that there is a suspicion, and begin its burst.
#[test]
fn no_verdict_without_a_suspicion_whatever_the_silence() {
    let timing = Timing { interval: DEAD_AFTER / 50, ..timing(DEAD_AFTER) };
    let mut watch = Watch::alive(timing);
    watch.run(DEAD_AFTER * 2 / 5);
    assert!(watch.rounds.len() > ENOUGH_ROUNDS && !watch.peer.is_suspected());
    assert_eq!(watch.peer.judge(watch.peer.deadline() + ms(1)), None);
}

#[test]
fn an_address_is_asked_for_ahead_only_in_a_suspicion() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    assert_eq!(watch.peer.ask_at(ms(60)), None);
    watch.run(ms(120));
    assert_eq!(watch.peer.ask_at(ms(60)), Some(START + ms(140)));
    watch.run(ms(80));
    assert_eq!(watch.peer.ask_at(ms(60)), None, "dead");
}

/// The rounds to a dead host are like those to one that is well; the first of a suspicion is not.
#[test]
fn a_round_belongs_to_a_suspicion_from_its_very_beginning() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    // With a quarter of dead-after between the rounds, one falls on the beginning.
    watch.run(just_under(ms(100)));
    let begins = START + ms(100);
    assert_eq!(watch.peer.timeout(), Some(begins));
    assert!(!watch.peer.is_due(begins));
    let mut watch = Watch::dead(timing(DEAD_AFTER));
    let next = watch.peer.timeout().expect("a round");
    assert!(watch.peer.is_due(next));
    assert!(watch.peer.hasten(watch.now, next.since(watch.now)));
    assert!(watch.peer.is_due(watch.now));
}

/// A link that is proven once more, or a stall that was over before the suspicion, takes nothing
/// back.
#[test]
fn what_says_nothing_new_about_the_silence_lets_it_go_on() {
    let undisturbed = rounds_until_death(Watch::alive(timing(DEAD_AFTER))).0;
    let mut proven = Watch::alive(timing(DEAD_AFTER));
    proven.run(ms(150));
    proven.peer.handle_link_proven(proven.now);
    assert!(proven.peer.is_suspected());
    proven.run(ms(50));
    let mut stalled = Watch::alive(timing(DEAD_AFTER));
    stalled.run(just_under(ms(100)));
    stalled.now = START + ms(100);
    stalled.peer.handle_stall(stalled.now);
    stalled.turn();
    stalled.run(ms(100));
    for watch in [proven, stalled] {
        assert_eq!(watch.changes, undisturbed.changes);
    }
}

#[test]
fn a_path_is_slow_when_it_goes_on_being_slow() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let mut hear = |times: u32, round_trip: Duration| {
        for _ in 0..times {
            watch.hear(Some(round_trip));
        }
        watch.peer.slow_round_trip()
    };
    let slow = DEAD_AFTER / 4 + ms(10);
    assert_eq!(hear(15, slow), None, "they may have waited for a link that came up");
    // A quarter is not more than a quarter.
    assert_eq!(hear(1, DEAD_AFTER / 4), None);
    assert_eq!(hear(15, slow), None, "the count began anew");
    let usual = hear(1, slow).expect("it is slow");
    assert!(usual > DEAD_AFTER / 4, "{usual:?}");
}
