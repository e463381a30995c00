//! Where the story is told: a terminal with a view that is redrawn in place, or plain lines.
//!
//! Owns every escape sequence. Lines that were said stay; the view stands below them. On a terminal
//! the cursor is hidden and long lines are cut while the view is there; [`RESTORE`] undoes both,
//! and is also written by the process that outlives this one.

use std::io::{self, IsTerminal, Write};

use super::plan::Host;

/// Makes a terminal usual again: the cursor is visible, long lines wrap, no colour.
pub const RESTORE: &str = "\x1b[?25h\x1b[?7h\x1b[0m";
const PREPARE: &str = "\x1b[?25l\x1b[?7l";
/// The widest line.
pub const WIDTH: usize = 79;

/// Whether a live view makes sense on standard output.
pub fn is_live() -> bool {
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdout().is_terminal() && !dumb
}

/// How words are coloured, if at all.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours, or none.
    pub const fn new(on: bool) -> Self {
        Self { on }
    }

    fn with(self, sgr: &str, text: &str) -> String {
        if self.on { format!("\x1b[{sgr}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// In a host's own colour.
    pub fn host(self, host: Host, text: &str) -> String {
        let sgr = match host {
            Host::Pinky => "35",
            Host::Brain => "36",
        };
        self.with(sgr, text)
    }

    /// What is wrong.
    pub fn bad(self, text: &str) -> String {
        self.with("1;31", text)
    }

    /// What stands out.
    pub fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What steps back.
    pub fn faint(self, text: &str) -> String {
        self.with("2", text)
    }
}

/// The place where the story is told.
pub struct Screen {
    live: bool,
    /// How words are coloured here.
    pub paint: Paint,
    view_height: usize,
    /// Why nothing more can be said, once that is so.
    unsaid: Option<io::Error>,
}

impl Screen {
    /// Opens standard output. `NO_COLOR` and terminals that cannot are respected.
    pub fn open() -> Self {
        let live = is_live();
        let colour = live && crate::colour::is_wanted();
        let mut screen = Self { live, paint: Paint::new(colour), view_height: 0, unsaid: None };
        if live {
            screen.write(PREPARE);
        }
        screen
    }

    /// Whether there is a view at all.
    pub fn has_view(&self) -> bool {
        self.live
    }

    /// Whether nobody can read what is said (`standin demo | head -1`).
    pub fn readers_gone(&self) -> bool {
        self.unsaid.is_some()
    }

    /// Why that is so, unless they just went.
    pub fn fault(&self) -> Option<&io::Error> {
        self.unsaid.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Says lines that stay. The view is gone until it is shown again.
    pub fn say(&mut self, lines: &[String]) {
        let mut text = self.erased_view();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.write(&text);
    }

    /// Shows the view in place of the one before. Nothing where there is no terminal.
    pub fn show(&mut self, lines: &[String]) {
        if !self.live {
            return;
        }
        let mut text = self.erased_view();
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.view_height = lines.len();
        self.write(&text);
    }

    fn erased_view(&mut self) -> String {
        match std::mem::take(&mut self.view_height) {
            0 => String::new(),
            height => format!("\r\x1b[{height}A\x1b[J"),
        }
    }

    /// One write, so that a frame is never seen half.
    fn write(&mut self, text: &str) {
        let mut out = io::stdout();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        if self.unsaid.is_none() {
            self.unsaid = written.err();
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.live {
            let text = self.erased_view() + RESTORE;
            self.write(&text);
        }
    }
}

/// A sentence broken into lines, those after the first indented.
pub fn wrapped(first: &str, indent: usize, sentence: &str) -> Vec<String> {
    let mut lines = vec![];
    let mut line = String::new();
    for word in sentence.split_whitespace() {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    let margin = " ".repeat(indent);
    let with_margin = |(place, line): (usize, String)| {
        if place == 0 { format!("{first}{line}") } else { format!("{margin}{line}") }
    };
    lines.into_iter().enumerate().map(with_margin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_can_be_off() {
        assert_eq!(Paint::new(false).bad("x"), "x");
        assert_eq!(Paint::new(true).strong("x"), "\x1b[1mx\x1b[0m");
    }

    #[test]
    fn long_sentences_are_broken_between_words() {
        let sentence = "word ".repeat(30);
        let lines = wrapped("12345678", 8, &sentence);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
        assert!(lines[0].starts_with("12345678word") && lines[1].starts_with("        word"));
        assert_eq!(wrapped("a", 1, ""), ["a"]);
    }
}
