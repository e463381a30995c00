//! No bytes make a parser panic, and what a parser accepts is what it would itself have written.

#![expect(clippy::unwrap_used, reason = "what a test builds is known to be right")]

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use standin_core::wire::{
    Advertisement, ArpPacket, Echo, EthernetHeader, Frame, Mac, Solicitation, arp, checksum, icmp,
    ndp,
};

const MAC: Mac = Mac([0x52, 0x54, 0x00, 0xaa, 0xbb, 0xcc]);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 37);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x37);
const ECHO: Echo = Echo { identifier: 1, sequence: 2, cookie: 3 };

/// Gives `bytes` to every parser. A panic fails the test; so does an accepted packet that does not
/// survive being written and read again.
fn parse_with_all(bytes: &[u8]) {
    let _ = EthernetHeader::parse(bytes);
    let _ = Frame::try_from(bytes);
    if let Ok((header, packet)) = arp::parse(bytes) {
        let again = packet.encode(header.source, header.destination);
        assert_eq!(*again, bytes[..42]);
    }
    if let Ok((_, message)) = ndp::parse(bytes) {
        assert_eq!(ndp::parse(&message.encode()).map(|(_, message)| message), Ok(message));
    }
    for echo in [icmp::parse_reply_v4(bytes), icmp::parse_reply_v6(bytes)].into_iter().flatten() {
        assert_eq!(echo.encode_request_v6()[4..], bytes[4..]);
    }
}

fn valid_packets() -> Vec<Frame> {
    let mut reply_v4 = ECHO.encode_request_v4().to_vec();
    reply_v4[0] = 0;
    reply_v4[2..4].fill(0);
    let sum = checksum::internet(&reply_v4);
    reply_v4[2..4].copy_from_slice(&sum.to_be_bytes());
    let mut reply_v6 = ECHO.encode_request_v6().to_vec();
    reply_v6[0] = 129;
    assert_eq!(icmp::parse_reply_v4(&reply_v4), Ok(ECHO));
    assert_eq!(icmp::parse_reply_v6(&reply_v6), Ok(ECHO));
    vec![
        ArpPacket::gratuitous_reply(MAC, V4).encode(MAC, Mac::BROADCAST),
        Solicitation::probe(MAC, V6).encode(),
        Solicitation::request(MAC, V6, V6, None).encode(),
        Advertisement::unsolicited(MAC, V6, true).encode(),
        Frame::try_from(reply_v4.as_slice()).unwrap(),
        Frame::try_from(reply_v6.as_slice()).unwrap(),
    ]
}

#[test]
fn every_value_of_every_byte() {
    for frame in valid_packets() {
        for offset in 0..frame.len() {
            for value in 0..=255 {
                let mut bytes = frame.to_vec();
                bytes[offset] = value;
                parse_with_all(&bytes);
            }
        }
    }
}

#[test]
fn every_length() {
    for frame in valid_packets() {
        let mut bytes = frame.to_vec();
        bytes.resize(200, 0);
        for length in 0..=bytes.len() {
            parse_with_all(&bytes[..length]);
        }
    }
}

/// A neighbour discovery frame with arbitrary contents but a right length and checksum, so that
/// the rules and options behind the checksum are reached.
fn sealed(advertisement: bool, source: Ipv6Addr, destination: Ipv6Addr, rest: &[u8]) -> Vec<u8> {
    let mut message = vec![135 + u8::from(advertisement), 0, 0, 0];
    message.extend(rest);
    let sum = checksum::icmpv6(source, destination, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = EthernetHeader { destination: MAC, source: MAC, ethertype: 0x86dd };
    let mut frame = header.encode().to_vec();
    frame.extend([0x60, 0, 0, 0, 0, u8::try_from(message.len()).unwrap(), 58, 255]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(message);
    frame
}

fn addresses() -> impl Strategy<Value = Ipv6Addr> {
    prop_oneof![
        Just(Ipv6Addr::UNSPECIFIED),
        Just(ndp::ALL_NODES),
        Just(ndp::solicited_node(V6)),
        Just(V6),
        any::<Ipv6Addr>(),
    ]
}

/// Options whose lengths are often right.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let option = (0_u8..4, 0_u8..4, any::<[u8; 22]>()).prop_map(|(kind, units, body)| {
        let length = (usize::from(units) * 8).max(2);
        let mut option = vec![kind, units];
        option.extend(&body[..length - 2]);
        option
    });
    (prop::collection::vec(option, 0..5), prop::collection::vec(any::<u8>(), 0..3))
        .prop_map(|(options, tail)| [options.concat(), tail].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        parse_with_all(&bytes);
    }

    #[test]
    fn random_bytes_behind_a_right_ethertype(
        arp: bool,
        mut bytes in prop::collection::vec(any::<u8>(), 14..120),
    ) {
        bytes[12..14].copy_from_slice(if arp { &[0x08, 0x06] } else { &[0x86, 0xdd] });
        parse_with_all(&bytes);
    }

    #[test]
    fn neighbour_discovery_behind_a_right_checksum(
        advertisement: bool,
        source in addresses(),
        destination in addresses(),
        flags: [u8; 4],
        target in addresses(),
        options in options(),
    ) {
        let rest = [&flags, target.octets().as_slice(), &options].concat();
        parse_with_all(&sealed(advertisement, source, destination, &rest));
    }
}
