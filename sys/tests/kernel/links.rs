//! Links, routes and neighbours through real namespaces.

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd;

use standin_sys::netlink::{AddressSpec, Neighbour, RouteKind, RouteSpec};
use standin_sys::netns::NetNamespace;

use crate::Case;
use crate::world::{eventually, route_in, running, wire};

pub const CASES: &[Case] = &[
    ("a bridge joins two namespaces", bridge),
    ("links are renamed, moved and deleted", changes),
    ("macvlan and VLAN", stacked),
    ("what cannot be done is said", refusals),
    ("the kernel's way to a destination", route_lookup),
    ("default gateways", gateways),
    ("neighbours are learned, looked up and flushed", neighbours),
];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn bridge() {
    let switch = NetNamespace::create().unwrap();
    let mut middle = route_in(&switch);
    let bridge = middle.create_bridge("br0", false).unwrap();
    middle.set_link_up(bridge, true).unwrap();
    let mut ends = vec![];
    for number in 1..=2 {
        let namespace = NetNamespace::create().unwrap();
        let name = format!("port{number}");
        let port = middle.create_veth(&name, "eth0", Some(namespace.as_fd())).unwrap();
        middle.set_link_master(port, Some(bridge)).unwrap();
        middle.set_link_up(port, true).unwrap();
        let mut route = route_in(&namespace);
        let link = route.link_by_name("eth0").unwrap();
        assert_eq!((link.driver_kind.as_deref(), link.running), (Some("veth"), false));
        let address = IpAddr::from([10, 1, 0, number]);
        route.add_address(&AddressSpec::new(link.index, address, 24)).unwrap();
        route.set_link_up(link.index, true).unwrap();
        assert_eq!(middle.link(port).unwrap().master, Some(bridge));
        running(&mut route, link.index);
        ends.push((namespace, address));
    }
    running(&mut middle, bridge);
    let server = ends[1].0.run(|| UdpSocket::bind((ends[1].1, 7))).unwrap().unwrap();
    let client = ends[0].0.run(|| UdpSocket::bind((ends[0].1, 0))).unwrap().unwrap();
    server.set_nonblocking(true).unwrap();
    client.send_to(b"across", (ends[1].1, 7)).unwrap();
    let mut buffer = [0; 16];
    let length = eventually("the datagram crosses", || server.recv(&mut buffer).ok());
    assert_eq!(&buffer[..length], b"across");
}

fn changes() {
    let (one, other) = (NetNamespace::create().unwrap(), NetNamespace::create().unwrap());
    let (mut route, mut far) = (route_in(&one), route_in(&other));
    let index = route.create_veth("a", "b", None).unwrap();
    route.rename_link(index, "c").unwrap();
    route.set_link_mac(index, [2, 0, 0, 0, 0, 7]).unwrap();
    route.set_link_mtu(index, 1400).unwrap();
    let link = route.link_by_name("c").unwrap();
    assert_eq!((link.mac, link.mtu, link.up), (Some([2, 0, 0, 0, 0, 7]), 1400, false));
    route.move_link(index, other.as_fd()).unwrap();
    assert_eq!(route.link_by_name("c").unwrap_err().errno(), Some(libc::ENODEV));
    let moved = far.link_by_name("c").unwrap();
    far.delete_link(moved.index).unwrap();
    // A veth goes with its other end.
    assert_eq!(route.links().unwrap().len(), 1);
    assert_eq!(far.links().unwrap().len(), 1);
}

fn stacked() {
    let mut route = route_in(&NetNamespace::create().unwrap());
    let parent = route.create_veth("a", "b", None).unwrap();
    let macvlan = route.create_macvlan("m", parent).unwrap();
    assert_eq!(route.link(macvlan).unwrap().driver_kind.as_deref(), Some("macvlan"));
    // A kernel may be built without VLANs; then it has to be said in the kernel's words.
    match route.create_vlan("a.5", parent, 5) {
        Ok(vlan) => assert_eq!(route.link(vlan).unwrap().driver_kind.as_deref(), Some("vlan")),
        Err(error) => {
            assert_eq!(error.operation(), "create VLAN 5 as a.5 on a");
            assert_eq!(error.explanation(), Some("Unknown device type"), "{error}");
        }
    }
}

fn refusals() {
    let mut route = route_in(&NetNamespace::create().unwrap());
    route.create_veth("a", "b", None).unwrap();
    let error = route.create_veth("a", "x", None).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EEXIST));
    assert!(error.to_string().starts_with("create veth a with x: File exists"), "{error}");
    let error = route.set_link_up(4711, true).unwrap_err();
    assert_eq!(error.to_string(), "set interface 4711 up: No such device");
    let error = route.create_bridge("a-name-of-17-byte", true).unwrap_err();
    assert_eq!(error.explanation(), Some("the name is longer than 15 bytes"));
    let error = route.add_route(&RouteSpec::default_via(ip("10.9.9.9"))).unwrap_err();
    // The kernel's own sentence comes through.
    assert!(error.explanation().unwrap().contains("gateway"), "{error}");
    assert!(error.to_string().starts_with("add route 0.0.0.0/0 via 10.9.9.9: "), "{error}");
}

fn route_lookup() {
    let (mut left, right) = wire();
    running(&mut left.route, left.ifindex);
    let direct = left.route.route_to(right.ip, None).unwrap();
    assert_eq!((direct.kind, direct.ifindex()), (RouteKind::Unicast, Some(left.ifindex)));
    assert_eq!((direct.gateway(), direct.preferred_source), (None, Some(left.ip)));
    let own = left.route.route_to(left.ip, None).unwrap();
    assert_eq!(own.kind, RouteKind::Local);
    let error = left.route.route_to(ip("192.0.2.1"), None).unwrap_err();
    assert_eq!(error.to_string(), "look up the route to 192.0.2.1: Network is unreachable");
    left.route.add_route(&RouteSpec::default_via(right.ip)).unwrap();
    let far = left.route.route_to(ip("192.0.2.1"), None).unwrap();
    assert_eq!((far.gateway(), far.table), (Some(right.ip), 254));
    let through = left.route.route_to(ip("192.0.2.1"), Some(left.ifindex)).unwrap();
    assert_eq!(through.ifindex(), Some(left.ifindex));
    left.route.add_address(&AddressSpec::new(left.ifindex, ip("fd00::1"), 64)).unwrap();
    let six = left.route.route_to(ip("fd00::9"), None).unwrap();
    assert_eq!((six.kind, six.ifindex()), (RouteKind::Unicast, Some(left.ifindex)));
    assert_eq!((six.gateway(), six.table), (None, 254));
}

fn gateways() {
    let (mut left, right) = wire();
    running(&mut left.route, left.ifindex);
    left.route.add_address(&AddressSpec::new(left.ifindex, ip("fd00::1"), 64)).unwrap();
    assert!(left.route.default_gateways(left.ifindex).unwrap().is_empty());
    let six = RouteSpec { ifindex: Some(left.ifindex), ..RouteSpec::default_via(ip("fd00::9")) };
    let late = RouteSpec { metric: Some(900), ..RouteSpec::default_via(ip("10.0.0.77")) };
    left.route.add_route(&late).unwrap();
    left.route.add_route(&RouteSpec::default_via(right.ip)).unwrap();
    left.route.add_route(&six).unwrap();
    let found = left.route.default_gateways(left.ifindex).unwrap();
    assert_eq!(found.len(), 3);
    assert_eq!(found[0], right.ip);
    assert!(found.contains(&ip("fd00::9")));
    left.route.remove_route(&six).unwrap();
    left.route.remove_route(&late).unwrap();
    assert_eq!(left.route.default_gateways(left.ifindex).unwrap(), [right.ip]);
    assert_eq!(left.route.remove_route(&late).unwrap_err().errno(), Some(libc::ESRCH));
}

fn neighbours() {
    let (mut left, right) = wire();
    running(&mut left.route, left.ifindex);
    assert_eq!(left.route.neighbour(left.ifindex, right.ip).unwrap(), None);
    let socket = left.run(|| UdpSocket::bind((left.ip, 0))).unwrap();
    socket.send_to(b"?", (right.ip, 9)).unwrap();
    let ifindex = left.ifindex;
    let entry = eventually("the neighbour answers", || {
        left.route.neighbour(ifindex, right.ip).unwrap().filter(Neighbour::is_usable)
    });
    assert_eq!((entry.mac, entry.ip), (Some(right.mac), right.ip));
    assert!(left.route.neighbours().unwrap().iter().any(|entry| entry.ip == right.ip));
    left.route.set_neighbour(ifindex, ip("10.0.0.9"), [2, 0, 0, 0, 0, 9], true).unwrap();
    left.route.flush_neighbours(ifindex).unwrap();
    assert_eq!(left.route.neighbour(ifindex, right.ip).unwrap(), None);
    assert!(left.route.neighbour(ifindex, ip("10.0.0.9")).unwrap().is_some());
    left.route.delete_neighbour(ifindex, ip("10.0.0.9")).unwrap();
    let error = left.route.delete_neighbour(ifindex, ip("10.0.0.9")).unwrap_err();
    assert!(error.to_string().starts_with("delete neighbour 10.0.0.9 on eth0: "), "{error}");
}
