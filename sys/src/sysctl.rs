//! Kernel settings below `/proc/sys`.
//!
//! Owns their paths. `/proc/sys/net` shows the network namespace of the *reading thread*, so a
//! caller reads and writes from inside the namespace it means ([`crate::netns::NetNamespace::run`]).
//!
//! Invariant: a key never leaves `/proc/sys`.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// Reads a setting. The key is a path such as `net/ipv4/conf/eth0/arp_ignore`; slashes, because an
/// interface's name may hold dots.
pub fn read(key: &str) -> Result<String> {
    let failed = |error| Error::new(format!("read sysctl {key}"), error);
    let text = path(key).and_then(fs::read_to_string).map_err(failed)?;
    Ok(text.trim().to_owned())
}

/// Reads a setting that is a number.
pub fn read_number(key: &str) -> Result<i64> {
    let text = read(key)?;
    text.parse().map_err(|_| {
        let error = io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no number"));
        Error::new(format!("read sysctl {key}"), error)
    })
}

/// Writes a setting.
pub fn write(key: &str, value: &str) -> Result<()> {
    path(key)
        .and_then(|path| fs::write(path, value))
        .map_err(|error| Error::new(format!("set sysctl {key} to {value}"), error))
}

/// The key of a per-interface setting: `interface_key(4, "eth0", "arp_ignore")`.
pub fn interface_key(ip_version: u8, interface: &str, setting: &str) -> String {
    format!("net/ipv{ip_version}/conf/{interface}/{setting}")
}

fn path(key: &str) -> io::Result<PathBuf> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !key.split('/').all(plain) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(PathBuf::from("/proc/sys").join(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_below_proc_sys() {
        for key in ["", "/etc/passwd", "../etc", "net/../../etc", "net//ipv4", "net/./ipv4"] {
            assert_eq!(read(key).unwrap_err().errno(), Some(libc::EINVAL), "{key}");
        }
    }

    #[test]
    fn reads_numbers_and_names_what_is_missing() {
        assert!(read_number("kernel/pid_max").unwrap() > 0);
        let error = read("net/no-such-setting").unwrap_err();
        assert_eq!(error.to_string(), "read sysctl net/no-such-setting: No such file or directory");
        assert_eq!(interface_key(4, "eth0.5", "arp_ignore"), "net/ipv4/conf/eth0.5/arp_ignore");
    }
}
