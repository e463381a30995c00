//! `standin for`'s arguments as something valid: a [`ForOptions`] that exists contradicts neither
//! itself nor what any host could do. What only this host can tell is judged in [`crate::host`].

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgMatches;
use standin_core::config::{DEAD_AFTER, Failback, OnAnswer, OnCheckFailure};

use super::args::ForArgs;
use super::modifiers;
use crate::checks::{Check, Concerns};
use crate::confine::Sandbox;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::log::{Format, Level};

/// Probes closer together than this are a flood.
pub(crate) const LEAST_INTERVAL: Duration = Duration::from_millis(1);
/// A day: the longest delay that `--back-after` and `--failback` take.
pub(crate) const GREATEST_DELAY: Duration = Duration::from_hours(24);

/// What `standin for` was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForOptions {
    /// HOST as given: a name or an address.
    pub host: String,
    /// HOST's addresses that we may take over.
    pub vips: Vec<IpAddr>,
    /// Our own addresses that we hold.
    pub own: Vec<IpAddr>,
    /// The interface for all of them, when given.
    pub interface: Option<String>,
    /// The prefix length of claimed addresses, when given; fits every family in use.
    pub prefix: Option<u8>,
    /// The label's part behind the colon, when given.
    pub label: Option<String>,
    /// HOST is dead after so much silence: 5 ms to 1 h.
    pub dead_after: Duration,
    /// The probing interval, when given: at most half of `dead_after`.
    pub interval: Option<Duration>,
    /// HOST is back after so long.
    pub back_after: Duration,
    /// Whether and when a VIP is handed back.
    pub failback: Failback,
    /// HOST is silent but the VIP is answered for.
    pub on_answer: OnAnswer,
    /// HOST is alive but a check fails.
    pub on_check_failure: OnCheckFailure,
    /// The checks.
    pub checks: Vec<Check>,
    /// The control socket, when asked for.
    pub socket: Option<PathBuf>,
    /// How events are written.
    pub log: Format,
    /// Which events are written.
    pub log_level: Level,
    /// Whether rights are given up.
    pub sandbox: Sandbox,
}

impl ForOptions {
    /// Judges the arguments. `matches` are those of the subcommand: they know the order.
    ///
    /// # Errors
    /// The first thing that is wrong, as a usage error.
    pub fn new(args: ForArgs, matches: &ArgMatches) -> Result<Self> {
        let checks = modifiers::join(&args.checks, matches)?;
        judge_host(&args.host)?;
        judge_addresses(&args)?;
        judge_prefix(&args)?;
        judge_label(args.label.as_deref())?;
        judge_timing(&args)?;
        judge_concerns(&checks, &args.vip)?;
        Ok(Self {
            host: args.host,
            vips: args.vip,
            own: args.own,
            interface: args.interface,
            prefix: args.prefix,
            label: args.label,
            dead_after: args.timing.dead_after,
            interval: args.timing.interval,
            back_after: args.timing.back_after,
            failback: args.timing.failback,
            on_answer: args.timing.on_answer,
            on_check_failure: args.timing.on_check_failure,
            checks,
            socket: args.socket,
            log: args.log,
            log_level: args.log_level,
            sandbox: args.sandbox,
        })
    }
}

fn judge_host(host: &str) -> Result<()> {
    let hint = "a host name or its real address, as in: standin for brain --vip 208.201.239.37";
    if host.trim().is_empty() {
        return Err(Failure::usage("HOST is empty").expected(hint));
    }
    match host.parse::<IpAddr>() {
        Ok(address) => match unusable(address) {
            Some(kind) => Err(Failure::usage(format!("HOST {address} is {kind}")).expected(hint)),
            None => Ok(()),
        },
        Err(_) => Ok(()),
    }
}

fn judge_addresses(args: &ForArgs) -> Result<()> {
    if args.vip.is_empty() && args.own.is_empty() {
        return Err(Failure::usage("there is no address to stand in for")
            .expected("--vip ADDRESS, an address that moves here when HOST fails")
            .advice(format!("standin for {} --vip ADDRESS", args.host)));
    }
    let named = |flag: &'static str, addresses: &[IpAddr]| {
        addresses.iter().map(move |address| (flag, *address)).collect::<Vec<_>>()
    };
    let mut seen: BTreeSet<IpAddr> = BTreeSet::new();
    for (flag, address) in named("--vip", &args.vip).into_iter().chain(named("--own", &args.own)) {
        if let Some(kind) = unusable(address) {
            return Err(Failure::usage(format!("{flag} {address} is {kind}"))
                .expected("an address that one host can have"));
        }
        if seen.insert(address) {
            continue;
        }
        if args.vip.contains(&address) && args.own.contains(&address) {
            return Err(Failure::usage(format!("{address} is both --vip and --own"))
                .expected("--vip for an address of HOST's, --own for one of this host's"));
        }
        return Err(Failure::usage(format!("{flag} {address} is given twice"))
            .advice("leave one of them out"));
    }
    if let Ok(host) = args.host.parse::<IpAddr>()
        && seen.contains(&host)
    {
        return Err(Failure::usage(format!("{host} is both HOST and an address to stand in for"))
            .expected("HOST's real address, one that never moves")
            .advice("give HOST's other address or its name as HOST"));
    }
    Ok(())
}

/// Why no single host can have `address`, if so.
pub(crate) fn unusable(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if address == IpAddr::V4(std::net::Ipv4Addr::BROADCAST) {
        Some("the broadcast address")
    } else if matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0 || v4.octets()[0] >= 240) {
        Some("in a range that is not for hosts")
    } else if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        Some("an IPv4 address in IPv6's clothes")
    } else {
        None
    }
}

fn judge_prefix(args: &ForArgs) -> Result<()> {
    let Some(prefix) = args.prefix else { return Ok(()) };
    for address in args.vip.iter().chain(&args.own) {
        let most = if address.is_ipv4() { 32 } else { 128 };
        if !(1..=most).contains(&prefix) {
            return Err(Failure::usage(format!("--prefix {prefix} is out of range for {address}"))
                .expected(format!("1 to {most}"))
                .advice(format!("leave --prefix out for /{most}, which never adds a route")));
        }
    }
    Ok(())
}

fn judge_label(label: Option<&str>) -> Result<()> {
    let Some(label) = label else { return Ok(()) };
    let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | ':');
    if label.is_empty() || !label.chars().all(legal) {
        return Err(Failure::usage(format!("--label '{label}' cannot be a label"))
            .expected("letters, digits and signs without spaces, '/' and ':'"));
    }
    Ok(())
}

fn judge_timing(args: &ForArgs) -> Result<()> {
    let timing = &args.timing;
    let dead_after = timing.dead_after;
    if !(DEAD_AFTER.0..=DEAD_AFTER.1).contains(&dead_after) {
        return Err(Failure::usage(format!("--dead-after {}", duration::show(dead_after)))
            .expected("from 5ms to 1h"));
    }
    if let Some(interval) = timing.interval {
        if interval < LEAST_INTERVAL {
            return Err(Failure::usage(format!("--interval {}", duration::show(interval)))
                .expected("at least 1ms"));
        }
        if interval > dead_after / 2 {
            return Err(Failure::usage(format!(
                "--dead-after {} is too small for --interval {}",
                duration::show(dead_after),
                duration::show(interval)
            ))
            .expected("an interval of at most half of --dead-after")
            .advice(format!(
                "--dead-after {} or --interval {}, or leave --interval out",
                duration::show(interval.saturating_mul(3)),
                duration::show(dead_after / 3)
            )));
        }
    }
    let failback = match timing.failback {
        Failback::After(delay) => Some(("--failback", delay)),
        Failback::Yes | Failback::No => None,
    };
    for (flag, delay) in failback.into_iter().chain([("--back-after", timing.back_after)]) {
        if delay > GREATEST_DELAY {
            return Err(Failure::usage(format!("{flag} {}", duration::show(delay)))
                .expected("at most a day (24h)"));
        }
    }
    Ok(())
}

/// A literal address in a check has to be one of the VIPs: elsewhere nothing would follow from
/// its result.
fn judge_concerns(checks: &[Check], vips: &[IpAddr]) -> Result<()> {
    for check in checks {
        match check.probe.concerns() {
            Concerns::One(address) if !vips.contains(&address) => {
                return Err(Failure::usage(format!(
                    "--check {} is about {address}, which is no --vip",
                    check.probe
                ))
                .expected("a check of the service on a VIP")
                .advice("name a VIP, {vip} for each of them, or a host name as virtual host"));
            }
            Concerns::Every if vips.is_empty() => {
                return Err(Failure::usage(format!(
                    "--check {} has no --vip to be made on",
                    check.probe
                ))
                .advice("add --vip ADDRESS, or leave the check out"));
            }
            Concerns::One(_) | Concerns::Every => {}
        }
    }
    Ok(())
}
