//! Reading typed values out of a parsed table, with a problem for everything that is not as it
//! should be.
//!
//! Owns what every table has in common: unknown keys, missing keys, wrong types. A reader gives
//! `None` where something is wrong; the problem is on the list by then, and the caller goes on, so
//! that one run names every problem of a file.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::keys::{self, Section};
use super::problem::{Problem, Problems, Span};
use crate::duration;
use crate::failure::nearest;

/// A value with its place.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    value: &'a Spanned<DeValue<'a>>,
}

/// A piece of text with its place.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The text.
    pub text: &'a str,
    at: &'a Spanned<DeValue<'a>>,
}

impl Text<'_> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        self.at.span()
    }
}

/// A table whose keys are known.
pub struct Table<'a> {
    entries: &'a DeTable<'a>,
    /// The place that stands for the table: its header or its key.
    pub span: Span,
    section: Section,
}

impl<'a> Table<'a> {
    /// Begins to read a table, and names each of its keys that is unknown.
    pub fn open(
        entries: &'a DeTable<'a>,
        span: Span,
        section: Section,
        problems: &mut Problems,
    ) -> Self {
        let table = Self { entries, span, section };
        for (key, _) in in_order(entries) {
            if !section.has(key.get_ref()) {
                problems.push(unknown(key.get_ref(), key.span(), section));
            }
        }
        table
    }

    /// A value, if the key is there.
    pub fn get(&self, key: &'static str) -> Option<Placed<'a>> {
        debug_assert!(self.section.has(key), "{key} is not listed");
        self.entries.get(key).map(|value| Placed { value })
    }

    /// The place of a key itself.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.entries.get_key_value(key).map(|(key, _)| key.span())
    }

    /// A value that has to be there.
    pub fn need(
        &self,
        key: &'static str,
        help: &str,
        problems: &mut Problems,
    ) -> Option<Placed<'a>> {
        let found = self.get(key);
        if found.is_none() {
            problems.push(
                Problem::error(
                    self.span.clone(),
                    format!("`{key}` is missing{}", self.section.inside()),
                )
                .help(help)
                .absence(),
            );
        }
        found
    }

    /// Text that is not empty.
    pub fn text(&self, key: &'static str, problems: &mut Problems) -> Option<Text<'a>> {
        self.get(key)?.text(problems)
    }

    /// A duration.
    pub fn duration(&self, key: &'static str, problems: &mut Problems) -> Option<(Duration, Span)> {
        self.get(key)?.duration(problems)
    }

    /// `true` or `false`.
    pub fn flag(&self, key: &'static str, problems: &mut Problems) -> Option<bool> {
        self.get(key)?.flag(problems)
    }
}

impl<'a> Placed<'a> {
    /// A value found elsewhere than in a [`Table`].
    pub fn new(value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { value }
    }

    /// Where it stands.
    pub fn span(self) -> Span {
        self.value.span()
    }

    /// The value itself.
    pub fn inner(self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    fn mismatch(self, expected: &str) -> Problem {
        let found = match self.inner() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a number with a point",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        Problem::error(self.span(), format!("expected {expected}, found {found}"))
            .label(format!("expected {expected}"))
    }

    /// Says that it should be something else.
    pub fn refuse(self, expected: &str, problems: &mut Problems) {
        problems.push(self.mismatch(expected));
    }

    /// Text that is not empty.
    pub fn text(self, problems: &mut Problems) -> Option<Text<'a>> {
        let problem = match self.inner() {
            DeValue::String(text) if text.trim().is_empty() => {
                Problem::error(self.span(), "the text is empty")
            }
            // Neither the kernel nor a program's argument can have one.
            DeValue::String(text) if text.contains('\0') => {
                Problem::error(self.span(), "the text has a zero byte")
            }
            DeValue::String(text) => return Some(Text { text, at: self.value }),
            DeValue::Integer(number) if number.radix() == 10 => {
                self.mismatch("text in quotes").help(format!("with quotes: \"{number}\""))
            }
            _ => self.mismatch("text in quotes"),
        };
        problems.push(problem);
        None
    }

    /// One text, or a list of them. A list has at least one entry.
    pub fn texts(self, what: &str, problems: &mut Problems) -> Vec<Text<'a>> {
        let DeValue::Array(list) = self.inner() else {
            if let DeValue::String(_) = self.inner() {
                return self.text(problems).into_iter().collect();
            }
            problems.push(self.mismatch(&format!("{what}, or a list of them")));
            return Vec::new();
        };
        if list.is_empty() {
            problems
                .push(Problem::error(self.span(), format!("the list is empty, expected {what}")));
        }
        entries(list).filter_map(|entry| entry.text(problems)).collect()
    }

    /// A duration.
    pub fn duration(self, problems: &mut Problems) -> Option<(Duration, Span)> {
        let DeValue::String(text) = self.inner() else {
            let help = match self.inner() {
                DeValue::Integer(number) => {
                    format!("a unit is needed: \"{number}s\" or \"{number}ms\"")
                }
                _ => "such as \"20ms\", \"1.5s\" or \"2m\"".to_owned(),
            };
            problems.push(self.mismatch("a duration in quotes").help(help));
            return None;
        };
        match duration::parse(text) {
            Ok(duration) => Some((duration, self.span())),
            Err(why) => {
                problems.push(
                    Problem::error(self.span(), format!("'{text}' is not a duration")).label(why),
                );
                None
            }
        }
    }

    /// `true` or `false`.
    pub fn flag(self, problems: &mut Problems) -> Option<bool> {
        if let DeValue::Boolean(flag) = self.inner() {
            return Some(*flag);
        }
        problems.push(self.mismatch("true or false"));
        None
    }

    /// A whole number in a range.
    pub fn number(self, range: RangeInclusive<u32>, problems: &mut Problems) -> Option<u32> {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        let DeValue::Integer(number) = self.inner() else {
            problems.push(self.mismatch(&expected));
            return None;
        };
        let read = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let inside = read.filter(|number| range.contains(number));
        if inside.is_none() {
            problems.push(
                Problem::error(self.span(), format!("{number} is out of range"))
                    .label(format!("expected {expected}")),
            );
        }
        inside
    }
}

/// The entries of a list.
pub fn entries<'a>(list: &'a DeArray<'a>) -> impl Iterator<Item = Placed<'a>> {
    list.iter().map(Placed::new)
}

/// The entries of a table in the order of the file; the parser keeps them by name.
pub fn in_order<'a>(
    table: &'a DeTable<'a>,
) -> Vec<(&'a Spanned<std::borrow::Cow<'a, str>>, Placed<'a>)> {
    let mut entries: Vec<_> = table.iter().map(|(key, value)| (key, Placed::new(value))).collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// One of a few words.
pub fn word<T: Copy>(text: Text<'_>, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == text.text);
    if found.is_none() {
        let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let mut problem = Problem::error(text.span(), format!("'{}' is not understood", text.text))
            .label(format!("expected {}", all.join(" or ")));
        if let Some(meant) = nearest(text.text, words.iter().map(|(word, _)| *word)) {
            problem = problem.help(format!("did you mean \"{meant}\"?"));
        }
        problems.push(problem);
    }
    found.map(|(_, value)| *value)
}

/// A key that this section does not have.
fn unknown(key: &str, span: Span, section: Section) -> Problem {
    let problem = Problem::error(span, format!("unknown key `{key}`{}", section.inside()));
    let help = if let Some(meant) = nearest(key, section.names()) {
        format!("did you mean `{meant}`?")
    } else if let Some(elsewhere) = keys::sections_with(key).first() {
        format!("`{key}` belongs {}", elsewhere.place())
    } else {
        format!("the keys here are {}", section.names().collect::<Vec<_>>().join(", "))
    };
    problem.label("unknown").help(help)
}
