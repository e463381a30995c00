//! Files that a run reads, and reads again: only regular ones.
//!
//! Owns the one way in which a daemon opens what it is given by name. A pipe would be waited for
//! until somebody writes, which holds up a reload and every one after it, and it says nothing the
//! second time. Invariant: reading ends by itself, and no more than the limit is kept.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The first `limit` bytes of a regular file.
///
/// # Errors
/// It cannot be read, or is something else: a directory, a pipe, a device.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !found.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_and_never_waited_for() {
        let refused = |path: &Path| read(path, 10).expect_err("refused").to_string();
        // A socket of ours would do as well: whatever has no end is not opened at all.
        assert_eq!(refused(Path::new("/dev/zero")), "it is no regular file");
        assert_eq!(refused(Path::new("/")), "is a directory");
        assert_eq!(read(Path::new("/proc/self/comm"), 2).expect("a file").len(), 2);
    }
}
