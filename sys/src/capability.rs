//! Which of the rights standin needs this thread has.
//!
//! Owns their names and numbers (capabilities(7)). Never asks for more and never gives any up.

use std::fmt;
use std::fs;
use std::io;

use crate::error::{Error, Result};

/// A right that some operation of standin needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Adding and removing addresses, changing interfaces.
    NetAdmin,
    /// Packet sockets and raw ICMP: asking, announcing, probing.
    NetRaw,
    /// Locking memory, so that a takeover never waits for the disk.
    IpcLock,
    /// Real-time scheduling.
    SysNice,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NetAdmin, Self::NetRaw, Self::IpcLock, Self::SysNice];

    /// The name that `setcap` and systemd's `AmbientCapabilities=` use.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::IpcLock => "CAP_IPC_LOCK",
            Self::SysNice => "CAP_SYS_NICE",
        }
    }

    fn bit(self) -> u32 {
        match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::IpcLock => 14,
            Self::SysNice => 23,
        }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rights in effect for a thread. In a user namespace they count for that namespace only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    bits: u64,
}

impl Capabilities {
    /// The rights in effect for the calling thread.
    pub fn effective() -> Result<Self> {
        let bits = effective_bits()
            .map_err(|error| Error::new("read the thread's capabilities", error))?;
        Ok(Self { bits })
    }

    /// Whether one is in effect.
    pub fn has(self, capability: Capability) -> bool {
        self.bits >> capability.bit() & 1 == 1
    }

    /// Which of those wanted are not in effect.
    pub fn missing(self, wanted: &[Capability]) -> Vec<Capability> {
        wanted.iter().copied().filter(|&capability| !self.has(capability)).collect()
    }
}

/// `CapEff` of the calling thread.
pub(crate) fn effective_bits() -> io::Result<u64> {
    parse(&fs::read_to_string("/proc/thread-self/status")?)
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG))
}

fn parse(status: &str) -> Option<u64> {
    let text = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(text.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_kernels_form() {
        let bits = parse("Name:\tx\nCapPrm:\t0\nCapEff:\t0000000000003000\nCapBnd:\tff\n").unwrap();
        let found = Capabilities { bits };
        assert!(found.has(Capability::NetAdmin) && found.has(Capability::NetRaw));
        assert_eq!(found.missing(&Capability::ALL), [Capability::IpcLock, Capability::SysNice],);
        assert_eq!(Capability::SysNice.to_string(), "CAP_SYS_NICE");
        assert_eq!(parse("CapEff:\tzz\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn reads_our_own() {
        Capabilities::effective().unwrap();
    }
}
