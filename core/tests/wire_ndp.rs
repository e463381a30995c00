//! Neighbour discovery against literal bytes, against an independent parser, and against every
//! rule by which RFC 4861 has a receiver drop a message.

#![expect(clippy::unwrap_used, reason = "what a test builds is known to be right")]

use std::net::Ipv6Addr;

use proptest::prelude::*;
use standin_core::wire::checksum;
use standin_core::wire::ndp::{self, Advertisement, Message, Solicitation, solicited_node};
use standin_core::wire::{EthernetHeader, Mac, Malformed};

const MAC: Mac = Mac([0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc]);
const OTHER: Mac = Mac([0x52, 0x54, 0x00, 0x11, 0x22, 0x33]);
const VIP: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x37);
const GATEWAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

#[rustfmt::skip]
const PROBE: [u8; 78] = [
    0x33, 0x33, 0xff, 0x00, 0x00, 0x37, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x86, 0xdd,
    0x60, 0x00, 0x00, 0x00, 0x00, 0x18, 0x3a, 0xff,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x00, 0x00, 0x37,
    0x87, 0x00, 0x4c, 0x81, 0x00, 0x00, 0x00, 0x00,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x37,
];

#[rustfmt::skip]
const REQUEST: [u8; 86] = [
    0x33, 0x33, 0xff, 0x00, 0x00, 0x01, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x86, 0xdd,
    0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x37,
    0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0x00, 0x00, 0x01,
    0x87, 0x00, 0x0f, 0x29, 0x00, 0x00, 0x00, 0x00,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x01, 0x01, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc,
];

#[rustfmt::skip]
const UNSOLICITED: [u8; 86] = [
    0x33, 0x33, 0x00, 0x00, 0x00, 0x01, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc, 0x86, 0xdd,
    0x60, 0x00, 0x00, 0x00, 0x00, 0x20, 0x3a, 0xff,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x37,
    0xff, 0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x88, 0x00, 0xeb, 0xf4, 0x20, 0x00, 0x00, 0x00,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x37,
    0x02, 0x01, 0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc,
];

// Where the fields are.
const VERSION: usize = 14;
const PAYLOAD_LENGTH: usize = 18;
const NEXT_HEADER: usize = 20;
const HOP_LIMIT: usize = 21;
const SOURCE: usize = 22;
const DESTINATION: usize = 38;
const TYPE: usize = 54;
const CODE: usize = 55;
const CHECKSUM: usize = 56;
const FLAGS: usize = 58;
const TARGET: usize = 62;
const OPTION: usize = 78;

fn address(bytes: &[u8]) -> Ipv6Addr {
    Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap())
}

/// Makes payload length and checksum right again after a change of anything else, so that the
/// change alone is what a parser can object to.
fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(frame.len() - TYPE).unwrap();
    frame[PAYLOAD_LENGTH..NEXT_HEADER].copy_from_slice(&length.to_be_bytes());
    frame[CHECKSUM..FLAGS].fill(0);
    let source = address(&frame[SOURCE..DESTINATION]);
    let sum = checksum::icmpv6(source, address(&frame[DESTINATION..TYPE]), &frame[TYPE..]);
    frame[CHECKSUM..FLAGS].copy_from_slice(&sum.to_be_bytes());
    frame
}

fn changed(frame: &[u8], offset: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[offset..offset + bytes.len()].copy_from_slice(bytes);
    sealed(frame)
}

fn with_options(frame: &[u8], options: &[u8]) -> Vec<u8> {
    sealed([&frame[..OPTION], options].concat())
}

fn message(frame: &[u8]) -> Result<Message, Malformed> {
    ndp::parse(frame).map(|(_, message)| message)
}

fn refusal(frame: &[u8]) -> Malformed {
    ndp::parse(frame).unwrap_err()
}

#[test]
fn each_form_has_its_bytes() {
    for (message, bytes) in [
        (Message::Solicitation(Solicitation::probe(MAC, VIP)), PROBE.as_slice()),
        (Message::Solicitation(Solicitation::request(MAC, VIP, GATEWAY, None)), &REQUEST),
        (Message::Advertisement(Advertisement::unsolicited(MAC, VIP, false)), &UNSOLICITED),
    ] {
        assert_eq!(*message.encode(), *bytes);
        let (header, read) = ndp::parse(bytes).unwrap();
        assert_eq!(read, message);
        assert_eq!(header.source, MAC);
        assert_eq!(header.destination.0, bytes[..6]);
        assert_eq!(header.ethertype, 0x86dd);
    }
}

#[test]
fn a_known_station_is_asked_directly() {
    let solicitation = Solicitation::request(MAC, VIP, GATEWAY, Some(OTHER));
    assert_eq!(solicitation.link_destination, OTHER);
    assert_eq!(solicitation.destination, GATEWAY);
    assert_eq!(solicitation.source_mac, Some(MAC));
    assert_eq!(message(&solicitation.encode()), Ok(Message::Solicitation(solicitation)));
    assert!(!solicitation.is_probe());
    assert!(Solicitation::probe(MAC, VIP).is_probe());
}

#[test]
fn each_flag_has_its_bit() {
    let quiet =
        Advertisement { override_flag: false, ..Advertisement::unsolicited(MAC, VIP, false) };
    let quiet = Advertisement { destination: GATEWAY, ..quiet };
    for (advertisement, bits) in [
        (quiet, 0x00),
        (Advertisement { router: true, ..quiet }, 0x80),
        (Advertisement { solicited: true, ..quiet }, 0x40),
        (Advertisement { override_flag: true, ..quiet }, 0x20),
        (Advertisement::unsolicited(MAC, VIP, true), 0xa0),
    ] {
        let frame = advertisement.encode();
        assert_eq!(frame[FLAGS..TARGET], [bits, 0, 0, 0]);
        assert_eq!(message(&frame), Ok(Message::Advertisement(advertisement)));
        // The reserved bits are the future's.
        let future = changed(&frame, FLAGS, &[bits | 0x1f, 0xff, 0xff, 0xff]);
        assert_eq!(message(&future), Ok(Message::Advertisement(advertisement)));
    }
}

#[test]
fn the_solicited_node_group_is_of_the_last_three_octets() {
    for (address, group) in [
        ("4037::1:800:200e:8c6c", "ff02::1:ff0e:8c6c"),
        ("2001:db8::37", "ff02::1:ff00:37"),
        ("fe80::ffff:ffff", "ff02::1:ffff:ffff"),
        ("::", "ff02::1:ff00:0"),
    ] {
        let address: Ipv6Addr = address.parse().unwrap();
        assert_eq!(solicited_node(address), group.parse::<Ipv6Addr>().unwrap());
    }
}

#[test]
fn a_cut_frame_is_truncated() {
    for frame in [PROBE.as_slice(), &REQUEST, &UNSOLICITED] {
        for length in 0..frame.len() {
            assert_eq!(refusal(&frame[..length]), Malformed::Truncated, "{length}");
        }
    }
}

#[test]
fn a_message_shorter_than_its_target_is_truncated() {
    for length in 0..24 {
        let mut short = PROBE;
        short[PAYLOAD_LENGTH..NEXT_HEADER].copy_from_slice(&[0, length]);
        assert_eq!(refusal(&short), Malformed::Truncated, "{length}");
    }
}

#[test]
fn padding_is_ignored() {
    let mut padded = PROBE.to_vec();
    padded.extend([0xee; 10]);
    assert_eq!(ndp::parse(&padded), ndp::parse(&PROBE));
}

#[test]
fn headers_of_other_traffic_are_refused() {
    for (offset, bytes, reason) in [
        (12, [0x08, 0x06].as_slice(), Malformed::Ethertype),
        (12, &[0x81, 0x00], Malformed::Ethertype),
        (VERSION, &[0x45], Malformed::IpVersion),
        (NEXT_HEADER, &[0], Malformed::NextHeader),
        (NEXT_HEADER, &[17], Malformed::NextHeader),
        (NEXT_HEADER, &[44], Malformed::NextHeader),
        (HOP_LIMIT, &[254], Malformed::HopLimit),
        (HOP_LIMIT, &[0], Malformed::HopLimit),
        (TYPE, &[128], Malformed::Type),
        (TYPE, &[133], Malformed::Type),
        (TYPE, &[134], Malformed::Type),
        (TYPE, &[137], Malformed::Type),
        (CODE, &[1], Malformed::Code),
    ] {
        for frame in [PROBE.as_slice(), &REQUEST, &UNSOLICITED] {
            let frame = changed(frame, offset, bytes);
            assert_eq!(refusal(&frame), reason, "{bytes:02x?} at {offset}");
        }
    }
}

#[test]
fn traffic_class_and_flow_label_may_be_anything() {
    let frame = changed(&UNSOLICITED, VERSION, &[0x6f, 0xff, 0xff, 0xff]);
    assert_eq!(message(&frame), message(&UNSOLICITED));
}

#[test]
fn other_icmp_is_no_broken_rule() {
    // An ordinary echo request from beyond the link: hop limit 60.
    let mut frame = changed(&REQUEST, TYPE, &[128]);
    frame[HOP_LIMIT] = 60;
    assert_eq!(refusal(&frame), Malformed::Type);
}

#[test]
fn one_flipped_bit_breaks_the_checksum() {
    // Everything the checksum covers, except for the fields that are refused before it.
    for offset in (SOURCE..TYPE).chain(CODE..UNSOLICITED.len()) {
        for bit in 0..8 {
            let mut frame = UNSOLICITED;
            frame[offset] ^= 1 << bit;
            assert_eq!(refusal(&frame), Malformed::Checksum, "{offset}.{bit}");
        }
    }
}

#[test]
fn impossible_addresses_are_refused() {
    let group = ndp::ALL_NODES.octets();
    let nobody = [0; 16];
    assert_eq!(refusal(&changed(&REQUEST, SOURCE, &group)), Malformed::Source);
    assert_eq!(refusal(&changed(&UNSOLICITED, SOURCE, &group)), Malformed::Source);
    assert_eq!(refusal(&changed(&UNSOLICITED, SOURCE, &nobody)), Malformed::Source);
    assert_eq!(refusal(&changed(&REQUEST, TARGET, &group)), Malformed::Target);
    assert_eq!(refusal(&changed(&UNSOLICITED, TARGET, &group)), Malformed::Target);
}

#[test]
fn a_probe_goes_to_a_solicited_node_group_and_names_no_mac() {
    for destination in [ndp::ALL_NODES, VIP] {
        let frame = changed(&PROBE, DESTINATION, &destination.octets());
        assert_eq!(refusal(&frame), Malformed::Destination, "{destination}");
    }
    let option = [&[1, 1], MAC.0.as_slice()].concat();
    assert_eq!(refusal(&with_options(&PROBE, &option)), Malformed::ProbeOption);
    // Linux adds a nonce to its own probes (RFC 7527).
    let nonce = [14, 1, 1, 2, 3, 4, 5, 6];
    assert_eq!(message(&with_options(&PROBE, &nonce)), message(&PROBE));
}

#[test]
fn a_solicited_advertisement_goes_to_one_node() {
    let frame = changed(&UNSOLICITED, FLAGS, &[0x60]);
    assert_eq!(refusal(&frame), Malformed::SolicitedMulticast);
    let frame = changed(&frame, DESTINATION, &GATEWAY.octets());
    assert!(ndp::parse(&frame).is_ok());
}

#[test]
fn options_of_a_wrong_length_are_refused() {
    for options in [
        [1, 0, 1, 2, 3, 4, 5, 6].as_slice(),
        &[14, 0, 1, 2, 3, 4, 5, 6],
        &[1, 2, 1, 2, 3, 4, 5, 6],
        &[1],
        &[1, 1],
        &[1, 1, 1, 2, 3, 4, 5],
        &[1, 1, 1, 2, 3, 4, 5, 6, 0],
        &[1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
        &[2, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14],
        &[14, 255, 1, 2, 3, 4, 5, 6],
    ] {
        for frame in [REQUEST.as_slice(), &UNSOLICITED] {
            let frame = with_options(frame, options);
            assert_eq!(refusal(&frame), Malformed::OptionLength, "{options:02x?}");
        }
    }
}

#[test]
fn unknown_options_are_skipped_and_the_first_address_counts() {
    let unknown = [14, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (frame, kind) in [(REQUEST.as_slice(), 1), (&UNSOLICITED, 2)] {
        let own = [&[kind, 1], MAC.0.as_slice()].concat();
        let second = [&[kind, 1], OTHER.0.as_slice()].concat();
        // The address option of the other message means nothing in this one.
        let foreign = [&[3 - kind, 1], OTHER.0.as_slice()].concat();
        let options = [&unknown, foreign.as_slice(), &own, &second].concat();
        assert_eq!(message(&with_options(frame, &options)), message(frame));
    }
}

#[test]
fn an_address_option_may_be_missing() {
    let solicitation =
        Solicitation { source_mac: None, ..Solicitation::request(MAC, VIP, GATEWAY, None) };
    let advertisement =
        Advertisement { target_mac: None, ..Advertisement::unsolicited(MAC, VIP, false) };
    for read in [Message::Solicitation(solicitation), Message::Advertisement(advertisement)] {
        let frame = read.encode();
        assert_eq!(frame.len(), OPTION);
        assert_eq!(message(&frame), Ok(read));
    }
}

fn macs() -> impl Strategy<Value = Mac> {
    any::<[u8; 6]>().prop_map(Mac)
}

fn unicasts() -> impl Strategy<Value = Ipv6Addr> {
    any::<Ipv6Addr>()
        .prop_filter("a host's address", |ip| !ip.is_multicast() && !ip.is_unspecified())
}

fn solicitations() -> impl Strategy<Value = Message> {
    let requests = (macs(), unicasts(), unicasts(), prop::option::of(macs()))
        .prop_map(|(mac, source, target, to)| Solicitation::request(mac, source, target, to));
    let probes = (macs(), unicasts()).prop_map(|(mac, vip)| Solicitation::probe(mac, vip));
    prop_oneof![requests, probes].prop_map(Message::Solicitation)
}

fn advertisements() -> impl Strategy<Value = Message> {
    let links = (macs(), macs(), prop::option::of(macs()));
    let addresses = (unicasts(), any::<Ipv6Addr>(), unicasts());
    (links, addresses, any::<(bool, bool, bool)>()).prop_map(
        |((link_source, link_destination, target_mac), (source, destination, target), flags)| {
            Message::Advertisement(Advertisement {
                link_source,
                link_destination,
                source,
                destination,
                target,
                router: flags.0,
                solicited: flags.1 && !destination.is_multicast(),
                override_flag: flags.2,
                target_mac,
            })
        },
    )
}

proptest! {
    #[test]
    fn messages_round_trip(written in prop_oneof![solicitations(), advertisements()]) {
        let frame = written.encode();
        let (header, read) = ndp::parse(&frame).unwrap();
        prop_assert_eq!(read, written);
        prop_assert_eq!(&header.encode()[..], &frame[..EthernetHeader::LENGTH]);
    }

    #[test]
    fn an_independent_parser_reads_the_same(
        written in prop_oneof![solicitations(), advertisements()],
    ) {
        use etherparse::icmpv6::{Icmpv6PayloadSlice, NdpOptionSlice};

        let frame = written.encode();
        let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
        let Some(etherparse::NetSlice::Ipv6(ipv6)) = &sliced.net else {
            return Err(TestCaseError::fail("not IPv6"));
        };
        let Some(etherparse::TransportSlice::Icmpv6(icmp)) = &sliced.transport else {
            return Err(TestCaseError::fail("not ICMPv6"));
        };
        let (source, destination) =
            (ipv6.header().source_addr(), ipv6.header().destination_addr());
        prop_assert_eq!(ipv6.header().hop_limit(), 255);
        prop_assert!(icmp.is_checksum_valid(source.octets(), destination.octets()));

        let (target, options) = match icmp.payload_slice().unwrap() {
            Icmpv6PayloadSlice::NeighborSolicitation(payload) => {
                (payload.target_address(), payload.options())
            }
            Icmpv6PayloadSlice::NeighborAdvertisement(payload) => {
                (payload.target_address(), payload.options())
            }
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };
        let mac = etherparse::icmpv6::NdpOptionsIterator::from_slice(options).next().map(
            |option| match option.unwrap() {
                NdpOptionSlice::SourceLinkLayerAddress(option) => {
                    (1, option.link_layer_address().to_vec())
                }
                NdpOptionSlice::TargetLinkLayerAddress(option) => {
                    (2, option.link_layer_address().to_vec())
                }
                other => panic!("{other:?}"),
            },
        );
        match written {
            Message::Solicitation(wrote) => {
                prop_assert!(matches!(icmp.icmp_type(), etherparse::Icmpv6Type::NeighborSolicitation));
                prop_assert_eq!((source, destination, target), (wrote.source, wrote.destination, wrote.target));
                prop_assert_eq!(mac, wrote.source_mac.map(|mac| (1, mac.0.to_vec())));
            }
            Message::Advertisement(wrote) => {
                let etherparse::Icmpv6Type::NeighborAdvertisement(flags) = icmp.icmp_type() else {
                    return Err(TestCaseError::fail("not an advertisement"));
                };
                prop_assert_eq!(
                    (flags.router, flags.solicited, flags.r#override),
                    (wrote.router, wrote.solicited, wrote.override_flag)
                );
                prop_assert_eq!((source, destination, target), (wrote.source, wrote.destination, wrote.target));
                prop_assert_eq!(mac, wrote.target_mac.map(|mac| (2, mac.0.to_vec())));
            }
        }
    }
}
