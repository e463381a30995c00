//! Lines as what a terminal understands (ECMA-48).
//!
//! Owns every escape sequence of the view, and gives the screen back when it is dropped.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::draw::{Line, Style};

/// To the other screen of the terminal, without a cursor and with long lines cut; and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";
/// A terminal that knows these shows nothing in between; others pass over them.
const BEGIN: &str = "\x1b[?2026h";
const END: &str = "\x1b[?2026l";
/// Empties a line, or all from it on, before it is written: once its last column is written the
/// cursor still stands on that, and what is erased from there on would take it along.
const EMPTY_LINE: &str = "\x1b[0m\x1b[K";
const EMPTY_REST: &str = "\x1b[0m\x1b[J";

/// The other screen of the terminal.
pub struct Screen {
    colour: bool,
}

impl Screen {
    /// Goes there.
    ///
    /// # Errors
    /// Nobody reads.
    pub fn enter(colour: bool) -> io::Result<Self> {
        let this = Self { colour };
        put(ENTER)?;
        Ok(this)
    }

    /// Shows lines, from the first row on.
    ///
    /// # Errors
    /// Nobody reads.
    pub fn show(&self, lines: &[Line]) -> io::Result<()> {
        put(&frame(lines, self.colour))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = put(LEAVE);
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// One whole picture, drawn over the one before.
pub fn frame(lines: &[Line], colour: bool) -> String {
    let mut frame = String::from(BEGIN);
    for (row, line) in (1..).zip(lines) {
        let sgr = sgr(line.style, colour);
        let empty = if row == lines.len() { EMPTY_REST } else { EMPTY_LINE };
        let _ = write!(frame, "\x1b[{row};1H{empty}{sgr}{}", line.text);
    }
    frame + "\x1b[0m" + END
}

fn sgr(style: Style, colour: bool) -> &'static str {
    match (style, colour) {
        (Style::Heading, _) => "\x1b[1m",
        (Style::Selected, _) => "\x1b[7m",
        (Style::Plain, _) | (_, false) => "",
        (Style::Faint, true) => "\x1b[2m",
        (Style::Good, true) => "\x1b[32m",
        (Style::Warn, true) => "\x1b[33m",
        (Style::Bad, true) => "\x1b[1;31m",
    }
}
