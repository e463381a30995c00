//! Addresses: labels, origin, lifetimes, and the queue that does not wait.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use standin_sys::netlink::{Acknowledgement, AddressSpec, RouteQueue, RouteSocket};

use crate::Case;
use crate::world::{Host, eventually, wire};

pub const CASES: &[Case] = &[
    ("label and origin show in a dump", label_and_origin),
    ("IPv6 without duplicate address detection", ipv6_at_once),
    ("an address dies unless it is renewed", lifetime),
    ("address errors name address and interface", errors),
    ("a queue acknowledges in order", queue),
    ("a queue that overran tells so and goes on", queue_overrun),
    ("a large batch loses no acknowledgement", large_batch),
];

const ORIGIN: u8 = 0x5d;

fn vip(host: &Host) -> AddressSpec {
    AddressSpec {
        label: Some("eth0:brain".into()),
        proto: Some(ORIGIN),
        no_dad: true,
        valid_lft_s: Some(2),
        ..AddressSpec::new(host.ifindex, [10, 0, 0, 100].into(), 32)
    }
}

fn has(route: &mut RouteSocket, ip: IpAddr) -> bool {
    route.addresses().unwrap().iter().any(|address| address.ip == ip)
}

fn label_and_origin() {
    let (mut left, _right) = wire();
    let spec = vip(&left);
    left.route.add_address(&spec).unwrap();
    let found = left.route.addresses().unwrap();
    let address = found.iter().find(|address| address.ip == spec.ip).unwrap();
    assert_eq!((address.ifindex, address.prefix), (left.ifindex, 32));
    assert_eq!(address.label.as_deref(), Some("eth0:brain"));
    assert_eq!((address.proto, address.scope), (Some(ORIGIN), 0));
    assert!(matches!(address.valid_lft_s, Some(1..=2)), "{address:?}");
    let plain = found.iter().find(|address| address.ip == left.ip).unwrap();
    assert_eq!((plain.valid_lft_s, plain.prefix), (None, 24));
    assert_ne!(plain.proto, Some(ORIGIN));
}

fn ipv6_at_once() {
    let (mut left, _right) = wire();
    let ip: IpAddr = "fd00::100".parse().unwrap();
    let spec = AddressSpec {
        proto: Some(ORIGIN),
        no_dad: true,
        valid_lft_s: Some(2),
        preferred_lft_s: Some(0),
        ..AddressSpec::new(left.ifindex, ip, 128)
    };
    left.route.replace_address(&spec).unwrap();
    left.route.replace_address(&spec).unwrap();
    let found = left.route.addresses().unwrap();
    let address = found.iter().find(|address| address.ip == ip).unwrap();
    assert!(!address.is_tentative() && !address.is_duplicate(), "{address:?}");
    assert_eq!((address.proto, address.preferred_lft_s), (Some(ORIGIN), Some(0)));
    left.route.remove_address(left.ifindex, ip, 128).unwrap();
    assert!(!has(&mut left.route, ip));
}

fn lifetime() {
    let (mut left, _right) = wire();
    let spec = vip(&left);
    let start = Instant::now();
    // Renewed for longer than it lives, it stays.
    while start.elapsed() < Duration::from_millis(2600) {
        left.route.replace_address(&spec).unwrap();
        assert!(has(&mut left.route, spec.ip));
        std::thread::sleep(Duration::from_millis(400));
    }
    let renewed = Instant::now();
    left.route.replace_address(&spec).unwrap();
    eventually("the kernel removes it", || (!has(&mut left.route, spec.ip)).then_some(()));
    let lived = renewed.elapsed();
    assert!(
        (Duration::from_millis(1900)..Duration::from_millis(3500)).contains(&lived),
        "{lived:?}"
    );
}

fn errors() {
    let (mut left, _right) = wire();
    let spec = AddressSpec::new(left.ifindex, left.ip, 24);
    let error = left.route.add_address(&spec).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EEXIST));
    assert!(error.to_string().starts_with("add 10.0.0.1/24 to eth0: File exists"), "{error}");
    let error = left.route.remove_address(left.ifindex, [10, 0, 0, 9].into(), 32).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EADDRNOTAVAIL));
    assert!(error.to_string().starts_with("remove 10.0.0.9/32 from eth0: "), "{error}");
    let error = left.route.add_address(&AddressSpec::new(4711, left.ip, 24)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENODEV));
    let spec = AddressSpec { valid_lft_s: Some(0), ..vip(&left) };
    assert_eq!(left.route.add_address(&spec).unwrap_err().errno(), Some(libc::EINVAL));
}

fn drain(queue: &mut RouteQueue) -> Vec<Acknowledgement> {
    let mut answers = vec![];
    while queue.unanswered() > 0 || answers.is_empty() {
        match queue.poll().unwrap() {
            Some(answer) => answers.push(answer),
            None => break,
        }
    }
    while let Some(answer) = queue.poll().unwrap() {
        answers.push(answer);
    }
    answers
}

fn queue() {
    let (mut left, _right) = wire();
    let mut queue = left.run(RouteQueue::open).unwrap();
    let spec = vip(&left);
    let added = queue.push_replace(&spec).unwrap();
    let refused = queue.push_removal(left.ifindex, [10, 0, 0, 9].into(), 32);
    let renewed = queue.push_replace(&spec).unwrap();
    assert!(!has(&mut left.route, spec.ip));
    queue.flush().unwrap();
    assert!(has(&mut left.route, spec.ip));
    let answers = drain(&mut queue);
    let order: Vec<u32> = answers.iter().map(|answer| answer.sequence).collect();
    assert_eq!(order, [added, refused, renewed]);
    assert!(answers[0].outcome.is_ok() && answers[2].outcome.is_ok());
    let error = answers[1].outcome.as_ref().unwrap_err();
    assert_eq!(error.errno(), Some(libc::EADDRNOTAVAIL));
    assert_eq!(error.operation(), "remove 10.0.0.9/32 from eth0");
    queue.push_removal(4711, spec.ip, 32);
    queue.flush().unwrap();
    let error = drain(&mut queue).remove(0).outcome.unwrap_err();
    assert_eq!(error.operation(), "remove 10.0.0.100/32 from interface 4711");
    queue.push_removal(left.ifindex, spec.ip, 32);
    queue.flush().unwrap();
    assert_eq!(drain(&mut queue).len(), 1);
    assert!(!has(&mut left.route, spec.ip));
    let spec = AddressSpec { label: Some("longer than the kernel".into()), ..spec };
    assert!(queue.push_replace(&spec).is_err());
    assert_eq!(queue.unanswered(), 0);
}

fn queue_overrun() {
    let (mut left, _right) = wire();
    let mut queue = left.run(RouteQueue::open).unwrap();
    // The kernel takes its least instead, which holds a few acknowledgements.
    rustix::net::sockopt::set_socket_recv_buffer_size(&queue, 1).unwrap();
    let spec = |number| AddressSpec::new(left.ifindex, [10, 8, 0, number].into(), 32);
    for number in 1..=100 {
        queue.push_replace(&spec(number)).unwrap();
    }
    let error = queue.flush().unwrap_err();
    assert!(error.is_overrun(), "{error}");
    assert_eq!(queue.unanswered(), 0);
    // What arrived before is about requests that are forgotten.
    assert!(queue.poll().unwrap().is_none());
    // The kernel made the changes all the same: the addresses have to be read again.
    assert!(has(&mut left.route, spec(1).ip) && has(&mut left.route, spec(100).ip));
    let sequence = queue.push_removal(left.ifindex, spec(1).ip, 32);
    queue.flush().unwrap();
    let answers = drain(&mut queue);
    assert_eq!((answers.len(), answers[0].sequence), (1, sequence));
    assert!(answers[0].outcome.is_ok());
    assert!(!has(&mut left.route, spec(1).ip));
}

fn large_batch() {
    const COUNT: u32 = 1000;
    let (mut left, _right) = wire();
    let mut queue = left.run(RouteQueue::open).unwrap();
    let first = u32::from(std::net::Ipv4Addr::new(10, 7, 0, 1));
    for number in 0..COUNT {
        let ip = std::net::Ipv4Addr::from(first + number);
        queue.push_replace(&AddressSpec::new(left.ifindex, ip.into(), 32)).unwrap();
    }
    queue.flush().unwrap();
    let answers = drain(&mut queue);
    assert_eq!(answers.len(), COUNT as usize);
    assert!(answers.iter().all(|answer| answer.outcome.is_ok()));
    // Its dump is larger than any one datagram.
    assert!(left.route.addresses().unwrap().len() >= COUNT as usize);
}
