//! A planned move, step by step, as the giver and as the receiver: what each waits for, and what
//! becomes of a move that goes wrong.

use std::time::Duration;

use standin_core::Instant;
use standin_core::cluster::handover::{Command, Facts, Handover, Here, LINGER, Other, Stage};
use standin_core::place::NodeId;

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const PINKY: NodeId = NodeId(0);
const BRAIN: NodeId = NodeId(1);
/// An offer, and a receiver, wait for so long.
const OFFER: Duration = ms(1000);
/// The giver is quiet for so long without hearing that the receiver has it.
const QUIET: Duration = ms(300);
/// A move that failed is tried again after this.
const RETRY: Duration = ms(5000);
const NANO: Duration = Duration::from_nanos(1);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A fellow that takes part and says nothing of the group.
const SILENT: Other = Other {
    takes_part: true,
    holds: false,
    quiet_for_us: false,
    offers_us: false,
    takes_from_us: false,
};
const TAKES: Other = Other { takes_from_us: true, ..SILENT };
const HOLDS: Other = Other { holds: true, ..SILENT };
const OFFERS: Other = Other { holds: true, offers_us: true, ..SILENT };
const QUIET_FOR_US: Other = Other { holds: true, quiet_for_us: true, ..SILENT };

/// This node has the group, and Brain should.
const GIVE: Facts = Facts {
    here: Here::All,
    quieted: false,
    target: Some(BRAIN),
    offered_by: None,
    may_take: true,
    other: Some(SILENT),
};
/// Brain has the group and offers it.
const TAKE: Facts = Facts {
    here: Here::None,
    quieted: false,
    target: None,
    offered_by: Some(BRAIN),
    may_take: true,
    other: Some(OFFERS),
};

fn heard(facts: Facts, other: Other) -> Facts {
    Facts { other: Some(other), ..facts }
}

/// A fellow that says the same, but whose daemon is not heard or has another configuration.
fn gone(other: Other) -> Other {
    Other { takes_part: false, ..other }
}

struct Move {
    handover: Handover,
    now: Instant,
}

impl Move {
    fn new() -> Self {
        Self { handover: Handover::default(), now: START }
    }

    fn step(&mut self, facts: &Facts) -> Option<Command> {
        self.handover.advance(self.now, facts)
    }

    fn wait(mut self, length: Duration) -> Self {
        self.now = self.now + length;
        self
    }

    fn offered() -> Self {
        let mut giver = Self::new();
        assert_eq!(giver.step(&GIVE), None);
        assert_eq!(giver.handover.stage(), Stage::Offered { to: BRAIN, since: START });
        giver
    }

    fn quieting() -> Self {
        let mut giver = Self::offered();
        assert_eq!(giver.step(&heard(GIVE, TAKES)), Some(Command::Quiet));
        assert_eq!(giver.handover.stage(), Stage::Quieting { to: BRAIN, since: START });
        giver
    }

    /// The kernel took a moment.
    fn quiet() -> Self {
        let mut giver = Self::quieting().wait(ms(10));
        assert_eq!(giver.step(&Facts { quieted: true, ..heard(GIVE, TAKES) }), None);
        assert_eq!(giver.handover.stage(), Stage::Quiet { to: BRAIN, since: START + ms(10) });
        giver
    }

    fn lingering() -> Self {
        let mut giver = Self::quiet();
        assert_eq!(giver.step(&Facts { quieted: true, ..heard(GIVE, HOLDS) }), None);
        let until = giver.now + LINGER;
        assert_eq!(giver.handover.stage(), Stage::Lingering { to: BRAIN, until });
        giver
    }

    fn accepting() -> Self {
        let mut receiver = Self::new();
        assert_eq!(receiver.step(&TAKE), None);
        assert_eq!(receiver.handover.stage(), Stage::Accepting { from: BRAIN, since: START });
        receiver
    }

    fn taking() -> Self {
        let mut receiver = Self::accepting();
        assert_eq!(receiver.step(&heard(TAKE, QUIET_FOR_US)), Some(Command::Take));
        assert_eq!(receiver.handover.stage(), Stage::Taking { from: BRAIN, since: START });
        receiver
    }

    fn is_over(&self) -> bool {
        self.handover.stage() == Stage::Idle
    }

    /// It is over, and this node does not offer again before the time.
    #[track_caller]
    fn assert_failed(mut self) {
        let at = self.now + RETRY;
        assert!(self.is_over());
        assert_eq!(self.handover.timeout(), Some(at));
        self.now = at - NANO;
        self.step(&GIVE);
        assert!(self.is_over(), "too soon");
        self.now = at;
        self.step(&GIVE);
        assert_eq!(self.handover.stage(), Stage::Offered { to: BRAIN, since: at });
    }

    /// It is over, and nothing speaks against another.
    #[track_caller]
    fn assert_over(mut self) {
        assert!(self.is_over());
        assert_eq!(self.handover.timeout(), None);
        self.step(&GIVE);
        assert_eq!(self.handover.stage(), Stage::Offered { to: BRAIN, since: self.now });
    }
}

#[test]
fn a_move_between_two_that_hear_each_other() {
    let mut giver = Move::lingering().wait(LINGER.saturating_sub(NANO));
    let holds = Facts { quieted: true, ..heard(GIVE, HOLDS) };
    assert_eq!(giver.step(&holds), None, "what still comes here is served");
    giver.now = giver.now + NANO;
    assert_eq!(giver.step(&holds), Some(Command::Remove));
    giver.assert_over();

    let mut receiver = Move::taking();
    let partly = Facts { here: Here::Partly, ..heard(TAKE, QUIET_FOR_US) };
    assert_eq!(receiver.step(&partly), None);
    assert!(!receiver.is_over(), "not all of it is here");
    let all = Facts { here: Here::All, ..partly };
    assert_eq!(receiver.step(&all), None);
    assert!(receiver.is_over());
}

#[test]
fn only_what_is_wholly_here_is_offered() {
    for facts in [
        Facts { here: Here::Partly, ..GIVE },
        Facts { here: Here::None, ..GIVE },
        Facts { target: None, ..GIVE },
    ] {
        let mut giver = Move::new();
        assert_eq!(giver.step(&facts), None);
        assert!(giver.is_over(), "{facts:?}");
        assert_eq!(giver.handover.timeout(), None);
    }
}

#[test]
fn only_what_is_not_here_at_all_is_accepted_and_only_where_it_may_be_taken() {
    for facts in [
        Facts { here: Here::Partly, ..TAKE },
        Facts { here: Here::All, ..TAKE },
        Facts { may_take: false, ..TAKE },
        Facts { offered_by: None, ..TAKE },
    ] {
        let mut receiver = Move::new();
        assert_eq!(receiver.step(&facts), None);
        assert!(receiver.is_over(), "{facts:?}");
    }
}

#[test]
fn an_offer_is_taken_back_when_it_is_no_longer_meant() {
    for facts in [
        Facts { target: None, ..GIVE },
        Facts { target: Some(PINKY), ..GIVE },
        Facts { here: Here::Partly, ..heard(GIVE, TAKES) },
    ] {
        let mut giver = Move::offered();
        assert_eq!(giver.step(&facts), None);
        giver.assert_over();
    }
}

#[test]
fn an_offer_waits_a_second_for_its_receiver() {
    let mut giver = Move::offered();
    assert_eq!(giver.handover.timeout(), Some(START + OFFER));
    giver.now = START + OFFER - NANO;
    assert_eq!((giver.step(&GIVE), giver.is_over()), (None, false));
    giver.now = START + OFFER;
    assert_eq!(giver.step(&GIVE), None);
    giver.assert_failed();
    for other in [None, Some(gone(TAKES))] {
        let mut giver = Move::offered();
        assert_eq!(giver.step(&Facts { other, ..GIVE }), None);
        giver.assert_failed();
    }
}

/// From when the kernel is told to be quiet nobody answers, so this is short: counted once until
/// the kernel has said so, and once from there.
#[test]
fn a_giver_is_not_quiet_for_long_for_a_receiver_that_does_not_take_it() {
    let quieted = Facts { quieted: true, ..heard(GIVE, TAKES) };
    for (make, facts) in
        [(Move::quieting as fn() -> Move, heard(GIVE, TAKES)), (Move::quiet, quieted)]
    {
        let mut giver = make();
        let end = giver.now + QUIET;
        assert_eq!(giver.handover.timeout(), Some(end));
        giver.now = end - NANO;
        assert_eq!((giver.step(&facts), giver.is_over()), (None, false));
        giver.now = end;
        assert_eq!(giver.step(&facts), Some(Command::Resume));
        giver.assert_failed();
        for other in [None, Some(gone(TAKES)), Some(gone(HOLDS))] {
            let mut giver = make();
            assert_eq!(giver.step(&Facts { other, ..facts }), Some(Command::Resume), "{other:?}");
            giver.assert_failed();
        }
    }
}

/// A target that changes amid the silence changes nothing: the receiver may be adding already.
#[test]
fn what_is_half_given_is_given_though_another_would_be_better() {
    let mut giver = Move::quiet();
    assert_eq!(giver.step(&Facts { target: None, quieted: true, ..heard(GIVE, TAKES) }), None);
    assert!(!giver.is_over());
}

/// A kernel that is slow to be quiet while the receiver has it already.
#[test]
fn a_receiver_that_has_it_is_believed_before_the_kernel_is_quiet() {
    let mut giver = Move::quieting();
    assert_eq!(giver.step(&heard(GIVE, HOLDS)), None);
    assert_eq!(giver.handover.stage(), Stage::Lingering { to: BRAIN, until: START + LINGER });
}

#[test]
fn a_receiver_that_loses_it_within_the_moment_gives_it_back() {
    for other in [None, Some(gone(HOLDS)), Some(SILENT), Some(TAKES)] {
        for wait in [Duration::ZERO, LINGER] {
            let mut giver = Move::lingering().wait(wait);
            let facts = Facts { quieted: true, other, ..GIVE };
            assert_eq!(giver.step(&facts), Some(Command::Resume), "{other:?}");
            giver.assert_failed();
        }
    }
}

#[test]
fn a_receiver_waits_a_second_for_the_givers_silence() {
    let mut receiver = Move::accepting();
    assert_eq!(receiver.handover.timeout(), Some(START + OFFER));
    receiver.now = START + OFFER - NANO;
    assert_eq!((receiver.step(&TAKE), receiver.is_over()), (None, false));
    receiver.now = START + OFFER;
    assert_eq!(receiver.step(&TAKE), None);
    receiver.assert_over();
}

#[test]
fn a_receiver_turns_away_from_what_is_no_longer_offered() {
    for facts in [
        Facts { other: None, ..TAKE },
        Facts { other: Some(gone(OFFERS)), ..TAKE },
        Facts { other: Some(gone(QUIET_FOR_US)), ..TAKE },
        heard(TAKE, HOLDS),
        Facts { may_take: false, ..TAKE },
    ] {
        let mut receiver = Move::accepting();
        assert_eq!(receiver.step(&facts), None, "{facts:?}");
        assert!(receiver.is_over(), "{facts:?}");
    }
}

#[test]
fn a_giver_that_answers_again_has_it() {
    // Whatever is here by now, and also when the offer stands again.
    for here in [Here::None, Here::Partly, Here::All] {
        for other in [HOLDS, OFFERS] {
            let mut receiver = Move::taking();
            let facts = Facts { here, ..heard(TAKE, other) };
            assert_eq!(receiver.step(&facts), Some(Command::Remove), "{facts:?}");
            assert!(receiver.is_over());
        }
    }
}

/// One that dies after it fell silent has left the group to the receiver.
#[test]
fn a_giver_that_dies_while_it_is_quiet_takes_nothing_back() {
    for other in [None, Some(gone(HOLDS)), Some(SILENT)] {
        let mut receiver = Move::taking();
        let facts = Facts { other, ..TAKE };
        assert_eq!((receiver.step(&facts), receiver.is_over()), (None, false), "{other:?}");
        assert_eq!(receiver.step(&Facts { here: Here::All, ..facts }), None);
        assert!(receiver.is_over());
    }
}

#[test]
fn what_cannot_be_added_within_a_second_is_given_up() {
    let mut receiver = Move::taking();
    let facts = Facts { here: Here::Partly, ..heard(TAKE, QUIET_FOR_US) };
    assert_eq!(receiver.handover.timeout(), Some(START + OFFER));
    receiver.now = START + OFFER - NANO;
    assert_eq!((receiver.step(&facts), receiver.is_over()), (None, false));
    receiver.now = START + OFFER;
    assert_eq!(receiver.step(&facts), Some(Command::Remove));
    assert!(receiver.is_over());
}

#[test]
fn a_move_is_with_somebody_and_binds_from_the_silence_on() {
    assert_eq!(Handover::default().with(), None);
    assert!(!Handover::default().is_committed());
    for (stage, committed) in [
        (Move::offered(), false),
        (Move::accepting(), false),
        (Move::quieting(), true),
        (Move::quiet(), true),
        (Move::lingering(), true),
        (Move::taking(), true),
    ] {
        let Move { handover, .. } = stage;
        assert_eq!(handover.with(), Some(BRAIN), "{handover:?}");
        assert_eq!(handover.is_committed(), committed, "{handover:?}");
    }
    assert_eq!(Move::lingering().handover.timeout(), Some(START + ms(10) + LINGER));
}
