//! Events as entries of systemd's journal, each with its fields.
//!
//! Owns the native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): one datagram an entry, which
//! carries a line `NAME=value` for each field. A journal that is slow loses entries rather than
//! stopping anybody: they are counted with the lines that could not be written.
//!
//! | field | |
//! |---|---|
//! | `MESSAGE`, `PRIORITY`, `SYSLOG_IDENTIFIER` | the sentence; its level as in syslog(3); `standin` |
//! | `STANDIN_EVENT`, `STANDIN_TIME` | the kind of the event; when it happened, RFC 3339 |
//! | `STANDIN_VIP`, `STANDIN_INTERFACE` … | every field of the event, in capitals, `-` as `_` |

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Event, Level, Value, rfc3339};

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// The journal's socket; each write is one entry.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Makes sure that somebody listens at `path`.
    ///
    /// # Errors
    /// Nobody does, or one may not.
    pub fn open(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        // Each entry finds its way anew: the journal may be restarted.
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path: path.into() })
    }
}

impl Write for Journal {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        self.socket.send_to(entry, &self.path)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the journal reads our standard output: then it had better get the fields as well.
pub(super) fn reads_our_output() -> bool {
    let Some(named) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(output) = std::fs::metadata("/proc/self/fd/1") else { return false };
    named.to_str() == Some(format!("{}:{}", output.dev(), output.ino()).as_str())
}

/// The datagram of an event.
pub(super) fn entry(at: SystemTime, event: &Event) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    field(&mut bytes, "MESSAGE", &event.message);
    field(&mut bytes, "PRIORITY", priority(event.level));
    field(&mut bytes, "SYSLOG_IDENTIFIER", "standin");
    field(&mut bytes, "STANDIN_EVENT", event.name);
    field(&mut bytes, "STANDIN_TIME", &rfc3339(at));
    for (name, value) in &event.fields {
        let name: String = name.chars().map(|c| if c == '-' { '_' } else { c }).collect();
        let name = format!("STANDIN_{}", name.to_ascii_uppercase());
        match value {
            Value::String(text) => field(&mut bytes, &name, text),
            other => field(&mut bytes, &name, &other.to_string()),
        }
    }
    bytes
}

/// As in syslog(3): 3 error, 4 warning, 6 informational, 7 debug.
fn priority(level: Level) -> &'static str {
    match level {
        Level::Trace | Level::Debug => "7",
        Level::Info => "6",
        Level::Warn => "4",
        Level::Error => "3",
    }
}

/// A value of several lines has its length before it, so that it cannot pose as another field.
fn field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_entry_has_the_sentence_the_priority_and_every_field() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_340_160_000_042);
        let event = Event::new(Level::Warn, "conflict", "10.0.0.9 is claimed by another host")
            .with("vip", "10.0.0.9")
            .with("silent-us", 1003);
        assert_eq!(
            String::from_utf8(entry(at, &event)).expect("UTF-8"),
            "MESSAGE=10.0.0.9 is claimed by another host\nPRIORITY=4\nSYSLOG_IDENTIFIER=standin\n\
             STANDIN_EVENT=conflict\nSTANDIN_TIME=2026-11-22T09:36:00.000042Z\n\
             STANDIN_VIP=10.0.0.9\nSTANDIN_SILENT_US=1003\n"
        );
    }

    #[test]
    fn a_line_break_makes_no_field() {
        let event = Event::new(Level::Info, "started", "a\nPRIORITY=0");
        let bytes = entry(SystemTime::UNIX_EPOCH, &event);
        assert!(bytes.starts_with(b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nPRIORITY=6\n"));
    }

    #[test]
    fn each_write_is_a_datagram_and_nobody_waits_for_a_journal_that_is_stuck() {
        let path = std::env::temp_dir().join(format!("standin-journal-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        assert!(Journal::open(&path).is_err());
        let listener = UnixDatagram::bind(&path).expect("a socket");
        let mut journal = Journal::open(&path).expect("a journal");
        journal.write_all(b"MESSAGE=a\n").expect("an entry");
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).expect("a datagram");
        assert_eq!(&buffer[..length], b"MESSAGE=a\n");
        // Nobody reads: the queue fills up, and then there is an error instead of a wait.
        let refused = (0..100_000).find_map(|_| journal.write_all(b"MESSAGE=b\n").err());
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
        std::fs::remove_file(&path).expect("the socket is ours");
    }
}
