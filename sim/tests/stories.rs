//! What a cluster promises, one story at a time, on a sound network unless the story says so.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::{Failback, Vantage};
use standin_sim::random::Random;
use standin_sim::scenario::Stall;
use standin_sim::{HostId, Operation, Scenario, Wire, World};

const PINKY: HostId = 0;
const BRAIN: HostId = 1;
const SNOWBALL: HostId = 2;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn vip(world: &World) -> IpAddr {
    world.scenario.groups[0].addresses[0]
}

/// A world that has settled.
fn settled(scenario: Scenario) -> World {
    let mut world = World::new(scenario, Random::new(1), true);
    world.run(ms(5000));
    assert_held(&world, PINKY);
    world
}

#[track_caller]
fn assert_held(world: &World, by: HostId) {
    assert_sound(world);
    assert_eq!(world.holders(vip(world)), [by], "{}", story(world));
    assert_eq!(world.reached(vip(world)), Some(by), "{}", story(world));
}

#[track_caller]
fn assert_sound(world: &World) {
    assert_eq!(world.broken, None, "{}", story(world));
}

fn story(world: &World) -> String {
    world.story.as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
}

/// Lets time pass, and says for how long at most nobody was reached.
fn longest_gap(world: &mut World, length: Duration) -> Duration {
    let end = world.now + length;
    let (mut since, mut longest) = (None, Duration::ZERO);
    while world.broken.is_none() && world.step(end) {
        match (world.reached(vip(world)), since) {
            (Some(_), Some(from)) => {
                longest = longest.max(world.now.since(from));
                since = None;
            }
            (None, None) => since = Some(world.now),
            (Some(_), None) | (None, Some(_)) => {}
        }
    }
    assert_sound(world);
    since.map_or(longest, |from| longest.max(end.since(from)))
}

#[test]
fn a_cluster_boots_and_the_home_has_the_group() {
    for nodes in [2, 3, 5] {
        let mut world = World::new(Scenario::plain(nodes), Random::new(1), true);
        let gap = longest_gap(&mut world, ms(5000));
        assert!(gap < ms(500), "{gap:?}\n{}", story(&world));
        assert_held(&world, PINKY);
    }
}

#[test]
fn the_first_node_alone_serves_after_its_wait() {
    let mut world = World::new(Scenario::plain(3), Random::new(1), true);
    world.operate(&Operation::Power(BRAIN, false));
    world.operate(&Operation::Power(SNOWBALL, false));
    world.run(ms(5000));
    assert_held(&world, PINKY);
}

#[test]
fn power_off_costs_dead_after_and_failback_costs_nothing() {
    let mut world = settled(Scenario::plain(3));
    world.operate(&Operation::Power(PINKY, false));
    let gap = longest_gap(&mut world, ms(5000));
    assert!(gap > ms(700) && gap < ms(1100), "{gap:?}\n{}", story(&world));
    assert_held(&world, BRAIN);
    world.operate(&Operation::Power(PINKY, true));
    assert_eq!(longest_gap(&mut world, ms(8000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, PINKY);
}

#[test]
fn failback_no_leaves_the_group_where_it_is() {
    let mut scenario = Scenario::plain(2);
    scenario.groups[0].rules.failback = Failback::No;
    let mut world = settled(scenario);
    world.operate(&Operation::Power(PINKY, false));
    world.run(ms(3000));
    world.operate(&Operation::Power(PINKY, true));
    let changes = world.changes;
    world.run(ms(10_000));
    assert_held(&world, BRAIN);
    assert_eq!(world.changes, changes, "{}", story(&world));
}

#[test]
fn a_drain_and_its_end_lose_nothing() {
    let mut world = settled(Scenario::plain(3));
    world.operate(&Operation::Drain(SNOWBALL, PINKY, true));
    assert_eq!(longest_gap(&mut world, ms(2000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, BRAIN);
    world.operate(&Operation::Drain(BRAIN, PINKY, false));
    assert_eq!(longest_gap(&mut world, ms(2000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, PINKY);
}

#[test]
fn a_hundred_moves_by_the_operator_lose_nothing() {
    let mut world = settled(Scenario::plain(3));
    for turn in 1..=100 {
        let to = turn % 3;
        world.operate(&Operation::Place((turn + 1) % 3, 0, Some(to)));
        assert_eq!(longest_gap(&mut world, ms(300)), Duration::ZERO, "{}", story(&world));
        assert_held(&world, to);
    }
}

#[test]
fn a_stop_hands_over_first() {
    let mut world = settled(Scenario::plain(2));
    world.operate(&Operation::Stop(PINKY));
    assert_eq!(longest_gap(&mut world, ms(3000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, BRAIN);
    assert!(!world.has_daemon(PINKY));
}

#[test]
fn the_last_one_stops_as_well() {
    let mut world = settled(Scenario::plain(2));
    world.operate(&Operation::Stop(PINKY));
    world.operate(&Operation::Stop(BRAIN));
    world.run(ms(3000));
    assert_sound(&world);
    assert!(world.holders(vip(&world)).is_empty());
    assert!(!world.has_daemon(PINKY) && !world.has_daemon(BRAIN));
}

#[test]
fn a_restart_that_keeps_moves_nothing() {
    let mut world = settled(Scenario::plain(3));
    for pause in [100, 2500, 20_000] {
        let changes = world.changes;
        world.operate(&Operation::StopKeeping(PINKY));
        assert_eq!(longest_gap(&mut world, ms(pause)), Duration::ZERO, "{}", story(&world));
        world.operate(&Operation::Start(PINKY));
        assert_eq!(longest_gap(&mut world, ms(5000)), Duration::ZERO, "{}", story(&world));
        assert_eq!(world.changes, changes, "{}", story(&world));
        assert_held(&world, PINKY);
    }
}

/// Whoever is on the link may forge what a kernel says of a closed port, as often as he likes.
#[test]
fn a_forged_refusal_means_nothing_while_heartbeats_come() {
    let mut world = World::new(Scenario::plain(3), Random::new(7), true);
    world.run(ms(5000));
    let begun = story(&world).len();
    for _ in 0..2000 {
        for (to, from) in [(PINKY, BRAIN), (BRAIN, PINKY), (SNOWBALL, PINKY)] {
            world.operate(&Operation::Refuse(to, from));
        }
        world.run(ms(1));
    }
    let told = story(&world).split_off(begun);
    assert!(told.contains("nobody takes") || told.contains("attacker"), "the forgeries are told");
    assert!(!told.contains("daemon"), "{told}");
    assert_held(&world, PINKY);
}

#[test]
fn a_killed_daemon_leaves_no_second_holder() {
    let mut world = settled(Scenario::plain(2));
    world.operate(&Operation::Kill(PINKY));
    let gap = longest_gap(&mut world, ms(5000));
    assert!(gap < ms(250), "{gap:?}\n{}", story(&world));
    assert_held(&world, BRAIN);
}

/// A route stays when the sign of life has run out and another has its address.
#[test]
fn what_a_killed_run_left_as_routes_is_not_taken_back() {
    for (away, back) in [(ms(500), PINKY), (ms(6000), BRAIN)] {
        let mut scenario = Scenario { routes: true, ..Scenario::plain(2) };
        scenario.groups[0].rules.failback = Failback::No;
        let mut world = settled(scenario);
        assert_held(&world, PINKY);
        world.operate(&Operation::Kill(PINKY));
        world.run(away);
        world.operate(&Operation::Start(PINKY));
        world.run(ms(5000));
        assert_held(&world, back);
        assert_sound(&world);
    }
}

#[test]
fn a_hung_daemon_leaves_no_second_holder_and_asks_when_it_goes_on() {
    let mut world = settled(Scenario::plain(2));
    world.operate(&Operation::Pause(PINKY));
    let gap = longest_gap(&mut world, ms(5000));
    assert!(gap < ms(250), "{gap:?}\n{}", story(&world));
    assert_held(&world, BRAIN);
    world.operate(&Operation::Resume(PINKY));
    assert_eq!(longest_gap(&mut world, ms(5000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, PINKY);
}

#[test]
fn a_hung_daemon_that_goes_on_takes_nothing_from_who_holds_it_meanwhile() {
    for seed in 0..100 {
        // Short stops, so that now and then a word is believed before the next has come.
        let stall = Stall { chance: 20_000, most: ms(10) };
        let scenario = Scenario { stall, ..Scenario::plain(2) };
        let mut world = World::new(scenario, Random::new(seed), true);
        world.run(ms(5000));
        world.operate(&Operation::Pause(PINKY));
        world.run(ms(4000));
        assert_held(&world, BRAIN);
        world.operate(&Operation::Resume(PINKY));
        world.run(ms(6000));
        assert_held(&world, PINKY);
        // What it sends from now on must not say that it still holds what its kernel has removed.
        let story = story(&world);
        let woken = story.split("was not renewed for").nth(1).expect("it says so");
        assert!(!woken.contains("both hold it"), "{story}");
    }
}

#[test]
fn a_healed_partition_ends_with_one_that_has_announced() {
    for router_with in [PINKY, BRAIN] {
        let mut scenario = Scenario::plain(2);
        scenario.manner = standin_sim::scenario::Manner::Split;
        scenario.routers[0].refresh = None;
        let mut world = settled(scenario);
        world.operate(&Operation::Partition(0, 1 << (1 - router_with)));
        world.run(ms(5000));
        assert_eq!(world.holders(vip(&world)), [PINKY, BRAIN], "{}", story(&world));
        assert_eq!(world.reached(vip(&world)), Some(router_with), "{}", story(&world));
        world.operate(&Operation::Mend(0));
        world.run(ms(1500));
        assert_held(&world, PINKY);
    }
}

/// The other side of a partition took the group, told the router, and died before the heal: the one
/// that had it all along has seen nothing of that.
#[test]
fn a_holder_whose_rival_died_in_the_partition_announces_again() {
    let mut scenario = Scenario::plain(3);
    scenario.manner = standin_sim::scenario::Manner::Split;
    scenario.routers[0].refresh = None;
    let mut world = settled(scenario);
    world.operate(&Operation::Partition(0, 1 << PINKY));
    world.run(ms(3000));
    assert_eq!(world.reached(vip(&world)), Some(BRAIN), "{}", story(&world));
    world.operate(&Operation::Power(BRAIN, false));
    world.operate(&Operation::Mend(0));
    world.run(ms(3000));
    assert_held(&world, PINKY);
}

#[test]
fn a_service_that_fails_moves_the_group() {
    let mut scenario = Scenario::plain(3);
    scenario.checked = true;
    let mut world = World::new(scenario, Random::new(1), true);
    world.run(ms(8000));
    assert_held(&world, PINKY);
    world.operate(&Operation::Service(PINKY, false));
    assert_eq!(longest_gap(&mut world, ms(4000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, BRAIN);
}

#[test]
fn the_pair_of_the_article_stands_in_and_hands_back() {
    for v6 in [false, true] {
        let mut world = World::new(Scenario::pair(v6), Random::new(1), true);
        world.run(ms(6000));
        assert_held(&world, BRAIN);
        world.operate(&Operation::Power(BRAIN, false));
        world.run(ms(3000));
        assert_held(&world, PINKY);
        world.operate(&Operation::Power(BRAIN, true));
        world.run(ms(6000));
        assert_held(&world, BRAIN);
    }
}

/// A move that is cut short at any of its moments: never two that answer, and one in the end.
#[test]
fn a_move_may_be_cut_short_at_any_moment() {
    let cuts: [&[Operation]; 9] = [
        &[Operation::Kill(PINKY), Operation::Start(PINKY)],
        &[Operation::Kill(BRAIN), Operation::Start(BRAIN)],
        &[Operation::StopKeeping(PINKY), Operation::Start(PINKY)],
        &[Operation::StopKeeping(BRAIN), Operation::Start(BRAIN)],
        &[Operation::Power(PINKY, false)],
        &[Operation::Power(BRAIN, false)],
        &[Operation::Place(SNOWBALL, 0, Some(SNOWBALL))],
        &[Operation::Stop(BRAIN), Operation::Drain(SNOWBALL, PINKY, true)],
        &[Operation::Place(SNOWBALL, 0, Some(PINKY)), Operation::Kill(BRAIN)],
    ];
    for cut in cuts {
        for step in 0..70 {
            let mut scenario = Scenario::plain(3);
            scenario.routers[0].refresh = None;
            let mut world = settled(scenario);
            world.operate(&Operation::Place(PINKY, 0, Some(BRAIN)));
            // The first milliseconds hold most of what happens.
            world.run(if step < 40 { ms(step) / 10 } else { ms(step - 36) * 2 });
            for operation in cut {
                world.operate(operation);
                world.run(ms(300));
            }
            world.run(ms(12_000));
            assert_sound(&world);
            let holders = world.holders(vip(&world));
            assert_eq!(holders.len(), 1, "{cut:?} at step {step}\n{}", story(&world));
            let reached = world.reached(vip(&world));
            assert_eq!(reached, Some(holders[0]), "{cut:?} at step {step}\n{}", story(&world));
        }
    }
}

/// Three nodes, of which those that do not hold the group look at its holder every half second.
fn watched_from_outside() -> Scenario {
    let mut scenario = Scenario::plain(3);
    (scenario.checked, scenario.vantage) = (true, Vantage::Peers);
    scenario
}

#[test]
fn a_holder_that_answers_nobody_outside_gives_the_group_away_once() {
    let mut world = settled(watched_from_outside());
    world.hosts[PINKY].unanswered = vec![BRAIN, SNOWBALL];
    assert_eq!(longest_gap(&mut world, ms(5000)), Duration::ZERO, "{}", story(&world));
    assert_held(&world, BRAIN);
    let changes = world.changes;
    world.run(ms(60_000));
    assert_held(&world, BRAIN);
    assert_eq!(world.changes, changes, "{}", story(&world));
    // Pinky is home: after the pause it is tried there again, in vain, and then not for longer.
    world.run(ms(300_000));
    assert_held(&world, BRAIN);
    assert_eq!(world.changes, changes + 4, "{}", story(&world));
    world.run(ms(500_000));
    assert_eq!(world.changes, changes + 4, "{}", story(&world));
    world.hosts[PINKY].unanswered.clear();
    world.run(ms(300_000));
    assert_held(&world, PINKY);
}

#[test]
fn one_watcher_of_two_does_not_move_the_group() {
    let mut world = settled(watched_from_outside());
    let changes = world.changes;
    world.hosts[PINKY].unanswered = vec![BRAIN];
    world.run(ms(30_000));
    assert_held(&world, PINKY);
    assert_eq!(world.changes, changes, "{}", story(&world));
    // The other is gone: Brain is all that can judge.
    world.operate(&Operation::Power(SNOWBALL, false));
    world.run(ms(5000));
    assert_held(&world, BRAIN);
}

#[test]
fn what_fails_from_outside_everywhere_is_tried_once_everywhere_and_stays() {
    let mut world = settled(watched_from_outside());
    let all = vec![PINKY, BRAIN, SNOWBALL];
    for host in [PINKY, BRAIN, SNOWBALL] {
        world.hosts[host].unanswered = all.clone();
    }
    let changes = world.changes;
    world.run(ms(120_000));
    assert_held(&world, SNOWBALL);
    assert_eq!(world.changes, changes + 4, "two moves\n{}", story(&world));
}

#[test]
fn a_link_that_carries_nothing_is_as_good_as_down() {
    let mut world = settled(Scenario { paths: 2, ..Scenario::plain(3) });
    // Nobody reaches Pinky on the first segment; all are heard on the second.
    world.operate(&Operation::Partition(0, 1 << PINKY));
    world.run(ms(8000));
    assert_held(&world, BRAIN);
    world.operate(&Operation::Mend(0));
    world.run(ms(8000));
    assert_held(&world, PINKY);
}

#[test]
fn a_single_fellow_that_is_missed_on_a_link_moves_nothing() {
    let mut world = settled(Scenario { paths: 2, ..Scenario::plain(3) });
    for (from, to) in [(PINKY, BRAIN), (BRAIN, PINKY)] {
        world.operate(&Operation::Cut(0, from, to, true));
    }
    let gap = longest_gap(&mut world, ms(10_000));
    assert_eq!(gap, Duration::ZERO);
    assert_held(&world, PINKY);
}

/// IPv6 is switched off everywhere, say: who has the other half does not give it up again and again for
/// one whose kernel will refuse as well.
#[test]
fn half_a_group_stays_where_every_kernel_refuses_the_rest() {
    for (nodes, failback) in [(2, Failback::Yes), (3, Failback::Yes), (2, Failback::No)] {
        let mut scenario = Scenario::plain(nodes);
        scenario.groups[0].rules.failback = failback;
        let refused = "10.0.0.177".parse().expect("an address");
        scenario.groups[0].addresses.push(refused);
        let mut world = World::new(scenario, Random::new(1), true);
        for host in 0..nodes {
            world.hosts[host].kernel.refuses.insert(refused);
        }
        // Until all have been tried.
        world.run(ms(10_000));
        let served = world.holders(vip(&world));
        let gap = longest_gap(&mut world, ms(900_000));
        assert_eq!(gap, Duration::ZERO, "{nodes} {failback:?}");
        assert_eq!((served.len(), world.holders(vip(&world))), (1, served));
        // Once they take it again, all is there.
        for host in 0..nodes {
            world.hosts[host].kernel.refuses.clear();
        }
        world.run(ms(10_000));
        let whole = world.holders(refused);
        assert_eq!((whole.len(), &whole), (1, &world.holders(vip(&world))), "{}", story(&world));
        assert_sound(&world);
    }
}

/// All agree on who tries again what every kernel refuses: not one whose link is of no use.
#[test]
fn one_without_a_link_is_not_left_to_try_what_all_kernels_refuse() {
    let mut world = World::new(Scenario { paths: 2, ..Scenario::plain(3) }, Random::new(1), true);
    let vip = vip(&world);
    for host in [PINKY, BRAIN, SNOWBALL] {
        world.hosts[host].kernel.refuses.insert(vip);
    }
    // By then a pause takes minutes.
    world.run(ms(80_000));
    world.operate(&Operation::Partition(0, 1 << PINKY));
    world.run(ms(8000));
    assert!(world.holders(vip).is_empty());
    for host in [BRAIN, SNOWBALL] {
        world.hosts[host].kernel.refuses.clear();
    }
    world.run(ms(2000));
    assert_held(&world, BRAIN);
}

/// Nodes that call each other dead after 100 ms.
fn brisk(nodes: usize) -> Scenario {
    let mut scenario = Scenario::plain(nodes);
    scenario.timing.dead_after = ms(100);
    scenario.timing.interval = ms(25);
    scenario
}

#[test]
fn an_heir_that_dies_as_well_is_not_waited_for() {
    // Together with the holder, and at any moment until it would have taken over.
    for later in [0, 25, 40, 60, 80, 100] {
        for phase in 0..10 {
            let mut world = settled(brisk(3));
            world.run(ms(phase * 11));
            world.operate(&Operation::Power(PINKY, false));
            world.run(ms(later));
            world.operate(&Operation::Power(BRAIN, false));
            let gap = longest_gap(&mut world, ms(3000));
            assert!(gap < ms(250), "{gap:?} after {later}\n{}", story(&world));
            assert_held(&world, SNOWBALL);
        }
    }
}

#[test]
fn a_group_is_not_given_to_one_that_has_just_died() {
    for phase in 0..10 {
        let mut world = settled(brisk(3));
        world.operate(&Operation::Power(BRAIN, false));
        world.run(ms(phase * 10));
        world.operate(&Operation::Place(PINKY, 0, Some(BRAIN)));
        assert_eq!(longest_gap(&mut world, ms(3000)), Duration::ZERO, "{}", story(&world));
        assert_held(&world, PINKY);
        // Nor does it keep a node from stopping: it goes to the other at once.
        let mut world = settled(brisk(3));
        world.operate(&Operation::Power(BRAIN, false));
        world.run(ms(phase * 10));
        world.operate(&Operation::Stop(PINKY));
        world.run(ms(300));
        assert_held(&world, SNOWBALL);
    }
}

#[test]
fn a_short_dead_after_calls_nobody_dead_for_what_is_lost() {
    let mut world = settled(brisk(3));
    let (changes, told) = (world.changes, |world: &World, what| story(world).contains(what));
    world.operate(&Operation::Wire(0, Wire { lose: 20, double: 0, late: ms(2) }));
    world.run(ms(120_000));
    world.operate(&Operation::Mend(0));
    world.run(ms(1000));
    assert_held(&world, PINKY);
    assert_eq!(world.changes, changes, "{}", story(&world));
    assert!(!told(&world, "is dead") && !told(&world, "daemon is silent"), "{}", story(&world));
}

#[test]
fn one_that_is_told_to_stop_is_not_suspected() {
    let mut world = settled(Scenario::plain(3));
    world.operate(&Operation::Stop(SNOWBALL));
    world.run(ms(3000));
    assert_held(&world, PINKY);
    assert!(!story(&world).contains("probing in a burst"), "{}", story(&world));
}

#[test]
fn a_network_that_fails_for_all_and_comes_back_moves_nothing() {
    for phase in 0..20 {
        let mut world = settled(Scenario { paths: 2, ..brisk(3) });
        let changes = world.changes;
        world.run(ms(phase * 3));
        // Each is alone on the first segment; all are heard on the second.
        let nodes = [PINKY, BRAIN, SNOWBALL];
        for (from, to) in nodes.into_iter().flat_map(|from| nodes.map(|to| (from, to))) {
            if from != to {
                world.operate(&Operation::Cut(0, from, to, true));
            }
        }
        world.run(ms(2000));
        world.operate(&Operation::Mend(0));
        world.run(ms(2000));
        assert_held(&world, PINKY);
        assert_eq!(world.changes, changes, "{phase}\n{}", story(&world));
        let told = |what| story(&world).contains(what);
        assert!(told("it counts as down") && told("somebody is heard on eth0 again"), "{phase}");
    }
}
