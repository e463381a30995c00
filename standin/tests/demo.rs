//! `standin demo` as a newcomer starts it: the whole story in a pipe, and its end by a signal.
//!
//! It needs user namespaces, or root, as the demo itself does, and says so where both are missing.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// More than the demo may ever take.
const PATIENCE: Duration = Duration::from_secs(30);

fn demo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command.arg("demo").args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    // Found again among all processes, in whatever namespace.
    command.env("STANDIN_DEMO_TEST", marker());
    command
}

fn marker() -> String {
    format!("{}-{:?}", std::process::id(), std::thread::current().id())
}

/// Processes that this test's thread started, however far down.
fn left_behind() -> Vec<String> {
    let wanted = format!("STANDIN_DEMO_TEST={}", marker());
    let mut found = vec![];
    for process in fs::read_dir("/proc").expect("/proc").flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|&byte| byte == 0).any(|entry| entry == wanted.as_bytes()) {
            found.push(process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

fn ended(child: Child) -> Output {
    let started = Instant::now();
    let output = child.wait_with_output().expect("its output");
    assert!(started.elapsed() < PATIENCE, "it took {:?}", started.elapsed());
    output
}

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// The words after the title of a summary's row.
fn figure<'a>(text: &'a str, title: &str) -> &'a str {
    text.lines()
        .find_map(|line| line.trim_start().strip_prefix(title))
        .unwrap_or_else(|| panic!("no {title} in {text}"))
        .trim()
}

fn leading_number(text: &str) -> u64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

#[test]
fn the_story_is_told_to_its_end_in_a_pipe() {
    let picture = file("story.svg");
    let path = picture.to_str().expect("UTF-8");
    let output = ended(demo(&["--fast", "--svg", path]).spawn().expect("starts"));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{complaints}");
    assert!(complaints.is_empty(), "{complaints}");
    assert!(!text.contains('\x1b'), "no escape sequences in a pipe");
    for words in [
        "pinky  peer-dead: brain is dead",
        "is answered by pinky now",
        "is answered by brain now",
        "sends packets for 208.201.239.37 to 02:00:00:00:00:16 (pinky)",
        "sends packets for 208.201.239.37 to 02:00:00:00:00:17 (brain)",
        "All of it is gone again",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let outage_ms = leading_number(figure(&text, "outage at the client"));
    assert!((20..5000).contains(&outage_ms), "{outage_ms}");
    assert!(leading_number(figure(&text, "requests lost")) > 0);
    let drawn = fs::read_to_string(&picture).expect("a picture");
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    fs::remove_file(&picture).expect("removes");
    assert_eq!(left_behind(), Vec::<String>::new());
}

#[test]
fn a_signal_in_the_middle_leaves_nothing_behind() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let picture = file("interrupted.svg");
        let mut child = demo(&["--svg", picture.to_str().expect("UTF-8")]).spawn().expect("starts");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        while !line.starts_with("2. ") {
            line.clear();
            assert_ne!(out.read_line(&mut line).expect("a line"), 0, "ended too early");
        }
        // Brain's processes may be gone already; Pinky's and the story's own are not.
        assert!(left_behind().len() > 2, "the hosts run");
        let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        let mut rest = String::new();
        out.read_to_string(&mut rest).expect("the rest");
        let status = child.wait().expect("its status");
        assert_eq!((status.code(), status.signal()), (Some(code), None), "{rest}");
        assert!(rest.contains("interrupted"), "{rest}");
        assert!(!rest.contains("What the client saw"), "{rest}");
        assert_eq!(left_behind(), Vec::<String>::new());
        assert!(!picture.exists());
    }
}

#[test]
fn being_killed_leaves_nothing_behind_either() {
    let mut child = demo(&[]).spawn().expect("starts");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("1. ") {
        line.clear();
        assert_ne!(out.read_line(&mut line).expect("a line"), 0, "ended too early");
    }
    child.kill().expect("kills");
    child.wait().expect("its status");
    let killed = Instant::now();
    while !left_behind().is_empty() {
        assert!(killed.elapsed() < PATIENCE, "{:?}", left_behind());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_cannot_work_is_refused_before_the_story() {
    for (arguments, code, words) in [
        (["--svg", "/nonexistent/x.svg"], 73, "cannot write /nonexistent/x.svg: no such file"),
        (["--dead-after", "11s"], 64, "--dead-after 11s does not suit the demo"),
        (["--dead-after", "1ms"], 64, "expected: 5ms to 10s"),
    ] {
        let output = ended(demo(&arguments).spawn().expect("starts"));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{complaint}");
        assert!(complaint.contains(words), "{complaint}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_story_that_cannot_be_written_ends_and_says_so() {
    let full = fs::File::options().write(true).open("/dev/full").expect("a full device");
    let output = ended(demo(&["--fast"]).stdout(full).spawn().expect("it starts"));
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("cannot write to standard output: no space left"), "{said}");
    assert_eq!(left_behind(), Vec::<String>::new());
}
