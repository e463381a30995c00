//! Signals as something to read, in place of handlers.
//!
//! Owns the blocking of the chosen signals and the descriptor they arrive at. Block them in the
//! first thread before any other starts: later threads inherit the mask, and a signal that one
//! thread leaves unblocked takes its default effect there. Children inherit it as well, and could
//! not be ended with `SIGTERM`: give them
//! [`with_default_signals`](crate::process::CommandExt::with_default_signals).

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::error::{Error, Result};
use crate::raw;

pub use libc::{SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGSTOP};
pub use libc::{SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};

/// A signal that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which one (`SIGTERM` …).
    pub signal: i32,
    /// The process that sent it; none where the kernel did, or a process we cannot see.
    pub sender: Option<u32>,
}

/// The chosen signals, blocked and readable. They stay blocked when it is dropped.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals in the calling thread and opens the descriptor they arrive at.
    pub fn block(signals: &[i32]) -> Result<Self> {
        let set = set_of(signals)?;
        // SAFETY: reads a live, initialised set; the old mask is not wanted.
        let error =
            unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if error != 0 {
            return Err(Error::from_errno("block signals", error));
        }
        let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
        // SAFETY: reads a live, initialised set; -1 asks for a new descriptor.
        let fd = raw::check(unsafe { libc::signalfd(-1, &raw const set, flags) })
            .map_err(|error| Error::new("open a signal descriptor", error))?;
        // SAFETY: the kernel has just given us this descriptor and nothing else owns it.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The next signal, none when there is none yet.
    pub fn take(&self) -> Result<Option<Received>> {
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        let read = raw::unless_empty(|| Ok(rustix::io::read(&self.fd, &mut bytes)?))
            .map_err(|error| Error::new("read a signal", error))?;
        if read != Some(bytes.len()) {
            return Ok(None);
        }
        // SAFETY: the kernel filled the whole structure, which is plain numbers.
        let info: libc::signalfd_siginfo =
            unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast()) };
        let sender = Some(info.ssi_pid).filter(|&sender| sender != 0);
        Ok(Some(Received { signal: info.ssi_signo.cast_signed(), sender }))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn set_of(signals: &[i32]) -> Result<libc::sigset_t> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set it is given.
    let mut set: libc::sigset_t = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    };
    for &signal in signals {
        // SAFETY: the set is initialised; a number that is no signal is refused.
        raw::check(unsafe { libc::sigaddset(&raw mut set, signal) })
            .map_err(|error| Error::new(format!("block signal {signal}"), error))?;
    }
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::CommandExt;

    #[test]
    fn a_blocked_signal_is_read_with_its_sender() {
        // In a thread of its own: the mask is the thread's, and the signal is sent to it alone.
        std::thread::spawn(|| {
            let signals = Signals::block(&[SIGUSR1]).unwrap();
            assert_eq!(signals.take().unwrap(), None);
            // SAFETY: the thread is the calling one, alive, and has the signal blocked.
            assert_eq!(unsafe { libc::pthread_kill(libc::pthread_self(), SIGUSR1) }, 0);
            let received = signals.take().unwrap().unwrap();
            assert_eq!(received, Received { signal: SIGUSR1, sender: Some(std::process::id()) });
            assert_eq!(signals.take().unwrap(), None);
            // A child inherits the mask, unless it is told not to.
            let mut grep = std::process::Command::new("grep");
            grep.args(["-q", "^SigBlk:\\s*0*$", "/proc/self/status"]);
            assert!(!grep.status().unwrap().success());
            assert!(grep.with_default_signals().status().unwrap().success());
            // So it does what this process ignores; the bit of SIGHUP is the last.
            // SAFETY: nobody sends this program SIGHUP, and it has no handler for it.
            assert_ne!(unsafe { libc::signal(SIGHUP, libc::SIG_IGN) }, libc::SIG_ERR);
            let mut grep = std::process::Command::new("grep");
            grep.args(["-q", "^SigIgn:.*[02468ace]$", "/proc/self/status"]);
            assert!(!grep.status().unwrap().success());
            assert!(grep.with_default_signals().status().unwrap().success());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        let error = Signals::block(&[4711]).unwrap_err();
        assert_eq!(error.to_string(), "block signal 4711: Invalid argument");
    }
}
