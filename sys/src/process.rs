//! Children and their end: where they start, and that none outlives its reason to run.
//!
//! Owns parent-death signals, process groups and process descriptors. Never waits for a child;
//! `std::process::Child` does.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::confine;
use crate::error::{Error, Result};
use crate::netns::{self, NetNamespace};
use crate::raw;

/// Has this process, and what it starts, open so many files if it may; how many they are then.
pub fn allow_open_files(wanted: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = wanted.min(maximum.unwrap_or(u64::MAX));
    if current.is_some_and(|current| current < raised)
        && setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).is_ok()
    {
        return raised;
    }
    current.unwrap_or(u64::MAX)
}

/// The user as whom this process acts. The owner of `/proc/self` is another one where nobody may look
/// into the process.
pub fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// How many files this process may have open.
pub fn open_files_most() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Where a command runs, when it dies, and which signals reach it.
pub trait CommandExt {
    /// The child starts inside a network namespace.
    fn in_namespace(&mut self, namespace: &NetNamespace) -> &mut Command;

    /// The kernel kills the child (`SIGKILL`) when the *thread* that starts it ends, however it
    /// ends. Start it from a thread that lives as long as the child shall.
    fn die_with_parent(&mut self) -> &mut Command;

    /// The child starts with no signal blocked and none of those that end a program ignored, whatever
    /// this process has blocked for itself, or was told to ignore: a shell has what it starts in the
    /// background ignore `SIGINT`.
    fn with_default_signals(&mut self) -> &mut Command;

    /// The child, and whatever it starts, gets no socket to nftables, as on a kernel that has none.
    /// For tests of that.
    fn without_nftables(&mut self) -> &mut Command;
}

impl CommandExt for Command {
    fn in_namespace(&mut self, namespace: &NetNamespace) -> &mut Command {
        let namespace = namespace.clone();
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe { self.pre_exec(move || netns::enter(namespace.as_fd().as_raw_fd())) }
    }

    fn die_with_parent(&mut self) -> &mut Command {
        let parent = std::process::id().cast_signed();
        let prepare = move || {
            death_signal(libc::SIGKILL)?;
            // The parent may have died before the request was made. In a new process namespace
            // its number reads 0.
            // SAFETY: getppid(2) takes nothing and cannot fail.
            let now = unsafe { libc::getppid() };
            if now == parent || now == 0 {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        };
        // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
        unsafe { self.pre_exec(prepare) }
    }

    fn with_default_signals(&mut self) -> &mut Command {
        let prepare = || {
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            // SAFETY: sigemptyset(3) initialises the set before pthread_sigmask(3) reads it.
            let error = unsafe {
                libc::sigemptyset(none.as_mut_ptr());
                libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
            };
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
                // SAFETY: the default needs no handler, and a child has no other thread.
                if unsafe { libc::signal(signal, libc::SIG_DFL) } == libc::SIG_ERR {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes system calls and allocates nothing.
        unsafe { self.pre_exec(prepare) }
    }

    fn without_nftables(&mut self) -> &mut Command {
        let filter = confine::without_nftables();
        let prepare = move || {
            let filter = filter.as_ref().map_err(|_| io::Error::from_raw_os_error(libc::ENOSYS))?;
            confine::install(filter)
        };
        // SAFETY: between fork and exec the closure makes system calls and allocates nothing.
        unsafe { self.pre_exec(prepare) }
    }
}

fn death_signal(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: this form of prctl(2) takes numbers only.
    raw::check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) }).map(drop)
}

/// The kernel sends this process `signal` when the thread that started it ends; 0: never.
pub fn set_parent_death_signal(signal: i32) -> Result<()> {
    death_signal(signal).map_err(|error| Error::new("ask for a parent-death signal", error))
}

/// Sends a signal to every process of a group. `ESRCH` when there is none left.
pub fn kill_process_group(group: u32, signal: i32) -> Result<()> {
    let operation = || format!("send signal {signal} to process group {group}");
    let id = group.cast_signed();
    // 0 and 1 would mean our own group and 'everybody'.
    if id <= 1 {
        return Err(Error::from_errno(operation(), libc::EINVAL));
    }
    // SAFETY: kill(2) takes numbers only.
    raw::check(unsafe { libc::kill(-id, signal) })
        .map_err(|error| Error::new(operation(), error))?;
    Ok(())
}

/// A descriptor of a process: it becomes readable when the process ends, and signals sent through
/// it never hit another process that got the same number later.
#[derive(Debug)]
pub struct ProcessHandle {
    fd: OwnedFd,
    id: u32,
}

impl ProcessHandle {
    /// Opens a process by its number; a child that was not waited for keeps its number.
    pub fn open(id: u32) -> Result<Self> {
        let fd = Pid::from_raw(id.cast_signed())
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|pid| Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
            .map_err(|error| Error::new(format!("open process {id}"), error))?;
        Ok(Self { fd, id })
    }

    /// Sends a signal. `ESRCH` when the process has ended.
    pub fn send_signal(&self, signal: i32) -> Result<()> {
        Signal::from_named_raw(signal)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))
            .and_then(|signal| Ok(rustix::process::pidfd_send_signal(&self.fd, signal)?))
            .map_err(|error| Error::new(format!("send signal {signal} to {}", self.id), error))
    }
}

impl AsFd for ProcessHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// This host's name, also where `/proc/sys` is hidden; empty where it is no text.
pub fn hostname() -> String {
    // HOST_NAME_MAX is 64; the last byte stays zero.
    let mut name = [0_u8; 256];
    // SAFETY: the kernel writes at most the 255 bytes that it is told of.
    let result = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    if result != 0 {
        return String::new();
    }
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    String::from_utf8(name[..end].to_vec()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn never_signals_everybody() {
        for group in [0, 1, u32::MAX] {
            let error = kill_process_group(group, libc::SIGTERM).unwrap_err();
            assert_eq!(error.errno(), Some(libc::EINVAL), "{group}");
        }
    }

    #[test]
    fn a_group_dies_as_one() {
        let mut child =
            Command::new("sh").args(["-c", "sleep 60 & wait"]).process_group(0).spawn().unwrap();
        let handle = ProcessHandle::open(child.id()).unwrap();
        kill_process_group(child.id(), libc::SIGKILL).unwrap();
        assert!(!child.wait().unwrap().success());
        assert_eq!(handle.send_signal(libc::SIGTERM).unwrap_err().errno(), Some(libc::ESRCH));
    }

    #[test]
    fn a_child_dies_with_the_thread_that_started_it() {
        let mut child = std::thread::spawn(|| {
            Command::new("sleep").arg("60").die_with_parent().spawn().unwrap()
        })
        .join()
        .unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
}
