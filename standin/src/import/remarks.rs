//! What did not come along, or came along changed: the list that goes with every import.
//!
//! Owns the kinds of remark, their order, and how they are shown. A remark names keywords,
//! addresses and names; it never repeats a value that may be secret.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::texts::{Place, Texts};

/// What became of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// It has no counterpart, or none that is sure: somebody has to look.
    Left,
    /// It was translated to something that is not quite the same.
    Changed,
    /// It was not said, and something was taken for it.
    Assumed,
    /// standin does without it, or always does it.
    NotNeeded,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Left, Self::Changed, Self::Assumed, Self::NotNeeded];

    /// The word for it in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "not-translated",
            Self::Changed => "changed",
            Self::Assumed => "assumed",
            Self::NotNeeded => "not-needed",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Self::Left => "Not translated",
            Self::Changed => "Translated, with a difference",
            Self::Assumed => "Assumed",
            Self::NotNeeded => "Not needed",
        }
    }
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// What became of it.
    pub kind: Kind,
    /// The whole statement.
    pub place: Place,
    /// The keyword, or the name, it is about.
    pub word: String,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub to_do: Option<String>,
}

impl Remark {
    /// A remark on a statement.
    pub fn new(
        kind: Kind,
        place: Place,
        word: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, place, word: word.into(), message: message.into(), to_do: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn advise(mut self, to_do: impl Into<String>) -> Self {
        self.to_do = Some(to_do.into());
        self
    }
}

/// All remarks on one import. Those of a file that is read for several nodes are kept once.
#[derive(Debug, Default)]
pub struct Remarks {
    list: Vec<Remark>,
}

impl Remarks {
    /// Adds one.
    pub fn push(&mut self, remark: Remark) {
        self.list.push(remark);
    }

    /// What is said about a keyword so far.
    pub fn about(&self, word: &str) -> Vec<String> {
        let about = self.list.iter().filter(|remark| remark.word == word);
        about.map(|remark| plain(&remark.message)).collect()
    }

    /// Every remark with its place, in the order of the files.
    pub fn into_listed(mut self, texts: &Texts) -> Vec<Listed> {
        let key = |remark: &Remark| (remark.kind, remark.place.file, remark.place.start);
        self.list.sort_by(|one, other| {
            (key(one), &one.word, &one.message).cmp(&(key(other), &other.word, &other.message))
        });
        self.list.dedup();
        let listed = |remark: Remark| Listed {
            kind: remark.kind,
            path: texts.path(remark.place.file),
            line: texts.line(remark.place.file, remark.place.start),
            end_line: texts.line(remark.place.file, remark.place.end),
            word: plain(&remark.word),
            message: plain(&remark.message),
            to_do: remark.to_do.map(|to_do| plain(&to_do)),
        };
        self.list.into_iter().map(listed).collect()
    }
}

/// A remark with the lines it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What became of it.
    pub kind: Kind,
    /// The file.
    pub path: PathBuf,
    /// Its first line, counted from 1.
    pub line: usize,
    /// Its last line.
    pub end_line: usize,
    /// The keyword, or the name, it is about.
    pub word: String,
    /// What is the matter.
    pub message: String,
    /// What to do.
    pub to_do: Option<String>,
}

impl Listed {
    /// The remark for programs.
    pub fn to_json(&self) -> Value {
        json!({
            "kind": self.kind.word(),
            "file": self.path,
            "line": self.line,
            "end_line": self.end_line,
            "word": self.word,
            "message": self.message,
            "to_do": self.to_do,
        })
    }
}

/// All remarks for people, each line beginning with `margin`; empty when there are none.
pub fn shown(list: &[Listed], margin: &str) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let mut of_kind = list.iter().filter(|listed| listed.kind == kind).peekable();
        if of_kind.peek().is_none() {
            continue;
        }
        let _ = writeln!(text, "{margin}{}:", kind.heading());
        for Listed { path, line, word, message, to_do, .. } in of_kind {
            let _ = writeln!(text, "{margin}  {}:{line}: {word}: {message}", shown_path(path));
            if let Some(to_do) = to_do {
                let _ = writeln!(text, "{margin}      to do: {to_do}");
            }
        }
    }
    text
}

fn shown_path(path: &Path) -> String {
    plain(&path.to_string_lossy())
}

/// Without letters that could end a line or move a cursor: a remark is also a comment of a file.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
