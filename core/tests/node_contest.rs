//! More than one host that would have an address; addresses that go by somebody else's hand.

mod world;

use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{Failback, OnAnswer};
use standin_core::wire::arp::ArpPacket;
use standin_core::wire::mac::Mac;
use standin_core::wire::ndp::Solicitation;
use standin_core::{Input, Report, step};
use world::plan::LINK;
use world::stage::{DEAD_AFTER, Stage, gratuitous, ms};
use world::{HostId, World, in_both_families};

/// The times, without repetition, at which a host announced the address as its own.
fn announcements(stage: &Stage, host: HostId) -> Vec<standin_core::Instant> {
    let all = stage.world.announced(host, stage.vip, stage.world.mac(host));
    let mut times: Vec<_> = all.into_iter().map(|(at, _)| at).collect();
    times.dedup();
    times
}

#[test]
fn a_rival_claim_is_answered_once_and_never_with_a_war() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(Duration::from_secs(20));
        let before = announcements(&stage, stage.pinky).len();
        // A stranger that claims it ten times a second.
        let stranger = stage.world.add_host("stranger", 9);
        let frame = gratuitous(stage.vip, stage.world.mac(stranger));
        for _ in 0..300 {
            stage.world.say(stranger, &frame);
            stage.world.run(ms(100));
        }
        let times = announcements(&stage, stage.pinky);
        assert_eq!(times.len() - before, 1, "defended once in 30 s of insistence");
        let said = stage.world.said(stage.pinky);
        let conflicts: Vec<_> = said
            .iter()
            .filter_map(|(_, report)| match report {
                Report::Conflict { ours, theirs, defended, .. } => {
                    Some((*ours, *theirs, *defended))
                }
                _ => None,
            })
            .collect();
        let (ours, theirs) = (stage.world.mac(stage.pinky), stage.world.mac(stranger));
        assert_eq!(conflicts, [(ours, theirs, true)], "both named, once");
        let status = stage.world.hosts[stage.pinky].node.as_ref().expect("runs");
        assert!(status.status(stage.world.now).vips[0].contested_by.is_some());
        // When the other is quiet, the neighbours are told again, as at the beginning.
        stage.world.run(Duration::from_secs(36));
        assert_eq!(announcements(&stage, stage.pinky).len() - times.len(), 5);
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
    });
}

#[test]
fn the_pause_after_a_conflict_doubles() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(Duration::from_secs(20));
        let stranger = stage.world.add_host("stranger", 9);
        let frame = gratuitous(stage.vip, stage.world.mac(stranger));
        for pause in [30, 60, 120, 240] {
            stage.world.say(stranger, &frame);
            stage.world.run(Duration::from_secs(pause - 1));
            let before = announcements(&stage, stage.pinky).len();
            stage.world.run(Duration::from_secs(15));
            let after = announcements(&stage, stage.pinky).len();
            assert_eq!(after - before, 5, "quiet for {pause} s, then a series");
        }
    });
}

#[test]
fn two_owners_of_one_address_make_no_war() {
    in_both_families(|v6| {
        let mut stage = Stage::empty(v6);
        for host in [stage.brain, stage.pinky] {
            stage.world.hosts[host].segment = host as u32;
            let plan = stage.world.plan(host, stage.router, DEAD_AFTER).own(stage.vip);
            stage.world.start(host, plan);
        }
        stage.world.run(Duration::from_secs(20));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky]);
        // The partition heals; the next slow announcement of either is heard.
        for host in [stage.brain, stage.pinky] {
            stage.world.hosts[host].segment = 0;
        }
        let healed = stage.world.now;
        stage.world.run(Duration::from_mins(10));
        for host in [stage.brain, stage.pinky] {
            let times = announcements(&stage, host);
            let since = times.iter().filter(|at| **at >= healed).count();
            assert!(since <= 40, "{since} announcements in ten minutes are a war");
            assert!(!stage.world.said_at(host, "conflict").is_empty(), "said");
        }
    });
}

#[test]
fn a_partition_between_owner_and_stand_in_heals_to_one_holder() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.world.hosts[stage.pinky].segment = 1;
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky], "as promised");
        stage.world.hosts[stage.pinky].segment = 0;
        let healed = stage.world.now;
        let (vip, brain) = (stage.vip, stage.brain);
        stage.world.run_until(ms(500), "one holder", |world| world.holders(vip) == [brain]);
        stage.world.run(ms(100));
        let again = announcements(&stage, brain).into_iter().filter(|at| *at >= healed).count();
        assert!(again > 0, "announced after the heal though its state never changed");
        assert_eq!(stage.world.neighbour(stage.router, vip), Some(stage.world.mac(brain)));
        stage.world.run(ms(30_000));
        assert_eq!(stage.world.holders(vip), [brain]);
    });
}

#[test]
fn of_two_stand_ins_exactly_one_takes_over() {
    in_both_families(|v6| {
        for seed in 0..50 {
            let mut world = World::new(v6, seed);
            let router = world.add_host("router", 1);
            let brain = world.add_host("brain", 2);
            let (vip, real) = (world.address(37), world.address(2));
            world.configure(brain, vip);
            let stand_ins = [world.add_host("pinky", 3), world.add_host("yakko", 4)];
            for host in stand_ins {
                let plan = world.plan(host, router, DEAD_AFTER).watch("brain", real);
                world.start(host, plan.stand_in(vip));
                // The same instant, or up to 50 ms apart.
                let apart = world.below(50) * seed.min(1);
                world.run(ms(apart));
            }
            world.run(ms(4000));
            world.power(brain, false);
            world.run(ms(250));
            let holders = world.holders(vip);
            assert_eq!(holders.len(), 1, "seed {seed}\n{}", world.story());
            world.run(ms(10_000));
            assert_eq!(world.holders(vip), holders);
            // When the one fails as well, the other follows.
            world.power(holders[0], false);
            world.run(ms(400));
            let rest: Vec<_> = stand_ins.into_iter().filter(|h| *h != holders[0]).collect();
            assert_eq!(world.holders(vip), rest, "seed {seed}\n{}", world.story());
            // Home again, once.
            world.power(brain, true);
            world.run(ms(3000));
            assert_eq!(world.holders(vip), [brain]);
        }
    });
}

#[test]
fn two_stand_ins_that_a_partition_kept_apart_end_as_one() {
    in_both_families(|v6| {
        for first in [0, 1] {
            let mut world = World::new(v6, 7);
            let router = world.add_host("router", 1);
            let brain = world.add_host("brain", 2);
            let (vip, real) = (world.address(37), world.address(2));
            world.configure(brain, vip);
            let stand_ins = [world.add_host("pinky", 3), world.add_host("yakko", 4)];
            for host in stand_ins {
                let plan = world.plan(host, router, DEAD_AFTER).watch("brain", real);
                world.start(host, plan.stand_in(vip));
            }
            world.run(ms(4000));
            world.hosts[stand_ins[first]].segment = 1;
            world.power(brain, false);
            world.run(ms(8000));
            assert_eq!(world.holders(vip).len(), 2, "one on each side");
            world.hosts[stand_ins[first]].segment = 0;
            // The next slow announcement of either starts it.
            let one = |world: &World| world.holders(vip).len() == 1;
            world.run_until(ms(70_000), "one holder", one);
            let holder = world.holders(vip)[0];
            world.run(ms(1000));
            assert_eq!(world.neighbour(router, vip), Some(world.mac(holder)), "{}", world.story());
            world.run(ms(300_000));
            assert_eq!(world.holders(vip), [holder], "and it stays so");
        }
    });
}

#[test]
fn a_stripped_address_comes_back_at_once() {
    in_both_families(|v6| {
        for owner in [false, true] {
            let mut stage =
                if owner { Stage::with_owner(v6, |p| p) } else { Stage::bare(v6, |p| p) };
            let host = if owner { stage.brain } else { stage.pinky };
            if !owner {
                stage.fail_over();
            }
            stage.world.run(ms(20_000));
            let before = announcements(&stage, host).len();
            stage.world.strip(host, stage.vip);
            assert_eq!(stage.world.holders(stage.vip), []);
            stage.world.run(ms(1));
            assert_eq!(stage.world.holders(stage.vip), [host]);
            assert_eq!(stage.world.said_at(host, "stripped").len(), 1);
            assert_eq!(announcements(&stage, host).len() - before, 1, "and is announced");
        }
    });
}

#[test]
fn one_that_strips_without_end_is_not_followed_without_end() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        let (vip, brain) = (stage.vip, stage.brain);
        for _ in 0..1000 {
            stage.world.strip(brain, vip);
            stage.world.run(ms(1));
        }
        let stripped = stage.world.said_at(brain, "stripped").len();
        assert!(stripped <= 50, "{stripped} in a second");
        stage.world.run(ms(600));
        assert_eq!(stage.world.holders(vip), [brain], "the next renewal puts it back");
    });
}

#[test]
fn twenty_strips_within_a_second_are_followed_at_once_and_no_more() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        let (vip, brain) = (stage.vip, stage.brain);
        stage.world.run(ms(20_000));
        // However many there were: only those of one second count.
        for round in 1..=30 {
            stage.world.strip(brain, vip);
            stage.world.run(ms(1100));
            assert_eq!(stage.world.said_at(brain, "stripped").len(), round);
        }
        for _ in 0..30 {
            stage.world.strip(brain, vip);
            stage.world.run(ms(5));
        }
        assert_eq!(stage.world.said_at(brain, "stripped").len(), 30 + 20);
    });
}

#[test]
fn after_a_lapse_the_address_is_asked_for_first() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(3000));
        stage.world.stall(stage.pinky, true);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [], "gone with the process that hangs");
        stage.world.stall(stage.pinky, false);
        let woke = stage.world.now;
        stage.world.run(ms(1000));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
        let got = *stage.world.changes(stage.pinky, stage.vip, true).last().expect("again");
        assert!(got.since(woke) >= DEAD_AFTER / 5, "asked first");
        assert_eq!(stage.world.said_at(stage.pinky, "lapsed").len(), 1);
        assert_eq!(stage.world.said_at(stage.pinky, "stripped").len(), 0, "nobody's hand");
    });
}

#[test]
fn after_a_lapse_one_who_took_over_keeps_it() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(3000));
        stage.world.stall(stage.pinky, true);
        stage.world.run(ms(1000));
        stage.world.power(stage.brain, true);
        stage.world.run(ms(9000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        stage.world.stall(stage.pinky, false);
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        assert_eq!(stage.world.changes(stage.pinky, stage.vip, true).len(), 1);
    });
}

#[test]
fn a_short_stall_moves_nothing() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        for length in [60, 250, 900, 1900, 10_000] {
            stage.world.stall(stage.pinky, true);
            stage.world.run(ms(length));
            stage.world.stall(stage.pinky, false);
            stage.world.run(ms(5000));
            assert_eq!(stage.world.holders(stage.vip), [stage.brain], "{length} ms");
        }
        assert_eq!(stage.world.said_at(stage.pinky, "peer-dead"), []);
        assert!(!stage.world.said_at(stage.pinky, "stalled").is_empty());
    });
}

#[test]
fn the_own_link_down_is_nobodys_death() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.world.carrier(stage.pinky, false);
        stage.world.run(ms(20_000));
        assert_eq!(stage.world.said_at(stage.pinky, "peer-dead"), []);
        stage.world.carrier(stage.pinky, true);
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        // The owner saw Pinky die; its own address it kept, and announced when the link came up.
        stage.world.carrier(stage.brain, false);
        stage.world.run(ms(100));
        let before = announcements(&stage, stage.brain).len();
        stage.world.carrier(stage.brain, true);
        stage.world.run(ms(100));
        assert!(announcements(&stage, stage.brain).len() > before);
    });
}

#[test]
fn a_stand_in_whose_link_comes_back_asks_before_it_announces() {
    in_both_families(|v6| {
        // Nobody has it meanwhile: announced again.
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(10_000));
        stage.world.carrier(stage.pinky, false);
        stage.world.run(ms(5000));
        let before = announcements(&stage, stage.pinky).len();
        stage.world.carrier(stage.pinky, true);
        stage.world.run(ms(30));
        assert_eq!(announcements(&stage, stage.pinky).len(), before, "asking");
        stage.world.run(ms(100));
        assert!(announcements(&stage, stage.pinky).len() > before);
        // Home has it again: it is let go without a word.
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(10_000));
        stage.world.carrier(stage.pinky, false);
        stage.world.run(ms(1000));
        stage.world.power(stage.brain, true);
        stage.world.run(ms(10_000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain, stage.pinky]);
        let before = announcements(&stage, stage.pinky).len();
        stage.world.carrier(stage.pinky, true);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
        assert_eq!(announcements(&stage, stage.pinky).len(), before);
    });
}

#[test]
fn a_conflict_while_asking_after_a_link_came_back_is_not_answered_in_haste() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(10_000));
        let stranger = stage.world.add_host("stranger", 9);
        stage.world.carrier(stage.pinky, false);
        stage.world.run(ms(1000));
        // Another program cleans up while the link is down.
        stage.world.hosts[stage.pinky].kernel.refuse_adds = 10;
        stage.world.strip(stage.pinky, stage.vip);
        stage.world.carrier(stage.pinky, true);
        stage.world.run(ms(5));
        // The world itself checks that nothing is announced without the address.
        let frame = gratuitous(stage.vip, Mac([2, 0, 0, 0, 0, 9]));
        stage.world.say(stranger, &frame);
        stage.world.run(ms(20_000));
        assert_eq!(stage.world.said_at(stage.pinky, "conflict").len(), 1);
    });
}

#[test]
fn a_claim_wanted_while_the_own_link_is_down_is_made_when_it_is_up() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.carrier(stage.pinky, false);
        stage.world.power(stage.brain, false);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), []);
        stage.world.carrier(stage.pinky, true);
        // The port may be slow to forward, and nothing is heard: three seconds of patience.
        stage.world.run(ms(2900));
        assert_eq!(stage.world.holders(stage.vip), []);
        stage.world.run(ms(200));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
    });
}

#[test]
fn a_lapse_on_a_dead_link_announces_nothing() {
    in_both_families(|v6| {
        let mut stage = Stage::with_owner(v6, |plan| plan);
        // Found by a seed: asleep for longer than the lifetime, awake while the link is down, and
        // an announcement was due. The world itself checks that none is made without the address.
        stage.world.run(ms(52_000));
        stage.world.carrier(stage.brain, false);
        stage.world.run(ms(100));
        stage.world.stall(stage.brain, true);
        stage.world.run(ms(10_000));
        assert!(!stage.world.holders(stage.vip).contains(&stage.brain));
        stage.world.stall(stage.brain, false);
        stage.world.run(ms(2000));
        stage.world.carrier(stage.brain, true);
        stage.world.run(ms(5000));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
    });
}

#[test]
fn a_stall_amid_the_series_makes_up_for_it_once() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(100));
        let before = announcements(&stage, stage.pinky).len();
        stage.world.stall(stage.pinky, true);
        stage.world.run(ms(1500));
        stage.world.stall(stage.pinky, false);
        stage.world.run(ms(300));
        assert_eq!(announcements(&stage, stage.pinky).len() - before, 1);
    });
}

#[test]
fn a_claim_heard_while_the_address_was_uncertain_is_answered_when_it_is_certain() {
    in_both_families(|v6| {
        // Found by a seed: a host that was asleep wakes up to a queue of old claims.
        let mut stage = Stage::with_owner(v6, |plan| plan);
        stage.world.run(ms(20_000));
        let frame = gratuitous(stage.vip, stage.world.mac(stage.pinky));
        stage.world.hosts[stage.brain].kernel.lose_acks = 1;
        stage.world.strip(stage.brain, stage.vip);
        stage.world.say(stage.pinky, &frame);
        stage.world.run(ms(1000));
        let brain = stage.world.mac(stage.brain);
        assert_eq!(stage.world.neighbour(stage.router, stage.vip), Some(brain));
        assert_eq!(stage.world.holders(stage.vip), [stage.brain]);
    });
}

#[test]
fn who_asks_just_after_an_announcement_is_not_told_again() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.failback = Failback::No));
        stage.fail_over();
        let (router, by) = (stage.router, stage.world.mac(stage.brain));
        let frame = match stage.vip {
            IpAddr::V4(v4) => ArpPacket::probe(by, v4).encode(by, Mac::BROADCAST),
            IpAddr::V6(v6) => Solicitation::probe(by, v6).encode(),
        };
        // Announced at 0 and 0.2 s; and at 5 s for the last time of the series.
        for (wait, told) in [(300, 0), (20_000, 1)] {
            stage.world.run(ms(wait));
            let before = announcements(&stage, stage.pinky).len();
            stage.world.say(router, &frame);
            stage.world.run(ms(10));
            assert_eq!(announcements(&stage, stage.pinky).len() - before, told, "{wait} ms");
        }
    });
}

/// What is said by one host, in the moment between the addition and its acknowledgement, and
/// whether the claim stands.
fn said_late(v6: bool, on_answer: OnAnswer, by_home: bool, probes: bool) -> bool {
    let mut stage = Stage::bare(v6, |plan| plan.with(|vip| vip.on_answer = on_answer));
    let (vip, pinky) = (stage.vip, stage.pinky);
    stage.world.power(stage.brain, false);
    stage.world.run_until(ms(250), "an addition", |world| world.holders(vip) == [pinky]);
    let by = if by_home { stage.world.mac(stage.brain) } else { Mac([2, 0, 0, 0, 9, 9]) };
    let frame = match (vip, probes) {
        (_, false) => gratuitous(vip, by),
        (IpAddr::V4(v4), true) => ArpPacket::probe(by, v4).encode(by, Mac::BROADCAST),
        (IpAddr::V6(v6), true) => Solicitation::probe(by, v6).encode(),
    };
    let now = stage.world.now;
    let node = stage.world.hosts[pinky].node.as_mut().expect("it runs");
    step(node, now, Input::Frame { link: LINK, bytes: &frame });
    stage.world.run(ms(5));
    let claimed = stage.world.said_at(pinky, "claimed").len();
    assert_eq!(stage.world.holders(vip).len(), claimed, "it is announced, or it is gone");
    claimed == 1
}

#[test]
fn the_home_that_speaks_up_before_the_acknowledgement_keeps_its_address() {
    in_both_families(|v6| {
        for probes in [false, true] {
            assert!(!said_late(v6, OnAnswer::Wait, true, probes), "probes: {probes}");
            assert!(said_late(v6, OnAnswer::Wait, false, probes), "a stranger; probes: {probes}");
        }
        // Who takes an address that is answered for lets go of it only for one that asks for it.
        assert!(said_late(v6, OnAnswer::Takeover, true, false));
        assert!(!said_late(v6, OnAnswer::Takeover, true, true));
    });
}

#[test]
fn stripped_before_the_acknowledgement_it_is_added_again_before_it_is_announced() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.power(stage.brain, false);
        let (vip, pinky) = (stage.vip, stage.pinky);
        stage.world.run_until(ms(250), "an addition", |world| world.holders(vip) == [pinky]);
        stage.world.strip(pinky, vip);
        stage.world.run(ms(1));
        assert_eq!(stage.world.holders(vip), [pinky]);
        assert_eq!(stage.world.said_at(pinky, "claimed").len(), 1);
    });
}

#[test]
fn stripped_during_a_stall_it_is_not_announced_on_waking() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.fail_over();
        stage.world.run(ms(4500));
        stage.world.stall(stage.pinky, true);
        stage.world.run(ms(300));
        stage.world.strip(stage.pinky, stage.vip);
        // The last of the series falls due meanwhile; the world checks what is said on waking.
        stage.world.run(ms(700));
        stage.world.stall(stage.pinky, false);
        stage.world.run(ms(1));
        assert_eq!(stage.world.holders(stage.vip), [stage.pinky]);
    });
}

#[test]
fn a_link_that_comes_back_asks_for_nothing_that_nobody_wants() {
    in_both_families(|v6| {
        let mut stage = Stage::bare(v6, |plan| plan);
        stage.world.carrier(stage.pinky, false);
        stage.world.run(ms(50));
        stage.world.carrier(stage.pinky, true);
        stage.world.run(ms(3000));
        assert_eq!(stage.world.probed(stage.pinky, stage.vip), []);
    });
}
