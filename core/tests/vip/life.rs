//! The state of a VIP as it is told to others, and the start of a run.

use std::time::Duration;

use standin_core::config::{ADDRESS_LIFETIME, Home};
use standin_core::decide::Reason;
use standin_core::vip::{Place, Vip};
use standin_core::{Action, Instant};

use crate::support::{
    AT_BRAIN, HIGHER, Stage, WINDOW, adds, announces, asserts, is_probe, ms, removes,
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
    stage.run(ms(1000));
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
    stage.run(WINDOW - Duration::from_nanos(1));
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

#[test]
fn a_vip_that_nobody_wants_does_nothing() {
    let mut stage = Stage::new(AT_BRAIN);
    stage.act(Vip::settle);
    stage.act(Vip::handle_timeout);
    stage.act(|vip, around| vip.unwant(around, Reason::HomeAlive));
    assert_eq!((stage.vip.timeout(), stage.done.len()), (None, 0));
}
