//! Events as lines: readable text, or one JSON object each; or as entries of the journal.
//!
//! Owns the shape of a line and the time in it. The slow loop alone writes: a terminal or a pipe
//! can block for as long as its reader likes, and the fast loop must never wait for one. A line
//! that cannot be written is lost and counted; standing in goes on.
//!
//! ```text
//! 2026-11-22T09:36:00.123456Z INFO  claimed: took over 10.0.0.9 on eth0: brain has been silent for 1s
//! ```

pub mod journal;
mod time;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use journal::Journal;
pub use serde_json::Value;
pub use time::rfc3339;

use crate::failure::{Code, Failure, Result, plain_io};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// As journal where systemd's journal reads our output, else as text.
    Auto,
    /// A sentence for people.
    Text,
    /// An object for programs.
    Json,
    /// An entry of systemd's journal, with fields.
    Journal,
}

/// What an event means for its reader, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Level {
    /// Per packet.
    Trace,
    /// How a decision came about.
    Debug,
    /// A transition.
    Info,
    /// Someone should look.
    Warn,
    /// A promise is broken.
    Error,
}

impl Level {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Its name in a column of five letters, and the colour of it (SGR parameters).
    fn column(self) -> (&'static str, &'static str) {
        match self {
            Self::Trace => ("TRACE", "2"),
            Self::Debug => ("DEBUG", "2"),
            Self::Info => ("INFO ", "32"),
            Self::Warn => ("WARN ", "33"),
            Self::Error => ("ERROR", "1;31"),
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it means for the reader.
    pub level: Level,
    /// Its kind, in words joined by `-`: `claimed`, `host-dead`.
    pub name: &'static str,
    /// One sentence, with why.
    pub message: String,
    /// The same for programs.
    pub fields: Vec<(&'static str, Value)>,
}

impl Event {
    /// An event without fields.
    pub fn new(level: Level, name: &'static str, message: impl Into<String>) -> Self {
        Self { level, name, message: message.into(), fields: Vec::new() }
    }

    /// Adds a field.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((key, value.into()));
        self
    }
}

/// Where events go, when nothing else is said: somewhere that a thread may hold.
pub type Sink = Box<dyn Write + Send>;

/// Where events go.
pub struct Logger<W = Sink> {
    out: W,
    format: Format,
    least: Level,
    colour: bool,
    lost: u64,
}

impl Logger {
    /// A logger to the journal or to standard output, coloured when that is a terminal and
    /// it is wanted.
    ///
    /// # Errors
    /// The journal was asked for by name and is not there.
    pub fn open(format: Format, least: Level) -> Result<Self> {
        let journal = || Journal::open(Path::new(journal::SOCKET));
        let opened = match format {
            Format::Auto if journal::reads_our_output() => journal().ok(),
            Format::Auto | Format::Text | Format::Json => None,
            Format::Journal => Some(journal().map_err(|error| {
                let what = format!("cannot write to the journal: {}", plain_io(&error));
                Failure::new(Code::Unavailable, what).advice("--log text, or --log json")
            })?),
        };
        if let Some(journal) = opened {
            return Ok(Self::new(Box::new(journal), Format::Journal, least, false));
        }
        let out = io::stdout();
        let colour = out.is_terminal() && crate::colour::is_wanted();
        Ok(Self::new(Box::new(out), format, least, colour))
    }
}

impl<W: Write> Logger<W> {
    /// A logger to `out` that leaves out what is less important than `least`.
    pub fn new(out: W, format: Format, least: Level, colour: bool) -> Self {
        Self { out, format, least, colour, lost: 0 }
    }

    /// Writes `event`, which happened at `at`, as one line in one write.
    pub fn write(&mut self, at: SystemTime, event: &Event) {
        if event.level < self.least {
            return;
        }
        let line = match self.format {
            Format::Auto | Format::Text => (text(at, event, self.colour) + "\n").into_bytes(),
            Format::Json => (json(at, event) + "\n").into_bytes(),
            Format::Journal => journal::entry(at, event),
        };
        let written = self.out.write_all(&line).and_then(|()| self.out.flush());
        if written.is_err() {
            self.lost += 1;
        }
    }

    /// How many lines could not be written.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

fn text(at: SystemTime, event: &Event, colour: bool) -> String {
    let (level, sgr) = event.level.column();
    let stamp = rfc3339(at);
    let message: String =
        event.message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if colour {
        let name = event.name;
        format!("\x1b[2m{stamp}\x1b[0m \x1b[{sgr}m{level}\x1b[0m \x1b[1m{name}\x1b[0m: {message}")
    } else {
        format!("{stamp} {level} {}: {message}", event.name)
    }
}

/// One object; the fields stand beside `ts`, `level`, `event` and `message`, which they cannot
/// replace.
fn json(at: SystemTime, event: &Event) -> String {
    let mut line = String::from("{");
    let fixed = [
        ("ts", Value::from(rfc3339(at))),
        ("level", Value::from(event.level.name())),
        ("event", Value::from(event.name)),
        ("message", Value::from(event.message.as_str())),
    ];
    let reserved = |key: &str| ["ts", "level", "event", "message"].contains(&key);
    let own = event.fields.iter().filter(|(key, _)| !reserved(key));
    for (index, (key, value)) in fixed.iter().chain(own).enumerate() {
        line.push_str(if index == 0 { "" } else { "," });
        line.push_str(&Value::from(*key).to_string());
        line.push(':');
        line.push_str(&value.to_string());
    }
    line.push('}');
    line
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn written(format: Format, colour: bool, event: &Event) -> String {
        let mut out = Vec::new();
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_340_160_000_042);
        Logger::new(&mut out, format, Level::Info, colour).write(at, event);
        String::from_utf8(out).expect("UTF-8")
    }

    fn claimed() -> Event {
        Event::new(Level::Info, "claimed", "took over 10.0.0.9:\nbrain is silent")
            .with("vip", "10.0.0.9")
            .with("silent_ms", 1003)
            .with("level", "smuggled")
    }

    #[test]
    fn a_text_line_has_time_level_event_and_sentence() {
        assert_eq!(
            written(Format::Text, false, &claimed()),
            "2026-11-22T09:36:00.000042Z INFO  claimed: took over 10.0.0.9: brain is silent\n"
        );
    }

    #[test]
    fn colours_are_only_for_terminals() {
        assert!(written(Format::Text, true, &claimed()).contains("\x1b[32mINFO "));
        assert!(!written(Format::Text, false, &claimed()).contains('\x1b'));
    }

    #[test]
    fn a_json_line_is_one_object_whose_fields_cannot_shadow_the_fixed_ones() {
        let line = written(Format::Json, true, &claimed());
        assert_eq!(line.matches('\n').count(), 1);
        let value: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(value["ts"], "2026-11-22T09:36:00.000042Z");
        assert_eq!(value["level"], "info");
        assert_eq!(value["event"], "claimed");
        assert_eq!(value["vip"], "10.0.0.9");
        assert_eq!(value["silent_ms"], 1003);
        assert!(line.starts_with(r#"{"ts":"#), "{line}");
    }

    #[test]
    fn what_is_less_important_than_asked_for_is_left_out() {
        assert_eq!(written(Format::Text, false, &Event::new(Level::Debug, "probe", "sent")), "");
    }

    #[test]
    fn a_line_that_cannot_be_written_is_counted_and_nothing_else() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut logger = Logger::new(Closed, Format::Text, Level::Info, false);
        logger.write(SystemTime::now(), &claimed());
        assert_eq!(logger.lost(), 1);
    }
}
