//! The configuration file: what it means.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standin::checks::{Concerns, Probe};
use standin::failure::Code;
use standin::file::{
    self, Authority, ClusterFile, NodeId, OnDoubt, Placement, Source, WebhookEvent, find_self,
    find_witness,
};
use standin_core::config::{Failback, OnAnswer, Vantage};
use standin_sys::realtime::Extent;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples")
}

fn example(name: &str) -> ClusterFile {
    let parsed = file::load(&examples().join(name)).expect("a readable file");
    assert_eq!(parsed.problems.render(&parsed.source, false), "", "{name}");
    parsed.file.expect("a valid file")
}

fn valid(text: &str) -> ClusterFile {
    let parsed = file::parse(Source::new("standin.toml", text));
    let shown = parsed.problems.render(&parsed.source, false);
    parsed.file.unwrap_or_else(|| panic!("{shown}"))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const SMALL: &str = r#"
cluster = "web"
key-file = "key"
[nodes]
pinky = "10.0.0.1"
brain = "10.0.0.2"
[[vip]]
address = "10.0.0.9"
home = "pinky"
"#;

#[test]
fn every_example_is_valid_and_without_a_warning() {
    let mut seen = 0;
    for entry in examples().read_dir().expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            example(&path.file_name().expect("a name").to_string_lossy());
            seen += 1;
        }
    }
    assert!(seen >= 4);
}

#[test]
fn the_articles_example_means_what_the_article_did() {
    let file = example("two-node-web.toml");
    assert_eq!((file.cluster.as_str(), file.port), ("web", file::DEFAULT_PORT));
    assert_eq!(file.key_file, Path::new("/etc/standin/key"));
    assert_eq!(file.nodes[0].name, "pinky");
    assert_eq!(file.nodes[1].addresses, [ip("208.201.239.17"), ip("10.0.0.17")]);
    let [pinkys, brains] = file.vips.as_slice() else { panic!("{:?}", file.vips) };
    assert_eq!(pinkys.placement, Placement::Ordered(vec![NodeId(0), NodeId(1)]));
    assert_eq!(brains.placement, Placement::Ordered(vec![NodeId(1), NodeId(0)]));
    assert_eq!(brains.placement.home(), Some(NodeId(1)));
    assert_eq!(pinkys.addresses().collect::<Vec<_>>(), [(ip("208.201.239.36"), 32)]);
    assert_eq!(pinkys.name, "208.201.239.36");
    assert_eq!((pinkys.failback, pinkys.on_doubt), (Failback::Yes, OnDoubt::Release));
    assert_eq!(pinkys.dns, ["www.example.net"]);
    let web = file.check(pinkys.checks[0]);
    assert_eq!((web.name.as_str(), web.from), ("web", Vantage::OnItself));
    let Probe::Http(http) = &web.check.probe else { panic!("{web:?}") };
    assert_eq!(http.expect_text.as_deref(), Some("</html>"));
    assert_eq!(web.check.probe.concerns(), Concerns::Every);
    assert_eq!(web.check.timing.interval, Duration::from_secs(1));
    assert_eq!(file.timing.dead_after, Duration::from_secs(1));
    assert_eq!(file.timing.interval, Duration::from_millis(250));
    assert!(file.isolated_when_unreachable.is_empty());
}

#[test]
fn a_check_of_the_file_and_of_the_command_line_are_the_same_inside() {
    let line = "standin for brain --vip 10.0.0.9 --check https://10.0.0.9/x --expect-text ok \
                --expect-status 200,401 --insecure --check-interval 5s --check-timeout 2s \
                --rise 4 --fall 7 --check tcp:22 --check command:/bin/true";
    let Ok(standin::cli::Request::For(options)) = standin::cli::parse(line.split_whitespace())
    else {
        panic!("{line}")
    };
    let file = valid(&format!(
        "{SMALL}check = [\"page\", \"ssh\", \"own\"]\n{}",
        r#"
[check.page]
http = "https://10.0.0.9/x"
expect-text = "ok"
expect-status = "200,401"
insecure = true
interval = "5s"
timeout = "2s"
rise = 4
fall = 7
[check.ssh]
tcp = 22
[check.own]
command = "/bin/true"
"#
    ));
    let of_file: Vec<_> = file.checks.iter().map(|named| named.check.clone()).collect();
    assert_eq!(of_file, options.checks);
}

#[test]
fn the_order_of_nodes_is_that_of_the_file() {
    let file = example("three-nodes.toml");
    let names: Vec<&str> = file.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["alpha", "beta", "gamma"]);
    assert_eq!(file.vips[0].placement.eligible(), [NodeId(0), NodeId(1)]);
    assert_eq!(file.vips[1].placement.eligible(), [NodeId(2), NodeId(0), NodeId(1)]);
    assert_eq!((file.vips[0].name.as_str(), file.vips[0].failback), ("primary", Failback::No));
    assert_eq!(file.vips[1].failback, Failback::After(Duration::from_mins(5)));
    assert_eq!(file.vips[0].addresses().next(), Some((ip("192.0.2.50"), 24)));
    assert_eq!(file.check(file.vips[0].checks[1]).from, Vantage::Peers);
    assert_eq!(file.isolated_when_unreachable, [ip("192.0.2.1")]);
    let conflict = file.hooks.on_conflict.expect("a hook");
    assert_eq!(conflict.program, Path::new("/usr/bin/logger"));
    assert_eq!(conflict.arguments[2], "standin: address conflict");
    assert_eq!((file.control.mode, file.control.group.as_deref()), (0o660, Some("adm")));
    // Not as the names sort.
    let swapped = valid(&SMALL.replace("pinky = ", "zeta = \"10.0.0.3\"\npinky = "));
    assert_eq!(swapped.nodes[0].name, "zeta");
}

#[test]
fn a_pool_is_a_range_shared_by_all() {
    let file = example("pool.toml");
    let pool = &file.vips[0];
    assert_eq!(pool.placement, Placement::Spread((0..4).map(NodeId).collect()));
    assert_eq!((pool.count(), pool.ranges.len()), (32, 2));
    assert!(pool.contains(ip("10.0.0.40")) && !pool.contains(ip("10.0.0.41")));
    assert_eq!(file.group_of(ip("10.0.0.50")).map(|group| group.name.as_str()), Some("pool"));
    assert_eq!(file.vip_count(), 32);
}

#[test]
fn families_mix_in_one_group() {
    let file = example("mixed-families.toml");
    let addresses: Vec<_> = file.vips[0].addresses().collect();
    assert_eq!(addresses, [(ip("192.0.2.80"), 32), (ip("2001:db8::80"), 128)]);
    assert_eq!(
        (file.vips[0].on_doubt, file.vips[1].on_answer),
        (OnDoubt::Hold, OnAnswer::Takeover)
    );
    assert_eq!(file.vips[1].count(), 4);
}

#[test]
fn ten_thousand_addresses_are_one_range() {
    let text = SMALL.replace("\"10.0.0.9\"", "\"10.1.0.0-10.1.39.15\"");
    assert_eq!(valid(&text).vip_count(), 10_000);
}

#[test]
fn many_addresses_are_routes_unless_it_is_said_otherwise() {
    let held = |address: &str, more: &str| {
        let text = SMALL.replace("10.0.0.9\"", &format!("{address}\"\n{more}"));
        valid(&text).vips[0].wants_routes()
    };
    assert!(!held("10.1.0.0-10.1.0.254", ""), "255");
    assert!(held("10.1.0.0-10.1.0.255", ""), "256");
    assert!(!held("10.1.0.0-10.1.0.255", "as = \"addresses\""));
    assert!(held("10.1.0.9", "as = \"routes\""));
    // Those of IPv6 are addresses in any case, and do not count.
    assert!(!held("fd00::1:0-fd00::1:1fff", ""));
    for (address, word, told) in [
        ("fd00::9", "routes", "no IPv4 address here could be held as a route"),
        ("10.0.0.9", "route", "did you mean \"routes\"?"),
    ] {
        let vip = format!("{address}\"\nas = \"{word}\"");
        let text = SMALL.replace("10.0.0.9\"", &vip);
        let parsed = file::parse(Source::new("standin.toml", text.as_str()));
        assert!(parsed.file.is_none());
        let shown = parsed.problems.render(&parsed.source, false);
        assert!(shown.contains(told), "{shown}");
    }
}

#[test]
fn every_other_form_of_a_value_is_understood() {
    let file = valid(
        r#"
cluster = "web"
key-file = "keys/one"
port = 0x2000
authority = "none"
vip = [{ address = "10.0.0.9", home = "BRAIN", prefix = 24 }]
nodes.pinky = { addresses = ["10.0.0.1"], witness = false }
nodes.brain.addresses = "10.0.0.2"
[check]
[control]
mode = 0o600
socket = "/run/x.sock"
"#,
    );
    assert_eq!((file.port, file.control.mode), (0x2000, 0o600));
    assert_eq!(file.key_file, Path::new("keys/one"));
    assert_eq!(file.vips[0].placement.home(), Some(NodeId(1)));
    assert_eq!(file.vips[0].addresses().next(), Some((ip("10.0.0.9"), 24)));
}

#[test]
fn a_quorum_has_voters_a_lease_and_perhaps_a_power_switch() {
    let file = example("quorum.toml");
    assert_eq!(file.authority, Authority::Quorum { lease: Duration::from_millis(300) });
    assert_eq!(
        file.voter_ids().map(|id| file.node(id).name.as_str()).collect::<Vec<_>>(),
        ["pinky", "brain", "snowball"]
    );
    assert!(file.is_witness(NodeId(2)) && !file.is_witness(NodeId(1)));
    assert_eq!(file.fence, None);
    // A witness is nobody's home and no stand-in.
    assert_eq!(file.vips[0].placement.eligible(), [NodeId(0), NodeId(1)]);
    let text = SMALL
        .replace("[nodes]", "authority = \"quorum\"\nfence = [\"/bin/off\", \"now\"]\n[nodes]")
        + "[witnesses]\nsnowball = { addresses = \"10.0.0.3\" }\n";
    let file = valid(&text);
    // Derived from dead-after.
    assert_eq!(file.authority, Authority::Quorum { lease: Duration::from_secs(1) });
    assert_eq!(file.fence.expect("a command").arguments, ["now"]);
    assert_eq!(file.vips[0].on_doubt, OnDoubt::Release);
    let hasty = valid(&(text + "[timing]\ndead-after = \"20ms\"\n"));
    assert_eq!(hasty.authority, Authority::Quorum { lease: Duration::from_millis(50) });
}

#[test]
fn what_keeps_a_run_on_time_is_chosen() {
    let usual = valid(SMALL).realtime;
    assert_eq!((usual.priority, usual.lock_memory), (20, Some(Extent::Used)));
    assert!(usual.cpus.is_empty());
    let chosen = "[realtime]\npriority = 0\nlock-memory = \"all\"\ncpus = \"3, 0-1\"\n";
    let chosen = valid(&format!("{SMALL}{chosen}"));
    assert_eq!(chosen.realtime.cpus, [0, 1, 3]);
    assert_eq!((chosen.realtime.priority, chosen.realtime.lock_memory), (0, Some(Extent::All)));
    // Each node's own affair.
    assert_eq!(chosen.digest(), valid(SMALL).digest());
    let none = valid(&format!("{SMALL}[realtime]\nlock-memory = \"none\"\n"));
    assert_eq!(none.realtime.lock_memory, None);
}

#[test]
fn a_witness_finds_itself_and_says_who_is_what() {
    let file = example("quorum.toml");
    let own = [ip("208.201.240.5")];
    assert_eq!(find_witness(&file, "snowball.example.net", &[], None), Ok(NodeId(2)));
    assert_eq!(find_witness(&file, "web7", &own, None), Ok(NodeId(2)));
    assert_eq!(find_witness(&file, "web7", &[], Some("Snowball")), Ok(NodeId(2)));
    let said =
        |failure: standin::failure::Result<NodeId>| failure.expect_err("no such one").to_string();
    let refused = said(find_self(&file, "snowball", &[], None));
    assert!(refused.contains("snowball is a witness") && refused.contains("standin witness"));
    let refused = said(find_witness(&file, "pinky", &[], None));
    assert!(refused.contains("pinky is a node") && refused.contains("standin run"), "{refused}");
    let refused = said(find_witness(&file, "web7", &[], Some("snowbal")));
    assert!(refused.contains("there is no such witness") && refused.contains("--node snowball"));
    let refused = said(find_witness(&file, "web7", &[], None));
    assert!(refused.contains("has none of the witnesses' addresses"), "{refused}");
    let refused = said(find_witness(&valid(SMALL), "web7", &[], None));
    assert!(refused.contains("the file has no witness"), "{refused}");
}

#[test]
fn a_relative_key_file_is_beside_the_file() {
    let parsed = file::parse(Source::new("/etc/standin/standin.toml", SMALL));
    assert_eq!(parsed.file.expect("valid").key_file, Path::new("/etc/standin/key"));
}

#[test]
fn the_digest_changes_with_what_matters_and_with_nothing_else() {
    let digest = |text: &str| valid(text).digest();
    let base = digest(SMALL);
    // Written down: another version must not come to another number by accident.
    assert_eq!(base, 5_333_099_855_605_242_716, "the digest of the small file");
    for (from, to) in [
        ("\"web\"", "\"mail\""),
        ("10.0.0.2", "10.0.0.3"),
        ("brain", "brian"),
        ("10.0.0.9", "10.0.0.8"),
        ("10.0.0.9", "10.0.0.9/24"),
        ("10.0.0.9", "10.0.0.9-10.0.0.10"),
        ("home = \"pinky\"", "home = \"brain\""),
        ("home = \"pinky\"", "home = [\"pinky\"]"),
        ("home = \"pinky\"", "spread = true"),
        ("home = \"pinky\"", "home = \"pinky\"\nfailback = \"no\""),
        ("home = \"pinky\"", "home = \"pinky\"\nfailback = \"1s\""),
        ("home = \"pinky\"", "home = \"pinky\"\non-doubt = \"hold\""),
        ("home = \"pinky\"", "home = \"pinky\"\non-answer = \"takeover\""),
        ("home = \"pinky\"", "home = \"pinky\"\n[timing]\ndead-after = \"2s\""),
        ("home = \"pinky\"", "home = \"pinky\"\n[timing]\nback-after = \"2s\""),
        (
            "pinky = \"10.0.0.1\"\nbrain = \"10.0.0.2\"",
            "brain = \"10.0.0.2\"\npinky = \"10.0.0.1\"",
        ),
    ] {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL);
        assert_ne!(digest(&text), base, "{to}");
    }
    let quorum = "authority = \"quorum\"\n[witnesses]\nsnowball = \"10.0.0.3\"\n[nodes]";
    let quorum = SMALL.replace("[nodes]", quorum);
    assert_ne!(digest(&quorum), base);
    assert_ne!(
        digest(&quorum.replace("\n[witnesses]", "\nlease = \"2s\"\n[witnesses]")),
        digest(&quorum)
    );
    // Voters are told apart by the leases themselves.
    assert_eq!(digest(&quorum.replace("snowball", "edward")), digest(&quorum));
    for (from, to) in [
        ("\n", "\n\n# a comment\n"),
        ("\"key\"", "\"/another/key\""),
        ("pinky", "Pinky"),
        ("home = \"pinky\"", "home = \"pinky\"\ncheck = \"x\"\n[check.x]\ntcp = 1"),
        ("home = \"pinky\"", "home = \"pinky\"\nname = \"site\"\ninterface = \"eth9\""),
        ("home = \"pinky\"", "home = \"pinky\"\n[hooks]\non-take = \"/bin/true\""),
        ("home = \"pinky\"", "home = \"pinky\"\n[timing]\ndead-after = \"1000ms\""),
    ] {
        assert_eq!(digest(&SMALL.replace(from, to)), base, "{to}");
    }
}

#[test]
fn a_node_finds_itself_by_name_by_address_or_by_being_told() {
    let file = example("two-node-web.toml");
    let (pinky, brain) = (ip("208.201.239.16"), ip("10.0.0.17"));
    let find = |host: &str, own: &[IpAddr], told| find_self(&file, host, own, told);
    assert_eq!(find("pinky", &[], None), Ok(NodeId(0)));
    assert_eq!(find("Brain.example.net", &[ip("192.0.2.1")], None), Ok(NodeId(1)));
    assert_eq!(find("web7", &[ip("192.0.2.1"), brain], None), Ok(NodeId(1)));
    assert_eq!(find("brain", &[brain], None), Ok(NodeId(1)));
    assert_eq!(find("pinky", &[brain], Some("brain")), Ok(NodeId(1)));
    for (host, own, told, reason) in [
        ("web7", &[][..], None, "it is called 'web7' and has none of the nodes' addresses"),
        ("pinky", &[brain], None, "called 'pinky' but has 10.0.0.17 of the node brain"),
        ("web7", &[pinky, brain], None, "208.201.239.16 of the node pinky and 10.0.0.17"),
        ("pinky", &[pinky, brain], None, "has 10.0.0.17 of the node brain"),
        ("pinky", &[pinky], Some("brian"), "--node brian: there is no such node"),
    ] {
        let failure = find(host, own, told).expect_err(reason);
        assert_eq!(failure.code(), Code::Config);
        assert!(failure.what().contains(reason), "{failure}");
        assert!(failure.to_string().contains("--node "), "{failure}");
    }
}

#[test]
fn what_is_no_text_is_refused_with_its_line() {
    let directory = std::env::temp_dir().join(format!("standin-file-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let path = directory.join("standin.toml");
    let failure = file::load(&path).expect_err("it is not there");
    assert!(failure.what().ends_with("no such file or directory"), "{failure}");
    std::fs::write(&path, b"cluster = \"web\"\n\xff").expect("written");
    let failure = file::load(&path).expect_err("it is not UTF-8");
    assert!(failure.what().ends_with("standin.toml:2:1: this is not UTF-8 text"), "{failure}");
    std::fs::write(&path, vec![b'#'; (8 << 20) + 1]).expect("written");
    let failure = file::load(&path).expect_err("it is too large");
    assert!(failure.what().contains("larger than 8 MiB"), "{failure}");
    let failure = file::load(&directory).expect_err("it is a directory");
    assert!(failure.what().contains("is a directory"), "{failure}");
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[test]
fn an_invalid_file_is_refused_whole_and_a_valid_one_tells_its_warnings() {
    let parsed = file::parse(Source::new("x.toml", SMALL.replace("home = \"pinky\"", "")));
    let failure = parsed.into_valid(false).expect_err("no home");
    assert!(failure.to_string().starts_with("1 error in x.toml\n"), "{failure}");
    assert!(failure.in_one_line().starts_with("1 error: x.toml:"), "{}", failure.in_one_line());
    assert_eq!(failure.in_one_line().lines().count(), 1);
    let text = format!("{SMALL}[timing]\ndead-after = \"9ms\"\n");
    let parsed = file::parse(Source::new("x.toml", text));
    let (_, warnings) = parsed.into_valid(false).expect("valid");
    assert_eq!(warnings, ["x.toml:11:14: dead-after of 9ms leaves no room for a pause"]);
}

#[test]
fn a_webhook_is_called_by_what_is_no_secret() {
    let file = valid(&format!(
        "{SMALL}[[webhook]]\nurl = \"https://u:p@Hooks.example.net:8443/T0/B1?x=y\"\n\
         [[webhook]]\nname = \"pager\"\nurl = \"http://10.0.0.7\"\nevents = [\"take\", \"take\"]\n\
         secret-file = \"pager-secret\"\ntimeout = \"2s\"\nretry-for = \"10m\"\n"
    ));
    let [chat, pager] = file.webhooks.as_slice() else { panic!("{:?}", file.webhooks) };
    assert_eq!(chat.name, "https://hooks.example.net:8443");
    assert_eq!((chat.events.as_slice(), &chat.secret_file), (&WebhookEvent::ALL[..], &None));
    assert_eq!((chat.timeout.as_secs(), chat.retry_for.as_secs()), (5, 3600));
    assert_eq!(
        (pager.name.as_str(), pager.events.as_slice()),
        ("pager", &[WebhookEvent::Take][..])
    );
    assert_eq!(pager.secret_file.as_deref(), Some(Path::new("pager-secret")));
    assert_eq!((pager.timeout.as_secs(), pager.retry_for.as_secs()), (2, 600));
    // It is each node's own affair, as hooks are.
    assert_eq!(file.digest(), valid(SMALL).digest());
}

#[test]
fn the_reference_names_every_event() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(path).expect("the reference");
    for event in WebhookEvent::ALL {
        let row = format!("\n| `{}` |", event.name());
        assert!(text.contains(&row), "{} is not explained", event.name());
    }
}

#[test]
fn a_group_without_a_name_is_called_after_its_addresses_while_they_are_few() {
    for (addresses, called) in [
        (r#""10.0.0.9""#, "10.0.0.9"),
        (
            r#""10.0.0.9", "10.0.0.20-10.0.0.29", "fd00::9""#,
            "10.0.0.9, 10.0.0.20-10.0.0.29, fd00::9",
        ),
        (r#""10.0.0.9", "10.0.0.10", "10.0.0.11", "fd00::9""#, "10.0.0.9 and 3 more"),
    ] {
        let file = valid(&SMALL.replace(r#""10.0.0.9""#, &format!("[{addresses}]")));
        assert_eq!(file.vips[0].name, called);
    }
}
