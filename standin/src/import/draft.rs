//! The cluster that comes out, and how it is written down.
//!
//! Owns the text of the new file: quotes, order, comments. Never decides what is in it.
//!
//! Invariant: whatever the names and texts are, what is written is TOML, and a comment stays one.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::nodes::Node;
use super::remarks::{Listed, plain, shown};
use crate::duration;

/// A cluster.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Its name.
    pub cluster: String,
    /// Its nodes, in the order in which they stand in.
    pub nodes: Vec<Node>,
    /// What moves.
    pub vips: Vec<DraftVip>,
    /// The checks that are named.
    pub checks: Vec<DraftCheck>,
    /// When a node is dead, and how that came out.
    pub dead_after: (Duration, String),
    /// What is run when an address has come.
    pub on_take: Option<Vec<String>>,
    /// What is run when it has left.
    pub on_release: Option<Vec<String>>,
}

/// Addresses that move together.
#[derive(Debug, Clone)]
pub struct DraftVip {
    /// What it was, for a comment.
    pub origin: String,
    /// How it is called.
    pub name: Option<String>,
    /// The addresses, each perhaps with a prefix length.
    pub addresses: Vec<(IpAddr, Option<u8>)>,
    /// Where they belong, in this order.
    pub home: Vec<String>,
    /// The interface, when it is the same everywhere.
    pub interface: Option<String>,
    /// `failback`, when it is not `yes`.
    pub failback: Option<String>,
    /// The checks.
    pub checks: Vec<String>,
}

/// A check by a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftCheck {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// From one run to the next.
    pub interval: Duration,
    /// The time of one run.
    pub timeout: Duration,
    /// Successes that end a failure.
    pub rise: u32,
    /// Failures that are a failure.
    pub fall: u32,
}

impl Draft {
    /// The file.
    pub fn write(&self, files: &[String], list: &[Listed]) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "# Made from {} by standin import.", plain(&files.join(", ")));
        if !list.is_empty() {
            out.push_str("# What was not translated is listed at the end; read it first.\n");
        }
        let _ = writeln!(out, "cluster = {}", quoted(&self.cluster));
        out.push_str("# Made by standin keygen, the same on every node.\n");
        out.push_str("key-file = \"/etc/standin/key\"\n\n[nodes]\n");
        for node in &self.nodes {
            let _ = writeln!(out, "{} = {}", key(&node.name), one_or_list(&node.addresses));
        }
        for vip in &self.vips {
            self.vip(vip, &mut out);
        }
        for check in &self.checks {
            let _ = writeln!(out, "\n[check.{}]", key(&check.name));
            let _ = writeln!(out, "command = {}", list_of(&check.command));
            let _ = writeln!(out, "interval = {}", quoted(&duration::show(check.interval)));
            let _ = writeln!(out, "timeout = {}", quoted(&duration::show(check.timeout)));
            let _ = writeln!(out, "rise = {}\nfall = {}", check.rise, check.fall);
        }
        let (dead_after, why) = &self.dead_after;
        let _ = writeln!(out, "\n[timing]\n# {}", plain(why));
        let _ = writeln!(out, "dead-after = {}", quoted(&duration::show(*dead_after)));
        if self.on_take.is_some() || self.on_release.is_some() {
            out.push_str("\n[hooks]\n");
        }
        for (key, command) in [("on-take", &self.on_take), ("on-release", &self.on_release)] {
            if let Some(command) = command {
                let _ = writeln!(out, "{key} = {}", list_of(command));
            }
        }
        if !list.is_empty() {
            let _ = write!(out, "\n{}", shown(list, "# "));
        }
        out
    }

    fn vip(&self, vip: &DraftVip, out: &mut String) {
        let _ = writeln!(out, "\n# {}\n[[vip]]", plain(&vip.origin));
        if let Some(name) = &vip.name {
            let _ = writeln!(out, "name = {}", quoted(name));
        }
        let addresses = vip.addresses.iter().map(|(ip, prefix)| match prefix {
            Some(prefix) => format!("{ip}/{prefix}"),
            None => ip.to_string(),
        });
        let _ = writeln!(out, "address = {}", one_or_list(&addresses.collect::<Vec<_>>()));
        let _ = writeln!(out, "home = {}", self.home(vip));
        if let Some(interface) = &vip.interface {
            let _ = writeln!(out, "interface = {}", quoted(interface));
        }
        if let Some(failback) = &vip.failback {
            let _ = writeln!(out, "failback = {}", quoted(failback));
        }
        if !vip.checks.is_empty() {
            let _ = writeln!(out, "check = {}", one_or_list(&vip.checks));
        }
    }

    /// One name, when the others follow as they stand in `[nodes]`; the whole order otherwise.
    fn home(&self, vip: &DraftVip) -> String {
        let Some(first) = vip.home.first() else { return list_of(&[]) };
        let rest = self.nodes.iter().map(|node| &node.name).filter(|name| *name != first);
        if std::iter::once(first).chain(rest).eq(vip.home.iter()) {
            quoted(first)
        } else {
            list_of(&vip.home)
        }
    }
}

fn one_or_list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.as_slice() {
        [one] => quoted(one),
        many => list_of(many),
    }
}

fn list_of(items: &[String]) -> String {
    let items: Vec<String> = items.iter().map(|item| quoted(item)).collect();
    let line = format!("[{}]", items.join(", "));
    // A long list stands in lines, as people would write it.
    if line.len() > 80 { format!("[\n    {},\n]", items.join(",\n    ")) } else { line }
}

/// A key: bare where TOML allows it.
fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
    out
}
