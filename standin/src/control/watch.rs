//! `standin watch`: the status, over and over, on a terminal.
//!
//! Owns the screen while it runs and gives it back when it ends, also by Ctrl-C, whose default end
//! is caught for that. Invariant: it only reads.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::json;
use standin_sys::signal::{self, Signals};

use super::commands::Asking;
use super::{ask, page, table};
use crate::failure::Result;
use crate::host::os;

/// To the other screen of the terminal, without a cursor and with long lines cut; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// What is left of a line, and of the screen below it, is empty.
const REST_OF_LINE: &str = "\x1b[K";
const REST: &str = "\x1b[J";
/// How often Ctrl-C is looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// The arguments of `standin watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Time from one look to the next
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = crate::duration::parse)]
    pub interval: Duration,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

/// Shows the status until Ctrl-C; off a terminal one page after the other.
///
/// # Errors
/// At the start the daemon cannot be asked; later that is shown, and asking goes on.
pub fn watch(args: &WatchArgs) -> Result<()> {
    let socket = args.asking.socket();
    let first = look(&socket, args.asking.json)?;
    let endings = [signal::SIGINT, signal::SIGTERM, signal::SIGHUP];
    let signals = Signals::block(&endings).map_err(|error| os(&error))?;
    let mut out = io::stdout();
    let is_screen = out.is_terminal() && !args.asking.json;
    let mut shown = show(&mut out, &first, is_screen, true);
    while shown.is_ok() && !pause(&signals, args.interval) {
        let page = look(&socket, args.asking.json).unwrap_or_else(|failure| format!("{failure}\n"));
        shown = show(&mut out, &page, is_screen, false);
    }
    if is_screen {
        let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    }
    Ok(())
}

fn look(socket: &Path, as_json: bool) -> Result<String> {
    let answer = ask(socket, &json!({ "command": "status" }))?;
    let status = answer.get("status").cloned().unwrap_or_default();
    if as_json {
        return Ok(format!("{status}\n"));
    }
    Ok(page::render(&status).unwrap_or_else(|| table::render(&status)))
}

fn show(out: &mut io::Stdout, page: &str, is_screen: bool, is_first: bool) -> io::Result<()> {
    if !is_screen {
        out.write_all(page.as_bytes())?;
        return out.flush();
    }
    let mut frame = String::from(if is_first { ENTER } else { "" });
    for (row, line) in (1..).zip(page.lines()) {
        // A row below the last one means the last one: a page that is too long does not scroll.
        let _ = write!(frame, "\x1b[{row};1H{line}{REST_OF_LINE}");
    }
    frame.push_str(REST);
    out.write_all(frame.as_bytes())?;
    out.flush()
}

/// Waits; whether a signal came meanwhile.
fn pause(signals: &Signals, length: Duration) -> bool {
    let end = std::time::Instant::now() + length;
    loop {
        if matches!(signals.take(), Ok(Some(_)) | Err(_)) {
            return true;
        }
        let left = end.saturating_duration_since(std::time::Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(GLANCE));
    }
}
