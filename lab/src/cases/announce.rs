//! `standin announce` and `standin send-arp`: the frames, byte by byte, and what they move.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, ensure};
use standin_core::wire::{ArpPacket, Mac};
use standin_sys::process::CommandExt;

use super::{Case, beside, brain_has_its_vip};
use crate::capture::{Capture, Form};
use crate::sandbox;
use crate::story::Lab;
use crate::wait::PATIENCE;
use crate::world::{BRAIN, Family, Host, World};

pub const CASES: &[Case] = &[
    beside(
        "announce_moves_the_router",
        "request and reply, and the router's cache follows",
        announce,
    ),
    beside(
        "announce_ipv6",
        "the unsolicited advertisement, and the router's cache follows",
        announce_ipv6,
    ),
    beside(
        "announce_options",
        "--request, --reply, --mac, --to, --count, --interval",
        announce_options,
    ),
    beside("send_arp_bytes", "the article's positional form, byte by byte", send_arp),
    beside(
        "announce_needs_net_raw_only",
        "CAP_NET_RAW is enough; without it, it is named",
        net_raw_only,
    ),
    beside("announce_bad_input", "each wrong input with its own error", bad_input),
];

fn run(world: &World<'_>, host: &Host, arguments: &str) -> Result<()> {
    let output = host.standin(world.lab, arguments)?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{arguments}: {}: {error}", output.status);
    Ok(())
}

/// Waits for so many frames of the host's own about `address` and gives their bytes.
fn said(wire: &Capture, mark: usize, count: usize) -> Result<Vec<Vec<u8>>> {
    crate::wait::until("the frames are on the wire", PATIENCE, || {
        let frames = wire.after(mark, |one| !one.to_host && one.form() != Form::Answer);
        (frames.len() >= count).then(|| frames.into_iter().map(|one| one.bytes).collect())
    })
}

fn announce(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    world.wait_router_sends(vip, &world.brain)?;
    let wire = world.capture_at(&world.pinky)?;
    run(&world, &world.pinky, &format!("announce {vip}"))?;
    world.wait_router_sends(vip, &world.pinky)?;
    let std::net::IpAddr::V4(v4) = vip else { unreachable!("the VIP is IPv4") };
    let mac = world.pinky.mac();
    let wanted = [ArpPacket::gratuitous_request(mac, v4), ArpPacket::gratuitous_reply(mac, v4)];
    let frames = said(&wire, 0, 2)?;
    for (frame, packet) in frames.iter().zip(wanted) {
        ensure!(**frame == *packet.encode(mac, Mac::BROADCAST), "{frame:02x?}");
    }
    ensure!(frames.len() == 2, "{} frames", frames.len());
    Ok(())
}

fn announce_ipv6(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V6)?;
    world.wait_router_sends(vip, &world.brain)?;
    let wire = world.capture_at(&world.pinky)?;
    run(&world, &world.pinky, &format!("announce {vip}"))?;
    world.wait_router_sends(vip, &world.pinky)?;
    let frames = said(&wire, 0, 1)?;
    let std::net::IpAddr::V6(v6) = vip else { unreachable!("the VIP is IPv6") };
    let mut wanted = vec![0x33, 0x33, 0, 0, 0, 1];
    wanted.extend(world.pinky.mac().0);
    wanted.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255]);
    wanted.extend(v6.octets());
    wanted.extend([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let frame = &frames[0];
    ensure!(frame.starts_with(&wanted), "{frame:02x?}\nwanted {wanted:02x?}");
    // Type 136, code 0, a checksum, then Override alone of the flags; the target and its MAC.
    let rest = &frame[wanted.len()..];
    ensure!(rest[..2] == [136, 0] && rest[4..8] == [0x20, 0, 0, 0], "{rest:02x?}");
    ensure!(rest[8..24] == v6.octets() && rest[24..26] == [2, 1], "{rest:02x?}");
    ensure!(rest[26..32] == world.pinky.mac().0, "{rest:02x?}");
    Ok(())
}

fn announce_options(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = Family::V4.vip(BRAIN);
    let wire = world.capture_at(&world.pinky)?;
    let router: Mac = Mac([2, 0, 0, 0, crate::world::LAN, 1]);
    let other: Mac = Mac([2, 0, 0x5e, 0, 0, 9]);
    let std::net::IpAddr::V4(v4) = vip else { unreachable!("the VIP is IPv4") };
    let mac = world.pinky.mac();
    let (request, reply) = (ArpPacket::gratuitous_request, ArpPacket::gratuitous_reply);
    for (options, wanted) in [
        ("--request", vec![request(mac, v4).encode(mac, Mac::BROADCAST)]),
        ("--reply", vec![reply(mac, v4).encode(mac, Mac::BROADCAST)]),
        (
            "--both --interface eth0",
            vec![
                request(mac, v4).encode(mac, Mac::BROADCAST),
                reply(mac, v4).encode(mac, Mac::BROADCAST),
            ],
        ),
    ] {
        let mark = wire.mark();
        run(&world, &world.pinky, &format!("announce {vip} {options}"))?;
        let frames = said(&wire, mark, wanted.len())?;
        for (frame, packet) in frames.iter().zip(&wanted) {
            ensure!(**frame == **packet, "{options}: {frame:02x?}");
        }
    }
    let mark = wire.mark();
    run(&world, &world.pinky, &format!("announce {vip} --request --mac {other} --to {router}"))?;
    let frames = said(&wire, mark, 1)?;
    ensure!(frames[0].starts_with(&router.0), "not to the router: {:02x?}", frames[0]);
    ensure!(frames[0][22..28] == other.0, "another sender: {:02x?}", frames[0]);
    let mark = wire.mark();
    run(&world, &world.pinky, &format!("announce {vip} --request --count 3 --interval 150ms"))?;
    let frames = wire.after(mark, |one| !one.to_host && one.announces(mac, vip));
    ensure!(frames.len() == 3, "{} frames", frames.len());
    for pair in frames.windows(2) {
        let apart = Duration::from_nanos(pair[1].at_ns - pair[0].at_ns);
        ensure!(apart >= Duration::from_millis(145), "{} ms apart", apart.as_millis());
    }
    Ok(())
}

fn send_arp(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let router = Family::V4.of(crate::world::LAN, 1);
    let wire = world.capture_at(&world.pinky)?;
    let mac = world.pinky.mac();
    let arguments = format!("send-arp {vip} {mac} {router} ff:ff:ff:ff:ff:ff");
    run(&world, &world.pinky, &arguments)?;
    let frame =
        wire.wait("the frame", 0, PATIENCE, |one| !one.to_host && one.announces(mac, vip))?.bytes;
    // The article's program: a reply from the VIP at our MAC, to the one it names.
    let mut wanted = vec![0xff; 6];
    wanted.extend(mac.0);
    wanted.extend([0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2]);
    wanted.extend(mac.0);
    wanted.extend([10, 9, 0, 103]);
    ensure!(frame.starts_with(&wanted), "{frame:02x?}\nwanted {wanted:02x?}");
    ensure!(frame.ends_with(&[10, 9, 0, 1]) && frame.len() == 42, "{frame:02x?}");
    // A Linux neighbour ignores this form within a second of its entry's last update.
    crate::wait::until("the router follows", PATIENCE, || {
        run(&world, &world.pinky, &arguments).ok()?;
        let moved = || world.router_sends_to(vip) == Some(mac);
        crate::wait::until_true("at once", Duration::from_millis(100), moved).ok()
    })
}

/// Runs with nothing but these capabilities (`-all,+net_raw`).
fn with_capabilities(
    world: &World<'_>,
    set: &str,
    arguments: &str,
) -> Result<(Option<i32>, String)> {
    sandbox::require("setpriv", "util-linux")?;
    world.lab.say(format!("with {set}: standin {arguments}"));
    let mut command = world.pinky.command("setpriv");
    command.arg(format!("--bounding-set={set}")).arg("--inh-caps=-all").arg(world.lab.standin());
    command.args(crate::world::host::words(arguments)).stdin(Stdio::null()).die_with_parent();
    let output = command.output()?;
    Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn net_raw_only(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let vip = brain_has_its_vip(&world, Family::V4)?;
    let announce = format!("announce {vip}");
    let (code, error) = with_capabilities(&world, "-all,+net_raw", &announce)?;
    ensure!(code == Some(0), "{code:?}: {error}");
    world.wait_router_sends(vip, &world.pinky)?;
    let (code, error) = with_capabilities(&world, "-all", &announce)?;
    ensure!(code == Some(77), "{code:?}: {error}");
    for word in ["CAP_NET_RAW", "setcap cap_net_raw+ep", "AmbientCapabilities=CAP_NET_RAW"] {
        ensure!(error.contains(word), "no {word} in {error}");
    }
    let (code, error) =
        with_capabilities(&world, "-all,+net_raw", &format!("for brain --vip {vip}"))?;
    ensure!(code == Some(77) && error.contains("CAP_NET_ADMIN"), "{code:?}: {error}");
    ensure!(error.contains("setcap cap_net_admin,cap_net_raw+ep"), "{error}");
    Ok(())
}

fn bad_input(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    super::refusals::refused(
        &world,
        &[
            ("announce", 64, "ADDRESS"),
            ("announce 10.9.0", 64, "10.9.0"),
            ("announce 10.9.0.103/32", 64, "10.9.0.103 alone"),
            ("announce 10.9.0.103 --mac 00:11", 64, "00:11"),
            ("announce 10.9.0.103 --mac ff:ff:ff:ff:ff:ff", 64, "ff:ff:ff:ff:ff:ff"),
            ("announce 10.9.0.103 --count 0", 64, "--count"),
            ("announce 10.9.0.103 --interface eht0", 69, "eth0"),
            ("announce 10.9.0.103 --interface lo", 78, "loopback"),
            ("announce 192.0.2.9", 78, "192.0.2.9"),
            ("send-arp 10.9.0.103", 64, "SRC_MAC"),
            (
                "send-arp fd09::67 02:00:00:00:09:02 10.9.0.1 ff:ff:ff:ff:ff:ff",
                64,
                "standin announce",
            ),
            ("send-arp 10.9.0.103 02:00:00:00:09:02 10.9.0.1 nonsense", 64, "nonsense"),
        ],
    )
}
