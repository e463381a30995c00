//! What was found on a host, and how it is shown.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::failure::Failure;

/// What a finding means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It may hurt.
    Warn,
    /// It will hurt.
    Fail,
}

impl Verdict {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\u{1b}[32m",
            Self::Warn => "\u{1b}[33m",
            Self::Fail => "\u{1b}[31m",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part of the host: `sysctl`, `path` …
    pub topic: &'static str,
    /// What was looked at: an interface, an address, a path.
    pub subject: String,
    /// What it means.
    pub verdict: Verdict,
    /// What was found, with its reason, as a sentence without its full stop.
    pub what: String,
    /// What to do, a line each.
    pub to_do: Vec<String>,
}

impl Finding {
    fn new(topic: &'static str, subject: &str, verdict: Verdict, what: String) -> Self {
        Self { topic, subject: subject.to_owned(), verdict, what, to_do: Vec::new() }
    }

    /// Something that may hurt.
    pub fn warn(topic: &'static str, subject: &str, what: impl Into<String>) -> Self {
        Self::new(topic, subject, Verdict::Warn, what.into())
    }

    /// Something that will hurt.
    pub fn fail(topic: &'static str, subject: &str, what: impl Into<String>) -> Self {
        Self::new(topic, subject, Verdict::Fail, what.into())
    }

    /// What another room refused.
    pub fn failure(topic: &'static str, subject: &str, failure: &Failure) -> Self {
        let mut finding = Self::fail(topic, subject, super::in_one_line(failure));
        let text = failure.to_string();
        for line in text.lines().skip(failure.what().lines().count()).map(str::trim) {
            if let Some(expected) = line.strip_prefix("expected: ") {
                let _ = write!(finding.what, "; expected {expected}");
            } else {
                finding.to_do.push(line.trim_start_matches("to do: ").to_owned());
            }
        }
        finding
    }

    /// Adds what to do.
    #[must_use]
    pub fn to_do(mut self, line: impl Into<String>) -> Self {
        self.to_do.push(line.into());
        self
    }
}

/// Everything that was found, in the order in which it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        self.list.push(finding);
    }

    /// Adds one, if there is one.
    pub fn extend(&mut self, finding: Option<Finding>) {
        self.list.extend(finding);
    }

    /// Adds something that is as it should be.
    pub fn ok(&mut self, topic: &'static str, subject: &str, what: impl Into<String>) {
        self.push(Finding::new(topic, subject, Verdict::Ok, what.into()));
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Finding> {
        self.list.iter()
    }

    /// How many have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.list.iter().filter(|finding| finding.verdict == verdict).count()
    }

    /// A table, each line ended.
    pub fn render(&self, colour: bool) -> String {
        let width = |text: fn(&Finding) -> &str| {
            self.list.iter().map(|finding| text(finding).chars().count()).max().unwrap_or(0)
        };
        let (topics, subjects) =
            (width(|finding| finding.topic), width(|finding| &finding.subject));
        let mut table = String::new();
        for finding in &self.list {
            let verdict = finding.verdict;
            let (on, off) = if colour { (verdict.colour(), "\u{1b}[0m") } else { ("", "") };
            let (topic, subject) = (finding.topic, plain(&finding.subject));
            let _ = writeln!(
                table,
                "{on}{:4}{off}  {topic:topics$}  {subject:subjects$}  {}",
                verdict.word(),
                plain(&finding.what)
            );
            for line in &finding.to_do {
                let _ = writeln!(
                    table,
                    "{:indent$}to do: {}",
                    "",
                    plain(line),
                    indent = topics + subjects + 10
                );
            }
        }
        table
    }

    /// A list for programs.
    pub fn to_json(&self) -> Value {
        let entry = |finding: &Finding| {
            json!({
                "topic": finding.topic,
                "subject": finding.subject,
                "verdict": finding.verdict.word(),
                "what": finding.what,
                "to_do": finding.to_do,
            })
        };
        self.list.iter().map(entry).collect()
    }
}

/// Without characters that could move the cursor: some of it was read from elsewhere.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
