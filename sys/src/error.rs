//! The one error of this crate: what was attempted, on what, and what the kernel answered.
//!
//! Owns the sentence a person reads: `add 10.0.0.1/32 to eth0: Operation not permitted`.
//! Never decides what to do about it.

use std::fmt;
use std::io;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An `io::Error` with the operation and its object, and the kernel's own words where it has some.
#[derive(Debug)]
pub struct Error {
    operation: String,
    source: io::Error,
    explanation: Option<String>,
}

impl Error {
    /// An error of `operation`, a phrase such as `add 10.0.0.1/32 to eth0`.
    pub fn new(operation: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self { operation: operation.into(), source: source.into(), explanation: None }
    }

    /// The error that `errno` of the calling thread describes.
    pub(crate) fn last(operation: impl Into<String>) -> Self {
        Self::new(operation, io::Error::last_os_error())
    }

    /// The error with this number of `errno.h`.
    pub(crate) fn from_errno(operation: impl Into<String>, errno: i32) -> Self {
        Self::new(operation, io::Error::from_raw_os_error(errno))
    }

    /// Adds a sentence that goes beyond the error number, such as netlink's extended
    /// acknowledgement.
    #[must_use]
    pub fn with_explanation(mut self, explanation: impl Into<String>) -> Self {
        self.explanation = Some(explanation.into());
        self
    }

    /// What was attempted, and on what.
    pub fn operation(&self) -> &str {
        &self.operation
    }

    /// What goes beyond the error number, where something does.
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    /// The number of `errno.h`, where the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }

    /// The error without its operation.
    pub fn io(&self) -> &io::Error {
        &self.source
    }

    /// The kind that std gives to the error.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }

    /// Whether a receive queue overflowed (`ENOBUFS`) and messages are lost: what is known about
    /// the kernel's state has to be read again.
    pub fn is_overrun(&self) -> bool {
        self.errno() == Some(libc::ENOBUFS)
    }

    /// Whether rights are missing (`EPERM`, `EACCES`).
    pub fn is_permission(&self) -> bool {
        self.kind() == io::ErrorKind::PermissionDenied
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // std appends ' (os error 1)', which tells a reader nothing that the text does not.
        let text = self.source.to_string();
        let plain = match (self.source.raw_os_error(), text.rfind(" (os error ")) {
            (Some(_), Some(end)) => &text[..end],
            _ => text.as_str(),
        };
        write!(f, "{}: {plain}", self.operation)?;
        match &self.explanation {
            Some(explanation) => write!(f, " ({explanation})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The display already holds the source's text; a chain would print it twice.
        None
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_a_sentence() {
        let error = Error::from_errno("add 10.0.0.1/32 to eth0", libc::EPERM);
        assert_eq!(error.to_string(), "add 10.0.0.1/32 to eth0: Operation not permitted");
        assert_eq!(error.errno(), Some(libc::EPERM));
        assert!(error.is_permission());
        assert!(!error.is_overrun());
    }

    #[test]
    fn keeps_the_kernels_own_words() {
        let error = Error::from_errno("create veth a", libc::EEXIST).with_explanation("taken");
        assert_eq!(error.to_string(), "create veth a: File exists (taken)");
        assert_eq!(error.explanation(), Some("taken"));
    }

    #[test]
    fn survives_the_way_through_std() {
        let error = io::Error::from(Error::from_errno("open it", libc::EACCES));
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(error.to_string(), "open it: Permission denied");
    }
}
