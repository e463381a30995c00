//! The gate: every refusal, in the order of its cost, and nothing forged gets in.

use std::collections::BTreeMap;

use proptest::prelude::*;
use standin_core::heartbeat::packet::PACKET_LENGTH_MAX;
use standin_core::heartbeat::{
    ClusterId, Draft, Gate, Header, Incarnation, Key, KeyRing, KeyRole, NodeId, Rejected,
};

use crate::support::{CLUSTER, NEW, OLD, gate, header, key, ring, seal_raw, sealed, with_sections};

/// What the gate of brain says, and how many HMACs that cost.
fn judged(bytes: &[u8]) -> (Result<(), Rejected>, u64) {
    let mut gate = gate("brain");
    let verdict = gate.open(bytes).map(|_| ());
    (verdict, gate.verifications())
}

fn packet_of(cluster: &str, secret: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    let keys = KeyRing::new(Key::derive(secret, cluster).expect("long enough"));
    Draft::new(ClusterId::of(cluster), &header(), &mut buffer).seal(&keys);
    buffer
}

#[test]
fn short_and_long_packets_cost_nothing() {
    let whole = sealed(&header(), |_| ());
    for length in 0..whole.len() {
        assert_eq!(judged(&whole[..length]), (Err(Rejected::TooShort), 0), "{length}");
    }
    let longest = with_sections(&[[9, 0x04, 0x25].as_slice(), &[0; 0x425]].concat());
    assert_eq!((longest.len(), judged(&longest)), (PACKET_LENGTH_MAX, (Ok(()), 1)));
    let longer = with_sections(&[[9, 0x04, 0x26].as_slice(), &[0; 0x426]].concat());
    assert_eq!(judged(&longer), (Err(Rejected::TooLong), 0));
}

#[test]
fn another_programs_packet_is_not_ours() {
    let mut packet = sealed(&header(), |_| ());
    packet[3] ^= 1;
    assert_eq!(judged(&packet), (Err(Rejected::NotOurs), 0));
    assert_eq!(judged(&[0; 136]), (Err(Rejected::NotOurs), 0));
    assert_eq!(judged(b"GET / HTTP/1.1\r\n\r\n"), (Err(Rejected::NotOurs), 0));
}

#[test]
fn a_wrong_key_another_cluster_and_another_version_are_told_apart() {
    assert_eq!(judged(&packet_of("web", NEW)), (Err(Rejected::UnknownKey), 0));
    assert_eq!(judged(&packet_of("mail", OLD)), (Err(Rejected::OtherCluster), 0));
    assert_eq!(judged(&packet_of("mail", NEW)), (Err(Rejected::OtherCluster), 0));
    for version in [0, 2, 255] {
        // Whatever else the other version has changed, its length included.
        for length in [8, 40, 136, 1400] {
            let mut packet = sealed(&header(), |_| ());
            packet[4] = version;
            packet.resize(length, 0);
            assert_eq!(judged(&packet), (Err(Rejected::Version(version)), 0));
        }
    }
    assert_eq!(
        Rejected::Version(9).to_string(),
        "it has version 9 of the protocol, this is 1",
        "the number is told"
    );
}

#[test]
fn a_key_of_another_cluster_does_not_open_even_under_our_name_and_number() {
    let mut packet = packet_of("mail", OLD);
    let ours = sealed(&header(), |_| ());
    packet[6..16].copy_from_slice(&ours[6..16]);
    assert_eq!(judged(&packet), (Err(Rejected::BadAuthentication), 1));
}

#[test]
fn no_single_bit_can_be_changed() {
    let whole = sealed(&header(), |draft| draft.section(9, b"abc").expect("room"));
    let mut reasons = BTreeMap::new();
    for bit in 0..whole.len() * 8 {
        let mut packet = whole.clone();
        packet[bit / 8] ^= 1 << (bit % 8);
        let (verdict, cost) = judged(&packet);
        let why = verdict.expect_err("a changed packet");
        assert!(cost <= 1, "{bit}");
        *reasons.entry((why.name(), cost)).or_insert(0) += 1;
    }
    let expected = [
        // All but magic, version, key number and cluster; the tag too.
        (("bad-authentication", 1), (whole.len() - 4 - 1 - 2 - 8) * 8),
        (("not-ours", 0), 32),
        (("other-cluster", 0), 64),
        (("unknown-key", 0), 16),
        (("version", 0), 8),
    ];
    assert_eq!(reasons, BTreeMap::from(expected));
}

#[test]
fn no_part_can_be_cut_off_or_added() {
    let whole = sealed(&header(), |draft| draft.section(9, &[0; 40]).expect("room"));
    for length in 136..whole.len() {
        assert_eq!(judged(&whole[..length]), (Err(Rejected::BadAuthentication), 1), "{length}");
    }
    let longer = [whole.as_slice(), &[0]].concat();
    assert_eq!(judged(&longer), (Err(Rejected::BadAuthentication), 1));
}

#[test]
fn a_flood_of_forgeries_by_one_who_cannot_listen_costs_no_hmac() {
    let mut gate = gate("brain");
    let whole = sealed(&header(), |_| ());
    for forged in 0..1000_u16 {
        let mut packet = whole.clone();
        // He knows all but the name of the cluster, or all but the number of the key.
        let at = if forged % 2 == 0 { 6 } else { 8 };
        packet[at..at + 2].copy_from_slice(&(0x1000 + forged).to_be_bytes());
        assert!(gate.open(&packet).is_err());
    }
    assert_eq!(gate.verifications(), 0);
    for forged in 0..1000_u16 {
        let mut packet = whole.clone();
        packet[130..132].copy_from_slice(&forged.to_be_bytes());
        let _ = gate.open(&packet);
    }
    assert_eq!(gate.verifications(), 1000, "one who listens: one each, never two");
}

#[test]
fn a_node_refuses_its_own_packets_and_those_for_others() {
    let from_self =
        Header { sender: NodeId::of("brain"), receiver: NodeId::of("pinky"), ..header() };
    assert_eq!(judged(&sealed(&from_self, |_| ())), (Err(Rejected::FromSelf), 1));
    let for_other = Header { receiver: NodeId::of("larry"), ..header() };
    assert_eq!(judged(&sealed(&for_other, |_| ())), (Err(Rejected::NotForUs), 1));
}

#[test]
fn a_header_without_an_incarnation_or_a_counter_is_malformed() {
    for at in [56, 64] {
        let mut bytes = sealed(&header(), |_| ());
        bytes.truncate(120);
        bytes[at..at + 8].fill(0);
        assert_eq!(judged(&seal_raw(bytes)), (Err(Rejected::Malformed), 1), "{at}");
    }
}

#[test]
fn reserved_fields_are_ignored_but_authenticated() {
    let mut bytes = sealed(&header(), |_| ());
    bytes.truncate(120);
    bytes[5] = 0xff;
    bytes[36..40].fill(0xff);
    let packet = seal_raw(bytes);
    let mut gate = gate("brain");
    assert_eq!(*gate.open(&packet).unwrap().header(), header());
}

#[test]
fn refusals_are_counted_by_name() {
    let mut gate = gate("brain");
    let _ = gate.open(b"");
    let _ = gate.open(b"STDB\x09\0\0\0");
    let _ = gate.open(b"STDB\x02\0\0\0");
    assert!(gate.open(&sealed(&header(), |_| ())).is_ok());
    gate.count(Rejected::Replayed);
    let counted: BTreeMap<_, _> = gate.refused().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, BTreeMap::from([("too-short", 1), ("version", 2), ("replayed", 1)]));
    // Every reason has its own row, under its own name.
    for why in Rejected::ALL {
        let before: BTreeMap<_, _> = gate.refused().collect();
        gate.count(why);
        let changed: Vec<_> = gate.refused().filter(|row| before[row.0] != row.1).collect();
        assert_eq!(changed, [(why.name(), before[why.name()] + 1)]);
        assert!(why.to_string().starts_with("it"), "{why}");
    }
}

#[test]
fn both_keys_of_a_rotation_open_and_are_named() {
    let keys = KeyRing::rotating(key(NEW), key(OLD)).unwrap();
    let mut gate = Gate::new(ClusterId::of(CLUSTER), NodeId::of("brain"), keys);
    let old = sealed(&header(), |_| ());
    assert_eq!(gate.open(&old).unwrap().key(), KeyRole::Accepted);
    assert_eq!(gate.open(&packet_of("web", NEW)).unwrap().key(), KeyRole::Current);
    assert_eq!(gate.verifications(), 2, "no key is tried in vain");
    gate.change_keys(KeyRing::new(key(NEW)));
    assert_eq!(gate.open(&old), Err(Rejected::UnknownKey));
    assert_ne!(ring().current().id(), gate.keys().current().id());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..1300)) {
        let (verdict, cost) = judged(&bytes);
        prop_assert!(verdict.is_err() && cost == 0);
    }

    #[test]
    fn any_bytes_behind_the_right_claims_are_refused(rest in prop::collection::vec(any::<u8>(), 0..1300)) {
        let front = sealed(&header(), |_| ())[..16].to_vec();
        let (verdict, cost) = judged(&[front, rest].concat());
        prop_assert!(verdict.is_err() && cost <= 1);
    }

    #[test]
    fn any_authentic_sections_are_read_or_refused(
        sections in prop::collection::vec(
            (0_u8..4, prop::collection::vec(any::<u8>(), 0..12), 0_u16..3), 0..8,
        ),
        tail in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let mut bytes = Vec::new();
        for (kind, body, excess) in sections {
            bytes.push(kind);
            // Mostly the right length.
            let length = u16::try_from(body.len()).unwrap() + excess / 2;
            bytes.extend(length.to_be_bytes());
            bytes.extend(body);
        }
        let packet = with_sections(&[bytes, tail].concat());
        let mut gate = gate("brain");
        match gate.open(&packet) {
            Ok(opened) => {
                prop_assert_eq!(opened.header().incarnation, Incarnation::from_random(0x3333));
                let groups = opened.payload().vip_states.map_or(0, |states| states.iter().count());
                prop_assert!(groups <= 65_536);
            }
            Err(why) => prop_assert_eq!(why, Rejected::Malformed),
        }
    }
}
