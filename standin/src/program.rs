//! A program of the administrator's, of a check or a hook: how it starts, and that nothing of it
//! stays.
//!
//! Owns what it must not inherit: the service manager's address, for it would speak for us, and the
//! signals that the fast loop has blocked, without which `timeout(1)` inside it could end nothing.
//! Invariant: as long as its leader is not reaped, dropping a [`Group`] kills everything in it.

use std::ffi::OsStr;
use std::io;
use std::process::Stdio;

use standin_sys::process::{CommandExt, kill_process_group};
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
