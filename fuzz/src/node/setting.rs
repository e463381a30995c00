//! The configuration of the node under test, chosen by bytes.
//!
//! Owns the addresses of the small world around it. Invariant: what is chosen is always valid, so
//! that no byte is spent on being refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::cluster::settings::{
    Authority, GroupSettings, MemberSettings, OnDoubt, Quorum, Settings,
};
use standin_core::config::{
    Check, Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress,
    PeerId, Timing, Vantage, Vip, VipId,
};
use standin_core::heartbeat::ConfigDigest;
use standin_core::lease::{
    self,
    electorate::{Electorate, Electorates},
};
use standin_core::place::{GroupRules, NodeId, NodeSet, PoolId, Preference, address_key};
use standin_core::wire::Mac;
use standin_core::{Config, Instant, Node};

use crate::bytes::Bytes;
use crate::sealing::{cluster, ring};

/// The nodes' names, by number.
pub const NAMES: [&str; 4] = ["pinky", "brain", "snowball", "larry"];
/// What all nodes were told.
pub const DIGEST: ConfigDigest = ConfigDigest { nodes: 1, vips: 2 };

const DEAD_AFTER: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(5),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// The link-layer address of a host on a link; the node under test is host 10.
pub const fn mac(link: u8, host: u8) -> Mac {
    Mac([2, 0, 0, link, 0, host])
}

/// A host's address on a link.
pub fn real(v6: bool, link: u8, host: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd00, u16::from(link), 0, 0, 0, 0, 0, u16::from(host)).into()
    } else {
        Ipv4Addr::new(10, link, 0, host).into()
    }
}

/// The VIP of this number.
pub fn vip(v6: bool, number: u8) -> IpAddr {
    if v6 {
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, u16::from(number)).into()
    } else {
        Ipv4Addr::new(10, 0, 0, 100 + number).into()
    }
}

/// What a link of the node under test is like.
pub fn link_state(bytes: &mut Bytes<'_>, link: u8) -> LinkState {
    let choice = bytes.byte();
    let has = |bit: u8| choice & 1 << bit == 0;
    let gateways = [(has(3), real(false, link, 1)), (has(4), real(true, link, 1))];
    LinkState {
        up: has(0),
        mac: mac(link, if choice & 0xc0 == 0xc0 { 11 } else { 10 }),
        ipv4: has(1).then_some(Ipv4Addr::new(10, link, 0, 10)),
        ipv6: has(2).then_some(Ipv6Addr::new(0xfd00, u16::from(link), 0, 0, 0, 0, 0, 10)),
        gateways: gateways.into_iter().filter(|(there, _)| *there).map(|(_, at)| at).collect(),
        router: !has(5),
    }
}

fn links(bytes: &mut Bytes<'_>) -> Vec<Link> {
    let count = 1 + bytes.below(2) as u8;
    let link = |number| Link {
        name: Arc::from(format!("eth{number}")),
        state: LinkState { up: true, ..link_state(bytes, number) },
    };
    (0..count).map(link).collect()
}

/// A watched host; host numbers begin at 20.
fn peer(bytes: &mut Bytes<'_>, links: usize, number: u8) -> Peer {
    let choice = bytes.byte();
    let (v6, routed, two) = (choice & 1 != 0, choice & 2 != 0, choice & 4 != 0);
    let link = (choice >> 3) % links as u8;
    let on = |link: u8, v6| PeerAddress {
        ip: real(v6, link, 20 + number),
        link: (!routed).then_some(LinkId(u32::from(link))),
    };
    let mut addresses = vec![on(link, v6)];
    if two {
        addresses.push(on(link, !v6));
    }
    Peer { name: Arc::from(NAMES.get(usize::from(number)).copied().unwrap_or("router")), addresses }
}

fn timing(bytes: &mut Bytes<'_>) -> Timing {
    let dead_after = bytes.pick(&DEAD_AFTER);
    let interval = Timing::default_interval(dead_after);
    Timing { dead_after, interval, back_after: dead_after * u32::from(bytes.byte() % 4) }
}

fn vips(bytes: &mut Bytes<'_>, links: usize, peers: usize, count: u8, cluster: bool) -> Vec<Vip> {
    let each = (0..count).map(|number| {
        let (choice, rules) = (bytes.byte(), bytes.byte());
        let home = match usize::from(choice >> 2) % (peers + 1) {
            _ if cluster => Home::Cluster,
            0 => Home::Here,
            peer => Home::Peer(PeerId(peer as u32 - 1)),
        };
        Vip {
            address: vip(choice & 1 != 0, number),
            link: LinkId(u32::from(choice >> 1 & 1) % links as u32),
            home,
            failback: failback(rules),
            on_answer: if rules & 4 == 0 { OnAnswer::Wait } else { OnAnswer::Takeover },
            on_check_failure: if rules & 8 == 0 {
                OnCheckFailure::Takeover
            } else {
                OnCheckFailure::Warn
            },
            adopted: rules & 0x30 == 0x30,
            shares_lifetime: rules & 0x40 != 0,
        }
    });
    each.collect()
}

fn failback(choice: u8) -> Failback {
    match choice & 3 {
        0 | 1 => Failback::Yes,
        2 => Failback::No,
        _ => Failback::After(Duration::from_secs(u64::from(choice >> 6))),
    }
}

fn checks(bytes: &mut Bytes<'_>, vips: usize) -> Vec<Check> {
    let count = bytes.below(3);
    let check = |_| {
        let choice = bytes.byte();
        Check {
            name: Arc::from("web"),
            vip: VipId(u32::from(choice & 3) % vips as u32),
            interval: Duration::from_millis(100 << (choice >> 2 & 3)),
            timeout: Duration::from_millis(50),
            rise: u32::from(choice >> 4 & 1) + 1,
            fall: u32::from(choice >> 5 & 1) + 1,
            vantage: if choice >> 6 == 3 { Vantage::Peers } else { Vantage::OnItself },
        }
    };
    (0..count).map(check).collect()
}

/// A node as `standin for` runs it.
///
/// # Panics
/// When what was chosen is not valid, which is a fault of this room.
pub fn alone(bytes: &mut Bytes<'_>, now: Instant) -> Node {
    let links = links(bytes);
    let count = 1 + bytes.below(3) as u8;
    let peers: Vec<Peer> = (0..count).map(|number| peer(bytes, links.len(), number)).collect();
    let count = 1 + bytes.below(3) as u8;
    let vips = vips(bytes, links.len(), peers.len(), count, false);
    let checks = checks(bytes, vips.len());
    let timing = timing(bytes);
    let config = Config::new(links, peers, vips, checks, timing).expect("it is chosen valid");
    Node::new(config, bytes.number(), now)
}

/// What gives the right to hold: mostly nothing but what is seen, else a majority of all.
fn authority(bytes: &mut Bytes<'_>, nodes: u16) -> Authority {
    let choice = bytes.byte();
    if choice < 128 {
        return Authority::None;
    }
    let of = |count: u16| {
        Electorate::new(NAMES.into_iter().zip((0..count).map(|number| Some(NodeId(number)))))
    };
    let before = (choice & 16 != 0).then(|| of(nodes - 1));
    let voters = Electorates { present: of(nodes), before };
    let length = Duration::from_millis([60, 50, 1000, 5000][usize::from(choice & 3)]);
    let (guarded, fence) = (choice & 4 == 0, choice & 8 != 0);
    Authority::Quorum(Quorum { voters, length, guarded, fence })
}

/// A node as `standin run` runs it, and its settings.
///
/// # Panics
/// As [`alone`].
pub fn in_cluster(bytes: &mut Bytes<'_>, now: Instant) -> (Node, Settings) {
    let links = links(bytes);
    let count = 2 + bytes.below(3) as u8;
    let me = bytes.below(usize::from(count)) as u8;
    let others = (0..count).filter(|number| *number != me);
    let mut peers: Vec<Peer> = others.map(|number| peer(bytes, links.len(), number)).collect();
    let members = (0..)
        .zip((0..count).filter(|number| *number != me))
        .map(|(at, number)| MemberSettings { node: NodeId(u16::from(number)), peer: PeerId(at) });
    let members: Vec<MemberSettings> = members.collect();
    let references = bytes.yes().then_some(PeerId(peers.len() as u32));
    if references.is_some() {
        peers.push(peer(bytes, links.len(), 9));
    }
    let spread = bytes.yes();
    let (mut groups, mut next) = (Vec::new(), 0);
    for number in 0..=bytes.below(3) {
        let size = 1 + u32::from(bytes.yes());
        let mut order: Vec<NodeId> = (0..u16::from(count)).map(NodeId).collect();
        order.rotate_left(bytes.below(usize::from(count)));
        order.truncate(1 + bytes.below(usize::from(count)));
        let preference =
            if spread { Preference::Spread(PoolId(0)) } else { Preference::Order(order) };
        groups.push(GroupSettings {
            name: Arc::from(format!("group{number}")),
            vips: (next..next + size).map(VipId).collect(),
            rules: GroupRules {
                preference,
                failback: failback(bytes.byte()),
                members: NodeSet::ALL,
            },
            key: 0,
            lease: lease::Key(number as u64),
            on_doubt: if bytes.yes() { OnDoubt::Hold } else { OnDoubt::Release },
        });
        next += size;
    }
    let vips = vips(bytes, links.len(), peers.len(), next as u8, true);
    for group in &mut groups {
        group.key = address_key(vips[group.vips[0].index()].address);
    }
    let checks = checks(bytes, vips.len());
    let timing = timing(bytes);
    let settings = Settings {
        cluster: cluster(),
        digest: DIGEST,
        me: NodeId(u16::from(me)),
        names: NAMES[..usize::from(count)].iter().map(|name| Arc::from(*name)).collect(),
        witnesses: NodeSet::default(),
        authority: authority(bytes, u16::from(count)),
        members,
        groups,
        references: references.into_iter().collect(),
        timing,
    };
    let config = Config::new(links, peers, vips, checks, timing).expect("it is chosen valid");
    let mut secret = [0x5a; 32];
    secret[..8].copy_from_slice(&bytes.number().to_le_bytes());
    (Node::in_cluster(config, settings.clone(), ring(), secret, now), settings)
}
