//! One host stands in for another: from the power cut to the hand-back, in both families.

mod world;

use std::net::IpAddr;
use std::time::Duration;

use standin_core::Report;
use standin_core::config::{Failback, OnAnswer, OnCheckFailure};
use standin_core::decide::Reason;
use standin_core::wire::arp::{self, ArpPacket};
use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;
use standin_core::wire::ndp::{self, Solicitation};
use world::plan::Plan;
use world::stage::{BACK_AFTER, DEAD_AFTER, Stage, gratuitous, ms};
use world::{LATENCY, What, in_both_families};

/// How a frame says where an address is.
fn form(frame: &Frame) -> &'static str {
    if let Ok((_, packet)) = arp::parse(frame) {
        match (packet.is_announcement(), packet.operation) {
            (true, arp::Operation::Request) => "gratuitous request",
            (true, arp::Operation::Reply) => "gratuitous reply",
            (false, arp::Operation::Request) => "question",
            (false, arp::Operation::Reply) => "answer",
        }
    } else {
        match ndp::parse(frame).expect("ARP or NDP").1 {
            ndp::Message::Solicitation(_) => "question",
            ndp::Message::Advertisement(told) if told.solicited => "answer",
            ndp::Message::Advertisement(_) => "unsolicited",
        }
    }
}

#[test]
fn power_off_leads_to_a_claim_after_dead_after() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        let cut = stage.fail_over();
        let got = stage.world.changes(stage.pinky, stage.vip, true)[0];
        let took = got.since(cut);
        assert!(took <= DEAD_AFTER, "{took:?} after the cut");
        // Brain answered each round of probes at once, and rounds go out every quarter.
        assert!(got.since(cut - DEAD_AFTER / 4) >= DEAD_AFTER, "not before its time");
        // The question fell into the suspicion.
        let window = DEAD_AFTER * 3 / 10;
        let probes = stage.world.probed(stage.pinky, stage.vip);
        assert_eq!(probes.len(), 3);
        assert!(probes.iter().all(|at| got.since(*at) <= window));
        assert!(got.since(probes[2]) + LATENCY >= window / 3, "the last was given its time");
        stage.world.run(ms(1));
        let mac = stage.world.mac(stage.pinky);
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(mac));
        let said = stage.world.said(stage.pinky);
        let names: Vec<_> = said.iter().map(|(_, report)| report.name()).collect();
        assert_eq!(names, ["peer-alive", "peer-suspected", "peer-dead", "claimed"]);
    });
}

#[test]
fn all_forms_after_the_acknowledgement_and_on_schedule_for_ever() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        let got = stage.world.changes(stage.pinky, stage.vip, true)[0];
        stage.world.run(Duration::from_secs(200));
        let mac = stage.world.mac(stage.pinky);
        let announced = stage.world.announced(stage.pinky, stage.vip, mac);
        let start = announced[0].0;
        assert!(start > got, "the acknowledgement first");
        let mut times: Vec<_> = announced.iter().map(|(at, _)| at.since(start)).collect();
        times.dedup();
        assert_eq!(
            times.iter().map(Duration::as_millis).collect::<Vec<_>>(),
            [0, 200, 1100, 2200, 5000, 65_000, 125_000, 185_000]
        );
        let first = announced.iter().filter(|(at, _)| *at == start);
        let forms: Vec<_> = first.map(|(_, frame)| form(frame)).collect();
        // A question to the router and one to Brain, should it be there after all.
        let expected: &[&str] = if v6 {
            &["unsolicited", "question", "question"]
        } else {
            &["gratuitous request", "gratuitous reply", "question", "question"]
        };
        assert_eq!(forms, expected);
    });
}

#[test]
fn an_answered_address_is_waited_for_until_the_answers_stop() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.hosts[stage.brain].kernel.real_is_silent = true;
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain], "not robbed");
        let waits = stage.world.said(stage.pinky);
        let still: Vec<_> = waits.iter().filter(|(_, r)| r.name() == "still-answered").collect();
        let [(_, Report::StillAnswered { by, by_home: true, own: false, .. })] = still[..] else {
            panic!("said once, that it is Brain itself: {still:?}")
        };
        assert_eq!(*by, stage.world.mac(stage.brain));
        stage.world.power(stage.brain, false);
        let stopped = stage.world.now;
        let (vip, pinky) = (stage.vip, stage.pinky);
        stage.world.run_until(ms(400), "a takeover", |world| world.holders(vip) == [pinky]);
        assert!(stage.world.now.since(stopped) <= ms(250) + DEAD_AFTER * 3 / 10);
        assert_eq!(stage.world.said_at(stage.pinky, "answers-stopped").len(), 1);
    });
}

#[test]
fn on_answer_takeover_does_not_wait() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.on_answer = OnAnswer::Takeover));
        stage.world.hosts[stage.brain].kernel.real_is_silent = true;
        stage.world.run(ms(300));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky]);
        assert_eq!(stage.world.said_at(stage.pinky, "duplicate").len(), 1, "and says so");
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky], "and stays");
        let mac = stage.world.mac(stage.pinky);
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(mac));
    });
}

#[test]
fn hand_back_to_a_host_without_an_agent() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(3000));
        stage.world.power(stage.brain, true);
        let back = stage.world.now;
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        let gone = stage.world.changes(stage.pinky, stage.vip, false)[0];
        let waited = gone.since(back);
        assert!((BACK_AFTER..BACK_AFTER + DEAD_AFTER).contains(&waited), "{waited:?}");
        // Removed, then asked, then vouched for, and nothing of ours after the removal.
        let asked = stage.world.probed(stage.pinky, stage.vip).into_iter().find(|at| *at > gone);
        let brain = stage.world.mac(stage.brain);
        let vouched = stage.world.announced(stage.pinky, stage.vip, brain);
        assert!(asked.expect("a question") < vouched[0].0);
        let ours = stage.world.announced(stage.pinky, stage.vip, stage.world.mac(stage.pinky));
        assert!(ours.iter().all(|(at, _)| *at < gone));
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(brain));
        assert_eq!(stage.world.said_at(stage.pinky, "handed-back").len(), 1);
        assert_eq!(stage.world.said_at(stage.pinky, "nobody-answers").len(), 0);
    });
}

#[test]
fn a_home_that_lost_its_address_is_told_of() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.hosts[stage.brain].kernel.configured.clear();
        stage.world.power(stage.brain, true);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), []);
        assert_eq!(stage.world.said_at(stage.pinky, "nobody-answers").len(), 1);
    });
}

#[test]
fn hand_back_between_two_nodes_leaves_neither_gap_nor_overlap() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(5000));
        let back = stage.world.now;
        stage.world.power(stage.brain, true);
        let (vip, brain) = (stage.vip, stage.brain);
        stage.world.run_until(ms(100), "a hand-back", |world| world.holders(vip) == [brain]);
        let gone = *stage.world.changes(stage.pinky, vip, false).last().expect("let go");
        let got = *stage.world.changes(brain, vip, true).last().expect("taken");
        assert!(gone <= got, "both had it");
        assert!(got.since(gone) < ms(2), "nobody had it for {:?}", got.since(gone));
        assert!(got.since(back) < ms(50), "at once");
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(vip), [brain]);
        assert_eq!(stage.world.neighbour(stage.router, vip), Some(stage.world.mac(brain)));
        for calm in ["conflict", "nobody-answers", "duplicate"] {
            assert_eq!(stage.world.said_at(stage.pinky, calm), [], "{calm}");
            assert_eq!(stage.world.said_at(brain, calm), [], "{calm}");
        }
    });
}

#[test]
fn an_announcement_of_the_home_is_its_return() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.failback = Failback::No));
        stage.fail_over();
        stage.world.power(stage.brain, true);
        let frame = gratuitous(stage.vip, stage.world.mac(stage.brain));
        stage.world.say(stage.brain, &frame);
        stage.world.run(ms(2));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        let said = stage.world.said(stage.pinky);
        let released = said.iter().any(|(_, report)| {
            matches!(report, Report::Released { reason: Reason::HomeClaims, .. })
        });
        assert!(released, "{}", stage.world.story());
    });
}

#[test]
fn failback_no_keeps_it_and_a_delay_is_kept() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.failback = Failback::No));
        stage.fail_over();
        stage.world.hosts[stage.brain].kernel.configured.clear();
        stage.world.power(stage.brain, true);
        stage.world.run(Duration::from_secs(100));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);

        let after = Failback::After(ms(10_000));
        let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.failback = after));
        stage.fail_over();
        stage.world.hosts[stage.brain].kernel.configured.clear();
        stage.world.power(stage.brain, true);
        stage.world.run(ms(9990));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
        stage.world.run(ms(300));
        assert_eq!(stage.world.holders(stage.vip), []);
    });
}

#[test]
fn failback_no_between_two_nodes_ends_when_the_stand_in_stops() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan.with(|vip| vip.failback = Failback::No));
        stage.fail_over();
        stage.world.power(stage.brain, true);
        stage.world.run(ms(20_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
        assert_eq!(stage.world.said_at(stage.brain, "still-answered").len(), 1, "said once");
        stage.world.stop(stage.pinky);
        stage.world.run(ms(2));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain], "taken at the word");
    });
}

#[test]
fn a_dead_service_is_taken_over_and_handed_back_when_it_works_at_home() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, Plan::check);
        stage.world.hosts[stage.brain].service = false;
        stage.world.run(ms(600));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky]);
        let pinky = stage.world.mac(stage.pinky);
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(pinky));
        assert!(!stage.world.said_at(stage.pinky, "check-failing").is_empty());
        for name in ["claimed", "duplicate"] {
            assert_eq!(stage.world.said_at(stage.pinky, name).len(), 1, "{name}");
        }
        assert_eq!(stage.world.said_at(stage.pinky, "peer-dead").len(), 0, "another matter");
        // The kernel of Brain goes on answering; that is no return.
        stage.world.run(ms(10_000));
        assert!(stage.world.holders(stage.vip).contains(&stage.pinky));
        stage.world.hosts[stage.brain].service = true;
        let works = stage.world.now;
        stage.world.run(ms(3000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        let gone = stage.world.changes(stage.pinky, stage.vip, false)[0];
        assert!(gone.since(works) >= BACK_AFTER && gone.since(works) <= BACK_AFTER + ms(300));
        let brain = stage.world.mac(stage.brain);
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(brain));
    });
}

#[test]
fn a_dead_service_is_only_told_of_where_that_is_wished() {
    in_both_families(|v6| {
        let warn = |plan: Plan| plan.with(|vip| vip.on_check_failure = OnCheckFailure::Warn);
        let mut stage = Stage::bare(v6, |plan| warn(plan.check()));
        stage.world.hosts[stage.brain].service = false;
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        assert_eq!(stage.world.said_at(stage.pinky, "check-failing").len(), 1);
        // Its death is still its death.
        stage.fail_over();
    });
}

#[test]
fn a_dying_host_is_dead_and_not_a_dead_service() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| {
            let mut plan = plan.check();
            // Checks faster than the watch.
            plan.checks[0].interval = ms(10);
            plan.checks[0].fall = 1;
            plan
        });
        stage.fail_over();
        stage.world.run(ms(10));
        let said = stage.world.said(stage.pinky);
        let claimed: Vec<_> = said
            .iter()
            .filter_map(|(_, report)| match report {
                Report::Claimed { reason, .. } => Some(reason.name()),
                _ => None,
            })
            .collect();
        assert_eq!(claimed, ["home-dead"]);
    });
}

#[test]
fn a_restarted_stand_in_adopts_what_it_held() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(3000));
        stage.world.kill(stage.pinky);
        stage.world.run(ms(300));
        stage.start_pinky(|plan| plan.with(|vip| vip.adopted = true));
        stage.world.run(ms(10_000));
        let got = stage.world.changes(stage.pinky, stage.vip, true);
        assert_eq!(got.len(), 1, "never gone\n{}", stage.world.story());
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
        // It goes home as ever.
        stage.world.power(stage.brain, true);
        stage.world.run(ms(3000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
    });
}

#[test]
fn a_restarted_owner_adopts_its_own() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.world.kill(stage.brain);
        stage.world.run(ms(300));
        let plan = stage.world.plan(stage.brain, stage.router, DEAD_AFTER);
        let plan = plan.own(stage.vip).with(|vip| vip.adopted = true);
        stage.world.start(stage.brain, plan);
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.changes(stage.brain, stage.vip, false), [], "never gone");
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
    });
}

#[test]
fn a_killed_stand_in_leaves_nothing_for_long() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(1234));
        stage.world.kill(stage.pinky);
        let killed = stage.world.now;
        stage.world.run(ms(3200));
        assert_eq!(stage.world.holders(stage.vip), []);
        assert!(stage.world.changes(stage.pinky, stage.vip, false)[0].since(killed) <= ms(2000));
    });
}

#[test]
fn stop_releases_everything_and_says_so_once() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(1000));
        stage.world.stop(stage.pinky);
        stage.world.run(ms(1));
        assert_eq!(stage.world.holders(stage.vip), []);
        // Twice is as good as once, and nothing comes back.
        stage.world.stop(stage.pinky);
        stage.world.run(ms(20_000));
        let stopped = stage.world.log.iter().filter(|entry| entry.what == What::Stopped);
        assert_eq!(stopped.count(), 1);
        assert_eq!(stage.world.holders(stage.vip), []);
        let released = stage.world.said_at(stage.pinky, "released");
        assert_eq!(released.len(), 1);
    });
}

#[test]
fn stop_amid_a_question_and_amid_an_addition() {
    in_both_families(|v6| {
        for wait in [150, 170, 190] {
            let mut stage = Stage::bare(v6, |plan| plan);
            stage.world.power(stage.brain, false);
            stage.world.run(ms(wait));
            stage.world.stop(stage.pinky);
            stage.world.run(ms(5000));
            assert_eq!(stage.world.holders(stage.vip), []);
        }
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.power(stage.brain, false);
        let (pinky, vip) = (stage.pinky, stage.vip);
        stage
            .world
            .run_until(ms(250), "an addition", |world| !world.changes(pinky, vip, true).is_empty());
        stage.world.stop(pinky);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(vip), []);
        assert_eq!(stage.world.log.iter().filter(|e| e.what == What::Stopped).count(), 1);
    });
}

#[test]
fn what_the_kernel_refuses_is_tried_again() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.hosts[stage.pinky].kernel.refuse_adds = 3;
        stage.world.power(stage.brain, false);
        stage.world.run(ms(2500));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
        assert_eq!(stage.world.said_at(stage.pinky, "add-failed").len(), 1, "said once");
        // A renewal that is refused is tried again before the address is gone.
        stage.world.hosts[stage.pinky].kernel.refuse_adds = 2;
        stage.world.run(ms(5000));
        assert_eq!(stage.world.changes(stage.pinky, stage.vip, false), []);
        stage.world.hosts[stage.pinky].kernel.refuse_removes = 2;
        stage.world.stop(stage.pinky);
        stage.world.run(ms(2000));
        assert_eq!(stage.world.holders(stage.vip), []);
        assert_eq!(stage.world.said_at(stage.pinky, "remove-failed").len(), 1);
        assert_eq!(stage.world.log.iter().filter(|e| e.what == What::Stopped).count(), 1);
    });
}

#[test]
fn lost_acknowledgements_are_asked_for_again() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.hosts[stage.pinky].kernel.lose_acks = 2;
        stage.world.power(stage.brain, false);
        stage.world.run(ms(2000));
        assert_eq!(stage.world.said_at(stage.pinky, "claimed").len(), 1);
        stage.world.hosts[stage.pinky].kernel.lose_acks = 1;
        stage.world.run(ms(5000));
        assert_eq!(stage.world.said_at(stage.pinky, "claimed").len(), 1);
        stage.world.hosts[stage.pinky].kernel.lose_acks = 2;
        stage.world.stop(stage.pinky);
        stage.world.run(ms(2000));
        assert_eq!(stage.world.log.iter().filter(|e| e.what == What::Stopped).count(), 1);
        assert_eq!(stage.world.holders(stage.vip), []);
    });
}

#[test]
fn the_question_of_a_stranger_is_no_return() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        let mac = stage.world.mac(stage.router);
        let question = match stage.vip {
            IpAddr::V4(v4) => ArpPacket::probe(mac, v4).encode(mac, Mac::BROADCAST),
            IpAddr::V6(address) => Solicitation::probe(mac, address).encode(),
        };
        stage.world.say(stage.router, &question);
        stage.world.run(ms(3000));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
    });
}
