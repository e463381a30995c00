//! What comes from the network: heartbeats, frames and echoes.
//!
//! Owns the targets. Each takes the bytes as they are, and then once more behind what would
//! otherwise keep all but a few of them out: a checksum, a length, an authentication.

use std::net::{IpAddr, Ipv6Addr};

use standin_core::heartbeat::{Draft, Gate, NodeId, Opened, Rejected, VipState};
use standin_core::neighbour;
use standin_core::wire::{EthernetHeader, Frame, arp as arp_codec, checksum, icmp as icmp_codec};
use standin_core::wire::{Mac, ndp as ndp_codec};

use crate::sealing::{HEADER_LENGTH, Seal, TAG_LENGTH, cluster, ring};

/// The node that reads.
const READER: &str = "brain";
/// The longest that a sealed packet may be without its tag.
const SEALED_MOST: usize = 1200 - TAG_LENGTH;
const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0xbb, 0xcc]);

/// Bytes as they come to the port of the heartbeats, and sealed with the right key.
pub fn heartbeat(data: &[u8]) {
    let mut gate = Gate::new(cluster(), NodeId::of(READER), ring());
    let _ = judge_gate(&mut gate, data);
    let mut sealed = data[..data.len().min(SEALED_MOST)].to_vec();
    sealed.resize(sealed.len().max(HEADER_LENGTH), 0);
    // The bytes of the key's number choose for whom and from whom it is.
    if sealed[6] & 7 != 7 {
        sealed[24..32].copy_from_slice(&NodeId::of(READER).0.to_be_bytes());
    }
    Seal::new().seal(&mut sealed);
    let before = gate.verifications();
    match judge_gate(&mut gate, &sealed) {
        Ok(opened) => judge_opened(&opened),
        Err(why) => assert!(
            matches!(why, Rejected::Malformed | Rejected::FromSelf | Rejected::NotForUs),
            "a sealed packet was refused as {why:?}"
        ),
    }
    assert_eq!(gate.verifications(), before + 1);
}

/// One packet costs at most one HMAC, and is accepted or counted once.
fn judge_gate<'p>(gate: &mut Gate, bytes: &'p [u8]) -> Result<Opened<'p>, Rejected> {
    let counted = |gate: &Gate| gate.refused().map(|(_, count)| count).sum::<u64>();
    let (verified, refused) = (gate.verifications(), counted(gate));
    let opened = gate.open(bytes);
    assert!(gate.verifications() <= verified + 1, "more than one HMAC for one packet");
    assert_eq!(counted(gate), refused + u64::from(opened.is_err()));
    opened
}

/// What is accepted is what would have been written.
fn judge_opened(opened: &Opened<'_>) {
    let (header, payload) = (opened.header(), opened.payload());
    let mut buffer = Vec::new();
    let mut draft = Draft::new(cluster(), header, &mut buffer);
    for (kind, body) in payload.sections() {
        draft.section(kind, body).expect("it has fitted before");
    }
    draft.seal(&ring());
    let mut gate = Gate::new(cluster(), NodeId::of(READER), ring());
    let again = gate.open(&buffer).expect("what was accepted is accepted again");
    assert_eq!((again.header(), again.payload()), (header, payload));
    let Some(states) = payload.vip_states else { return };
    let told: Vec<(u16, VipState)> = states.iter().collect();
    assert_eq!(told.len(), states.len());
    assert_eq!(told.is_empty(), states.is_empty());
    let row: Vec<VipState> = told.iter().map(|(_, state)| *state).collect();
    let Some(&(first, _)) = told.first() else { return };
    assert!((first..=u16::MAX).zip(&told).all(|(number, (told, _))| number == *told));
    let mut draft = Draft::new(cluster(), header, &mut buffer);
    let written = draft.vip_states(first, &row);
    draft.seal(&ring());
    let again = gate.open(&buffer).expect("what we write is accepted");
    let again = again.payload().vip_states.expect("the section that was written");
    assert!(again.iter().eq(told[..written].iter().copied()));
}

/// Frames as a packet socket delivers them.
pub fn ethernet(data: &[u8]) {
    if let Ok((header, payload)) = EthernetHeader::parse(data) {
        assert_eq!(header.encode(), data[..EthernetHeader::LENGTH]);
        assert!(payload.len() <= data.len() - EthernetHeader::LENGTH);
    }
    match Frame::try_from(data) {
        Ok(frame) => assert_eq!(*frame, *data),
        Err(_) => assert!(data.len() > Frame::CAPACITY),
    }
    let (as_arp, as_ndp) = (arp_codec::parse(data), ndp_codec::parse(data));
    assert!(as_arp.is_err() || as_ndp.is_err(), "one frame is both ARP and NDP");
    match neighbour::hear(data) {
        Ok(heard) => {
            assert!(as_arp.is_ok() || as_ndp.is_ok());
            assert!(heard.asserts.is_none_or(|address| !address.is_unspecified()));
            let families = [heard.asserts, heard.asks].into_iter().flatten();
            assert!(families.into_iter().all(|address| address.is_ipv4() == as_arp.is_ok()));
        }
        Err(why) => {
            assert!(as_arp.is_err() && as_ndp.is_err());
            assert!(!why.name().is_empty());
        }
    }
}

/// ARP behind a right Ethernet header.
pub fn arp(data: &[u8]) {
    judge_arp(data);
    let header = EthernetHeader { destination: Mac::BROADCAST, source: MAC, ethertype: 0x0806 };
    judge_arp(&[&header.encode(), data].concat());
    // Hardware and protocol as they have to be, too.
    judge_arp(&[&header.encode(), [0, 1, 8, 0, 6, 4, 0].as_slice(), data].concat());
}

fn judge_arp(bytes: &[u8]) {
    ethernet(bytes);
    let Ok((header, packet)) = arp_codec::parse(bytes) else { return };
    assert_eq!(*packet.encode(header.source, header.destination), bytes[..42]);
    assert!(!(packet.is_probe() && packet.is_announcement()));
}

/// Neighbour discovery behind right lengths and checksums.
pub fn ndp(data: &[u8]) {
    judge_ndp(data);
    let Some((choice, body)) = data.split_first() else { return };
    let target = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x37);
    let source = if choice & 1 == 0 { target } else { Ipv6Addr::UNSPECIFIED };
    let destination = match choice >> 1 & 3 {
        0 => ndp_codec::ALL_NODES,
        1 => ndp_codec::solicited_node(target),
        2 => target,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    let mut message = vec![135 + (choice >> 3 & 1), 0, 0, 0];
    message.extend(body);
    let sum = checksum::icmpv6(source, destination, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let header = EthernetHeader { destination: MAC, source: MAC, ethertype: 0x86dd };
    let mut frame = header.encode().to_vec();
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([58, 255]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(message);
    judge_ndp(&frame);
}

fn judge_ndp(bytes: &[u8]) {
    ethernet(bytes);
    let Ok((_, message)) = ndp_codec::parse(bytes) else { return };
    let again = message.encode();
    assert_eq!(ndp_codec::parse(&again).map(|(_, message)| message), Ok(message));
}

/// Echo replies as a raw socket delivers them.
pub fn icmp(data: &[u8]) {
    judge_echo(data);
    let mut reply = data.to_vec();
    for kind in [0, 129] {
        if reply.len() >= 4 {
            reply[..4].copy_from_slice(&[kind, 0, 0, 0]);
            let sum = checksum::internet(&reply);
            reply[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        judge_echo(&reply);
    }
}

fn judge_echo(bytes: &[u8]) {
    let of_v4 = icmp_codec::parse_reply_v4(bytes);
    let of_v6 = icmp_codec::parse_reply_v6(bytes);
    assert!(of_v4.is_err() || of_v6.is_err(), "one message is of both families");
    for echo in [of_v4, of_v6].into_iter().flatten() {
        // A request answered by a host that knows nothing of us.
        assert_eq!(echo.encode_request_v6()[4..], bytes[4..]);
        assert_eq!(echo.encode_request_v4()[4..], bytes[4..]);
    }
}

/// The address of a family that seeds and tests use.
pub fn documented(v6: bool) -> IpAddr {
    if v6 { [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x37].into() } else { [192, 0, 2, 37].into() }
}
