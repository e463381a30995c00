//! Real inputs to begin with: what our own encoders write, what a kernel said, files that people
//! have.
//!
//! Owns the first corpus; `cargo xtask fuzz` goes on from there. Invariant: the same seeds on every
//! machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::time::Duration;

use standin_core::heartbeat::{
    ConfigDigest, Draft, Flags, Header, Incarnation, NodeId, Role, Unreachable, VipState,
};
use standin_core::lease::{Answer, Ask, Ballot, Key, message};
use standin_core::wire::{Advertisement, ArpPacket, Echo, Mac, Solicitation};
use standin_sys::netlink::message::append_message;

use crate::sealing::{cluster as cluster_id, ring};

const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0xbb, 0xcc]);
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 37);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x37);

/// A bare heartbeat, one with every section, and one with many groups.
pub fn heartbeats() -> Vec<Vec<u8>> {
    let header = Header {
        sender: NodeId::of("pinky"),
        receiver: NodeId::of("brain"),
        number: 1,
        flags: Flags::QUERY,
        config: ConfigDigest { nodes: 1, vips: 2 },
        incarnation: Incarnation::from_random(3),
        counter: NonZeroU64::MIN,
        heard: None,
        challenge: None,
        response: None,
        stamp: None,
        echo: None,
    };
    let write = |sections: fn(&mut Draft<'_>)| {
        let mut bytes = Vec::new();
        let mut draft = Draft::new(cluster_id(), &header, &mut bytes);
        sections(&mut draft);
        draft.seal(&ring());
        bytes
    };
    let holding =
        VipState { role: Role::Holding, eligible: true, healthy: true, ..VipState::default() };
    let bare = write(|_| ());
    let full = write(|draft| {
        let _ = draft.unreachable(Unreachable(2));
        let _ = draft.section(3, &[0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
        let _ = draft.section(4, &[1, 0, 0, 0, 1, 0, 0, 1]);
        draft.vip_states(0, &[VipState::default(); 3]);
    });
    let mut many = Vec::new();
    let mut draft = Draft::new(cluster_id(), &header, &mut many);
    draft.vip_states(7, &[[holding; 300].as_slice(), &[VipState::default(); 40]].concat());
    draft.seal(&ring());
    // Behind the gate's questions the tag is made anew.
    let cut = full[..full.len() - 16].to_vec();
    vec![bare, full, many, cut]
}

/// A run that is challenged, believed, followed by another, and played again.
pub fn sessions() -> Vec<Vec<u8>> {
    let life = [0, 2, 0, 1, 0, 0, 1, 5, 0, 6, 0, 0, 2, 1, 1, 0, 0, 1, 6, 7, 0, 1];
    vec![life.to_vec(), [life, life].concat(), (0..=255).collect()]
}

/// ARP in all its forms.
pub fn arp() -> Vec<Vec<u8>> {
    let packets = [
        ArpPacket::probe(MAC, V4),
        ArpPacket::gratuitous_request(MAC, V4),
        ArpPacket::gratuitous_reply(MAC, V4),
        ArpPacket::request(MAC, V4, Ipv4Addr::new(192, 0, 2, 1)),
    ];
    let frames = packets.map(|packet| packet.encode(MAC, Mac::BROADCAST).to_vec());
    let bodies: Vec<Vec<u8>> = frames.iter().map(|frame| frame[14..].to_vec()).collect();
    frames.into_iter().chain(bodies).collect()
}

/// Neighbour discovery in all its forms, and the bodies alone.
pub fn ndp() -> Vec<Vec<u8>> {
    let frames = [
        Solicitation::probe(MAC, V6).encode(),
        Solicitation::request(MAC, V6, V6, None).encode(),
        Solicitation::request(MAC, V6, V6, Some(MAC)).encode(),
        Advertisement::unsolicited(MAC, V6, true).encode(),
    ];
    let mut seeds: Vec<Vec<u8>> = frames.iter().map(|frame| frame.to_vec()).collect();
    for (choice, frame) in (0..).zip(&frames) {
        // A choice of addresses, and what stands behind type, code and checksum.
        seeds.push([&[choice], &frame[58..]].concat());
        seeds.push([&[choice | 8], &frame[58..]].concat());
    }
    seeds
}

/// Frames of both.
pub fn frames() -> Vec<Vec<u8>> {
    let (mut frames, ndp) = (arp(), ndp());
    frames.truncate(4);
    frames.extend(ndp.into_iter().take(4));
    frames
}

/// Echo replies of both families.
pub fn icmp() -> Vec<Vec<u8>> {
    let echo = Echo { identifier: 1, sequence: 2, cookie: 3 };
    let requests = [echo.encode_request_v4().to_vec(), echo.encode_request_v6().to_vec()];
    let mut seeds = requests.to_vec();
    for (mut reply, kind) in requests.into_iter().zip([0, 129]) {
        reply[..4].copy_from_slice(&[kind, 0, 0, 0]);
        if kind == 0 {
            let sum = standin_core::wire::checksum::internet(&reply);
            reply[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        seeds.push(reply);
    }
    seeds
}

/// A link, an address, a route with several ways, a neighbour, and acknowledgements good and bad.
pub fn netlink() -> Vec<Vec<u8>> {
    let message = |kind, flags, fixed: &[u8], fill: fn(&mut Payload<'_>)| {
        let mut bytes = Vec::new();
        append_message(&mut bytes, kind, flags, 1, |payload| fill(payload.bytes(fixed)));
        bytes
    };
    let link = message(16, 0, &[0, 0, 1, 0, 2, 0, 0, 0, 0x43, 0x10, 1, 0, 0, 0, 0, 0], |link| {
        link.attribute_text(3, "eth0").attribute(1, &MAC.0).attribute_u32(4, 1500);
        link.attribute(16, &[6]).attribute(33, &[1]).nest(18, |info| {
            info.attribute_text(1, "veth");
        });
    });
    let address = message(20, 0, &[2, 32, 2, 0, 2, 0, 0, 0], |address| {
        address.attribute_ip(1, V4.into()).attribute_ip(2, V4.into()).attribute_text(3, "eth0");
        address.attribute_u32(8, 0x80).attribute(11, &[0x5d]).attribute(6, &[2; 16]);
    });
    let route = message(24, 0, &[2, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], |route| {
        route.attribute_ip(5, V4.into()).attribute_u32(4, 2).attribute_u32(15, 254);
        let hop = [16, 0, 0, 0, 2, 0, 0, 0, 8, 0, 5, 0, 192, 0, 2, 1];
        route.attribute(9, &[hop, hop].concat());
    });
    let neighbour = message(28, 0, &[2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 1], |neighbour| {
        neighbour.attribute_ip(1, V4.into()).attribute(2, &MAC.0);
    });
    let good = message(2, 0x100, &[0; 20], |_| ());
    let mut refused = (-1_i32).to_ne_bytes().to_vec();
    refused.extend([20, 0, 0, 0, 16, 0, 5, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    let mut bad = Vec::new();
    append_message(&mut bad, 2, 0x300, 1, |payload| {
        payload.bytes(&refused).attribute_text(1, "no").attribute_u32(2, 20);
    });
    let done = message(3, 2, &[0; 4], |_| ());
    let dump = [link.as_slice(), &address, &route, &neighbour, &done].concat();
    vec![link, address, route, neighbour, good, bad, dump]
}

type Payload<'b> = standin_sys::netlink::message::Payload<'b>;

/// A table and the elements of a set.
pub fn nftables() -> Vec<Vec<u8>> {
    let mut table = Vec::new();
    append_message(&mut table, 0x0a00, 2, 1, |payload| {
        payload.bytes(&[2, 0, 0, 0]).attribute_text(1, "standin").attribute_be32(2, 0);
    });
    let mut elements = Vec::new();
    append_message(&mut elements, 0x0a0c, 2, 1, |payload| {
        payload.bytes(&[2, 0, 0, 0]).attribute_text(1, "standin").attribute_text(2, "held");
        payload.nest(3, |list| {
            for last in [1, 2] {
                list.nest(1, |element| {
                    let address: IpAddr = [192, 0, 2, last].into();
                    element.nest(1, |key| {
                        key.attribute_ip(1, address);
                    });
                    element.attribute_be64(4, 500).attribute_be64(5, 16);
                });
            }
        });
    });
    vec![table[16..].to_vec(), elements[16..].to_vec(), table, elements]
}

/// Every command, and what is none.
pub fn control() -> Vec<Vec<u8>> {
    [
        r#"{"command":"status"}"#,
        r#"{"command":"explain","vip":"192.0.2.37"}"#,
        r#"{"command":"plan","fail":["pinky","brain"]}"#,
        r#"{"command":"move","vip":"192.0.2.37","node":"brain"}"#,
        r#"{"command":"drain","node":"pinky"}"#,
        r#"{"command":"stop","keep":true}"#,
        r#"{"command":7}"#,
        r#"["status"]"#,
        r#"{"command":"\ud800"}"#,
    ]
    .map(|line| format!("{line}\n").into_bytes())
    .to_vec()
}

/// The examples that are installed.
pub fn files() -> Vec<Vec<u8>> {
    [
        include_str!("../../packaging/examples/two-node-web.toml"),
        include_str!("../../packaging/examples/three-nodes.toml"),
        include_str!("../../packaging/examples/pool.toml"),
        include_str!("../../packaging/examples/mixed-families.toml"),
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A key, and both steps of a rotation.
pub fn key_files() -> Vec<Vec<u8>> {
    let (old, new) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
    [
        format!("# a comment\n{old}\n"),
        format!("{old}\nnext {new}\n"),
        format!("{old} # sent\nprevious {new}"),
        format!("next {old}\n{new}\n"),
        format!("{old}{new}\n"),
    ]
    .map(String::into_bytes)
    .to_vec()
}

/// Checks of every kind, and durations.
pub fn checks() -> Vec<Vec<u8>> {
    [
        "http://{vip}/",
        "https://user:password@www.example.com:8443/path?query=1#part",
        "http://[2001:db8::37]:8080/%20",
        "tcp:443",
        "tcp:{vip}:25",
        "tcp:[::1]:80",
        "command:'/usr/bin/check me' \"two words\" a\\ b",
        "1.5s",
        "20ms",
        "200-299,401",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A configuration that is all defaults, and then these choices.
fn script(steps: &[&[u8]]) -> Vec<u8> {
    [[0_u8; 24].as_slice(), &steps.concat()].concat()
}

/// All is well, then the host dies, then the address is here, then it comes back.
pub fn node() -> Vec<Vec<u8>> {
    let (well, dead) = ([3, 0x7f, 23].as_slice(), [3, 0, 23].as_slice());
    let mut seeds = vec![
        script(&[well, dead, dead, well, well]),
        script(&[well, dead, dead, &[11, 0, 100, 0, 1], dead, &[16, 0], dead]),
        script(&[well, dead, dead, &[14, 0, 1], dead, &[14, 0, 0], well, &[25, 0], dead]),
    ];
    // Other configurations with the same life.
    for byte in [1, 2, 5, 0x33, 0x55, 0xff] {
        let mut seed = script(&[well, dead, dead, &[24, 0, 1, 0, 1], well]);
        seed[..24].fill(byte);
        seeds.push(seed);
    }
    seeds
}

/// All is well, then a fellow dies; a move, a drain, an end.
pub fn cluster() -> Vec<Vec<u8>> {
    let (well, dead) = ([3, 0x7f, 23].as_slice(), [3, 0, 23].as_slice());
    let mut seeds = Vec::new();
    for byte in [0, 1, 2, 5, 0x33, 0x55, 0xff] {
        for life in [
            script(&[well, dead, dead, well, well]),
            script(&[well, &[23, 0, 1], well, &[22, 0, 1], well, dead]),
            script(&[well, &[18, 0, 3, 2, 30, 30, 1, 0, 0, 20], well, &[25, 0], well]),
        ] {
            let mut seed = life;
            seed[..24].fill(byte);
            seeds.push(seed);
        }
    }
    seeds
}

/// Some worlds.
pub fn simulation() -> Vec<Vec<u8>> {
    (0..12_u8)
        .map(|first| (0..64_u8).map(|at| first.wrapping_add(at.wrapping_mul(37))).collect())
        .collect()
}

/// A lease that is got, renewed, given up and got by another; and sections.
pub fn leases() -> Vec<Vec<u8>> {
    let clocks = [0, 1, 9, 1, 3, 1];
    let got = [0, 17, 2, 5, 5, 0, 14, 5];
    let life = [clocks.as_slice(), &got, &[12, 5, 0x12, 0x15, 0x15, 0, 16, 0x15]].concat();
    let slow = [&[0, 0, 9, 2, 3, 0], got.as_slice(), &[0, 17, 0x12, 0x15, 0x15, 0, 15]].concat();
    let again = [&[14, 0x1e, 0x22, 0x25, 0, 17, 0x25, 0x25], [0x25; 3].as_slice()].concat();
    let again = [clocks.as_slice(), &got, &again].concat();
    let mut asks = Vec::new();
    let head = message::AsksHead { tags: [1, 2], stamp: 3, length: Duration::from_millis(60) };
    message::put_head(&mut asks, &head);
    let (key, ballot) = (Key(7), Ballot { round: 1, run: 2 });
    message::put_ask(&mut asks, key, ballot, Ask::Prepare);
    message::put_ask(&mut asks, key, ballot, Ask::Propose);
    let mut answers = Vec::new();
    let left = Duration::from_millis(5);
    for answer in [
        Answer::Promised,
        Answer::Granted { stamp: 3, length: left },
        Answer::Taken { holder: 1, ballot, left },
        Answer::Outbid(ballot),
        Answer::Quiet { left },
    ] {
        message::put_answer(&mut answers, key, ballot, &answer);
    }
    vec![life, slow, again, asks, answers, message::voters_body(1, true)]
}

/// What keepalived's users have; the first byte says where a second file begins.
pub fn keepalived() -> Vec<Vec<u8>> {
    let one = "global_defs {\n  router_id a\n}\nvrrp_script chk {\n  script \"/bin/true\"\n  interval \
               2\n}\nvrrp_instance V {\n  state MASTER\n  interface eth0\n  virtual_router_id 51\n  \
               priority 150\n  advert_int 1\n  authentication {\n    auth_type PASS\n    auth_pass \
               secret12\n  }\n  unicast_src_ip 10.0.0.1\n  unicast_peer {\n    10.0.0.2\n  }\n  \
               virtual_ipaddress {\n    10.0.0.9/24 dev eth0\n  }\n  track_script {\n    chk\n  \
               }\n}\n";
    let two = one
        .replace("MASTER", "BACKUP")
        .replace("150", "100")
        .replace("_ip 10.0.0.1", "_ip 10.0.0.2");
    let macros = "$P=150\n@^b vrrp_instance X {\n}\ninclude /etc/b.conf\n~SEQ(i, 1, 3) x$i\n";
    let first = |number: u8, text: &str| [&[number], text.as_bytes()].concat();
    vec![first(0, one), first(255, &format!("{one}{two}")), first(0, macros)]
}
