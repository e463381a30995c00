//! The capabilities a command needs, asked for before anything is touched.

use std::path::PathBuf;

use standin_sys::capability::{Capabilities, Capability};

use crate::failure::{Code, Failure, Result};

/// Makes sure that `wanted` are in effect.
///
/// # Errors
/// Names what is missing and the lines that grant it.
pub fn require(wanted: &[Capability]) -> Result<()> {
    let effective = Capabilities::effective()
        .map_err(|error| Failure::new(Code::OsError, error.to_string()))?;
    let missing = effective.missing(wanted);
    if missing.is_empty() { Ok(()) } else { Err(lacking(&missing, wanted)) }
}

fn lacking(missing: &[Capability], wanted: &[Capability]) -> Failure {
    let names = |capabilities: &[Capability], separator: &str| {
        capabilities.iter().map(|one| one.name()).collect::<Vec<_>>().join(separator)
    };
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("standin"));
    let plural = if missing.len() > 1 { "capabilities" } else { "the capability" };
    Failure::new(
        Code::NoPermission,
        format!("{plural} {} missing", joined_with_verb(&names(missing, " and "), missing.len())),
    )
    .advice("run it as root, or once:")
    .advice(format!("sudo setcap {}+ep {}", names(wanted, ",").to_lowercase(), program.display()))
    .advice(format!("in a systemd unit: AmbientCapabilities={}", names(wanted, " ")))
}

fn joined_with_verb(names: &str, count: usize) -> String {
    format!("{names} {}", if count > 1 { "are" } else { "is" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_lines_that_grant_it() {
        let failure = lacking(&[Capability::NetRaw], &[Capability::NetAdmin, Capability::NetRaw]);
        let text = failure.to_string();
        assert!(text.starts_with("the capability CAP_NET_RAW is missing\n"), "{text}");
        assert!(text.contains("sudo setcap cap_net_admin,cap_net_raw+ep /"), "{text}");
        assert!(text.contains("AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW"), "{text}");
        assert_eq!(failure.code(), Code::NoPermission);
    }
}
