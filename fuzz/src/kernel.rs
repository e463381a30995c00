//! What comes from the kernel: netlink datagrams.
//!
//! Owns the targets. Never opens a socket.

use standin_sys::netlink::message::{Message, Verdict, attributes, messages, read_ip, read_text};
use standin_sys::netlink::nftables::socket::{read_elements, read_table};
use standin_sys::netlink::{Address, Event, Link, Neighbour, Route};

use crate::bytes::Bytes;

/// Kinds of messages that are read further.
const KINDS: [u16; 12] = [2, 3, 16, 17, 20, 21, 24, 25, 28, 29, 0x0a00, 0x0a0c];

/// A datagram as it comes, and its bytes once more as the payload of a message of each kind.
pub fn netlink(data: &[u8]) {
    judge_datagram(data);
    let mut bytes = Bytes::new(data);
    let (kind, flags) = (bytes.pick(&KINDS), u16::from(bytes.byte()) << 8);
    judge_message(&Message { kind, flags, sequence: 1, payload: bytes.all() });
}

fn judge_datagram(data: &[u8]) {
    let mut length = 0;
    for message in messages(data) {
        // Every message has its header, so this also bounds how many there are.
        length += 16 + message.payload.len();
        assert!(length <= data.len(), "messages overlap");
        judge_message(&message);
    }
}

fn judge_message(message: &Message<'_>) {
    match message.verdict() {
        Verdict::Refused(errno, _) => assert!(errno > 0, "refused with {errno}"),
        Verdict::Data | Verdict::Done => {}
    }
    let _ = message.error_offset();
    let link = Link::read(message);
    let address = Address::read(message);
    let route = Route::read(message);
    let neighbour = Neighbour::read(message);
    // What is read is also shown and asked.
    let shown = format!("{link:?} {address:?} {route:?} {neighbour:?}");
    assert!(shown.len() <= 4096 + 64 * message.payload.len(), "more is read than was said");
    if let Some(link) = &link {
        let _ = link.is_ethernet();
    }
    if let Some(address) = &address {
        let _ = address.is_duplicate();
    }
    if let Some(route) = &route {
        let _ = (route.ifindex(), route.gateway(), route.is_default());
    }
    match (Event::read(message), message.kind) {
        (Some(Event::LinkChanged(_) | Event::LinkGone(..)), 16 | 17) => assert!(link.is_some()),
        (Some(Event::AddressAdded(_) | Event::AddressRemoved(_)), 20 | 21) => {
            assert!(address.is_some());
        }
        (Some(Event::DefaultRouteChanged | Event::LocalRouteRemoved(_)), 24 | 25) => {
            assert!(route.is_some());
        }
        (None, _) => {}
        (Some(event), kind) => panic!("message {kind} is read as {event:?}"),
    }
    judge_attributes(message.payload, 3);
}

fn judge_attributes(bytes: &[u8], depth: usize) {
    let mut length = 0;
    for (kind, value) in attributes(bytes) {
        length += 4 + value.len();
        assert!(length <= bytes.len() && kind <= 0x3fff, "attributes overlap");
        assert!(read_text(value).chars().all(|letter| letter != '\0'));
        assert_eq!(read_ip(value).is_some(), matches!(value.len(), 4 | 16));
        if depth > 0 {
            judge_attributes(value, depth - 1);
        }
    }
}

/// Answers to dumps of `nf_tables`.
pub fn nftables(data: &[u8]) {
    let behind = [&[2, 0, 0, 1], data].concat();
    for payload in [data, &behind] {
        let message = Message { kind: 0x0a0c, flags: 0, sequence: 1, payload };
        let elements = read_elements(&message).unwrap_or_default();
        // Each takes its own header and a key at least.
        assert!(elements.len() * 16 <= payload.len(), "{} elements", elements.len());
        if let Some((_, name)) = read_table(&message) {
            assert!(name.len() <= 3 * payload.len());
        }
    }
    for message in messages(data) {
        let _ = (read_elements(&message), read_table(&message), message.verdict());
    }
}
