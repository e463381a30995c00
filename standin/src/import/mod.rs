//! `standin import`: from keepalived's configuration to a `standin.toml`.
//!
//! Owns what each keyword becomes, and the list of what did not come along. Reads the files it is
//! given and those they include; writes nothing but the new file, and never over one that is there.
//!
//! ```text
//! files ─ texts ─► expand ─► tree ─► read ─► nodes ─► groups, checks ─► draft ─► standin.toml
//!                    │         │       │                    │
//!                    └─ faults ┴───────┘   remarks ◄──────────┘
//! ```
//!
//! Invariant: what is written is read without an error by [`crate::file`]; every statement is
//! translated or listed; no `auth_pass` is ever shown, written or kept.

mod checks;
mod draft;
mod expand;
mod glob;
mod groups;
mod keywords;
mod model;
mod nodes;
mod read;
mod remarks;
mod sequence;
mod texts;
mod translate;
mod tree;
mod words;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

pub use nodes::NamedNode;
pub use read::KEYWORDS;
pub use remarks::{Kind, Listed};
pub use texts::{Files, RealFiles};

use self::nodes::Reading;
use self::remarks::Remarks;
use self::texts::{Fault, Texts};
use crate::failure::{Code, Failure, Result, plain_io};
use crate::file::{self, Source};

/// More errors than this are not counted: the file is something else altogether.
const MOST_FAULTS: usize = 500;
/// More errors than this are not shown.
const MOST_DRAWN: usize = 50;

/// The name of a cluster that was given none.
const DEFAULT_CLUSTER: &str = "imported";

const EXAMPLES: &str = "\
Examples:
  standin import web1.conf web2.conf --output standin.toml
      The files of both nodes: the priorities say where each address belongs.
  standin import /etc/keepalived/keepalived.conf
      One file alone: the other nodes are those of unicast_peer.
  standin import web1.conf web2.conf --node web1=10.0.0.1 --node web2=10.0.0.2
      Multicast: keepalived does not say the nodes' addresses.

What was not translated is listed, with its line and what to do, on standard error and at the end of
the new file. The password of keepalived is not taken over: standin keygen makes a key.";

/// The arguments of `standin import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// The keepalived.conf of every node, or of one
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// A node's name and real addresses: for each file in order, then for nodes without one
    #[arg(long, value_name = "NAME=ADDRESS[,…]", value_parser = named_node)]
    pub node: Vec<NamedNode>,

    /// The name of the cluster, different from others on the network
    #[arg(long, value_name = "NAME", value_parser = cluster_name)]
    pub cluster: Option<String>,

    /// Write the file there, never over one [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print JSON: the new file, and the list of what was not translated
    #[arg(long)]
    pub json: bool,
}

/// What comes out.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The new file.
    pub text: String,
    /// What did not come along, or came along changed.
    pub list: Vec<Listed>,
}

/// Imports the files and writes what comes out.
///
/// # Errors
/// A file cannot be read or understood, something needed is not said in it, or the new file is
/// there already.
pub fn run(args: &ImportArgs, say: &mut dyn FnMut(&str)) -> Result<()> {
    let colour = std::io::stderr().is_terminal() && crate::colour::is_wanted();
    let outcome = import(&args.files, &args.node, args.cluster.as_deref(), &RealFiles, colour)?;
    if let Some(path) = &args.output {
        write_new(path, &outcome.text)?;
    }
    if args.json {
        let list: Vec<_> = outcome.list.iter().map(Listed::to_json).collect();
        let report = json!({ "output": args.output, "file": outcome.text, "list": list });
        say(&format!("{report:#}\n"));
        return Ok(());
    }
    if args.output.is_none() {
        say(&outcome.text);
    }
    let mut list = remarks::shown(&outcome.list, "");
    if let Some(path) = &args.output {
        let path = path.display();
        let _ = writeln!(list, "{path} is written; judge it with: standin check {path}");
    }
    // Nobody to tell is no failure.
    let _ = std::io::stderr().write_all(list.as_bytes());
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<()> {
    let shown = path.display();
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        let what = format!("cannot write {shown}: {}", plain_io(&error));
        let failure = Failure::new(Code::CannotCreate, what);
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            failure.advice("name another file, or move this one away: nothing is written over")
        } else {
            failure
        }
    })
}

/// Translates the files; what is shown of an error is in `colour` for a terminal.
///
/// # Errors
/// All that is wrong with a file, drawn; or what is not said in any.
pub fn import(
    paths: &[PathBuf],
    given: &[NamedNode],
    cluster: Option<&str>,
    files: &dyn Files,
    colour: bool,
) -> Result<Outcome> {
    let mut importer =
        Importer { texts: Texts::default(), remarks: Remarks::default(), files, colour };
    let (readings, given) = importer.readings(paths, given)?;
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    if readings.iter().all(|reading| reading.configuration.instances.is_empty()) {
        return Err(Failure::config(format!("no vrrp_instance in {}", shown.join(", ")))
            .expected("vrrp_instance NAME { … }: addresses that move")
            .advice("virtual_server alone is load balancing, which standin does not do"));
    }
    let nodes = nodes::find(&readings, &given, &mut importer.remarks)?;
    if cluster.is_none()
        && let Some(reading) = readings.first()
    {
        let text = format!("the cluster is called {DEFAULT_CLUSTER}");
        let remark = remarks::Remark::new(Kind::Assumed, reading.place, "cluster", text);
        importer
            .remarks
            .push(remark.advise("give it a name of its own on this network: --cluster NAME"));
    }
    let configurations: Vec<_> =
        readings.into_iter().map(|reading| reading.configuration).collect();
    let mut faults = Vec::new();
    let draft = translate::cluster(
        cluster.unwrap_or(DEFAULT_CLUSTER),
        nodes,
        &configurations,
        &mut faults,
        &mut importer.remarks,
    );
    importer.refuse(&faults)?;
    if draft.vips.is_empty() {
        return Err(Failure::config(format!("no address that moves in {}", shown.join(", ")))
            .expected("virtual_ipaddress { … } in a vrrp_instance"));
    }
    let Importer { texts, remarks, .. } = importer;
    let list = remarks.into_listed(&texts);
    let text = draft.write(&shown, &list);
    prove(&text, colour)?;
    Ok(Outcome { text, list })
}

/// What is written has to be understood by who is to read it.
fn prove(text: &str, colour: bool) -> Result<()> {
    let parsed = file::parse(Source::new("standin.toml", text));
    if parsed.file.is_some() {
        return Ok(());
    }
    let what = "these files together make no valid cluster";
    let shown = parsed.problems.render(&parsed.source, colour);
    let drawing = format!("{what}; what came out of them:\n\n{}", shown.trim_end());
    let first = parsed.problems.iter().next().map(|problem| problem.in_one_line(&parsed.source));
    Err(Failure::config(format!("{what}: {}", first.unwrap_or_default())).drawn(drawing))
}

struct Importer<'a> {
    texts: Texts,
    remarks: Remarks,
    files: &'a dyn Files,
    colour: bool,
}

impl Importer<'_> {
    /// Reads every file as the node it is of; a single file with conditions once for each node
    /// that they name.
    fn readings(
        &mut self,
        paths: &[PathBuf],
        given: &[NamedNode],
    ) -> Result<(Vec<Reading>, Vec<NamedNode>)> {
        let [only] = paths else {
            if !given.is_empty() && given.len() < paths.len() {
                return Err(Failure::usage(format!(
                    "{} files and {} --node",
                    paths.len(),
                    given.len()
                ))
                .expected("--node NAME=ADDRESS for each file, in order"));
            }
            let one = |(position, path): (usize, &PathBuf)| {
                self.reading(path, given.get(position).map(|node| node.name.clone()))
            };
            let readings = paths.iter().enumerate().map(one).collect::<Result<_>>()?;
            return Ok((readings, given.to_vec()));
        };
        let ids = expand::expand(only, "", &mut self.texts, self.files, &mut Remarks::default())
            .map_err(|error| unreadable(only, &error))?
            .ids;
        let is_asked = |node: &&NamedNode| ids.contains(&node.name);
        let (mut given, others): (Vec<_>, Vec<_>) =
            given.iter().cloned().partition(|node| is_asked(&node));
        let names: Vec<Option<String>> = if !given.is_empty() {
            given.iter().map(|node| Some(node.name.clone())).collect()
        } else if let Some(first) = others.first() {
            vec![Some(first.name.clone())]
        } else {
            let names = ids.into_iter().filter(|id| nodes::is_name(id));
            let names: Vec<_> = names.map(Some).collect();
            if names.is_empty() { vec![None] } else { names }
        };
        given.extend(others);
        let readings =
            names.into_iter().map(|name| self.reading(only, name)).collect::<Result<_>>()?;
        Ok((readings, given))
    }

    fn reading(&mut self, path: &Path, name: Option<String>) -> Result<Reading> {
        let path_name = nodes::name_of_path(path);
        let id = name.clone().or_else(|| path_name.clone()).unwrap_or_default();
        let expanded = expand::expand(path, &id, &mut self.texts, self.files, &mut self.remarks)
            .map_err(|error| unreadable(path, &error))?;
        self.refuse(&expanded.faults)?;
        if let Some(place) = expanded.first_condition
            && !expanded.ids.contains(&id)
        {
            let text =
                format!("lines for {}, and this file is read as '{id}'", expanded.ids.join(", "));
            let remark = remarks::Remark::new(Kind::Left, place, "@", text);
            self.remarks.push(remark.advise("name the node as they do: --node NAME=ADDRESS"));
        }
        let statements = tree::build(expanded.lines).map_err(|fault| self.refusal(&[fault]))?;
        self.judge_kind(path, &statements)?;
        let mut faults = Vec::new();
        let configuration = read::read(&statements, &mut faults, &mut self.remarks);
        self.refuse(&faults)?;
        let place = statements.first().map(tree::Statement::head);
        let Some(place) = place else { return Err(self.says_nothing(path)) };
        Ok(Reading { name, path_name, configuration, place })
    }

    /// Is it a configuration of keepalived's at all?
    fn judge_kind(&self, path: &Path, statements: &[tree::Statement]) -> Result<()> {
        let Some(first) = statements.first() else {
            return Err(self.says_nothing(path));
        };
        if statements.iter().any(|statement| keywords::TOP.contains(&statement.keyword())) {
            return Ok(());
        }
        let fault = Fault::new(first.head(), "this is not a configuration of keepalived's")
            .label("not one of its keywords");
        Err(self.refusal(&[match keywords::nearest(first.keyword()) {
            Some(meant) => fault.help(format!("perhaps {meant} was meant")),
            None => fault.help("expected vrrp_instance NAME { … } and the like"),
        }]))
    }

    fn says_nothing(&self, path: &Path) -> Failure {
        let failure = Failure::config(format!("{} says nothing", path.display()))
            .expected("keepalived's configuration, with a vrrp_instance");
        // It may be that all it has is an include of what is not here.
        let missing = self.remarks.about("include");
        missing.into_iter().fold(failure, Failure::advice)
    }

    fn refuse(&self, faults: &[Fault]) -> Result<()> {
        if faults.is_empty() { Ok(()) } else { Err(self.refusal(faults)) }
    }

    fn refusal(&self, faults: &[Fault]) -> Failure {
        let mut different: Vec<&Fault> = Vec::new();
        for fault in faults {
            // A file that is read for several nodes has the same fault each time.
            let is_known =
                |known: &&Fault| known.file == fault.file && known.problem == fault.problem;
            if different.len() < MOST_FAULTS && !different.iter().any(is_known) {
                different.push(fault);
            }
        }
        let drawn: Vec<String> = different
            .iter()
            .take(MOST_DRAWN)
            .map(|fault| self.texts.draw(fault, self.colour))
            .collect();
        let path = faults.first().map(|fault| self.texts.path(fault.file)).unwrap_or_default();
        let more = different.len() - drawn.len();
        let more = if more > 0 { format!("\n… and {more} more") } else { String::new() };
        let at_least = if different.len() == MOST_FAULTS { "at least " } else { "" };
        let count = file::counted(different.len(), "error");
        let path = path.display();
        let first = different.first().map(|fault| self.texts.in_one_line(fault));
        Failure::config(format!("{at_least}{count}: {}", first.unwrap_or_default()))
            .drawn(format!("{at_least}{count} in {path}\n\n{}{more}", drawn.join("\n").trim_end()))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::config(format!("cannot read {}: {}", path.display(), plain_io(error)))
        .expected("a keepalived.conf")
}

/// Reads `NAME=ADDRESS,ADDRESS`.
fn named_node(text: &str) -> std::result::Result<NamedNode, String> {
    let Some((name, addresses)) = text.split_once('=') else {
        return Err("expected NAME=ADDRESS".into());
    };
    if !nodes::is_name(name) {
        return Err(format!("'{name}' is not a name: letters, digits, '-', '_' and '.'"));
    }
    let address = |text: &str| {
        let address = text.trim();
        address.parse().map_err(|_| format!("'{address}' is not an IPv4 or IPv6 address"))
    };
    let addresses = addresses.split(',').map(address).collect::<std::result::Result<_, _>>()?;
    Ok(NamedNode { name: name.to_owned(), addresses })
}

fn cluster_name(text: &str) -> std::result::Result<String, String> {
    if nodes::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 63 letters, digits, '-', '_' and '.'".into())
}
