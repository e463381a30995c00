//! Namespaces: what is inside, who follows whom, and that children can be put there.

use std::process::Command;

use standin_sys::netlink::RouteSocket;
use standin_sys::netns::{self, NetNamespace};
use standin_sys::sysctl;

use crate::Case;
use crate::world::route_in;

pub const CASES: &[Case] = &[
    ("a new namespace has only lo, up", only_loopback),
    ("the caller stays where it is", caller_stays),
    ("sysctls follow the thread", sysctls_follow_the_thread),
    ("a child starts inside", child_inside),
    ("a panic inside reaches the caller", panic_reaches_the_caller),
];

fn only_loopback() {
    let namespace = NetNamespace::create().unwrap();
    let links = route_in(&namespace).links().unwrap();
    assert_eq!(links.len(), 1);
    assert!(links[0].name == "lo" && links[0].loopback && links[0].up);
    assert_eq!(links[0].index, netns::LOOPBACK_INDEX);
}

fn caller_stays() {
    let namespace = NetNamespace::create().unwrap();
    let mut inside = route_in(&namespace);
    inside.create_bridge("only-inside", true).unwrap();
    assert!(inside.link_by_name("only-inside").is_ok());
    let error = RouteSocket::open().unwrap().link_by_name("only-inside").unwrap_err();
    assert_eq!(error.to_string(), "look up interface only-inside: No such device");
}

fn sysctls_follow_the_thread() {
    let (one, other) = (NetNamespace::create().unwrap(), NetNamespace::create().unwrap());
    let key = sysctl::interface_key(4, "lo", "arp_ignore");
    one.run(|| sysctl::write(&key, "1")).unwrap().unwrap();
    assert_eq!(one.run(|| sysctl::read_number(&key)).unwrap().unwrap(), 1);
    assert_eq!(other.run(|| sysctl::read_number(&key)).unwrap().unwrap(), 0);
    let error = one.run(|| sysctl::write("net/ipv4/ip_forward", "seven")).unwrap().unwrap_err();
    assert!(error.to_string().starts_with("set sysctl net/ipv4/ip_forward to seven: "));
}

fn child_inside() {
    let namespace = NetNamespace::create().unwrap();
    let key = sysctl::interface_key(4, "lo", "arp_ignore");
    namespace.run(|| sysctl::write(&key, "2")).unwrap().unwrap();
    let mut command = Command::new("cat");
    command.arg("/proc/sys/net/ipv4/conf/lo/arp_ignore").stdout(std::process::Stdio::piped());
    let child = netns::spawn_in(&namespace, &mut command).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"2\n");
    let error = netns::spawn_in(&namespace, &mut Command::new("/no/such/program")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "start /no/such/program in a network namespace: No such file or directory"
    );
}

fn panic_reaches_the_caller() {
    let namespace = NetNamespace::create().unwrap();
    let outcome = std::panic::catch_unwind(|| namespace.run(|| std::panic::panic_any(7)));
    assert_eq!(outcome.unwrap_err().downcast_ref::<i32>(), Some(&7));
}
