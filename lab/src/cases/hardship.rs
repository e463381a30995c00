//! A hard life: no processor, no reader, a storm, a host that comes and goes.

use std::io::Write;
use std::net::IpAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use standin_core::wire::{ArpPacket, Mac};
use standin_sys::packet::PacketSocket;
use standin_sys::process::CommandExt;
use standin_sys::signal::SIGTERM;

use super::{Case, alone, beside, brain_has_its_vip, stand_in};
use crate::story::Lab;
use crate::wait::{self, PATIENCE};
use crate::world::{Family, PINKY, SNOWBALL, World};

const QUICK: &str = "--dead-after 300ms --back-after 500ms";

pub const CASES: &[Case] = &[
    alone(
        "busy_processors",
        "every processor busy at --dead-after 20ms: no takeover of a living host",
        busy_processors,
    ),
    alone("arp_storm", "thousands of ARP frames a second: a death is still found", arp_storm),
    beside(
        "log_reader_stuck",
        "nobody reads the log: the takeover does not wait for it",
        log_reader_stuck,
    ),
    beside("log_reader_gone", "the log's reader has gone: the takeover goes on", log_reader_gone),
    beside("home_flaps", "home comes and goes: in the end it holds its address, alone", home_flaps),
    beside(
        "own_held_by_stranger",
        "--own that a stranger holds: not robbed, claimed when it lets go",
        own_held_by_stranger,
    ),
    beside(
        "home_with_another_mac",
        "home comes back with another network card",
        home_with_another_mac,
    ),
    beside("home_by_link_local", "HOST by its link-local address", home_by_link_local),
];

/// Threads that burn processor time until dropped.
struct Fire {
    stop: Arc<AtomicBool>,
}

impl Fire {
    fn light(threads: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..threads {
            let stop = stop.clone();
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self { stop }
    }
}

impl Drop for Fire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn busy_processors(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "--dead-after 20ms")?;
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let fire = Fire::light(4 * cores);
    wait::throughout("Pinky takes nothing", Duration::from_secs(10), || !world.pinky.has(vip))?;
    drop(fire);
    ensure!(standin.count("peer-dead") == 0, "{} verdicts", standin.count("peer-dead"));
    let said = ["peer-suspected", "stalled"].map(|name| (name, standin.count(name)));
    lab.say(format!("{said:?}"));
    standin.stop()
}

fn arp_storm(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    let nic = snowball.nic();
    let socket = snowball.namespace().run(|| PacketSocket::sender(nic.ifindex))??;
    let stop = Arc::new(AtomicBool::new(false));
    let storm = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let (mut sent, mut host) = (0_usize, 0_u8);
            while !stop.load(Ordering::Relaxed) {
                host = host.wrapping_add(1);
                let from = std::net::Ipv4Addr::new(10, 9, 0, SNOWBALL);
                let to = std::net::Ipv4Addr::new(10, 9, 77, host);
                let frame = ArpPacket::request(nic.mac, from, to).encode(nic.mac, Mac::BROADCAST);
                let batch: Vec<&[u8]> = (0..50).map(|_| &*frame).collect();
                sent += socket.send_batch(&batch).unwrap_or_default();
                std::thread::sleep(Duration::from_millis(5));
            }
            sent
        })
    };
    wait::throughout("nobody is taken for dead", Duration::from_secs(3), || !world.pinky.has(vip))?;
    let begun = Instant::now();
    world.power_off(&world.brain)?;
    wait::until_true("Pinky takes over in the storm", PATIENCE, || world.pinky.has(vip))?;
    let took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let sent = storm.join().unwrap_or_default();
    lab.say(format!("took over after {} ms, {sent} frames of storm", took.as_millis()));
    ensure!(took < Duration::from_millis(600), "it took {} ms", took.as_millis());
    standin.stop()
}

fn log_reader_stuck(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let (reader, mut writer) = std::io::pipe().context("a pipe")?;
    let mut command = world.pinky.command(lab.standin());
    command.args(["for", "brain", "--vip", &vip.to_string(), "--dead-after", "300ms"]);
    command.args(["--log-level", "trace"]);
    command.stdin(Stdio::null()).stdout(writer.try_clone().context("a pipe")?);
    command.stderr(Stdio::inherit()).die_with_parent();
    let mut child = command.spawn().context("standin did not start")?;
    drop(command);
    // Its first probes are answered before the pipe is full: it knows Brain.
    let wire = world.capture_at(&world.pinky)?;
    wire.wait("it probes", 0, PATIENCE, |one| {
        !one.to_host && one.asserts().is_some_and(|(mac, _)| mac == world.pinky.mac())
    })?;
    std::thread::spawn(move || while writer.write_all(&[b'.'; 4096]).is_ok() {});
    world.power_off(&world.brain)?;
    wait::until_true("Pinky takes over all the same", PATIENCE, || world.pinky.has(vip))?;
    wait::throughout("and renews", Duration::from_secs(4), || world.pinky.has(vip))?;
    lab.say("and it can be ended");
    standin_sys::process::ProcessHandle::open(child.id())?.send_signal(SIGTERM)?;
    wait::until_true("the address is released", PATIENCE, || !world.pinky.has(vip))?;
    let status = wait::until("it ends though nobody reads", PATIENCE, || child.try_wait().ok()?)?;
    drop(reader);
    ensure!(status.code() == Some(0), "it ended with {status}");
    Ok(())
}

fn log_reader_gone(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let (reader, writer) = std::io::pipe().context("a pipe")?;
    let mut command = world.pinky.command(lab.standin());
    command.args(["for", "brain", "--vip", &vip.to_string(), "--dead-after", "300ms"]);
    command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::inherit()).die_with_parent();
    let mut child = command.spawn().context("standin did not start")?;
    drop((command, reader));
    let wire = world.capture_at(&world.pinky)?;
    wire.wait("it probes", 0, PATIENCE, |one| {
        !one.to_host && one.asserts().is_some_and(|(mac, _)| mac == world.pinky.mac())
    })?;
    world.power_off(&world.brain)?;
    wait::until_true("Pinky takes over all the same", PATIENCE, || world.pinky.has(vip))?;
    standin_sys::process::ProcessHandle::open(child.id())?.send_signal(SIGTERM)?;
    let status = wait::until("it ends", PATIENCE, || child.try_wait().ok()?)?;
    ensure!(status.code() == Some(0) && !world.pinky.has(vip), "it ended with {status}");
    Ok(())
}

fn home_flaps(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, "--dead-after 100ms --back-after 200ms")?;
    // Shorter and longer than either time, so that every state is met.
    for pause_ms in [50, 120, 250, 90, 400, 150, 110, 220, 310, 60, 180, 130] {
        world.cut(&world.brain, true)?;
        std::thread::sleep(Duration::from_millis(pause_ms));
        world.cut(&world.brain, false)?;
        std::thread::sleep(Duration::from_millis(400 - pause_ms.min(350)));
    }
    lab.say(format!("{} takeovers", standin.count("claimed")));
    wait::until_true("Pinky lets go", PATIENCE, || !world.pinky.has(vip))?;
    world.wait_router_sends(vip, &world.brain)?;
    wait::throughout("and it stays so", Duration::from_secs(1), || !world.pinky.has(vip))?;
    let client = world.ask(vip, 200)?;
    client.wait_answered_by("brain", 0, PATIENCE)?;
    ensure!(standin.count("claimed") == standin.count("released"), "claims without releases");
    standin.stop()
}

fn own_held_by_stranger(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let snowball = world.add_host("snowball", SNOWBALL)?;
    let own = Family::V4.vip(PINKY);
    snowball.configure(own)?;
    let wire = world.capture_at(&world.pinky)?;
    let standin = world.pinky.standin_for(lab, &format!("brain --own {own}"))?;
    let said = standin.wait("still-answered")?;
    ensure!(said.text("by") == snowball.mac().to_string(), "{said:?}");
    wait::throughout("nobody is robbed", Duration::from_secs(2), || !world.pinky.has(own))?;
    ensure!(wire.announcements(0, world.pinky.mac(), own).is_empty(), "it was announced");
    snowball.remove_address(own)?;
    standin.wait("claimed")?;
    world.ask(own, 200)?.wait_answered_by("pinky", 0, PATIENCE)?;
    standin.stop()
}

fn home_with_another_mac(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let standin = stand_in(&world, Family::V4, QUICK)?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    world.wait_router_sends(vip, &world.pinky)?;
    let (nic, new) = (world.brain.nic(), Mac([2, 0, 0x5e, 0, 9, 0x33]));
    world.brain.route(|route| -> Result<()> {
        route.set_link_up(nic.ifindex, false)?;
        route.set_link_mac(nic.ifindex, new.0)?;
        Ok(route.set_link_up(nic.ifindex, true)?)
    })?;
    world.brain.default_via(Family::V4.of(crate::world::LAN, 1))?;
    world.power_on(&world.brain)?;
    standin.wait("released")?;
    world.wait_router_sends_to_mac(vip, new)?;
    world.ask(vip, 200)?.wait_answered_by("brain", 0, PATIENCE)?;
    standin.stop()
}

fn home_by_link_local(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V6)?;
    let mac = world.brain.mac().0;
    let real = IpAddr::from([
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        mac[0] ^ 2,
        mac[1],
        mac[2],
        0xff,
        0xfe,
        mac[3],
        mac[4],
        mac[5],
    ]);
    let arguments = format!("{real}%eth0 --vip {vip} {QUICK}");
    let standin = world.pinky.standin_for(lab, &arguments)?;
    standin.wait("peer-alive")?;
    world.power_off(&world.brain)?;
    standin.wait("claimed")?;
    world.power_on(&world.brain)?;
    standin.wait("released")?;
    world.wait_router_sends(vip, &world.brain)?;
    standin.stop()
}
