//! Local routes: a block of addresses in one message, and the sign of life they depend on.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use standin_sys::clock::boottime_ns;
use standin_sys::netlink::nftables::{Guard, Leftover, Support};
use standin_sys::netlink::{AddressSpec, Event, LocalRoute, Monitor, RouteQueue};
use standin_sys::netns::{LOOPBACK_INDEX, NetNamespace};

use crate::Case;
use crate::world::{Host, eventually, route_in, running, wire};

pub const CASES: &[Case] = &[
    ("a local route answers for its whole block", whole_block),
    ("routes are acknowledged in order, and told by name", acknowledged),
    ("a host on which nothing was set up yet has no local routes", untouched),
    ("routes that others remove are told of", told),
    ("routes answer only while there is a sign of life", sign_of_life),
    ("a sign of life outlives a restart, and is not needed by others", restart),
    ("ten thousand routes are a handful of messages", ten_thousand),
];

const PROTOCOL: u8 = 93;
const NAME: &str = "standin";
const PORT: u16 = 7001;
const PATIENCE_FOR_SILENCE: Duration = Duration::from_millis(150);

/// The right end of the wire holds routes, the left one asks.
struct World {
    left: Host,
    right: Host,
    queue: RouteQueue,
    client: UdpSocket,
    echo: UdpSocket,
}

fn block(address: [u8; 4], prefix: u8) -> LocalRoute {
    let (ifindex, protocol, metric) = (LOOPBACK_INDEX, PROTOCOL, 7);
    LocalRoute { address: address.into(), prefix, ifindex, protocol, metric }
}

impl World {
    fn new() -> Self {
        let (mut left, mut right) = wire();
        running(&mut left.route, left.ifindex);
        running(&mut right.route, right.ifindex);
        right.route.set_link_up(LOOPBACK_INDEX, true).unwrap();
        // All of 10.9.0.0/16 is on the link.
        let near = AddressSpec::new(left.ifindex, [10, 9, 255, 254].into(), 16);
        left.route.add_address(&near).unwrap();
        let near = AddressSpec::new(right.ifindex, [10, 9, 255, 253].into(), 16);
        right.route.add_address(&near).unwrap();
        let queue = right.run(RouteQueue::open).unwrap();
        let client = left.run(|| UdpSocket::bind(("0.0.0.0", 0))).unwrap();
        client.set_nonblocking(true).unwrap();
        let echo = right.run(|| UdpSocket::bind(("10.9.255.253", PORT))).unwrap();
        echo.set_nonblocking(true).unwrap();
        Self { left, right, queue, client, echo }
    }

    fn change(&mut self, changes: &[(bool, LocalRoute)]) {
        for &(add, route) in changes {
            if add {
                self.queue.push_route(route)
            } else {
                self.queue.push_route_removal(route)
            };
        }
        self.queue.flush().unwrap();
        while let Some(answer) = self.queue.poll().unwrap() {
            answer.outcome.unwrap();
        }
        assert_eq!(self.queue.unanswered(), 0);
    }

    /// Whether the right end answers for an address: its ARP, and a service bound to it.
    fn answers(&mut self, ip: [u8; 4]) -> bool {
        let ip: IpAddr = ip.into();
        let _ = self.left.route.delete_neighbour(self.left.ifindex, ip);
        let Ok(echo) = self.right.run(|| UdpSocket::bind((ip, PORT + 1))) else { return false };
        echo.set_nonblocking(true).unwrap();
        if self.client.send_to(b"?", (ip, PORT + 1)).is_err() {
            return false;
        }
        let (mut buffer, start) = ([0; 16], Instant::now());
        while start.elapsed() < PATIENCE_FOR_SILENCE {
            while let Ok((length, from)) = echo.recv_from(&mut buffer) {
                let _ = echo.send_to(&buffer[..length], from);
            }
            if self.client.recv_from(&mut buffer).is_ok_and(|(_, from)| from.ip() == ip) {
                return true;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        false
    }

    fn serves(&mut self, ip: [u8; 4]) {
        eventually("an answer", || self.answers(ip).then_some(()));
    }

    fn routed() -> Vec<Ipv4Addr> {
        (0..=255).map(|last| Ipv4Addr::new(10, 9, 1, last)).collect()
    }

    fn guard(&self, leftover: Leftover) -> Guard {
        let routed = Self::routed();
        self.right.run(|| Guard::install_routed::<IpAddr>(NAME, &[], &routed, leftover)).unwrap()
    }
}

fn whole_block() {
    let mut world = World::new();
    assert!(!world.answers([10, 9, 1, 7]));
    world.change(&[(true, block([10, 9, 1, 0], 24)), (true, block([10, 9, 2, 4], 31))]);
    for ip in [[10, 9, 1, 0], [10, 9, 1, 7], [10, 9, 1, 255], [10, 9, 2, 4], [10, 9, 2, 5]] {
        world.serves(ip);
    }
    assert!(!world.answers([10, 9, 2, 6]));
    let mut found = world.right.route.local_routes(PROTOCOL).unwrap();
    found.sort_unstable();
    assert_eq!(found, [block([10, 9, 1, 0], 24), block([10, 9, 2, 4], 31)]);
    assert_eq!(world.right.route.local_routes(PROTOCOL + 1).unwrap(), []);
    // A part of it stays while the whole goes.
    world.change(&[(true, block([10, 9, 1, 128], 25)), (false, block([10, 9, 1, 0], 24))]);
    world.serves([10, 9, 1, 128]);
    assert!(!world.answers([10, 9, 1, 127]));
    // Another's of the same block is another route.
    let other = LocalRoute { metric: 8, ..block([10, 9, 1, 128], 25) };
    world.change(&[(true, other), (false, block([10, 9, 1, 128], 25))]);
    world.serves([10, 9, 1, 128]);
    assert!(world.right.route.local_routes(PROTOCOL).unwrap().contains(&other));
    let (mut left, echo) = (world.left, world.echo);
    assert_eq!(echo.local_addr().unwrap().port(), PORT);
    assert_eq!(left.route.local_routes(PROTOCOL).unwrap(), []);
}

fn acknowledged() {
    let mut world = World::new();
    let (one, other) = (block([10, 9, 1, 0], 24), block([10, 9, 2, 0], 24));
    let sequences = [
        world.queue.push_route(one),
        world.queue.push_route_removal(other),
        world.queue.push_route(one),
        world.queue.push_route_removal(one),
    ];
    world.queue.flush().unwrap();
    let mut answers = vec![];
    while let Some(answer) = world.queue.poll().unwrap() {
        answers.push(answer);
    }
    assert_eq!(answers.iter().map(|a| a.sequence).collect::<Vec<_>>(), sequences);
    let error = answers.remove(1).outcome.unwrap_err();
    assert_eq!(error.errno(), Some(libc::ESRCH));
    assert_eq!(error.operation(), "remove local route 10.9.2.0/24 from lo");
    assert!(answers.iter().all(|answer| answer.outcome.is_ok()), "{answers:?}");
    assert_eq!(world.right.route.local_routes(PROTOCOL).unwrap(), []);
}

fn untouched() {
    let namespace = NetNamespace::create().unwrap();
    assert_eq!(route_in(&namespace).local_routes(PROTOCOL).unwrap(), []);
}

fn told() {
    let mut world = World::new();
    let mut monitor = world.right.run(|| Monitor::open(true)).unwrap();
    let route = block([10, 9, 1, 0], 24);
    world.change(&[(true, route), (false, route)]);
    let event = eventually("news", || monitor.poll().unwrap());
    assert_eq!(event, Event::LocalRouteRemoved(route));
    assert_eq!(monitor.poll().unwrap(), None);
    // A removed address takes a route of the kernel's own along, of which nothing is told.
    let (ifindex, ip) = (world.right.ifindex, [10, 9, 255, 253].into());
    world.right.route.remove_address(ifindex, ip, 16).unwrap();
    eventually("news of the address", || {
        let event = monitor.poll().unwrap()?;
        assert!(!matches!(event, Event::LocalRouteRemoved(_)), "{event:?}");
        matches!(event, Event::AddressRemoved(_)).then_some(())
    });
}

fn sign_of_life() {
    let mut world = World::new();
    assert!(world.right.run(Support::probe).unwrap().covers_routes());
    let mut guard = world.guard(Leftover::Replace);
    world.change(&[(true, block([10, 9, 1, 0], 24)), (true, block([10, 9, 2, 0], 24))]);
    let left = |world: &World| world.right.run(|| Guard::sign_left(NAME)).unwrap();
    assert!(!world.answers([10, 9, 1, 0]) && !world.answers([10, 9, 1, 255]));
    assert_eq!(left(&world), None);
    // What is not in the set is nobody's business.
    world.serves([10, 9, 2, 1]);
    for ip in [[10, 9, 1, 0], [10, 9, 1, 255]] {
        eventually("an answer", || {
            guard.sign_life(Duration::from_millis(600)).unwrap();
            world.answers(ip).then_some(())
        });
    }
    let end = boottime_ns() + 600_000_000;
    let signed = left(&world);
    assert!(signed.is_some_and(|left| left <= Duration::from_millis(600)), "{signed:?}");
    eventually("it ends", || {
        let asked = boottime_ns();
        let answered = world.answers([10, 9, 1, 9]);
        // A tick, of at most 10 ms.
        assert!(!answered || asked < end + 20_000_000, "{} ns too late", asked - end);
        (!answered).then_some(())
    });
    assert_eq!(left(&world), None);
    // Renewed for longer than it lives, it stays.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(900) {
        eventually("an answer", || {
            guard.sign_life(Duration::from_millis(600)).unwrap();
            world.answers([10, 9, 1, 9]).then_some(())
        });
    }
    // Others from now on, and none at all.
    guard.route(&[Ipv4Addr::new(10, 9, 2, 1)]).unwrap();
    eventually("it ends", || (!world.answers([10, 9, 2, 1])).then_some(()));
    world.serves([10, 9, 1, 9]);
    world.serves([10, 9, 2, 2]);
    guard.route(&[]).unwrap();
    world.serves([10, 9, 2, 1]);
    guard.remove().unwrap();
    world.serves([10, 9, 1, 9]);
}

fn restart() {
    let mut world = World::new();
    world.change(&[(true, block([10, 9, 1, 0], 24))]);
    let mut guard = world.guard(Leftover::Replace);
    guard.sign_life(Duration::from_mins(1)).unwrap();
    drop(guard);
    let guard = world.guard(Leftover::KeepHeld);
    world.serves([10, 9, 1, 9]);
    drop(guard);
    let guard = world.guard(Leftover::Replace);
    assert!(!world.answers([10, 9, 1, 9]));
    drop(guard);
    // A run that holds nothing as routes has rules for none.
    let mut guard =
        world.right.run(|| Guard::install::<IpAddr>(NAME, &[], Leftover::KeepHeld)).unwrap();
    world.serves([10, 9, 1, 9]);
    guard.route(&World::routed()).unwrap();
    assert!(!world.answers([10, 9, 1, 9]));
    guard.remove().unwrap();
    let fresh = world.right.run(|| Guard::install::<IpAddr>(NAME, &[], Leftover::Replace));
    let error = fresh.unwrap().sign_life(Duration::from_secs(1)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENOENT), "{error}");
    // Without routes, and without tables.
    for _ in 0..2 {
        assert_eq!(world.right.run(|| Guard::sign_left(NAME)).unwrap(), None);
        let _ = world.right.run(|| Guard::remove_named(NAME));
    }
}

/// What a claim and a renewal of 10 000 addresses cost, as routes and one by one.
fn ten_thousand() {
    const COUNT: u32 = 10_000;
    let mut world = World::new();
    let first = u32::from(Ipv4Addr::new(10, 9, 0, 0));
    let all: Vec<Ipv4Addr> = (first..first + COUNT).map(Ipv4Addr::from).collect();
    let managed: Vec<IpAddr> = all.iter().map(|ip| (*ip).into()).collect();
    let timed = |what: &str, work: &mut dyn FnMut()| {
        let begun = Instant::now();
        work();
        let took = begun.elapsed();
        println!("  {what}: {took:?}");
        took
    };
    let mut guard =
        world.right.run(|| Guard::install_routed(NAME, &managed, &all, Leftover::Replace)).unwrap();
    let each = timed("a lease of each of 10 000", &mut || {
        eventually("a renewal in time", || {
            guard.renew(&managed, boottime_ns() + 5_000_000_000).ok()
        });
    });
    let one = timed("one sign of life", &mut || {
        guard.sign_life(Duration::from_secs(2)).unwrap();
    });
    assert!(one * 10 < each, "{one:?}, {each:?}");
    timed("10 000 as other ranges", &mut || guard.route(&all[1..]).unwrap());
    // 10 000 in a row are five blocks: 8192 + 1024 + 512 + 256 + 16.
    let (mut blocks, mut at) = (vec![], first);
    for prefix in [19, 22, 23, 24, 28] {
        blocks.push((true, block(at.to_be_bytes(), prefix)));
        at += 1 << (32 - prefix);
    }
    assert_eq!(at, first + COUNT);
    timed("10 000 as five routes", &mut || world.change(&blocks));
    world.serves([10, 9, 0, 1]);
    world.serves([10, 9, 39, 15]);
    let single = |ip: &Ipv4Addr| (true, block(ip.octets(), 32));
    let singles: Vec<_> = all.iter().map(single).collect();
    timed("10 000 as a route each", &mut || world.change(&singles));
}
