//! Whole clusters: pools through the decision, what would be, why it is so, and what always holds.

use crate::world::{Seen::*, *};
use proptest::prelude::*;
use standin_core::config::Failback;
use standin_core::place::{
    Bar, Change, Course, Decision, Group, GroupRules, Health, Holding, Life, NodeId, NodeSet,
    NodeView, PoolId, Preference, Rank, Reason, Standing, View, address_key, candidates, decide,
    decide_group, explain, plan,
};

/// A pool of addresses over nodes, each of which is seen the same for all of them.
struct Pool {
    nodes: Vec<NodeView>,
    standings: Vec<Vec<Standing>>,
    rules: GroupRules,
    placed: Option<(usize, NodeId)>,
}

impl Pool {
    fn new(seen: &[Seen], holders: &[Option<NodeId>], failback: Failback) -> Self {
        let standings = |holder: &Option<NodeId>| {
            let ids = (0u16..).map(NodeId);
            let holding = |node| if *holder == Some(node) { Holding::Yes } else { Holding::No };
            ids.zip(seen).map(|(node, seen)| seen.standing(holding(node))).collect()
        };
        Self {
            nodes: seen.iter().map(|seen| seen.node()).collect(),
            standings: holders.iter().map(standings).collect(),
            rules: GroupRules {
                preference: Preference::Spread(PoolId(1)),
                failback,
                members: NodeSet::ALL,
            },
            placed: None,
        }
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let groups = self.standings.iter().enumerate();
        groups
            .map(|(index, standings)| Group {
                key: address_key(std::net::Ipv4Addr::from(index as u32).into()),
                rules: &self.rules,
                standings,
                placed: self.placed.filter(|(at, _)| *at == index).map(|(_, node)| node),
            })
            .collect()
    }

    fn decide(&self) -> Vec<Decision> {
        decide(&View { nodes: &self.nodes, groups: &self.groups() })
    }
}

fn count(decisions: &[Decision], node: NodeId) -> usize {
    decisions.iter().filter(|decision| decision.holder == Some(node)).count()
}

fn said(decision: &Decision) -> String {
    decision.reason.sentence(&NAMES[..]).to_string()
}

#[test]
fn a_pool_is_claimed_evenly_and_shared_with_a_node_that_returns() {
    let pool = Pool::new(&[Well, Well, Well], &[None; 12], Failback::Yes);
    let decisions = pool.decide();
    for node in [PINKY, BRAIN, SNOWBALL] {
        assert_eq!(count(&decisions, node), 4);
    }
    assert!(decisions.iter().all(|decision| decision.course == Course::Claim));
    let holder = decisions[0].holder.unwrap();
    let words = format!("nobody holds it; it is {}'s share of the pool", NAMES[holder.index()]);
    assert_eq!(said(&decisions[0]), words);

    // Snowball was away; it takes four back, by planned moves.
    let holders: Vec<_> = (0..12).map(|n| Some(if n % 2 == 0 { PINKY } else { BRAIN })).collect();
    let decisions = Pool::new(&[Well, Well, Well], &holders, Failback::Yes).decide();
    let moves: Vec<_> =
        decisions.iter().filter(|decision| decision.course == Course::Move).collect();
    assert_eq!(moves.len(), 4);
    assert!(moves.iter().all(|decision| said(decision) == "it is snowball's share of the pool"));
    let never = Pool::new(&[Well, Well, Well], &holders, Failback::No).decide();
    assert!(never.iter().all(|decision| decision.course == Course::Keep));
    let later = Pool::new(&[Well, Well, WellFor(10)], &holders, Failback::After(secs(30))).decide();
    assert!(later.iter().all(|one| one.course == Course::Keep && one.again_in == Some(secs(20))));
    let then =
        Pool::new(&[WellFor(30), WellFor(99), WellFor(31)], &holders, Failback::After(secs(30)));
    assert_eq!(count(&then.decide(), SNOWBALL), 4);
}

#[test]
fn a_pool_waits_for_the_address_whose_candidate_is_the_newest() {
    let holders = [Some(PINKY); 4];
    let mut pool = Pool::new(&[Well, WellFor(40)], &holders, Failback::After(secs(30)));
    for (at, left) in [(0, 5), (2, 20), (3, 10)] {
        pool.standings[at][1].eligible_for = Some(secs(30 - left));
    }
    let waits = pool.decide();
    assert!(waits.iter().all(|one| one.course == Course::Keep && one.again_in == Some(secs(20))));
}

#[test]
fn a_pool_leaves_a_node_that_is_unfit_and_waits_for_one_that_is_not_heard() {
    let holders = [Some(PINKY), Some(PINKY), Some(BRAIN), Some(BRAIN)];
    for (seen, course) in [
        (Drained, Course::Move),
        (Fails, Course::Move),
        (Dead, Course::Claim),
        (DaemonGone, Course::ClaimWhenSilent),
    ] {
        let decisions = Pool::new(&[seen, Well], &holders, Failback::No).decide();
        assert_eq!(count(&decisions, BRAIN), 4, "{seen:?}");
        assert!(decisions[..2].iter().all(|decision| decision.course == course), "{seen:?}");
        assert!(decisions[2..].iter().all(|decision| decision.course == Course::Keep));
    }
    let kept = Pool::new(&[Restarted, Well, Dead], &holders, Failback::Yes).decide();
    assert!(kept.iter().all(|decision| decision.course == Course::Keep));
    let stuck = Pool::new(&[Fails, Fails], &holders, Failback::Yes).decide();
    assert_eq!(said(&stuck[0]), "nobody passes its check; pinky keeps it");
}

#[test]
fn an_address_of_a_pool_that_the_operator_placed_stays_there_and_counts() {
    let holders = [Some(PINKY), Some(PINKY), Some(BRAIN), Some(BRAIN)];
    let mut pool = Pool::new(&[Well, Well], &holders, Failback::Yes);
    pool.placed = Some((0, BRAIN));
    let decisions = pool.decide();
    assert_eq!(decisions[0].holder, Some(BRAIN));
    assert_eq!(
        decisions[0].reason,
        Reason::Returned { best: BRAIN, rank: Rank::Placed, back_for: Some(secs(12)) }
    );
    // Brain has three then and gives one of its own; the placed one is not sent back.
    assert_eq!((count(&decisions, PINKY), count(&decisions, BRAIN)), (2, 2));
}

#[test]
fn a_plan_is_the_decision_with_those_nodes_dead() {
    let first = World::new(&[PINKY, BRAIN], &[Well, Well, Well], &[PINKY]);
    let second = World::new(&[BRAIN, PINKY], &[Well, Well, Fails], &[BRAIN]);
    let groups = [first.group(), second.group()];
    let view = View { nodes: &first.nodes, groups: &groups };
    let table: [(&[NodeId], [Option<NodeId>; 2]); 4] = [
        (&[], [Some(PINKY), Some(BRAIN)]),
        (&[PINKY], [Some(BRAIN), Some(BRAIN)]),
        (&[PINKY, BRAIN], [Some(SNOWBALL), None]),
        (&[PINKY, BRAIN, SNOWBALL], [None, None]),
    ];
    for (failing, then) in table {
        let plans = plan(&view, failing.iter().copied().collect());
        let holders: Vec<_> = plans.iter().map(|planned| planned.after.holder).collect();
        assert_eq!(holders, then, "{failing:?}");
        let before: Vec<_> = plans.iter().map(|planned| planned.before).collect();
        assert_eq!(before, [Some(PINKY), Some(BRAIN)]);
        assert!(
            plans.iter().all(|planned| planned.moves() == (planned.before != planned.after.holder))
        );
    }
    let plans = plan(&view, NodeSet::only(PINKY));
    assert_eq!(said(&plans[0].after), "pinky is dead; brain is next in its order");
}

#[test]
fn an_explanation_says_of_each_node_why_and_what_would_change_it() {
    let changes = |world: &World| -> Vec<String> {
        let groups = [world.group()];
        let explanation = explain(&View { nodes: &world.nodes, groups: &groups }, 0).unwrap();
        assert_eq!(explanation.decision, world.decide());
        assert_eq!(explanation.nodes.len(), world.nodes.len());
        explanation.changes.iter().map(|change| change.sentence(&NAMES[..]).to_string()).collect()
    };
    let order = [PINKY, BRAIN];
    let world = World::new(&order, &[Well, Well, Well], &[PINKY]);
    assert_eq!(changes(&world), ["if pinky dies, brain takes over"]);
    let world = World::new(&order, &[Drained, Well, Well], &[BRAIN]);
    assert_eq!(
        changes(&world),
        ["if brain dies, snowball takes over", "it goes to pinky once pinky is undrained"]
    );
    // With failback off its return changes nothing, so it is not named.
    assert_eq!(changes(&world.failback(Failback::No)), ["if brain dies, snowball takes over"]);
    let mut world = World::new(&order, &[Drained, Well], &[BRAIN]);
    world.nodes[0].ready = false;
    world.standings[0].health = Health::Bad;
    assert_eq!(
        changes(&world)[1],
        "it goes to pinky once pinky is undrained and pinky has listened to its peers for long \
         enough and pinky passes its check"
    );
    let world =
        World::new(&order, &[WellFor(12), Well], &[BRAIN]).failback(Failback::After(secs(30)));
    assert_eq!(changes(&world), ["it moves to pinky in 18 s", "if brain dies, pinky takes over"]);
    let world = World::new(&order, &[Well, Well], &[BRAIN]).failback(Failback::No);
    assert_eq!(changes(&world)[0], "it moves to pinky when asked to: failback is no");
    let world = World::new(&order, &[Fails, Dead], &[PINKY]);
    assert_eq!(
        changes(&world),
        ["if pinky dies, nobody can take over", "it goes to brain once brain is back"]
    );
    let world = World::new(&order, &[Dead, LinkDown], &[]);
    assert_eq!(
        changes(&world),
        ["it goes to pinky once pinky is back", "it goes to brain once brain's link is up"]
    );
}

#[test]
fn an_explanation_lists_members_and_the_holder_and_every_bar() {
    let mut world = World::new(&[BRAIN], &[Drained, Well, Well], &[SNOWBALL]);
    world.rules.members = [PINKY, BRAIN].into_iter().collect();
    world.standings[0].link_up = false;
    let groups = [world.group()];
    let view = View { nodes: &world.nodes, groups: &groups };
    let explanation = explain(&view, 0).unwrap();
    let bars: Vec<_> =
        explanation.nodes.iter().map(|node| (node.place, node.bars.clone())).collect();
    assert_eq!(
        bars,
        [
            (None, vec![Bar::Draining, Bar::LinkDown]),
            (Some(0), vec![]),
            (None, vec![Bar::NotMember]),
        ]
    );
    assert_eq!(explain(&view, 1), None);
    let pool = Pool::new(&[Well, Dead], &[Some(PINKY), None], Failback::Yes);
    let groups = pool.groups();
    let explanation = explain(&View { nodes: &pool.nodes, groups: &groups }, 0).unwrap();
    assert_eq!(explanation.changes, [Change::Lost { holder: PINKY, to: None }]);
    assert_eq!(explanation.changes[0].name(), "lost");
}

fn any_node() -> impl Strategy<Value = NodeView> {
    let life = prop_oneof![
        6 => Just(Life::Participating), 1 => Just(Life::HostOnly), 1 => Just(Life::Dead), 1 => Just(Life::Unknown),
    ];
    let mostly = |weight| prop_oneof![weight => Just(true), 1 => Just(false)];
    (life, mostly(5), mostly(5), mostly(8), mostly(8)).prop_map(
        |(life, ready, stays, runs, reaches)| NodeView {
            life,
            ready,
            draining: !stays,
            leaving: !runs,
            isolated: !reaches,
        },
    )
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let holding = prop_oneof![
        5 => Just(Holding::No), 1 => Just(Holding::Yielding), 1 => Just(Holding::Yes),
    ];
    let health =
        prop_oneof![5 => Just(Health::Good), 1 => Just(Health::Unknown), 1 => Just(Health::Bad)];
    let eligible_for = proptest::option::of((0u64..60).prop_map(secs));
    let rarely = proptest::bool::weighted(0.1);
    let seldom = proptest::bool::weighted(0.1);
    (holding, health, proptest::bool::weighted(0.9), eligible_for, rarely, seldom).prop_map(
        |(holding, health, link_up, eligible_for, doubted, refused)| Standing {
            holding,
            health,
            link_up,
            eligible_for,
            doubted,
            refused,
        },
    )
}

fn any_failback() -> impl Strategy<Value = Failback> {
    prop_oneof![Just(Failback::Yes), Just(Failback::No), Just(Failback::After(secs(30)))]
}

fn any_rules(nodes: u16) -> impl Strategy<Value = GroupRules> {
    let order = proptest::collection::vec((0..nodes).prop_map(NodeId), 0..5);
    let preference = prop_oneof![
        2 => order.prop_map(Preference::Order),
        1 => (0u32..2).prop_map(|pool| Preference::Spread(PoolId(pool))),
    ];
    let outsiders = proptest::collection::vec(0..nodes, 0..2);
    (preference, any_failback(), outsiders).prop_map(|(preference, failback, outsiders)| {
        let members = NodeSet::ALL.without(outsiders.into_iter().map(NodeId).collect());
        GroupRules { preference, failback, members }
    })
}

#[derive(Clone, Debug)]
struct Cluster {
    nodes: Vec<NodeView>,
    groups: Vec<(GroupRules, Vec<Standing>, Option<NodeId>)>,
}

impl Cluster {
    fn groups(&self) -> Vec<Group<'_>> {
        let groups = self.groups.iter().enumerate();
        groups
            .map(|(index, (rules, standings, placed))| Group {
                key: index as u64,
                rules,
                standings,
                placed: *placed,
            })
            .collect()
    }
}

fn any_cluster() -> impl Strategy<Value = Cluster> {
    (1u16..=9).prop_flat_map(|count| {
        let nodes = proptest::collection::vec(any_node(), usize::from(count));
        let standings = proptest::collection::vec(any_standing(), 0..=usize::from(count));
        let placed =
            prop_oneof![3 => Just(None), 1 => (0..count).prop_map(|node| Some(NodeId(node)))];
        let group = (any_rules(count), standings, placed);
        let groups = proptest::collection::vec(group, 0..12);
        let of_pools = [any_failback(), any_failback()];
        (nodes, groups, of_pools).prop_map(|(nodes, mut groups, of_pools)| {
            for (rules, _, _) in &mut groups {
                if let Preference::Spread(pool) = rules.preference {
                    rules.failback = of_pools[pool.0 as usize];
                }
            }
            Cluster { nodes, groups }
        })
    })
}

/// The definition of a candidate, spelled out once more.
fn is_candidate(cluster: &Cluster, group: &Group<'_>, node: NodeId, unchecked_too: bool) -> bool {
    let standing = group.standings.get(node.index()).copied().unwrap_or_default();
    let excused = group.placed == Some(node) && standing.holding == Holding::No;
    is_last_resort(cluster, group, node, unchecked_too)
        && !standing.refused
        && (!standing.doubted || excused)
}

/// The same of one that the others may have had no answer of, or whose kernel may refuse it.
fn is_last_resort(cluster: &Cluster, group: &Group<'_>, node: NodeId, unchecked_too: bool) -> bool {
    let NodeView { life, ready, draining, leaving, isolated } = cluster.nodes[node.index()];
    let standing = group.standings.get(node.index()).copied().unwrap_or_default();
    let healthy =
        standing.health == Health::Good || (unchecked_too && standing.health == Health::Unknown);
    life == Life::Participating
        && ready
        && !(draining || leaving || isolated)
        && healthy
        && standing.link_up
        && group.rules.members.contains(node)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn who_is_decided_for_is_a_candidate_or_has_it_already(cluster in any_cluster()) {
        let groups = cluster.groups();
        let decisions = decide(&View { nodes: &cluster.nodes, groups: &groups });
        prop_assert_eq!(decisions.len(), groups.len());
        let candidates = candidates(&View { nodes: &cluster.nodes, groups: &groups });
        for (group, candidates) in groups.iter().zip(candidates) {
            let ids = (0u16..).map(NodeId).take(cluster.nodes.len());
            let expected = ids.filter(|node| is_candidate(&cluster, group, *node, false));
            prop_assert_eq!(candidates, expected.collect::<NodeSet>());
        }
        for (group, decision) in groups.iter().zip(&decisions) {
            let Decision { holder, present, course, .. } = *decision;
            let unheard = |node: NodeId| cluster.nodes[node.index()].life != Life::Participating;
            let robbed = present.is_none_or(unheard);
            if let Some(node) = holder.filter(|node| Some(*node) != present) {
                let fits = is_candidate(&cluster, group, node, robbed);
                // Better than nobody, and than a holder that has another fault.
                let refused = group.standings[node.index()].refused;
                let better_off = match decision.reason {
                    Reason::HolderUnfit { bar, .. } => bar != Bar::FailsOutside && !refused,
                    _ => true,
                };
                let last = is_last_resort(&cluster, group, node, robbed) && better_off;
                prop_assert!(fits || last, "{decision:?}");
            }
            let wanted = match (present, holder) {
                (None, None) => course == Course::Keep,
                (None, Some(_)) => course == Course::Claim,
                (Some(_), None) => course == Course::GiveUp,
                (Some(one), Some(other)) if one == other => {
                    matches!(course, Course::Keep | Course::Resolve)
                }
                (Some(one), Some(_)) if unheard(one) => course == Course::ClaimWhenSilent,
                (Some(_), Some(_)) => course == Course::Move,
            };
            prop_assert!(wanted, "{decision:?}");
            prop_assert!(decision.again_in.is_none() || course == Course::Keep, "{decision:?}");
            let ids = (0u16..).map(NodeId).take(cluster.nodes.len());
            if ids.clone().any(|node| is_candidate(&cluster, group, node, false)) {
                prop_assert!(holder.is_some(), "somebody could: {decision:?}");
            }
            prop_assert!(!decision.reason.sentence(&NAMES[..]).to_string().is_empty());
        }
    }

    #[test]
    fn equal_views_give_equal_decisions_in_any_order(cluster in any_cluster(), turn in 0usize..12) {
        let groups = cluster.groups();
        let decisions = decide(&View { nodes: &cluster.nodes, groups: &groups });
        let mut turned: Vec<usize> = (0..groups.len()).collect();
        turned.rotate_left(turn % groups.len().max(1));
        turned.reverse();
        let shuffled: Vec<Group<'_>> = turned.iter().map(|index| groups[*index]).collect();
        let again = decide(&View { nodes: &cluster.nodes, groups: &shuffled });
        for (index, decision) in turned.into_iter().zip(again) {
            prop_assert_eq!(decision, decisions[index]);
        }
        for (group, decision) in groups.iter().zip(&decisions) {
            if let Preference::Order(_) = group.rules.preference {
                prop_assert_eq!(decide_group(&cluster.nodes, group), *decision);
            }
        }
    }

    /// Where every node is named, what they are numbered does not matter.
    #[test]
    fn the_numbers_of_the_nodes_do_not_matter_where_all_are_named(
        cluster in any_cluster(), turn in 0u16..9,
    ) {
        let count = cluster.nodes.len() as u16;
        let renumber = |node: NodeId| NodeId((node.0 + turn) % count);
        let mut other = cluster.clone();
        other.nodes.rotate_right(usize::from(turn % count));
        for ((rules, standings, placed), (theirs, their_standings, their_placed)) in
            cluster.groups.iter().zip(&mut other.groups)
        {
            let order: Vec<NodeId> = (0..count).rev().map(NodeId).collect();
            theirs.preference = Preference::Order(order.into_iter().map(renumber).collect());
            theirs.members = (0..count).map(NodeId).filter(|node| rules.members.contains(*node)).map(renumber).collect();
            let mut all = standings.clone();
            all.resize(usize::from(count), Standing::default());
            all.rotate_right(usize::from(turn % count));
            *their_standings = all;
            *their_placed = placed.map(renumber);
        }
        for (ours, theirs) in cluster.groups().into_iter().zip(other.groups()) {
            let order = (0..count).rev().map(NodeId).collect();
            let rules = GroupRules { preference: Preference::Order(order), ..ours.rules.clone() };
            let ours = decide_group(&cluster.nodes, &Group { rules: &rules, ..ours });
            let theirs = decide_group(&other.nodes, &theirs);
            // Several dead nodes may once have held it; which of them is named is no matter.
            prop_assert_eq!(ours.holder.map(renumber), theirs.holder);
            prop_assert_eq!(ours.present.map(renumber), theirs.present);
            prop_assert_eq!(ours.course, theirs.course);
        }
    }

    /// Carrying out what was decided leaves nothing more to do: no group is passed around.
    #[test]
    fn what_was_decided_stays_decided(cluster in any_cluster()) {
        let mut after = cluster.clone();
        for (_, standings, placed) in &mut after.groups {
            standings.resize(cluster.nodes.len(), Standing::default());
            *placed = None;
        }
        let steps = 3 + after.groups.len();
        for step in 0..steps {
            let decisions = decide(&View { nodes: &after.nodes, groups: &after.groups() });
            let mut changed = false;
            for ((_, standings, _), decision) in after.groups.iter_mut().zip(&decisions) {
                changed |= !matches!(decision.course, Course::Keep);
                if decision.course == Course::Keep && decision.holder.is_none() {
                    continue;
                }
                for (node, standing) in (0u16..).map(NodeId).zip(standings) {
                    let holds = decision.holder == Some(node);
                    standing.holding = if holds { Holding::Yes } else { Holding::No };
                }
            }
            if !changed {
                return Ok(());
            }
            prop_assert!(step + 1 < steps, "it is still moving");
        }
    }

    #[test]
    fn a_change_that_is_named_does_change_it(cluster in any_cluster()) {
        let groups = cluster.groups();
        let view = View { nodes: &cluster.nodes, groups: &groups };
        for index in 0..groups.len() {
            let explanation = explain(&view, index).unwrap();
            prop_assert_eq!(explanation.decision, decide(&view)[index]);
            for node in &explanation.nodes {
                let candidate = is_candidate(&cluster, &groups[index], node.node, false);
                prop_assert_eq!(candidate, node.bars.is_empty(), "{:?}", node);
            }
            for change in explanation.changes {
                match change {
                    Change::Lost { holder, to } => {
                        let planned = plan(&view, NodeSet::only(holder));
                        prop_assert_eq!(planned[index].after.holder, to);
                        prop_assert_ne!(to, Some(holder));
                    }
                    Change::Recovers { node, bars } => {
                        prop_assert!(!bars.is_empty());
                        prop_assert_ne!(explanation.decision.holder, Some(node));
                    }
                    Change::Waits { to, .. } | Change::Asked { to } => {
                        prop_assert_ne!(explanation.decision.holder, Some(to));
                    }
                }
            }
        }
    }
}

#[test]
fn nodes_past_the_most_are_ignored() {
    let seen = vec![Fails; 64];
    let mut world = World::new(&[NodeId(70)], &seen, &[]);
    world.nodes.push(well());
    world.standings.push(fit(Holding::Yes));
    assert_eq!(world.decide().holder, None);
    assert!(!NodeSet::ALL.contains(NodeId(64)));
    assert!(NodeSet::only(NodeId(64)).is_empty());
    assert_eq!(NodeSet::ALL.len(), 64);
    assert_eq!(format!("{:?}", NodeSet::only(NodeId(3))), "{3}");
}
