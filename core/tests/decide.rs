//! Who should hold an address: the whole table, as data.

use std::time::Duration;

use standin_core::Instant;
use standin_core::config::{Failback, OnCheckFailure};
use standin_core::decide::{Cause, Decision, HomeView, Reason, Rules, Service, decide};
use standin_core::peer::Life;

const NOW: Instant = at(100_000);
const BACK_AFTER: Duration = Duration::from_secs(1);

const fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is seen of the home.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    Unknown,
    /// Dead, silent for 3 s.
    Dead,
    /// Alive and steady for so many milliseconds, last heard 10 ms ago.
    Steady(u64),
    /// Alive, but being probed in a burst.
    Suspected,
}

/// What the checks say, and since how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Checks {
    None,
    Pass(u64),
    Fail(u64),
}

fn view(seen: Seen, checks: Checks) -> HomeView {
    let before = |millis| at(100_000 - millis);
    let (life, steady_since, heard_at) = match seen {
        Seen::Unknown => (Life::Unknown, None, None),
        Seen::Dead => (Life::Dead { silent_since: before(3000) }, None, Some(before(3000))),
        Seen::Steady(millis) => (Life::Alive, Some(before(millis)), Some(before(10))),
        Seen::Suspected => (Life::Alive, None, Some(before(600))),
    };
    let service = match checks {
        Checks::None => Service::Unknown,
        Checks::Pass(millis) => Service::Passing(before(millis)),
        Checks::Fail(millis) => Service::Failing(before(millis)),
    };
    HomeView { life, steady_since, heard_at, service }
}

const FAILBACKS: [Failback; 3] = [Failback::Yes, Failback::No, Failback::After(ms(30_000))];
const POLICIES: [OnCheckFailure; 2] = [OnCheckFailure::Takeover, OnCheckFailure::Warn];
const CHECKS: [Checks; 4] =
    [Checks::None, Checks::Pass(50_000), Checks::Fail(5000), Checks::Fail(5)];
const CAUSES: [Option<Cause>; 4] =
    [None, Some(Cause::HomeDead), Some(Cause::ServiceDown), Some(Cause::Adopted)];

fn run(
    seen: Seen,
    checks: Checks,
    standing_in: Option<Cause>,
    failback: Failback,
    on_check_failure: OnCheckFailure,
) -> Decision {
    let rules = Rules { failback, on_check_failure, back_after: BACK_AFTER };
    decide(NOW, view(seen, checks), standing_in, rules)
}

/// `Some(again)` where the decision is to be made again after so long.
fn expected(here: Option<Cause>, reason: Reason, again: Option<Duration>) -> Decision {
    Decision { here, reason, again_at: again.map(|length| NOW + length) }
}

#[test]
fn a_dead_home_is_stood_in_for_whatever_else_is_so() {
    for standing_in in CAUSES {
        for checks in CHECKS {
            for failback in FAILBACKS {
                for policy in POLICIES {
                    let decision = run(Seen::Dead, checks, standing_in, failback, policy);
                    let reason = Reason::HomeDead(ms(3000));
                    assert_eq!(decision, expected(Some(Cause::HomeDead), reason, None));
                }
            }
        }
    }
}

#[test]
fn of_an_unknown_home_nothing_is_taken_and_nothing_is_given_back() {
    for standing_in in CAUSES {
        for checks in CHECKS {
            for failback in FAILBACKS {
                for policy in POLICIES {
                    let decision = run(Seen::Unknown, checks, standing_in, failback, policy);
                    assert_eq!(decision, expected(standing_in, Reason::NotYetKnown, None));
                }
            }
        }
    }
}

#[test]
fn a_living_home_keeps_its_address_unless_its_service_fails() {
    use OnCheckFailure::{Takeover, Warn};
    let down = (Some(Cause::ServiceDown), Reason::ServiceDown);
    let warn = (None, Reason::ServiceDownWarnOnly);
    let alive = (None, Reason::HomeAlive);
    let table = [
        (Seen::Steady(60_000), Checks::None, Takeover, alive),
        (Seen::Steady(60_000), Checks::None, Warn, alive),
        (Seen::Steady(60_000), Checks::Pass(50_000), Takeover, alive),
        (Seen::Steady(60_000), Checks::Pass(50_000), Warn, alive),
        (Seen::Steady(60_000), Checks::Fail(5000), Takeover, down),
        (Seen::Steady(60_000), Checks::Fail(5000), Warn, warn),
        // Heard 10 ms ago and failing for 5: the host may be dying.
        (Seen::Steady(60_000), Checks::Fail(5), Takeover, alive),
        (Seen::Steady(60_000), Checks::Fail(5), Warn, alive),
        // Failing for exactly as long as it has been silent: it has not answered since.
        (Seen::Steady(60_000), Checks::Fail(10), Takeover, alive),
        (Seen::Steady(60_000), Checks::Fail(11), Takeover, down),
        // A suspected host may be dead, which is another matter.
        (Seen::Suspected, Checks::None, Takeover, alive),
        (Seen::Suspected, Checks::Pass(50_000), Takeover, alive),
        (Seen::Suspected, Checks::Fail(5000), Takeover, alive),
        (Seen::Suspected, Checks::Fail(5000), Warn, alive),
    ];
    for (seen, checks, policy, (here, reason)) in table {
        for failback in FAILBACKS {
            let decision = run(seen, checks, None, failback, policy);
            assert_eq!(decision, expected(here, reason, None), "{seen:?} {checks:?} {policy:?}");
        }
    }
}

#[test]
fn when_an_address_goes_home() {
    use Failback::{After, No, Yes};
    let dead = Cause::HomeDead;
    let adopted = Cause::Adopted;
    let down = Cause::ServiceDown;
    let late = After(ms(30_000));
    let soon = After(ms(10));
    let returning = |left| Reason::Returning(ms(left));
    let returned = |steady| Reason::Returned(ms(steady));
    let (stay, go) = (true, false);
    #[rustfmt::skip]
    let table = [
        // A host that was dead: steadiness decides, its checks (aimed elsewhere) do not.
        (dead, Seen::Steady(0), Checks::None, Yes, stay, returning(1000), Some(ms(1000))),
        (dead, Seen::Steady(999), Checks::None, Yes, stay, returning(1), Some(ms(1))),
        (dead, Seen::Steady(1000), Checks::None, Yes, go, returned(1000), None),
        (dead, Seen::Steady(2000), Checks::Fail(5000), Yes, go, returned(2000), None),
        (dead, Seen::Suspected, Checks::None, Yes, stay, returning(1000), None),
        (dead, Seen::Steady(29_000), Checks::None, late, stay, returning(1000), Some(ms(1000))),
        (dead, Seen::Steady(30_000), Checks::None, late, go, returned(30_000), None),
        (dead, Seen::Suspected, Checks::None, late, stay, returning(30_000), None),
        // A failback delay below back_after does not shorten it.
        (dead, Seen::Steady(500), Checks::None, soon, stay, returning(500), Some(ms(500))),
        (dead, Seen::Steady(1000), Checks::None, soon, go, returned(1000), None),
        (dead, Seen::Steady(90_000), Checks::Pass(50_000), No, stay, Reason::NoFailback, None),
        (dead, Seen::Suspected, Checks::None, No, stay, Reason::NoFailback, None),
        // What an earlier run held goes home as after a death.
        (adopted, Seen::Steady(0), Checks::None, Yes, stay, returning(1000), Some(ms(1000))),
        (adopted, Seen::Steady(1000), Checks::None, Yes, go, returned(1000), None),
        (adopted, Seen::Steady(90_000), Checks::None, No, stay, Reason::NoFailback, None),
        // A dead service: it has to pass at home for as long, and the host has to be steady.
        (down, Seen::Steady(90_000), Checks::None, Yes, stay, Reason::ServiceDown, None),
        (down, Seen::Steady(90_000), Checks::Fail(5000), Yes, stay, Reason::ServiceDown, None),
        (down, Seen::Steady(90_000), Checks::Pass(400), Yes, stay, returning(600), Some(ms(600))),
        (down, Seen::Steady(90_000), Checks::Pass(1000), Yes, go, returned(1000), None),
        (down, Seen::Steady(400), Checks::Pass(50_000), Yes, stay, returning(600), Some(ms(600))),
        (down, Seen::Suspected, Checks::Pass(50_000), Yes, stay, returning(1000), None),
        (down, Seen::Steady(90_000), Checks::Pass(50_000), late, go, returned(50_000), None),
        (down, Seen::Steady(90_000), Checks::Pass(50_000), No, stay, Reason::NoFailback, None),
        (down, Seen::Steady(90_000), Checks::Fail(5000), No, stay, Reason::NoFailback, None),
    ];
    for (cause, seen, checks, failback, stays, reason, again) in table {
        let here = (stays == stay).then_some(cause);
        for policy in POLICIES {
            let decision = run(seen, checks, Some(cause), failback, policy);
            let context = format!("{cause:?} {seen:?} {checks:?} {failback:?}");
            assert_eq!(decision, expected(here, reason, again), "{context}");
        }
    }
}

#[test]
fn deciding_again_when_asked_to_comes_to_an_end() {
    // Every `again_at` lies ahead, and the decision made then is the last.
    for seen in [Seen::Steady(0), Seen::Steady(999), Seen::Steady(29_999)] {
        for failback in FAILBACKS {
            for cause in [Cause::HomeDead, Cause::ServiceDown, Cause::Adopted] {
                let rules = Rules {
                    failback,
                    on_check_failure: OnCheckFailure::Takeover,
                    back_after: BACK_AFTER,
                };
                let home = view(seen, Checks::Pass(10));
                let Some(again) = decide(NOW, home, Some(cause), rules).again_at else { continue };
                assert!(again > NOW);
                let then = decide(again, home, Some(cause), rules);
                assert_eq!((then.here, then.again_at), (None, None));
            }
        }
    }
}

#[test]
fn reasons_are_sentences() {
    let said = [
        (Reason::Own, "own", "it is this host's own address"),
        (Reason::NotYetKnown, "not-yet-known", "brain has not been heard yet"),
        (Reason::HomeAlive, "home-alive", "brain is alive"),
        (Reason::HomeDead(ms(1040)), "home-dead", "brain is dead: nothing has answered for 1 s"),
        (Reason::ServiceDown, "service-down", "the service check fails though brain is alive"),
        (
            Reason::ServiceDownWarnOnly,
            "service-down-warn-only",
            "the service check fails, and on-check-failure is warn",
        ),
        (
            Reason::Returning(ms(250)),
            "home-returning",
            "brain is back; waiting 250 ms more for it to be steady",
        ),
        (Reason::Returned(ms(1500)), "home-returned", "brain is back, steady for 1.5 s"),
        (Reason::NoFailback, "no-failback", "brain is back, and failback is no"),
        (Reason::HomeClaims, "home-claims", "brain claims it itself"),
        (Reason::Stopping, "stopping", "standin was told to stop"),
    ];
    for (reason, name, sentence) in said {
        assert_eq!(reason.name(), name);
        assert_eq!(reason.sentence("brain").to_string(), sentence);
    }
}
