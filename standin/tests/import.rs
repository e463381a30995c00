//! `standin import`: what comes out of keepalived's configuration, and what is said about it.
//!
//! `tests/import/*.conf` are samples in the style of keepalived's documentation. What comes out is
//! beside them, `NAME.toml`, or `bad-NAME.txt` for one that cannot be translated. With
//! `STANDIN_BLESS=1` these are written anew, to be read before they are kept.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standin::failure::{Code, Result};
use standin::file::{self, ClusterFile, NodeId, Source};
use standin::import::{Files, Kind, Listed, NamedNode, Outcome, RealFiles, import};
use standin_core::config::Failback;

/// The samples, under short names.
struct Samples;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

impl Files for Samples {
    fn read(&self, path: &Path) -> io::Result<String> {
        fs::read_to_string(directory().join(path))
    }

    fn names(&self, path: &Path) -> Vec<String> {
        let Ok(entries) = fs::read_dir(directory().join(path)) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn is_configuration(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "conf")
}

/// One file under one name.
struct Text<'a>(&'a str);

impl Files for Text<'_> {
    fn read(&self, _path: &Path) -> io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn names(&self, _directory: &Path) -> Vec<String> {
        Vec::new()
    }
}

fn node(name: &str, address: &str) -> NamedNode {
    NamedNode { name: name.into(), addresses: vec![address.parse().expect("an address")] }
}

fn imported(files: &[&str], nodes: &[NamedNode]) -> Result<Outcome> {
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    import(&files, nodes, Some("web"), &Samples, false)
}

fn of_text(text: &str) -> Result<Outcome> {
    import(&["x.conf".into()], &[], Some("web"), &Text(text), false)
}

/// What comes out, read by the program's own reader.
fn read_back(outcome: &Outcome) -> ClusterFile {
    let parsed = file::parse(Source::new("standin.toml", outcome.text.as_str()));
    let shown = parsed.problems.render(&parsed.source, false);
    parsed.file.unwrap_or_else(|| panic!("{shown}\n{}", outcome.text))
}

/// Names of what comes out, and the files it comes out of.
const SAMPLES: &[(&str, &[&str])] = &[
    ("two-nodes", &["two-nodes-a.conf", "two-nodes-b.conf"]),
    ("unicast-alone", &["unicast-alone.conf"]),
    ("multicast", &["multicast.conf"]),
    ("conditions", &["conditions.conf"]),
    ("variables", &["variables.conf"]),
    ("includes", &["includes.conf"]),
    ("nopreempt", &["nopreempt.conf"]),
    ("sync-group", &["sync-group.conf"]),
    ("weights", &["weights-a.conf", "weights-b.conf"]),
    ("shell", &["shell.conf"]),
    ("ipv6", &["ipv6.conf"]),
    ("balancer", &["balancer.conf"]),
    ("everything-left", &["everything-left.conf"]),
    ("same-priority", &["same-priority-a.conf", "same-priority-b.conf"]),
    ("crossed", &["crossed-a.conf", "crossed-b.conf"]),
    ("fast", &["fast.conf"]),
    ("gateway", &["gateway.conf"]),
    ("balanced-pair", &["balanced-pair-a.conf", "balanced-pair-b.conf"]),
    ("directors", &["directors.conf"]),
    ("resolvers", &["resolvers.conf"]),
];

fn sample(name: &str) -> Outcome {
    let (_, files) = SAMPLES.iter().find(|(known, _)| *known == name).expect(name);
    let nodes = match name {
        "multicast" => vec![node("north", "198.51.100.1"), node("south", "198.51.100.2")],
        "ipv6" => vec![node("north", "2001:db8:6::11"), node("south", "2001:db8:6::12")],
        _ => Vec::new(),
    };
    imported(files, &nodes).unwrap_or_else(|failure| panic!("{name}: {failure}"))
}

fn agreed(path: &Path, said: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("STANDIN_BLESS").is_some() {
        fs::write(path, said).expect("written");
    } else if fs::read_to_string(path).unwrap_or_default() != said {
        wrong.push(format!("{}:\n{said}", path.display()));
    }
}

#[test]
fn a_link_local_address_is_no_nodes_and_is_asked_for() {
    let failure = imported(&["ipv6.conf"], &[]).expect_err("no address of a node").to_string();
    for words in ["unicast_src_ip fe80::11, which is link-local", "--node ipv6=ADDRESS"] {
        assert!(failure.contains(words), "{failure}");
    }
}

#[test]
fn every_sample_comes_out_as_it_was_agreed() {
    let mut wrong = Vec::new();
    for (name, _) in SAMPLES {
        let outcome = sample(name);
        read_back(&outcome);
        agreed(&directory().join(format!("{name}.toml")), &outcome.text, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_error_is_shown_as_it_was_agreed() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    let bad = Samples.names(Path::new("")).into_iter().filter(|name| name.starts_with("bad-"));
    for name in bad.filter(|name| is_configuration(name)) {
        let failure = imported(&[&name], &[]).expect_err(&name);
        assert_eq!(failure.code(), Code::Config, "{name}");
        let said = format!("{failure}\n");
        assert!(!said.contains("dontShow"), "{said}");
        agreed(&directory().join(&name).with_extension("txt"), &said, &mut wrong);
        seen += 1;
    }
    assert!(seen >= 14, "{seen}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_sample_is_used() {
    let used: BTreeSet<&str> = SAMPLES.iter().flat_map(|(_, files)| *files).copied().collect();
    for name in Samples.names(Path::new("")) {
        let is_sample = is_configuration(&name) && !name.starts_with("bad-");
        assert!(!is_sample || used.contains(name.as_str()), "{name}");
    }
    assert!(SAMPLES.len() >= 20 && used.len() >= 20);
}

#[test]
fn priorities_say_where_an_address_belongs_and_adverts_when_a_node_is_dead() {
    let file = read_back(&sample("two-nodes"));
    assert_eq!((file.cluster.as_str(), file.nodes[0].name.as_str()), ("web", "anna"));
    assert_eq!(file.vips[0].placement.eligible(), [NodeId(0), NodeId(1)]);
    assert_eq!(file.vips[0].interface.as_deref(), Some("eth0"));
    assert_eq!(file.vips[0].addresses().next(), Some(("192.0.2.80".parse().expect("ip"), 24)));
    // 3 s, and the second's skew: 156/256 s.
    assert_eq!(file.timing.dead_after, Duration::from_millis(3610));
    let check = file.check(file.vips[0].checks[0]);
    assert_eq!((check.name.as_str(), check.check.timing.fall), ("nginx_answers", 3));
    assert_eq!(check.check.timing.timeout, Duration::from_secs(1));
    let take = file.hooks.on_take.expect("a hook");
    assert_eq!(
        (take.program, take.arguments),
        ("/usr/local/sbin/web-up".into(), vec!["--verbose".into()])
    );
    let crossed = read_back(&sample("crossed"));
    assert_eq!(crossed.vips[1].placement.home(), Some(NodeId(1)));
    assert_eq!(crossed.nodes[0].addresses, ["10.8.0.1".parse::<std::net::IpAddr>().expect("ip")]);
    assert_eq!(read_back(&sample("fast")).timing.dead_after, Duration::from_millis(31));
    let stay = read_back(&sample("nopreempt"));
    let failbacks: Vec<_> = stay.vips.iter().map(|vip| vip.failback).collect();
    let late = Failback::After(Duration::from_mins(5));
    assert_eq!(failbacks, [Failback::No, late, Failback::Yes]);
}

#[test]
fn one_file_for_all_is_read_once_for_each() {
    let file = read_back(&sample("conditions"));
    let nodes: Vec<_> = file.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(nodes, ["left", "right"]);
    assert_eq!(file.vips[0].placement.home(), Some(NodeId(0)));
    // Named the other way round, they are still themselves.
    let named = [node("right", "172.16.9.22"), node("left", "172.16.9.21")];
    let file = read_back(&imported(&["conditions.conf"], &named).expect("imported"));
    assert_eq!(file.nodes[0].addresses, ["172.16.9.22".parse::<std::net::IpAddr>().expect("ip")]);
    assert_eq!(file.vips[0].placement.home(), Some(NodeId(1)));
}

#[test]
fn a_sync_group_is_one_vip_and_definitions_make_many() {
    let file = read_back(&sample("sync-group"));
    assert_eq!((file.vips.len(), file.vips[0].count()), (1, 2));
    let file = read_back(&sample("variables"));
    assert_eq!(file.vip_count(), 9);
    assert!(file.vips[2].contains("fd09::b0".parse().expect("an address")));
}

#[test]
fn nodes_that_cannot_be_told_apart_are_a_failure_with_a_way_out() {
    let failure = imported(&["multicast.conf"], &[]).expect_err("no address");
    assert!(failure.to_string().contains("--node north=ADDRESS"), "{failure}");
    let one = [node("north", "198.51.100.1")];
    let failure = imported(&["multicast.conf"], &one).expect_err("no second node");
    assert!(failure.to_string().contains("--node NAME=ADDRESS"), "{failure}");
    let twice = ["two-nodes-a.conf", "two-nodes-a.conf"];
    let failure = imported(&twice, &[]).expect_err("the same twice");
    assert!(failure.what().contains("192.0.2.11 is the address of two nodes"), "{failure}");
    let failure = imported(&["two-nodes-a.conf", "two-nodes-b.conf"], &one).expect_err("one name");
    assert_eq!(failure.code(), Code::Usage);
    let failure = imported(&["not-there.conf"], &[]).expect_err("not there");
    assert!(failure.what().contains("no such file"), "{failure}");
}

const SMALL: &str = "vrrp_instance V {\n unicast_src_ip 10.0.0.1\n unicast_peer { 10.0.0.2 }\n\
                     virtual_ipaddress { 10.0.0.9 }\n authentication { auth_pass narf }\n}\n";

#[test]
fn the_password_goes_nowhere() {
    let outcome = of_text(SMALL).expect("imported");
    let shown = format!("{outcome:?}");
    assert!(!shown.contains("narf") && shown.contains("standin keygen"), "{shown}");
    for (name, _) in SAMPLES {
        assert!(!format!("{:?}", sample(name)).contains("h1ddenPW"), "{name}");
    }
    // Wherever the line ends up when another is lost, doubled or misplaced.
    let lines = [
        "vrrp_instance V {",
        "authentication {",
        "auth_type PASS",
        "auth_pass narf",
        "}",
        "virtual_ipaddress {",
        "10.0.0.9",
        "}",
        "unicast_peer {",
        "10.0.0.2",
        "}",
        "track_script {",
        "x",
        "}",
        "}",
        "vrrp_sync_group G {",
        "group {",
        "V",
        "}",
        "}",
    ];
    for from in 0..lines.len() {
        for to in 0..lines.len() {
            let mut moved = lines.to_vec();
            moved[to] = "auth_pass narf";
            moved.remove(from);
            let text = moved.join("\n");
            for text in [
                text.clone(),
                text.replace("auth_pass narf", "auth_pass \"narf"),
                text.replace("auth_pass narf", "auth_pass narf {"),
            ] {
                let said = match of_text(&text) {
                    Ok(outcome) => format!("{outcome:?}"),
                    Err(failure) => failure.to_string(),
                };
                assert!(!said.contains("narf"), "{text}\n\n{said}");
            }
        }
    }
}

/// An instance of two nodes, with a statement more.
fn with_statement(statement: &str) -> String {
    format!(
        "vrrp_script c {{\nscript /bin/c\n{statement}\n}}\nvrrp_instance V {{\n{statement}\n\
         unicast_src_ip 10.0.0.1\nunicast_peer {{\n10.0.0.2\n}}\n\
         virtual_ipaddress {{\n10.0.0.9\n}}\n}}\n"
    )
}

#[test]
fn what_stands_behind_a_value_is_listed() {
    for (statement, behind) in [
        ("interval 2 weight 2", "'weight 2' behind it is not read"),
        ("priority 100 200", "'200' behind it is not read"),
        ("interface eth0 eth1", "'eth1' behind it is not read"),
        ("nopreempt please", "'please' behind it is not read"),
        ("weight 5 reverse more", "'more' behind it is not read"),
        ("track_script c {\n}", "'c' behind it is not read"),
    ] {
        let outcome = of_text(&with_statement(statement)).expect(statement);
        let said = |listed: &Listed| listed.kind == Kind::Left && listed.message == behind;
        assert!(outcome.list.iter().any(said), "{statement}: {:?}", outcome.list);
    }
    let outcome = of_text(&with_statement("weight 5 reverse")).expect("a weight");
    assert!(!outcome.text.contains("is not read"), "{}", outcome.text);
}

#[test]
fn an_address_or_a_block_that_would_be_lost_is_refused() {
    for (statement, why) in [
        ("unicast_peer { 10.0.0.2 10.0.0.3 }", "expected one address a line"),
        ("unicast_peer 10.0.0.3", "expected unicast_peer { … }"),
        ("virtual_ipaddress 10.0.0.8", "expected virtual_ipaddress { … }"),
        ("track_script c", "expected track_script { … }"),
        ("virtual_ipaddress {\n10.0.0.8 dev\n}", "dev without an interface"),
        ("virtual_ipaddress {\n$VIP/24\n}", "${VIP} does before anything"),
        ("advert_int 100000", "at most a day"),
    ] {
        let failure = of_text(&with_statement(statement)).expect_err(statement);
        assert!(failure.to_string().contains(why), "{statement}: {failure}");
    }
}

#[test]
fn of_very_many_errors_the_first_are_shown() {
    // Each error is drawn over the whole text: a file that is none of keepalived's has thousands.
    let failure = of_text(&"it isn't\n".repeat(50_000)).expect_err("quotes that never end");
    let said = failure.to_string();
    assert!(said.starts_with("at least 500 errors in x.conf\n"), "{said}");
    assert!(said.ends_with("\n… and 450 more"), "{said}");
    assert_eq!(said.matches("never closed").count(), 50);
}

#[test]
fn a_mark_at_the_beginning_of_a_file_is_no_keyword() {
    let path = std::env::temp_dir().join(format!("standin-mark-{}.conf", std::process::id()));
    fs::write(&path, format!("\u{feff}{}", with_statement("interval 2"))).expect("written");
    let outcome = import(std::slice::from_ref(&path), &[], None, &RealFiles, false);
    fs::remove_file(&path).expect("removed");
    read_back(&outcome.expect("a configuration"));
}

#[test]
fn remarks_have_their_lines_and_a_way_to_go_on() {
    let outcome = sample("everything-left");
    let of = |word: &str| -> &Listed {
        let mut found = outcome.list.iter().filter(|listed| listed.word == word);
        found.next().unwrap_or_else(|| panic!("{word}"))
    };
    let static_address = of("static_ipaddress");
    assert_eq!(
        (static_address.kind, static_address.line, static_address.end_line),
        (Kind::Left, 3, 5)
    );
    assert_eq!(of("interfase").to_do.as_deref(), Some("perhaps interface was meant"));
    assert_eq!(of("script_usr").to_do.as_deref(), Some("perhaps script_user was meant"));
    assert_eq!(of("zebra").kind, Kind::Left);
    let json = of("vrrp_track_process").to_json();
    assert_eq!(json["file"], "everything-left.conf");
    assert_eq!(json["kind"], "not-translated");
    assert!(json["to_do"].as_str().expect("text").contains("pgrep"), "{json}");
    for listed in &outcome.list {
        let comment = format!("#   {}:{}: {}: ", listed.path.display(), listed.line, listed.word);
        assert!(outcome.text.contains(&comment), "{comment}");
    }
}

#[test]
fn a_comment_stays_a_comment_whatever_the_names_are() {
    let text = SMALL.replace("vrrp_instance V", "vrrp_instance \"x\\n[hooks]\\non-take = 1\"");
    let outcome = of_text(&text).expect("imported");
    let file = read_back(&outcome);
    assert!(file.hooks.on_take.is_none(), "{}", outcome.text);
    let text = format!("{SMALL}\"a\\nb\" c\n");
    read_back(&of_text(&text).expect("imported"));
}

#[test]
fn the_program_writes_a_new_file_and_never_over_one() {
    let target = std::env::temp_dir().join(format!("standin-import-{}.toml", std::process::id()));
    let run = |more: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_standin"))
            .args(["import", "two-nodes-a.conf", "two-nodes-b.conf", "--cluster", "web"])
            .args(more)
            .current_dir(directory())
            .output()
            .expect("it starts")
    };
    let agreed = fs::read_to_string(directory().join("two-nodes.toml")).expect("agreed");
    let printed = run(&[]);
    assert!(printed.status.success());
    assert_eq!(String::from_utf8_lossy(&printed.stdout), agreed);
    let listed = String::from_utf8_lossy(&printed.stderr);
    assert!(listed.contains("two-nodes-a.conf:26: authentication: "), "{listed}");
    let path = target.to_string_lossy();
    let written = run(&["--output", &path]);
    assert!(written.status.success() && written.stdout.is_empty());
    assert_eq!(fs::read_to_string(&target).expect("written"), agreed);
    let again = run(&["--output", &path]);
    assert_eq!(again.status.code(), Some(Code::CannotCreate as i32));
    fs::remove_file(&target).expect("removed");
    let json = run(&["--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["file"], agreed);
    assert_eq!(json["list"][0]["line"], 5);
}
