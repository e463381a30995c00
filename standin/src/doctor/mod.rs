//! `standin check`: is the file right, and is this host ready for it?
//!
//! Owns what is looked at on a host and what is said about it. It changes nothing: the only thing
//! that leaves the host is a few echo requests and a DNS question, both with a time limit.
//!
//! Every look is a function from what was read to [`Finding`]s, so that each can be shown on a
//! host that is made up: files come through [`Files`], the network through
//! [`Kernel`].

mod clock;
mod finding;
mod forms;
mod interfaces;
mod managers;
mod names;
mod on_time;
mod pages;
mod paths;
mod programs;
mod quorum;
mod sandbox;
mod secrets;
mod sysctls;
mod webhooks;

use std::fmt::Write;
use std::io::{self, IsTerminal};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use standin_sys::capability::{Capabilities, Capability};

pub use finding::{Finding, Findings, Verdict};

use crate::failure::{Code, Failure, Result};
use crate::file::{self, ClusterFile, NodeId, Parsed, find_self, find_witness};
use crate::host::{Ground, Kernel, RealKernel, os, routes};

const CHECK_EXAMPLES: &str = "\
Examples:
  standin check
      Judge /etc/standin/standin.toml, and this host by it.
  standin check ./standin.toml --node brain
      As if this host were brain.

Exit status: 0 when nothing is wrong, warnings or not; 78 when something is.";

/// The arguments of `standin check`.
#[derive(Debug, Args)]
#[command(after_help = CHECK_EXAMPLES)]
pub struct DoctorArgs {
    /// The configuration file
    #[arg(value_name = "FILE", default_value = file::DEFAULT_PATH)]
    pub file: PathBuf,

    /// The node that this host is [default: found by host name or address]
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Files of this host, perhaps of one that is made up below another root.
#[derive(Debug, Clone)]
pub struct Files {
    root: PathBuf,
}

impl Files {
    /// Those below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where an absolute path is. A relative one begins in the working directory, as always.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        path.strip_prefix("/").map_or_else(|_| path.to_owned(), |rest| self.root.join(rest))
    }

    /// A file's text, without the spaces around it.
    ///
    /// # Errors
    /// As of [`std::fs::read_to_string`].
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<String> {
        std::fs::read_to_string(self.path(path)).map(|text| text.trim().to_owned())
    }

    /// A sysctl that is a number; none when this kernel does not have it.
    pub fn sysctl(&self, key: &str) -> Option<i64> {
        self.read(format!("/proc/sys/{key}")).ok()?.parse().ok()
    }
}

/// What is judged, and by what.
pub struct Patient<'a, 'k> {
    /// The file.
    pub file: &'a ClusterFile,
    /// The node that this host is.
    pub node: NodeId,
    /// This host's interfaces, addresses and routes.
    pub ground: &'a mut Ground<'k>,
    /// This host's files.
    pub files: &'a Files,
}

/// Judges the file and this host, and prints what was found.
///
/// # Errors
/// The file cannot be read at all, or the kernel refuses to tell about this host.
pub fn run(args: &DoctorArgs, say: &mut dyn FnMut(&str)) -> Result<ExitCode> {
    let parsed = file::load_once(&args.file)?;
    let mut findings = Findings::default();
    let mut node = None;
    if let Some(file) = &parsed.file {
        let files = Files::below("/");
        let mut kernel = RealKernel::open().map_err(|error| os(&error))?;
        node = examine(file, args.node.as_deref(), &mut kernel, &files, &mut findings)?;
        if let Some(node) = node {
            sandbox::judge(file, &files, &mut findings);
            ask_around(file, node, &mut findings);
        }
    }
    let is_wrong = parsed.file.is_none() || findings.count(Verdict::Fail) > 0;
    if args.json {
        say(&as_json(&parsed, node, &findings, !is_wrong));
    } else {
        let colour = io::stdout().is_terminal() && crate::colour::is_wanted();
        say(&as_text(&parsed, node, &findings, colour));
    }
    Ok(if is_wrong { Code::Config.into() } else { ExitCode::SUCCESS })
}

/// Looks at everything that is on this host; tells nobody outside.
///
/// # Errors
/// The kernel refuses to tell.
pub fn examine(
    file: &ClusterFile,
    named: Option<&str>,
    kernel: &mut dyn Kernel,
    files: &Files,
    findings: &mut Findings,
) -> Result<Option<NodeId>> {
    let mut ground = Ground::survey(kernel)?;
    ground.find_routes(routes::metric(&file.cluster))?;
    let hostname = files.read("/proc/sys/kernel/hostname").unwrap_or_default();
    let own: Vec<IpAddr> = ground.addresses.iter().map(|address| address.ip).collect();
    let node = match find_self(file, &hostname, &own, named) {
        Ok(node) => node,
        Err(failure) => {
            let Ok(witness) = find_witness(file, &hostname, &own, named) else {
                findings.push(Finding::failure("node", &hostname, &failure));
                return Ok(None);
            };
            let patient = Patient { file, node: witness, ground: &mut ground, files };
            let name = &file.node(witness).name;
            findings.ok("node", name, "a witness: it needs no rights, and no interface is touched");
            secrets::judge(&patient, findings);
            clock::judge_source(&patient, findings);
            return Ok(Some(witness));
        }
    };
    let mut patient = Patient { file, node, ground: &mut ground, files };
    rights(findings);
    on_time::judge(file, findings);
    quorum::judge(file, findings);
    interfaces::own_addresses(&patient, findings);
    let used = interfaces::judge(&mut patient, findings);
    forms::judge(&mut patient, findings);
    sysctls::judge(&patient, &used, findings);
    managers::judge(&patient, &used, findings);
    secrets::judge(&patient, findings);
    pages::judge(&patient, findings);
    webhooks::judge(&patient, findings);
    programs::judge(&patient, findings);
    clock::judge_source(&patient, findings);
    Ok(Some(node))
}

/// Asks other hosts: the peers, the reference addresses and the name service.
fn ask_around(file: &ClusterFile, node: NodeId, findings: &mut Findings) {
    let watch = clock::Watch::start();
    paths::judge(file, node, findings);
    names::judge(file, findings);
    if !file.is_witness(node) {
        webhooks::judge_names(file, findings);
    }
    watch.finish(findings);
}

fn rights(findings: &mut Findings) {
    let Ok(effective) = Capabilities::effective() else { return };
    let missing = effective.missing(&[Capability::NetAdmin, Capability::NetRaw]);
    let names: Vec<&str> = missing.iter().map(|one| one.name()).collect();
    if names.is_empty() {
        findings.ok("rights", "capabilities", "CAP_NET_ADMIN and CAP_NET_RAW are in effect");
    } else {
        findings.push(
            Finding::warn(
                "rights",
                "capabilities",
                format!("without {}, as whoever runs this check", names.join(" and ")),
            )
            .to_do("run the check as root, or as the daemon runs, to judge the daemon's rights"),
        );
    }
}

fn as_text(parsed: &Parsed, node: Option<NodeId>, findings: &Findings, colour: bool) -> String {
    let mut text = parsed.problems.render(&parsed.source, colour);
    let path = parsed.source.path.display();
    let errors = parsed.problems.errors() + findings.count(Verdict::Fail);
    let warnings = parsed.problems.warnings() + findings.count(Verdict::Warn);
    if let Some(file) = &parsed.file {
        let _ = writeln!(
            text,
            "{path}: cluster '{}', {}, {}, {}; digest {:016x}",
            file.cluster,
            voters(file),
            file::counted(file.vip_count() as usize, "VIP"),
            file::counted(file.checks.len(), "check"),
            file.digest()
        );
        if let Some(node) = node {
            let _ = writeln!(text, "this host is {}", file.node(node).name);
        }
        text.push('\n');
        text.push_str(&findings.render(colour));
        text.push('\n');
    }
    let counts = [(errors, "error"), (warnings, "warning")];
    let counts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| file::counted(count, what))
        .collect();
    text.push_str(&if counts.is_empty() { "all is well".to_owned() } else { counts.join(", ") });
    text.push('\n');
    text
}

/// `2 nodes`, or `2 nodes, 1 witness`.
fn voters(file: &ClusterFile) -> String {
    let nodes = file::counted(file.nodes.len(), "node");
    match file.witnesses.len() {
        0 => nodes,
        1 => format!("{nodes}, 1 witness"),
        count => format!("{nodes}, {count} witnesses"),
    }
}

fn as_json(parsed: &Parsed, node: Option<NodeId>, findings: &Findings, is_ok: bool) -> String {
    let problems: Vec<_> =
        parsed.problems.iter().map(|problem| problem.to_json(&parsed.source)).collect();
    let name = |node| parsed.file.as_ref().map(|file| file.node(node).name.clone());
    let report = json!({
        "ok": is_ok,
        "file": parsed.source.path,
        "digest": parsed.file.as_ref().map(|file| format!("{:016x}", file.digest())),
        "node": node.and_then(name),
        "problems": problems,
        "findings": findings.to_json(),
    });
    format!("{report:#}\n")
}

/// What a [`Failure`] of another room says, as one line.
pub(crate) fn in_one_line(failure: &Failure) -> String {
    failure.what().replace('\n', " ")
}

#[cfg(test)]
mod tests;
