//! From a file to the lines that keepalived would read: comments, continued lines, `@id`
//! conditions, `$VAR=` definitions, `~SEQ` and `~LST`, `include`.
//!
//! Every letter keeps the place it came from; one that came out of a variable has the place where
//! the variable is used. Never interprets a keyword but `include`.
//!
//! ```text
//! text ─► logical line ─► @id ─► $A=… ─► include ─► ~SEQ ─► $A ─┬─► words ─► Line
//!                          ▲                                    │
//!                          └───────────── once more ◄───────────┘
//! ```
//!
//! Invariant: it ends. Each step is paid for from a budget, so a definition that contains itself,
//! or a sequence of sequences, is an error and not a long wait.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::glob;
use super::remarks::{Kind, Remark, Remarks};
use super::texts::{Fault, FileId, Files, Place, SECRET, Texts};
use super::words::{self, Glyph, Word};

/// Letters that may be looked at in all; ten thousand addresses take a third.
const BUDGET: usize = 2 << 20;
/// Definitions within definitions.
const DEEPEST: usize = 64;
/// Files within files.
const DEEPEST_INCLUDE: usize = 16;
/// Replacements in one line.
const MOST_REPLACEMENTS: usize = 1000;
/// The ways to say `include`, and whether a file that is not there is an error.
const INCLUDES: [(&str, bool); 6] = [
    ("include", false),
    ("includer", false),
    ("includem", true),
    ("includew", true),
    ("includeb", true),
    ("includea", true),
];

/// A line of words, after everything was replaced.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its words; at least one.
    pub words: Vec<Word>,
}

/// What became of a file and all that it includes.
#[derive(Debug, Default)]
pub struct Expanded {
    /// The lines, in order.
    pub lines: Vec<Line>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// The names that conditions ask for, in order.
    pub ids: Vec<String>,
    /// The first condition.
    pub first_condition: Option<Place>,
}

/// Reads a file as the node with the configuration id `id` would.
///
/// # Errors
/// The first file cannot be read.
pub fn expand(
    path: &Path,
    id: &str,
    texts: &mut Texts,
    files: &dyn Files,
    remarks: &mut Remarks,
) -> std::io::Result<Expanded> {
    let file = texts.open(path, files)?;
    let mut expander = Expander {
        id,
        texts,
        files,
        remarks,
        variables: BTreeMap::new(),
        budget: BUDGET,
        is_stopped: false,
        open: Vec::new(),
        out: Expanded::default(),
    };
    expander.file(file);
    Ok(expander.out)
}

struct Expander<'a> {
    id: &'a str,
    texts: &'a mut Texts,
    files: &'a dyn Files,
    remarks: &'a mut Remarks,
    /// What each stands for; a line feed where its definition had several lines.
    variables: BTreeMap<String, String>,
    budget: usize,
    is_stopped: bool,
    /// The files that are being read.
    open: Vec<FileId>,
    out: Expanded,
}

impl Expander<'_> {
    fn file(&mut self, file: FileId) {
        self.open.push(file);
        let text = self.texts.text(file).to_owned();
        for logical in words::logical_lines(&text) {
            if self.is_stopped {
                break;
            }
            self.logical(file, logical);
        }
        self.open.pop();
    }

    /// A line with those that it goes on with. A definition keeps them apart.
    fn logical(&mut self, file: FileId, physical: Vec<Vec<Glyph>>) {
        let mut rest = physical.into_iter();
        let Some(mut first) = rest.next() else { return };
        if !self.condition(file, &mut first) {
            return;
        }
        if let Some((name, value)) = definition(&first) {
            let mut text: String = first[value..].iter().map(|glyph| glyph.letter).collect();
            for line in rest {
                text.push('\n');
                text.extend(line.iter().map(|glyph| glyph.letter));
            }
            self.variables.insert(name, text);
            return;
        }
        for line in rest {
            let at = line.first().map_or(0, |glyph| glyph.start);
            first.push(Glyph { letter: ' ', start: at, end: at });
            first.extend(line);
        }
        self.line(file, first, 0);
    }

    /// Takes `@id` off a line; false when the line is for another node.
    fn condition(&mut self, file: FileId, line: &mut Vec<Glyph>) -> bool {
        loop {
            trim(line);
            if line.first().is_none_or(|glyph| glyph.letter != '@') {
                return true;
            }
            let end = line.iter().position(|glyph| glyph.letter.is_whitespace());
            let end = end.unwrap_or(line.len());
            let place = place(file, &line[..end]);
            let name: String = line[1..end].iter().map(|glyph| glyph.letter).collect();
            let (name, negated) = match name.strip_prefix('^') {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            if !self.out.ids.iter().any(|known| known == name) {
                self.out.ids.push(name.to_owned());
            }
            self.out.first_condition.get_or_insert(place);
            if (name == self.id) == negated {
                return false;
            }
            line.drain(..end);
        }
    }

    /// One line, until nothing in it can be replaced.
    fn line(&mut self, file: FileId, mut line: Vec<Glyph>, depth: usize) {
        for _ in 0..MOST_REPLACEMENTS {
            if !self.condition(file, &mut line) || line.is_empty() || self.is_stopped {
                return;
            }
            if !self.pay(file, &line, depth) {
                return;
            }
            if let Some((name, value)) = definition(&line) {
                let value = line[value..].iter().map(|glyph| glyph.letter).collect();
                self.variables.insert(name, value);
                return;
            }
            let used = self.first_use(file, &line);
            if line[0].letter == '~' {
                let end = line.iter().position(|glyph| glyph.letter == ')').unwrap_or(0);
                if used.as_ref().is_none_or(|used| used.start > end) {
                    self.sequence(file, &line, depth);
                    return;
                }
            }
            let Some(used) = used else {
                self.emit(file, &line);
                return;
            };
            line = match self.replace(file, &line, &used, depth) {
                Some(line) => line,
                None => return,
            };
        }
        self.stop(Fault::new(place(file, &line), "a definition that contains itself"));
    }

    fn pay(&mut self, file: FileId, line: &[Glyph], depth: usize) -> bool {
        let cost = line.len() + 1;
        if depth > DEEPEST {
            self.stop(Fault::new(place(file, line), "a definition that contains itself"));
        } else if cost > self.budget {
            self.stop(
                Fault::new(place(file, line), "the definitions and sequences make too much of it")
                    .label("2 million letters are reached here"),
            );
        } else {
            self.budget -= cost;
            return true;
        }
        false
    }

    fn stop(&mut self, fault: Fault) {
        self.out.faults.push(fault);
        self.is_stopped = true;
    }

    /// Puts the value in; none when it had several lines, which are then read one by one.
    fn replace(
        &mut self,
        file: FileId,
        line: &[Glyph],
        used: &Use,
        depth: usize,
    ) -> Option<Vec<Glyph>> {
        let (start, end) = (line[used.start].start, line[used.end - 1].end);
        let mut parts: Vec<Vec<Glyph>> = vec![line[..used.start].to_vec()];
        for letter in used.value.chars() {
            match (letter, parts.last_mut()) {
                ('\n', _) | (_, None) => parts.push(Vec::new()),
                (letter, Some(part)) => part.push(Glyph { letter, start, end }),
            }
        }
        if let Some(part) = parts.last_mut() {
            part.extend_from_slice(&line[used.end..]);
        }
        if parts.len() == 1 {
            return parts.pop();
        }
        for part in parts {
            self.line(file, part, depth + 1);
        }
        None
    }

    fn first_use(&self, file: FileId, line: &[Glyph]) -> Option<Use> {
        let mut at = 0;
        while let Some(found) = line[at..].iter().position(|glyph| glyph.letter == '$') {
            let start = at + found;
            at = start + 1;
            let braced = line.get(at).is_some_and(|glyph| glyph.letter == '{');
            let from = at + usize::from(braced);
            let is_name =
                |glyph: &&Glyph| glyph.letter.is_ascii_alphanumeric() || glyph.letter == '_';
            let length = line[from..].iter().take_while(is_name).count();
            let end = from + length;
            let next = line.get(end).map(|glyph| glyph.letter);
            let is_closed =
                if braced { next == Some('}') } else { next.is_none_or(char::is_whitespace) };
            if length == 0 || !is_closed {
                continue;
            }
            let name: String = line[from..end].iter().map(|glyph| glyph.letter).collect();
            if let Some(value) = self.value(file, &name) {
                return Some(Use { start, end: end + usize::from(braced), value });
            }
        }
        None
    }

    fn value(&self, file: FileId, name: &str) -> Option<String> {
        if let Some(value) = self.variables.get(name) {
            return Some(value.clone());
        }
        match name {
            "_PWD" => {
                let directory = directory_of(&self.texts.path(file));
                let directory = std::path::absolute(&directory).unwrap_or(directory);
                Some(directory.to_string_lossy().into_owned())
            }
            "_INSTANCE" => Some(self.id.to_owned()),
            "_HASH" => Some("#".to_owned()),
            "_BANG" => Some("!".to_owned()),
            _ => None,
        }
    }

    /// `~SEQ(var, start, step, end) rest` or `~LST(var, one, two) rest`.
    fn sequence(&mut self, file: FileId, line: &[Glyph], depth: usize) {
        let text: String = line.iter().map(|glyph| glyph.letter).collect();
        let (turns, rest) = match super::sequence::read(&text) {
            Ok(found) => found,
            Err(why) => {
                let end = line.iter().position(|glyph| glyph.letter == ')');
                let end = end.map_or(line.len(), |end| end + 1);
                let fault = Fault::new(place(file, &line[..end]), "a sequence that cannot be read");
                self.out.faults.push(fault.label(why));
                return;
            }
        };
        let rest = &line[rest.min(line.len())..];
        // Each turn costs, be there anything behind it or not.
        self.budget = self.budget.saturating_sub(turns.len());
        for turn in turns {
            if self.is_stopped {
                return;
            }
            for (name, value) in turn {
                self.variables.insert(name, value);
            }
            self.line(file, rest.to_vec(), depth + 1);
        }
    }

    fn emit(&mut self, file: FileId, line: &[Glyph]) {
        let words = match words::split(file, line) {
            Ok(words) => without_secret(words),
            Err(fault) => {
                self.out.faults.push(fault);
                return;
            }
        };
        let Some(first) = words.first() else { return };
        let include = INCLUDES.iter().find(|(word, _)| first.is(word));
        match include {
            Some((_, is_needed)) => self.include(file, &words, *is_needed),
            None => self.out.lines.push(Line { words }),
        }
    }

    fn include(&mut self, file: FileId, words: &[Word], is_needed: bool) {
        let Some(pattern) = words.get(1) else {
            let fault = Fault::new(words[0].place, "an include without a file");
            self.out.faults.push(fault.label("expected a path, which may have wildcards"));
            return;
        };
        let directory = directory_of(&self.texts.path(file));
        let found = glob::find(&pattern.text, &directory, self.files);
        let place = words[0].place.to(pattern.place);
        if found.paths.is_empty() {
            let message = format!("no file matches '{}'", pattern.text);
            if is_needed {
                self.out.faults.push(Fault::new(pattern.place, message));
            } else {
                self.remarks.push(Remark::new(Kind::Left, place, "include", message));
            }
        }
        for path in found.paths {
            self.include_one(&path, place, is_needed);
        }
    }

    fn include_one(&mut self, path: &Path, place: Place, is_needed: bool) {
        let shown = path.display();
        match self.texts.open(path, self.files) {
            Ok(file) if self.open.contains(&file) || self.open.len() >= DEEPEST_INCLUDE => {
                self.stop(Fault::new(place, format!("{shown} includes itself")));
            }
            Ok(file) => self.file(file),
            Err(error) => {
                let message =
                    format!("{shown} cannot be read: {}", crate::failure::plain_io(&error));
                if is_needed {
                    self.out.faults.push(Fault::new(place, message));
                } else {
                    let remark = Remark::new(Kind::Left, place, "include", message);
                    self.remarks
                        .push(remark.advise("run the import where the file is, if it matters"));
                }
            }
        }
    }
}

/// Takes a password out before anybody can look at it; what is left is the keyword.
fn without_secret(mut words: Vec<Word>) -> Vec<Word> {
    let Some(at) = words.iter().position(|word| word.text == SECRET) else { return words };
    let behind = words.split_off(at + 1);
    words.extend(behind.into_iter().filter(|word| word.is("{") || word.is("}")));
    words
}

/// A variable in a line.
struct Use {
    start: usize,
    end: usize,
    value: String,
}

fn directory_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).to_owned()
}

fn trim(line: &mut Vec<Glyph>) {
    let blank = line.iter().take_while(|glyph| glyph.letter.is_whitespace()).count();
    line.drain(..blank);
}

fn place(file: FileId, line: &[Glyph]) -> Place {
    let start = line.first().map_or(0, |glyph| glyph.start);
    let end = line.iter().map(|glyph| glyph.end).max().unwrap_or(start);
    Place { file, start, end }
}

/// The name that a line defines, and where its value begins.
fn definition(line: &[Glyph]) -> Option<(String, usize)> {
    if line.first()?.letter != '$' {
        return None;
    }
    let is_name = |glyph: &&Glyph| glyph.letter.is_ascii_alphanumeric() || glyph.letter == '_';
    let length = line[1..].iter().take_while(is_name).count();
    let is_defined = length > 0 && line.get(length + 1)?.letter == '=';
    let name = line[1..=length].iter().map(|glyph| glyph.letter).collect();
    is_defined.then_some((name, length + 2))
}
