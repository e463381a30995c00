//! What the parts of the demo tell the story.

use std::time::Instant;

use super::plan::Host;
use crate::failure::Failure;
use crate::log::Value;

/// One piece of news.
#[derive(Debug)]
pub enum News {
    /// The client's request for a page has ended.
    Request {
        /// The public address, by its home.
        home: Host,
        /// When it was sent.
        sent: Instant,
        /// When its answer was there, or was given up.
        done: Instant,
        /// Who answered; none: it is lost.
        by: Option<Host>,
    },
    /// A host's `standin for` wrote a line to its JSON log.
    Log {
        /// The host.
        host: Host,
        /// How often it had been switched on.
        boot: u32,
        /// When it was read.
        at: Instant,
        /// What it says.
        line: LogLine,
    },
    /// A process of a host has ended.
    Ended {
        /// The host.
        host: Host,
        /// How often it had been switched on.
        boot: u32,
        /// What it wrote to standard error.
        complaint: String,
    },
    /// A part of the demo cannot go on.
    Broken(Failure),
    /// A signal asks the demo to stop.
    Interrupted,
}

/// A line of a JSON log, as far as the story needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// `info`, `warn` …
    pub level: String,
    /// `claimed`, `peer-dead` …
    pub event: String,
    /// The sentence.
    pub message: String,
    /// All of it.
    pub fields: Value,
}

impl LogLine {
    /// Reads a line; none when it is not an event.
    pub fn parse(line: &str) -> Option<Self> {
        let fields: Value = serde_json::from_str(line).ok()?;
        let text = |key: &str| fields.get(key)?.as_str().map(str::to_owned);
        let (level, event, message) = (text("level")?, text("event")?, text("message")?);
        Some(Self { level, event, message, fields })
    }

    /// The address it is about.
    pub fn vip(&self) -> Option<std::net::IpAddr> {
        self.fields.get("vip")?.as_str()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_read_and_anything_else_is_not() {
        let line = r#"{"ts":"x","level":"info","event":"claimed","message":"m","vip":"10.0.0.9"}"#;
        let line = LogLine::parse(line).expect("an event");
        assert_eq!((line.level.as_str(), line.event.as_str()), ("info", "claimed"));
        assert_eq!(line.vip(), "10.0.0.9".parse().ok());
        for other in ["", "standin: no", "{}", "[]", r#"{"level":1,"event":"a","message":"b"}"#] {
            assert_eq!(LogLine::parse(other), None, "{other}");
        }
    }
}
