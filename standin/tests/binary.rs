//! The program as a script meets it: what goes to which stream, and the exit status.

use std::fs::File;
use std::process::{Command, Output, Stdio};

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
fn a_full_disk_behind_standard_output_is_no_panic() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_standin"))
        .arg("--help")
        .stdout(full)
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}
