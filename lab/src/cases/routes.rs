//! Ten thousand addresses as a handful of routes: found, moved, silenced and cleaned up like any.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use standin_core::wire::{ArpPacket, Mac, Operation, arp};
use standin_sys::netlink::nftables::NetfilterSocket;
use standin_sys::netlink::{LocalRoute, RouteSpec};
use standin_sys::packet::PacketSocket;
use standin_sys::signal::SIGKILL;

use super::cluster::Cluster;
use super::{Case, alone};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{Family, Host, LAN, World};

pub const CASES: &[Case] = &[alone(
    "routes_ten_thousand",
    "10 000 addresses as routes: all answer, one holder, none left by a killed run",
    ten_thousand,
)];

/// The range, and one of it that a client asks.
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 0);
const COUNT: u32 = 10_000;
const ASKED: Ipv4Addr = Ipv4Addr::new(10, 200, 17, 3);
/// Ten thousand questions and announcements take a busy machine some time.
const DEAD_AFTER: Duration = Duration::from_secs(1);
/// As standin writes them.
const PROTOCOL: u8 = 93;
/// The lifetime of what nobody renews, a tick and the time to look.
const SILENT_WITHIN: Duration = Duration::from_millis(2500);
/// The giver serves for 50 ms after the receiver could announce; 10 000 announcements take a busy
/// machine longer.
const MOVED_WITHIN: Duration = Duration::from_secs(1);
/// Answers come within microseconds; this machine may be busy.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);
const QUESTIONS_AT_ONCE: usize = 256;

fn all() -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(FIRST);
    (first..first + COUNT).map(Ipv4Addr::from)
}

/// The routes of standin on a host.
fn routes(host: &Host) -> Result<Vec<LocalRoute>> {
    Ok(host.route(|route| route.local_routes(PROTOCOL))?)
}

/// How many addresses they are.
fn held(host: &Host) -> u64 {
    let count = |routes: Vec<LocalRoute>| {
        routes.iter().map(|route| 1_u64 << (32 - u32::from(route.prefix))).sum()
    };
    routes(host).map_or(0, count)
}

/// Asks from the router who has each of some addresses: those that a host answered for.
fn answered(world: &World<'_>, by: &Host, wanted: &[Ipv4Addr]) -> Result<BTreeSet<Ipv4Addr>> {
    let nics = world.router.nics();
    let nic = nics.iter().find(|nic| nic.name == "eth1").context("the router's second wire")?;
    let (own, other) = (nic.mac, by.mac());
    let IpAddr::V4(from) = Family::V4.of(LAN, 1) else { return Ok(BTreeSet::new()) };
    let socket = world.router.namespace().run(|| PacketSocket::arp(nic.ifindex))??;
    let mut found = BTreeSet::new();
    let mut buffer = [0; 256];
    let mut listen = |found: &mut BTreeSet<Ipv4Addr>| {
        while let Ok(Some(frame)) = socket.receive(&mut buffer) {
            let Ok((_, packet)) = arp::parse(&buffer[..frame.length]) else { continue };
            if packet.operation == Operation::Reply && packet.sender_mac == other {
                found.insert(packet.sender_ip);
            }
        }
    };
    for some in wanted.chunks(QUESTIONS_AT_ONCE) {
        for target in some {
            let frame = ArpPacket::request(own, from, *target).encode(own, Mac::BROADCAST);
            socket.send(&frame)?;
        }
        let begun = Instant::now();
        // Silence is known only by waiting; after one silent part the others are not waited for.
        let patience = if found.is_empty() && some[0] != wanted[0] {
            Duration::from_millis(20)
        } else {
            ANSWERS_WITHIN
        };
        while begun.elapsed() < patience && !some.iter().all(|target| found.contains(target)) {
            listen(&mut found);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(found)
}

/// Every address is answered for by a host.
fn all_answer(world: &World<'_>, by: &Host) -> Result<()> {
    let mut missing: Vec<Ipv4Addr> = all().collect();
    // A busy machine drops frames; whoever asks for an address asks three times as well.
    for _ in 0..3 {
        let found = answered(world, by, &missing)?;
        missing.retain(|address| !found.contains(address));
        if missing.is_empty() {
            return Ok(());
        }
    }
    bail!("{} does not answer for {} of them", by.name(), missing.len())
}

fn wait_holds(one: &Host, other: &Host) -> Result<()> {
    let what = format!("{} has all of them, and {} none", one.name(), other.name());
    wait::until_true(&what, PATIENCE, || held(one) == u64::from(COUNT) && held(other) == 0)
}

fn ten_thousand(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let last = Ipv4Addr::from(u32::from(FIRST) + COUNT - 1);
    let text = format!(
        "[[vip]]\naddress = \"{FIRST}-{last}\"\nname = \"range\"\nhome = \"brain\"\n\
         interface = \"eth0\"\n"
    );
    let nics = world.router.nics();
    let nic = nics.iter().find(|nic| nic.name == "eth1").context("the router's second wire")?;
    let near = RouteSpec { ifindex: Some(nic.ifindex), ..RouteSpec::new(FIRST.into(), 16) };
    world.router.route(|route| route.add_route(&near))?;
    let mut cluster = Cluster::new(&world, 2, &text)?;
    cluster.dead_after = DEAD_AFTER;
    for node in [0, 1] {
        cluster.start_node(node)?;
    }
    for node in [0, 1] {
        cluster.wait(node, "ready")?;
    }
    wait_holds(&world.brain, &world.pinky)?;
    let few = routes(&world.brain)?.len();
    lab.say(format!("Brain has {COUNT} addresses as {few} routes"));
    // Five when they are claimed in one turn.
    ensure!(few < 100, "{few} routes");
    all_answer(&world, &world.brain)?;
    for host in [&world.brain, &world.pinky] {
        host.answer_at(&[ASKED.into()])?;
    }

    lab.say("a planned move and back, under a client of one address");
    let client = world.ask(ASKED.into(), 1000)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    for (asks, to, holder, other) in [
        (0, "pinky", &world.pinky, &world.brain),
        (1, "brain", &world.brain, &world.pinky),
        (0, "pinky", &world.pinky, &world.brain),
    ] {
        cluster.ask(asks, &format!("move range {to}"))?;
        wait_holds(holder, other)?;
        client.wait_answered_by(to, client.mark(), PATIENCE)?;
    }
    let record = client.finish();
    let gap = record.longest_gap();
    lab.say(format!("{} of {} were lost, {gap:?} at most", record.lost(), record.sent()));
    ensure!(gap < MOVED_WITHIN, "the client waited for {gap:?}");
    all_answer(&world, &world.pinky)?;

    lab.say("Pinky's daemon is killed: its kernel answers for none of them soon");
    cluster.daemon(0, |daemon| daemon.signal(SIGKILL))?;
    let killed = Instant::now();
    let some: Vec<Ipv4Addr> = all().step_by(997).collect();
    while !answered(&world, &world.pinky, &some)?.is_empty() {
        ensure!(killed.elapsed() < SILENT_WITHIN + PATIENCE, "it never ended");
    }
    let silent = killed.elapsed();
    lab.say(format!("silent after {} ms", silent.as_millis()));
    ensure!(silent < SILENT_WITHIN + ANSWERS_WITHIN, "only after {silent:?}");
    let what = "Brain has all of them";
    wait::until_true(what, PATIENCE, || held(&world.brain) == u64::from(COUNT))?;
    all_answer(&world, &world.brain)?;
    ensure!(held(&world.pinky) == u64::from(COUNT), "nobody removes what a killed run left");

    lab.say("started again it removes what was left, and holds none at any moment");
    let starts_and_brain_has_all = |node| {
        cluster.start_node(node)?;
        wait::until_true("it answers", PATIENCE, || cluster.ask(node, "status").is_ok())?;
        wait_holds(&world.brain, &world.pinky)?;
        all_answer(&world, &world.brain)?;
        let claims = cluster.daemon(0, |daemon| Ok(daemon.count("claimed")))?;
        ensure!(claims == 0, "Pinky took what is Brain's: it claimed {claims} of them");
        Ok(())
    };
    starts_and_brain_has_all(0)?;

    lab.say("Brain is stopped with --keep and started again: it goes on with what was left");
    cluster.ask(1, "stop --keep")?;
    cluster.daemon(1, |daemon| daemon.wait_end(PATIENCE).map(drop))?;
    ensure!(held(&world.brain) == u64::from(COUNT), "the routes went");
    starts_and_brain_has_all(1)?;

    lab.say("another's hand removes a route: it comes back");
    let route = routes(&world.brain)?[0];
    let mut queue = world.brain.namespace().run(standin_sys::netlink::RouteQueue::open)??;
    queue.push_route_removal(route);
    queue.flush()?;
    wait_holds(&world.brain, &world.pinky)?;

    cluster.stop_all()?;
    for host in [&world.brain, &world.pinky] {
        ensure!(held(host) == 0, "{} keeps {} addresses", host.name(), held(host));
        let tables = host.namespace().run(|| NetfilterSocket::open()?.tables())??;
        ensure!(tables.is_empty(), "{} keeps {tables:?}", host.name());
    }
    Ok(())
}
