//! How `standin` says that it cannot do what was asked.
//!
//! A [`Failure`] carries what was wrong, what was expected, what to do about it, and the exit
//! status that tells scripts the same. It is made where the cause is known and printed once, by
//! `main`. It never holds a secret: whoever builds one from a URL redacts it first.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};

/// The exit statuses in use, with the numbers of BSD's `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// `EX_USAGE`: the command line is wrong.
    Usage = 64,
    /// `EX_NOHOST`: a host name is unknown.
    NoHost = 68,
    /// `EX_UNAVAILABLE`: something needed is not there (an interface, a running standin).
    Unavailable = 69,
    /// `EX_OSERR`: the kernel refused.
    OsError = 71,
    /// `EX_CANTCREAT`: a file or a socket cannot be made.
    CannotCreate = 73,
    /// `EX_IOERR`: what was to be said cannot be written.
    InputOutput = 74,
    /// `EX_TEMPFAIL`: it may work later (name service down, address in use by another run).
    TemporaryFailure = 75,
    /// `EX_NOPERM`: a capability is missing.
    NoPermission = 77,
    /// `EX_CONFIG`: the request does not fit this host.
    Config = 78,
}

impl Code {
    const ALL: [Self; 9] = [
        Self::Usage,
        Self::NoHost,
        Self::Unavailable,
        Self::OsError,
        Self::CannotCreate,
        Self::InputOutput,
        Self::TemporaryFailure,
        Self::NoPermission,
        Self::Config,
    ];

    /// The one with this number.
    pub fn of_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u64 == number)
    }
}

/// One failure: what was wrong, what was expected, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: Code,
    what: String,
    /// All of it, drawn over many lines.
    drawing: Option<String>,
    expected: Option<String>,
    advice: Vec<String>,
}

/// The result of everything that ends the program when it fails.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// A failure with its one-sentence cause.
    pub fn new(code: Code, what: impl Into<String>) -> Self {
        Self { code, what: what.into(), drawing: None, expected: None, advice: Vec::new() }
    }

    /// A wrong command line.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// A request that does not fit this host.
    pub fn config(what: impl Into<String>) -> Self {
        Self::new(Code::Config, what)
    }

    /// A refused system call: `operation` names it with its object, as in
    /// `open a packet socket on eth0`.
    pub fn os(operation: impl fmt::Display, error: &io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => Code::NoPermission,
            _ => Code::OsError,
        };
        Self::new(code, format!("cannot {operation}: {}", plain_io(error)))
    }

    /// Adds what is shown instead of the cause where there is room for many lines.
    #[must_use]
    pub fn drawn(mut self, drawing: impl Into<String>) -> Self {
        self.drawing = Some(drawing.into());
        self
    }

    /// Adds what would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a line on what to do.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice.push(advice.into());
        self
    }

    /// Puts what it is about before the cause.
    #[must_use]
    pub fn about(mut self, about: impl fmt::Display) -> Self {
        self.what = format!("{about}: {}", self.what);
        self
    }

    /// The same to somebody who wrote a file and no command line.
    #[must_use]
    pub fn in_words_of_the_file(mut self) -> Self {
        self.advice = self.advice.iter().map(|line| as_a_key(line)).collect();
        for flag in ["--ca-file ", "--server-name "] {
            self.what = self.what.replace(flag, flag.trim_start_matches('-'));
        }
        self
    }

    /// For a line of the log.
    pub fn in_one_line(&self) -> String {
        let expected = self.expected.iter().map(|text| format!("; expected: {text}"));
        let advice = self.advice.iter().map(|text| format!("; to do: {text}"));
        let rest: String = expected.chain(advice).collect();
        format!("{}{rest}", self.what).replace('\n', " ")
    }

    /// The exit status.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The failure for programs that asked for JSON: the keys are there whatever went wrong.
    pub fn to_json(&self) -> Value {
        json!({
            "ok": false,
            "error": self.what,
            "expected": self.expected,
            "to_do": self.advice,
            "exit_status": self.code as u8,
        })
    }

    /// The one-sentence cause.
    pub fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.drawing {
            Some(drawing) => write!(out, "{drawing}")?,
            None => write!(out, "{}", plain(&self.what))?,
        }
        if let Some(expected) = &self.expected {
            write!(out, "\n  expected: {}", plain(expected))?;
        }
        for line in &self.advice {
            write!(out, "\n  to do: {}", plain(line))?;
        }
        Ok(())
    }
}

/// Without characters that could move the cursor: a file's name may have them.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '?' } else { c }).collect()
}

impl Error for Failure {}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// An I/O error's sentence without Rust's `(os error 13)`, in lower case so that it can end a
/// sentence.
pub fn plain_io(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::from("unknown error"),
    }
}

/// A flag of the command line in the words of the file: `--interface eth0` as
/// `interface = "eth0"`.
fn as_a_key(line: &str) -> String {
    let Some((before, rest)) = line.split_once("--interface ") else { return line.to_owned() };
    let end = rest.find([' ', '?', ',']).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    format!("{before}interface = \"{name}\"{after}")
}

/// The candidate nearest to `word`, if one is near enough to have been meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 2)
        // Of very short words everything is near; one that shares no letter was not meant.
        .filter(|(distance, candidate)| {
            *distance < candidate.chars().count().max(word.chars().count())
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_wrong_what_was_expected_and_what_to_do() {
        let failure = Failure::usage("'5' has no unit").expected("a duration").advice("say '5s'");
        assert_eq!(
            failure.to_string(),
            "'5' has no unit\n  expected: a duration\n  to do: say '5s'"
        );
        assert_eq!(failure.in_one_line(), "'5' has no unit; expected: a duration; to do: say '5s'");
        assert!(failure.clone().drawn("5\n^").to_string().starts_with("5\n^\n  expected"));
        assert_eq!(failure.code() as u8, 64);
        let json = failure.to_json();
        assert_eq!((&json["ok"], &json["exit_status"]), (&json!(false), &json!(64)));
        assert_eq!(
            (&json["expected"], &json["to_do"]),
            (&json!("a duration"), &json!(["say '5s'"]))
        );
    }

    #[test]
    fn a_name_does_not_move_the_cursor_and_a_drawing_may_have_colours() {
        let failure = Failure::usage("no file \u{1b}[31mx\r").advice("see \u{7}x");
        assert_eq!(failure.to_string(), "no file ?[31mx?\n  to do: see ?x");
        assert!(failure.drawn("\u{1b}[31mx").to_string().starts_with("\u{1b}[31mx\n"));
    }

    #[test]
    fn who_wrote_a_file_is_advised_in_its_words() {
        let failure = Failure::config("narf").advice("did you mean --interface eth0?");
        let told = failure.in_words_of_the_file().to_string();
        assert_eq!(told, "narf\n  to do: did you mean interface = \"eth0\"?");
        let told = Failure::config("--ca-file /x: gone").in_words_of_the_file().to_string();
        assert_eq!(told, "ca-file /x: gone");
    }

    #[test]
    fn an_io_error_becomes_half_a_sentence() {
        let error = io::Error::from_raw_os_error(111);
        assert_eq!(plain_io(&error), "connection refused");
    }

    #[test]
    fn a_permission_error_has_its_own_exit_status() {
        let failure = Failure::os("open a packet socket", &io::Error::from_raw_os_error(1));
        assert_eq!(failure.code(), Code::NoPermission);
        assert_eq!(failure.what(), "cannot open a packet socket: operation not permitted");
    }

    #[test]
    fn the_nearest_word_is_suggested_only_when_it_is_near() {
        assert_eq!(nearest("eht0", ["lo", "eth0", "wlan0"]), Some("eth0"));
        assert_eq!(nearest("xyzzy", ["lo", "eth0"]), None);
        assert_eq!(nearest("ETH0", ["lo", "eth0"]), Some("eth0"));
        assert_eq!(nearest("c", ["a", "b"]), None);
        assert_eq!(nearest("", ["a", "b"]), None);
    }
}
