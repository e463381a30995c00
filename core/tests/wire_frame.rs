//! What all codecs share: the buffer, the Ethernet header, the reasons, the checksum.

use std::collections::BTreeSet;

use proptest::prelude::*;
use standin_core::wire::checksum::{Checksum, internet};
use standin_core::wire::{EthernetHeader, Frame, Mac, Malformed};

const HEADER: EthernetHeader = EthernetHeader {
    destination: Mac([1, 2, 3, 4, 5, 6]),
    source: Mac([7, 8, 9, 10, 11, 12]),
    ethertype: 0x0800,
};

fn with_ethertype(ethertype: u16) -> [u8; 14] {
    EthernetHeader { ethertype, ..HEADER }.encode()
}

#[test]
fn a_header_is_fourteen_bytes() {
    assert_eq!(HEADER.encode(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0]);
    let mut bytes = HEADER.encode().to_vec();
    bytes.extend_from_slice(b"payload");
    assert_eq!(EthernetHeader::parse(&bytes), Ok((HEADER, b"payload".as_slice())));
    assert_eq!(EthernetHeader::parse(&bytes[..14]), Ok((HEADER, [].as_slice())));
}

#[test]
fn a_cut_header_is_truncated() {
    for length in 0..14 {
        assert_eq!(EthernetHeader::parse(&HEADER.encode()[..length]), Err(Malformed::Truncated));
    }
}

#[test]
fn vlan_tags_and_lengths_are_no_ethertype() {
    for ethertype in [0x8100, 0x88a8, 0x9100, 0, 46, 1500, 0x05ff] {
        let bytes = with_ethertype(ethertype);
        assert_eq!(EthernetHeader::parse(&bytes), Err(Malformed::Ethertype), "{ethertype:04x}");
    }
    for ethertype in [0x0600, 0x0800, 0x0806, 0x86dd, 0xffff] {
        assert!(EthernetHeader::parse(&with_ethertype(ethertype)).is_ok(), "{ethertype:04x}");
    }
}

#[test]
fn a_frame_holds_what_it_was_given() {
    for length in [0, 1, 42, Frame::CAPACITY] {
        let bytes = vec![0xa5; length];
        let frame = Frame::try_from(bytes.as_slice()).unwrap();
        assert_eq!(*frame, *bytes);
        assert_eq!(frame.as_ref(), bytes);
        assert_eq!(frame, frame.clone());
    }
    let bytes = [0; Frame::CAPACITY + 1];
    assert_eq!(Frame::try_from(bytes.as_slice()), Err(Malformed::Oversized));
}

#[test]
fn frames_differ_by_length_and_by_content() {
    let frame = |bytes: &[u8]| Frame::try_from(bytes).unwrap();
    assert_ne!(frame(&[1]), frame(&[1, 0]));
    assert_ne!(frame(&[1]), frame(&[2]));
    assert_eq!(frame(&[1, 0]), frame(&[1, 0]));
}

#[test]
fn a_frame_is_shown_in_hexadecimal() {
    let frame = Frame::try_from([0x00, 0x1f, 0xff].as_slice()).unwrap();
    assert_eq!(format!("{frame:?}"), "Frame(001fff)");
}

#[test]
fn every_reason_has_its_own_name_and_text() {
    let names: BTreeSet<_> = Malformed::ALL.iter().map(|reason| reason.name()).collect();
    let texts: BTreeSet<_> = Malformed::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), Malformed::ALL.len());
    assert_eq!(texts.len(), Malformed::ALL.len());
    assert!(Malformed::ALL.is_sorted(), "the order of declaration");
    for name in names {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
    }
}

#[test]
fn the_example_of_rfc_1071_sums_up() {
    assert_eq!(internet(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
}

#[test]
fn the_checksum_at_its_edges() {
    assert_eq!(internet(&[]), 0xffff);
    assert_eq!(internet(&[0, 0]), 0xffff);
    assert_eq!(internet(&[0xff, 0xff]), 0);
    assert_eq!(internet(&[0xff, 0xff, 0, 1]), 0xfffe, "the carry comes back in");
    assert_eq!(internet(&[0xff, 0xff, 0xff, 0xff, 0, 1]), 0xfffe, "a carry makes another");
    assert_eq!(internet(&[0x12]), !0x1200, "an odd byte is the high half");
    assert_eq!(internet(&vec![0xff; 65_536]), 0);
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut checksum = Checksum::new();
    for byte in [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7] {
        checksum.add(&[]);
        checksum.add(&[byte]);
    }
    assert_eq!(checksum.finish(), !0xddf2);
}

proptest! {
    #[test]
    fn headers_round_trip(destination: [u8; 6], source: [u8; 6], ethertype in 0x0600_u16..) {
        let header =
            EthernetHeader { destination: Mac(destination), source: Mac(source), ethertype };
        let tagged = [0x8100, 0x88a8, 0x9100].contains(&ethertype);
        let expected =
            if tagged { Err(Malformed::Ethertype) } else { Ok((header, [].as_slice())) };
        let bytes = header.encode();
        prop_assert_eq!(EthernetHeader::parse(&bytes), expected);
    }

    #[test]
    fn the_cut_between_parts_makes_no_difference(bytes: Vec<u8>, cut: prop::sample::Index) {
        let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut parts = Checksum::new();
        parts.add(head);
        parts.add(tail);
        prop_assert_eq!(parts.finish(), internet(&bytes));
    }

    #[test]
    fn bytes_with_their_own_checksum_sum_up_to_zero(mut bytes: Vec<u8>) {
        if bytes.len() % 2 == 1 {
            bytes.push(0);
        }
        let sum = internet(&bytes);
        bytes.extend(sum.to_be_bytes());
        prop_assert_eq!(internet(&bytes), 0);
    }
}
