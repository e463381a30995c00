//! The paths of an `include`: `*`, `?`, `[a-z]` and `{one,other}`, as glob(7) has them.
//!
//! Never opens a file; the names in a directory come through [`Files`].

use std::path::{Path, PathBuf};

use super::texts::Files;

/// More alternatives of braces than this are not tried.
const MOST_ALTERNATIVES: usize = 256;

/// What an `include` asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The paths, in order: those that matched, and those that were named without a wildcard.
    pub paths: Vec<PathBuf>,
    /// Whether it has a wildcard, so that it may match nothing.
    pub is_wild: bool,
}

/// Finds the files of a pattern; a relative one begins in `directory`.
pub fn find(pattern: &str, directory: &Path, files: &dyn Files) -> Found {
    let mut found = Found::default();
    for one in alternatives(pattern) {
        if !is_wild(&one) {
            found.paths.push(directory.join(&one));
            continue;
        }
        found.is_wild = true;
        found.paths.extend(matching(&one, directory, files));
    }
    found
}

fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn matching(pattern: &str, directory: &Path, files: &dyn Files) -> Vec<PathBuf> {
    let start = if pattern.starts_with('/') { PathBuf::from("/") } else { directory.to_owned() };
    let mut reached = vec![start];
    for part in pattern.split('/').filter(|part| !part.is_empty()) {
        reached = if is_wild(part) {
            let part: Vec<char> = part.chars().collect();
            let below = |path: &PathBuf| {
                let names = files.names(path).into_iter();
                let names = names.filter(|name| {
                    // A hidden file is matched by a dot only.
                    (!name.starts_with('.') || part[0] == '.')
                        && fits(&part, &name.chars().collect::<Vec<_>>())
                });
                names.map(|name| path.join(name)).collect::<Vec<_>>()
            };
            reached.iter().flat_map(below).collect()
        } else {
            reached.into_iter().map(|path| path.join(part)).collect()
        };
    }
    reached
}

/// Whether a name fits a pattern: greedy, with one place to go back to, so that the time is
/// bounded by the product of the lengths.
fn fits(pattern: &[char], name: &[char]) -> bool {
    let (mut at, mut in_name) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while in_name < name.len() {
        let step = match pattern.get(at) {
            Some('*') => {
                back = Some((at + 1, in_name));
                at += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[at..], name[in_name]),
            Some(letter) if *letter == name[in_name] => Some(1),
            _ => None,
        };
        match (step, back) {
            (Some(length), _) => {
                at += length;
                in_name += 1;
            }
            (None, Some((after_star, from))) => {
                back = Some((after_star, from + 1));
                (at, in_name) = (after_star, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// The length of the class that `pattern` begins with, if the letter is in it.
fn class(pattern: &[char], letter: char) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let first = if negated { 2 } else { 1 };
    // A bracket that comes first stands for itself.
    let length = pattern.iter().skip(first + 1).position(|c| *c == ']')?;
    let end = first + 1 + length;
    let members = &pattern[first..end];
    let mut is_in = false;
    let mut at = 0;
    while at < members.len() {
        if at + 2 < members.len() && members[at + 1] == '-' {
            is_in |= (members[at]..=members[at + 2]).contains(&letter);
            at += 3;
        } else {
            is_in |= members[at] == letter;
            at += 1;
        }
    }
    (is_in != negated).then_some(end + 1)
}

/// Every text that the braces stand for.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut done = Vec::new();
    let mut waiting = vec![pattern.to_owned()];
    while let Some(text) = waiting.pop() {
        match braces(&text) {
            Some((start, end)) if done.len() + waiting.len() < MOST_ALTERNATIVES => {
                let inner = top_level(&text[start + 1..end]);
                waiting.extend(
                    inner.iter().rev().map(|one| [&text[..start], one, &text[end + 1..]].concat()),
                );
            }
            _ => done.push(text),
        }
    }
    done
}

/// The first pair of braces with a comma between them.
fn braces(text: &str) -> Option<(usize, usize)> {
    let start = text.find('{')?;
    let mut depth = 0_u32;
    for (at, letter) in text[start..].char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return Some((start, start + at));
        }
    }
    None
}

/// Splits at the commas that are in no braces.
fn top_level(text: &str) -> Vec<&str> {
    let (mut depth, mut from) = (0_u32, 0);
    let mut parts = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(pattern: &str, name: &str) -> bool {
        fits(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>())
    }

    #[test]
    fn wildcards_fit_as_in_a_shell() {
        for (pattern, name) in [
            ("*.conf", "web.conf"),
            ("*", ""),
            ("a*b*c", "a-b-b-c"),
            ("v?_[0-9].conf", "vi_7.conf"),
            ("[!a]x", "bx"),
            ("[]]x", "]x"),
        ] {
            assert!(fit(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.conf", "web.conf~"),
            ("?", ""),
            ("[0-9]", "x"),
            ("[!a]x", "ax"),
            ("[open", "o"),
            ("a*b", "a-c"),
        ] {
            assert!(!fit(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(alternatives("a{b,c{d,}}e"), ["abe", "acde", "ace"]);
        assert_eq!(alternatives("{open"), ["{open"]);
        assert_eq!(alternatives("plain"), ["plain"]);
        assert!(alternatives(&"{a,b}".repeat(40)).len() <= 2 * MOST_ALTERNATIVES);
    }
}
