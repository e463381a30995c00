//! The text form of Ethernet addresses, and their groups.

use std::net::Ipv6Addr;

use proptest::prelude::*;
use standin_core::wire::{Mac, MacParseError};

const MAC: Mac = Mac([0x52, 0x54, 0x00, 0xaa, 0xbb, 0x0c]);

#[test]
fn both_separators_and_both_cases_are_read() {
    for text in ["52:54:00:aa:bb:0c", "52-54-00-aa-bb-0c", "52:54:00:AA:BB:0C", "52-54-00-Aa-bB-0c"]
    {
        assert_eq!(text.parse(), Ok(MAC), "{text}");
    }
    assert_eq!("ff:ff:ff:ff:ff:ff".parse(), Ok(Mac::BROADCAST));
    assert_eq!("00:00:00:00:00:00".parse(), Ok(Mac::ZERO));
}

#[test]
fn it_is_printed_in_lower_case_with_colons() {
    assert_eq!(MAC.to_string(), "52:54:00:aa:bb:0c");
    assert_eq!(format!("{MAC:?}"), "52:54:00:aa:bb:0c");
}

#[test]
fn every_refusal_has_its_own_reason() {
    for (text, reason) in [
        ("", MacParseError::Groups(1)),
        ("525400aabb0c", MacParseError::Groups(1)),
        ("52:54:00:aa:bb", MacParseError::Groups(5)),
        ("52:54:00:aa:bb:0c:", MacParseError::Groups(7)),
        ("52:54:00:aa:bb:0c:0d:0e", MacParseError::Groups(8)),
        ("5:54:00:aa:bb:0c", MacParseError::Digits(1)),
        ("52:+4:00:aa:bb:0c", MacParseError::Digits(2)),
        ("52:54: 0:aa:bb:0c", MacParseError::Digits(3)),
        ("52:54:00:aag:bb:0c", MacParseError::Digits(4)),
        ("52:54:00:aa:é:0c", MacParseError::Digits(5)),
        ("52:54:00:aa:bb:", MacParseError::Digits(6)),
        ("52:54:00:aa:bb:0c ", MacParseError::Digits(6)),
        ("52:54-00:aa:bb:0c", MacParseError::Mixed),
    ] {
        assert_eq!(text.parse::<Mac>(), Err(reason), "{text}");
    }
}

#[test]
fn a_refusal_says_what_was_expected() {
    assert_eq!(
        MacParseError::Groups(1).to_string(),
        "expected six groups such as 52:54:00:12:34:56, found 1 group"
    );
    assert_eq!(
        MacParseError::Groups(5).to_string(),
        "expected six groups such as 52:54:00:12:34:56, found 5 groups"
    );
    assert_eq!(
        MacParseError::Digits(2).to_string(),
        "group 2 of the address is not two hexadecimal digits"
    );
    assert_eq!(
        MacParseError::Mixed.to_string(),
        "separate the groups with either ':' or '-', not both"
    );
}

#[test]
fn groups_of_stations_are_told_from_stations() {
    assert!(Mac::BROADCAST.is_multicast());
    assert!(Mac([0x33, 0x33, 0, 0, 0, 1]).is_multicast());
    assert!(Mac([0x01, 0x00, 0x5e, 0, 0, 1]).is_multicast());
    assert!(!MAC.is_multicast());
    assert!(!Mac::ZERO.is_multicast());
    assert!(Mac::ZERO.is_zero());
    assert!(!MAC.is_zero());
}

#[test]
fn an_ipv6_group_maps_to_its_last_four_octets() {
    let group: Ipv6Addr = "ff02::1:ff12:3456".parse().unwrap();
    assert_eq!(Mac::ipv6_multicast(group), Mac([0x33, 0x33, 0xff, 0x12, 0x34, 0x56]));
}

proptest! {
    #[test]
    fn text_round_trips(octets: [u8; 6]) {
        prop_assert_eq!(Mac(octets).to_string().parse(), Ok(Mac(octets)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-fA-F:+ é-]{0,20}") {
        if let Ok(mac) = text.parse::<Mac>() {
            prop_assert_eq!(mac.to_string(), text.to_lowercase().replace('-', ":"));
        }
    }
}
