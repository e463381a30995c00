//! A program of the administrator's, of a check or a hook: how it starts, and that nothing of it
//! stays.
//!
//! Owns what it must not inherit: the service manager's address, for it would speak for us, and the
//! signals that the fast loop has blocked, without which `timeout(1)` inside it could end nothing.
//! Invariant: as long as its leader is not reaped, dropping a [`Group`] kills everything in it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::process::{ExitStatus, Stdio};

use standin_sys::process::{CommandExt, ProcessHandle, kill_process_group};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};

use crate::slow::service::ENVIRONMENT;

/// Ends a process that cannot object.
const SIGKILL: i32 = 9;

/// Starts a program as the leader of a process group of its own, without input.
///
/// # Errors
/// As of [`std::process::Command::spawn`].
pub(crate) fn start(
    program: impl AsRef<OsStr>,
    arguments: &[String],
    environment: impl IntoIterator<Item = (&'static str, String)>,
    output: fn() -> Stdio,
) -> io::Result<(Child, Group)> {
    let mut command = std::process::Command::new(program);
    for name in ENVIRONMENT {
        command.env_remove(name);
    }
    command
        .args(arguments)
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .with_default_signals();
    let child = Command::from(command).process_group(0).kill_on_drop(true).spawn()?;
    let group = Group(child.id());
    Ok((child, group))
}

/// Waits until the leader has ended by itself, and kills what it left of its group: nobody knows of
/// that, and of a check that leaves something each time there would soon be no room for more.
///
/// # Errors
/// As of [`Child::wait`].
pub(crate) async fn ended_with_all(child: &mut Child, group: Group) -> io::Result<ExitStatus> {
    // As long as nobody has waited for it the leader's number is its own, ended or not.
    let handle = child.id().and_then(|id| ProcessHandle::open(id).ok());
    #[expect(
        deprecated,
        reason = "its successor has to be promised what this handle is: open while it is watched"
    )]
    let watched = handle.map(|handle| AsyncFd::with_interest(Opened(handle), Interest::READABLE));
    let Some(Ok(watched)) = watched else {
        // An old kernel, or no file left to open: what it leaves stays.
        let status = child.wait().await;
        group.leader_reaped();
        return status;
    };
    watched.readable().await?.retain_ready();
    drop(group);
    child.wait().await
}

/// As the runtime wants to have it.
struct Opened(ProcessHandle);

impl AsRawFd for Opened {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// A program's process group, killed when this is dropped while the leader is not reaped yet. As
/// long as it is not, its number cannot belong to anybody else.
pub(crate) struct Group(Option<u32>);

impl Group {
    /// The leader's end was waited for: the number is free.
    pub(crate) fn leader_reaped(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Fails only when nothing is left of the group, which is what is wanted.
            let _ = kill_process_group(group, SIGKILL);
        }
    }
}
