//! A host that may be silent for longer for a while, and rounds that go out seldom.

use std::time::Duration;

use standin_core::Instant;
use standin_core::config::Timing;
use standin_core::peer::{Change, Life, Peer};

use crate::watch::{DEAD_AFTER, START, Watch, ms, timing};

/// When it was suspected and when it died, from now on.
fn end(watch: &mut Watch) -> (Option<Duration>, Option<Duration>) {
    let (begun, mut ends) = (watch.now, (None, None));
    watch.changes.clear();
    watch.run(ms(5000));
    for (at, change) in &watch.changes {
        match change {
            Change::Suspected { .. } => ends.0 = Some((START + *at).since(begun)),
            Change::Died { .. } => ends.1 = Some((START + *at).since(begun)),
            Change::Alive { .. } | Change::Cleared { .. } => {}
        }
    }
    ends
}

#[test]
fn times_for_one_that_holds_nothing_are_longer_up_to_a_second() {
    let rest = |dead_after, interval| {
        let timing = Timing { dead_after: ms(dead_after), interval: ms(interval), ..timing(ms(1)) };
        let resting = timing.resting();
        assert_eq!(resting.back_after, timing.back_after);
        (resting.dead_after, resting.interval)
    };
    assert_eq!(rest(20, 5), (ms(200), ms(50)));
    assert_eq!(rest(20, 2), (ms(200), ms(20)));
    assert_eq!(rest(100, 25), (ms(1000), ms(250)));
    assert_eq!(rest(400, 100), (ms(1000), ms(250)));
    assert_eq!(rest(1000, 250), (ms(1000), ms(250)));
    assert_eq!(rest(5000, 20), (ms(5000), ms(20)));
}

#[test]
fn who_may_be_silent_for_longer_is_judged_by_that() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let longer = timing(DEAD_AFTER).resting();
    watch.peer.watch(longer);
    assert_eq!(watch.peer.timing(), longer);
    assert_eq!(end(&mut watch), (Some(ms(500)), Some(ms(1000))));
    // And by the other as soon as it is heard to be like any.
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.peer.watch(longer);
    watch.run(ms(400));
    watch.peer.watch(timing(DEAD_AFTER));
    watch.hear(None);
    assert_eq!(end(&mut watch), (Some(ms(100)), Some(ms(200))));
}

#[test]
fn a_link_that_is_not_proven_keeps_its_time() {
    let mut peer = Peer::new(timing(DEAD_AFTER), START);
    let deadline = peer.deadline();
    assert!(deadline > START + ms(1000));
    peer.watch(timing(DEAD_AFTER).resting());
    assert_eq!(peer.deadline(), deadline);
    peer.watch(timing(DEAD_AFTER));
    assert_eq!(peer.deadline(), deadline);
}

#[test]
fn who_is_looked_at_closely_has_time_for_one_answer_and_for_the_burst() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.peer.watch(timing(DEAD_AFTER).resting());
    watch.run(ms(450));
    watch.peer.watch_closely(timing(DEAD_AFTER), watch.now);
    assert_eq!(end(&mut watch), (Some(ms(20)), Some(ms(120))));
    // An answer is enough.
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.peer.watch(timing(DEAD_AFTER).resting());
    watch.run(ms(450));
    watch.peer.watch_closely(timing(DEAD_AFTER), watch.now);
    watch.changes.clear();
    watch.run(ms(19));
    watch.peer.watch(timing(DEAD_AFTER).resting());
    watch.hear(None);
    assert_eq!((watch.names().len(), watch.peer.life()), (0, Life::Alive));
    assert_eq!(end(&mut watch), (Some(ms(500)), Some(ms(1000))));
    // Of one that was heard a moment ago nothing is taken.
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    watch.run(ms(30));
    watch.peer.watch_closely(timing(DEAD_AFTER), watch.now);
    assert_eq!(end(&mut watch), (Some(ms(70)), Some(ms(170))));
}

#[test]
fn another_pace_holds_from_the_next_round_on() {
    let mut watch = Watch::alive(timing(DEAD_AFTER));
    let next = watch.peer.timeout().expect("a round");
    watch.peer.set_pace(ms(90), watch.now);
    assert_eq!(watch.peer.timeout(), Some(next));
    let rounds = |watch: &mut Watch, length: Duration| -> Vec<Duration> {
        watch.rounds.clear();
        let end = watch.now + length;
        while watch.now < end {
            watch.run(ms(10));
            watch.hear(None);
        }
        let since = |at: &[Instant]| at[1].since(at[0]);
        watch.rounds.windows(2).map(since).collect()
    };
    assert_eq!(rounds(&mut watch, ms(400)), [ms(90); 3]);
    // A shorter one holds at once.
    let now = watch.now;
    watch.peer.set_pace(ms(10), now);
    assert!(watch.peer.timeout().expect("a round") <= now + ms(10));
    assert_eq!(rounds(&mut watch, ms(100)), [ms(10); 9]);
    // Those to a dead host are as far apart.
    watch.run(ms(1000));
    watch.rounds.clear();
    watch.run(ms(95));
    assert_eq!(watch.rounds.len(), 9, "{:?}", watch.rounds);
    // Where no rounds go out, none is due.
    watch.peer.pause();
    watch.peer.set_pace(ms(5), watch.now);
    assert!(watch.peer.is_paused());
}
