//! The configuration file of a cluster: one file, the same on every node.
//!
//! Owns what every key means, what is wrong with a file and where. [`ClusterFile`] is the typed
//! result, and one that exists is valid. Never looks at this host (that is [`crate::doctor`]'s)
//! and never changes anything; the only file it opens is the one it is given.
//!
//! ```text
//! text ── toml ──► table ── nodes, checks, vips, settings ──► drafts ── cross ──► ClusterFile
//!                     │              │                                 │
//!                     └──────────────┴────────► Problems ◄─────────────┘
//! ```
//!
//! Invariant: one run names every problem of a file, each with its place; there is a
//! [`ClusterFile`] exactly when none of them is an error.

mod address;
mod checks;
mod cross;
mod digest;
mod http;
mod keys;
mod model;
mod nodes;
mod problem;
mod quorum;
mod reader;
mod realtime;
pub mod reference;
mod secret;
mod settings;
mod syntax;
mod this_node;
mod vips;
mod webhook;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use address::{AddressRange, MOST_VIPS};
pub use http::DEFAULT_HTTP_PORT;
pub use keys::{Key, KeyDefault, Section};
pub use model::{
    Authority, ClusterFile, Control, HeldAs, HookCommand, Hooks, Http, NamedCheck, NamedCheckId,
    Node, NodeId, OnDoubt, Placement, ROUTES_FROM, Realtime, Timing, TlsFiles, VipGroup, Webhook,
    WebhookEvent,
};
pub use problem::{Problem, Problems, Severity, Source, Span};
pub use realtime::DEFAULT_PRIORITY;
pub use settings::DEFAULT_PORT;
pub use this_node::{find_self, find_witness};
use toml::de::DeTable;

use self::reader::Table;
use crate::failure::{Code, Failure, Result, plain_io};
use crate::regular;

/// Where the file is when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/standin/standin.toml";
/// Ten thousand addresses in full take less than a twentieth of this.
const LARGEST_FILE_BYTES: u64 = 8 << 20;

/// So many errors are in a sentence about all of them.
const MOST_SAID: usize = 5;

/// A file that was read: what it says, if it is valid, and what is wrong or risky in it.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// The text.
    pub source: Source,
    /// What it says; none when there is an error.
    pub file: Option<ClusterFile>,
    /// What is wrong or risky.
    pub problems: Problems,
}

impl Parsed {
    /// The valid file, with its warnings as sentences.
    ///
    /// # Errors
    /// All errors of the file, drawn.
    pub fn into_valid(self, colour: bool) -> Result<(ClusterFile, Vec<String>)> {
        let Some(file) = self.file else {
            let shown = self.problems.render(&self.source, colour);
            let count = counted(self.problems.errors(), "error");
            let path = self.source.path.display();
            let errors: Vec<String> = self
                .problems
                .iter()
                .filter(|problem| problem.severity == Severity::Error)
                .take(MOST_SAID)
                .map(|problem| problem.in_one_line(&self.source))
                .collect();
            let more = if self.problems.errors() > MOST_SAID { "; …" } else { "" };
            return Err(Failure::config(format!("{count}: {}{more}", errors.join("; ")))
                .drawn(format!("{count} in {path}\n\n{}", shown.trim_end())));
        };
        let warnings =
            self.problems.iter().map(|problem| problem.in_one_line(&self.source)).collect();
        Ok((file, warnings))
    }
}

/// `1 error`, `2 errors`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Reads and judges the file of a run, a regular one since it may be read again.
///
/// # Errors
/// It cannot be read or is no text. What is wrong *in* it is in the [`Parsed`].
pub fn load(path: &Path) -> Result<Parsed> {
    judge(path, regular::read(path, LARGEST_FILE_BYTES + 1))
}

/// Reads and judges a file that is looked at once: it may be a pipe, `check /dev/stdin`.
///
/// # Errors
/// As of [`load`].
pub fn load_once(path: &Path) -> Result<Parsed> {
    let mut bytes = Vec::new();
    let read =
        File::open(path).and_then(|file| file.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes));
    judge(path, read.map(|_| bytes))
}

fn judge(path: &Path, read: io::Result<Vec<u8>>) -> Result<Parsed> {
    let shown = path.display();
    let bytes = read.map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > LARGEST_FILE_BYTES {
        return Err(Failure::config(format!("{shown} is larger than 8 MiB"))
            .advice("write addresses that follow each other as a range: \"10.0.0.10-10.0.0.40\""));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = good.split(|byte| *byte == b'\n').count();
        let last = good.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let column = String::from_utf8_lossy(last).chars().count() + 1;
        Failure::config(format!("{shown}:{line}:{column}: this is not UTF-8 text"))
            .expected("the configuration file of the cluster, a text in UTF-8")
            .advice("save it as UTF-8 in the editor, or convert it with iconv -t UTF-8")
    })?;
    Ok(parse(Source::new(path, text)))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let failure =
        Failure::new(Code::Config, format!("cannot read {}: {}", path.display(), plain_io(error)))
            .expected("the configuration file of the cluster, a regular file");
    let named = "name it behind the command, as in: standin check ./standin.toml";
    match error.kind() {
        io::ErrorKind::NotFound => {
            failure.advice(named).advice("no file yet? See man standin.toml, or docs/MANUAL.md")
        }
        io::ErrorKind::PermissionDenied => failure.advice("run it as root"),
        _ => failure.advice(named),
    }
}

/// Judges a text.
pub fn parse(source: Source) -> Parsed {
    let mut problems = Problems::default();
    let (document, faults) = DeTable::parse_recoverable(&source.text);
    // Many are counted only: each is looked at on its own line, and never across the whole text.
    let is_keepalived = !faults.is_empty() && source.text.contains("vrrp_instance");
    for fault in &faults {
        problems.push(syntax::problem(&source.text, fault, is_keepalived));
    }
    let syntax = faults.len();
    let top = Table::open(document.get_ref(), 0..0, Section::Top, &mut problems);
    let file = read(&top, &source.path, &mut problems);
    problems.settle(&source, syntax);
    let file = file.filter(|_| problems.errors() == 0);
    drop(document);
    Parsed { source, file, problems }
}

/// Reads everything; whatever is wrong is a problem.
fn read(top: &Table<'_>, path: &Path, problems: &mut Problems) -> Option<ClusterFile> {
    let cluster = cluster(top, problems);
    let nodes = nodes::read(top, problems);
    let witnesses = nodes::witnesses(top, &nodes, problems);
    let checks = checks::read(top, problems);
    let known = vips::Known { nodes: &nodes, checks: &checks };
    let vips = vips::read(top, &known, problems);
    let isolated = isolated(top, problems);
    let drafts = cross::Drafts {
        nodes: &nodes,
        witnesses: &witnesses,
        checks: &checks,
        vips: &vips,
        isolated: &isolated,
    };
    cross::judge(&drafts, problems);
    let timing = settings::timing(top, problems);
    let hooks = settings::hooks(top, problems);
    let control = settings::control(top, problems);
    let http = http::http(top, path, problems);
    let webhooks = webhook::read(top, path, problems);
    let realtime = realtime::realtime(top, problems);
    let quorum::Right { authority, fence } =
        quorum::read(top, &nodes, &witnesses, &timing, problems);
    let port = settings::port(top, problems);
    let key_file = settings::key_file(top, path, problems);
    Some(ClusterFile {
        cluster: cluster?,
        key_file,
        port,
        authority,
        fence,
        nodes: nodes.into_iter().map(nodes::NodeDraft::finish).collect(),
        witnesses: witnesses.into_iter().map(nodes::NodeDraft::finish).collect(),
        vips: vips.into_iter().map(|draft| draft.group).collect(),
        checks: checks.into_iter().map(|draft| draft.check).collect::<Option<_>>()?,
        timing,
        hooks,
        isolated_when_unreachable: isolated.into_iter().map(|(address, _)| address).collect(),
        control,
        http,
        webhooks,
        realtime,
    })
}

fn cluster(top: &Table<'_>, problems: &mut Problems) -> Option<String> {
    let value =
        top.need("cluster", "cluster = \"web\", a name of its own on this network", problems)?;
    let text = value.text(problems)?;
    match nodes::judge_name(text.text) {
        Ok(()) => Some(text.text.to_owned()),
        Err(why) => {
            problems.push(Problem::error(text.span(), format!("'{}' {why}", text.text)));
            None
        }
    }
}

fn isolated(top: &Table<'_>, problems: &mut Problems) -> Vec<(std::net::IpAddr, Span)> {
    let value = top.get("isolated-when-unreachable");
    let texts = value.map(|value| value.texts("an address", problems)).unwrap_or_default();
    texts.into_iter().filter_map(|text| nodes::one(text, problems)).collect()
}
