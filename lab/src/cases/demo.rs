//! `standin demo`: the story on one machine, and that nothing of it stays.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use standin_sys::netlink::RouteSocket;
use standin_sys::poll::{Interest, Poller};
use standin_sys::process::{CommandExt, ProcessHandle};
use standin_sys::signal::SIGINT;
use standin_sys::sysctl;

use super::{Case, alone, beside};
use crate::sandbox;
use crate::story::Lab;
use crate::wait::{self, PATIENCE};

pub const CASES: &[Case] = &[
    alone(
        "demo_fast",
        "ends well within 30 s, with a summary and a picture; nothing stays",
        |lab| demo(lab, &["--fast"]),
    ),
    alone("demo_ipv6", "the same with IPv6", |lab| demo(lab, &["--fast", "--ipv6"])),
    alone("demo_default", "at the default second it ends within 30 s too", |lab| demo(lab, &[])),
    alone("demo_interrupted", "Ctrl-C in the middle: it ends, and nothing stays", demo_interrupted),
    beside(
        "demo_forbidden",
        "where user namespaces are forbidden it says which setting and what to do",
        demo_forbidden,
    ),
];

/// The last process number that is looked at; the namespace is fresh, so numbers are small.
const LAST_PROCESS: u32 = 3000;

/// How many processes live beside this one, in its process namespace.
fn neighbours() -> Result<usize> {
    let mut poller = Poller::new()?;
    let mut living = 0;
    for id in 2..LAST_PROCESS {
        let Ok(handle) = ProcessHandle::open(id) else { continue };
        // Readable: it has ended, and nobody has asked how.
        poller.add(&handle, 0, Interest::Read)?;
        let ended = poller.wait(Some(Duration::ZERO))?.count() > 0;
        poller.remove(&handle)?;
        living += usize::from(!ended);
    }
    Ok(living)
}

fn links() -> Result<usize> {
    Ok(RouteSocket::open()?.links()?.len())
}

fn demo(lab: &Lab, options: &[&str]) -> Result<()> {
    let picture = Lab::directory().join("timeline.svg");
    let (before, begun) = (links()?, Instant::now());
    let mut command = Command::new(lab.standin());
    command.arg("demo").args(options).arg("--svg").arg(&picture);
    command.stdin(Stdio::null()).die_with_parent();
    let output = command.output().context("standin did not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    lab.say(format!("{text}{error}"));
    ensure!(output.status.success(), "{}: {error}", output.status);
    let took = begun.elapsed();
    ensure!(took < Duration::from_secs(30), "it took {} s", took.as_secs());
    for word in ["pinky", "brain", " ms"] {
        ensure!(text.contains(word), "no {word:?} in {text}");
    }
    let picture = fs::read_to_string(&picture).context("the picture")?;
    ensure!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
    nothing_stays(before)
}

fn nothing_stays(links_before: usize) -> Result<()> {
    wait::until_true("nothing of it lives", PATIENCE, || {
        neighbours().is_ok_and(|count| count == 0)
    })?;
    ensure!(links()? == links_before, "an interface was left behind");
    Ok(())
}

fn demo_interrupted(lab: &Lab) -> Result<()> {
    let before = links()?;
    for after_ms in [0, 20, 300, 1500] {
        lab.say(format!("interrupted after {after_ms} ms"));
        let mut command = Command::new(lab.standin());
        command.args(["demo"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.die_with_parent().with_default_signals();
        let mut child = command.spawn().context("standin did not start")?;
        std::thread::sleep(Duration::from_millis(after_ms));
        ProcessHandle::open(child.id())?.send_signal(SIGINT)?;
        let status = wait::until("it ends", PATIENCE, || child.try_wait().ok()?)?;
        lab.say(format!("it ended with {status}"));
        nothing_stays(before)?;
    }
    Ok(())
}

fn demo_forbidden(lab: &Lab) -> Result<()> {
    sandbox::require("setpriv", "util-linux")?;
    // The limit is this user namespace's own.
    sysctl::write("user/max_user_namespaces", "0")?;
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all"]).arg(lab.standin()).arg("demo");
    command.stdin(Stdio::null()).die_with_parent();
    let output = command.output().context("setpriv did not start")?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    lab.say(&error);
    ensure!(!output.status.success(), "it ran without a namespace");
    for word in ["user.max_user_namespaces", "root"] {
        ensure!(error.contains(word), "no {word:?} in {error}");
    }
    Ok(())
}
