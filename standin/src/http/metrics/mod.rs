//! The figures of a run in the words of Prometheus: [`table`] names them, `write`
//! knows the two text formats, this module fills one with the other.
//!
//! The registry of a metrics library holds counters that live; ours live in the core, which must
//! not know of one, and are looked at as a whole. So the text is written from a look.

pub mod table;
mod write;

use standin_core::node::{ClusterStatus, NodeStatus};
use standin_core::place::Life;
use standin_core::status::{CheckState, Life as HostLife, Status};
use standin_core::vip::Place;

pub use write::Format;
use write::Writer;

use super::Ledger;
use crate::slow::Seen;

/// All figures as text.
pub fn exposition(seen: &Seen, ledger: &Ledger, format: Format) -> String {
    let mut writer = Writer::new(format);
    of_the_run(&mut writer, seen, ledger);
    of_vips(&mut writer, &seen.status, seen.cluster.as_ref().map(|cluster| &cluster.status));
    if let Some(cluster) = &seen.cluster {
        of_leases(&mut writer, &cluster.status);
    }
    of_transitions(&mut writer, ledger);
    if let Some(cluster) = &seen.cluster {
        of_nodes(&mut writer, &cluster.status);
        of_heartbeats(&mut writer, &cluster.status, &seen.status);
    }
    of_hosts(&mut writer, &seen.status);
    of_drops(&mut writer, seen);
    of_loops(&mut writer, seen, ledger);
    of_checks(&mut writer, &seen.status, ledger);
    of_hooks(&mut writer, ledger);
    of_webhooks(&mut writer, ledger);
    writer.finish()
}

fn of_the_run(writer: &mut Writer, seen: &Seen, ledger: &Ledger) {
    writer.family(&table::BUILD).sample(&[env!("CARGO_PKG_VERSION")], 1_u8);
    if let Some(cluster) = &seen.cluster {
        writer.family(&table::NODE).sample(&[&cluster.name, &cluster.node], 1_u8);
    }
    let started = ledger.started.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    writer.family(&table::START_TIME).seconds(&[], started);
}

fn of_vips(writer: &mut Writer, status: &Status, cluster: Option<&ClusterStatus>) {
    let mut family = writer.family(&table::VIP_HOLDER);
    for group in cluster.map(|cluster| cluster.groups.as_slice()).unwrap_or_default() {
        let Some(holder) = &group.present else { continue };
        for vip in group.vips.iter().filter_map(|vip| status.vips.get(vip.index())) {
            family.sample(&[&vip.address.to_string(), holder], 1_u8);
        }
    }
    let mut family = writer.family(&table::VIP_HELD);
    for vip in &status.vips {
        let held = vip.place == Place::Held;
        family.sample(&[&vip.address.to_string(), &vip.link], u8::from(held));
    }
    let mut family = writer.family(&table::VIP_CONTESTED);
    for vip in &status.vips {
        family.sample(&[&vip.address.to_string()], u8::from(vip.contested_by.is_some()));
    }
}

fn of_leases(writer: &mut Writer, cluster: &ClusterStatus) {
    let leases =
        cluster.groups.iter().filter_map(|group| Some((&group.name, group.lease.as_ref()?)));
    let mut family = writer.family(&table::LEASE_MARGIN);
    for (group, lease) in leases.clone() {
        if let Some(left) = lease.left {
            family.seconds(&[group], left);
        }
    }
    let mut family = writer.family(&table::LEASE_VOTES);
    for (group, lease) in leases {
        family.sample(&[group], lease.votes);
    }
}

fn of_transitions(writer: &mut Writer, ledger: &Ledger) {
    let mut family = writer.family(&table::TRANSITIONS);
    for ((change, why), counts) in &ledger.transitions {
        for (vip, count) in counts.iter() {
            family.sample(&[&vip.to_string(), change, why], *count);
        }
    }
    writer.family(&table::TAKEOVER).histogram(&[], &ledger.takeovers);
}

fn of_nodes(writer: &mut Writer, cluster: &ClusterStatus) {
    let mut family = writer.family(&table::NODE_UP);
    for node in &cluster.nodes {
        family.sample(&[&node.name], u8::from(node.life == Life::Participating));
    }
    let mut family = writer.family(&table::NODE_DRAINED);
    for node in &cluster.nodes {
        family.sample(&[&node.name], u8::from(node.draining));
    }
    writer.family(&table::CUT_OFF).sample(&[], u8::from(cluster.isolated));
}

fn of_heartbeats(writer: &mut Writer, cluster: &ClusterStatus, status: &Status) {
    let others: Vec<&NodeStatus> = cluster.nodes.iter().filter(|node| !node.is_this).collect();
    let mut family = writer.family(&table::HEARTBEATS_SENT);
    for node in &others {
        family.sample(&[&node.name], node.traffic.sent);
    }
    let mut paths = Vec::new();
    for node in &others {
        let peer = status.peers.iter().find(|peer| peer.name == node.name);
        let addresses = peer.map(|peer| peer.addresses.as_slice()).unwrap_or_default();
        for ((address, traffic), heard) in
            addresses.iter().zip(&node.traffic.paths).zip(&node.paths)
        {
            paths.push((&node.name, address.to_string(), traffic, heard));
        }
    }
    let mut family = writer.family(&table::HEARTBEATS_RECEIVED);
    for (node, path, traffic, _) in &paths {
        family.sample(&[node, path], traffic.received);
    }
    let mut family = writer.family(&table::HEARTBEATS_LOST);
    for (node, path, traffic, _) in &paths {
        family.sample(&[node, path], traffic.lost);
    }
    let mut family = writer.family(&table::HEARTBEAT_GAP);
    for (node, path, traffic, _) in &paths {
        family.histogram(&[node, path], &traffic.gaps);
    }
    let mut family = writer.family(&table::HEARTBEAT_AGE);
    for (node, path, _, heard) in &paths {
        if let Some(ago) = heard {
            family.seconds(&[node, path], *ago);
        }
    }
    let mut family = writer.family(&table::HEARTBEAT_ROUND_TRIP);
    for node in &others {
        family.histogram(&[&node.name], &node.traffic.round_trips);
    }
}

fn of_hosts(writer: &mut Writer, status: &Status) {
    let mut family = writer.family(&table::HOST_UP);
    for peer in &status.peers {
        let up = matches!(peer.life, HostLife::Alive | HostLife::Suspected);
        family.sample(&[&peer.name], u8::from(up));
    }
    let mut family = writer.family(&table::PROBE_ROUNDS);
    for peer in &status.peers {
        family.sample(&[&peer.name], peer.rounds_sent);
    }
    let mut family = writer.family(&table::SIGNS_OF_LIFE);
    for peer in &status.peers {
        family.sample(&[&peer.name], peer.answers);
    }
}

fn of_drops(writer: &mut Writer, seen: &Seen) {
    let mut family = writer.family(&table::PACKETS_DROPPED);
    for (reason, count) in &seen.status.malformed {
        family.sample(&["probe", reason], *count);
    }
    let refused = seen.cluster.as_ref().map(|cluster| cluster.status.refused.as_slice());
    for (reason, count) in refused.unwrap_or_default() {
        family.sample(&["heartbeat", reason], *count);
    }
}

fn of_loops(writer: &mut Writer, seen: &Seen, ledger: &Ledger) {
    writer.family(&table::LOOP_TURNS).sample(&[], seen.pulse.turns);
    writer.family(&table::LOOP_LATENESS).histogram(&[], &seen.pulse.lateness);
    writer.family(&table::EVENTS_LOST).sample(&[], ledger.lost);
}

fn of_checks(writer: &mut Writer, status: &Status, ledger: &Ledger) {
    let mut family = writer.family(&table::CHECK_PASSING);
    for (number, check) in status.checks.iter().enumerate() {
        // Right after a reload the two may be of different files.
        let named = ledger.check_names.get(number).map_or(&*check.name, String::as_str);
        let passing = match check.state {
            CheckState::Unknown => continue,
            CheckState::Passing => 1_u8,
            CheckState::Failing => 0,
        };
        family.sample(&[named, &check.vip.to_string()], passing);
    }
    let mut family = writer.family(&table::CHECK_RUNS);
    for (name, runs) in &ledger.checks {
        family.sample(&[name, "passed"], runs.passed);
        family.sample(&[name, "failed"], runs.failed);
    }
    let mut family = writer.family(&table::CHECK_DURATION);
    for (name, runs) in &ledger.checks {
        family.histogram(&[name], &runs.durations);
    }
}

fn of_hooks(writer: &mut Writer, ledger: &Ledger) {
    let mut family = writer.family(&table::HOOK_RUNS);
    for hook in ["on-take", "on-release", "on-doubt", "on-conflict"] {
        for (succeeded, result) in [(true, "succeeded"), (false, "failed")] {
            let count = ledger.hooks.get(&(hook, succeeded)).copied().unwrap_or_default();
            family.sample(&[hook, result], count);
        }
    }
}

fn of_webhooks(writer: &mut Writer, ledger: &Ledger) {
    let tallies = ledger.webhooks.iter().map(|(name, shared)| (name, shared.tally()));
    let tallies: Vec<_> = tallies.collect();
    let mut family = writer.family(&table::WEBHOOK_EVENTS);
    for (name, tally) in &tallies {
        for (result, count) in [
            ("delivered", tally.delivered),
            ("refused", tally.refused),
            ("expired", tally.expired),
            ("dropped", tally.dropped),
        ] {
            family.sample(&[name, result], count);
        }
    }
    let mut family = writer.family(&table::WEBHOOK_ATTEMPTS);
    for (name, tally) in &tallies {
        family.sample(&[name, "succeeded"], tally.succeeded);
        family.sample(&[name, "failed"], tally.failed);
    }
    let mut family = writer.family(&table::WEBHOOK_WAITING);
    for (name, tally) in &tallies {
        family.sample(&[name], tally.waiting as u64);
    }
}
