//! The smaller tables: `[timing]`, `[hooks]`, `[control]`, and the single values at the top.

use std::path::{Path, PathBuf};
use std::time::Duration;

use standin_core::config;
use toml::de::DeValue;

use super::keys::Section;
use super::model::{Control, HookCommand, Hooks, Timing};
use super::problem::{Problem, Problems, Span};
use super::reader::{Placed, Table};
use crate::checks::words;
use crate::cli::options::{GREATEST_DELAY, LEAST_INTERVAL};
use crate::control::DEFAULT_SOCKET;
use crate::duration;

/// The UDP port of the heartbeats. It lies in a stretch (4954 to 4968) that IANA has assigned to
/// nobody, below Linux' ephemeral ports, so that no client takes it by chance.
pub const DEFAULT_PORT: u16 = 4961;
const DEFAULT_DEAD_AFTER: Duration = Duration::from_secs(1);
const DEFAULT_BACK_AFTER: Duration = Duration::from_secs(1);
/// Long enough for a script that talks to a router, short enough to notice that it hangs.
const DEFAULT_HOOK_TIMEOUT: Duration = Duration::from_secs(10);
const HOOK_TIMEOUT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(10));
/// Below this an ordinary machine's own pauses look like a dead peer.
const HASTY: Duration = Duration::from_millis(20);
/// What the control socket has when nothing else is said: the owner and the group.
const DEFAULT_MODE: u32 = 0o660;

/// A table of this name, or an empty one.
pub(super) fn with_table<T>(
    top: &Table<'_>,
    key: &'static str,
    section: Section,
    problems: &mut Problems,
    read: impl FnOnce(&Table<'_>, &mut Problems) -> T,
) -> T {
    let empty = toml::de::DeTable::new();
    let span = top.key_span(key).unwrap_or_default();
    let entries = match top.get(key).map(Placed::inner) {
        Some(DeValue::Table(entries)) => entries,
        Some(_) => {
            if let Some(value) = top.get(key) {
                value.refuse(&format!("a table, [{key}]"), problems);
            }
            &empty
        }
        None => &empty,
    };
    let table = Table::open(entries, span, section, problems);
    read(&table, problems)
}

/// Reads `[timing]`.
pub fn timing(top: &Table<'_>, problems: &mut Problems) -> Timing {
    with_table(top, "timing", Section::Timing, problems, |table, problems| {
        let given = table.duration("dead-after", problems);
        let dead_after = given.as_ref().map_or(DEFAULT_DEAD_AFTER, |(time, _)| *time);
        if let Some((_, span)) = &given {
            judge_dead_after(dead_after, span, problems);
        }
        let interval = table.duration("interval", problems);
        if let Some((interval, span)) = &interval {
            judge_interval(
                *interval,
                dead_after,
                (span, given.as_ref().map(|(_, span)| span)),
                problems,
            );
        }
        let back_after = table.duration("back-after", problems);
        if let Some((time, span)) = &back_after
            && *time > GREATEST_DELAY
        {
            problems.push(
                Problem::error(span.clone(), "back-after is out of range")
                    .label("expected at most a day (24h)"),
            );
        }
        Timing {
            dead_after,
            interval: interval
                .map_or_else(|| config::Timing::default_interval(dead_after), |(time, _)| time),
            back_after: back_after.map_or(DEFAULT_BACK_AFTER, |(time, _)| time),
        }
    })
}

fn judge_dead_after(dead_after: Duration, span: &Span, problems: &mut Problems) {
    let (least, most) = config::DEAD_AFTER;
    if !(least..=most).contains(&dead_after) {
        problems.push(
            Problem::error(span.clone(), "dead-after is out of range")
                .label("expected from 5ms to 1h"),
        );
    } else if dead_after < HASTY {
        let shown = duration::show(dead_after);
        problems.push(
            Problem::warning(
                span.clone(),
                format!("dead-after of {shown} leaves no room for a pause"),
            )
            .label("a busy machine or switch may be silent for as long")
            .help("use it with real-time priority on a quiet network, or say \"50ms\" or more"),
        );
    }
}

fn judge_interval(
    interval: Duration,
    dead_after: Duration,
    (span, dead_after_span): (&Span, Option<&Span>),
    problems: &mut Problems,
) {
    let shown = duration::show(interval);
    if interval < LEAST_INTERVAL {
        problems.push(
            Problem::error(span.clone(), "the interval is out of range")
                .label("expected at least 1ms"),
        );
    } else if interval > dead_after / 2 {
        let problem = Problem::error(
            span.clone(),
            format!(
                "an interval of {shown} is too long for dead-after {}",
                duration::show(dead_after)
            ),
        )
        .label("expected at most half of dead-after")
        .help("leave interval out: it is a quarter of dead-after then");
        problems.push(match dead_after_span {
            Some(other) => problem.with(other.clone(), "dead-after"),
            None => problem,
        });
    }
}

/// Reads `[hooks]`.
pub fn hooks(top: &Table<'_>, problems: &mut Problems) -> Hooks {
    with_table(top, "hooks", Section::Hooks, problems, |table, problems| {
        let mut command = |key| table.get(key).and_then(|value| hook(key, value, problems));
        let (on_take, on_release) = (command("on-take"), command("on-release"));
        let (on_doubt, on_conflict) = (command("on-doubt"), command("on-conflict"));
        let timeout = table.duration("timeout", problems);
        if let Some((time, span)) = &timeout
            && !(HOOK_TIMEOUT.0..=HOOK_TIMEOUT.1).contains(time)
        {
            problems.push(
                Problem::error(span.clone(), "a hook's timeout is out of range")
                    .label("expected from 100ms to 10m"),
            );
        }
        let timeout = timeout.map_or(DEFAULT_HOOK_TIMEOUT, |(time, _)| time);
        Hooks { on_take, on_release, on_doubt, on_conflict, timeout }
    })
}

/// A command: text as in a shell, or a list of words.
pub fn hook(key: &str, value: Placed<'_>, problems: &mut Problems) -> Option<HookCommand> {
    let words: Vec<String> = if let DeValue::Array(_) = value.inner() {
        let words = value.texts("a word of the command", problems);
        words.into_iter().map(|word| word.text.to_owned()).collect()
    } else {
        let DeValue::String(_) = value.inner() else {
            value.refuse("a command, as text or as a list of words", problems);
            return None;
        };
        let text = value.text(problems)?;
        match words::split(text.text) {
            Ok(words) => words,
            Err(why) => {
                problems.push(
                    Problem::error(value.span(), format!("the command of {key} cannot be read"))
                        .label(why),
                );
                return None;
            }
        }
    };
    let mut words = words.into_iter();
    let program = PathBuf::from(words.next()?);
    if !program.is_absolute() {
        problems.push(
            Problem::error(value.span(), format!("the program of {key} has no absolute path"))
                .label("expected a path that begins with '/'"),
        );
        return None;
    }
    Some(HookCommand { program, arguments: words.collect() })
}

/// Reads `[control]`.
pub fn control(top: &Table<'_>, problems: &mut Problems) -> Control {
    with_table(top, "control", Section::Control, problems, |table, problems| {
        let socket = table.text("socket", problems).and_then(|text| {
            // sockaddr_un has 108 bytes, the last one zero.
            let (path, length) = (text.text, text.text.len());
            if path.starts_with('/') && !path.ends_with('/') && length < 100 {
                return Some(PathBuf::from(path));
            }
            problems.push(
                Problem::error(text.span(), "the socket cannot be there")
                    .label("expected the absolute path of a file, of less than 100 bytes"),
            );
            None
        });
        let mode = table.get("mode").and_then(|value| mode(value, problems));
        let group = table.text("group", problems).map(|text| text.text.to_owned());
        Control {
            socket: socket.unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET)),
            mode: mode.unwrap_or(DEFAULT_MODE),
            group,
        }
    })
}

/// Permissions, as `"0660"` or as TOML's own octal number `0o660`.
fn mode(value: Placed<'_>, problems: &mut Problems) -> Option<u32> {
    let digits = match value.inner() {
        DeValue::String(text) => Some(text.as_ref()),
        DeValue::Integer(number) if number.radix() == 8 => Some(number.as_str()),
        _ => None,
    };
    let mode = digits.and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let mode = mode.filter(|mode| *mode <= 0o777);
    if mode.is_none() {
        problems.push(
            Problem::error(value.span(), "these are no permissions")
                .label("expected octal digits in quotes, such as \"0660\""),
        );
    }
    mode
}

/// Reads `port`.
pub fn port(top: &Table<'_>, problems: &mut Problems) -> u16 {
    let Some(value) = top.get("port") else { return DEFAULT_PORT };
    let port = value.number(1..=u32::from(u16::MAX), problems);
    if port.is_some_and(|port| port < 1024) {
        problems.push(
            Problem::warning(
                value.span(),
                "a port below 1024 needs the capability CAP_NET_BIND_SERVICE",
            )
            .help(format!("leave it out: {DEFAULT_PORT} is used then")),
        );
    }
    port.map_or(DEFAULT_PORT, |port| port as u16)
}

/// Reads `key-file`; a relative path begins where the file is.
pub fn key_file(top: &Table<'_>, file: &Path, problems: &mut Problems) -> PathBuf {
    let help = "key-file = \"/etc/standin/key\", made by: standin keygen";
    let text = top.need("key-file", help, problems).and_then(|value| value.text(problems));
    let Some(text) = text else { return PathBuf::new() };
    file.parent().unwrap_or(Path::new("")).join(text.text)
}
