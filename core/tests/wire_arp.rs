//! ARP against literal bytes, against an independent parser, and against what is not ARP.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use standin_core::wire::arp::{self, ArpPacket, Operation};
use standin_core::wire::{EthernetHeader, Mac, Malformed};

const MAC: Mac = Mac([0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc]);
const OTHER: Mac = Mac([0x52, 0x54, 0x00, 0x11, 0x22, 0x33]);
const VIP: Ipv4Addr = Ipv4Addr::new(208, 201, 239, 37);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(208, 201, 239, 1);

#[rustfmt::skip]
const PROBE: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
    0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0xc9, 0xef, 0x25,
];

#[rustfmt::skip]
const GRATUITOUS_REQUEST: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
    0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0xd0, 0xc9, 0xef, 0x25,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0xc9, 0xef, 0x25,
];

#[rustfmt::skip]
const GRATUITOUS_REPLY: [u8; 42] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02,
    0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0xd0, 0xc9, 0xef, 0x25,
    0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0xd0, 0xc9, 0xef, 0x25,
];

#[rustfmt::skip]
const REQUEST: [u8; 42] = [
    0x52, 0x54, 0x00, 0x11, 0x22, 0x33, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x08, 0x06,
    0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
    0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0xd0, 0xc9, 0xef, 0x25,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xd0, 0xc9, 0xef, 0x01,
];

fn header(destination: Mac) -> EthernetHeader {
    EthernetHeader { destination, source: MAC, ethertype: 0x0806 }
}

#[test]
fn each_form_has_its_bytes() {
    for (packet, destination, bytes) in [
        (ArpPacket::probe(MAC, VIP), Mac::BROADCAST, PROBE),
        (ArpPacket::gratuitous_request(MAC, VIP), Mac::BROADCAST, GRATUITOUS_REQUEST),
        (ArpPacket::gratuitous_reply(MAC, VIP), Mac::BROADCAST, GRATUITOUS_REPLY),
        (ArpPacket::request(MAC, VIP, GATEWAY), OTHER, REQUEST),
    ] {
        assert_eq!(*packet.encode(MAC, destination), bytes);
        assert_eq!(arp::parse(&bytes), Ok((header(destination), packet)));
    }
}

#[test]
fn each_form_is_what_it_is_called() {
    let answer = ArpPacket {
        operation: Operation::Reply,
        sender_mac: MAC,
        sender_ip: VIP,
        target_mac: OTHER,
        target_ip: GATEWAY,
    };
    // RFC 5227's probe of an address; a reply from 0.0.0.0 asks for nothing.
    let silent = ArpPacket { operation: Operation::Reply, ..ArpPacket::probe(MAC, VIP) };
    // Nothing is asked for and nothing claimed, though sender and target are the same.
    let empty = ArpPacket::request(MAC, Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED);
    for (packet, probe, announcement) in [
        (ArpPacket::probe(MAC, VIP), true, false),
        (ArpPacket::gratuitous_request(MAC, VIP), false, true),
        (ArpPacket::gratuitous_reply(MAC, VIP), false, true),
        (ArpPacket::request(MAC, VIP, GATEWAY), false, false),
        (answer, false, false),
        (silent, false, false),
        (empty, true, false),
    ] {
        assert_eq!((packet.is_probe(), packet.is_announcement()), (probe, announcement));
    }
}

#[test]
fn padding_is_ignored() {
    let mut padded = PROBE.to_vec();
    padded.resize(60, 0xee);
    assert_eq!(arp::parse(&padded), arp::parse(&PROBE));
}

#[test]
fn a_cut_frame_is_truncated() {
    for length in 0..42 {
        assert_eq!(arp::parse(&PROBE[..length]), Err(Malformed::Truncated), "{length}");
    }
}

#[test]
fn every_fixed_field_has_its_own_reason() {
    for (offset, bytes, reason) in [
        (12, [0x86, 0xdd], Malformed::Ethertype),
        (12, [0x81, 0x00], Malformed::Ethertype),
        (12, [0x00, 0x1c], Malformed::Ethertype),
        (14, [0x00, 0x06], Malformed::ArpHardware),
        (16, [0x86, 0xdd], Malformed::ArpProtocol),
        (18, [0x08, 0x04], Malformed::ArpHardware),
        (18, [0x00, 0x04], Malformed::ArpHardware),
        (18, [0x06, 0x10], Malformed::ArpProtocol),
        (20, [0x00, 0x00], Malformed::ArpOperation),
        (20, [0x00, 0x03], Malformed::ArpOperation),
        (20, [0x01, 0x01], Malformed::ArpOperation),
    ] {
        let mut frame = PROBE;
        frame[offset..offset + 2].copy_from_slice(&bytes);
        assert_eq!(arp::parse(&frame), Err(reason), "{bytes:02x?} at {offset}");
    }
}

fn macs() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn packets() -> impl Strategy<Value = ArpPacket> {
    let operations = prop_oneof![Just(Operation::Request), Just(Operation::Reply)];
    (operations, macs(), any::<Ipv4Addr>(), macs(), any::<Ipv4Addr>()).prop_map(
        |(operation, sender_mac, sender_ip, target_mac, target_ip)| ArpPacket {
            operation,
            sender_mac,
            sender_ip,
            target_mac,
            target_ip,
        },
    )
}

proptest! {
    #[test]
    fn packets_round_trip(packet in packets(), source in macs(), destination in macs()) {
        let frame = packet.encode(source, destination);
        let header = EthernetHeader { destination, source, ethertype: 0x0806 };
        prop_assert_eq!(arp::parse(&frame), Ok((header, packet)));
    }

    #[test]
    fn an_independent_parser_reads_the_same(packet in packets()) {
        let frame = packet.encode(MAC, OTHER);
        let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::NetSlice::Arp(slice)) = sliced.net else {
            return Err(TestCaseError::fail("not ARP"));
        };
        let read = slice.to_packet().try_eth_ipv4().unwrap();
        let operation = match packet.operation {
            Operation::Request => etherparse::ArpOperation::REQUEST,
            Operation::Reply => etherparse::ArpOperation::REPLY,
        };
        prop_assert_eq!(read.operation, operation);
        prop_assert_eq!(read.sender_mac, packet.sender_mac.0);
        prop_assert_eq!(read.sender_ipv4, packet.sender_ip.octets());
        prop_assert_eq!(read.target_mac, packet.target_mac.0);
        prop_assert_eq!(read.target_ipv4, packet.target_ip.octets());
    }
}
