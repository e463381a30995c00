//! The tables of the configuration reference, written from [`Section::keys`].
//!
//! Owns the form of a table and the marks between which it stands in `docs/CONFIGURATION.md`.
//! Never touches what is outside of the marks.
//!
//! ```text
//! <!-- keys [timing] -->
//! | key | value | default | meaning |
//! …
//! <!-- end of keys -->
//! ```

use std::fmt::Write;

use super::keys::{Key, KeyDefault, Section};

const BEGIN: &str = "<!-- keys ";
const BEGIN_ENDS: &str = " -->";
const END: &str = "<!-- end of keys -->";
/// How the top, which has no header, is called in a mark.
const TOP: &str = "at the top";

/// A text with every table between marks as the program has it.
///
/// # Errors
/// A sentence: a mark is unknown, is not closed, or a section has no table or two.
pub fn updated(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut missing: Vec<Section> = Section::ALL.to_vec();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let _ = writeln!(out, "{line}");
        let mark = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(BEGIN_ENDS));
        let Some(mark) = mark else { continue };
        let place = missing
            .iter()
            .position(|section| mark_of(*section) == mark)
            .ok_or_else(|| format!("'{mark}' is no section of the file, or is there twice"))?;
        table(&mut out, missing.swap_remove(place));
        if !lines.by_ref().any(|line| line == END) {
            return Err(format!("the table of '{mark}' has no end: {END}"));
        }
        let _ = writeln!(out, "{END}");
    }
    match missing.first() {
        Some(section) => Err(format!("there is no {BEGIN}{}{BEGIN_ENDS}", mark_of(*section))),
        None => Ok(out),
    }
}

fn mark_of(section: Section) -> &'static str {
    if section == Section::Top { TOP } else { section.header() }
}

fn table(out: &mut String, section: Section) {
    out.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for Key { name, takes, default, meaning } in section.keys() {
        let default = match default {
            KeyDefault::Needed("") => "needed".to_owned(),
            KeyDefault::Needed(when) => format!("needed {when}"),
            KeyDefault::Unset(word) | KeyDefault::Derived(word, _) => (*word).to_owned(),
            KeyDefault::Value(value) => format!("`{value}`"),
        };
        let _ = writeln!(out, "| `{name}` | {takes} | {default} | {meaning} |");
    }
}
