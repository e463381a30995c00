//! The core's reports as events of the log.

use std::fmt::Write;

use standin_core::report::{self, Report};
use standin_core::{Config, Instant};
use standin_sys::signal;

use crate::duration;
use crate::file::Authority;
use crate::log::{Event, Level, Value};

/// A report that was carried out at `at`.
pub(super) fn of_report(report: &Report, at: Instant) -> Event {
    let level = match report.level() {
        report::Level::Debug => Level::Debug,
        report::Level::Info => Level::Info,
        report::Level::Warn => Level::Warn,
        report::Level::Error => Level::Error,
    };
    let mut event = Event::new(level, report.name(), report.to_string());
    event.fields = report
        .fields()
        .into_iter()
        .map(|(name, value)| match value {
            report::Value::Text(text) => (name, Value::from(text)),
            report::Value::Number(number) => (name, Value::from(number)),
        })
        .collect();
    if let Report::Claimed { decided, .. } = report {
        // The report follows the announcement in the same batch of actions.
        let micros = u64::try_from(at.since(*decided).as_micros()).unwrap_or(u64::MAX);
        event.fields.push(("decided-to-announced-us", Value::from(micros)));
    }
    event
}

/// The run begins.
pub fn started(config: &Config) -> Event {
    let names: Vec<String> = config
        .peers()
        .iter()
        .map(|peer| {
            let addresses: Vec<String> = peer.addresses.iter().map(|a| a.ip.to_string()).collect();
            format!("{} ({})", peer.name, addresses.join(", "))
        })
        .collect();
    let vips: Vec<String> = config.vips().iter().map(|vip| vip.address.to_string()).collect();
    let timing = config.timing();
    let sentence = format!(
        "watching {} every {}, dead after {} of silence; addresses: {}",
        names.join(", "),
        duration::show(timing.interval),
        duration::show(timing.dead_after),
        vips.join(", ")
    );
    Event::new(Level::Info, "started", sentence)
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("pid", std::process::id())
        .with("dead-after-us", u64::try_from(timing.dead_after.as_micros()).unwrap_or(u64::MAX))
}

/// A node of a cluster begins.
pub fn started_in_cluster(file: &crate::file::ClusterFile, node: &str, config: &Config) -> Event {
    let (vips, dead_after) = (config.vips().len(), duration::show(file.timing.dead_after));
    let is_witness = file.witnesses.iter().any(|witness| witness.name == node);
    let mut sentence = if is_witness {
        format!("{node}, a witness of cluster {}", file.cluster)
    } else {
        format!(
            "{node}, one of {} nodes of cluster {}, with {} and dead-after {dead_after}",
            file.nodes.len(),
            file.cluster,
            crate::file::counted(vips, "VIP"),
        )
    };
    if let Authority::Quorum { lease } = file.authority {
        let voters = file.voter_ids().count();
        let lease = duration::show(lease);
        let _ = write!(sentence, "; a lease of {lease} from a majority of {voters} voters");
    }
    let micros = u64::try_from(file.timing.dead_after.as_micros()).unwrap_or(u64::MAX);
    Event::new(Level::Info, "started", sentence)
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("pid", std::process::id())
        .with("node", node)
        .with("cluster", file.cluster.as_str())
        .with("dead-after-us", micros)
}

/// Somebody told us to stop: a signal, or a command.
pub(super) fn stopping(cause: Option<i32>, keeps: bool) -> Event {
    let name = match cause {
        Some(signal::SIGTERM) => "SIGTERM",
        Some(signal::SIGINT) => "SIGINT",
        Some(signal::SIGHUP) => "SIGHUP",
        Some(signal::SIGUSR2) => "SIGUSR2",
        Some(_) => "a signal",
        None => "standin stop",
    };
    let what = if keeps { "leaving everything to the next run" } else { "releasing everything" };
    Event::new(Level::Info, "stopping", format!("{name}: {what}")).with("signal", name)
}
