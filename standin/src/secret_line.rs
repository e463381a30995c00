//! A secret that is the first line of a file: a token, or what webhooks are signed with.
//!
//! Owns what such a file has to be like. Invariant: what is in it is never part of an error.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::failure::{Failure, Result, plain_io};
use crate::regular;

/// A shorter one can be guessed.
const LENGTH_MIN: usize = 16;
/// No file with a secret is longer, in bytes.
const FILE_LIMIT: u64 = 1 << 16;

/// Reads it. `key` is how the configuration calls the file, `what` how it calls the secret.
///
/// # Errors
/// The file cannot be read, everybody can read it, or its first line is no secret.
pub fn read(path: &Path, key: &str, what: &str) -> Result<Vec<u8>> {
    let shown = path.display();
    let bytes = regular::read(path, FILE_LIMIT).map_err(|error| {
        Failure::config(format!("cannot read {key} {shown}: {}", plain_io(&error)))
    })?;
    let mode = path.metadata().map_or(0, |file| file.permissions().mode());
    if mode & 0o007 != 0 {
        return Err(Failure::config(format!("{key} {shown}: everybody can read it"))
            .advice(format!("chmod 0600 {shown}")));
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    if line.len() < LENGTH_MIN || !line.iter().all(u8::is_ascii_graphic) {
        return Err(Failure::config(format!("{key} {shown}: its first line is no {what}"))
            .expected(format!("at least {LENGTH_MIN} letters, digits and signs"))
            .advice(format!("openssl rand -hex 32 > {shown}")));
    }
    Ok(line.to_vec())
}
