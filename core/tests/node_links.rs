//! Several interfaces, and what their state means for the hosts behind them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::config::{
    Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress, PeerId,
    Timing, Vip, VipId,
};
use standin_core::wire::arp::{self, ArpPacket};
use standin_core::wire::frame::Frame;
use standin_core::wire::mac::Mac;
use standin_core::{Action, Config, Input, Instant, Node, Report, neighbour, step};

const START: Instant = Instant::from_nanos(1_000_000_000_000);
const DEAD_AFTER: Duration = ms(200);
const LEFT: LinkId = LinkId(0);
const RIGHT: LinkId = LinkId(1);
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 37);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn real(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, number)
}

const fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn state(number: u8, up: bool) -> LinkState {
    LinkState {
        up,
        mac: mac(number),
        ipv4: Some(real(number)),
        ipv6: None,
        gateways: Vec::new(),
        router: false,
    }
}

/// A shell with two interfaces, Brain (2) on the left, Dot (6) on the right, Wakko (7) routed, and
/// Yakko (8 and 9) on both.
struct Shell {
    node: Node,
    now: Instant,
    reports: Vec<(Duration, Report)>,
    frames: Vec<Frame>,
    adds: u32,
    removes: u32,
}

impl Shell {
    fn new() -> Self {
        let link = |name: &str, number| Link { name: Arc::from(name), state: state(number, true) };
        let peer = |name: &str, number, link| Peer {
            name: Arc::from(name),
            addresses: vec![PeerAddress { ip: IpAddr::V4(real(number)), link }],
        };
        let mut yakko = peer("yakko", 8, Some(LEFT));
        yakko.addresses.push(PeerAddress { ip: IpAddr::V4(real(9)), link: Some(RIGHT) });
        let peers = vec![
            peer("brain", 2, Some(LEFT)),
            peer("dot", 6, Some(RIGHT)),
            peer("wakko", 7, None),
            yakko,
        ];
        let vip = Vip {
            address: IpAddr::V4(VIP),
            link: LEFT,
            home: Home::Peer(PeerId(0)),
            failback: Failback::Yes,
            on_answer: OnAnswer::Wait,
            on_check_failure: OnCheckFailure::Takeover,
            adopted: false,
            shares_lifetime: false,
        };
        let interval = Timing::default_interval(DEAD_AFTER);
        let timing = Timing { dead_after: DEAD_AFTER, interval, back_after: ms(1000) };
        let links = vec![link("left", 3), link("right", 5)];
        let config = Config::new(links, peers, vec![vip], Vec::new(), timing).expect("valid");
        let node = Node::new(config, 1, START);
        let (reports, frames) = (Vec::new(), Vec::new());
        Self { node, now: START, reports, frames, adds: 0, removes: 0 }
    }

    fn give(&mut self, input: Input<'_>) {
        step(&mut self.node, self.now, input);
        step(&mut self.node, self.now, Input::Idle);
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Report(report) => {
                    self.reports.push((self.now.since(START), report));
                }
                Action::SendFrame { frame, .. } => self.frames.push(frame),
                Action::AddAddress { .. } => self.adds += 1,
                Action::RemoveAddress { .. } => self.removes += 1,
                Action::SendEcho { .. }
                | Action::RunCheck { .. }
                | Action::QuietAddress { .. }
                | Action::SendHeartbeat { .. }
                | Action::SignLife { .. }
                | Action::ExtendLease { .. }
                | Action::EndLease { .. }
                | Action::Fence { .. }
                | Action::Stopped => {}
            }
        }
    }

    /// A host says something, which proves that its link carries.
    fn hear(&mut self, link: LinkId, number: u8) {
        let question = ArpPacket::request(mac(number), real(number), real(200));
        let frame = question.encode(mac(number), Mac::BROADCAST);
        self.give(Input::Frame { link, bytes: &frame });
    }

    fn link(&mut self, link: LinkId, up: bool) {
        let number = if link == LEFT { 3 } else { 5 };
        self.give(Input::Link { link, state: state(number, up) });
    }

    fn run(&mut self, length: Duration) {
        let end = self.now + length;
        while let Some((at, _)) = self.node.poll_timeout().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.give(Input::Idle);
        }
        self.now = end;
    }

    /// When a host was pronounced dead.
    fn died(&self, name: &str) -> Option<Duration> {
        let verdict =
            |report: &Report| matches!(report, Report::PeerDead { peer, .. } if &**peer == name);
        self.reports.iter().find(|(_, report)| verdict(report)).map(|(at, _)| *at)
    }
}

#[test]
fn a_frame_proves_its_own_link_only() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 99);
    shell.run(ms(2999));
    assert_eq!(shell.died("brain"), Some(DEAD_AFTER), "its link carries");
    assert_eq!(shell.died("wakko"), Some(DEAD_AFTER), "some link carries");
    assert_eq!(shell.died("dot"), None, "the port on the right may still be asleep");
    shell.run(ms(1));
    assert_eq!(shell.died("dot"), Some(ms(3000)));
}

#[test]
fn a_flapping_link_does_not_hide_a_death_on_another() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 2);
    for _ in 0..10 {
        shell.link(RIGHT, false);
        shell.run(ms(20));
        shell.link(RIGHT, true);
        shell.run(ms(20));
    }
    assert_eq!(shell.died("brain"), Some(DEAD_AFTER));
    assert_eq!(shell.died("dot"), None, "judged only once its link is up for good");
    assert_eq!(shell.died("wakko"), None, "it may be behind either");
    assert_eq!(shell.adds, 1);
}

#[test]
fn a_link_that_is_down_pauses_those_behind_it_alone() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 2);
    shell.hear(RIGHT, 6);
    shell.link(LEFT, false);
    shell.run(ms(10_000));
    assert_eq!(shell.died("brain"), None);
    assert_eq!(shell.died("dot"), Some(DEAD_AFTER));
    shell.link(LEFT, true);
    shell.run(ms(2999));
    assert_eq!(shell.died("brain"), None);
    shell.run(ms(2));
    assert!(shell.died("brain").is_some());
}

#[test]
fn one_of_the_home_is_not_believed_on_another_link() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 99);
    shell.hear(RIGHT, 99);
    shell.run(ms(150));
    shell.hear(RIGHT, 2);
    shell.run(ms(50));
    assert_eq!(shell.died("brain"), Some(DEAD_AFTER));
}

#[test]
fn let_go_while_the_link_is_down_and_wanted_again_it_waits_for_the_link() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 2);
    shell.run(DEAD_AFTER);
    shell.give(Input::AddressAdded { vip: VipId(0), result: Ok(()) });
    // Brain claims it, and dies again before the kernel has removed it.
    let claim = ArpPacket::gratuitous_request(mac(2), VIP).encode(mac(2), Mac::BROADCAST);
    shell.give(Input::Frame { link: LEFT, bytes: &claim });
    assert_eq!(shell.removes, 1);
    shell.run(DEAD_AFTER);
    shell.link(LEFT, false);
    shell.give(Input::AddressRemoved { vip: VipId(0), result: Ok(()) });
    let adds = shell.adds;
    shell.run(ms(5000));
    assert_eq!(shell.adds, adds, "not claimed on a dead link");
    shell.link(LEFT, true);
    shell.run(ms(400));
    assert_eq!(shell.adds, adds + 1);
}

#[test]
fn after_a_stop_nothing_is_asked_any_more() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 2);
    shell.give(Input::Stop);
    shell.frames.clear();
    shell.run(ms(5000));
    let questions = shell.frames.iter().filter(|frame| {
        neighbour::hear(frame).is_ok_and(|heard| heard.asks == Some(IpAddr::V4(VIP)))
    });
    assert_eq!(questions.count(), 0);
    assert_eq!(shell.adds, 0);
}

#[test]
fn ids_that_name_nothing_are_ignored() {
    let mut shell = Shell::new();
    for id in [1, 2, 1000, u32::MAX] {
        shell.give(Input::AddressAdded { vip: VipId(id), result: Ok(()) });
        shell.give(Input::AddressRemoved { vip: VipId(id), result: Err(String::new()) });
        shell.give(Input::AddressLost { vip: VipId(id) });
        shell.give(Input::ProbeNotSent {
            peer: PeerId(id + u32::from(id < 3) * 2),
            why: "no route",
        });
        shell.give(Input::Link { link: LinkId(id.max(2)), state: state(3, false) });
        shell.give(Input::Frame { link: LinkId(id.max(2)), bytes: &[0; 60] });
    }
    shell.hear(LinkId(2), 2);
    shell.run(ms(100));
    assert_eq!(shell.reports, [], "nothing came of it");
}

#[test]
fn a_host_is_asked_on_each_link_where_it_was_seen_there() {
    let mut shell = Shell::new();
    shell.hear(LEFT, 8);
    shell.frames.clear();
    shell.run(ms(60));
    let asked = |number: u8| -> Vec<Mac> {
        let about =
            |frame: &&Frame| arp::parse(frame).is_ok_and(|(_, arp)| arp.target_ip == real(number));
        let to = |frame: &Frame| Mac(frame[..6].try_into().expect("an Ethernet frame"));
        shell.frames.iter().filter(about).map(to).collect()
    };
    assert!(asked(8).contains(&mac(8)), "{:?}", asked(8));
    assert!(!asked(9).is_empty() && asked(9).iter().all(|to| *to == Mac::BROADCAST));
}
