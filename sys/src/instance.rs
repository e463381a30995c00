//! At most one of a kind per network namespace.
//!
//! Owns an abstract unix socket, bound and listening. The kernel lets a name be bound once per
//! network namespace and frees it when the process dies, however it dies: there is no file to
//! clean up and no stale lock. Listening is what lets another process learn who holds it.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::error::{Error, Result};
use crate::raw;

/// How many processes may ask who holds a lock; each leaves an unaccepted connection behind.
const QUESTIONS_MAX: i32 = 1024;

/// A lock on a name, held until it is dropped or the process ends.
#[derive(Debug)]
pub struct InstanceLock {
    fd: OwnedFd,
}

/// Why a lock could not be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process, or this one, holds it.
    Taken {
        /// The name.
        name: String,
        /// The holder, where it can be told: not in another process namespace.
        holder: Option<u32>,
    },
    /// Something else went wrong.
    Failed(Error),
}

impl std::fmt::Display for LockError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Taken { name, holder: Some(holder) } => {
                write!(f, "lock {name}: held by process {holder}")
            }
            Self::Taken { name, holder: None } => write!(f, "lock {name}: held by another process"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

impl InstanceLock {
    /// Locks a name of at most 107 bytes in the network namespace of the calling thread.
    pub fn acquire(name: &str) -> Result<Self, LockError> {
        let failed =
            |error: rustix::io::Errno| LockError::Failed(Error::new(format!("lock {name}"), error));
        let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).map_err(failed)?;
        let fd = socket(SocketFlags::CLOEXEC).map_err(failed)?;
        match rustix::net::bind(&fd, &address) {
            Err(rustix::io::Errno::ADDRINUSE) => {
                return Err(LockError::Taken { name: name.into(), holder: holder(&address) });
            }
            outcome => outcome.map_err(failed)?,
        }
        rustix::net::listen(&fd, QUESTIONS_MAX).map_err(failed)?;
        Ok(Self { fd })
    }
}

impl AsFd for InstanceLock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Who listens. Nobody ever accepts, so once the backlog is full this cannot be told any more.
fn holder(address: &SocketAddrUnix) -> Option<u32> {
    let fd = socket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK).ok()?;
    rustix::net::connect(&fd, address).ok()?;
    let credentials = peer_credentials(fd.as_fd()).ok()?;
    u32::try_from(credentials.pid).ok().filter(|&pid| pid != 0)
}

/// `SO_PEERCRED`: process 0 means one that our process namespace does not show.
fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut credentials = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into a live structure of that size.
    raw::check(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut length,
        )
    })?;
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_until_it_is_dropped() {
        let name = format!("standin-test-{}", std::process::id());
        let lock = InstanceLock::acquire(&name).unwrap();
        // However often somebody asks, the answer is the same.
        for _ in 0..20 {
            let error = InstanceLock::acquire(&name).unwrap_err();
            let LockError::Taken { holder, .. } = error else { panic!("{error}") };
            assert_eq!(holder, Some(std::process::id()));
        }
        drop(lock);
        InstanceLock::acquire(&name).unwrap();
    }

    #[test]
    fn a_name_that_is_too_long_is_refused() {
        let error = InstanceLock::acquire(&"x".repeat(200)).unwrap_err();
        assert!(matches!(error, LockError::Failed(_)));
    }
}
