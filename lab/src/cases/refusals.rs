//! Bad input to `standin for`: one clear error, its own exit status, and nothing left behind.

use std::net::IpAddr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use standin_sys::netlink::RouteSocket;

use super::{Case, beside};
use crate::story::Lab;
use crate::wait::PATIENCE;
use crate::world::{Family, World};

pub const CASES: &[Case] = &[
    beside("bad_addresses", "addresses that cannot be stood in for", bad_addresses),
    beside("bad_interfaces", "interfaces that are not there, down or a loopback", bad_interfaces),
    beside("bad_host", "HOST unknown, ourselves, or no host at all", bad_host),
    beside("bad_words", "durations, URLs, ports, labels and flags that are wrong", bad_words),
    beside(
        "bad_vip_already_here",
        "a VIP that an administrator configured here",
        bad_vip_already_here,
    ),
];

/// A command line, its exit status, and what its error must hold.
pub type Refusal = (&'static str, i32, &'static str);

/// Runs each and compares; the host is as it was after each.
pub fn refused(world: &World<'_>, all: &[Refusal]) -> Result<()> {
    for (arguments, code, word) in all {
        let before = state(world)?;
        let begun = Instant::now();
        let output = world.pinky.standin(world.lab, arguments)?;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        world.lab.say(error.trim_end());
        ensure!(output.status.code() == Some(*code), "{arguments}: {}\n{error}", output.status);
        ensure!(error.contains(word), "{arguments}: no {word:?} in\n{error}");
        ensure!(error.lines().count() <= 12, "{arguments}: a long error\n{error}");
        ensure!(!error.contains("panicked"), "{arguments}: {error}");
        ensure!(begun.elapsed() < PATIENCE, "{arguments}: it took {:?}", begun.elapsed());
        ensure!(state(world)? == before, "{arguments}: something was left behind");
    }
    Ok(())
}

/// What a host has: the addresses with their interfaces and prefixes, and the interfaces with whether
/// they are up.
#[derive(PartialEq, Eq)]
struct State {
    addresses: Vec<(u32, IpAddr, u8)>,
    interfaces: Vec<(u32, String, bool)>,
}

/// What the kernel does by itself is left out: it gives an interface its link-local address, and judges
/// it, when it gets to it.
fn state(world: &World<'_>) -> Result<State> {
    let addresses = world.pinky.route(RouteSocket::addresses).context("the addresses")?;
    let of_the_kernel =
        |ip: IpAddr| matches!(ip, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80);
    let addresses = addresses.iter().filter(|address| !of_the_kernel(address.ip));
    let links = world.pinky.route(RouteSocket::links).context("the interfaces")?;
    Ok(State {
        addresses: addresses.map(|found| (found.ifindex, found.ip, found.prefix)).collect(),
        interfaces: links.into_iter().map(|link| (link.index, link.name, link.up)).collect(),
    })
}

fn bad_addresses(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    refused(
        &world,
        &[
            ("for brain", 64, "--vip"),
            ("for brain --vip 10.9.0.0", 78, "network address"),
            ("for brain --vip 10.9.0.255", 78, "broadcast address"),
            ("for brain --vip 224.0.0.5", 64, "multicast"),
            ("for brain --vip ff02::1", 64, "multicast"),
            ("for brain --vip 0.0.0.0", 64, "unspecified"),
            ("for brain --vip ::", 64, "unspecified"),
            ("for brain --vip 255.255.255.255", 64, "broadcast"),
            ("for brain --vip 127.0.0.1", 64, "loopback"),
            ("for brain --vip 10.9.0.3", 78, "HOST's real address"),
            ("for 10.9.0.3 --vip 10.9.0.3", 64, "both HOST and an address"),
            ("for brain --vip 10.9.0.2", 78, "already on this host"),
            ("for brain --own 10.9.0.2", 78, "already on this host"),
            ("for brain --vip 10.9.0.103 --vip 10.9.0.103", 64, "given twice"),
            ("for brain --vip 10.9.0.103 --own 10.9.0.103", 64, "both --vip and --own"),
            ("for brain --vip 192.0.2.9", 78, "--interface eth0"),
            ("for brain --vip brain", 64, "not an IPv4 or IPv6 address"),
            ("for brain --vip 10.9.0.103/24", 64, "--prefix"),
            ("for brain --vip 10.9.0.103 --prefix 33", 64, "1 to 32"),
        ],
    )
}

fn bad_interfaces(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    let nic = world.add_wire(&world.pinky, 42, true)?;
    world.pinky.route(|route| route.set_link_up(nic.ifindex, false))?;
    refused(
        &world,
        &[
            ("for brain --vip 10.9.0.103 --interface eht0", 69, "did you mean --interface eth0?"),
            ("for brain --vip 10.9.0.103 --interface lo", 78, "loopback"),
            ("for brain --vip 10.9.0.103 --interface eth1", 69, "ip link set eth1 up"),
            ("for brain --vip 10.9.0.103 --interface ''", 69, "no interface ''"),
        ],
    )
}

fn bad_host(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    refused(
        &world,
        &[
            ("for 10.9.0.2 --vip 10.9.0.103", 78, "this host itself"),
            ("for 10.9.0.255 --vip 10.9.0.103", 78, "broadcast address"),
            ("for 0.0.0.0 --vip 10.9.0.103", 64, "unspecified"),
            ("for 127.0.0.1 --vip 10.9.0.103", 64, "loopback"),
            ("for fe80::3 --vip 10.9.0.103", 78, "link-local"),
            ("for --vip 10.9.0.103", 64, "HOST"),
        ],
    )?;
    // Without a name server the resolver says 'try again'; with one, 'no such host'.
    let output = world.pinky.standin(lab, "for no-such-host.invalid --vip 10.9.0.103")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(matches!(output.status.code(), Some(68 | 75)), "{}: {error}", output.status);
    ensure!(error.contains("unknown host 'no-such-host.invalid'"), "{error}");
    ensure!(error.contains("to do:"), "{error}");
    Ok(())
}

fn bad_words(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    refused(
        &world,
        &[
            ("for brain --vip 10.9.0.103 --dead-after 1", 64, "1"),
            ("for brain --vip 10.9.0.103 --dead-after 1ms", 64, "5ms"),
            ("for brain --vip 10.9.0.103 --dead-after 2h", 64, "1h"),
            (
                "for brain --vip 10.9.0.103 --dead-after 1s --interval 600ms",
                64,
                "too small for --interval",
            ),
            ("for brain --vip 10.9.0.103 --interval 0s", 64, "--interval"),
            ("for brain --vip 10.9.0.103 --failback perhaps", 64, "yes, no or a duration"),
            ("for brain --vip 10.9.0.103 --on-answer ask", 64, "takeover"),
            ("for brain --vip 10.9.0.103 --check ftp://10.9.0.103/", 64, "ftp"),
            ("for brain --vip 10.9.0.103 --check http://10.9.0.103:99999/", 64, "99999"),
            ("for brain --vip 10.9.0.103 --check tcp:10.9.0.103", 64, "tcp:"),
            ("for brain --vip 10.9.0.103 --check http://10.9.0.99/", 64, "no --vip"),
            ("for brain --vip 10.9.0.103 --check command:", 64, "command"),
            ("for brain --vip 10.9.0.103 --expect-text hello", 64, "--expect-text"),
            (
                "for brain --vip 10.9.0.103 --check tcp:10.9.0.103:80 --expect-text a",
                64,
                "does not apply",
            ),
            ("for brain --vip 10.9.0.103 --label a/b", 64, "--label"),
            ("for brain --vip 10.9.0.103 --deadafter 1s", 64, "--dead-after"),
            ("for brain --vip 10.9.0.103 --socket /nowhere/s", 73, "/nowhere/s"),
            ("four brain", 64, "for"),
        ],
    )
}

fn bad_vip_already_here(lab: &Lab) -> Result<()> {
    let world = World::new(lab)?;
    world.pinky.configure(Family::V4.vip(crate::world::BRAIN))?;
    refused(
        &world,
        &[
            ("for brain --vip 10.9.0.103", 78, "ip address del 10.9.0.103/32 dev eth0"),
            ("for brain --own 10.9.0.103", 78, "ip address del 10.9.0.103/32 dev eth0"),
        ],
    )
}
