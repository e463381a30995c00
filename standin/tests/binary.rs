//! The program as a script meets it: what goes to which stream, and the exit status.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

fn standin(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn help_and_version_are_answers() {
    for arguments in [&["--help"][..], &["--version"], &["for", "--help"], &["announce", "-h"]] {
        let output = standin(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_wrong_line_is_a_usage_error_on_standard_error() {
    for (arguments, reason) in [
        (&["for", "brain", "--vipp", "10.0.0.9"][..], "--vip"),
        (&["for", "brain"], "standin: there is no address to stand in for"),
        (&["for", "brain", "--vip", "10.0.0.9", "--dead-after", "1"], "unit is missing"),
        (&["announce"], "ADDRESS"),
        (&["announce", "224.0.0.1"], "no address that a host can have"),
        (&["announce", "fd00::9", "--reply"], "forms of ARP"),
        (&["send-arp", "10.0.0.9"], "SRC_MAC"),
        (&[], "Usage"),
    ] {
        let output = standin(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(text(&output.stderr).contains(reason), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure_and_one_that_nobody_reads_is_none() {
    for arguments in [&["completions", "bash"][..], &["--help"], &["run", "--help"]] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let output = Command::new(env!("CARGO_BIN_EXE_standin"))
            .args(arguments)
            .stdout(full)
            .stderr(Stdio::piped())
            .output()
            .expect("the program runs");
        assert_eq!(output.status.code(), Some(74), "{arguments:?}: {output:?}");
        let said = text(&output.stderr);
        assert!(said.starts_with("standin: cannot write to standard output: "), "{said}");
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = Command::new(env!("CARGO_BIN_EXE_standin"))
            .args(arguments)
            .stdout(writer)
            .status()
            .expect("the program runs");
        assert_eq!(status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_status_that_nobody_gives_is_unavailable() {
    let output = standin(&["status", "--socket", "/nonexistent/standin.sock"]);
    assert_eq!(output.status.code(), Some(69));
    let error = text(&output.stderr);
    assert!(
        error.starts_with("standin: there is no socket /nonexistent/standin.sock\n"),
        "{error}"
    );
    assert!(error.contains("to do: is standin running?"), "{error}");
}

#[test]
fn whoever_asks_for_json_gets_json_whatever_goes_wrong() {
    for (arguments, status, error) in [
        (&["status", "--json", "--socket", "/nonexistent/s"][..], 69, "there is no socket"),
        (&["move", "a", "b", "--json", "--socket", "/nonexistent/s"], 69, "there is no socket"),
        (&["check", "/nonexistent/f", "--json"], 78, "cannot read /nonexistent/f"),
        (&["import", "/nonexistent/f", "--json"], 78, "cannot read /nonexistent/f"),
        (&["move", "--json"], 64, "required arguments were not provided: <VIP> <NODE>"),
        (&["plan", "--json", "--fail"], 64, "a value is required for '--fail <NODE>'"),
    ] {
        let output = standin(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}");
        let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&json["ok"], &json["exit_status"]), (&Value::Bool(false), &status.into()));
        assert!(json["error"].as_str().is_some_and(|text| text.contains(error)), "{json}");
        assert!(json["to_do"].is_array(), "{json}");
        assert!(!output.stderr.is_empty(), "people are told as well: {arguments:?}");
    }
}

#[test]
fn a_pipe_is_judged_once_and_never_run() {
    let file = std::env::temp_dir().join(format!("standin-pipe-{}", std::process::id()));
    let made = Command::new("mkfifo").arg(&file).status().expect("mkfifo runs");
    assert!(made.success());
    let path = file.to_string_lossy().into_owned();
    let run = standin(&["run", &path]);
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(run.status.code(), Some(78));
    assert!(text(&run.stderr).contains("it is no regular file"), "{run:?}");
    let mut check = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["check", "/dev/stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut pipe = check.stdin.take().expect("a pipe");
    pipe.write_all(b"clutser = \"web\"\n").expect("written");
    drop(pipe);
    let output = check.wait_with_output().expect("its end");
    assert!(text(&output.stdout).contains("did you mean `cluster`?"), "{output:?}");
}

#[test]
fn a_limit_of_open_files_that_is_too_low_is_said_before_anything_begins() {
    let directory = std::env::temp_dir().join(format!("standin-files-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    let (file, key) = (directory.join("standin.toml"), directory.join("key"));
    let made = standin(&["keygen", key.to_str().expect("UTF-8")]);
    assert!(made.status.success(), "{made:?}");
    let text_of_file = "cluster = \"web\"\nkey-file = \"key\"\nauthority = \"quorum\"\n\
                        [nodes]\npinky = \"192.0.2.1\"\nbrain = \"192.0.2.2\"\n\
                        [witnesses]\nsnowball = \"192.0.2.3\"\n\
                        [[vip]]\naddress = \"192.0.2.9\"\nhome = \"pinky\"\n";
    std::fs::write(&file, text_of_file).expect("written");
    for files in ["9", "20", "63"] {
        let output = Command::new("sh")
            .args(["-c", "ulimit -n \"$1\" && shift && exec \"$@\"", "sh", files])
            .args([env!("CARGO_BIN_EXE_standin"), "witness", "--node", "snowball"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .expect("the shell runs");
        assert_eq!(output.status.code(), Some(69), "{files}: {output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("this process may have {files} files open")), "{said}");
        assert!(said.contains("ulimit -n 1024"), "{said}");
    }
    std::fs::remove_dir_all(&directory).expect("removed");
}

/// A witness, which needs no rights, with its socket and its log.
fn witness(directory: &Path) -> (Child, PathBuf, BufReader<ChildStdout>) {
    std::fs::create_dir_all(directory).expect("a directory");
    let (file, key) = (directory.join("standin.toml"), directory.join("key"));
    assert!(standin(&["keygen", key.to_str().expect("UTF-8")]).status.success());
    // One that was free a moment ago.
    let port = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.local_addr());
    let text_of_file = format!(
        "cluster = \"web\"\nkey-file = \"key\"\nauthority = \"quorum\"\nport = {}\n\
         [nodes]\npinky = \"192.0.2.1\"\nbrain = \"192.0.2.2\"\n\
         [witnesses]\nsnowball = \"192.0.2.3\"\n\
         [[vip]]\naddress = \"192.0.2.9\"\nhome = \"pinky\"\n",
        port.expect("a port").port()
    );
    std::fs::write(&file, text_of_file).expect("written");
    let socket = directory.join("s");
    let mut child = Command::new(env!("CARGO_BIN_EXE_standin"))
        .args(["witness", "--node", "snowball", "--log", "json", "--socket"])
        .args([&socket, &file])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let log = BufReader::new(child.stdout.take().expect("a pipe"));
    (child, socket, log)
}

fn send(signals: &[&str], child: &Child) {
    for signal in signals {
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    }
}

#[test]
fn a_signal_that_means_nothing_ends_nothing_and_what_is_kept_stays_so() {
    let directory = std::env::temp_dir().join(format!("standin-signals-{}", std::process::id()));
    let (mut child, socket, log) = witness(&directory);
    let mut lines = log.lines().map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.contains("\"started\"")), "it starts");
    send(&["USR1"], &child);
    let status = standin(&["status", "--json", "--socket", socket.to_str().expect("UTF-8")]);
    assert!(status.status.success(), "{status:?}");
    // Both wait for it at once, the lower number first.
    send(&["STOP", "TERM", "USR2", "CONT"], &child);
    let stopping: Vec<String> = lines.filter(|line| line.contains("\"stopping\"")).collect();
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    std::fs::remove_dir_all(&directory).expect("removed");
    assert_eq!(stopping.len(), 2, "{stopping:?}");
    for (line, name) in stopping.iter().zip(["SIGUSR2", "SIGTERM"]) {
        assert!(line.contains(&format!("{name}: leaving everything")), "{stopping:?}");
    }
}
