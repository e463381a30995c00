//! Every transition, and what must never lead to a verdict.

use std::time::Duration;

use proptest::prelude::*;
use standin_core::config::Timing;
use standin_core::peer::{BURST_ROUNDS, Change, ENOUGH_ROUNDS, Life, Peer};

use crate::watch::{DEAD_AFTER, START, Watch, just_under, ms, timing};

/// The states that a host can be in, and how to get there.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unknown,
    UnknownSuspected,
    Alive,
    Suspected,
    Dead,
    Paused,
}

/// What can happen to it.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Heard,
    SilenceUntilSuspicion,
    SilenceUntilDeath,
    Judge,
    Pause,
    Resume,
    Stall,
}

fn state_of(peer: &Peer) -> State {
    match peer.life() {
        _ if peer.timeout().is_none() => State::Paused,
        Life::Unknown if peer.is_suspected() => State::UnknownSuspected,
        Life::Unknown => State::Unknown,
        Life::Alive if peer.is_suspected() => State::Suspected,
        Life::Alive => State::Alive,
        Life::Dead { .. } => State::Dead,
    }
}

fn watch_in(state: State) -> Watch {
    let timing = timing(DEAD_AFTER);
    let mut watch = match state {
        State::Unknown | State::UnknownSuspected => Watch::new(timing),
        State::Alive | State::Suspected | State::Paused => Watch::alive(timing),
        State::Dead => Watch::dead(timing),
    };
    match state {
        State::UnknownSuspected | State::Suspected => watch.run(ms(120)),
        State::Paused => watch.peer.pause(),
        State::Unknown | State::Alive | State::Dead => {}
    }
    watch.changes.clear();
    assert_eq!(state_of(&watch.peer), state);
    watch
}

#[test]
fn every_transition() {
    use Happens::{Heard, Judge, Pause, Resume, SilenceUntilDeath, SilenceUntilSuspicion, Stall};
    use State::{Alive, Dead, Paused, Suspected, Unknown, UnknownSuspected};
    let table: [(State, Happens, State, &[&str]); 42] = [
        (Unknown, Heard, Alive, &["alive"]),
        (Unknown, SilenceUntilSuspicion, UnknownSuspected, &[]),
        (Unknown, SilenceUntilDeath, Dead, &["died"]),
        (Unknown, Judge, Unknown, &[]),
        (Unknown, Pause, Paused, &[]),
        (Unknown, Resume, Unknown, &[]),
        (Unknown, Stall, Unknown, &[]),
        (UnknownSuspected, Heard, Alive, &["alive"]),
        (UnknownSuspected, SilenceUntilSuspicion, UnknownSuspected, &[]),
        (UnknownSuspected, SilenceUntilDeath, Dead, &["died"]),
        (UnknownSuspected, Judge, UnknownSuspected, &[]),
        (UnknownSuspected, Pause, Paused, &[]),
        (UnknownSuspected, Resume, Unknown, &[]),
        (UnknownSuspected, Stall, Unknown, &[]),
        (Alive, Heard, Alive, &[]),
        (Alive, SilenceUntilSuspicion, Suspected, &["suspected"]),
        (Alive, SilenceUntilDeath, Dead, &["suspected", "died"]),
        (Alive, Judge, Alive, &[]),
        (Alive, Pause, Paused, &[]),
        (Alive, Resume, Alive, &[]),
        (Alive, Stall, Alive, &[]),
        (Suspected, Heard, Alive, &["cleared"]),
        (Suspected, SilenceUntilSuspicion, Suspected, &[]),
        (Suspected, SilenceUntilDeath, Dead, &["died"]),
        (Suspected, Judge, Suspected, &[]),
        (Suspected, Pause, Paused, &[]),
        (Suspected, Resume, Alive, &[]),
        (Suspected, Stall, Alive, &[]),
        (Dead, Heard, Alive, &["back"]),
        (Dead, SilenceUntilSuspicion, Dead, &[]),
        (Dead, SilenceUntilDeath, Dead, &[]),
        (Dead, Judge, Dead, &[]),
        (Dead, Pause, Paused, &[]),
        (Dead, Resume, Dead, &[]),
        (Dead, Stall, Dead, &[]),
        (Paused, SilenceUntilSuspicion, Paused, &[]),
        (Paused, SilenceUntilDeath, Paused, &[]),
        (Paused, Judge, Paused, &[]),
        (Paused, Pause, Paused, &[]),
        (Paused, Resume, Alive, &[]),
        (Paused, Stall, Paused, &[]),
        // Heard through another way though ours is down: alive, but no probes.
        (Paused, Heard, Paused, &[]),
    ];
    for (from, happens, to, said) in table {
        let mut watch = watch_in(from);
        match happens {
            Heard => watch.hear(None),
            SilenceUntilSuspicion => watch.run(if from == Suspected || from == UnknownSuspected {
                ms(20)
            } else {
                ms(120)
            }),
            SilenceUntilDeath => watch.run(ms(210)),
            Judge => watch.turn(),
            Pause => watch.peer.pause(),
            Resume => watch.peer.resume(watch.now),
            Stall => watch.peer.handle_stall(watch.now),
        }
        assert_eq!(state_of(&watch.peer), to, "{from:?} {happens:?}");
        assert_eq!(watch.names(), said, "{from:?} {happens:?}");
    }
}

#[test]
fn on_time_death_comes_exactly_at_dead_after_with_a_full_burst() {
    for dead_after in [ms(5), ms(20), ms(200), ms(1000), ms(9000), ms(3_600_000)] {
        for interval in [dead_after / 100, dead_after / 4, dead_after / 3, dead_after / 2] {
            let timing = Timing { dead_after, interval, back_after: dead_after };
            let mut watch = Watch::alive(timing);
            let heard = watch.now;
            watch.run(just_under(dead_after));
            assert_eq!(watch.peer.life(), Life::Alive, "{timing:?}: too soon");
            watch.run(Duration::from_nanos(1));
            let Some((at, Change::Died { silent, rounds })) = watch.changes.last().copied() else {
                panic!("{timing:?}: no verdict")
            };
            assert_eq!(START + at, heard + dead_after, "{timing:?}");
            assert_eq!(silent, dead_after);
            assert!(rounds > BURST_ROUNDS, "{timing:?}: {rounds} rounds");
            let latter = heard + dead_after * 4 / 10;
            let burst = watch.rounds.iter().filter(|sent| **sent >= latter).count();
            assert!(burst >= 20, "{timing:?}: {burst} rounds in the latter part");
        }
    }
}

#[test]
fn a_dead_host_is_probed_at_its_interval_and_steady_only_from_its_return() {
    let timing = timing(DEAD_AFTER);
    let mut watch = Watch::dead(timing);
    watch.rounds.clear();
    watch.run(ms(500));
    assert_eq!(watch.rounds.len(), 10);
    assert_eq!(watch.peer.steady_since(), None);
    watch.hear(None);
    assert_eq!(watch.peer.steady_since(), Some(watch.now));
    assert!(matches!(watch.changes[..], [(_, Change::Alive { dead_for: Some(_) })]));
    let back = watch.now;
    for _ in 0..10 {
        watch.run(ms(50));
        watch.hear(None);
    }
    assert_eq!(watch.peer.steady_since(), Some(back));
    // A suspicion, though it was wrong, starts the wait for steadiness anew.
    watch.run(ms(150));
    assert_eq!(watch.peer.steady_since(), None);
    watch.hear(None);
    assert_eq!(watch.peer.steady_since(), Some(watch.now));
}

#[test]
fn an_answer_at_the_last_moment_ends_the_suspicion() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.run(just_under(DEAD_AFTER));
    watch.hear(None);
    watch.run(just_under(ms(100)));
    assert_eq!(watch.names(), ["alive", "suspected", "cleared"]);
    assert_eq!(watch.peer.deadline(), START + DEAD_AFTER - Duration::from_nanos(1) + DEAD_AFTER);
}

#[test]
fn no_verdict_before_judge() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    while watch.now < START + ms(400) {
        let (_, _) = watch.peer.handle_timeout(watch.now);
        watch.now = watch.now + Duration::from_micros(500);
    }
    assert_eq!(watch.peer.life(), Life::Alive, "timers alone kill nobody");
    assert!(watch.peer.judge(watch.now).is_some());
}

#[test]
fn a_late_wakeup_gives_no_verdict_without_a_burst() {
    // Whatever the lateness, and with or without the shell's word that it was late.
    for told in [false, true] {
        for late in [1, 40, 60, 99, 150, 199, 200, 201, 500, 10_000, 1_000_000] {
            let mut watch = Watch::alive(timing(DEAD_AFTER));
            watch.now = watch.now + ms(late);
            if told {
                watch.peer.handle_stall(watch.now);
            }
            let sent_before = watch.rounds.len();
            let woke = watch.now;
            watch.turn();
            assert_eq!(watch.peer.life(), Life::Alive, "{late} ms late");
            watch.run(ms(1000));
            let Some((died, Change::Died { .. })) = watch.changes.last().copied() else {
                panic!("{late} ms late: a silent host must die in the end")
            };
            let rounds = watch.rounds[sent_before..].iter().filter(|r| **r < START + died).count();
            assert!(rounds >= ENOUGH_ROUNDS, "{late} ms late: {rounds} rounds");
            let took = (START + died).since(woke);
            assert!(took <= DEAD_AFTER, "{late} ms late: {took:?} until the verdict");
            if told && late >= 100 {
                assert!(took >= ms(95), "{late} ms late: the whole burst again, not {took:?}");
            }
        }
    }
}

#[test]
fn a_stall_amid_the_burst_repeats_it() {
    for before in [110, 150, 190, 199] {
        let mut watch = Watch::alive(timing(DEAD_AFTER));
        watch.run(ms(before));
        watch.now = watch.now + ms(300);
        watch.peer.handle_stall(watch.now);
        let woke = watch.now;
        watch.rounds.clear();
        watch.turn();
        watch.run(ms(99));
        assert_eq!(watch.peer.life(), Life::Alive);
        watch.run(ms(1));
        assert!(matches!(watch.peer.life(), Life::Dead { .. }), "a whole burst after waking");
        let again = watch.rounds.iter().filter(|sent| **sent >= woke).count();
        assert!(again >= 20, "{again} rounds");
    }
}

#[test]
fn probes_that_were_not_sent_do_not_count() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let end = watch.now + ms(2000);
    let mut refused = 0;
    while let Some(at) = watch.peer.timeout().filter(|at| *at <= end) {
        watch.now = at;
        let (_, round) = watch.peer.handle_timeout(at);
        if round {
            assert!(!watch.peer.handle_not_sent(2), "one of two kinds went out");
            assert!(watch.peer.handle_not_sent(2), "neither did");
            refused += 1;
        }
        assert_eq!(watch.peer.judge(at), None, "silence to nothing asked");
    }
    assert!((100..1000).contains(&refused), "goes on at its pace: {refused}");
    // Once they can be sent, so many are enough.
    watch.rounds.clear();
    watch.now = end;
    watch.run(ms(300));
    assert!(matches!(watch.peer.life(), Life::Dead { .. }));
    assert!(watch.rounds.len() >= ENOUGH_ROUNDS);
}

#[test]
fn half_sent_rounds_do_count() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let end = watch.now + DEAD_AFTER;
    while let Some(at) = watch.peer.timeout().filter(|at| *at <= end) {
        watch.now = at;
        if watch.peer.handle_timeout(at).1 {
            assert!(!watch.peer.handle_not_sent(2));
        }
        watch.peer.judge(at);
    }
    assert_eq!(watch.peer.life(), Life::Dead { silent_since: end - DEAD_AFTER });
}

#[test]
fn a_cut_on_our_side_is_nobodys_death() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.run(ms(150));
    watch.peer.pause();
    assert_eq!(watch.peer.timeout(), None);
    watch.run(ms(100_000));
    watch.turn();
    assert_eq!(watch.peer.life(), Life::Alive);
    assert_eq!(watch.peer.steady_since(), None, "who knows");
    watch.peer.resume(watch.now);
    let up = watch.now;
    assert_eq!(watch.peer.timeout(), Some(up), "probed at once");
    // The port of a switch may take its time to forward.
    watch.run(ms(2999));
    assert_eq!(watch.peer.life(), Life::Alive);
    watch.run(ms(1));
    assert_eq!(watch.peer.life(), Life::Dead { silent_since: up });
}

#[test]
fn a_link_that_carries_frames_shortens_the_patience() {
    for proven_at in [0, 50, 100, 150, 1000, 2950] {
        let mut watch = Watch::new(timing(DEAD_AFTER));
        watch.peer = Peer::new(timing(DEAD_AFTER), START);
        watch.run(ms(proven_at));
        watch.peer.handle_link_proven(watch.now);
        let proven = watch.now;
        watch.run(ms(5000));
        let Some((died, Change::Died { .. })) = watch.changes.last().copied() else {
            panic!("no verdict")
        };
        let took = (START + died).since(proven);
        let total = died;
        assert!(took >= ms(100), "{proven_at}: a whole burst on a link that carries, {took:?}");
        assert!(took <= DEAD_AFTER && total >= DEAD_AFTER, "{proven_at}: {took:?}");
    }
}

#[test]
fn a_link_that_carries_nothing_is_given_three_seconds_or_three_times_dead_after() {
    for (dead_after, patience) in [(ms(20), ms(3000)), (ms(1000), ms(3000)), (ms(9000), ms(27_000))]
    {
        let mut watch = Watch::new(timing(dead_after));
        watch.peer = Peer::new(timing(dead_after), START);
        watch.run(just_under(patience));
        assert_eq!(watch.peer.life(), Life::Unknown);
        watch.run(Duration::from_nanos(1));
        assert_eq!(watch.peer.life(), Life::Dead { silent_since: START });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    OnTime,
    Hear(Option<u64>),
    NotSent,
    Pause,
    Resume,
    Stall,
    Proven,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..400_000_000_u64).prop_map(Step::Wait),
        12 => Just(Step::OnTime),
        2 => proptest::option::of(0..1_000_000_000_u64).prop_map(Step::Hear),
        2 => Just(Step::NotSent),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Stall),
        1 => Just(Step::Proven),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// After a turn there is nothing left to do at the same instant, whatever came before; and a
    /// verdict always has its rounds and its silence.
    #[test]
    fn never_spins_and_never_judges_in_haste(
        dead_after_us in 5_000..2_000_000_u64,
        interval_share in 2..50_u32,
        steps in proptest::collection::vec(any_step(), 1..200),
    ) {
        let dead_after = Duration::from_micros(dead_after_us);
        let timing =
            Timing { dead_after, interval: dead_after / interval_share, back_after: dead_after };
        let mut peer = Peer::new(timing, START);
        let mut now = START;
        let mut heard = START;
        let mut rounds_since_heard = 0_usize;
        for step in steps {
            match step {
                Step::Wait(nanos) => now = now + Duration::from_nanos(nanos),
                Step::OnTime => now = peer.timeout().unwrap_or(now).max(now),
                Step::Hear(round_trip) => {
                    peer.handle_heard(now, round_trip.map(Duration::from_nanos));
                    heard = now;
                    rounds_since_heard = 0;
                }
                Step::NotSent => {
                    let unsent = usize::from(peer.handle_not_sent(1));
                    rounds_since_heard = rounds_since_heard.saturating_sub(unsent);
                }
                Step::Pause => peer.pause(),
                Step::Resume => peer.resume(now),
                Step::Stall => peer.handle_stall(now),
                Step::Proven => peer.handle_link_proven(now),
            }
            let (_, round) = peer.handle_timeout(now);
            rounds_since_heard += usize::from(round);
            if let Some(Change::Died { silent, .. }) = peer.judge(now) {
                prop_assert!(silent >= dead_after && now.since(heard) >= dead_after);
                prop_assert!(rounds_since_heard >= ENOUGH_ROUNDS);
            }
            if let Some(next) = peer.timeout() {
                prop_assert!(next > now, "due again at once: {peer:?}");
            }
        }
    }
}
