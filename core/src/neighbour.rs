//! ARP and NDP as one language: who says that it has an address, and who asks for one.
//!
//! Owns the translation between [`Heard`] and the frames of both families. Keeps no state.
//! Invariant: what the machines decide never depends on the family of an address.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::LinkState;
use crate::wire::arp::{self, ArpPacket, Operation};
use crate::wire::frame::{Frame, Malformed};
use crate::wire::mac::Mac;
use crate::wire::ndp::{self, Advertisement, Message, Solicitation};

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// The link-layer address that speaks, as the message itself names it.
    pub mac: Mac,
    /// 'I have this address.' Absent in a probe.
    pub asserts: Option<IpAddr>,
    /// 'Who has this address?'
    pub asks: Option<IpAddr>,
}

impl Heard {
    /// A probe asks for an address without saying that it has any (RFC 5227, 1.1; RFC 4862, 5.4.2).
    pub fn is_probe(&self) -> bool {
        self.asserts.is_none()
    }
}

/// Understands a frame.
///
/// # Errors
/// Why it is neither ARP nor NDP.
pub fn hear(bytes: &[u8]) -> Result<Heard, Malformed> {
    let ethertype = bytes.get(12..14).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    if ethertype == Some(crate::wire::frame::ETHERTYPE_IPV6) {
        return ndp::parse(bytes).map(|(_, message)| hear_ndp(&message));
    }
    let (_, packet) = arp::parse(bytes)?;
    let asserts = (!packet.sender_ip.is_unspecified()).then_some(IpAddr::V4(packet.sender_ip));
    let question = packet.operation == Operation::Request && packet.target_ip != packet.sender_ip;
    let asks = question.then_some(IpAddr::V4(packet.target_ip));
    Ok(Heard { mac: packet.sender_mac, asserts, asks })
}

fn hear_ndp(message: &Message) -> Heard {
    match message {
        Message::Solicitation(ask) => Heard {
            mac: ask.source_mac.unwrap_or(ask.link_source),
            asserts: (!ask.source.is_unspecified()).then_some(IpAddr::V6(ask.source)),
            asks: Some(IpAddr::V6(ask.target)),
        },
        Message::Advertisement(answer) => Heard {
            mac: answer.target_mac.unwrap_or(answer.link_source),
            asserts: Some(IpAddr::V6(answer.target)),
            asks: None,
        },
    }
}

/// 'Does anybody have this address?', without touching any cache.
pub fn probe(link: &LinkState, address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(v4) => ArpPacket::probe(link.mac, v4).encode(link.mac, Mac::BROADCAST),
        IpAddr::V6(v6) => Solicitation::probe(link.mac, v6).encode(),
    }
}

/// An ordinary question for a host's address, from our own real one where there is one.
pub fn question(link: &LinkState, address: IpAddr, to: Option<Mac>) -> Frame {
    match address {
        IpAddr::V4(v4) => {
            let sender = link.ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED);
            let packet = ArpPacket::request(link.mac, sender, v4);
            packet.encode(link.mac, to.unwrap_or(Mac::BROADCAST))
        }
        IpAddr::V6(v6) => match link.ipv6 {
            Some(source) => Solicitation::request(link.mac, source, v6, to).encode(),
            None => Solicitation::probe(link.mac, v6).encode(),
        },
    }
}

/// Tells the link that `vip` is at `mac`, in every form that some neighbour wants: a gratuitous
/// request, a gratuitous reply whose target is `mac` itself (a broadcast target is ignored within
/// the lock time of an entry), and an ordinary question from the VIP to each of `known`, which is
/// the only form that creates an entry. For IPv6 an unsolicited advertisement with the Override
/// flag, and an ordinary solicitation from the VIP.
///
/// `mac` is the link's own, or that of a host on whose behalf we speak; the Ethernet source is ours
/// in any case, so that no switch learns a wrong port.
pub fn announce(link: &LinkState, vip: IpAddr, mac: Mac, known: &[IpAddr]) -> Vec<Frame> {
    match vip {
        IpAddr::V4(v4) => {
            let own =
                [ArpPacket::gratuitous_request(mac, v4), ArpPacket::gratuitous_reply(mac, v4)];
            let asked = known.iter().filter_map(|address| match address {
                IpAddr::V4(target) if *target != v4 => Some(ArpPacket::request(mac, v4, *target)),
                IpAddr::V4(_) | IpAddr::V6(_) => None,
            });
            let all = own.into_iter().chain(asked);
            all.map(|packet| packet.encode(link.mac, Mac::BROADCAST)).collect()
        }
        IpAddr::V6(v6) => announce_v6(link, v6, mac, known),
    }
}

/// The one frame of an announcement that moves most neighbours that know the address: a gratuitous
/// request, or an unsolicited advertisement.
pub fn announce_shortly(link: &LinkState, vip: IpAddr, mac: Mac) -> Frame {
    match vip {
        IpAddr::V4(v4) => ArpPacket::gratuitous_request(mac, v4).encode(link.mac, Mac::BROADCAST),
        IpAddr::V6(v6) => unsolicited(link, v6, mac).encode(),
    }
}

fn unsolicited(link: &LinkState, vip: Ipv6Addr, mac: Mac) -> Advertisement {
    let mut unsolicited = Advertisement::unsolicited(mac, vip, link.router && mac == link.mac);
    unsolicited.link_source = link.mac;
    unsolicited
}

fn announce_v6(link: &LinkState, vip: Ipv6Addr, mac: Mac, known: &[IpAddr]) -> Vec<Frame> {
    let mut frames = alloc::vec![unsolicited(link, vip, mac).encode()];
    for address in known {
        if let IpAddr::V6(target) = address
            && *target != vip
        {
            let mut ask = Solicitation::request(mac, vip, *target, None);
            ask.link_source = link.mac;
            frames.push(ask.encode());
        }
    }
    frames
}
