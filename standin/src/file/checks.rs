//! `[check.NAME]`: the same checks as `--check` on the command line, with a name.

use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use super::keys::Section;
use standin_core::config::Vantage;

use super::model::NamedCheck;
use super::nodes::judge_name;
use super::problem::{Problem, Problems, Span};
use super::reader::{Placed, Table, in_order, word};
use crate::checks::url::redacted;
use crate::checks::{
    Check, CommandProbe, GREATEST_COUNT, HttpProbe, Probe, StatusSet, Timing, TimingFault,
    TimingWish,
};
use crate::duration;

/// The keys that say what is asked.
const KINDS: [&str; 5] = ["http", "tcp", "dns", "icmp", "command"];

/// A check with its places in the file.
pub struct CheckDraft {
    pub name: String,
    pub span: Span,
    /// Where it says what is asked.
    pub target: Span,
    /// None when something is wrong with it; it is known by name all the same.
    pub check: Option<NamedCheck>,
}

/// Reads every `[check.NAME]`, in the order of the file.
pub fn read(top: &Table<'_>, problems: &mut Problems) -> Vec<CheckDraft> {
    let Some(value) = top.get("check") else { return Vec::new() };
    let DeValue::Table(table) = value.inner() else {
        value.refuse("a table, [check.NAME]", problems);
        return Vec::new();
    };
    let mut checks = Vec::new();
    for (key, value) in in_order(table) {
        let (name, span) = (key.get_ref().as_ref(), key.span());
        if let Err(why) = judge_name(name) {
            problems.push(Problem::error(span.clone(), format!("'{name}' {why}")));
        }
        checks.push(if let DeValue::Table(entries) = value.inner() {
            one(name, span, entries, problems)
        } else {
            let mut problem =
                Problem::error(value.span(), format!("the check '{name}' is a table"));
            if KINDS.contains(&name) {
                problem = problem.help(format!("give it a name: [check.NAME], then {name} = …"));
            }
            problems.push(problem);
            CheckDraft { name: name.to_owned(), span, target: value.span(), check: None }
        });
    }
    checks
}

fn one(name: &str, span: Span, entries: &DeTable<'_>, problems: &mut Problems) -> CheckDraft {
    let before = problems.errors();
    let table = Table::open(entries, span.clone(), Section::Check, problems);
    let found: Vec<_> = KINDS.iter().filter_map(|kind| Some((*kind, table.get(kind)?))).collect();
    let (probe, target) = match found.as_slice() {
        [] => {
            problems.push(
                Problem::error(span.clone(), format!("the check '{name}' asks nothing"))
                    .label("expected http, tcp, dns, icmp or command")
                    .help("http = \"http://{vip}/\"")
                    .absence(),
            );
            (None, span.clone())
        }
        [(kind, value)] => (probe(kind, *value, problems), value.span()),
        [(first, value), (second, other), ..] => {
            problems.push(
                Problem::error(other.span(), format!("the check '{name}' asks two things"))
                    .label(format!("{second} as well"))
                    .with(value.span(), format!("{first} here"))
                    .help("make it two checks: check = [\"one\", \"other\"] in the [[vip]]"),
            );
            (None, value.span())
        }
    };
    let timing = timing(&table, problems);
    let words = [("self", Vantage::OnItself), ("peers", Vantage::Peers)];
    let from = table.text("from", problems).and_then(|text| word(text, &words, problems));
    let probe = probe.map(|probe| expectations(probe, &table, problems));
    let check = probe.zip(timing).filter(|_| problems.errors() == before).map(|(probe, timing)| {
        let check = Check { probe, timing };
        NamedCheck { name: name.to_owned(), check, from: from.unwrap_or(Vantage::OnItself) }
    });
    CheckDraft { name: name.to_owned(), span, target, check }
}

fn probe(kind: &str, value: Placed<'_>, problems: &mut Problems) -> Option<Probe> {
    let (shown, parsed) = match (kind, value.inner()) {
        ("command", DeValue::Array(_)) => {
            let mut words = value.texts("a word of the command", problems).into_iter();
            let program = words.next()?.text.to_owned();
            let arguments = words.map(|word| word.text.to_owned()).collect();
            return Some(Probe::Command(CommandProbe { program, arguments }));
        }
        ("tcp", DeValue::Integer(port)) => (port.to_string(), Probe::parse(&format!("tcp:{port}"))),
        ("tcp", inner) if !matches!(inner, DeValue::String(_)) => {
            value.refuse("a port, or \"HOST:PORT\"", problems);
            return None;
        }
        ("command", inner) if !matches!(inner, DeValue::String(_)) => {
            value.refuse("a program with its arguments, as text or as a list of words", problems);
            return None;
        }
        ("http", _) => {
            let text = value.text(problems)?.text;
            let parsed = if text.contains("://") {
                Probe::parse(text)
            } else {
                Err("a URL begins with http:// or https://".to_owned())
            };
            (redacted(text), parsed)
        }
        _ => {
            let text = value.text(problems)?.text;
            // A question may be a whole dns: URL.
            let text = if kind == "dns" { text.strip_prefix("dns:").unwrap_or(text) } else { text };
            (text.to_owned(), Probe::parse(&format!("{kind}:{text}")))
        }
    };
    parsed
        .map_err(|why| {
            let message = match kind {
                "http" => format!("'{shown}' is not a URL that can be checked"),
                "tcp" => format!("'{shown}' is not a TCP port or HOST:PORT"),
                "dns" => format!("'{shown}' is not a question to a name server"),
                "icmp" => format!("'{shown}' is not whom to send an echo request"),
                _ => "the command cannot be read".to_owned(),
            };
            problems.push(Problem::error(value.span(), message).label(why));
        })
        .ok()
}

fn timing(table: &Table<'_>, problems: &mut Problems) -> Option<Timing> {
    let (interval, timeout) =
        (table.duration("interval", problems), table.duration("timeout", problems));
    let mut count =
        |key| table.get(key).and_then(|value| value.number(1..=GREATEST_COUNT, problems));
    let (rise, fall) = (count("rise"), count("fall"));
    let wish = TimingWish {
        interval: interval.as_ref().map(|(interval, _)| *interval),
        timeout: timeout.as_ref().map(|(timeout, _)| *timeout),
        rise,
        fall,
    };
    let fault = match Timing::resolve(wish) {
        Ok(timing) => return Some(timing),
        Err(fault) => fault,
    };
    let place = |given: &Option<(_, Span)>| given.as_ref().map(|(_, span)| span.clone());
    problems.push(match fault {
        TimingFault::Interval(given) => {
            let span = place(&interval).or_else(|| place(&timeout)).unwrap_or_default();
            Problem::error(span, format!("an interval of {}", duration::show(given)))
                .label("expected from 10ms to 1h")
        }
        TimingFault::Timeout { timeout: given, interval: every } => {
            let span = place(&timeout).or_else(|| place(&interval)).unwrap_or_default();
            let (given, every) = (duration::show(given), duration::show(every));
            Problem::error(span, format!("a timeout of {given} with an interval of {every}"))
                .label("expected more than zero and at most the interval")
        }
    });
    None
}

/// Adds what is expected of the answer; each key fits one kind of check.
fn expectations(mut probe: Probe, table: &Table<'_>, problems: &mut Problems) -> Probe {
    let is_dns = matches!(probe, Probe::Dns(_));
    let http = match &mut probe {
        Probe::Http(http) => Some(http),
        Probe::Tcp(_) | Probe::Dns(_) | Probe::Icmp(_) | Probe::Command(_) => None,
    };
    let is_tls = http.as_ref().is_some_and(|http| http.url.tls);
    for (key, fits, needs) in [
        ("expect-text", http.is_some() || is_dns, "http or dns"),
        ("expect-status", http.is_some(), "http"),
        ("insecure", is_tls, "an https:// URL"),
        ("server-name", is_tls, "an https:// URL"),
        ("ca-file", is_tls, "an https:// URL"),
    ] {
        if let (Some(span), false) = (table.key_span(key), fits) {
            problems.push(
                Problem::error(span, format!("`{key}` does not fit this check"))
                    .label(format!("it needs {needs}")),
            );
        }
    }
    if let Some(http) = http {
        http_expectations(http, table, problems);
    }
    if let Probe::Dns(dns) = &mut probe {
        dns.expect_text = table.text("expect-text", problems).map(|text| text.text.to_owned());
    }
    probe
}

fn http_expectations(http: &mut HttpProbe, table: &Table<'_>, problems: &mut Problems) {
    if let Some(text) = table.text("expect-text", problems) {
        http.expect_text = Some(text.text.to_owned());
    }
    if let Some(status) = table.get("expect-status") {
        let text = match status.inner() {
            DeValue::Integer(code) => Some(code.to_string()),
            DeValue::String(_) => status.text(problems).map(|text| text.text.to_owned()),
            _ => {
                status.refuse("a status such as 200, or text such as \"200-299,401\"", problems);
                None
            }
        };
        match text.map(|text| StatusSet::parse(&text)) {
            Some(Ok(set)) => http.expect_status = set,
            Some(Err(why)) => problems.push(Problem::error(status.span(), why)),
            None => {}
        }
    }
    http.tls.insecure = table.flag("insecure", problems).unwrap_or(false);
    http.tls.server_name = table.text("server-name", problems).map(|text| text.text.to_owned());
    http.tls.ca_file = table.text("ca-file", problems).map(|text| PathBuf::from(text.text));
}
