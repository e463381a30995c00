//! `standin check` and `standin keygen` as people and scripts meet them: the program itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("standin-check-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    fn file(&self, text: &str) -> String {
        let path = self.0.join("standin.toml");
        fs::write(&path, text).expect("written");
        path.to_string_lossy().into_owned()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn standin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_standin")).args(arguments).output().expect("it runs")
}

/// A command inside user and network namespaces of its own, in which there is a pair of
/// interfaces: `left` has 10.9.0.1 and 10.9.0.2 is behind `right`, in a namespace further in.
fn in_namespaces(script: &str) -> Output {
    let setup = "set -e; ip link set lo up; ip link add left type veth peer name right; \
                 unshare -n sleep 60 & inner=$!; trap 'kill $inner' EXIT; \
                 until [ \"$(readlink /proc/$inner/ns/net)\" != \"$(readlink /proc/self/ns/net)\" ]; \
                 do :; done; \
                 ip link set right netns $inner; ip address add 10.9.0.1/24 dev left; \
                 ip link set left up; \
                 nsenter -t $inner -n sh -c 'ip address add 10.9.0.2/24 dev right; ip link set right up'; \
                 until ip -br link show left | grep -q LOWER_UP; do :; done; set +e; ";
    Command::new("unshare")
        .args(["-Urn", "sh", "-c", &format!("{setup}{script}")])
        .env("STANDIN", env!("CARGO_BIN_EXE_standin"))
        .output()
        .expect("unshare, of util-linux")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const FILE: &str = r#"
cluster = "web"
key-file = "key"
isolated-when-unreachable = "10.9.0.3"
[nodes]
pinky = "10.9.0.1"
brain = "10.9.0.2"
[[vip]]
address = "10.9.0.9"
home = "pinky"
"#;

#[test]
fn a_wrong_file_is_drawn_and_has_its_exit_status() {
    let directory = Directory::new("wrong");
    let path = directory.file(&FILE.replace("home", "hmoe"));
    let output = standin(&["check", &path]);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stdout);
    assert!(
        said.contains(&format!("--> {path}:10:1")) && said.contains("did you mean `home`?"),
        "{said}"
    );
    assert!(said.ends_with("\n2 errors\n") && !said.contains('\u{1b}'), "{said}");
    let output = standin(&["check", &path, "--json"]);
    assert_eq!(output.status.code(), Some(78));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["ok"], &report["digest"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(report["problems"][1]["line"], 10);
}

#[test]
fn a_file_that_is_not_there_is_an_error_of_its_own() {
    let output = standin(&["check", "/nonexistent/standin.toml"]);
    assert_eq!(output.status.code(), Some(78));
    let said = text(&output.stderr);
    assert!(said.contains("cannot read /nonexistent/standin.toml: no such file"), "{said}");
}

#[test]
fn a_key_is_made_once() {
    let directory = Directory::new("keygen");
    let key = directory.0.join("key").to_string_lossy().into_owned();
    let output = standin(&["keygen", &key]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        !text(&output.stdout)
            .contains(text(&fs::read(&key).expect("a key")).lines().last().expect("a line"))
    );
    assert_eq!(standin(&["keygen", &key]).status.code(), Some(73));
    let output = standin(&["keygen", &key, "--rotate"]);
    assert!(output.status.success(), "{output:?}");
    assert!(text(&output.stdout).starts_with("step 1 of 3"), "{output:?}");
}

#[test]
fn a_host_is_judged_with_its_peers() {
    let directory = Directory::new("host");
    let path = directory.file(FILE);
    let key = directory.0.join("key");
    assert!(standin(&["keygen", &key.to_string_lossy()]).status.success());
    // A relative path: the key file is beside it all the same.
    let directory = Path::new(&path).parent().expect("a directory").display();
    let output = in_namespaces(&format!("cd {directory}; $STANDIN check standin.toml --json"));
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}{}", text(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["ok"], &report["node"]), (&Value::Bool(true), &Value::from("pinky")));
    let of = |topic: &str, subject: &str| -> (String, String) {
        let findings = report["findings"].as_array().expect("a list");
        let found = findings
            .iter()
            .find(|one| one["topic"] == topic && one["subject"] == subject)
            .unwrap_or_else(|| panic!("{topic} {subject} in {report:#}"));
        let part = |key: &str| found[key].as_str().expect("text").to_owned();
        (part("verdict"), part("what"))
    };
    let (verdict, what) = of("path", "brain 10.9.0.2");
    assert!(verdict == "ok" && what.starts_with("answers within"), "{what}");
    let (verdict, what) = of("path", "reference 10.9.0.3");
    assert!(verdict == "warn" && what.starts_with("no answer"), "{what}");
    assert_eq!(of("interface", "left").0, "ok");
    assert_eq!(of("rights", "capabilities").0, "ok");
}

#[test]
fn a_peer_behind_a_packet_filter_still_answers_arp() {
    let directory = Directory::new("filter");
    let path = directory.file(FILE);
    let output = in_namespaces(&format!(
        "nsenter -t $inner -n sh -c 'echo 1 > /proc/sys/net/ipv4/icmp_echo_ignore_all'; \
         $STANDIN check {path}"
    ));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(78), "there is no key: {said}");
    assert!(said.contains("brain 10.9.0.2"), "{said}{}", text(&output.stderr));
    assert!(said.contains("answers ARP, but no echo request"), "{said}");
    assert!(Path::new(&path).exists());
}

#[test]
fn a_witness_needs_no_rights() {
    let directory = Directory::new("witness");
    let key = directory.0.join("key").to_string_lossy().into_owned();
    assert!(standin(&["keygen", &key]).status.success());
    let text = FILE.replace("isolated-when-unreachable = \"10.9.0.3\"", "authority = \"quorum\"")
        + "[witnesses]\nsnowball = \"10.9.0.3\"\n";
    let file = directory.file(&text);
    let socket = directory.0.join("sock").to_string_lossy().into_owned();
    // Inside a user namespace all capabilities are there, so they are dropped before it starts.
    let script = format!(
        "setpriv --bounding-set -all --inh-caps -all $STANDIN witness {file} --node snowball \
         --socket {socket} & witness=$!; \
         for try in $(seq 100); do [ -S {socket} ] && break; sleep 0.05; done; \
         grep CapEff /proc/$witness/status; \
         $STANDIN status --json --socket {socket}; kill $witness; wait $witness; echo ended $?"
    );
    let output = in_namespaces(&script);
    let said = text_of(&output);
    assert!(said.contains("CapEff:\t0000000000000000"), "{said}");
    assert!(said.contains("\"node\": \"snowball\"") && said.contains("ended 0"), "{said}");
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
