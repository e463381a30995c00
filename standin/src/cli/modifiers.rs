//! Which modifier belongs to which `--check`.
//!
//! `--expect-text` and its like apply to the `--check` before them; before any `--check` they
//! apply to all. The place on the command line comes from clap's `ArgMatches`, the typed values
//! from its derive.

use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;

use super::args::CheckArgs;
use crate::checks::url::redacted;
use crate::checks::{Check, Probe, StatusSet, Timing, TimingFault, TimingWish};
use crate::duration;
use crate::failure::{Failure, Result};

/// A modifier's value.
#[derive(Debug, Clone)]
enum Modifier {
    ExpectText(String),
    ExpectStatus(StatusSet),
    Insecure,
    ServerName(String),
    CaFile(PathBuf),
    Interval(Duration),
    Timeout(Duration),
    Rise(u32),
    Fall(u32),
}

impl Modifier {
    fn flag(&self) -> &'static str {
        match self {
            Self::ExpectText(_) => "--expect-text",
            Self::ExpectStatus(_) => "--expect-status",
            Self::Insecure => "--insecure",
            Self::ServerName(_) => "--server-name",
            Self::CaFile(_) => "--ca-file",
            Self::Interval(_) => "--check-interval",
            Self::Timeout(_) => "--check-timeout",
            Self::Rise(_) => "--rise",
            Self::Fall(_) => "--fall",
        }
    }

    /// The kind of check that it needs, or none when it fits every kind.
    fn needs(&self) -> Option<&'static str> {
        match self {
            Self::ExpectText(_) => Some("http://, https:// or dns:"),
            Self::ExpectStatus(_) => Some("http:// or https://"),
            Self::Insecure | Self::ServerName(_) | Self::CaFile(_) => Some("https://"),
            Self::Interval(_) | Self::Timeout(_) | Self::Rise(_) | Self::Fall(_) => None,
        }
    }
}

/// A check in the making.
struct Draft {
    probe: Probe,
    timing: TimingWish,
}

/// Joins the checks with their modifiers.
///
/// # Errors
/// A modifier without a check to apply to, or on a check that cannot have it; a timeout longer
/// than its interval; an interval out of bounds.
pub fn join(args: &CheckArgs, matches: &ArgMatches) -> Result<Vec<Check>> {
    let probes = args.check.iter().map(|text| probe(text)).collect::<Result<Vec<_>>>()?;
    let starts: Vec<(usize, &Probe)> = placed(matches, "check", &probes);
    let modifiers = modifiers(args, matches);
    let first_check = starts.first().map_or(usize::MAX, |(place, _)| *place);
    let mut checks = Vec::with_capacity(starts.len());
    for (index, (place, probe)) in starts.iter().enumerate() {
        let next = starts.get(index + 1).map_or(usize::MAX, |(place, _)| *place);
        let mut draft = Draft::new((*probe).clone());
        for (at, modifier) in &modifiers {
            if *at < first_check {
                draft.apply(modifier);
            } else if (*place..next).contains(at) && !draft.apply(modifier) {
                return Err(misplaced(modifier, probe));
            }
        }
        checks.push(draft.finish()?);
    }
    for (_, modifier) in modifiers.iter().filter(|(at, _)| *at < first_check) {
        if !checks.iter().any(|check| Draft::new(check.probe.clone()).apply(modifier)) {
            let kind = modifier.needs().map(|kind| format!(" {kind}")).unwrap_or_default();
            return Err(Failure::usage(format!(
                "{} has no{kind} check to apply to",
                modifier.flag()
            ))
            .advice("add --check, or leave the modifier out"));
        }
    }
    Ok(checks)
}

fn probe(text: &str) -> Result<Probe> {
    Probe::parse(text).map_err(|why| {
        Failure::usage(format!("--check '{}': {why}", redacted(text))).expected(
            "http://…, https://…, tcp:[ADDRESS:]PORT, dns:NAME, icmp or command:'/path argument'",
        )
    })
}

/// The values of one flag, each with its place on the command line.
fn placed<'a, T>(matches: &ArgMatches, id: &str, values: &'a [T]) -> Vec<(usize, &'a T)> {
    matches.indices_of(id).into_iter().flatten().zip(values).collect()
}

/// All modifiers in the order of the command line.
fn modifiers(args: &CheckArgs, matches: &ArgMatches) -> Vec<(usize, Modifier)> {
    fn add<T: Clone>(
        all: &mut Vec<(usize, Modifier)>,
        placed: Vec<(usize, &T)>,
        make: impl Fn(T) -> Modifier,
    ) {
        all.extend(placed.into_iter().map(|(place, value)| (place, make(value.clone()))));
    }
    let mut all = Vec::new();
    let at = matches;
    add(&mut all, placed(at, "expect_text", &args.expect_text), Modifier::ExpectText);
    add(&mut all, placed(at, "expect_status", &args.expect_status), Modifier::ExpectStatus);
    add(&mut all, placed(at, "insecure", &args.insecure), |_| Modifier::Insecure);
    add(&mut all, placed(at, "server_name", &args.server_name), Modifier::ServerName);
    add(&mut all, placed(at, "ca_file", &args.ca_file), Modifier::CaFile);
    add(&mut all, placed(at, "check_interval", &args.check_interval), Modifier::Interval);
    add(&mut all, placed(at, "check_timeout", &args.check_timeout), Modifier::Timeout);
    add(&mut all, placed(at, "rise", &args.rise), Modifier::Rise);
    add(&mut all, placed(at, "fall", &args.fall), Modifier::Fall);
    all.sort_by_key(|(place, _)| *place);
    all
}

impl Draft {
    fn new(probe: Probe) -> Self {
        Self { probe, timing: TimingWish::default() }
    }

    /// Applies `modifier` and says whether this kind of check can have it.
    fn apply(&mut self, modifier: &Modifier) -> bool {
        match modifier.clone() {
            Modifier::Interval(interval) => self.timing.interval = Some(interval),
            Modifier::Timeout(timeout) => self.timing.timeout = Some(timeout),
            Modifier::Rise(rise) => self.timing.rise = Some(rise),
            Modifier::Fall(fall) => self.timing.fall = Some(fall),
            expected => return self.expect(expected),
        }
        true
    }

    fn expect(&mut self, modifier: Modifier) -> bool {
        if let (Probe::Dns(dns), Modifier::ExpectText(text)) = (&mut self.probe, &modifier) {
            dns.expect_text = Some(text.clone());
            return true;
        }
        let Probe::Http(http) = &mut self.probe else { return false };
        match modifier {
            Modifier::ExpectText(text) => http.expect_text = Some(text),
            Modifier::ExpectStatus(set) => http.expect_status = set,
            _ if !http.url.tls => return false,
            Modifier::Insecure => http.tls.insecure = true,
            Modifier::ServerName(name) => http.tls.server_name = Some(name),
            Modifier::CaFile(path) => http.tls.ca_file = Some(path),
            Modifier::Interval(_)
            | Modifier::Timeout(_)
            | Modifier::Rise(_)
            | Modifier::Fall(_) => return false,
        }
        true
    }

    fn finish(self) -> Result<Check> {
        let probe = &self.probe;
        let timing = Timing::resolve(self.timing).map_err(|fault| refused(fault, probe))?;
        let text = match probe {
            Probe::Http(http) => http.expect_text.as_deref(),
            Probe::Dns(dns) => dns.expect_text.as_deref(),
            Probe::Tcp(_) | Probe::Icmp(_) | Probe::Command(_) => None,
        };
        if text == Some("") {
            return Err(Failure::usage(format!("--expect-text of {probe} is empty"))
                .expected("text that only a working service has in its answer"));
        }
        Ok(Check { probe: self.probe, timing })
    }
}

/// A timing that no check can have.
fn refused(fault: TimingFault, probe: &Probe) -> Failure {
    match fault {
        TimingFault::Interval(interval) => {
            Failure::usage(format!("--check-interval {} of {probe}", duration::show(interval)))
                .expected("from 10ms to 1h")
        }
        TimingFault::Timeout { timeout, interval } => Failure::usage(format!(
            "--check-timeout {} of {probe} with --check-interval {}",
            duration::show(timeout),
            duration::show(interval)
        ))
        .expected("a timeout above zero and at most the interval"),
    }
}

/// A modifier stands after a check that cannot have it.
fn misplaced(modifier: &Modifier, probe: &Probe) -> Failure {
    let kind = modifier.needs().unwrap_or("other");
    Failure::usage(format!("{} does not apply to --check {probe}", modifier.flag()))
        .expected(format!("a modifier follows the check it belongs to; this one needs {kind}"))
        .advice("move it behind its --check")
}
