//! The guard: the kernel answers for a VIP while it is held, and no longer.

use std::cell::Cell;
use std::net::{IpAddr, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use standin_sys::clock::boottime_ns;
use standin_sys::netlink::AddressSpec;
use standin_sys::netlink::nftables::{
    Chain, ChainKind, Expression, Family, Guard, Hook, Key, Leftover, Managed, NetfilterSocket,
    Support, Table,
};
use standin_sys::netns::{LOOPBACK_INDEX, NetNamespace, spawn_in};
use standin_sys::packet::PacketSocket;
use standin_sys::process::CommandExt;

use crate::Case;
use crate::world::{Host, eventually, running, wire};

pub const CASES: &[Case] = &[
    ("a guarded VIP answers only while held, IPv4", || held_only(V4)),
    ("a guarded VIP answers only while held, IPv6", || held_only(V6)),
    ("VIPs of one term are held and let go as one, IPv4", || terms(V4)),
    ("VIPs of one term are held and let go as one, IPv6", || terms(V6)),
    ("a timeout that is given again begins anew", same_timeout),
    ("a lease ends with no process alive", ends_alone),
    ("a quiet VIP is not found and serves on, IPv4", || quiet(V4)),
    ("a quiet VIP is not found and serves on, IPv6", || quiet(V6)),
    ("frames of packet sockets pass the guard", packet_sockets_pass),
    ("address translation does not go round the guard, IPv4", || translated(V4)),
    ("address translation does not go round the guard, IPv6", || translated(V6)),
    ("a stale renewal has no effect", stale),
    ("a thousand VIPs are renewed at once", thousand),
    ("leftovers go, or their leases live on", leftovers),
    ("a guard's tables are nobody else's", owned),
    ("guard errors name what was refused", errors),
    ("a guard without rights", no_rights),
];

/// The argument that makes this program a process that renews once and dies; see [`holder_child`].
pub const HOLDER: &str = "--hold-and-die";
/// The same for [`powerless_child`].
pub const POWERLESS: &str = "--guard-without-rights";

const NAME: &str = "standin";
const V4: &str = "10.0.0.100";
const V6: &str = "fd00::100";
const PORT: u16 = 7000;
const MS: u64 = 1_000_000;
/// An answer on a wire between two namespaces takes microseconds, and on a busy machine longer.
const PATIENCE_FOR_SILENCE: Duration = Duration::from_millis(150);

fn deadline(ms: u64) -> u64 {
    boottime_ns() + ms * MS
}

/// Holds until so many milliseconds from now, and gives that time. Where the machine is so busy
/// that no attempt came in time, it is asked again.
fn hold(guard: &mut Guard, vips: &[IpAddr], ms: u64) -> u64 {
    eventually("a renewal in time", || {
        let until = deadline(ms);
        match guard.renew(vips, until) {
            Ok(()) => Some(until),
            Err(error) if error.errno() == Some(libc::ESTALE) => None,
            Err(error) => panic!("{error}"),
        }
    })
}

/// A wire whose right end has the VIP, and answers UDP with an echo at it.
struct World {
    left: Host,
    right: Host,
    vip: IpAddr,
    client: UdpSocket,
    echo: UdpSocket,
    asked: Cell<u32>,
}

impl World {
    fn new(vip: &str) -> Self {
        let (mut left, mut right) = wire();
        running(&mut left.route, left.ifindex);
        running(&mut right.route, right.ifindex);
        for (host, ip) in [(&mut left, "fd00::1"), (&mut right, "fd00::2")] {
            let spec = AddressSpec::new(host.ifindex, ip.parse().unwrap(), 64);
            host.route.add_address(&AddressSpec { no_dad: true, ..spec }).unwrap();
        }
        let vip: IpAddr = vip.parse().unwrap();
        let length = if vip.is_ipv4() { 32 } else { 128 };
        let spec = AddressSpec { no_dad: true, ..AddressSpec::new(right.ifindex, vip, length) };
        right.route.add_address(&spec).unwrap();
        let any = if vip.is_ipv4() { "0.0.0.0" } else { "::" };
        let client = left.run(|| UdpSocket::bind((any, 0))).unwrap();
        client.set_nonblocking(true).unwrap();
        let echo = right.run(|| UdpSocket::bind((vip, PORT))).unwrap();
        echo.set_nonblocking(true).unwrap();
        Self { left, right, vip, client, echo, asked: Cell::new(0) }
    }

    fn install(&self) -> Guard {
        let managed = [self.vip];
        self.right.run(|| Guard::install(NAME, &managed, Leftover::Replace)).unwrap()
    }

    /// Sends one datagram to the VIP and serves it; whether the answer came, and no older one.
    fn answers(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        let question = self.asked.get().to_be_bytes();
        if self.client.send_to(&question, (self.vip, PORT)).is_err() {
            return false;
        }
        let (mut buffer, start) = ([0; 16], Instant::now());
        while start.elapsed() < PATIENCE_FOR_SILENCE {
            while let Ok((length, from)) = self.echo.recv_from(&mut buffer) {
                let _ = self.echo.send_to(&buffer[..length], from);
            }
            if self.client.recv(&mut buffer).is_ok_and(|length| buffer[..length] == question) {
                return true;
            }
            sleep(Duration::from_micros(200));
        }
        false
    }

    /// The VIP answers; on a busy machine perhaps only the next question in time.
    fn serves(&self) {
        eventually("an answer", || self.answers().then_some(()));
    }

    /// Asks until there is no answer. Nothing that was asked after `until` is answered, and what
    /// was asked 40 ms before its end still is.
    fn ends(&self, until: u64) {
        loop {
            let asked = boottime_ns();
            if !self.answers() {
                // The ticket's 10 ms and a tick of at most 10; the question itself may have waited.
                let early = until.saturating_sub(asked) / MS;
                assert!(early < 40, "{early} ms too early");
                return;
            }
            assert!(asked <= until, "{} ms too late", (asked - until) / MS);
        }
    }

    /// Forgets the VIP's MAC address, and tells whether the kernel finds it again.
    fn is_found(&mut self) -> bool {
        let (ifindex, vip) = (self.left.ifindex, self.vip);
        let _ = self.left.route.delete_neighbour(ifindex, vip);
        let _ = self.client.send_to(b"?", (vip, PORT));
        let start = Instant::now();
        while start.elapsed() < PATIENCE_FOR_SILENCE {
            let neighbours = self.left.route.neighbours().unwrap();
            if neighbours.iter().any(|n| n.ip == vip && n.is_usable()) {
                let mut buffer = [0; 16];
                while self.echo.recv_from(&mut buffer).is_ok() {}
                return true;
            }
            sleep(Duration::from_millis(1));
        }
        false
    }

    /// The kernel finds the VIP.
    fn finds(&mut self) {
        eventually("the VIP is found", || self.is_found().then_some(()));
    }

    /// Learns where the VIP is for good, so that only traffic is tried.
    fn know(&mut self) {
        let (ifindex, vip) = (self.left.ifindex, self.vip);
        self.left.route.set_neighbour(ifindex, vip, self.right.mac, true).unwrap();
    }
}

fn held_only(vip: &str) {
    let mut world = World::new(vip);
    world.serves();
    world.finds();
    let mut guard = world.install();
    assert!(!world.is_found());
    world.know();
    assert!(!world.answers());
    let until = hold(&mut guard, &[world.vip], 600);
    world.serves();
    let held = guard.held().unwrap();
    assert_eq!((held.len(), held[0].ip), (1, world.vip));
    assert!(held[0].remaining <= Duration::from_millis(590), "{held:?}");
    world.finds();
    world.know();
    world.ends(until);
    assert!(!world.is_found());
    assert_eq!(guard.held().unwrap(), []);
    hold(&mut guard, &[world.vip], 5000);
    world.finds();
    guard.release(&[world.vip]).unwrap();
    guard.release(&[world.vip]).unwrap();
    assert!(!world.is_found());
    // Neither its own address is touched, nor a VIP that is not managed.
    guard.unmanage(&[world.vip]).unwrap();
    world.finds();
    guard.manage(&[world.vip]).unwrap();
    assert!(!world.is_found());
    guard.remove().unwrap();
    world.finds();
    world.serves();
}

/// A term is one element of the kernel's, whatever number of VIPs it is about.
fn terms(vip: &str) {
    const OURS: u32 = 7;
    const THEIRS: u32 = 8;
    let world = World::new(vip);
    let managed = [Managed { ip: world.vip, term: OURS }];
    let mut guard = world.right.run(|| Guard::install(NAME, &managed, Leftover::Replace)).unwrap();
    let hold = |guard: &mut Guard, term: u32| {
        eventually("a renewal in time", || match guard.renew_terms(&[term], deadline(60_000)) {
            Ok(()) => Some(()),
            Err(error) if error.errno() == Some(libc::ESTALE) => None,
            Err(error) => panic!("{error}"),
        });
    };
    hold(&mut guard, THEIRS);
    assert!(!world.answers(), "another's term says nothing about this VIP");
    hold(&mut guard, OURS);
    eventually("an answer under the term", || world.answers().then_some(()));
    // Whoever looks at the host's rules sees ours; `nft` aborts over some that the kernel takes.
    let mut command = Command::new("nft");
    command.args(["list", "ruleset"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let listed =
        spawn_in(&world.right.namespace, &mut command).unwrap().wait_with_output().unwrap();
    let rules = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success() && rules.contains("vmap @term-of"), "{listed:?}");
    // The next run of the same instance finds the term running.
    drop(guard);
    let mut guard = world.right.run(|| Guard::install(NAME, &managed, Leftover::KeepHeld)).unwrap();
    assert!(world.answers(), "a term runs on through a restart");
    // Another VIP joins, and this one keeps its term; then it is left out and has none.
    let other: IpAddr =
        if world.vip.is_ipv4() { "10.0.0.101" } else { "fd00::101" }.parse().unwrap();
    guard.manage(&[managed[0], Managed { ip: other, term: THEIRS }]).unwrap();
    assert!(world.answers());
    guard.release_terms(&[OURS]).unwrap();
    assert!(!world.answers(), "released");
    hold(&mut guard, OURS);
    guard.manage(&[Managed { ip: other, term: OURS }]).unwrap();
    assert!(!world.answers(), "it is managed still, and of no term");
    guard.renew_terms(&[OURS], deadline(5)).unwrap_err();
    guard.remove().unwrap();
    assert!(world.answers(), "nothing guards it any more");
}

/// A renewal may well ask for the very timeout that the one before asked for.
fn same_timeout() {
    const TIMEOUT_MS: u64 = 60_000;
    let world = World::new(V4);
    let guard = world.install();
    if !guard.renews_in_place() {
        // There the element is taken out and put in again.
        return;
    }
    drop(guard);
    let table = Table { family: Family::Ip, name: NAME };
    let mut socket = world.right.run(NetfilterSocket::open).unwrap();
    let mut left = |renew: bool| {
        if renew {
            let mut transaction = socket.transaction();
            transaction.add_elements(table, "held", &[Key::Ip(world.vip)], Some(TIMEOUT_MS));
            socket.commit(transaction).unwrap();
        }
        let found = socket.elements(table, "held").unwrap();
        found.iter().find_map(|element| element.expires_in_ms).unwrap()
    };
    left(true);
    let before = eventually("some of it has passed", || {
        Some(left(false)).filter(|left| *left < TIMEOUT_MS - 200)
    });
    let after = left(true);
    assert!(after > before + 100, "{before} ms, and {after} ms after it was given again");
}

fn ends_alone() {
    let mut world = World::new(V4);
    world.know();
    let itself = std::env::current_exe().unwrap();
    let mut command = Command::new(itself);
    command.arg(HOLDER).stdout(Stdio::piped());
    let child = spawn_in(&world.right.namespace, &mut command).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let until: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    // Held after its process died.
    world.serves();
    world.ends(until);
    assert!(world.right.run(|| Guard::remove_named(NAME)).unwrap());
    assert!(!world.right.run(|| Guard::remove_named(NAME)).unwrap());
    world.serves();
}

/// Installs, renews once, says until when, and dies without any clean-up.
pub fn holder_child() -> ExitCode {
    let vip = V4.parse().unwrap();
    let mut guard = Guard::install(NAME, &[vip], Leftover::Replace).unwrap();
    let until = hold(&mut guard, &[vip], 500);
    println!("{until}");
    // Destructors would close the socket orderly; the kernel does it.
    std::process::exit(0)
}

fn quiet(vip: &str) {
    let mut world = World::new(vip);
    let mut guard = world.install();
    hold(&mut guard, &[world.vip], 60_000);
    world.finds();
    guard.quiet(&[world.vip], true).unwrap();
    guard.quiet(&[world.vip], true).unwrap();
    assert!(!world.is_found());
    world.know();
    world.serves();
    guard.quiet(&[world.vip], false).unwrap();
    guard.quiet(&[world.vip], false).unwrap();
    world.finds();
}

fn packet_sockets_pass() {
    let mut world = World::new(V4);
    let _guard = world.install();
    let listener = world.left.run(|| PacketSocket::arp(world.left.ifindex)).unwrap();
    let sender = world.right.run(|| PacketSocket::sender(world.right.ifindex)).unwrap();
    let mut frame = [&[0xff; 6][..], &world.right.mac, &[8, 6]].concat();
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 2]);
    frame.extend_from_slice(&world.right.mac);
    frame.extend_from_slice(&[10, 0, 0, 100]);
    frame.extend_from_slice(&[0xff; 6]);
    frame.extend_from_slice(&[10, 0, 0, 100]);
    sender.send(&frame).unwrap();
    let mut buffer = [0; 128];
    eventually("an announcement that nobody held back", || {
        let received = listener.receive(&mut buffer).unwrap()?;
        (buffer[..received.length] == frame).then_some(())
    });
    assert!(!world.is_found());
}

/// As a container engine publishes a port: what comes for the VIP goes to another address.
fn translated(vip: &str) {
    let mut world = World::new(vip);
    world.know();
    // Not on the wire's interface, of whose addresses the kernel picks one to translate to.
    let length = if world.vip.is_ipv4() { 32 } else { 128 };
    let (ifindex, lo) = (world.right.ifindex, LOOPBACK_INDEX);
    world.right.route.remove_address(ifindex, world.vip, length).unwrap();
    let spec = AddressSpec { no_dad: true, ..AddressSpec::new(lo, world.vip, length) };
    world.right.route.add_address(&spec).unwrap();
    let (family, real) =
        if world.vip.is_ipv4() { (Family::Ip, "10.0.0.2") } else { (Family::Ip6, "fd00::2") };
    world.echo = world.right.run(|| UdpSocket::bind((real, PORT))).unwrap();
    world.echo.set_nonblocking(true).unwrap();
    assert!(!world.answers());
    let mut socket = world.right.run(NetfilterSocket::open).unwrap();
    let table = Table { family, name: "engine" };
    let kind = ChainKind::Translate;
    let mut transaction = socket.transaction();
    transaction.create_table(table, 0);
    let chain = Chain { name: "publish", kind, hook: Hook::Prerouting, priority: -100 };
    transaction.create_chain(table, chain).append_rule(table, "publish", &[Expression::Redirect]);
    socket.commit(transaction).unwrap();
    world.serves();
    assert!(world.right.run(Support::probe).unwrap().routing_lookup);
    let mut guard = world.install();
    assert!(!world.answers());
    hold(&mut guard, &[world.vip], 60_000);
    world.serves();
    guard.release(&[world.vip]).unwrap();
    // Nor does a connection that was translated before.
    assert!(!world.answers());
}

fn stale() {
    let world = World::new(V4);
    let mut guard = world.install();
    let vips = [world.vip];
    let ticket = guard.ticket().unwrap();
    sleep(Duration::from_millis(30));
    let error = guard.renew_with(&ticket, &vips, deadline(60_000)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ESTALE));
    assert_eq!(guard.held().unwrap(), []);
    // A ticket serves once.
    let fresh = loop {
        let fresh = guard.ticket().unwrap();
        if guard.renew_with(&fresh, &vips, deadline(60_000)).is_ok() {
            break fresh;
        }
    };
    let error = guard.renew_with(&fresh, &vips, deadline(90_000)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ESTALE));
    let remaining = guard.held().unwrap()[0].remaining;
    assert!(remaining < Duration::from_mins(1), "{remaining:?}");
    for ms in [0, 5, 18] {
        let error = guard.renew(&vips, deadline(ms)).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ETIMEDOUT), "{ms}");
    }
    assert_eq!(guard.held().unwrap().len(), 1);
}

fn thousand() {
    let namespace = NetNamespace::create().unwrap();
    let mut vips: Vec<IpAddr> = vec![];
    for number in 0..500u16 {
        let [high, low] = number.to_be_bytes();
        vips.push([10, 1, high, low].into());
        vips.push([0xfd00, 0, 0, 0, 0, 0, 0, number].into());
    }
    let mut guard =
        namespace.run(|| Guard::install(NAME, &vips, Leftover::Replace)).unwrap().unwrap();
    for in_place in [true, false] {
        if !in_place {
            guard.renew_by_replacement();
        }
        for round in 1..=3u64 {
            let start = Instant::now();
            hold(&mut guard, &vips, 20_000 * round);
            println!("  1000 VIPs renewed in {:?} (in place: {in_place})", start.elapsed());
            let held = guard.held().unwrap();
            assert_eq!(held.len(), 1000);
            let range = Duration::from_secs(20 * round - 5)..Duration::from_secs(20 * round);
            assert!(held.iter().all(|held| range.contains(&held.remaining)), "{:?}", held[0]);
        }
        // Renewing some leaves the others alone; and it may shorten.
        hold(&mut guard, &vips[..10], 1000);
        let held = guard.held().unwrap();
        let short = held.iter().filter(|held| held.remaining < Duration::from_secs(1)).count();
        assert_eq!((held.len(), short), (1000, 10));
        guard.release(&vips).unwrap();
        assert_eq!(guard.held().unwrap(), []);
    }
}

fn leftovers() {
    let namespace = NetNamespace::create().unwrap();
    let vips: [IpAddr; 2] = [V4.parse().unwrap(), V6.parse().unwrap()];
    let install = |leftover| namespace.run(|| Guard::install(NAME, &vips, leftover)).unwrap();
    let mut guard = install(Leftover::KeepHeld).unwrap();
    hold(&mut guard, &vips, 60_000);
    guard.quiet(&vips, true).unwrap();
    drop(guard);
    let left = |name| namespace.run(|| Guard::left_quiet(name)).unwrap().unwrap();
    assert_eq!(left(NAME), vips);
    assert_eq!(left("another"), [] as [IpAddr; 0]);
    let mut socket = namespace.run(NetfilterSocket::open).unwrap().unwrap();
    assert_eq!(socket.tables().unwrap().len(), 3);
    let mut guard = install(Leftover::KeepHeld).unwrap();
    assert_eq!(guard.held().unwrap().len(), 2);
    let table = Table { family: Family::Ip, name: NAME };
    assert_eq!(socket.elements(table, "quiet").unwrap(), []);
    assert_eq!(socket.elements(table, "managed").unwrap().len(), 1);
    hold(&mut guard, &vips, 60_000);
    drop(guard);
    assert_eq!(install(Leftover::Replace).unwrap().held().unwrap(), []);
    // What is called ours and is not like ours is replaced all the same.
    assert!(namespace.run(|| Guard::remove_named(NAME)).unwrap().unwrap());
    let mut foreign = socket.transaction();
    foreign.create_table(table, 0);
    let chain = Chain { name: "output", kind: ChainKind::Filter, hook: Hook::Input, priority: 7 };
    foreign.create_chain(table, chain);
    socket.commit(foreign).unwrap();
    hold(&mut install(Leftover::KeepHeld).unwrap(), &vips, 60_000);
    // Two instances of other names do not disturb each other.
    let mut other =
        namespace.run(|| Guard::install("other", &vips, Leftover::Replace)).unwrap().unwrap();
    assert_eq!(other.held().unwrap(), []);
    other.remove().unwrap();
    assert_eq!(socket.tables().unwrap().len(), 3);
}

fn owned() {
    let namespace = NetNamespace::create().unwrap();
    let support = namespace.run(Support::probe).unwrap().unwrap();
    assert!(support.missing().is_empty(), "{:?}", support.missing());
    assert!(support.covers(V4.parse().unwrap()) && support.covers(V6.parse().unwrap()));
    let vips: [IpAddr; 1] = [V4.parse().unwrap()];
    let install = || namespace.run(|| Guard::install(NAME, &vips, Leftover::Replace)).unwrap();
    let mut guard = install().unwrap();
    if support.ownership {
        let error = install().unwrap_err();
        assert!(error.is_permission(), "{error}");
        let error = namespace.run(|| Guard::remove_named(NAME)).unwrap().unwrap_err();
        assert!(error.to_string().contains("no other process may own the table"), "{error}");
    } else {
        assert!(namespace.run(|| Guard::remove_named(NAME)).unwrap().unwrap());
        let error = guard.renew(&vips, deadline(1000)).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOENT));
        guard = install().unwrap();
    }
    guard.remove().unwrap();
    assert!(!namespace.run(|| Guard::remove_named(NAME)).unwrap().unwrap());
}

fn errors() {
    let namespace = NetNamespace::create().unwrap();
    let mut socket = namespace.run(NetfilterSocket::open).unwrap().unwrap();
    let table = Table { family: Family::Ip, name: "nobody" };
    let mut transaction = socket.transaction();
    transaction.create_chain(
        table,
        Chain { name: "in", kind: ChainKind::Filter, hook: Hook::Input, priority: 0 },
    );
    let error = socket.commit(transaction).unwrap_err();
    assert_eq!(error.to_string(), "create chain in of table ip nobody: No such file or directory");
    assert_eq!(socket.elements(table, "held").unwrap_err().errno(), Some(libc::ENOENT));
    let managed: Vec<IpAddr> = (1..=3).map(|n| [10, 0, 0, n].into()).collect();
    drop(namespace.run(|| Guard::install("nobody", &managed, Leftover::Replace)).unwrap());
    let keys: Vec<Key> = [2, 3, 4].map(|n| Key::Ip([10, 0, 0, n].into())).to_vec();
    let mut transaction = socket.transaction();
    transaction.delete_elements(table, "managed", &keys);
    let error = socket.commit(transaction).unwrap_err();
    assert!(
        error.to_string().starts_with("delete 10.0.0.4 from set managed of table ip nobody: No"),
        "{error}"
    );
    // All or nothing.
    assert_eq!(socket.elements(table, "managed").unwrap().len(), 3);
    socket.check(socket.transaction()).unwrap();
}

fn no_rights() {
    let itself = std::env::current_exe().unwrap();
    let output = Command::new(itself).arg(POWERLESS).die_with_parent().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let expected = "change the packet filter's tables: Operation not permitted (needs \
                    CAP_NET_ADMIN, and no other process may own the table)\n";
    assert_eq!(text, expected.repeat(2));
}

/// Says what a process without `CAP_NET_ADMIN` is told.
pub fn powerless_child() -> ExitCode {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).unwrap();
    println!("{}", Support::probe().unwrap_err());
    let vips: [IpAddr; 1] = [V4.parse().unwrap()];
    println!("{}", Guard::install(NAME, &vips, Leftover::Replace).unwrap_err());
    ExitCode::SUCCESS
}
