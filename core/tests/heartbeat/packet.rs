//! The header against literal bytes that another implementation made, and there and back.

use std::num::NonZeroU64;
use std::time::Duration;

use proptest::prelude::*;
use standin_core::heartbeat::packet::{PACKET_LENGTH_MAX, PACKET_LENGTH_MIN};
use standin_core::heartbeat::{
    ClusterId, ConfigDigest, Draft, Echo, Flags, Full, Header, Incarnation, KeyRole, LinkStates,
    NodeId, Nonce, Unreachable,
};

use crate::support::{CLUSTER, HOLDING, READY, gate, header, number, ring, sealed};

#[rustfmt::skip]
const LITERAL: [u8; 172] = [
    0x53, 0x54, 0x44, 0x42, 0x01, 0x00, 0x01, 0xf6, // magic, version, key
    0x00, 0xdb, 0x62, 0x39, 0xd8, 0xa4, 0xb1, 0xef, // cluster "web"
    0x38, 0xce, 0x6d, 0x05, 0xb2, 0x12, 0x93, 0xf8, // sender "pinky"
    0x03, 0xf0, 0xb2, 0xd8, 0xf4, 0x32, 0xd0, 0xb8, // receiver "brain"
    0x00, 0x01, 0x00, 0x21, 0x00, 0x00, 0x00, 0x00, // number, flags
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x11, 0x11, // nodes
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x22, 0x22, // VIPs
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x33, 0x33, // incarnation
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, // counter
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x44, 0x44, // heard
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x55, 0x55, // challenge
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x66, 0x66, // response
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x77, 0x77, // stamp
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x88, 0x88, // echoed
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0xdc, // held 1500 ns
    0x00, 0x00, 0x05, 0x00, 0x02, 0x8e, 0x01, 0x0c, // groups 2..=4, 5; kind 1
    0x01, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x03, 0x02, 0x00, 0x08, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0xc8, 0x00, // kind 200
    0x03, 0x61, 0x62, 0x63, 0xc0, 0xc2, 0xcc, 0x1e, // "abc", tag
    0xd0, 0xba, 0x07, 0x34, 0x70, 0x1c, 0x47, 0x87,
    0x91, 0x46, 0xf4, 0xf0,
];

fn literal_header() -> Header {
    Header {
        flags: Flags::QUERY.with(Flags::NEWCOMER),
        counter: number(7),
        heard: Some(Incarnation::from_random(0x4444)),
        challenge: Some(Nonce::from_random(0x5555)),
        response: Some(Nonce::from_random(0x6666)),
        stamp: Some(number(0x7777)),
        echo: Some(Echo { stamp: number(0x8888), held: Duration::from_nanos(1500) }),
        ..header()
    }
}

#[test]
fn a_packet_has_its_bytes() {
    let packet = sealed(&literal_header(), |draft| {
        assert_eq!(draft.vip_states(2, &[HOLDING, HOLDING, HOLDING, READY]), 4);
        draft.link_states(LinkStates(3)).unwrap();
        draft.unreachable(Unreachable(4)).unwrap();
        draft.section(200, b"abc").unwrap();
    });
    assert_eq!(packet, LITERAL);
}

#[test]
fn a_packet_is_read() {
    let mut gate = gate("brain");
    let opened = gate.open(&LITERAL).unwrap();
    assert_eq!(*opened.header(), literal_header());
    assert_eq!(opened.key(), KeyRole::Current);
    let payload = opened.payload();
    let states: Vec<_> = payload.vip_states.unwrap().iter().collect();
    assert_eq!(states, [(2, HOLDING), (3, HOLDING), (4, HOLDING), (5, READY)]);
    assert_eq!(payload.link_states, Some(LinkStates(3)));
    assert_eq!(payload.unreachable, Some(Unreachable(4)));
    let kinds: Vec<_> = payload.sections().map(|(kind, body)| (kind, body.len())).collect();
    assert_eq!(kinds, [(0, 5), (1, 8), (2, 8), (200, 3)]);
    assert_eq!(payload.sections().last(), Some((200, b"abc".as_slice())));
}

#[test]
fn nothing_but_a_header_is_a_packet() {
    let packet = sealed(&header(), |_| ());
    assert_eq!(packet.len(), PACKET_LENGTH_MIN);
    let mut gate = gate("brain");
    let opened = gate.open(&packet).unwrap();
    assert_eq!(*opened.header(), header());
    assert_eq!(opened.payload().sections().count(), 0);
    assert_eq!(opened.payload().vip_states, None);
}

#[test]
fn a_packet_is_filled_to_its_last_byte_and_no_further() {
    let room = PACKET_LENGTH_MAX - PACKET_LENGTH_MIN;
    let packet = sealed(&header(), |draft| {
        assert_eq!(draft.room(), room);
        assert_eq!(draft.section(200, &vec![1; room - 2]), Err(Full));
        assert_eq!(draft.room(), room, "nothing was written");
        draft.section(200, &vec![1; room - 3 - 11]).unwrap();
        assert_eq!(draft.room(), 11);
        draft.link_states(LinkStates(1)).unwrap();
        assert_eq!(draft.room(), 0);
        assert_eq!(draft.unreachable(Unreachable(1)), Err(Full));
        assert_eq!(draft.section(201, &[]), Err(Full));
        assert_eq!(draft.section(201, &vec![0; 70_000]), Err(Full));
        assert_eq!(draft.vip_states(0, &[READY]), 0);
    });
    assert_eq!(packet.len(), PACKET_LENGTH_MAX);
    assert!(gate("brain").open(&packet).is_ok());
    // Room for the head of the states and for none of them.
    sealed(&header(), |draft| {
        draft.section(200, &vec![1; room - 3 - (3 + 2)]).unwrap();
        assert_eq!((draft.room(), draft.vip_states(0, &[READY])), (5, 0));
        assert_eq!(draft.room(), 5, "nothing was written");
    });
    assert!(Full.to_string().contains("1200"), "{Full}");
}

#[test]
fn a_buffer_is_used_again_without_growing() {
    let mut buffer = Vec::new();
    Draft::new(ClusterId::of(CLUSTER), &header(), &mut buffer).seal(&ring());
    let (first, capacity) = (buffer.clone(), buffer.capacity());
    for _ in 0..3 {
        let mut draft = Draft::new(ClusterId::of(CLUSTER), &header(), &mut buffer);
        let room = draft.room() - 3;
        draft.section(200, &vec![7; room]).unwrap();
        draft.seal(&ring());
        assert_eq!((buffer.len(), buffer.capacity()), (PACKET_LENGTH_MAX, capacity));
    }
    Draft::new(ClusterId::of(CLUSTER), &header(), &mut buffer).seal(&ring());
    assert_eq!(buffer, first, "nothing of a longer packet is left");
}

#[test]
fn random_numbers_are_never_none() {
    assert_eq!(Incarnation::from_random(0).bits(), 1);
    assert_eq!(Nonce::from_random(0).bits(), 1);
    assert_eq!(Nonce::from_random(u64::MAX).bits(), u64::MAX);
}

#[test]
fn a_time_too_long_to_say_is_the_longest() {
    let echo = Echo { stamp: number(1), held: Duration::MAX };
    let packet = sealed(&Header { echo: Some(echo), ..header() }, |_| ());
    let mut gate = gate("brain");
    let read = gate.open(&packet).unwrap().header().echo.unwrap();
    assert_eq!(read.held, Duration::from_nanos(u64::MAX));
}

#[test]
fn flags_are_bits() {
    let both = Flags::LEAVING.with(Flags::DRAINING);
    assert!(both.contains(Flags::LEAVING) && both.contains(Flags::DRAINING));
    assert!(both.contains(Flags::NONE) && !both.contains(Flags::KEEPING.with(Flags::LEAVING)));
    let named = [Flags::QUERY, Flags::ANSWER, Flags::LEAVING, Flags::KEEPING, Flags::DRAINING];
    let all = named.iter().fold(Flags::NEWCOMER, |all, flag| all.with(*flag));
    assert_eq!(all.0.count_ones(), 6);
}

fn headers() -> impl Strategy<Value = Header> {
    let about = (any::<u64>(), any::<u16>(), any::<u16>(), any::<u64>(), any::<u64>());
    let session = (any::<u64>(), 1_u64.., any::<Option<u64>>(), any::<Option<u64>>());
    let times = (any::<Option<u64>>(), any::<u64>(), any::<Option<u64>>(), any::<u64>());
    (about, session, times).prop_map(|(about, session, times)| Header {
        sender: NodeId(about.0),
        receiver: NodeId::of("brain"),
        number: about.1,
        flags: Flags(about.2),
        config: ConfigDigest { nodes: about.3, vips: about.4 },
        incarnation: Incarnation::from_random(session.0),
        counter: number(session.1),
        heard: session.2.map(Incarnation::from_random),
        challenge: session.3.map(Nonce::from_random),
        response: times.0.map(Nonce::from_random),
        stamp: NonZeroU64::new(times.1),
        echo: times
            .2
            .and_then(NonZeroU64::new)
            .map(|stamp| Echo { stamp, held: Duration::from_nanos(times.3) }),
    })
}

proptest! {
    #[test]
    fn headers_come_back(header in headers()) {
        let packet = sealed(&header, |_| ());
        let mut gate = gate("brain");
        let opened = gate.open(&packet).unwrap();
        prop_assert_eq!(*opened.header(), header);
    }
}
