//! A control group of a case's own, in which the kernel freezes whatever is put.
//!
//! Owns a directory of cgroup v2 (the kernel's Documentation/admin-guide/cgroup-v2.rst) and takes it
//! away again. Never changes a group that it did not make.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::wait::{self, PATIENCE};

/// Before the number of the process that made a group.
const PREFIX: &str = "standin-lab-";
const NEEDS: &str = "a cgroup (v2) below which this user may make one is needed: run the lab as root, \
                     or under `systemd-run --user --scope -p Delegate=yes`";

/// A group. Thawed and removed when dropped.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one below that of this process.
    pub fn create() -> Result<Self> {
        let Some(own) = own_group() else { bail!("no cgroup v2 is mounted here: {NEEDS}") };
        sweep(&own);
        let path = own.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("make {}: {NEEDS}", path.display()))?;
        Ok(Self { path })
    }

    /// Puts a process there, with all of its threads and whatever it starts.
    pub fn take(&self, process: u32) -> Result<()> {
        let file = self.path.join("cgroup.procs");
        fs::write(&file, process.to_string())
            .with_context(|| format!("move a process to {}: {NEEDS}", file.display()))
    }

    /// Freezes all that is in it, or lets it run again, and waits until that is so.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let file = self.path.join("cgroup.freeze");
        let wanted = u8::from(frozen);
        fs::write(&file, wanted.to_string()).with_context(|| file.display().to_string())?;
        let events = self.path.join("cgroup.events");
        wait::until_true("the kernel has frozen it, or thawed it", PATIENCE, || {
            let told = fs::read_to_string(&events).unwrap_or_default();
            told.lines().any(|line| line == format!("frozen {wanted}"))
        })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join("cgroup.freeze"), "0");
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
        let _ =
            wait::until_true("the group is empty", PATIENCE, || fs::remove_dir(&self.path).is_ok());
    }
}

/// The directory of the group that this process is in.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    // proc_pid_mountinfo(5): the mount point is the fifth word, the type the first behind ' - '.
    let mount = mounts.lines().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        what.starts_with("cgroup2 ").then(|| place.split(' ').nth(4))?
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount).join(own))
}

/// Removes what cases left that were killed; a group with anything in it stays.
fn sweep(own: &Path) {
    let Ok(entries) = fs::read_dir(own) else { return };
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}
