//! Judgements about hosts that are made up, and the parts of a plan for one.

use std::net::{IpAddr, Ipv4Addr};

use standin_core::config::{Failback, Home, LinkId, OnAnswer, OnCheckFailure};
use standin_sys::error::Error;
use standin_sys::netlink::route::NextHop;
use standin_sys::netlink::{Address, Link, Route, RouteKind};

use super::plan::label;
use super::*;
use crate::checks::Probe;
use crate::log::{Format, Level};

/// A host with `lo`, `eth0` 10.0.0.1/24 and `fe80::1/64`, `eth1` 192.0.2.1/25 that is down, and
/// `tun0` without ARP. The gateway is 10.0.0.254.
struct Fake {
    links: Vec<Link>,
    addresses: Vec<Address>,
    /// Not in the first answer: it comes meanwhile.
    late: Option<Address>,
    lacks_ipv6: bool,
}

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        mac: Some([2, 0, 0, 0, 0, index as u8]),
        up: true,
        running: true,
        loopback: false,
        no_arp: false,
        point_to_point: false,
        mtu: 1500,
        hardware_type: 1,
        master: None,
        driver_kind: None,
    }
}

fn address(ifindex: u32, text: &str, prefix: u8) -> Address {
    Address {
        ifindex,
        ip: ip(text),
        prefix,
        label: None,
        flags: 0,
        scope: 0,
        proto: None,
        valid_lft_s: None,
        preferred_lft_s: None,
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Fake {
    fn new() -> Self {
        let lo = Link { loopback: true, hardware_type: 772, ..link(1, "lo") };
        let down = Link { up: false, running: false, ..link(3, "eth1") };
        let tun = Link { no_arp: true, hardware_type: 65534, mac: None, ..link(4, "tun0") };
        let addresses = vec![
            address(1, "127.0.0.1", 8),
            address(2, "10.0.0.1", 24),
            address(2, "fe80::1", 64),
            address(2, "2001:db8::1", 64),
            address(3, "192.0.2.1", 25),
            address(4, "10.8.0.1", 24),
        ];
        Self {
            links: vec![lo, link(2, "eth0"), down, tun],
            addresses,
            late: None,
            lacks_ipv6: false,
        }
    }

    fn with_leftover(text: &str) -> Self {
        let mut fake = Self::new();
        let left = Address { proto: Some(ADDRESS_PROTO), ..address(2, text, 32) };
        fake.addresses.push(left);
        fake
    }
}

impl Kernel for Fake {
    fn links(&mut self) -> std::result::Result<Vec<Link>, Error> {
        Ok(self.links.clone())
    }

    fn addresses(&mut self) -> std::result::Result<Vec<Address>, Error> {
        let told = self.addresses.clone();
        self.addresses.extend(self.late.take());
        Ok(told)
    }

    fn route_to(
        &mut self,
        to: IpAddr,
        through: Option<u32>,
    ) -> std::result::Result<Option<Route>, Error> {
        let local = self.addresses.iter().any(|address| address.ip == to);
        let is_up = |ifindex: u32| self.links.iter().any(|link| link.index == ifindex && link.up);
        let connected = self
            .addresses
            .iter()
            .filter(|address| is_up(address.ifindex))
            .filter(|address| through.is_none_or(|ifindex| ifindex == address.ifindex))
            .find(|address| shares_subnet(to, address.ip, address.prefix));
        let (kind, ifindex, gateway) = match connected {
            _ if local => (RouteKind::Local, 1, None),
            Some(address) => (RouteKind::Unicast, address.ifindex, None),
            None if to.is_ipv4() => (RouteKind::Unicast, 2, Some(ip("10.0.0.254"))),
            None => return Ok(None),
        };
        Ok(Some(Route {
            kind,
            destination: to,
            prefix: 32,
            next_hops: vec![NextHop { ifindex, gateway }],
            preferred_source: None,
            table: 254,
            metric: 0,
            protocol: 2,
        }))
    }

    fn gateways(&mut self, ifindex: u32) -> std::result::Result<Vec<IpAddr>, Error> {
        Ok(if ifindex == 2 { vec![ip("10.0.0.254")] } else { Vec::new() })
    }

    fn is_router(&mut self, _: &str) -> bool {
        false
    }

    fn lacks_ipv6(&mut self, _: &str) -> bool {
        self.lacks_ipv6
    }
}

fn options(vips: &[&str], own: &[&str], interface: Option<&str>) -> ForOptions {
    ForOptions {
        host: "brain.example.org".into(),
        vips: vips.iter().map(|text| ip(text)).collect(),
        own: own.iter().map(|text| ip(text)).collect(),
        interface: interface.map(String::from),
        prefix: None,
        label: None,
        dead_after: std::time::Duration::from_secs(1),
        interval: None,
        back_after: std::time::Duration::from_secs(1),
        failback: Failback::Yes,
        on_answer: OnAnswer::Wait,
        on_check_failure: OnCheckFailure::Takeover,
        checks: Vec::new(),
        socket: None,
        log: Format::Text,
        sandbox: crate::confine::Sandbox::Auto,
        log_level: Level::Info,
    }
}

fn brain(text: &str) -> Vec<Resolved> {
    vec![Resolved { ip: ip(text), scope: None }]
}

fn planned(kernel: &mut Fake, options: &ForOptions, host: &str) -> Result<Plan> {
    plan(options, &brain(host), kernel, "pinky.example.org")
}

#[test]
fn an_address_gets_the_interface_of_its_subnet_and_the_articles_label() {
    let options = options(&["10.0.0.9", "2001:db8::9"], &["10.0.0.8"], None);
    let plan = planned(&mut Fake::new(), &options, "10.0.0.2").expect("a plan");
    assert_eq!(plan.ifindexes, [2]);
    let labels: Vec<_> = plan.installs.iter().map(|one| one.label.as_deref()).collect();
    assert_eq!(labels, [Some("eth0:brain"), None, Some("eth0:pinky")]);
    let prefixes: Vec<_> = plan.installs.iter().map(|one| one.prefix).collect();
    assert_eq!(prefixes, [32, 128, 32]);
    assert_eq!(plan.vips[0].home, Home::Peer(PeerId(0)));
    assert_eq!(plan.vips[2].home, Home::Here);
    let state = &plan.links[0].state;
    assert_eq!(state.ipv4, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(state.ipv6.map(IpAddr::from), Some(ip("fe80::1")));
    assert_eq!(state.gateways, [ip("10.0.0.254")]);
    assert_eq!(plan.peers[0].addresses[0].link, Some(LinkId(0)));
    assert!(plan.warnings.is_empty());
}

#[test]
fn a_host_behind_a_gateway_is_watched_without_arp() {
    let options = options(&["10.0.0.9"], &[], None);
    let plan = planned(&mut Fake::new(), &options, "203.0.113.7").expect("a plan");
    assert_eq!(plan.peers[0].addresses[0].link, None);
}

#[test]
fn an_address_in_no_subnet_needs_the_interface_named() {
    let bare = options(&["203.0.113.9"], &[], None);
    let failure = planned(&mut Fake::new(), &bare, "10.0.0.2").expect_err("no subnet");
    assert_eq!(failure.code(), Code::Config);
    assert!(failure.to_string().contains("in no connected subnet"), "{failure}");
    assert!(failure.to_string().contains("--interface eth0"), "{failure}");
    let named = options(&["203.0.113.9"], &[], Some("eth0"));
    let plan = planned(&mut Fake::new(), &named, "10.0.0.2").expect("a plan");
    assert_eq!(plan.installs[0].ifindex, 2);
}

#[test]
fn a_link_local_address_on_several_links_needs_the_interface_named() {
    let bare = options(&["fe80::9"], &[], None);
    let plan = planned(&mut Fake::new(), &bare, "10.0.0.2").expect("there is one link");
    assert_eq!(plan.installs[0].ifindex, 2);
    let mut fake = Fake::new();
    fake.links.push(link(5, "eth2"));
    fake.addresses.push(address(5, "fe80::2", 64));
    let failure = planned(&mut fake, &bare, "10.0.0.2").expect_err("either would do");
    assert_eq!(failure.code(), Code::Config);
    assert!(failure.to_string().contains("one of eth0, eth2"), "{failure}");
    assert!(failure.to_string().contains("--interface eth0"), "{failure}");
    let named = options(&["fe80::9"], &[], Some("eth2"));
    let plan = planned(&mut fake, &named, "10.0.0.2").expect("a plan");
    assert_eq!(plan.installs[0].ifindex, 5);
}

#[test]
fn what_this_host_makes_impossible_is_refused() {
    for (vip, interface, host, code, reason) in [
        ("10.0.0.9", Some("eht0"), "10.0.0.2", Code::Unavailable, "did you mean --interface eth0?"),
        ("10.0.0.9", Some("eth1"), "10.0.0.2", Code::Unavailable, "eth1 is down"),
        ("192.0.2.9", None, "10.0.0.2", Code::Unavailable, "eth1 is down"),
        ("10.0.0.9", Some("lo"), "10.0.0.2", Code::Config, "lo is a loopback"),
        ("10.0.0.9", Some("tun0"), "10.0.0.2", Code::Config, "tun0 has no ARP"),
        ("192.0.2.9", None, "10.0.0.2", Code::Unavailable, "eth1 is down"),
        ("10.8.0.9", None, "10.0.0.2", Code::Config, "tun0 has no ARP"),
        ("10.0.0.2", None, "10.0.0.2", Code::Config, "HOST's real address"),
        ("10.0.0.1", None, "10.0.0.2", Code::Config, "already on this host, on eth0"),
        ("10.0.0.0", None, "10.0.0.2", Code::Config, "network address of 10.0.0.0/24"),
        ("10.0.0.255", None, "10.0.0.2", Code::Config, "broadcast address of 10.0.0.0/24"),
        ("192.0.2.127", Some("eth0"), "10.0.0.2", Code::Config, "address of 192.0.2.0/25"),
        ("2001:db8::", None, "10.0.0.2", Code::Config, "anycast address of 2001:db8::/64"),
        ("10.0.0.9", None, "10.0.0.1", Code::Config, "is this host itself"),
        ("10.0.0.9", None, "fe80::2", Code::Config, "link-local"),
    ] {
        let options = options(&[vip], &[], interface);
        let failure = planned(&mut Fake::new(), &options, host).expect_err(vip);
        assert!(failure.to_string().contains(reason), "{vip}: {failure}");
        assert_eq!(failure.code(), code, "{vip}: {failure}");
    }
}

#[test]
fn whoever_says_to_be_another_node_is_told_in_the_words_of_the_file() {
    let text = "cluster = \"web\"\nkey-file = \"key\"\nisolated-when-unreachable = \"192.0.2.1\"\n\
                [nodes]\npinky = \"10.0.0.1\"\nbrain = \"10.0.0.2\"\n\
                [[vip]]\naddress = \"10.0.0.9\"\nhome = \"pinky\"\n";
    let file = crate::file::parse(crate::file::Source::new("f", text)).file.expect("a file");
    for (me, said) in [
        (
            1,
            [
                "the node pinky is this host itself (10.0.0.1)",
                "if this host is pinky: --node pinky",
            ],
        ),
        (0, ["the reference 192.0.2.1 is this host itself", "a host that is no node"]),
    ] {
        let me = standin_core::place::NodeId(me);
        let failure = cluster::plan(&file, me, false, &mut Fake::new()).expect_err("this host");
        let shown = failure.to_string();
        assert!(said.iter().all(|part| shown.contains(part)), "{shown}");
    }
}

#[test]
fn an_address_that_is_claimed_while_the_file_is_judged_is_our_own() {
    let late = Address { proto: Some(ADDRESS_PROTO), ..address(2, "10.0.0.9", 32) };
    let mut fake = Fake { late: Some(late), ..Fake::new() };
    let mut ground = Ground::survey(&mut fake).expect("a fake kernel tells");
    let link = ground.interface_of_subnet(ip("10.0.0.9")).expect("its interface");
    assert_eq!(link.name, "eth0");
}

#[test]
fn an_own_address_that_the_administrator_configured_is_refused() {
    let options = options(&[], &["10.0.0.1"], None);
    let failure = planned(&mut Fake::new(), &options, "10.0.0.2").expect_err("not ours");
    assert!(failure.to_string().contains("ip address del 10.0.0.1/24 dev eth0"), "{failure}");
}

#[test]
fn what_a_killed_run_left_over_is_adopted_and_is_nobodys_real_address() {
    let options = options(&["10.0.0.9"], &[], None);
    let mut kernel = Fake::with_leftover("10.0.0.9");
    kernel.addresses.rotate_right(1);
    let plan = planned(&mut kernel, &options, "10.0.0.2").expect("a plan");
    assert!(plan.vips[0].adopted);
    assert_eq!(plan.installs[0].ifindex, 2);
    assert_eq!(plan.links[0].state.ipv4, Some(Ipv4Addr::new(10, 0, 0, 1)));
    let mut plan = plan;
    assert_eq!(plan.disown(&[ip("10.0.0.8")]), []);
    let disowned = plan.disown(&[ip("10.0.0.9")]);
    assert_eq!((disowned.len(), plan.vips[0].adopted), (1, false));
    assert_eq!(disowned[0].address, ip("10.0.0.9"));
}

#[test]
fn before_linux_5_18_a_leftover_is_known_by_its_short_life() {
    let options = options(&["10.0.0.9"], &[], None);
    for (lifetime_s, adopted) in [(2, true), (3600, false)] {
        let mut kernel = Fake::with_leftover("10.0.0.9");
        for left in kernel.addresses.iter_mut().filter(|found| found.prefix == 32) {
            left.proto = None;
            left.valid_lft_s = Some(lifetime_s);
        }
        let plan = planned(&mut kernel, &options, "10.0.0.2");
        assert_eq!(plan.is_ok_and(|plan| plan.vips[0].adopted), adopted);
    }
}

#[test]
fn an_interface_without_carrier_is_a_warning() {
    let mut kernel = Fake::new();
    kernel.links[1].running = false;
    let options = options(&["10.0.0.9", "10.0.0.10"], &[], None);
    let plan = planned(&mut kernel, &options, "10.0.0.2").expect("a plan");
    assert_eq!(plan.warnings, ["eth0 has no carrier: nothing can be watched until it has"]);
    assert!(!plan.links[0].state.up);
}

#[test]
fn an_interface_without_ipv6_is_a_warning_where_it_is_to_carry_it() {
    let mut kernel = Fake::new();
    kernel.lacks_ipv6 = true;
    for (vip, said) in [("10.0.0.9", 0), ("2001:db8::9", 1)] {
        let options = options(&[vip], &[], Some("eth0"));
        let plan = planned(&mut kernel, &options, "10.0.0.2").expect("a plan");
        let about = |warning: &&String| warning.starts_with("IPv6 is switched off on eth0");
        assert_eq!(plan.warnings.iter().filter(about).count(), said, "{:?}", plan.warnings);
    }
}

#[test]
fn each_check_is_made_for_each_vip_it_concerns_and_at_home_while_we_stand_in() {
    let mut options = options(&["10.0.0.9", "10.0.0.10", "2001:db8::9"], &["10.0.0.8"], None);
    let timing = crate::checks::Timing {
        interval: std::time::Duration::from_secs(2),
        timeout: std::time::Duration::from_secs(1),
        rise: 2,
        fall: 3,
    };
    for text in ["http://10.0.0.10/", "tcp:22"] {
        let probe = Probe::parse(text).expect(text);
        options.checks.push(crate::checks::Check { probe, timing });
    }
    let plan = planned(&mut Fake::new(), &options, "10.0.0.2").expect("a plan");
    let probers = checks::probers(&options.checks).expect("probers");
    let (prepared, core) = place_checks(&plan, &options, probers);
    let about: Vec<_> = core.iter().map(|check| (check.name.to_string(), check.vip.0)).collect();
    let tcp = |vip: &str| format!("tcp:{vip}:22");
    assert_eq!(
        about,
        [
            ("http://10.0.0.10/".to_string(), 1),
            (tcp("10.0.0.9"), 0),
            (tcp("10.0.0.10"), 1),
            (tcp("[2001:db8::9]"), 2)
        ]
    );
    let at_vip = prepared[0].target(CheckTarget::Vip);
    assert_eq!((at_vip.connect, at_vip.vip), (ip("10.0.0.10"), ip("10.0.0.10")));
    let at_home = prepared[0].target(CheckTarget::Home(ip("10.0.0.2")));
    assert_eq!((at_home.connect, at_home.vip), (ip("10.0.0.2"), ip("10.0.0.10")));
    assert_eq!(at_home.host, "brain.example.org");
}

#[test]
fn labels_are_cut_to_what_the_kernel_takes() {
    assert_eq!(label("eth0", "brain.example.org").as_deref(), Some("eth0:brain"));
    assert_eq!(label("eth0", "a-very-long-name").as_deref(), Some("eth0:a-very-lon"));
    assert_eq!(label("eth0", "10.0.0.2").as_deref(), Some("eth0:10.0.0.2"));
    assert_eq!(label("eth0", "fd00::2").as_deref(), Some("eth0:fd002"));
    assert_eq!(label("interface012345", "brain"), None);
    assert_eq!(label("eth0", ""), None);
}

#[test]
fn subnets_are_compared_bit_by_bit() {
    for (one, other, prefix, shares) in [
        ("10.0.0.1", "10.0.0.254", 24, true),
        ("10.0.0.1", "10.0.1.1", 24, false),
        ("10.0.0.1", "10.0.1.1", 23, true),
        ("10.0.0.1", "192.0.2.1", 0, true),
        ("10.0.0.1", "10.0.0.1", 32, true),
        ("fd00::1", "fd00::2", 64, true),
        ("fd00::1", "fd00::2", 128, false),
        ("fd00::1", "10.0.0.1", 0, false),
    ] {
        assert_eq!(shares_subnet(ip(one), ip(other), prefix), shares, "{one} {other} {prefix}");
    }
}
