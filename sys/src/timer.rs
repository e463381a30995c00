//! A timer that a poller can watch: one absolute point on the boot clock.
//!
//! Owns a timerfd on `CLOCK_BOOTTIME`. It does not wake a suspended machine; it fires at once
//! when the machine wakes up past its time.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::error::{Error, Result};
use crate::raw;

/// A timer; readable for a poller when its time has come.
#[derive(Debug)]
pub struct Timer {
    fd: OwnedFd,
}

impl Timer {
    /// A timer that is not armed.
    pub fn new() -> Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let fd = timerfd_create(TimerfdClockId::Boottime, flags)
            .map_err(|error| Error::new("create a timer", error))?;
        Ok(Self { fd })
    }

    /// Fires once at this point of the boot clock, at once if it has passed.
    pub fn arm(&self, boottime_ns: u64) -> Result<()> {
        // All zero would disarm it.
        self.set(boottime_ns.max(1))
    }

    /// Never fires; also forgets that it has fired.
    pub fn disarm(&self) -> Result<()> {
        self.set(0)
    }

    fn set(&self, boottime_ns: u64) -> Result<()> {
        let point = Timespec {
            tv_sec: (boottime_ns / 1_000_000_000).cast_signed(),
            tv_nsec: (boottime_ns % 1_000_000_000).cast_signed(),
        };
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let time = Itimerspec { it_interval: once, it_value: point };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &time)
            .map_err(|error| Error::new("set a timer", error))?;
        Ok(())
    }

    /// Whether it has fired since it was armed or last asked.
    pub fn take_expiry(&self) -> Result<bool> {
        let mut count = [0; 8];
        let read = raw::unless_empty(|| Ok(rustix::io::read(&self.fd, &mut count)?));
        Ok(read.map_err(|error| Error::new("read a timer", error))?.is_some())
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
