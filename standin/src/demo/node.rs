//! A host's processes: the real `standin for`, and its web server.
//!
//! Owns both children and the reading of the log. A host is switched off by killing them; they
//! also die with the thread that started them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use standin_sys::netns::{NetNamespace, spawn_in};
use standin_sys::process::CommandExt;

use super::news::{LogLine, News};
use super::plan::{Host, Plan};
use crate::failure::{Failure, Result};
use crate::host::os;

/// This program; the kernel finds it even where its file was replaced or its directory is closed
/// to us.
pub const OURSELVES: &str = "/proc/self/exe";
const COMPLAINT_LENGTH_MAX: u64 = 4096;

/// A host that has been switched on.
pub struct Node {
    children: [Child; 2],
}

impl Node {
    /// Switches a host on. `boot` tells this time from the others.
    ///
    /// # Errors
    /// A process cannot be started.
    pub fn start(
        plan: &Plan,
        host: Host,
        boot: u32,
        namespace: &NetNamespace,
        tell: &Sender<News>,
    ) -> Result<Self> {
        let mut page = ourselves();
        page.args(["demo", "--role", "page", "--host", host.name()]);
        if plan.ipv6 {
            page.arg("--ipv6");
        }
        let page = start(&mut page, host, boot, namespace, tell)?;
        let mut standin = ourselves();
        standin.args(plan.command_line(host)).args(["--log", "json"]);
        let standin = start(&mut standin, host, boot, namespace, tell)?;
        Ok(Self { children: [page, standin] })
    }

    /// Switches it off, as abruptly as a power failure does.
    pub fn kill(mut self) {
        for child in &mut self.children {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn ourselves() -> Command {
    let mut command = Command::new(OURSELVES);
    command.arg0("standin").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A group of its own: Ctrl-C shall reach the story and not the hosts.
    command.process_group(0).with_default_signals();
    command
}

fn start(
    command: &mut Command,
    host: Host,
    boot: u32,
    namespace: &NetNamespace,
    tell: &Sender<News>,
) -> Result<Child> {
    command.die_with_parent();
    let mut child = spawn_in(namespace, command).map_err(|error| os(&error))?;
    let (log, complaints) = (child.stdout.take(), child.stderr.take());
    let tell = tell.clone();
    let read = move || {
        for line in log.into_iter().flat_map(|log| BufReader::new(log).lines()) {
            let Some(line) = line.ok().as_deref().and_then(LogLine::parse) else { continue };
            let _ = tell.send(News::Log { host, boot, at: Instant::now(), line });
        }
        let mut complaint = String::new();
        if let Some(complaints) = complaints {
            // Half a complaint is better than none.
            let _ = complaints.take(COMPLAINT_LENGTH_MAX).read_to_string(&mut complaint);
        }
        let _ = tell.send(News::Ended { host, boot, complaint });
    };
    thread::Builder::new()
        .name(format!("log of {}", host.name()))
        .spawn(read)
        .map_err(|error| Failure::os("start a thread", &error))?;
    Ok(child)
}
