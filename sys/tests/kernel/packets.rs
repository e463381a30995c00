//! Frames and echoes over a real wire between two namespaces.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, SystemTime};

use standin_sys::clock::Correspondence;
use standin_sys::icmp::IcmpSocket;
use standin_sys::netlink::AddressSpec;
use standin_sys::packet::{PacketSocket, PacketType, Received};
use standin_sys::poll::{Interest, Poller};

use crate::Case;
use crate::world::{Host, PATIENCE, eventually, running, wire};

pub const CASES: &[Case] = &[
    ("an ARP frame crosses and nothing else does", arp),
    ("ARP of a VLAN, or for another host, is not ours", foreign),
    ("a batch of frames arrives whole and in order", batch),
    ("solicitations for foreign groups are seen", ndp),
    ("a capture sees both directions with time stamps", capture),
    ("a frame larger than the buffer is cut and said to be", cut),
    ("a packet socket outlives its interface's downtime", downtime),
    ("frames that nobody reads are lost and counted", lost),
    ("packet socket errors name the interface", packet_errors),
    ("ICMP echo, IPv4", echo_v4),
    ("ICMP echo, IPv6 and link-local", echo_v6),
    ("ICMP errors", echo_errors),
];

const BROADCAST: [u8; 6] = [0xff; 6];

/// A broadcast ARP probe for `target`, from nobody.
fn arp_probe(source: [u8; 6], target: [u8; 4]) -> Vec<u8> {
    let mut frame = ethernet(BROADCAST, source, [8, 6]);
    frame.extend_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend_from_slice(&source);
    frame.extend_from_slice(&[0; 10]);
    frame.extend_from_slice(&target);
    frame
}

fn ethernet(to: [u8; 6], from: [u8; 6], ethertype: [u8; 2]) -> Vec<u8> {
    [&to[..], &from[..], &ethertype[..]].concat()
}

/// A wire whose both ends have a carrier.
fn live_wire() -> (Host, Host) {
    let (mut left, mut right) = wire();
    running(&mut left.route, left.ifindex);
    running(&mut right.route, right.ifindex);
    (left, right)
}

/// Waits with a poller, as the daemon does, and takes the next frame.
fn next_frame(socket: &PacketSocket) -> (Received, Vec<u8>) {
    let mut poller = Poller::new().unwrap();
    poller.add(socket, 1, Interest::Read).unwrap();
    let mut buffer = vec![0; 2048];
    eventually("a frame arrives", || {
        poller.wait(Some(PATIENCE)).unwrap().for_each(drop);
        socket.receive(&mut buffer).unwrap().map(|frame| (frame, buffer[..frame.length].to_vec()))
    })
}

fn arp() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    assert_eq!(listener.receive(&mut [0; 64]).unwrap(), None);
    // What is not ARP stays away, although it is sent first.
    sender.send(&[ethernet(BROADCAST, left.mac, [0x88, 0xb5]), vec![0; 46]].concat()).unwrap();
    let udp = left.run(|| UdpSocket::bind((left.ip, 0))).unwrap();
    udp.set_broadcast(true).unwrap();
    udp.send_to(b"noise", "10.0.0.255:9").unwrap();
    let probe = arp_probe(left.mac, [10, 0, 0, 100]);
    sender.send(&probe).unwrap();
    let (received, frame) = next_frame(&listener);
    assert_eq!(frame, probe);
    assert_eq!((received.packet_type, received.wire_length), (PacketType::Broadcast, probe.len()));
    assert_eq!(received.realtime_ns, None);
    // What a host sends itself is no news to it.
    let own = left.run(|| PacketSocket::arp(left.ifindex)).unwrap();
    own.send(&probe).unwrap();
    assert_eq!(next_frame(&listener).1, probe);
    assert_eq!(own.receive(&mut [0; 64]).unwrap(), None);
}

fn foreign() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let neighbours = right.run(|| PacketSocket::ndp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    let ours = arp_probe(left.mac, [10, 0, 0, 100]);
    let tagged = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
    let to_another = [&[2, 0, 0, 0, 0, 99][..], &ours[6..]].concat();
    let solicitation = icmpv6(left.mac, 78, 135);
    let foreign = icmpv6(left.mac, 79, 135);
    let frames = [&tagged(&ours), &to_another, &ours, &tagged(&foreign), &solicitation];
    sender.send_batch(&frames.map(Vec::as_slice)).unwrap();
    assert_eq!(next_frame(&listener).1, ours);
    assert_eq!(listener.receive(&mut [0; 64]).unwrap(), None);
    // The kernels' own solicitations are on the wire, too.
    let told = loop {
        let (_, frame) = next_frame(&neighbours);
        if [&foreign, &solicitation].contains(&&frame) {
            break frame;
        }
    };
    assert_eq!(told, solicitation);
}

fn batch() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::arp(left.ifindex)).unwrap();
    let frames: Vec<_> = (0..150).map(|n| arp_probe(left.mac, [10, 0, 1, n])).collect();
    let references: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    assert_eq!(sender.send_batch(&references).unwrap(), 150);
    assert_eq!(sender.send_batch(&[]).unwrap(), 0);
    for expected in &frames {
        assert_eq!(&next_frame(&listener).1, expected);
    }
}

/// An IPv6 frame with an ICMPv6 message that has only its type.
fn icmpv6(source: [u8; 6], group_end: u8, kind: u8) -> Vec<u8> {
    let mut frame = ethernet([0x33, 0x33, 0xff, 0, 1, group_end], source, [0x86, 0xdd]);
    frame.extend_from_slice(&[0x60, 0, 0, 0, 0, 24, 58, 255]);
    frame.extend_from_slice(&[0; 32]);
    frame.push(kind);
    frame.resize(frame.len() + 23, 0);
    frame
}

fn ndp() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::ndp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    // 134, a router advertisement, and 128, an echo request, are not wanted.
    let kinds = [134, 135, 128, 136];
    let frames = kinds.map(|kind| icmpv6(left.mac, 77, kind));
    sender.send_batch(&frames.each_ref().map(Vec::as_slice)).unwrap();
    let ours = |socket: &PacketSocket| loop {
        let (received, frame) = next_frame(socket);
        // The kernels' own solicitations are on the wire, too.
        if frame[..6] == frames[0][..6] {
            return (received.packet_type, frame);
        }
    };
    assert_eq!(ours(&listener), (PacketType::Multicast, frames[1].clone()));
    assert_eq!(ours(&listener), (PacketType::Multicast, frames[3].clone()));
}

fn capture() {
    let (left, right) = live_wire();
    let capture = left.run(|| PacketSocket::any(left.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    let answerer = right.run(|| PacketSocket::sender(right.ifindex)).unwrap();
    let before = SystemTime::now();
    let (out, back) = (arp_probe(left.mac, [10, 0, 0, 50]), arp_probe(right.mac, [10, 0, 0, 51]));
    sender.send(&out).unwrap();
    answerer.send(&back).unwrap();
    for (frame, expected) in [(&out, PacketType::Outgoing), (&back, PacketType::Broadcast)] {
        let received = loop {
            let (received, bytes) = next_frame(&capture);
            if &bytes == frame {
                break received;
            }
        };
        assert_eq!(received.packet_type, expected);
        let clocks = Correspondence::sample();
        let stamp = clocks.boottime_of(received.realtime_ns.unwrap());
        let age = clocks.system_time_of(stamp).duration_since(before).unwrap();
        assert!(age < Duration::from_secs(5), "{age:?}");
    }
}

fn cut() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let probe = arp_probe(left.mac, [10, 0, 0, 100]);
    left.run(|| PacketSocket::sender(left.ifindex)).unwrap().send(&probe).unwrap();
    let mut small = [0; 20];
    let received = eventually("the frame arrives", || listener.receive(&mut small).unwrap());
    assert_eq!((received.length, received.wire_length), (20, probe.len()));
    assert_eq!(small[..], probe[..20]);
}

fn downtime() {
    let (mut left, mut right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    right.route.set_link_up(right.ifindex, false).unwrap();
    let error = listener.receive(&mut [0; 64]).unwrap_err();
    assert_eq!(error.errno(), Some(libc::ENETDOWN));
    let probe = arp_probe(left.mac, [10, 0, 0, 100]);
    assert_eq!(listener.send(&probe).unwrap_err().errno(), Some(libc::ENETDOWN));
    right.route.set_link_up(right.ifindex, true).unwrap();
    running(&mut right.route, right.ifindex);
    running(&mut left.route, left.ifindex);
    sender.send(&probe).unwrap();
    assert_eq!(next_frame(&listener).1, probe);
}

fn lost() {
    let (left, right) = live_wire();
    let listener = right.run(|| PacketSocket::arp(right.ifindex)).unwrap();
    let sender = left.run(|| PacketSocket::sender(left.ifindex)).unwrap();
    let probe = arp_probe(left.mac, [10, 0, 0, 100]);
    sender.send(&probe).unwrap();
    assert_eq!(next_frame(&listener).1, probe);
    assert_eq!(listener.take_lost().unwrap(), 0);
    listener.make_room(20_000);
    // More than any queue holds.
    let many = vec![&probe[..]; 1000];
    let lost = eventually("some are lost", || {
        sender.send_batch(&many).unwrap();
        Some(listener.take_lost().unwrap()).filter(|lost| *lost > 0)
    });
    assert!(lost <= 1000, "{lost}");
    // They are counted once.
    assert_eq!(listener.take_lost().unwrap(), 0);
}

fn packet_errors() {
    let (left, _right) = live_wire();
    let error = left.run(|| PacketSocket::arp(4711)).unwrap_err();
    assert_eq!(error.to_string(), "open a packet socket for ARP on interface 4711: No such device");
    let socket = left.run(|| PacketSocket::arp(left.ifindex)).unwrap();
    let oversized = vec![0; 9000];
    let error = left.run(|| socket.send(&oversized)).unwrap_err();
    assert_eq!(error.to_string(), "send frames on eth0: Message too long");
}

/// An echo request; the checksum only where the kernel does not compute it (RFC 1071).
fn echo_request(kind: u8) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, 0x12, 0x34, 0, 1];
    message.extend_from_slice(b"are you there?!!");
    if kind == 8 {
        let words = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum: u32 = words.sum();
        let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    message
}

fn echoed(
    socket: &IcmpSocket,
    to: IpAddr,
    scope: Option<u32>,
    kind: u8,
) -> (IpAddr, Option<u32>, Vec<u8>) {
    let request = echo_request(kind);
    socket.send(to, scope, &request).unwrap();
    let mut buffer = [0; 512];
    let (from, via, reply) = eventually("an echo comes back", || {
        let reply = socket.receive(&mut buffer).unwrap()?;
        Some((reply.source, reply.scope, reply.message.to_vec()))
    });
    assert_eq!(reply[4..], request[4..]);
    (from, via, reply)
}

fn echo_v4() {
    let (left, right) = live_wire();
    let socket = left.run(|| IcmpSocket::for_address(right.ip)).unwrap();
    assert_eq!(socket.receive(&mut [0; 512]).unwrap(), None);
    let (from, via, reply) = echoed(&socket, right.ip, None, 8);
    assert_eq!((from, via, reply[0]), (right.ip, None, 0));
    // Requests do not pass the filter: our own host's answer is all that comes.
    assert_eq!(echoed(&socket, left.ip, None, 8).2[0], 0);
    let bound = left.run(IcmpSocket::v4).unwrap();
    bound.bind_to_device("eth0").unwrap();
    bound.bind_to_source(left.ip, None).unwrap();
    assert_eq!(echoed(&bound, right.ip, None, 8).0, right.ip);
}

fn echo_v6() {
    let (mut left, mut right) = live_wire();
    for (host, ip) in [(&mut left, "fd00::1"), (&mut right, "fd00::2")] {
        let spec = AddressSpec::new(host.ifindex, ip.parse().unwrap(), 64);
        host.route.add_address(&AddressSpec { no_dad: true, ..spec }).unwrap();
    }
    let socket = left.run(IcmpSocket::v6).unwrap();
    let far: IpAddr = "fd00::2".parse().unwrap();
    let (from, _, reply) = echoed(&socket, far, None, 128);
    assert_eq!((from, reply[0]), (far, 129));
    let link_local = |address: &standin_sys::netlink::Address| match address.ip {
        IpAddr::V6(ip) => ip.is_unicast_link_local() && !address.is_tentative(),
        IpAddr::V4(_) => false,
    };
    for host in [&mut left, &mut right] {
        eventually("a link-local address", || {
            host.route.addresses().unwrap().into_iter().find(link_local)
        });
    }
    let far = right.route.addresses().unwrap().into_iter().find(link_local).unwrap().ip;
    let (from, via, _) = echoed(&socket, far, Some(left.ifindex), 128);
    assert_eq!((from, via), (far, Some(left.ifindex)));
}

fn echo_errors() {
    let (left, _right) = live_wire();
    let socket = left.run(IcmpSocket::v4).unwrap();
    let error = socket.send("192.0.2.1".parse().unwrap(), None, &echo_request(8)).unwrap_err();
    assert_eq!(error.to_string(), "send ICMP to 192.0.2.1: Network is unreachable");
    let error = socket.send("fd00::2".parse().unwrap(), None, &echo_request(128)).unwrap_err();
    assert_eq!(error.errno(), Some(libc::EAFNOSUPPORT));
    let error = socket.bind_to_device("no-such-device").unwrap_err();
    assert_eq!(error.to_string(), "bind an ICMP socket to no-such-device: No such device");
    let foreign = "10.0.0.77".parse().unwrap();
    assert_eq!(
        socket.bind_to_source(foreign, None).unwrap_err().errno(),
        Some(libc::EADDRNOTAVAIL)
    );
}
