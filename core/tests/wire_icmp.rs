//! ICMP echo against literal bytes, against an independent codec, and against others' pings.

use etherparse::{IcmpEchoHeader, Icmpv4Header, Icmpv4Type, Icmpv6Header, Icmpv6Type};
use proptest::prelude::*;
use standin_core::wire::Malformed;
use standin_core::wire::icmp::{Echo, parse_reply_v4, parse_reply_v6};

const ECHO: Echo = Echo { identifier: 0xbeef, sequence: 0x0102, cookie: 0x0123_4567_89ab_cdef };

#[rustfmt::skip]
const REQUEST_V4: [u8; 16] = [
    0x08, 0x00, 0x99, 0xe8, 0xbe, 0xef, 0x01, 0x02,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
];

#[rustfmt::skip]
const REPLY_V4: [u8; 16] = [
    0x00, 0x00, 0xa1, 0xe8, 0xbe, 0xef, 0x01, 0x02,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
];

#[rustfmt::skip]
const REQUEST_V6: [u8; 16] = [
    0x80, 0x00, 0x00, 0x00, 0xbe, 0xef, 0x01, 0x02,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
];

#[rustfmt::skip]
const REPLY_V6: [u8; 16] = [
    0x81, 0x00, 0x00, 0x00, 0xbe, 0xef, 0x01, 0x02,
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
];

#[test]
fn requests_have_their_bytes() {
    assert_eq!(*ECHO.encode_request_v4(), REQUEST_V4);
    assert_eq!(*ECHO.encode_request_v6(), REQUEST_V6);
}

#[test]
fn replies_are_read() {
    assert_eq!(parse_reply_v4(&REPLY_V4), Ok(ECHO));
    assert_eq!(parse_reply_v6(&REPLY_V6), Ok(ECHO));
}

#[test]
fn requests_and_other_types_are_no_replies() {
    assert_eq!(parse_reply_v4(&REQUEST_V4), Err(Malformed::Type));
    assert_eq!(parse_reply_v6(&REQUEST_V6), Err(Malformed::Type));
    assert_eq!(parse_reply_v4(&REPLY_V6), Err(Malformed::Type));
    assert_eq!(parse_reply_v6(&REPLY_V4), Err(Malformed::Type));
    for kind in [3, 5, 11, 255] {
        let mut message = REPLY_V4;
        message[0] = kind;
        assert_eq!(parse_reply_v4(&message), Err(Malformed::Type), "{kind}");
    }
    for kind in [1, 3, 130, 135, 136] {
        let mut message = REPLY_V6;
        message[0] = kind;
        assert_eq!(parse_reply_v6(&message), Err(Malformed::Type), "{kind}");
    }
}

#[test]
fn a_cut_header_is_truncated() {
    for length in 0..8 {
        assert_eq!(parse_reply_v4(&REPLY_V4[..length]), Err(Malformed::Truncated), "{length}");
        assert_eq!(parse_reply_v6(&REPLY_V6[..length]), Err(Malformed::Truncated), "{length}");
    }
}

#[test]
fn a_code_is_refused() {
    let (mut v4, mut v6) = (REPLY_V4, REPLY_V6);
    v4[1] = 1;
    v6[1] = 1;
    assert_eq!(parse_reply_v4(&v4), Err(Malformed::Code));
    assert_eq!(parse_reply_v6(&v6), Err(Malformed::Code));
}

#[test]
fn one_flipped_bit_breaks_the_checksum() {
    for offset in 2..16 {
        for bit in 0..8 {
            let mut message = REPLY_V4;
            message[offset] ^= 1 << bit;
            assert_eq!(parse_reply_v4(&message), Err(Malformed::Checksum), "{offset}.{bit}");
        }
    }
    assert_eq!(parse_reply_v4(&[0; 16]), Err(Malformed::Checksum), "no checksum at all");
}

#[test]
fn a_payload_of_another_size_is_not_ours() {
    for size in [0, 1, 7, 9, 56] {
        let payload = vec![0x5a; size];
        let header = IcmpEchoHeader { id: 0xbeef, seq: 1 };
        let mut v4 = Vec::new();
        Icmpv4Header::with_checksum(Icmpv4Type::EchoReply(header), &payload)
            .write(&mut v4)
            .unwrap();
        v4.extend(&payload);
        assert_eq!(parse_reply_v4(&v4), Err(Malformed::PayloadLength), "{size}");
        let mut v6 = Vec::new();
        Icmpv6Header::new(Icmpv6Type::EchoReply(header)).write(&mut v6).unwrap();
        v6.extend(&payload);
        assert_eq!(parse_reply_v6(&v6), Err(Malformed::PayloadLength), "{size}");
    }
}

proptest! {
    #[test]
    fn an_independent_codec_writes_the_same(identifier: u16, sequence: u16, cookie: u64) {
        let echo = Echo { identifier, sequence, cookie };
        let payload = cookie.to_be_bytes();
        let header = IcmpEchoHeader { id: identifier, seq: sequence };

        let mut request = Vec::new();
        Icmpv4Header::with_checksum(Icmpv4Type::EchoRequest(header), &payload)
            .write(&mut request)
            .unwrap();
        request.extend(payload);
        prop_assert_eq!(&*echo.encode_request_v4(), request.as_slice());

        let mut reply = Vec::new();
        Icmpv4Header::with_checksum(Icmpv4Type::EchoReply(header), &payload)
            .write(&mut reply)
            .unwrap();
        reply.extend(payload);
        prop_assert_eq!(parse_reply_v4(&reply), Ok(echo));

        let mut request = Vec::new();
        Icmpv6Header::new(Icmpv6Type::EchoRequest(header)).write(&mut request).unwrap();
        request.extend(payload);
        prop_assert_eq!(&*echo.encode_request_v6(), request.as_slice());

        let mut reply = Vec::new();
        Icmpv6Header::with_checksum(Icmpv6Type::EchoReply(header), [1; 16], [2; 16], &payload)
            .unwrap()
            .write(&mut reply)
            .unwrap();
        reply.extend(payload);
        prop_assert_eq!(parse_reply_v6(&reply), Ok(echo));
    }
}
