//! What a daemon needs besides packets: the kernel's announcements, its lock, its rights.

use standin_sys::capability::{Capabilities, Capability};
use standin_sys::instance::{InstanceLock, LockError};
use standin_sys::netlink::{AddressSpec, Event, Monitor, RouteQueue, RouteSpec};
use standin_sys::netns::NetNamespace;
use standin_sys::realtime;

use crate::Case;
use crate::world::{eventually, route_in, running, wire};

pub const CASES: &[Case] = &[
    ("the monitor tells what others change", monitor),
    ("the monitor leaves out what a queue adds, and only that", own_additions),
    ("bridge ports that leave are not links that go", bridge_ports),
    ("an overrun is told, and then it goes on", overrun),
    ("a lock is taken once per namespace", lock),
    ("rights inside a user namespace", rights),
    ("real-time set-up is refused with a reason", real_time),
];

fn monitor() {
    let (mut left, right) = wire();
    running(&mut left.route, left.ifindex);
    let mut monitor = left.run(|| Monitor::open(true)).unwrap();
    let mut until = |what: &str, wanted: &dyn Fn(&Event) -> bool| {
        eventually(what, || monitor.poll().unwrap().filter(wanted))
    };
    let spec = AddressSpec {
        valid_lft_s: Some(1),
        proto: Some(0x5d),
        ..AddressSpec::new(left.ifindex, [10, 0, 0, 100].into(), 32)
    };
    left.route.add_address(&spec).unwrap();
    let added = until("added", &|event| matches!(event, Event::AddressAdded(a) if a.ip == spec.ip));
    let Event::AddressAdded(added) = added else { unreachable!() };
    assert_eq!((added.proto, added.valid_lft_s, added.prefix), (Some(0x5d), Some(1), 32));
    // Nobody removes it: its lifetime ends.
    until("expired", &|event| matches!(event, Event::AddressRemoved(a) if a.ip == spec.ip));

    left.route.add_route(&RouteSpec::default_via(right.ip)).unwrap();
    until("the route", &|event| *event == Event::DefaultRouteChanged);

    let mut far = right.route;
    far.set_link_up(right.ifindex, false).unwrap();
    let index = left.ifindex;
    until(
        "carrier lost",
        &|event| matches!(event, Event::LinkChanged(link) if link.index == index && link.up && !link.running),
    );
    far.set_link_up(right.ifindex, true).unwrap();
    until(
        "carrier back",
        &|event| matches!(event, Event::LinkChanged(link) if link.index == index && link.running),
    );
    far.delete_link(right.ifindex).unwrap();
    until("gone", &|event| *event == Event::LinkGone(index, "eth0".into()));
}

fn own_additions() {
    let (mut left, _right) = wire();
    let (monitor, queue) = left.run(|| (Monitor::open(false), RouteQueue::open()));
    let (mut monitor, mut queue) = (monitor.unwrap(), queue.unwrap());
    monitor.leave_out_additions_of(&queue).unwrap();
    let own = AddressSpec::new(left.ifindex, [10, 0, 0, 100].into(), 32);
    let others = AddressSpec::new(left.ifindex, [10, 0, 0, 101].into(), 32);
    for _ in 0..2 {
        queue.push_replace(&own).unwrap();
        queue.flush().unwrap();
        queue.poll().unwrap().expect("an answer at once").outcome.unwrap();
    }
    left.route.add_address(&others).unwrap();
    queue.push_removal(left.ifindex, own.ip, 32);
    queue.flush().unwrap();
    let mut heard = || eventually("an announcement", || monitor.poll().unwrap());
    let first = heard();
    assert!(matches!(&first, Event::AddressAdded(a) if a.ip == others.ip), "{first:?}");
    let second = heard();
    assert!(matches!(&second, Event::AddressRemoved(a) if a.ip == own.ip), "{second:?}");
}

fn bridge_ports() {
    let namespace = NetNamespace::create().unwrap();
    let mut route = route_in(&namespace);
    let bridge = route.create_bridge("br0", true).unwrap();
    let port = route.create_veth("port", "other", None).unwrap();
    let mut monitor = namespace.run(|| Monitor::open(false)).unwrap().unwrap();
    route.set_link_master(port, Some(bridge)).unwrap();
    route.set_link_master(port, None).unwrap();
    route.rename_link(port, "last").unwrap();
    eventually("the last change", || {
        let event = monitor.poll().unwrap()?;
        assert!(!matches!(event, Event::LinkGone(..)), "{event:?}");
        matches!(event, Event::LinkChanged(link) if link.name == "last").then_some(())
    });
}

fn overrun() {
    let (mut left, _right) = wire();
    let mut monitor = left.run(|| Monitor::open(false)).unwrap();
    let spec = AddressSpec::new(left.ifindex, [10, 0, 0, 100].into(), 32);
    // Nobody reads: sooner or later no queue is long enough.
    for _ in 0..20_000 {
        left.route.replace_address(&spec).unwrap();
    }
    eventually("the overrun is told", || {
        monitor.poll().unwrap().filter(|event| *event == Event::Overrun)
    });
    while monitor.poll().unwrap().is_some() {}
    left.route.remove_address(left.ifindex, spec.ip, 32).unwrap();
    eventually("it goes on", || {
        monitor.poll().unwrap().filter(|event| matches!(event, Event::AddressRemoved(_)))
    });
}

fn lock() {
    let (one, other) = (NetNamespace::create().unwrap(), NetNamespace::create().unwrap());
    let acquire = |namespace: &NetNamespace| {
        namespace.run(|| InstanceLock::acquire("standin:10.0.0.100")).unwrap()
    };
    let held = acquire(&one).unwrap();
    let error = acquire(&one).unwrap_err();
    let LockError::Taken { holder, .. } = &error else { panic!("{error}") };
    assert_eq!(*holder, Some(std::process::id()));
    let pid = std::process::id();
    assert_eq!(error.to_string(), format!("lock standin:10.0.0.100: held by process {pid}"));
    acquire(&other).unwrap();
    drop(held);
    acquire(&one).unwrap();
}

fn rights() {
    let held = Capabilities::effective().unwrap();
    assert!(held.missing(&[Capability::NetAdmin, Capability::NetRaw]).is_empty());
}

fn real_time() {
    // In a user namespace CAP_SYS_NICE and CAP_IPC_LOCK count for nothing. On a thread of its
    // own, in case the host's limits allow it.
    std::thread::spawn(|| {
        if let Err(error) = realtime::set_fifo_priority(10) {
            assert_eq!(
                error.to_string(),
                "take real-time priority 10: Operation not permitted (needs CAP_SYS_NICE outside \
                 of any user namespace)"
            );
        }
        assert_eq!(realtime::set_fifo_priority(0).unwrap_err().errno(), Some(libc::EINVAL));
        if let Err(error) = realtime::lock_memory(realtime::Extent::All) {
            assert_eq!(error.errno(), Some(libc::EPERM));
            assert!(error.explanation().unwrap().contains("CAP_IPC_LOCK"));
        }
    })
    .join()
    .unwrap();
}
