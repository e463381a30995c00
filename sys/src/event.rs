//! Waking a loop from another thread.
//!
//! Owns an eventfd. It carries no data: what is to be done lies in a queue beside it, and any
//! number of notifications count as one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};

use crate::error::{Error, Result};
use crate::raw;

/// A flag that a poller can watch and any thread can raise. Clones are the same flag.
#[derive(Clone, Debug)]
pub struct Wakeup {
    fd: Arc<OwnedFd>,
}

impl Wakeup {
    /// A flag that is not raised.
    pub fn new() -> Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::new("create a wake-up", error))?;
        Ok(Self { fd: Arc::new(fd) })
    }

    /// Raises the flag. Never waits.
    pub fn notify(&self) -> Result<()> {
        let one = 1u64.to_ne_bytes();
        // Full means raised 2^64 - 2 times and never taken: it is raised.
        raw::unless_empty(|| Ok(rustix::io::write(&self.fd, &one)?))
            .map_err(|error| Error::new("wake the other thread", error))?;
        Ok(())
    }

    /// Lowers the flag; whether it was raised.
    pub fn take(&self) -> Result<bool> {
        let mut count = [0; 8];
        let read = raw::unless_empty(|| Ok(rustix::io::read(&self.fd, &mut count)?));
        Ok(read.map_err(|error| Error::new("read a wake-up", error))?.is_some())
    }
}

impl AsFd for Wakeup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
