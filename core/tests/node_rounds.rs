//! When rounds of probes go out, and to whom: together, and to all only now and then.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use standin_core::config::{
    Failback, Home, Link, LinkId, LinkState, OnAnswer, OnCheckFailure, Peer, PeerAddress, PeerId,
    Timing, Vip, VipId,
};
use standin_core::wire::arp::{ArpPacket, Operation};
use standin_core::wire::mac::Mac;
use standin_core::{Action, Config, Input, Instant, Node, step};

const INTERVAL: Duration = Duration::from_millis(50);
/// In the middle of an interval.
const SPEAKS: Instant = Instant::from_nanos(1_013_000_000);
const OURS: (Ipv4Addr, Mac) = (Ipv4Addr::new(192, 0, 2, 9), Mac([2, 0, 0, 0, 0, 9]));

fn host(number: u8) -> (Ipv4Addr, Mac) {
    (Ipv4Addr::new(192, 0, 2, number), Mac([2, 0, 0, 0, 0, number]))
}

fn node(hosts: u8) -> Node {
    node_with(hosts, INTERVAL, Vec::new())
}

fn node_with(hosts: u8, interval: Duration, vips: Vec<Vip>) -> Node {
    let state = LinkState {
        up: true,
        mac: OURS.1,
        ipv4: Some(OURS.0),
        ipv6: None,
        gateways: Vec::new(),
        router: false,
    };
    let links = vec![Link { name: Arc::from("eth0"), state }];
    let peer = |number| {
        let address = PeerAddress { ip: IpAddr::V4(host(number).0), link: Some(LinkId(0)) };
        Peer { name: Arc::from(format!("host{number}")), addresses: vec![address] }
    };
    let peers = (1..=hosts).map(peer).collect();
    let timing = Timing { dead_after: interval * 4, interval, back_after: Duration::ZERO };
    let config = Config::new(links, peers, vips, Vec::new(), timing).expect("valid");
    Node::new(config, 1, Instant::from_nanos(0))
}

/// A probe by ARP: when, of which host, and whether to all.
struct Probe {
    at: Instant,
    peer: PeerId,
    to_all: bool,
}

/// A host answers.
fn hear(node: &mut Node, now: Instant, peer: PeerId) {
    let (ip, mac) = host(peer.0 as u8 + 1);
    let answer = ArpPacket {
        operation: Operation::Reply,
        sender_mac: mac,
        sender_ip: ip,
        target_mac: OURS.1,
        target_ip: OURS.0,
    };
    let frame = answer.encode(mac, OURS.1);
    step(node, now, Input::Frame { link: LinkId(0), bytes: &frame });
}

/// Runs until `end`; `answers` says whether a host answers a probe at that moment. The second host says something of itself at 1013 ms.
fn run(node: &mut Node, end: Instant, answers: impl Fn(Instant, PeerId) -> bool) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut now = Instant::from_nanos(0);
    while now < end {
        step(node, now, Input::Idle);
        let mut heard = Vec::new();
        if now == SPEAKS {
            heard.push(PeerId(1));
        }
        while let Some(action) = node.poll_action() {
            if let Action::SendFrame { frame, probes: Some(peer), .. } = action {
                probes.push(Probe { at: now, peer, to_all: frame[..6] == [0xff; 6] });
                heard.extend(answers(now, peer).then_some(peer));
            }
        }
        for peer in heard {
            hear(node, now, peer);
        }
        let next = node.poll_timeout().map_or(end, |(deadline, _)| deadline.max(now));
        now = if now < SPEAKS { next.min(SPEAKS) } else { next };
    }
    probes
}

fn at(millis: u64) -> Instant {
    Instant::from_nanos(millis * 1_000_000)
}

#[test]
fn hosts_that_began_apart_are_probed_together_and_none_later_than_alone() {
    // The second does not answer at first, so that its rounds begin elsewhere.
    let probes = run(&mut node(3), at(4000), |now, peer| peer.0 != 1 || now > SPEAKS);
    let late: Vec<&Probe> = probes.iter().filter(|probe| probe.at > at(3000)).collect();
    let mut moments: Vec<Instant> = late.iter().map(|probe| probe.at).collect();
    moments.dedup();
    assert_eq!(late.len(), moments.len() * 3, "each moment serves all three");
    for pair in moments.windows(2) {
        assert_eq!(pair[1].since(pair[0]), INTERVAL);
    }
    for peer in (0..3).map(PeerId) {
        // A verdict, which the second had, begins a new count of the interval.
        let own = probes.iter().filter(|probe| probe.peer == peer && probe.at > at(1000));
        let own: Vec<Instant> = own.map(|probe| probe.at).collect();
        assert!(own.windows(2).all(|pair| pair[1].since(pair[0]) <= INTERVAL), "{peer:?}");
    }
}

#[test]
fn a_silent_host_is_asked_for_by_broadcast_first_last_and_now_and_then() {
    let probes = run(&mut node(1), at(2000), |now, _| now < at(1000));
    let silent: Vec<&Probe> = probes.iter().filter(|probe| probe.at >= at(1000)).collect();
    // The last answer came before 1000 ms: the burst is what is closer together than an interval.
    let burst: Vec<&&Probe> = silent.iter().filter(|probe| probe.at < at(1200)).collect();
    let begins = burst.iter().position(|probe| probe.to_all).expect("its first is to all");
    let burst = &burst[begins..];
    for (round, probe) in (1..=24).zip(burst) {
        let expected = round == 1 || round % 8 == 0;
        assert_eq!(probe.to_all, expected, "round {round}");
    }
    assert!(burst.len() >= 20, "{} rounds", burst.len());
    let dead: Vec<&&Probe> = silent.iter().filter(|probe| probe.at > at(1250)).collect();
    let to_all = dead.iter().filter(|probe| probe.to_all).count();
    assert!(to_all >= 1 && to_all * 6 <= dead.len(), "{to_all} of {}", dead.len());
}

/// When rounds went out, and when addresses were added or renewed. The one host answers, the kernel does
/// as it is told, and each turn begins a tenth of a millisecond late.
fn rounds_and_renewals(node: &mut Node, end: Instant) -> (Vec<Instant>, Vec<(Instant, VipId)>) {
    let (mut rounds, mut renewals) = (Vec::new(), Vec::new());
    let mut now = Instant::from_nanos(0);
    while now < end {
        step(node, now, Input::Idle);
        let mut heard = false;
        while let Some(action) = node.poll_action() {
            match action {
                Action::SendFrame { probes: Some(_), .. } => {
                    rounds.push(now);
                    heard = true;
                }
                Action::AddAddress { vip, .. } => {
                    renewals.push((now, vip));
                    step(node, now, Input::AddressAdded { vip, result: Ok(()) });
                }
                _ => {}
            }
        }
        if heard {
            hear(node, now, PeerId(0));
        }
        step(node, now, Input::Idle);
        now = node.poll_timeout().map_or(end, |(at, _)| at.max(now)) + Duration::from_micros(100);
    }
    (rounds, renewals)
}

fn own(number: u8) -> Vip {
    Vip {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, number)),
        link: LinkId(0),
        home: Home::Here,
        failback: Failback::Yes,
        on_answer: OnAnswer::Wait,
        on_check_failure: OnCheckFailure::Takeover,
        adopted: false,
        shares_lifetime: false,
    }
}

#[test]
fn addresses_are_renewed_when_a_round_wakes_the_node_anyway() {
    for interval in [10, 20, 50, 100, 125, 250].map(Duration::from_millis) {
        let mut node = node_with(1, interval, vec![own(100), own(101)]);
        let (rounds, renewals) = rounds_and_renewals(&mut node, at(20_000));
        for vip in [0, 1].map(VipId) {
            // Announcements are rare by then.
            let own = renewals.iter().filter(|(_, renewed)| *renewed == vip);
            let own: Vec<Instant> =
                own.map(|(at, _)| *at).filter(|then| *then > at(6000)).collect();
            assert!(own.len() >= 26, "{interval:?}: {} renewals in 14 s", own.len());
            assert!(own.len() <= 36, "{interval:?}: {} renewals in 14 s", own.len());
            for moment in own {
                assert!(rounds.contains(&moment), "{interval:?}: {moment:?} was no round");
            }
        }
    }
}

#[test]
fn addresses_are_renewed_in_time_where_rounds_are_rare() {
    for interval in [251, 300, 1000, 9000].map(Duration::from_millis) {
        let mut node = node_with(1, interval, vec![own(100)]);
        let (_, renewals) = rounds_and_renewals(&mut node, at(20_000));
        for pair in renewals.windows(2) {
            let pause = pair[1].0.since(pair[0].0);
            assert!(pause <= Duration::from_millis(521), "{interval:?}: {pause:?}");
        }
        assert!(renewals.len() >= 38, "{interval:?}: {}", renewals.len());
    }
}

/// The kernel's word on ten thousand comes by and by, and rounds come in between: all that would scatter
/// their renewals, each of which wakes the process.
#[test]
fn a_crowd_is_renewed_at_few_moments_and_stays_so() {
    let crowd =
        |number: u32| Vip { address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)), ..own(0) };
    let mut node = node_with(1, Duration::from_millis(250), (0..10_000).map(crowd).collect());
    let mut now = Instant::from_nanos(0);
    let mut renewed = vec![now; 10_000];
    let mut moments = Vec::new();
    while now < at(20_000) {
        step(&mut node, now, Input::Idle);
        let (mut probed, mut added) = (false, 0_u32);
        while let Some(action) = node.poll_action() {
            match action {
                Action::SendFrame { probes: Some(_), .. } => probed = true,
                Action::AddAddress { vip, .. } => {
                    if now > at(5000) {
                        let pause = now.since(renewed[vip.index()]);
                        assert!(pause <= Duration::from_millis(525), "{vip:?}: {pause:?}");
                    }
                    renewed[vip.index()] = now;
                    added += 1;
                    let acknowledged = now + Duration::from_micros(added.into());
                    step(&mut node, acknowledged, Input::AddressAdded { vip, result: Ok(()) });
                }
                _ => {}
            }
        }
        if added > 0 && now > at(5000) {
            assert!(added <= 1000, "{added} renewals in one turn");
            moments.push(now);
        }
        if probed {
            hear(&mut node, now, PeerId(0));
        }
        let next = node.poll_timeout().map_or(at(20_000), |(due, _)| due.max(now));
        now = next + Duration::from_micros(100);
    }
    // Ten thousand, a thousand together, about twice a second: 20 moments, and a few that are not full.
    assert!(moments.len() <= 15 * 25, "{} moments in 15 s", moments.len());
}
