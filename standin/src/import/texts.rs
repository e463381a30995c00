//! The texts that are read, the places in them, and how an error is drawn there.
//!
//! Owns every file's text, once, however often it is read. Never interprets it, but for what must
//! not be shown: the password of `authentication`, wherever it is written down.
//!
//! Invariant: what is drawn of a text has none of the letters of an `auth_pass`.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::file::{Problem, Source};

/// The keyword whose value is a secret.
pub const SECRET: &str = "auth_pass";
/// A configuration of ten thousand addresses takes less than a tenth of this.
const LARGEST_FILE_BYTES: u64 = 8 << 20;

/// Reads files, or what a test says they are.
pub trait Files {
    /// The text of a file.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// The names in a directory, in order; none when it cannot be read.
    fn names(&self, directory: &Path) -> Vec<String>;
}

/// The files of this host.
#[derive(Debug, Clone, Copy)]
pub struct RealFiles;

impl Files for RealFiles {
    fn read(&self, path: &Path) -> io::Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_FILE_BYTES {
            return Err(io::Error::other("it is larger than 8 MiB"));
        }
        // Comments may be in any character set, and some editors begin a file with a mark.
        let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    fn names(&self, directory: &Path) -> Vec<String> {
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }
}

/// One of the files that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileId(usize);

/// A range of bytes in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: usize,
    /// The byte behind the last one.
    pub end: usize,
}

impl Place {
    /// From the beginning of this place to the end of another, if both are in one file.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        if self.file == other.file { Self { end: other.end.max(self.end), ..self } } else { self }
    }
}

/// What makes a configuration useless, and where.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The file.
    pub file: FileId,
    /// What is wrong.
    pub problem: Box<Problem>,
}

impl Fault {
    /// An error at a place.
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        let problem = Box::new(Problem::error(place.start..place.end, message));
        Self { file: place.file, problem }
    }

    /// Adds what stands beside the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        *self.problem = self.problem.clone().label(label);
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        *self.problem = self.problem.clone().help(help);
        self
    }

    /// Adds another place, if it is in the same file.
    #[must_use]
    pub fn with(mut self, place: Place, label: impl Into<String>) -> Self {
        if place.file == self.file {
            *self.problem = self.problem.clone().with(place.start..place.end, label);
        }
        self
    }
}

/// Every text that was read.
#[derive(Debug, Default)]
pub struct Texts {
    list: Vec<Source>,
}

impl Texts {
    /// A file, read when it is asked for the first time.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn open(&mut self, path: &Path, files: &dyn Files) -> io::Result<FileId> {
        if let Some(known) = self.list.iter().position(|source| source.path == path) {
            return Ok(FileId(known));
        }
        let text = files.read(path)?;
        self.list.push(Source::new(path, text));
        Ok(FileId(self.list.len() - 1))
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        self.list.get(file.0).map_or("", |source| source.text.as_str())
    }

    /// Where a file was read.
    pub fn path(&self, file: FileId) -> PathBuf {
        self.list.get(file.0).map(|source| source.path.clone()).unwrap_or_default()
    }

    /// The line of a place, counted from 1.
    pub fn line(&self, file: FileId, at: usize) -> usize {
        self.list.get(file.0).map_or(1, |source| source.position(at).0)
    }

    /// A fault as it is shown to people: file, line, column, and a caret below the place.
    pub fn draw(&self, fault: &Fault, colour: bool) -> String {
        let text = self.without_secrets(fault.file);
        fault.problem.render(&Source::new(self.path(fault.file), text), colour)
    }

    /// The same as a sentence that says where.
    pub fn in_one_line(&self, fault: &Fault) -> String {
        let text = self.without_secrets(fault.file);
        fault.problem.in_one_line(&Source::new(self.path(fault.file), text))
    }

    /// A text with stars, byte for byte, where a password may be.
    fn without_secrets(&self, file: FileId) -> String {
        let names = self.secret_variables();
        let mut text = String::new();
        let mut goes_on = false;
        for line in self.text(file).split_inclusive('\n') {
            let is_secret = goes_on || defines(line).is_some_and(|name| names.contains(name));
            let keep = if is_secret {
                if goes_on { 0 } else { line.find('=').map_or(0, |at| at + 1) }
            } else {
                line.find(SECRET).map_or(line.len(), |at| at + SECRET.len())
            };
            text.push_str(&line[..keep]);
            text.extend(line[keep..].bytes().map(|byte| match byte {
                b'\n' | b'\r' | b' ' | b'\t' => char::from(byte),
                _ => '*',
            }));
            let content = line.trim_end();
            // A value on the line below belongs to it when this one goes on, or ends with the word.
            goes_on = (is_secret || keep < line.len()) && content.ends_with('\\')
                || content.ends_with(SECRET);
        }
        text
    }

    /// The variables that a password is made of, and all that sound like one.
    fn secret_variables(&self) -> BTreeSet<String> {
        let lines = || self.list.iter().flat_map(|source| source.text.lines());
        let sounds = |name: &str| {
            let name = name.to_ascii_lowercase();
            ["pass", "secret", "key", "auth", "pw"].iter().any(|word| name.contains(word))
        };
        let mut names: BTreeSet<String> =
            lines().filter_map(defines).filter(|name| sounds(name)).map(str::to_owned).collect();
        for line in lines().filter(|line| line.contains(SECRET)) {
            names.extend(uses(line));
        }
        loop {
            let before = names.len();
            let more: Vec<String> = lines()
                .filter(|line| defines(line).is_some_and(|name| names.contains(name)))
                .flat_map(uses)
                .collect();
            names.extend(more);
            if names.len() == before {
                return names;
            }
        }
    }
}

/// The name that a line gives a value to, perhaps on a condition.
fn defines(line: &str) -> Option<&str> {
    let dollar = line.find('$')?;
    let rest = &line[dollar + 1..];
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))?;
    (end > 0 && rest[end..].starts_with('=')).then(|| &rest[..end])
}

/// The variables that a line uses.
fn uses(line: &str) -> Vec<String> {
    let parts = line.split('$').skip(1);
    let names = parts.map(|part| {
        let part = part.strip_prefix('{').unwrap_or(part);
        let name = part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next();
        name.unwrap_or_default().to_owned()
    });
    names.filter(|name| !name.is_empty()).collect()
}
