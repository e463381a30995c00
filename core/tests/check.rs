//! One check: how many results make an opinion, and what becomes of runs that are lost.

use std::sync::Arc;
use std::time::Duration;

use standin_core::Instant;
use standin_core::check::{Change, Check, NEVER_PASSED, together};
use standin_core::config::{Check as Settings, Vantage, VipId};
use standin_core::decide::Service;
use standin_core::io::CheckTarget;

const INTERVAL: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);
const HOME: CheckTarget =
    CheckTarget::Home(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

fn check(rise: u32, fall: u32) -> Check {
    let settings = Settings {
        vantage: Vantage::OnItself,
        name: Arc::from("page"),
        vip: VipId(0),
        interval: INTERVAL,
        timeout: TIMEOUT,
        rise,
        fall,
    };
    Check::new(&settings, at(10))
}

/// Runs the check once at its time, with this result.
fn run(check: &mut Check, ok: bool) -> (Instant, Option<Change>) {
    let now = check.timeout().expect("a check always has a next run");
    assert!(check.handle_timeout(now), "due at its own timeout");
    let result = if ok { Ok(()) } else { Err(String::from("refused")) };
    (now, check.handle_result(now, check.target(), result))
}

/// The changes that a row of results makes: `+` passing, `-` failing, `?` never passed.
fn story(rise: u32, fall: u32, results: &str) -> String {
    let mut check = check(rise, fall);
    let letter = |change| match change {
        None => '.',
        Some(Change::Passing) => '+',
        Some(Change::Failing(_)) => '-',
        Some(Change::NeverPassed(_, _)) => '?',
    };
    results.chars().map(|result| letter(run(&mut check, result == 'o').1)).collect()
}

#[test]
fn rise_and_fall() {
    let table = [
        (1, 1, "ooxxoox", "+.-.+.-"),
        (2, 3, "ooooxxxxoo", ".+....-..+"),
        (2, 3, "oxoxoo", ".....+"),
        // Only a row counts.
        (1, 3, "oxxoxxoxxx", "+........-"),
        (3, 1, "oooxooxooo", "..+-.....+"),
        // Never passed: three times as many failures, said once at the ordinary number.
        (1, 3, "xxxxxxxxxxx", "..?.....-.."),
        (1, 1, "xxxx", "?.-."),
        (1, 3, "xxxo", "..?+"),
        // A row of failures that breaks off says so again when it comes back.
        (2, 2, "xxoxx", ".?..?"),
        // After it has passed once, and the target is good, the ordinary number counts.
        (1, 2, "xxoxxx", ".?+.-."),
    ];
    for (rise, fall, results, changes) in table {
        assert_eq!(story(rise, fall, results), changes, "rise {rise} fall {fall}: {results}");
    }
}

#[test]
fn what_was_last_wrong_is_kept() {
    let mut check = check(1, 1);
    assert_eq!(check.last_failure(), None);
    run(&mut check, true);
    let (when, change) = run(&mut check, false);
    assert_eq!(change, Some(Change::Failing(String::from("refused"))));
    assert_eq!(check.service(), Service::Failing(when));
    assert_eq!(check.last_failure(), Some("refused"));
    let (when, _) = run(&mut check, true);
    assert_eq!(check.service(), Service::Passing(when));
    let (_, change) = run(&mut check, true);
    assert_eq!((check.service(), change), (Service::Passing(when), None), "since is not moved");
}

#[test]
fn never_passed_says_how_many_are_left() {
    let mut check = check(1, 2);
    run(&mut check, false);
    let (_, change) = run(&mut check, false);
    let left = 2 * (NEVER_PASSED - 1);
    assert_eq!(change, Some(Change::NeverPassed(String::from("refused"), left)));
    for _ in 1..left {
        assert_eq!(run(&mut check, false).1, None);
        assert_eq!(check.service(), Service::Unknown);
    }
    assert!(matches!(run(&mut check, false).1, Some(Change::Failing(_))));
}

#[test]
fn one_run_at_a_time_from_start_to_start() {
    let mut check = check(1, 1);
    assert_eq!(check.timeout(), Some(at(10)));
    assert!(!check.handle_timeout(at(9)));
    assert!(check.handle_timeout(at(10)));
    assert!(!check.handle_timeout(at(12)), "the first is still under way");
    check.handle_result(at(13), CheckTarget::Vip, Ok(()));
    assert_eq!(check.timeout(), Some(at(12)), "overdue, so at once");
    assert!(check.handle_timeout(at(13)));
    check.handle_result(at(13), CheckTarget::Vip, Ok(()));
    assert_eq!(check.timeout(), Some(at(15)));
}

#[test]
fn a_lost_run_is_given_up_and_says_nothing() {
    let mut check = check(1, 1);
    assert!(check.handle_timeout(at(10)));
    let give_up = at(10) + TIMEOUT + Duration::from_secs(5);
    assert_eq!(check.timeout(), Some(give_up));
    assert!(check.handle_timeout(give_up), "the next run takes its place");
    assert_eq!(check.service(), Service::Unknown);
    assert_eq!(check.handle_result(give_up, CheckTarget::Vip, Ok(())), Some(Change::Passing));
    assert_eq!(check.handle_result(give_up, CheckTarget::Vip, Ok(())), None, "nobody asked");
}

#[test]
fn another_target_is_another_matter() {
    let mut check = check(1, 1);
    run(&mut check, true);
    run(&mut check, false);
    assert!(check.handle_timeout(check.timeout().expect("next")));
    check.aim(at(20), CheckTarget::Vip);
    assert!(matches!(check.service(), Service::Failing(_)), "the same target: nothing changes");
    check.aim(at(20), HOME);
    assert_eq!((check.service(), check.target()), (Service::Unknown, HOME));
    assert_eq!(check.timeout(), Some(at(22)), "given an interval to come up");
    assert_eq!(check.handle_result(at(21), CheckTarget::Vip, Ok(())), None, "of the old target");
    assert_eq!(check.service(), Service::Unknown);
    let (when, change) = run(&mut check, true);
    assert_eq!((check.service(), change), (Service::Passing(when), Some(Change::Passing)));
}

#[test]
fn a_stale_result_does_not_end_the_run_of_another_target() {
    let mut check = check(1, 1);
    assert!(check.handle_timeout(at(10)));
    check.aim(at(10), HOME);
    assert!(check.handle_timeout(at(12)));
    assert_eq!(check.handle_result(at(12), CheckTarget::Vip, Ok(())), None);
    assert_eq!(check.handle_result(at(12), HOME, Ok(())), Some(Change::Passing));
}

#[test]
fn several_checks_of_one_vip_speak_together() {
    use Service::{Failing, Passing, Unknown};
    let table: [(&[Service], Service); 9] = [
        (&[], Unknown),
        (&[Passing(at(3))], Passing(at(3))),
        (&[Unknown, Passing(at(3))], Unknown),
        (&[Passing(at(3)), Unknown], Unknown),
        (&[Passing(at(3)), Passing(at(5))], Passing(at(5))),
        (&[Failing(at(9)), Passing(at(3))], Failing(at(9))),
        (&[Passing(at(3)), Failing(at(9)), Unknown], Failing(at(9))),
        (&[Failing(at(9)), Failing(at(4)), Unknown], Failing(at(4))),
        (&[Unknown, Failing(at(9))], Failing(at(9))),
    ];
    for (services, all) in table {
        assert_eq!(together(services.iter().copied()), all, "{services:?}");
    }
}

#[test]
fn a_redirected_check_says_what_it_said_until_it_is_told_otherwise() {
    let mut check = check(1, 2);
    run(&mut check, true);
    check.redirect(at(11), CheckTarget::Vip);
    assert!(matches!(check.service(), Service::Passing(_)));
    check.redirect(at(11), HOME);
    assert!(matches!(check.service(), Service::Passing(_)), "and back");
    assert_eq!(check.target(), HOME);
}

#[test]
fn a_check_that_rests_knows_nothing_and_runs_nothing() {
    let mut check = check(1, 2);
    run(&mut check, true);
    check.rest();
    assert_eq!((check.service(), check.timeout()), (Service::Unknown, None));
    check.begin(at(20));
    assert_eq!(check.timeout(), Some(at(20)));
}
