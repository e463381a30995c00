//! The signature of what is sent: HMAC-SHA256 (RFC 2104) over the time and the body.
//!
//! ```text
//! Standin-Signature: t=1764265440,v1=5f2c…
//!
//! v1 = hex(HMAC-SHA256(secret, "1764265440" + "." + body))
//! ```
//!
//! The time is that of the attempt, so that a receiver can refuse what is old: what was overheard
//! cannot be played again later. Invariant: a secret is never shown.

use std::fmt::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::failure::Result;
use crate::secret_line;

/// The header that carries it.
pub const HEADER: &str = "standin-signature";

/// What events are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

impl Secret {
    /// The first line of a file.
    ///
    /// # Errors
    /// It cannot be read, everybody can read it, or what it says is no secret.
    pub fn read(path: &Path) -> Result<Self> {
        secret_line::read(path, "secret-file", "secret").map(Self)
    }
}

/// The value of the header for a body that is sent at `at`.
pub fn signature(secret: &Secret, at: SystemTime, body: &[u8]) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes keys of any length");
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    let mut value = format!("t={seconds},v1=");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(value, "{byte:02x}");
    }
    value
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_signature_is_that_of_the_documentation() {
        // docs/OPERATIONS.md verifies the same one with openssl.
        let secret = Secret(b"not-a-secret-but-an-example".to_vec());
        let at = UNIX_EPOCH + Duration::from_secs(1_795_340_161);
        let value = signature(&secret, at, br#"{"event":"take"}"#);
        let manual = include_str!("../../../docs/OPERATIONS.md");
        assert!(manual.contains(&value), "{value}");
        assert_eq!(format!("{secret:?}"), "Secret");
    }
}
