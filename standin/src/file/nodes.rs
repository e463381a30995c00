//! `[nodes]` and `[witnesses]`: names and real addresses.

use std::net::{IpAddr, Ipv6Addr};

use toml::de::DeValue;

use super::address;
use super::keys::Section;
use super::model::Node;
use super::problem::{Problem, Problems, Span};
use super::reader::{Placed, Table, Text, in_order};

/// A cluster has at least two nodes, or nobody could stand in, and few enough that every one
/// hears every other.
pub const NODES: std::ops::RangeInclusive<usize> = 2..=64;
/// Nodes and witnesses together.
pub const MOST_VOTERS: usize = 64;
/// The longest label of a host name (RFC 1035).
const LONGEST_NAME: usize = 63;

/// A node with its places in the file.
pub struct NodeDraft {
    pub name: String,
    pub span: Span,
    pub addresses: Vec<(IpAddr, Span)>,
}

impl NodeDraft {
    pub fn finish(self) -> Node {
        let addresses = self.addresses.into_iter().map(|(address, _)| address).collect();
        Node { name: self.name, addresses }
    }
}

/// Reads `[nodes]`, in the order of the file. A node with something wrong is kept, so that it is
/// known by name.
pub fn read(top: &Table<'_>, problems: &mut Problems) -> Vec<NodeDraft> {
    let help = "[nodes]\npinky = \"192.0.2.1\"\nbrain = \"192.0.2.2\"";
    let Some(value) = top.need("nodes", help, problems) else { return Vec::new() };
    let DeValue::Table(table) = value.inner() else {
        value.refuse("a table, [nodes]", problems);
        return Vec::new();
    };
    let mut nodes = Vec::new();
    read_lines(table, "node", &mut nodes, problems);
    judge_count(nodes.len(), top.key_span("nodes").unwrap_or_default(), problems);
    nodes
}

/// Reads `[witnesses]`. No name may be a node's.
pub fn witnesses(top: &Table<'_>, nodes: &[NodeDraft], problems: &mut Problems) -> Vec<NodeDraft> {
    let Some(value) = top.get("witnesses") else { return Vec::new() };
    let DeValue::Table(table) = value.inner() else {
        value.refuse("a table, [witnesses]", problems);
        return Vec::new();
    };
    let mut witnesses = Vec::new();
    read_lines(table, "witness", &mut witnesses, problems);
    for witness in &witnesses {
        let node = nodes.iter().find(|node| node.name.eq_ignore_ascii_case(&witness.name));
        if let Some(node) = node {
            problems.push(
                Problem::error(
                    witness.span.clone(),
                    format!("{} is a node and a witness", witness.name),
                )
                .label("a node votes anyway")
                .with(node.span.clone(), "the node"),
            );
        }
    }
    witnesses
}

/// The lines of a table of names and addresses.
fn read_lines(
    table: &toml::de::DeTable<'_>,
    what: &str,
    drafts: &mut Vec<NodeDraft>,
    problems: &mut Problems,
) {
    for (key, value) in in_order(table) {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        if let Err(why) = judge_name(name) {
            problems.push(Problem::error(span.clone(), format!("'{name}' {why}")));
        } else if name.parse::<IpAddr>().is_ok() {
            problems.push(
                Problem::error(
                    span.clone(),
                    format!("the name of a {what} that looks like an address"),
                )
                .label("expected a name, such as a host name")
                .help(format!("NAME = \"{name}\"")),
            );
        }
        let twin = drafts.iter().find(|draft| draft.name.eq_ignore_ascii_case(name));
        if let Some(twin) = twin {
            problems.push(
                Problem::error(span.clone(), format!("the {what} {name} is there twice"))
                    .label("host names do not differ by case")
                    .with(twin.span.clone(), "the first"),
            );
        }
        let addresses = addresses(value, what == "node", problems);
        drafts.push(NodeDraft { name: name.to_owned(), span, addresses });
    }
}

fn judge_count(count: usize, span: Span, problems: &mut Problems) {
    if NODES.contains(&count) {
        return;
    }
    let message = if count < *NODES.start() {
        format!(
            "a cluster needs at least {} nodes, here {}",
            NODES.start(),
            match count {
                0 => "is none".to_owned(),
                _ => "is one".to_owned(),
            }
        )
    } else {
        format!("a cluster has at most {} nodes, here are {count}", NODES.end())
    };
    let problem = Problem::error(span, message).absence();
    problems.push(if count < *NODES.start() {
        problem.help("for one host that watches another without an agent: standin for HOST")
    } else {
        problem
    });
}

/// Why a text cannot be the name of a node or a cluster.
pub fn judge_name(name: &str) -> Result<(), &'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err("is not 1 to 63 characters long");
    }
    if !name.chars().all(legal) || name.starts_with(['-', '.']) {
        return Err("is not a name: letters, digits, '-', '_' and '.'");
    }
    Ok(())
}

fn addresses(value: Placed<'_>, is_node: bool, problems: &mut Problems) -> Vec<(IpAddr, Span)> {
    let list = match value.inner() {
        DeValue::Table(entries) => {
            let table = Table::open(entries, value.span(), Section::Node, problems);
            if let Some(witness) = table.get("witness")
                && witness.flag(problems) == Some(true)
                && is_node
            {
                problems.push(
                    Problem::error(witness.span(), "a witness is no node")
                        .label("it has a table of its own")
                        .help("[witnesses]\nname = \"192.0.2.3\""),
                );
            }
            let help = "addresses = [\"192.0.2.1\"]";
            table.need("addresses", help, problems)
        }
        _ => Some(value),
    };
    let texts = list.map(|list| list.texts("an address", problems)).unwrap_or_default();
    texts.into_iter().filter_map(|text| one(text, problems)).collect()
}

/// The link-local address that this is, with or without its interface.
fn link_local(text: &str) -> Option<Ipv6Addr> {
    let address = text.split_once('%').map_or(text, |(address, _)| address);
    address.parse().ok().filter(Ipv6Addr::is_unicast_link_local)
}

/// One real address.
pub fn one(text: Text<'_>, problems: &mut Problems) -> Option<(IpAddr, Span)> {
    if let Some(address) = link_local(text.text) {
        problems.push(
            Problem::error(text.span(), format!("{address} is a link-local address"))
                .label("another host on every link")
                .help("give one that needs no interface: a global or a unique local address"),
        );
        return None;
    }
    match address::read(text.text) {
        Ok(address) => Some((address, text.span())),
        Err(why) => {
            let problem = match text.text.split_once('/') {
                Some((alone, _)) if alone.parse::<IpAddr>().is_ok() => {
                    Problem::error(text.span(), "a real address stands alone")
                        .help(format!("say \"{alone}\""))
                }
                _ => Problem::error(text.span(), why),
            };
            problems.push(problem);
            None
        }
    }
}
