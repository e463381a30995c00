//! `[[vip]]`: the addresses that move, where they belong, and by which rules.

use std::net::IpAddr;

use standin_core::config::{Failback, OnAnswer};
use toml::de::{DeTable, DeValue};

use super::address::WrittenRange;
use super::checks::CheckDraft;
use super::keys::Section;
use super::model::{HeldAs, NamedCheckId, NodeId, OnDoubt, Placement, VipGroup};
use super::nodes::{NodeDraft, judge_name};
use super::problem::{Problem, Problems, Span};
use super::reader::{Placed, Table, Text, entries, word};
use crate::cli::{options::GREATEST_DELAY, values};
use crate::failure::nearest;

/// The longest name of an interface: the kernel's IFNAMSIZ without its final zero.
const LONGEST_INTERFACE: usize = 15;

/// What `as` may say.
const FORMS: [(&str, HeldAs); 2] = [("addresses", HeldAs::Addresses), ("routes", HeldAs::Routes)];

/// A group of VIPs with its places in the file.
pub struct VipDraft {
    pub group: VipGroup,
    /// Where `address` is.
    pub span: Span,
    /// Where each range is.
    pub ranges: Vec<Span>,
    /// Where `home` is, if it says who may hold the addresses.
    pub home: Option<Span>,
    /// Where each check is named.
    pub checks: Vec<Span>,
}

/// More texts than this are no name: it stands in every line of the log that is about the group.
const NAMED_AFTER: usize = 3;

/// What a `[[vip]]` may name.
pub struct Known<'a> {
    pub nodes: &'a [NodeDraft],
    pub checks: &'a [CheckDraft],
}

/// Reads every `[[vip]]`, in the order of the file.
pub fn read(top: &Table<'_>, known: &Known<'_>, problems: &mut Problems) -> Vec<VipDraft> {
    let help = "[[vip]]\naddress = \"192.0.2.9\"\nhome = \"pinky\"";
    let Some(value) = top.need("vip", help, problems) else { return Vec::new() };
    let tables: Vec<Placed<'_>> = match value.inner() {
        DeValue::Array(list) => entries(list).collect(),
        DeValue::Table(_) => {
            problems.push(
                Problem::error(value.span(), "[vip] is written [[vip]]")
                    .label("double brackets: there may be several")
                    .help("[[vip]]"),
            );
            vec![value]
        }
        _ => {
            value.refuse("a table, [[vip]]", problems);
            return Vec::new();
        }
    };
    if tables.is_empty() {
        problems.push(Problem::error(value.span(), "there is no VIP").help(help));
    }
    let mut drafts: Vec<VipDraft> = Vec::new();
    for table in tables {
        let DeValue::Table(inner) = table.inner() else {
            table.refuse("a table, [[vip]]", problems);
            continue;
        };
        let draft = one(inner, table.span(), known, problems);
        if inner.contains_key("name")
            && let Some(twin) = drafts.iter().find(|twin| twin.group.name == draft.group.name)
        {
            problems.push(
                Problem::error(
                    draft.span.clone(),
                    format!("two [[vip]] are called '{}'", draft.group.name),
                )
                .with(twin.span.clone(), "the first"),
            );
        }
        drafts.push(draft);
    }
    drafts
}

fn one(inner: &DeTable<'_>, span: Span, known: &Known<'_>, problems: &mut Problems) -> VipDraft {
    let table = Table::open(inner, span, Section::Vip, problems);
    let address = table.need("address", "address = \"192.0.2.9\"", problems);
    let written = address.map(|address| address.texts("an address", problems)).unwrap_or_default();
    let (ranges, places) = ranges(&table, &written, problems);
    let (checks, check_places) = checks(&table, known.checks, problems);
    let interface = table.text("interface", problems).and_then(|text| interface(text, problems));
    let texts: Vec<&str> = written.iter().map(|text| text.text).collect();
    let name = table.text("name", problems).and_then(|text| group_name(text, problems));
    let doubts = [("release", OnDoubt::Release), ("hold", OnDoubt::Hold)];
    let answers = [("wait", OnAnswer::Wait), ("takeover", OnAnswer::Takeover)];
    let mut choose = |key| table.text(key, problems);
    let (on_doubt, on_answer) = (choose("on-doubt"), choose("on-answer"));
    let held_as = choose("as").and_then(|text| {
        let held_as = word(text, &FORMS, problems)?;
        if held_as == HeldAs::Routes && ranges.iter().all(|range| !range.first().is_ipv4()) {
            problems.push(
                Problem::error(text.span(), "no IPv4 address here could be held as a route")
                    .label("IPv6 addresses are always addresses of an interface"),
            );
        }
        Some(held_as)
    });
    let before = problems.errors();
    let placement = placement(&table, known.nodes, problems);
    let home = table.get("home").filter(|_| problems.errors() == before);
    let group = VipGroup {
        name: name.unwrap_or_else(|| called_after(&texts)),
        ranges,
        placement,
        interface,
        checks,
        failback: failback(&table, problems).unwrap_or(Failback::Yes),
        on_doubt: on_doubt
            .and_then(|text| word(text, &doubts, problems))
            .unwrap_or(OnDoubt::Release),
        on_answer: on_answer
            .and_then(|text| word(text, &answers, problems))
            .unwrap_or(OnAnswer::Wait),
        held_as,
        dns: dns(&table, problems),
    };
    VipDraft {
        group,
        span: address.map_or(table.span.clone(), Placed::span),
        ranges: places,
        home: home.map(Placed::span),
        checks: check_places,
    }
}

fn ranges(
    table: &Table<'_>,
    written: &[Text<'_>],
    problems: &mut Problems,
) -> (Vec<super::address::AddressRange>, Vec<Span>) {
    let all = table.get("prefix").and_then(|prefix| {
        let length = prefix.number(1..=128, problems)?;
        Some((length as u8, prefix.span()))
    });
    let (mut ranges, mut places) = (Vec::new(), Vec::new());
    for text in written {
        let range = WrittenRange::parse(text.text).and_then(|range| {
            let most = if range.first().is_ipv4() { 32 } else { 128 };
            let prefix = match (&all, range.prefix) {
                (Some((length, span)), Some(own)) => {
                    problems.push(
                        Problem::error(text.span(), "the prefix length is given twice")
                            .label(format!("/{own} here"))
                            .with(span.clone(), format!("and {length} here")),
                    );
                    own
                }
                (Some((length, span)), None) if *length > most => {
                    problems.push(
                        Problem::error(
                            span.clone(),
                            format!("the prefix length {length} is for IPv6"),
                        )
                        .label(format!("an IPv4 address has at most {most}"))
                        .with(text.span(), "an IPv4 address")
                        .help("write the length behind each address: \"10.0.0.9/24\""),
                    );
                    most
                }
                (Some((length, _)), None) => *length,
                (None, own) => own.unwrap_or(most),
            };
            range.with_prefix(prefix)
        });
        match range {
            Ok(range) => {
                ranges.push(range);
                places.push(text.span());
            }
            Err(why) => problems.push(Problem::error(text.span(), why)),
        }
    }
    (ranges, places)
}

fn placement(table: &Table<'_>, nodes: &[NodeDraft], problems: &mut Problems) -> Placement {
    let everyone = || (0..nodes.len()).map(|position| NodeId(position as u8));
    let spread = table.flag("spread", problems).unwrap_or(false);
    let Some(home) = table.get("home") else {
        if !spread {
            problems.push(
                Problem::error(table.span.clone(), "`home` is missing in a [[vip]]")
                    .help("home = \"NODE\", the node it prefers; or spread = true for a pool")
                    .absence(),
            );
        }
        return Placement::Spread(everyone().collect());
    };
    let names = home.texts("a node", problems);
    let mut order: Vec<NodeId> = Vec::new();
    for name in names {
        let Some(node) = node_named(name, nodes, problems) else { continue };
        if order.contains(&node) {
            problems
                .push(Problem::error(name.span(), format!("{} is in the order twice", name.text)));
        } else {
            order.push(node);
        }
    }
    let is_list = matches!(home.inner(), DeValue::Array(_));
    match (spread, is_list) {
        (true, true) => Placement::Spread(order),
        (true, false) => {
            problems.push(
                Problem::error(home.span(), "a pool that is spread has no single home")
                    .help("leave home out, or give the list of nodes that share the pool"),
            );
            Placement::Spread(order)
        }
        (false, true) => Placement::Ordered(order),
        // One name is the front of an order in which the others follow as they stand in the file.
        (false, false) => {
            let rest: Vec<NodeId> = everyone().filter(|node| !order.contains(node)).collect();
            order.extend(rest);
            Placement::Ordered(order)
        }
    }
}

/// How a group without a name is called. No two are called alike, since no address is there twice.
fn called_after(texts: &[&str]) -> String {
    match texts {
        [first, rest @ ..] if rest.len() >= NAMED_AFTER => {
            format!("{first} and {} more", rest.len())
        }
        few => few.join(", "),
    }
}

fn node_named(name: Text<'_>, nodes: &[NodeDraft], problems: &mut Problems) -> Option<NodeId> {
    let position = nodes.iter().position(|node| node.name.eq_ignore_ascii_case(name.text));
    if position.is_none() && !nodes.is_empty() {
        let names = nodes.iter().map(|node| node.name.as_str());
        let help = if let Some(meant) = nearest(name.text, names.clone()) {
            format!("did you mean \"{meant}\"?")
        } else {
            format!("the nodes are {}", names.take(8).collect::<Vec<_>>().join(", "))
        };
        problems.push(
            Problem::error(name.span(), format!("'{}' is not a node", name.text))
                .label("not in [nodes]")
                .help(help),
        );
    }
    position.map(|position| NodeId(position as u8))
}

fn checks(
    table: &Table<'_>,
    known: &[CheckDraft],
    problems: &mut Problems,
) -> (Vec<NamedCheckId>, Vec<Span>) {
    let names =
        table.get("check").map(|value| value.texts("a check's name", problems)).unwrap_or_default();
    let (mut ids, mut places) = (Vec::new(), Vec::new());
    for name in names {
        match known.iter().position(|check| check.name == name.text) {
            Some(position) if ids.contains(&NamedCheckId(position as u32)) => problems.push(
                Problem::error(name.span(), format!("the check '{}' is named twice", name.text)),
            ),
            Some(position) => {
                ids.push(NamedCheckId(position as u32));
                places.push(name.span());
            }
            None => problems.push(unknown_check(name, known)),
        }
    }
    (ids, places)
}

fn unknown_check(name: Text<'_>, known: &[CheckDraft]) -> Problem {
    let problem = Problem::error(name.span(), format!("there is no check '{}'", name.text))
        .label(format!("no [check.{}] in this file", name.text));
    match nearest(name.text, known.iter().map(|check| check.name.as_str())) {
        Some(meant) => problem.help(format!("did you mean \"{meant}\"?")),
        None => problem
            .help(format!("[check.{}]\nhttp = \"http://{{vip}}/\"", name.text.replace(' ', "-"))),
    }
}

fn failback(table: &Table<'_>, problems: &mut Problems) -> Option<Failback> {
    let value = table.get("failback")?;
    let text = match value.inner() {
        DeValue::Boolean(yes) => {
            let word = if *yes { "yes" } else { "no" };
            problems.push(
                Problem::error(value.span(), "failback is text").help(format!("say \"{word}\"")),
            );
            return None;
        }
        DeValue::Integer(_) => {
            return value.duration(problems).map(|(time, _)| Failback::After(time));
        }
        _ => value.text(problems)?,
    };
    match values::failback(text.text) {
        Ok(Failback::After(delay)) if delay > GREATEST_DELAY => {
            problems.push(
                Problem::error(text.span(), "a delay of more than a day")
                    .label("expected at most 24h"),
            );
            None
        }
        Ok(failback) => Some(failback),
        Err(why) => {
            problems.push(
                Problem::error(text.span(), format!("'{}' is not understood", text.text))
                    .label(why),
            );
            None
        }
    }
}

fn interface(text: Text<'_>, problems: &mut Problems) -> Option<String> {
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
    let name = text.text;
    if name.len() <= LONGEST_INTERFACE && name.chars().all(legal) && !matches!(name, "." | "..") {
        return Some(name.to_owned());
    }
    problems.push(
        Problem::error(text.span(), format!("'{name}' cannot be an interface"))
            .label("expected a name of at most 15 characters, such as eth0"),
    );
    None
}

fn group_name(text: Text<'_>, problems: &mut Problems) -> Option<String> {
    match judge_name(text.text) {
        Ok(()) if text.text.parse::<IpAddr>().is_err() => Some(text.text.to_owned()),
        Ok(()) => {
            problems.push(Problem::error(text.span(), "a name that looks like an address"));
            None
        }
        Err(why) => {
            problems.push(Problem::error(text.span(), format!("'{}' {why}", text.text)));
            None
        }
    }
}

fn dns(table: &Table<'_>, problems: &mut Problems) -> Vec<String> {
    let names =
        table.get("dns").map(|value| value.texts("a DNS name", problems)).unwrap_or_default();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = |name: &str| {
        name.len() <= 253 && name.chars().all(legal) && name.parse::<IpAddr>().is_err()
    };
    let (good, bad): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_name(name.text));
    for name in bad {
        problems.push(Problem::error(name.span(), format!("'{}' is not a DNS name", name.text)));
    }
    good.into_iter().map(|name| name.text.trim_end_matches('.').to_ascii_lowercase()).collect()
}
