//! The paths that a node takes most often, for `cargo xtask bench counts` to count their
//! instructions and allocations under valgrind.
//!
//! Owns the situations. What is counted is [`measured`] and what it calls; everything else is
//! preparation. The same rounds do the same work on any machine: time is an argument here too.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::cluster::settings::{
    Authority, GroupSettings, MemberSettings, OnDoubt, Quorum, Settings,
};
use standin_core::config::{
    Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress, PeerId,
    Timing, Vip, VipId,
};
use standin_core::heartbeat::{ClusterId, ConfigDigest, Key, KeyRing};
use standin_core::lease::{self, electorate::Electorate, electorate::Electorates};
use standin_core::place::{GroupRules, NodeId, NodeSet, Preference, address_key};
use standin_core::wire::Mac;
use standin_core::{Action, Config, Input, Instant, Node, step};

/// Nodes have the hosts' numbers from here on.
const FIRST: u16 = 1;
/// Nodes and groups have come to rest by then.
const SETTLED: Duration = Duration::from_secs(6);

/// What is counted.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    std::hint::black_box(work())
}

fn real(number: u16) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + u32::from(number)).into()
}

fn vip_address(number: u32) -> IpAddr {
    Ipv4Addr::from(0x0a01_0000 + number).into()
}

fn mac(number: u16) -> Mac {
    let [high, low] = number.to_be_bytes();
    Mac([2, 0, 0, 0, high, low])
}

fn links(me: u16) -> Vec<Link> {
    let state = LinkState {
        up: true,
        mac: mac(me),
        ipv4: Some(Ipv4Addr::from(0x0a00_0000 + u32::from(me))),
        ipv6: None,
        gateways: vec![],
        router: false,
    };
    vec![Link { name: Arc::from("eth0"), state }]
}

fn vips(count: u32, home: Home) -> Vec<Vip> {
    let vip = |number| Vip {
        address: vip_address(number),
        link: LinkId(0),
        home,
        failback: Failback::Yes,
        on_answer: OnAnswer::Wait,
        on_check_failure: OnCheckFailure::Warn,
        adopted: false,
        shares_lifetime: false,
    };
    (0..count).map(vip).collect()
}

fn peer(number: u16) -> Peer {
    let address = PeerAddress { ip: real(number), link: Some(LinkId(0)) };
    Peer { name: Arc::from(format!("node{number}")), addresses: vec![address] }
}

/// The shortest of two nodes; what many come to rest with in a few rounds.
fn timing(nodes: u16) -> Timing {
    let interval = Duration::from_millis(if nodes == 2 { 10 } else { 100 });
    Timing { dead_after: interval * 4, interval, back_after: Duration::from_secs(1) }
}

fn config(me: u16, peers: Vec<Peer>, vips: Vec<Vip>, timing: Timing) -> Config {
    Config::new(links(me), peers, vips, vec![], timing).expect("it is chosen valid")
}

/// What a node may hold, and when.
#[derive(Clone, Copy)]
enum Hold {
    /// Each VIP is a group of its own.
    Each,
    /// All are one group, at home on node 1, under a lease of a majority.
    Leased,
}

fn authority(nodes: u16, hold: Hold) -> Authority {
    if let Hold::Each = hold {
        return Authority::None;
    }
    let names: Vec<String> = (FIRST..=nodes).map(|number| format!("node{number}")).collect();
    let voters = names.iter().map(String::as_str).zip((0..).map(|at| Some(NodeId(at))));
    Authority::Quorum(Quorum {
        voters: Electorates { present: Electorate::new(voters), before: None },
        length: timing(nodes).dead_after * 3 / 2,
        guarded: true,
        fence: false,
    })
}

fn member(me: u16, nodes: u16, (vip_count, hold): (u32, Hold), now: Instant) -> Node {
    let others: Vec<u16> = (FIRST..=nodes).filter(|number| *number != me).collect();
    let members = (0..)
        .zip(&others)
        .map(|(at, number)| MemberSettings { node: NodeId(number - FIRST), peer: PeerId(at) });
    let group = |number: u32, vips: Vec<VipId>| {
        let mut order: Vec<NodeId> = (0..nodes).map(NodeId).collect();
        order.rotate_left(number as usize % usize::from(nodes));
        GroupSettings {
            name: Arc::from(format!("group{number}")),
            vips,
            rules: GroupRules {
                preference: Preference::Order(order),
                failback: Failback::Yes,
                members: NodeSet::ALL,
            },
            key: address_key(vip_address(number)),
            lease: lease::Key(u64::from(number)),
            on_doubt: OnDoubt::Release,
        }
    };
    let settings = Settings {
        cluster: ClusterId::of("counts"),
        digest: ConfigDigest { nodes: 1, vips: 2 },
        me: NodeId(me - FIRST),
        names: (FIRST..=nodes).map(|n| Arc::from(format!("node{n}"))).collect(),
        witnesses: NodeSet::default(),
        authority: authority(nodes, hold),
        members: members.collect(),
        groups: match hold {
            Hold::Each => (0..vip_count).map(|number| group(number, vec![VipId(number)])).collect(),
            Hold::Leased => vec![group(0, (0..vip_count).map(VipId).collect())],
        },
        references: vec![],
        timing: timing(nodes),
    };
    let peers = others.iter().map(|number| peer(*number)).collect();
    let key = Key::derive(&[7; 32], "counts").expect("it is long enough");
    let config = config(me, peers, vips(vip_count, Home::Cluster), timing(nodes));
    Node::in_cluster(config, settings, KeyRing::new(key), [me as u8; 32], now)
}

/// Nodes 1 and 2 of a cluster on a network that loses nothing and takes no time.
struct Pair {
    nodes: [Node; 2],
    now: Instant,
    interval: Duration,
    /// What each is to receive.
    arriving: [Vec<Vec<u8>>; 2],
}

impl Pair {
    fn new(nodes: u16, vips: (u32, Hold)) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let node = |me| member(me, nodes, vips, now);
        let mut pair = Self {
            nodes: [node(1), node(2)],
            now,
            interval: timing(nodes).interval,
            arriving: [vec![], vec![]],
        };
        while pair.now < now + SETTLED {
            pair.round(false);
        }
        pair
    }

    /// One interval. Counted, where wanted: node 1 sends, receives and looks whether anything
    /// follows.
    fn round(&mut self, counted: bool) {
        self.now = self.now + self.interval;
        for me in [0, 1] {
            self.turn(me, counted && me == 0);
        }
        self.turn(0, counted);
    }

    fn turn(&mut self, me: usize, counted: bool) {
        let (now, node) = (self.now, &mut self.nodes[me]);
        let mut heartbeats = std::mem::take(&mut self.arriving[me]);
        let mut work = || {
            node.handle_timeout(now);
            for bytes in &heartbeats {
                step(node, now, Input::Heartbeat { from: real(2 - me as u16), bytes });
            }
            step(node, now, Input::Idle);
        };
        if counted {
            measured(work);
        } else {
            work();
        }
        for bytes in heartbeats.drain(..) {
            node.reuse(bytes);
        }
        self.arriving[me] = heartbeats;
        self.carry_out(me);
    }

    fn carry_out(&mut self, me: usize) {
        let other = 1 - me;
        let now = self.now;
        while let Some(action) = self.nodes[me].poll_action() {
            let node = &mut self.nodes[me];
            match action {
                Action::SendHeartbeat { peer: PeerId(0), bytes } => {
                    self.arriving[other].push(bytes);
                }
                Action::SendHeartbeat { bytes, .. } => node.reuse(bytes),
                Action::AddAddress { vip, .. } => {
                    step(node, now, Input::AddressAdded { vip, result: Ok(()) });
                }
                Action::SignLife { .. } => {
                    step(node, now, Input::LifeSigned { result: Ok(()) });
                }
                Action::RemoveAddress { vip } => {
                    step(node, now, Input::AddressRemoved { vip, result: Ok(()) });
                }
                Action::ExtendLease { group, until, .. } => {
                    step(node, now, Input::LeaseExtended { group, until, result: Ok(()) });
                    step(node, now, Input::Idle);
                }
                Action::QuietAddress { vip, quiet } => {
                    step(node, now, Input::Quieted { vip, quiet, result: Ok(()) });
                }
                _ => {}
            }
        }
    }
}

/// A heartbeat is sent and one is received, and nothing is new.
fn heartbeats(nodes: u16, vip_count: u32, rounds: u32) {
    let mut pair = Pair::new(nodes, (vip_count, Hold::Each));
    for _ in 0..rounds {
        pair.round(true);
    }
}

/// The same at the holder of a lease, which every heartbeat renews.
fn renewals(vip_count: u32, rounds: u32) {
    let mut pair = Pair::new(2, (vip_count, Hold::Leased));
    let held = |pair: &Pair| {
        let status = pair.nodes[0].cluster_status().expect("it is in a cluster");
        status.groups[0].lease.as_ref().is_some_and(|lease| lease.left.is_some())
    };
    assert!(held(&pair), "node 1 has the lease");
    for _ in 0..rounds {
        pair.round(true);
    }
    assert!(held(&pair), "and keeps it");
}

/// The operator drains a node, and every group is looked at.
fn decides(rounds: u32) {
    let mut pair = Pair::new(64, (1000, Hold::Each));
    for round in 0..rounds {
        let now = pair.now;
        // A node that is silent: nothing moves, but that is known only afterwards.
        let (node, drained) = (NodeId(40), round % 2 == 0);
        step(&mut pair.nodes[0], now, Input::Drain { node, drained });
        let node = &mut pair.nodes[0];
        measured(|| step(node, now, Input::Idle));
        pair.carry_out(0);
    }
}

/// A host that is watched answers a probe.
fn answers(rounds: u32) {
    let mut now = Instant::from_nanos(1_000_000_000);
    let config = config(1, vec![peer(2)], vips(1, Home::Peer(PeerId(0))), timing(2));
    let mut node = Node::new(config, 1, now);
    for _ in 0..rounds {
        node.handle_timeout(now);
        let mut answers = Vec::new();
        while let Some(action) = node.poll_action() {
            if let Action::SendEcho { message, .. } = action {
                let mut answer = message.to_vec();
                // Echo reply, and the checksum without the type 8 of the request.
                answer[0] = 0;
                let sum = u32::from(u16::from_be_bytes([answer[2], answer[3]])) + 0x0800;
                let sum = (sum & 0xffff) + (sum >> 16);
                answer[2..4].copy_from_slice(&(sum as u16).to_be_bytes());
                answers.push(answer);
            }
        }
        for bytes in &answers {
            measured(|| {
                step(&mut node, now, Input::Echo { from: real(2), bytes });
                step(&mut node, now, Input::Idle);
            });
        }
        assert!(!answers.is_empty());
        now = now + timing(2).interval;
    }
    assert!(node.status(now).peers[0].answers >= u64::from(rounds), "every one counts");
}

/// Ten thousand addresses are there, and are announced.
fn announces() {
    let mut now = Instant::from_nanos(1_000_000_000);
    let config = config(1, vec![], vips(10_000, Home::Here), timing(2));
    let mut node = Node::new(config, 1, now);
    let mut asked = Vec::new();
    while asked.len() < 10_000 {
        step(&mut node, now, Input::Idle);
        while let Some(action) = node.poll_action() {
            if let Action::AddAddress { vip, .. } = action {
                asked.push(vip);
            }
        }
        now = now + Duration::from_millis(1);
    }
    let frames = measured(|| {
        for vip in asked {
            step(&mut node, now, Input::AddressAdded { vip, result: Ok(()) });
        }
        step(&mut node, now, Input::Idle);
        let mut frames = 0;
        while let Some(action) = node.poll_action() {
            frames += u32::from(matches!(action, Action::SendFrame { .. }));
        }
        frames
    });
    assert!(frames >= 10_000, "{frames} frames");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let rounds = arguments.next().and_then(|word| word.parse().ok()).unwrap_or(100);
    match what.as_str() {
        "heartbeats-2-1" => heartbeats(2, 1, rounds),
        "heartbeats-64-1000" => heartbeats(64, 1000, rounds),
        "renewals-2-1" => renewals(1, rounds),
        "renewals-2-1000" => renewals(1000, rounds),
        "answers" => answers(rounds),
        "decides-64-1000" => decides(rounds),
        "announces-10000" => announces(),
        other => {
            eprintln!("counts: there is no {other:?}");
            std::process::exit(64);
        }
    }
}
