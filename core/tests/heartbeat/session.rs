//! Freshness: what is evidence, what is a copy, what is a recording.

use proptest::prelude::*;
use standin_core::heartbeat::session::{PAST_MAX, PATHS_MAX};
use standin_core::heartbeat::{Flags, Heard, PathId, Receipt, Rejected, Verdict};

use crate::support::Node;

const EVIDENCE: Verdict = Verdict::Evidence { new_incarnation: false };
const NEW_RUN: Verdict = Verdict::Evidence { new_incarnation: true };
const REPLAYED: Verdict = Verdict::Rejected(Rejected::Replayed);
const PAST: Verdict = Verdict::Rejected(Rejected::PastIncarnation);
const UNKNOWN: Verdict = Verdict::Rejected(Rejected::UnknownIncarnation);

fn hear(node: &mut Node, packet: &[u8], path: usize) -> Receipt {
    node.receive(packet, path).expect("the gate lets it in")
}

fn verdict(node: &mut Node, packet: &[u8]) -> Verdict {
    hear(node, packet, 0).verdict
}

/// One packet each way, twice: enough for both to believe each other.
fn acquaint(one: &mut Node, other: &mut Node) {
    for _ in 0..2 {
        let packet = one.send(other.id);
        hear(other, &packet, 0);
        let packet = other.send(one.id);
        hear(one, &packet, 0);
    }
    assert_eq!(one.session(other.id).incarnation(), Some(other.own()));
    assert_eq!(other.session(one.id).incarnation(), Some(one.own()));
}

fn pair() -> (Node, Node) {
    let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));
    acquaint(&mut pinky, &mut brain);
    (pinky, brain)
}

#[test]
fn two_strangers_believe_each_other_after_three_packets() {
    let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));

    let packet = pinky.send(brain.id);
    let first = hear(&mut brain, &packet, 0);
    assert_eq!(first, Receipt { verdict: UNKNOWN, path_alive: false, answer: true });

    let packet = brain.send(pinky.id);
    let second = hear(&mut pinky, &packet, 0);
    assert_eq!(second, Receipt { verdict: NEW_RUN, path_alive: true, answer: true });
    assert_eq!(pinky.session(brain.id).heard(), Heard::Nobody);

    let packet = pinky.send(brain.id);
    let third = hear(&mut brain, &packet, 0);
    assert_eq!(third, Receipt { verdict: NEW_RUN, path_alive: true, answer: true });
    assert_eq!(brain.session(pinky.id).heard(), Heard::Us);

    let packet = brain.send(pinky.id);
    let fourth = hear(&mut pinky, &packet, 0);
    assert_eq!(fourth, Receipt { verdict: EVIDENCE, path_alive: true, answer: false });
    assert_eq!(pinky.session(brain.id).heard(), Heard::Us);
}

#[test]
fn two_that_know_each_other_challenge_no_more() {
    let (mut pinky, mut brain) = pair();
    for _ in 0..3 {
        let packet = pinky.send(brain.id);
        hear(&mut brain, &packet, 0);
        let packet = brain.send(pinky.id);
        hear(&mut pinky, &packet, 0);
    }
    let outgoing = pinky.session(brain.id).outgoing();
    assert_eq!((outgoing.challenge, outgoing.response), (None, None));
    assert_eq!(outgoing.heard, Some(brain.own()));
    assert_eq!(outgoing.counter.get(), 6);
}

#[test]
fn each_packet_counts_once_in_any_order() {
    let (mut pinky, mut brain) = pair();
    let packets: Vec<_> = (0..5).map(|_| pinky.send(brain.id)).collect();
    let order = [1, 0, 4, 2, 3];
    let verdicts = order.map(|index| verdict(&mut brain, &packets[index]));
    let overtaken = Verdict::Overtaken;
    assert_eq!(verdicts, [EVIDENCE, overtaken, EVIDENCE, overtaken, overtaken]);
    for packet in &packets {
        let again = hear(&mut brain, packet, 0);
        assert_eq!(again, Receipt { verdict: REPLAYED, path_alive: false, answer: false });
    }
}

#[test]
fn the_window_has_sixty_four_places() {
    let (mut pinky, mut brain) = pair();
    let packets: Vec<_> = (0..65).map(|_| pinky.send(brain.id)).collect();
    assert_eq!(verdict(&mut brain, &packets[64]), EVIDENCE);
    assert_eq!(verdict(&mut brain, &packets[0]), REPLAYED, "64 back: nobody remembers");
    assert_eq!(verdict(&mut brain, &packets[1]), Verdict::Overtaken, "63 back");
    assert_eq!(verdict(&mut brain, &packets[1]), REPLAYED);
    assert_eq!(verdict(&mut brain, &packets[63]), Verdict::Overtaken);
}

#[test]
fn a_window_that_jumps_forgets_nothing_it_should_know() {
    for gap in [1, 2, 62, 63, 64, 65, 200] {
        let (mut pinky, mut brain) = pair();
        let old = pinky.send(brain.id);
        assert_eq!(verdict(&mut brain, &old), EVIDENCE);
        let skipped: Vec<_> = (1..gap).map(|_| pinky.send(brain.id)).collect();
        let new = pinky.send(brain.id);
        assert_eq!(verdict(&mut brain, &new), EVIDENCE);
        assert_eq!(verdict(&mut brain, &old), REPLAYED, "{gap}");
        for (back, packet) in skipped.iter().rev().enumerate() {
            let expected = if back + 1 < 64 { Verdict::Overtaken } else { REPLAYED };
            assert_eq!(verdict(&mut brain, packet), expected, "{gap}, {back}");
        }
    }
}

#[test]
fn a_copy_on_another_path_shows_that_path_and_nothing_else() {
    let (mut pinky, mut brain) = pair();
    let packet = pinky.send(brain.id);
    let seen = |verdict, path_alive| Receipt { verdict, path_alive, answer: false };
    assert_eq!(hear(&mut brain, &packet, 1), seen(EVIDENCE, true));
    assert_eq!(hear(&mut brain, &packet, 0), seen(Verdict::Copy, true));
    assert_eq!(hear(&mut brain, &packet, 2), seen(Verdict::Copy, true));
    for path in 0..3 {
        assert_eq!(hear(&mut brain, &packet, path), seen(REPLAYED, false), "doubled on {path}");
    }
}

#[test]
fn a_path_is_judged_by_its_own_counter_within_the_window() {
    let (mut pinky, mut brain) = pair();
    let packets: Vec<_> = (0..70).map(|_| pinky.send(brain.id)).collect();
    for packet in &packets {
        hear(&mut brain, packet, 0);
    }
    // The second path is slow: what it brings is old, and still news on it while remembered.
    let late = hear(&mut brain, &packets[5], 1);
    assert_eq!((late.verdict, late.path_alive), (REPLAYED, false));
    let late = hear(&mut brain, &packets[6], 1);
    assert_eq!((late.verdict, late.path_alive), (Verdict::Copy, true));
    let late = hear(&mut brain, &packets[10], 1);
    assert_eq!((late.verdict, late.path_alive), (Verdict::Copy, true));
    let reordered = hear(&mut brain, &packets[9], 1);
    assert_eq!((reordered.verdict, reordered.path_alive), (REPLAYED, false));
}

#[test]
fn an_overtaken_packet_says_nothing_new() {
    let (mut pinky, mut brain) = pair();
    let query = pinky.send_flagged(brain.id, Flags::QUERY);
    let newer = pinky.send(brain.id);
    assert_eq!(verdict(&mut brain, &newer), EVIDENCE);
    let late = hear(&mut brain, &query, 1);
    assert_eq!(late, Receipt { verdict: Verdict::Overtaken, path_alive: true, answer: false });
}

#[test]
fn a_query_is_answered_once() {
    let (mut pinky, mut brain) = pair();
    let query = pinky.send_flagged(brain.id, Flags::QUERY);
    assert!(hear(&mut brain, &query, 0).answer);
    assert!(!hear(&mut brain, &query, 1).answer, "the copy");
    assert!(!hear(&mut brain, &query, 0).answer, "the replay");
}

#[test]
fn a_restarted_peer_is_believed_and_its_former_run_never_again() {
    let (mut pinky, mut brain) = pair();
    let recorded: Vec<_> = (0..10).map(|_| pinky.send(brain.id)).collect();
    for packet in &recorded[..5] {
        assert_eq!(verdict(&mut brain, packet), EVIDENCE);
    }
    let mut pinky = Node::start("pinky", 2);
    let packet = pinky.send(brain.id);
    let first = hear(&mut brain, &packet, 0);
    assert_eq!(first, Receipt { verdict: UNKNOWN, path_alive: false, answer: true });
    let packet = brain.send(pinky.id);
    assert_eq!(verdict(&mut pinky, &packet), NEW_RUN);
    assert_eq!(pinky.session(brain.id).heard(), Heard::Another, "brain believes the former run");
    let packet = pinky.send(brain.id);
    assert_eq!(verdict(&mut brain, &packet), NEW_RUN);
    for packet in &recorded {
        let replay = hear(&mut brain, packet, 1);
        assert_eq!(replay, Receipt { verdict: PAST, path_alive: false, answer: false });
    }
    let packet = brain.send(pinky.id);
    assert_eq!(verdict(&mut pinky, &packet), EVIDENCE);
    assert_eq!(pinky.session(brain.id).heard(), Heard::Us);
}

#[test]
fn after_our_restart_no_recording_is_believed() {
    let (mut pinky, mut brain) = pair();
    let mut recorded: Vec<_> = (0..20).map(|_| pinky.send(brain.id)).collect();
    for packet in &recorded {
        hear(&mut brain, packet, 0);
    }
    let mut brain = Node::start("brain", 2);
    for packet in &recorded {
        assert_eq!(verdict(&mut brain, packet), UNKNOWN);
    }
    // Nor are they while pinky, which has gone on all the time, proves itself.
    let packet = brain.send(pinky.id);
    assert_eq!(verdict(&mut pinky, &packet), UNKNOWN, "to pinky, brain is the stranger");
    let packet = pinky.send(brain.id);
    for replay in &recorded {
        assert_eq!(verdict(&mut brain, replay), UNKNOWN);
    }
    assert_eq!(verdict(&mut brain, &packet), NEW_RUN);
    recorded.push(packet);
    for replay in &recorded {
        for path in [0, 1] {
            let replay = hear(&mut brain, replay, path);
            let copy = replay.verdict == Verdict::Copy && path == 1;
            assert!(replay.verdict == REPLAYED || copy, "{replay:?}");
        }
    }
}

#[test]
fn after_both_restart_no_recording_of_either_is_believed() {
    let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));
    let (mut from_pinky, mut from_brain) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        from_pinky.push(pinky.send(brain.id));
        hear(&mut brain, from_pinky.last().unwrap(), 0);
        from_brain.push(brain.send(pinky.id));
        hear(&mut pinky, from_brain.last().unwrap(), 0);
    }
    let (mut pinky, mut brain) = (Node::start("pinky", 2), Node::start("brain", 2));
    for _ in 0..3 {
        for packet in &from_pinky {
            assert!(matches!(verdict(&mut brain, packet), UNKNOWN));
        }
        for packet in &from_brain {
            assert!(matches!(verdict(&mut pinky, packet), UNKNOWN));
        }
        assert_eq!(brain.session(pinky.id).incarnation(), None);
    }
    acquaint(&mut pinky, &mut brain);
}

#[test]
fn a_recording_cannot_unseat_the_one_that_lives() {
    let mut brain = Node::start("brain", 1);
    let mut former = Node::start("pinky", 1);
    let recorded = former.send(brain.id);
    let mut pinky = Node::start("pinky", 2);
    acquaint(&mut pinky, &mut brain);

    let replay = hear(&mut brain, &recorded, 0);
    assert_eq!((replay.verdict, replay.answer), (UNKNOWN, true));
    assert_eq!(brain.session(pinky.id).incarnation(), Some(pinky.own()));
    let nonce = brain.session(pinky.id).outgoing().challenge;
    assert!(nonce.is_some(), "it might have been a new run");
    hear(&mut brain, &recorded, 0);
    assert_eq!(brain.session(pinky.id).outgoing().challenge, nonce, "one nonce for all of them");

    // The one that lives answers, and the matter is settled.
    let packet = brain.send(pinky.id);
    let challenged = hear(&mut pinky, &packet, 0);
    assert_eq!((challenged.verdict, challenged.answer), (EVIDENCE, true));
    let packet = pinky.send(brain.id);
    assert_eq!(verdict(&mut brain, &packet), EVIDENCE);
    assert_eq!(brain.session(pinky.id).outgoing().challenge, None);
}

/// A packet of a run that had nothing left to ask, for a brain that does not know that run.
fn recording_without_a_challenge() -> Vec<u8> {
    let (mut pinky, mut brain) = pair();
    let packet = brain.send(pinky.id);
    hear(&mut pinky, &packet, 0);
    assert_eq!(pinky.session(brain.id).outgoing().challenge, None);
    pinky.send(brain.id)
}

#[test]
fn a_stranger_that_asks_nothing_is_challenged_at_once_and_then_at_leisure() {
    let recorded = recording_without_a_challenge();
    let (mut pinky, mut brain) = (Node::start("pinky", 2), Node::start("brain", 2));
    acquaint(&mut pinky, &mut brain);
    let first = hear(&mut brain, &recorded, 0);
    assert_eq!((first.verdict, first.answer), (UNKNOWN, true));
    let again = hear(&mut brain, &recorded, 0);
    assert_eq!((again.verdict, again.answer), (UNKNOWN, false));
}

#[test]
fn a_recording_that_asks_nothing_does_not_unsay_an_answer() {
    let recorded = recording_without_a_challenge();
    let (mut pinky, mut brain) = (Node::start("pinky", 2), Node::start("brain", 2));
    let nonce = pinky.session(brain.id).outgoing().challenge;
    let packet = pinky.send(brain.id);
    hear(&mut brain, &packet, 0);
    hear(&mut brain, &recorded, 0);
    assert_eq!(brain.session(pinky.id).outgoing().response, nonce);
}

#[test]
fn one_challenge_is_answered_at_once_only_once() {
    let recorded = recording_without_a_challenge();
    let (mut pinky, mut brain) = (Node::start("pinky", 2), Node::start("brain", 2));
    acquaint(&mut pinky, &mut brain);
    hear(&mut brain, &recorded, 0);
    let answers = [true, false, false].map(|expected| {
        let packet = brain.send(pinky.id);
        (hear(&mut pinky, &packet, 0).answer, expected)
    });
    for (answer, expected) in answers {
        assert_eq!(answer, expected);
    }
    let outgoing = pinky.session(brain.id).outgoing();
    assert_eq!(outgoing.response, brain.session(pinky.id).outgoing().challenge, "and ever after");
}

#[test]
fn recordings_between_all_packets_do_not_keep_a_new_run_out() {
    let mut brain = Node::start("brain", 1);
    // Each with a challenge of its own, and never believed, so brain cannot know them.
    let recorded: Vec<_> = (10..20).map(|run| Node::start("pinky", run).send(brain.id)).collect();
    let mut pinky = Node::start("pinky", 2);
    for _ in 0..2 {
        for replay in &recorded {
            assert_eq!(verdict(&mut brain, replay), UNKNOWN);
        }
        let packet = pinky.send(brain.id);
        assert!(hear(&mut brain, &packet, 0).answer, "its challenge is answered at once");
        let packet = brain.send(pinky.id);
        for replay in &recorded {
            hear(&mut brain, replay, 0);
        }
        hear(&mut pinky, &packet, 0);
    }
    assert_eq!(brain.session(pinky.id).incarnation(), Some(pinky.own()));
    assert_eq!(pinky.session(brain.id).heard(), Heard::Us);
}

#[test]
fn runs_long_past_are_not_believed_either() {
    let mut brain = Node::start("brain", 1);
    let mut recorded = Vec::new();
    let runs = PAST_MAX as u64 + 3;
    for run in 1..=runs {
        let mut pinky = Node::start("pinky", run);
        acquaint(&mut pinky, &mut brain);
        recorded.push(pinky.send(brain.id));
    }
    let verdicts: Vec<_> = recorded.iter().map(|packet| verdict(&mut brain, packet)).collect();
    let mut expected = vec![UNKNOWN; 2];
    expected.extend([PAST; PAST_MAX]);
    expected.push(EVIDENCE);
    assert_eq!(verdicts, expected);
}

/// An answer that was under way when it was asked for already says nothing about a later question.
#[test]
fn an_answer_to_one_challenge_does_not_end_the_next() {
    let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));
    let packet = brain.send(pinky.id);
    hear(&mut pinky, &packet, 0);
    let (first, second) = (pinky.send(brain.id), pinky.send(brain.id));
    assert_eq!(verdict(&mut brain, &first), NEW_RUN);
    let stranger = Node::start("pinky", 2).send(brain.id);
    assert_eq!(verdict(&mut brain, &stranger), UNKNOWN);
    let asked = brain.session(pinky.id).outgoing().challenge;
    assert!(asked.is_some());
    assert_eq!(verdict(&mut brain, &second), EVIDENCE);
    assert_eq!(brain.session(pinky.id).outgoing().challenge, asked);
}

/// A second machine with the peer's name, or a series of restarts, can push a run out of memory that
/// still lives. It proves itself anew, and nothing that it sent before counts again.
#[test]
fn a_run_that_was_forgotten_and_proves_itself_anew_counts_on_from_there() {
    let (mut first, mut brain) = pair();
    let recorded: Vec<_> = (0..3).map(|_| first.send(brain.id)).collect();
    assert_eq!(verdict(&mut brain, &recorded[2]), EVIDENCE);
    for run in 2..PAST_MAX as u64 + 3 {
        acquaint(&mut Node::start("pinky", run), &mut brain);
    }
    acquaint(&mut first, &mut brain);
    for packet in &recorded {
        assert_eq!(verdict(&mut brain, packet), REPLAYED);
    }
}

#[test]
fn an_answer_held_up_beyond_the_next_nonce_is_worth_nothing() {
    let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));
    let packet = brain.send(pinky.id);
    hear(&mut pinky, &packet, 0);
    let held_up = pinky.send(brain.id);
    brain.session(pinky.id).renew_challenge(99);
    assert_eq!(verdict(&mut brain, &held_up), UNKNOWN);
    acquaint(&mut pinky, &mut brain);
    brain.session(pinky.id).renew_challenge(100);
    assert_eq!(brain.session(pinky.id).outgoing().challenge, None, "there was nothing to renew");
}

#[test]
fn paths_are_few() {
    assert_eq!(PathId::new(PATHS_MAX - 1).unwrap().number(), PATHS_MAX - 1);
    assert_eq!(PathId::new(PATHS_MAX), None);
    assert_eq!(PathId::new(256), None);
}

#[derive(Clone, Debug)]
enum Step {
    Send {
        pinky: bool,
    },
    /// Any packet ever sent, counted from the latest.
    Deliver {
        to_brain: bool,
        back: usize,
        path: usize,
    },
    Restart {
        pinky: bool,
    },
    Renew,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let deliver = |back| {
        (any::<bool>(), back, 0_usize..3).prop_map(|(to_brain, back, path)| Step::Deliver {
            to_brain,
            back,
            path,
        })
    };
    let step = prop_oneof![
        8 => any::<bool>().prop_map(|pinky| Step::Send { pinky }),
        8 => deliver(0_usize..2),
        4 => deliver(0_usize..300),
        1 => any::<bool>().prop_map(|pinky| Step::Restart { pinky }),
        1 => Just(Step::Renew),
    ];
    prop::collection::vec(step, 0..300)
}

/// What brain has believed in this run: the rules of the session, checked from outside.
struct Witness {
    /// How many packets pinky had sent when brain began.
    began: usize,
    /// The latest packet that was evidence.
    latest: Option<usize>,
    /// Packets that were evidence or overtaken.
    taken: Vec<usize>,
}

impl Witness {
    fn check(&mut self, index: usize, receipt: Receipt) {
        match receipt.verdict {
            Verdict::Evidence { .. } => {
                assert!(self.latest < Some(index), "evidence was sent after all before");
                self.latest = Some(index);
            }
            Verdict::Overtaken => assert!(self.latest > Some(index)),
            Verdict::Copy => assert!(receipt.path_alive && self.taken.contains(&index)),
            Verdict::Rejected(_) => {
                assert!(!receipt.path_alive);
                return;
            }
        }
        assert!(index >= self.began, "a recording of an earlier session was believed");
        if receipt.verdict != Verdict::Copy {
            assert!(!self.taken.contains(&index), "a packet counted twice");
            self.taken.push(index);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn nothing_is_believed_twice_or_late_and_the_living_are_believed_in_the_end(steps in steps()) {
        let (mut pinky, mut brain) = (Node::start("pinky", 1), Node::start("brain", 1));
        let (mut from_pinky, mut from_brain) = (Vec::new(), Vec::new());
        let mut witness = Witness { began: 0, latest: None, taken: Vec::new() };
        for (step, run) in steps.into_iter().zip(2..) {
            match step {
                Step::Send { pinky: true } => from_pinky.push(pinky.send(brain.id)),
                Step::Send { pinky: false } => from_brain.push(brain.send(pinky.id)),
                Step::Deliver { to_brain: true, back, path } if back < from_pinky.len() => {
                    let index = from_pinky.len() - 1 - back;
                    witness.check(index, hear(&mut brain, &from_pinky[index], path));
                }
                Step::Deliver { to_brain: false, back, path } if back < from_brain.len() => {
                    let index = from_brain.len() - 1 - back;
                    hear(&mut pinky, &from_brain[index], path);
                }
                Step::Deliver { .. } => {}
                Step::Restart { pinky: true } => pinky = Node::start("pinky", run),
                Step::Restart { pinky: false } => {
                    brain = Node::start("brain", run);
                    witness = Witness { began: from_pinky.len(), latest: None, taken: Vec::new() };
                }
                Step::Renew => brain.session(pinky.id).renew_challenge(run),
            }
        }
        acquaint(&mut pinky, &mut brain);
        acquaint(&mut pinky, &mut brain);
        prop_assert_eq!(brain.session(pinky.id).heard(), Heard::Us);
        prop_assert_eq!(pinky.session(brain.id).heard(), Heard::Us);
    }
}

#[test]
fn what_a_path_did_not_carry_is_counted_and_the_count_never_falls() {
    let (mut pinky, mut brain) = pair();
    let id = pinky.id;
    let lost = |brain: &mut Node, path| {
        let path = PathId::new(path).expect("a path");
        brain.session(id).lost(path)
    };
    let before = (lost(&mut brain, 0), lost(&mut brain, 1));
    assert_eq!(before, (0, 0));
    // Three on both paths, the third not on the second; then nothing on the second.
    for round in 0..3 {
        let packet = pinky.send(brain.id);
        hear(&mut brain, &packet, 0);
        if round < 2 {
            hear(&mut brain, &packet, 1);
        }
    }
    // The acquaintance was made on the first path alone.
    assert_eq!((lost(&mut brain, 0), lost(&mut brain, 1)), (0, 1));
    let _dropped = pinky.send(brain.id);
    let packet = pinky.send(brain.id);
    hear(&mut brain, &packet, 0);
    assert_eq!(lost(&mut brain, 0), 1);
    let mut seen = 0;
    for _ in 0..100 {
        let packet = pinky.send(brain.id);
        hear(&mut brain, &packet, 0);
        let now = lost(&mut brain, 1);
        assert!(now >= seen, "{now} after {seen}");
        seen = now;
    }
    // 103 more behind, of which the window's 64 might still come.
    assert_eq!(seen, 40);
    let packet = pinky.send(brain.id);
    hear(&mut brain, &packet, 1);
    assert_eq!(lost(&mut brain, 1), 104);
    // A new run of the peer takes nothing back.
    let mut again = Node::start("pinky", 2);
    for _ in 0..2 {
        let packet = again.send(brain.id);
        hear(&mut brain, &packet, 0);
        let packet = brain.send(again.id);
        hear(&mut again, &packet, 0);
    }
    let packet = again.send(brain.id);
    hear(&mut brain, &packet, 0);
    assert_eq!((lost(&mut brain, 0), lost(&mut brain, 1)), (1, 104));
}
