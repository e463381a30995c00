//! The doctor on hosts that are made up.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use standin_sys::error::Error;
use standin_sys::netlink::route::NextHop;
use standin_sys::netlink::{Address, Link, Route, RouteKind};

use super::{Files, Findings, Verdict, examine};
use crate::file::{self, NodeId, Source};
use crate::host::Kernel;
use crate::keygen;

const FILE: &str = r#"
cluster = "web"
key-file = "/etc/standin/key"
[nodes]
pinky = "10.0.0.1"
brain = "10.0.0.2"
[[vip]]
address = "10.0.0.9"
home = "pinky"
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A host with files below a directory of its own, and interfaces that only it knows.
struct Host {
    root: PathBuf,
    links: Vec<Link>,
    addresses: Vec<Address>,
}

impl Host {
    /// A host on which nothing is wrong.
    fn new(test: &str) -> Self {
        let name = format!("standin-doctor-{test}-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let host = Self {
            root,
            links: vec![link(1, "lo"), link(2, "eth0")],
            addresses: vec![address(1, "127.0.0.1", 8), address(2, "10.0.0.1", 24)],
        };
        host.write("/proc/sys/kernel/hostname", "pinky\n");
        host.write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "0\n");
        host.write("/proc/1/comm", "systemd\n");
        host.write("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        keygen::run(&host.path("/etc/standin/key"), false).expect("a key");
        host
    }

    fn path(&self, path: &str) -> PathBuf {
        Files::below(&self.root).path(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn setting(&self, key: &str, value: &str) {
        self.write(&format!("/proc/sys/net/{key}"), &format!("{value}\n"));
    }

    /// What is said about it by a file, without what is well and without this process's rights.
    fn complaints(&mut self, text: &str) -> String {
        let (findings, _) = self.examined(text);
        let mut bad = Findings::default();
        for finding in findings.iter().filter(|finding| finding.topic != "rights") {
            if finding.verdict != Verdict::Ok {
                bad.push(finding.clone());
            }
        }
        bad.render(false)
    }

    fn examined(&mut self, text: &str) -> (Findings, Option<NodeId>) {
        let parsed = file::parse(Source::new("/etc/standin/standin.toml", text));
        let shown = parsed.problems.render(&parsed.source, false);
        let file = parsed.file.unwrap_or_else(|| panic!("{shown}"));
        let mut findings = Findings::default();
        let files = Files::below(&self.root);
        let node = examine(&file, None, self, &files, &mut findings).expect("a kernel that tells");
        (findings, node)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn link(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.into(),
        mac: Some([2, 0, 0, 0, 0, index as u8]),
        up: true,
        running: true,
        loopback: name == "lo",
        no_arp: false,
        point_to_point: false,
        mtu: 1500,
        hardware_type: if name == "lo" { 772 } else { 1 },
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

impl Kernel for Host {
    fn links(&mut self) -> Result<Vec<Link>, Error> {
        Ok(self.links.clone())
    }

    fn addresses(&mut self) -> Result<Vec<Address>, Error> {
        Ok(self.addresses.clone())
    }

    fn route_to(&mut self, to: IpAddr, _: Option<u32>) -> Result<Option<Route>, Error> {
        let near = |text: &str, index| to.to_string().starts_with(text).then_some(index);
        let Some(ifindex) = near("10.0.0.", 2).or(near("fd00:", 2)) else { return Ok(None) };
        Ok(Some(Route {
            kind: RouteKind::Unicast,
            destination: to,
            prefix: 32,
            next_hops: vec![NextHop { ifindex, gateway: None }],
            preferred_source: None,
            table: 254,
            metric: 0,
            protocol: 2,
        }))
    }

    fn gateways(&mut self, _: u32) -> Result<Vec<IpAddr>, Error> {
        Ok(Vec::new())
    }

    fn is_router(&mut self, _: &str) -> bool {
        false
    }

    fn lacks_ipv6(&mut self, _: &str) -> bool {
        false
    }
}

#[test]
fn a_good_host_has_no_complaint() {
    let mut host = Host::new("good");
    assert_eq!(host.complaints(FILE), "");
    let (findings, node) = host.examined(FILE);
    assert_eq!(node, Some(NodeId(0)));
    let topics: Vec<&str> = findings.iter().map(|finding| finding.topic).collect();
    for topic in ["node", "interface", "sysctl", "manager", "key", "clock"] {
        assert!(topics.contains(&topic), "{topics:?}");
    }
}

#[test]
fn a_host_that_is_no_node_is_told_so() {
    let mut host = Host::new("stranger");
    host.addresses.pop();
    host.write("/proc/sys/kernel/hostname", "snowball");
    let said = host.complaints(FILE);
    assert!(said.starts_with("fail  node  snowball  this host is no node"), "{said}");
    assert!(said.contains("to do: say which it is: --node NAME"), "{said}");
}

#[test]
fn addresses_that_are_not_where_they_should_be() {
    let mut host = Host::new("addresses");
    host.addresses.pop();
    let said = host.complaints(FILE);
    assert!(said.contains("10.0.0.1 is not on this host"), "{said}");
    host.addresses.push(address(2, "10.0.0.1", 24));
    host.addresses.push(address(2, "10.0.0.9", 24));
    let said = host.complaints(FILE);
    assert!(
        said.contains("fail  vip  10.0.0.9  the VIP 10.0.0.9 is already on this host"),
        "{said}"
    );
    assert!(said.contains("ip address del 10.0.0.9/24 dev eth0"), "{said}");
    host.addresses.pop();
    let said = host.complaints(&FILE.replace("10.0.0.9", "192.0.2.9"));
    assert!(said.contains("192.0.2.9 is in no connected subnet"), "{said}");
}

#[test]
fn interfaces_that_cannot_carry_a_vip() {
    let mut host = Host::new("interfaces");
    let named = format!("{FILE}interface = \"eht0\"\n");
    let said = host.complaints(&named);
    assert!(said.contains("there is no interface 'eht0'"), "{said}");
    assert!(said.contains("to do: did you mean interface = \"eth0\"?"), "{said}");
    host.links[1].running = false;
    let said = host.complaints(FILE);
    assert!(said.contains("no carrier"), "{said}");
    host.links[1].up = false;
    let said = host.complaints(FILE);
    assert!(
        said.contains("interface eth0 is down") && said.contains("ip link set eth0 up"),
        "{said}"
    );
    host.links[1] = Link { master: Some(3), ..link(2, "eth0") };
    host.links.push(link(3, "br0"));
    let said = host.complaints(FILE);
    assert!(said.contains("it is a port of br0") && said.contains("interface = \"br0\""), "{said}");
}

#[test]
fn what_a_node_may_not_hold_is_not_asked_of_its_host() {
    let mut host = Host::new("eligible");
    let text = FILE.replace("10.0.0.9\"\nhome = \"pinky\"", "192.0.2.9\"\nhome = [\"brain\"]");
    assert_eq!(host.complaints(&text), "");
}

#[test]
fn the_same_trouble_of_many_vips_is_counted() {
    let mut host = Host::new("many");
    let many: Vec<String> = (1..=100).map(|last| format!("\"192.0.2.{last}\"")).collect();
    let text = FILE.replace("\"10.0.0.9\"", &format!("[{}]", many.join(", ")));
    let said = host.complaints(&text);
    assert!(said.contains("fail  vip  more") && said.contains("92 more addresses"), "{said}");
    assert!(said.lines().count() < 20, "{said}");
}

#[test]
fn settings_that_hurt_come_with_reason_and_command() {
    let with_subnet = FILE.replace("10.0.0.9", "10.0.0.9/24");
    let ipv6 = FILE.replace("10.0.0.9", "fd00::9");
    for (key, value, file, expected) in [
        (
            "ipv4/conf/eth0/arp_ignore",
            "2",
            FILE,
            &["fail", "arp_ignore is 2", "sysctl -w net/ipv4/conf/eth0/arp_ignore=1"][..],
        ),
        (
            "ipv4/conf/all/arp_ignore",
            "8",
            FILE,
            &[
                "fail",
                "arp_ignore is 8",
                "net/ipv4/conf/all/arp_ignore=0 net/ipv4/conf/eth0/arp_ignore=0",
            ],
        ),
        ("ipv4/conf/eth0/drop_gratuitous_arp", "1", FILE, &["warn", "does not learn"]),
        ("ipv4/conf/all/proxy_arp", "1", FILE, &["warn", "may answer for VIPs", "all/proxy_arp=0"]),
        (
            "ipv4/conf/eth0/promote_secondaries",
            "0",
            &with_subnet,
            &["warn", "removes the others", "promote_secondaries=1"],
        ),
        ("ipv6/conf/eth0/disable_ipv6", "1", &ipv6, &["fail", "switched off", "disable_ipv6=0"]),
        ("ipv6/conf/all/drop_unsolicited_na", "1", &ipv6, &["warn", "does not learn"]),
    ] {
        let mut host = Host::new(&key.replace('/', "-"));
        host.setting(key, value);
        let said = host.complaints(file);
        for part in expected {
            assert!(said.contains(part), "{key}={value}: {said}");
        }
        assert_eq!(said.matches("sysctl  eth0").count(), 1, "{said}");
    }
    let mut host = Host::new("harmless");
    for (key, value) in [
        ("ipv4/conf/eth0/arp_ignore", "1"),
        ("ipv4/conf/eth0/arp_announce", "2"),
        ("ipv4/conf/eth0/rp_filter", "1"),
        ("ipv4/conf/eth0/promote_secondaries", "0"),
    ] {
        host.setting(key, value);
    }
    assert_eq!(host.complaints(FILE), "");
    host.setting("ipv4/conf/eth0/arp_ignore", "2");
    host.setting("ipv4/conf/eth0/promote_secondaries", "1");
    assert_eq!(host.complaints(&with_subnet), "");
}

#[test]
fn two_interfaces_need_care() {
    let mut host = Host::new("two");
    host.links.push(link(3, "eth1"));
    host.addresses.push(address(3, "10.0.0.77", 24));
    let said = host.complaints(FILE);
    assert!(
        said.contains("eth1 is in the same subnet") && said.contains("conf/eth1/arp_announce=2"),
        "{said}"
    );
    host.setting("ipv4/conf/eth0/arp_ignore", "1");
    host.setting("ipv4/conf/eth0/arp_announce", "2");
    assert_eq!(host.complaints(FILE), "");
    host.setting("ipv4/conf/all/rp_filter", "1");
    assert!(host.complaints(FILE).contains("rp_filter is strict"));
    host.setting("ipv4/conf/eth0/rp_filter", "2");
    assert_eq!(host.complaints(FILE), "");
}

#[test]
fn other_managers_of_addresses_are_named() {
    let mut host = Host::new("managers");
    host.write("/proc/77/comm", "keepalived\n");
    let said = host.complaints(FILE);
    assert!(said.contains("warn  manager  keepalived"), "{said}");
    fs::remove_dir_all(host.path("/proc/77")).expect("removed");
    let state = "ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/10-eth0.network\n";
    host.write("/run/systemd/netif/links/2", state);
    host.write("/etc/systemd/network/10-eth0.network", "[Network]\nDHCP=no\n");
    let said = host.complaints(FILE);
    assert!(said.contains("in /etc/systemd/network/10-eth0.network, section"), "{said}");
    let drop_in = "/etc/systemd/network/10-eth0.network.d/keep.conf";
    host.write(drop_in, "[Network]\nKeepConfiguration = yes\n");
    assert_eq!(host.complaints(FILE), "");
    host.write("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n");
    host.write("/run/NetworkManager/devices/2", "[device]\nmanaged=true\n");
    assert!(host.complaints(FILE).contains("nmcli device set eth0 managed no"));
    host.write("/run/NetworkManager/devices/2", "[device]\nmanaged=false\n");
    assert_eq!(host.complaints(FILE), "");
}

#[test]
fn a_key_is_for_its_owner_only() {
    let mut host = Host::new("key");
    let path = host.path("/etc/standin/key");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o644);
    let said = host.complaints(FILE);
    assert!(said.starts_with("fail  key  /etc/standin/key  mode 0644"), "{said}");
    assert!(said.contains("chmod 0600 /etc/standin/key"), "{said}");
    mode(0o640);
    assert!(host.complaints(FILE).starts_with("warn  key"));
    mode(0o600);
    for stage in ["after step 1 of 3: the next key", "after step 2 of 3: the previous key"] {
        keygen::run(&path, true).expect("rotated");
        let said = host.complaints(FILE);
        assert!(said.starts_with("warn  key") && said.contains(stage), "{said}");
        assert!(said.contains("then, on one node: standin keygen /etc/standin/key --rotate"));
    }
    keygen::run(&path, true).expect("rotated");
    assert_eq!(host.complaints(FILE), "");
    fs::write(&path, "short").expect("written");
    assert!(host.complaints(FILE).contains("the key in line 1 is not 64 hexadecimal digits"));
    fs::remove_file(&path).expect("removed");
    assert!(host.complaints(FILE).contains("no such file or directory"));
}

#[test]
fn what_the_file_names_has_to_be_there() {
    let mut host = Host::new("programs");
    let text = format!(
        "{FILE}check = [\"own\", \"page\"]\n[check.own]\ncommand = \"/opt/check\"\n[check.page]\n\
         http = \"http://pinky:narf@web/\"\n[hooks]\non-take = \"/opt/hook\"\n[control]\ngroup = \"adm\"\n"
    );
    let said = host.complaints(&text);
    assert!(said.contains("on-take") && said.contains("/opt/hook: no such file"), "{said}");
    assert!(said.contains("/opt/check: no such file"), "{said}");
    assert!(said.contains("there is no group 'adm'"), "{said}");
    assert!(said.contains("URL holds a password") && !said.contains("narf"), "{said}");
    host.write("/opt/hook", "#!/bin/sh\n");
    assert!(host.complaints(&text).contains("/opt/hook: not executable"));
    for program in ["/opt/hook", "/opt/check"] {
        host.write(program, "#!/bin/sh\n");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(host.path(program), executable).expect("a mode");
    }
    host.write("/etc/group", "root:x:0:\nadm:x:4:\n");
    for group in ["adm", "4", "4711"] {
        let said = host.complaints(&text.replace("\"adm\"", &format!("\"{group}\"")));
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let said = host.complaints(&text.replace("/opt/check", "no-such-program -0 nginx"));
    assert!(said.contains("there is no program 'no-such-program'"), "{said}");
    let tls = "http = \"https://web/\"\nca-file = \"/nonexistent\"";
    let said = host.complaints(&text.replace("http = \"http://pinky:narf@web/\"", tls));
    assert!(said.contains("[check.page]: ca-file /nonexistent: no such file"), "{said}");
}

#[test]
fn a_coarse_clock_source_is_no_clock() {
    let mut host = Host::new("clock");
    let source = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    host.write(source, "jiffies\n");
    assert!(host.complaints(FILE).starts_with("fail  clock  jiffies"));
    host.write(source, "hpet\n");
    assert!(host.complaints(FILE).starts_with("warn  clock  hpet"));
}

#[test]
fn a_webhook_that_could_not_be_told_is_known_before_a_run() {
    let mut host = Host::new("webhooks");
    let webhook = |url: &str, more: &str| format!("{FILE}[[webhook]]\nurl = \"{url}\"\n{more}");
    let signed = webhook("http://10.0.0.7/narf", "secret-file = \"/etc/standin/pager\"\n");
    assert!(host.complaints(&signed).contains("cannot read secret-file"));
    host.write("/etc/standin/pager", "a-secret-of-some-length\n");
    let path = host.path("/etc/standin/pager");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o644);
    assert!(host.complaints(&signed).contains("everybody can read it"));
    mode(0o600);
    assert_eq!(host.complaints(&signed), "");
    let said = host.complaints(&webhook("http://10.0.0.7/narf", ""));
    assert!(said.contains("neither signed nor encrypted") && !said.contains("narf"), "{said}");
    let said = host
        .complaints(&webhook("http://u:narf@10.0.0.7/", "secret-file = \"/etc/standin/pager\"\n"));
    assert!(said.contains("holds a password") && !said.contains("narf"), "{said}");
    let ca = "ca-file = \"/etc/standin/none.pem\"\n";
    let said = host.complaints(&webhook("https://10.0.0.7/", ca));
    assert!(said.contains("none.pem: no such file"), "{said}");
}

#[test]
fn a_page_that_could_not_be_served_is_told_before_a_run_is() {
    let mut host = Host::new("pages");
    host.write("/etc/standin/token", "a-token-of-some-length\n");
    let remote = |listen: &str, token: &str| {
        format!(
            "{FILE}[http]\nlisten = \"{listen}\"\nallow-remote = true\ntoken-file = \"{token}\"\n"
        )
    };
    assert_eq!(host.complaints(&format!("{FILE}[http]\n")), "");
    let said = host.complaints(&remote("10.0.0.7", "/etc/standin/token"));
    assert!(said.contains("everybody can read it"), "{said}");
    let token = host.path("/etc/standin/token");
    fs::set_permissions(token, fs::Permissions::from_mode(0o600)).expect("a mode");
    let said = host.complaints(&remote("10.0.0.7", "/etc/standin/token"));
    assert!(said.contains("10.0.0.7 is no address of this host"), "{said}");
    assert_eq!(host.complaints(&remote("10.0.0.1", "/etc/standin/token")), "");
    let said = host.complaints(&remote("10.0.0.1", "/etc/standin/nothing"));
    assert!(said.contains("cannot read token-file"), "{said}");
}
