//! What authority `quorum` promises, one story at a time.

use std::net::IpAddr;
use std::time::Duration;

use standin_core::config::Vantage;
use standin_core::place::NodeId;
use standin_sim::file::Edit;
use standin_sim::kernel::Trouble;
use standin_sim::random::Random;
use standin_sim::scenario::{Manner, QuorumPlan};
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

fn story(world: &World) -> String {
    world.story.as_ref().map(|lines| lines.join("\n")).unwrap_or_default()
}

fn voting(nodes: usize, witnesses: usize, length: Duration) -> Scenario {
    let mut scenario = Scenario::plain(nodes);
    scenario.witnesses = witnesses;
    scenario.file.voters = witnesses;
    scenario.manner = Manner::Split;
    scenario.quorum = Some(QuorumPlan { length, guarded: true, fence: false });
    scenario.groups[0].rules.members = (0..nodes as u16).map(NodeId).collect();
    scenario
}

/// The same on hosts whose kernels end no lease.
fn unguarded(nodes: usize, witnesses: usize, length: Duration) -> Scenario {
    let quorum = Some(QuorumPlan { length, guarded: false, fence: false });
    Scenario { quorum, ..voting(nodes, witnesses, length) }
}

/// A world that has settled.
fn settled(scenario: Scenario) -> World {
    let mut world = World::new(scenario, Random::new(1), true);
    world.run(ms(6000));
    assert_held(&world, PINKY);
    world
}

#[track_caller]
fn assert_held(world: &World, by: HostId) {
    assert_eq!(world.broken, None, "{}", story(world));
    assert_eq!(world.answerers(vip(world)), [by], "{}", story(world));
    assert_eq!(world.reached(vip(world)), Some(by), "{}", story(world));
}

#[test]
fn a_majority_takes_over_and_the_minority_lets_go_before() {
    for (nodes, witnesses) in [(3, 0), (2, 1), (4, 1)] {
        let mut world = settled(voting(nodes, witnesses, ms(500)));
        world.operate(&Operation::Partition(0, 1 << PINKY));
        world.run(ms(3000));
        assert_held(&world, BRAIN);
        world.operate(&Operation::Mend(0));
        world.run(ms(8000));
        assert_held(&world, PINKY);
    }
}

#[test]
fn without_a_majority_nobody_answers() {
    let mut world = settled(voting(3, 0, ms(500)));
    world.operate(&Operation::Power(BRAIN, false));
    world.run(ms(3000));
    assert_held(&world, PINKY);
    world.operate(&Operation::Power(SNOWBALL, false));
    world.run(ms(3000));
    assert_eq!(world.broken, None, "{}", story(&world));
    assert!(world.answerers(vip(&world)).is_empty(), "{}", story(&world));
    world.operate(&Operation::Power(SNOWBALL, true));
    world.run(ms(6000));
    assert_held(&world, PINKY);
}

/// What is left to the next run has only the lifetime of its address to end it.
#[test]
fn what_is_left_behind_without_nftables_is_gone_before_the_lease() {
    let mut world = World::new(unguarded(2, 1, ms(5000)), Random::new(1), true);
    world.run(ms(20_000));
    assert_held(&world, PINKY);
    world.operate(&Operation::StopKeeping(PINKY));
    world.run(ms(20_000));
    assert_held(&world, BRAIN);
}

#[test]
fn the_loss_of_a_witness_moves_nothing() {
    let mut world = settled(voting(2, 1, ms(200)));
    let changes = world.changes;
    world.operate(&Operation::Power(2, false));
    world.run(ms(5000));
    world.operate(&Operation::Power(2, true));
    world.run(ms(5000));
    assert_held(&world, PINKY);
    assert_eq!(world.changes, changes, "{}", story(&world));
}

/// A move in which one of the two is stopped before any of its steps, for longer than the lease.
#[test]
fn a_move_may_be_stopped_between_any_two_steps() {
    for host in [PINKY, BRAIN] {
        for step in 0..60 {
            let length = if step % 2 == 0 { ms(70) } else { ms(900) };
            let mut scenario = voting(3, 0, ms(200));
            scenario.routers[0].refresh = Some(ms(3000));
            let mut world = settled(scenario);
            world.operate(&Operation::Place(PINKY, 0, Some(BRAIN)));
            world.operate(&Operation::Freeze(host, step, length));
            world.run(ms(8000));
            assert_eq!(world.broken, None, "step {step}\n{}", story(&world));
            let answering = world.answerers(vip(&world));
            assert_eq!(answering.len(), 1, "step {step}\n{}", story(&world));
            let reached = world.reached(vip(&world));
            assert_eq!(reached, Some(answering[0]), "step {step}\n{}", story(&world));
        }
    }
}

/// Every process is kept waiting now and then, on any machine. Under the shortest leases too that
/// costs no answer while it is less than what a renewal in good time leaves of one.
#[test]
fn a_short_lease_outlasts_a_process_that_is_kept_waiting() {
    for (length, kept) in [(ms(50), ms(22)), (ms(60), ms(30))] {
        let mut scenario = voting(2, 1, length);
        scenario.timing.dead_after = length * 5 / 6;
        scenario.timing.interval = length * 5 / 6 / 4;
        let mut world = settled(scenario);
        let changes = world.changes;
        for step in 0..60 {
            // At any moment between two heartbeats.
            world.run(ms(1) * (step * 7 % 13));
            world.operate(&Operation::Freeze(PINKY, step % 7, kept));
            for _ in 0..150 {
                world.run(ms(1) / 2);
                let answering = world.answerers(vip(&world));
                assert_eq!(answering, [PINKY], "{length:?}, step {step}\n{}", story(&world));
            }
        }
        assert_eq!(world.changes, changes, "{}", story(&world));
    }
}

/// A daemon is killed and started again where no kernel ends a lease. What its addresses were held by, and
/// until when, died with it: the next run may not renew them for a lease that it does not have.
#[test]
fn without_nftables_what_a_killed_run_left_is_not_kept_alive_without_a_lease() {
    let mut world = World::new(unguarded(2, 1, ms(5000)), Random::new(1), true);
    world.run(ms(12_000));
    assert_held(&world, PINKY);
    for step in 0..4 {
        world.operate(&Operation::Kill(PINKY));
        world.run(ms(300));
        world.operate(&Operation::Start(PINKY));
        world.run(ms(200 * step));
        world.operate(&Operation::Partition(0, 1 << PINKY));
        world.run(ms(12_000));
        assert_eq!(world.broken, None, "{}", story(&world));
        world.operate(&Operation::Partition(0, 0));
        world.run(ms(20_000));
        assert_held(&world, PINKY);
    }
}

/// A kernel that takes no lease is asked again at a pace: the loop that decides does not spin, and has it
/// soon after the kernel takes it.
#[test]
fn a_kernel_that_refuses_a_lease_is_asked_again_at_a_pace() {
    let mut world = settled(voting(2, 1, ms(200)));
    let refuses = Trouble { refuse: 100, ..Trouble::default() };
    world.operate(&Operation::Trouble(PINKY, refuses));
    world.run(ms(300));
    let asked = story(&world).matches("extends no lease").count();
    assert!((2..=60).contains(&asked), "{asked} times in 300 ms\n{}", story(&world));
    world.operate(&Operation::Trouble(PINKY, Trouble::default()));
    world.run(ms(4000));
    assert_held(&world, PINKY);
}

/// Every voter forgets, one after the other: each is quiet for as long as it may have bound itself.
#[test]
fn voters_that_restart_grant_nothing_twice() {
    let mut world = settled(voting(3, 0, ms(1000)));
    world.operate(&Operation::Partition(0, 1 << PINKY));
    for voter in [BRAIN, SNOWBALL] {
        world.operate(&Operation::Kill(voter));
        world.operate(&Operation::Start(voter));
    }
    world.run(ms(5000));
    assert_held(&world, BRAIN);
}

/// A voter that was stopped between reading its clock and hearing the holder binds itself from when
/// it goes on, not from what the clock showed before.
#[test]
fn a_voter_that_was_stopped_binds_itself_from_when_it_hears() {
    for held_up in [ms(300), ms(600), ms(900)] {
        for step in 0..4 {
            let mut world = settled(voting(3, 0, ms(2000)));
            // Brain alone votes for Pinky from now on.
            world.operate(&Operation::Cut(0, PINKY, SNOWBALL, true));
            world.run(ms(2500));
            world.operate(&Operation::Freeze(BRAIN, step, held_up));
            world.run(held_up + ms(250));
            world.operate(&Operation::Partition(0, 1 << PINKY));
            world.run(ms(6000));
            assert_held(&world, BRAIN);
        }
    }
}

/// The holder is cut off for less than its lease. A fencing command that worked is as good as the
/// lease's end, and one that failed is nothing.
#[test]
fn a_fencing_command_counts_where_it_worked() {
    let (mut worked, mut failed) = (0, 0);
    for seed in 0..12 {
        let mut scenario = voting(3, 0, ms(5000));
        scenario.quorum.as_mut().expect("a quorum").fence = true;
        let mut world = World::new(scenario, Random::new(seed), true);
        world.run(ms(9000));
        assert_held(&world, PINKY);
        world.operate(&Operation::Partition(0, 1 << PINKY));
        world.run(ms(3500));
        assert_eq!(world.broken, None, "{}", story(&world));
        if world.hosts[PINKY].powered {
            failed += 1;
            assert_held_alone(&world, PINKY);
        } else {
            worked += 1;
            assert_held(&world, BRAIN);
        }
        world.run(ms(6000));
        assert_held(&world, BRAIN);
    }
    assert!(worked > 0 && failed > 0, "{worked} worked, {failed} failed");
}

/// Whoever is on the link may say that nobody takes the holder's heartbeats, and need not know any key.
/// While one of them is lost now and then it is believed, and no reason to switch off anybody.
#[test]
fn a_forged_refusal_fences_nobody() {
    let mut scenario = voting(3, 0, ms(5000));
    scenario.quorum.as_mut().expect("a quorum").fence = true;
    let mut world = World::new(scenario, Random::new(1), true);
    world.run(ms(9000));
    assert_held(&world, PINKY);
    world.operate(&Operation::Wire(0, Wire { lose: 5, ..Wire::default() }));
    for _ in 0..10_000 {
        for to in [BRAIN, SNOWBALL] {
            world.operate(&Operation::Refuse(to, PINKY));
        }
        world.run(ms(1));
    }
    assert!(story(&world).contains("daemon refuses heartbeats"), "it was believed");
    assert!(!story(&world).contains("fencing command"), "{}", story(&world));
    assert_held(&world, PINKY);
    // A daemon that is gone indeed is silent as well.
    world.operate(&Operation::Kill(PINKY));
    world.run(ms(1500));
    assert!(story(&world).contains("fencing command"), "{}", story(&world));
}

/// A daemon that is restarted, or stopped for good, is gone while its host answers. It has said so, and
/// nobody cuts off its host for it: not even the one that waits for what it left to its next run.
#[test]
fn who_has_said_that_it_goes_is_not_fenced() {
    for pause in [400, 1500, 2500] {
        let mut scenario = voting(3, 0, ms(5000));
        scenario.quorum.as_mut().expect("a quorum").fence = true;
        let mut world = World::new(scenario, Random::new(1), true);
        world.run(ms(9000));
        assert_held(&world, PINKY);
        world.operate(&Operation::StopKeeping(PINKY));
        world.run(ms(pause));
        world.operate(&Operation::Start(PINKY));
        world.run(ms(8000));
        assert_held(&world, PINKY);
        // Where nobody starts it again the lease ends by itself.
        world.operate(&Operation::StopKeeping(PINKY));
        world.run(ms(8000));
        assert_held(&world, BRAIN);
        assert!(!story(&world).contains("fencing command"), "{}", story(&world));
    }
}

/// A voter is dead for good: the others go on without it, also where it comes back and knows of
/// nothing. The half of two may not.
#[test]
fn a_dead_voter_is_removed_where_the_others_are_a_majority() {
    let mut scenario = voting(2, 1, ms(500));
    scenario.reloads = true;
    let mut world = settled(scenario);
    world.operate(&Operation::Power(2, false));
    world.run(ms(3000));
    for host in [PINKY, BRAIN] {
        world.operate(&Operation::Reload(host, Edit::Voters(0)));
        world.run(ms(1000));
    }
    world.run(ms(4000));
    assert_held(&world, PINKY);
    assert!(!story(&world).contains("keeps its file"), "{}", story(&world));
    world.operate(&Operation::Power(2, true));
    world.run(ms(3000));
    assert_held(&world, PINKY);
    world.operate(&Operation::Power(BRAIN, false));
    world.run(ms(3000));
    assert!(world.answerers(vip(&world)).is_empty(), "{}", story(&world));

    let mut scenario = voting(1, 1, ms(500));
    scenario.reloads = true;
    let mut world = settled(scenario);
    world.operate(&Operation::Power(1, false));
    world.run(ms(3000));
    world.operate(&Operation::Reload(PINKY, Edit::Voters(0)));
    world.run(ms(3000));
    assert!(story(&world).contains("no majority of the present voters"), "{}", story(&world));
    assert!(world.answerers(vip(&world)).is_empty(), "{}", story(&world));
}

/// Nobody hears it, and nobody else answers.
#[track_caller]
fn assert_held_alone(world: &World, by: HostId) {
    assert_eq!(world.answerers(vip(world)), [by], "{}", story(world));
}

#[test]
fn the_word_of_the_others_is_that_of_those_who_look() {
    let mut scenario = voting(2, 1, ms(500));
    (scenario.checked, scenario.vantage) = (true, Vantage::Peers);
    let mut world = settled(scenario);
    // Only Brain can see it: a witness looks at nothing.
    world.hosts[PINKY].unanswered = vec![BRAIN];
    world.run(ms(8000));
    assert_held(&world, BRAIN);
}
