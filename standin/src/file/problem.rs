//! What is wrong or risky in a configuration file, and how it is shown.
//!
//! Owns the places in the text (byte ranges), the list of problems in the order of the file, and
//! their two forms: for people, the line with a caret under the place; for programs, JSON. Never
//! judges anything.
//!
//! Invariant: every problem has a place inside the text, and no password of a URL is shown.

use std::fmt::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value, json};

use super::secret;

/// More problems than this are counted and not kept: the file is something else altogether.
const MOST_KEPT: usize = 1000;
/// More problems than this are not shown: the first ones tell what is the matter.
const MOST_SHOWN: usize = 50;
/// A line longer than this is not drawn, only named: nobody could find a caret in it.
const LONGEST_LINE: usize = 2000;
/// Wide enough for a sentence, so that the text is the same on every terminal.
const WIDTH: usize = 140;

/// A range of bytes in the text.
pub type Span = Range<usize>;

/// The text of a file, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it was read.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

impl Source {
    /// A text with the path it is shown under.
    pub fn new(path: impl AsRef<Path>, text: impl Into<String>) -> Self {
        Self { path: path.as_ref().to_owned(), text: text.into() }
    }

    /// Line and column of a place, both counted from 1, the column in characters.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..floor(&self.text, at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        (line, before[line_start..].chars().count() + 1)
    }
}

/// Whether a file with it can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but it will surprise somebody.
    Warning,
}

impl Severity {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is wrong or risky.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, as a sentence without its full stop.
    pub message: String,
    /// The place.
    pub span: Span,
    /// What stands beside the caret; may be empty.
    pub label: String,
    /// Another place that has to do with it, with its own label.
    pub other: Option<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
    /// It is about something that is not there, which may follow from a broken line before.
    pub(super) is_absence: bool,
}

impl Problem {
    /// Something that makes the file useless.
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, span, message.into())
    }

    /// Something that will surprise somebody.
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, span, message.into())
    }

    fn new(severity: Severity, span: Span, message: String) -> Self {
        let label = String::new();
        Self { severity, message, span, label, other: None, help: None, is_absence: false }
    }

    /// Adds what stands beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn with(mut self, span: Span, label: impl Into<String>) -> Self {
        self.other = Some((span, label.into()));
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says that it is about something missing.
    #[must_use]
    pub(super) fn absence(mut self) -> Self {
        self.is_absence = true;
        self
    }

    /// The problem as it is shown to people, with `colour` for a terminal. Ends with a newline.
    pub fn render(&self, source: &Source, colour: bool) -> String {
        let path = source.path.display().to_string();
        let (line, column) = source.position(self.span.start);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(in_line(&self.message));
        let text = secret::masked(&source.text);
        let places = [Some(&self.span), self.other.as_ref().map(|(span, _)| span)];
        let mut group = if places.into_iter().flatten().any(|span| is_in_long_line(&text, span)) {
            let colon = if self.label.is_empty() { "" } else { ": " };
            let place = format!("{path}:{line}:{column}{colon}{}", in_line(&self.label));
            Group::with_title(title).element(Level::NOTE.message(place))
        } else {
            // Only the lines around the places are handed over: a file may be long.
            let window = window(&text, places.into_iter().flatten());
            let mut snippet = Snippet::source(&text[window.clone()])
                .line_start(source.position(window.start).0)
                .path(path)
                .annotation(
                    AnnotationKind::Primary
                        .span(within(&text, &self.span, &window))
                        .label(in_line(&self.label)),
                );
            if let Some((span, label)) = &self.other {
                let span = within(&text, span, &window);
                snippet =
                    snippet.annotation(AnnotationKind::Context.span(span).label(in_line(label)));
            }
            Group::with_title(title).element(snippet)
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(plain(help)));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut shown = renderer.term_width(WIDTH).render(&[group]);
        shown.push('\n');
        shown
    }

    /// The problem as a sentence that says where, for the log.
    pub fn in_one_line(&self, source: &Source) -> String {
        let (line, column) = source.position(self.span.start);
        format!("{}:{line}:{column}: {}", source.path.display(), in_line(&self.message))
    }

    /// The problem for programs.
    pub fn to_json(&self, source: &Source) -> Value {
        let (line, column) = source.position(self.span.start);
        let (end_line, end_column) = source.position(self.span.end.max(self.span.start));
        json!({
            "severity": self.severity.word(),
            "message": self.message,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "label": (!self.label.is_empty()).then_some(&self.label),
            "help": self.help,
        })
    }
}

/// All problems of one file, in the order of the file, errors and warnings mixed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    errors: usize,
    /// Errors that are counted and not kept.
    beyond: usize,
}

impl Problems {
    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        let is_error = problem.severity == Severity::Error;
        self.errors += usize::from(is_error);
        if self.list.len() < MOST_KEPT {
            self.list.push(problem);
        } else {
            // A warning more or less says nothing beside a thousand problems.
            self.beyond += usize::from(is_error);
        }
    }

    /// All that were kept: the first thousand that were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// How many make the file useless.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// How many are only risky.
    pub fn warnings(&self) -> usize {
        self.list.len() - (self.errors - self.beyond)
    }

    /// Puts them in order, and leaves out what follows from a line that is broken: syntax errors
    /// are the first `syntax` entries, and a later one on the same line, or about something that
    /// is missing, may only be their echo.
    pub(super) fn settle(&mut self, source: &Source, syntax: usize) {
        let rest = self.list.split_off(syntax.min(self.list.len()));
        let newlines: Vec<usize> = source.text.match_indices('\n').map(|(at, _)| at).collect();
        let line = |problem: &Problem| newlines.partition_point(|at| *at < problem.span.start);
        let broken: Vec<usize> = self.list.iter().map(line).collect();
        let is_echo = |problem: &Problem| {
            !broken.is_empty() && (problem.is_absence || broken.contains(&line(problem)))
        };
        self.list.extend(rest.into_iter().filter(|problem| !is_echo(problem)));
        self.list.sort_by_key(|problem| (problem.span.start, problem.severity));
        self.list.dedup();
        let is_error = |problem: &&Problem| problem.severity == Severity::Error;
        self.errors = self.beyond + self.list.iter().filter(is_error).count();
    }

    /// All of them for people; empty when there are none. Each is followed by an empty line.
    pub fn render(&self, source: &Source, colour: bool) -> String {
        let mut text = String::new();
        for problem in self.list.iter().take(MOST_SHOWN) {
            text.push_str(&problem.render(source, colour));
            text.push('\n');
        }
        let more = (self.list.len() + self.beyond).saturating_sub(MOST_SHOWN);
        if more > 0 {
            let _ = writeln!(text, "… and {more} more\n");
        }
        text
    }
}

/// The largest character boundary that is not beyond `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The lines that the places are in, with one line before and after.
fn window<'a>(text: &str, places: impl Iterator<Item = &'a Span>) -> Span {
    let (mut start, mut end) = (text.len(), 0);
    for place in places {
        start = start.min(floor(text, place.start));
        end = end.max(floor(text, place.end.max(place.start)));
    }
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = |at: usize| text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    line_start(start)..line_end(end.max(start))
}

/// A place relative to the window, on character boundaries.
fn within(text: &str, span: &Span, window: &Span) -> Span {
    let start = floor(text, span.start).clamp(window.start, window.end);
    let end = floor(text, span.end).clamp(start, window.end);
    start - window.start..end - window.start
}

fn is_in_long_line(text: &str, span: &Span) -> bool {
    let window = window(text, std::iter::once(span));
    text[window].lines().any(|line| line.len() > LONGEST_LINE)
}

/// Without characters that could move the cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// The same on one line: what was read may have several.
fn in_line(text: &str) -> String {
    plain(text).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let source = Source::new("x.toml", "a = 1\nü = \"é\"\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(6), (2, 1));
        // In the middle of a character, and beyond the end.
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.position(8), (2, 2));
        assert_eq!(source.position(999), (3, 1));
    }

    #[test]
    fn what_follows_from_a_broken_line_is_left_out() {
        let source = Source::new("x.toml", "a = \nb = 1\nc = 2\n");
        let mut problems = Problems::default();
        problems.push(Problem::error(4..4, "broken"));
        problems.push(Problem::error(0..1, "an echo on the same line"));
        problems.push(Problem::error(0..0, "a key is missing").absence());
        problems.push(Problem::warning(11..12, "its own"));
        problems.settle(&source, 1);
        let left: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(left, ["broken", "its own"]);
    }

    #[test]
    fn what_was_read_neither_breaks_a_line_nor_moves_the_cursor() {
        let source = Source::new("x.toml", "a = 1\n");
        let problem = Problem::error(0..1, "'a\nb\u{1b}[31m' is none").label("'c\r\nd' neither");
        let shown = problem.render(&source, false);
        assert!(shown.starts_with("error: 'a b [31m' is none\n"), "{shown}");
        assert!(shown.contains("^ 'c  d' neither\n"), "{shown}");
        assert_eq!(problem.in_one_line(&source), "x.toml:1:1: 'a b [31m' is none");
    }

    #[test]
    fn a_very_long_line_is_named_and_not_drawn() {
        let source = Source::new("x.toml", format!("a = \"{}\"", "x".repeat(5000)));
        let shown = Problem::error(0..1, "unknown key 'a'").render(&source, false);
        assert!(shown.len() < 200 && shown.contains("x.toml:1:1"), "{shown}");
    }
}
