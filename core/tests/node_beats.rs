//! Heartbeats of two nodes go out in one wake-up of each, at one pace.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::cluster::settings::{Authority, MemberSettings, Settings};
use standin_core::config::{Link, LinkState, Peer, PeerAddress, PeerId, Timing};
use standin_core::heartbeat::{ClusterId, ConfigDigest, Key, KeyRing};
use standin_core::place::{NodeId, NodeSet};
use standin_core::wire::Mac;
use standin_core::{Action, Config, Input, Instant, Node, step};

const START: Instant = Instant::from_nanos(1_000_000_000);
const INTERVAL: Duration = Duration::from_millis(10);
const TIMING: Timing = Timing {
    dead_after: Duration::from_millis(40),
    interval: INTERVAL,
    back_after: Duration::from_millis(40),
};
/// From one to the other.
const ON_THE_WAY: Duration = Duration::from_micros(100);
/// Each wakes so late.
const WAKING: Duration = Duration::from_micros(50);

fn real(number: u16) -> IpAddr {
    Ipv4Addr::from(0x0a00_0000 + u32::from(number)).into()
}

fn node(me: u16) -> Node {
    let state = LinkState {
        up: true,
        mac: Mac([2, 0, 0, 0, 0, me as u8]),
        ipv4: Some(Ipv4Addr::from(0x0a00_0000 + u32::from(me))),
        ipv6: None,
        gateways: vec![],
        router: false,
    };
    let other = 3 - me;
    let address = PeerAddress { ip: real(other), link: None };
    let peer = Peer { name: "other".into(), addresses: vec![address] };
    let links = vec![Link { name: "eth0".into(), state }];
    let config = Config::new(links, vec![peer], vec![], vec![], TIMING).expect("it is consistent");
    let settings = Settings {
        cluster: ClusterId::of("beats"),
        digest: ConfigDigest { nodes: 1, vips: 2 },
        me: NodeId(me - 1),
        names: vec![Arc::from("pinky"), Arc::from("brain")],
        witnesses: NodeSet::default(),
        authority: Authority::None,
        members: vec![MemberSettings { node: NodeId(other - 1), peer: PeerId(0) }],
        groups: vec![],
        references: vec![],
        timing: TIMING,
    };
    let key = Key::derive(&[7; 32], "beats").expect("it is long enough");
    Node::in_cluster(config, settings, KeyRing::new(key), [me as u8; 32], START)
}

#[derive(Default)]
struct Counted {
    turns: [u32; 2],
    sent: [u32; 2],
}

/// Both, the second started later, and what is on its way to each.
struct Pair {
    nodes: [Node; 2],
    asleep_until: [Instant; 2],
    arriving: [Vec<(Instant, Vec<u8>)>; 2],
}

impl Pair {
    fn run(&mut self, until: Instant) -> Counted {
        let mut counted = Counted::default();
        loop {
            let wakes = |me: usize| {
                let due = self.nodes[me].poll_timeout().map(|(at, _)| at + WAKING);
                let heard = self.arriving[me].first().map(|(at, _)| *at + WAKING);
                let first = due.into_iter().chain(heard).min().expect("there is always a timer");
                first.max(self.asleep_until[me])
            };
            let me = usize::from(wakes(1) < wakes(0));
            let now = wakes(me);
            if now >= until {
                return counted;
            }
            counted.turns[me] += 1;
            let node = &mut self.nodes[me];
            node.handle_timeout(now);
            while self.arriving[me].first().is_some_and(|(at, _)| *at <= now) {
                let (_, bytes) = self.arriving[me].remove(0);
                let from = real(2 - me as u16);
                step(node, now, Input::Heartbeat { from, bytes: &bytes });
            }
            step(node, now, Input::Idle);
            while let Some(action) = node.poll_action() {
                if let Action::SendHeartbeat { bytes, .. } = action {
                    counted.sent[me] += 1;
                    self.arriving[1 - me].push((now + ON_THE_WAY, bytes));
                }
            }
        }
    }
}

#[test]
fn who_is_awake_for_a_heartbeat_sends_its_own() {
    for apart in [400, 2500, 4900, 5100, 7500, 9900].map(Duration::from_micros) {
        let mut pair = Pair {
            nodes: [node(1), node(2)],
            asleep_until: [START, START + apart],
            arriving: [vec![], vec![]],
        };
        let settled = START + INTERVAL * 20;
        pair.run(settled);
        let counted = pair.run(settled + INTERVAL * 100);
        let turns: u32 = counted.turns.iter().sum();
        assert!((290..=305).contains(&turns), "{apart:?}: {turns} for 100 heartbeats of each");
        for sent in counted.sent {
            assert!((98..=101).contains(&sent), "{apart:?}: {sent} in 100 intervals");
        }
        let counted = pair.nodes[0].cluster_status().expect("it is in one");
        assert!(counted.nodes.iter().all(|node| node.is_this || node.heard_ago.is_some()));
    }
}
