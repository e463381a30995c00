//! The core's reports as events of the log.

use standin_core::report::{self, Report};
use standin_core::{Config, Instant};
use standin_sys::signal;

use crate::duration;
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

/// A signal told us to stop.
pub(super) fn stopping(number: i32) -> Event {
    let name = match number {
        signal::SIGTERM => "SIGTERM",
        signal::SIGINT => "SIGINT",
        signal::SIGHUP => "SIGHUP",
        _ => "a signal",
    };
    Event::new(Level::Info, "stopping", format!("{name}: releasing everything"))
        .with("signal", name)
}
