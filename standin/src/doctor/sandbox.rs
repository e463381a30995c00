//! What a run with this file would give up, and whether this kernel can take it.

use standin_sys::confine;

use super::{Files, Findings};
use crate::confine::starts_programs;
use crate::file::ClusterFile;

/// Says what a run would give up. Nothing here is wrong: a run goes on without.
pub fn judge(file: &ClusterFile, files: &Files, findings: &mut Findings) {
    findings.ok("sandbox", "seccomp", calls(starts_programs(file), has_seccomp(files)));
    findings.ok(
        "sandbox",
        "Landlock",
        of_files(starts_programs(file), confine::landlock_version()),
    );
}

fn has_seccomp(files: &Files) -> bool {
    files.read("/proc/sys/kernel/seccomp/actions_avail").is_ok()
}

fn calls(starts_programs: bool, available: bool) -> &'static str {
    match (available, starts_programs) {
        (false, _) => "this kernel cannot filter system calls: a run goes on without",
        (true, true) => "a run gives up ways into the kernel and into other processes",
        (true, false) => "a run gives up starting programs, and ways into the kernel",
    }
}

fn of_files(starts_programs: bool, version: u32) -> String {
    match (version, starts_programs) {
        (0, _) => "this kernel has none: a run goes on without".to_owned(),
        (_, true) => {
            format!("version {version}; not used, since hooks and commands would inherit it")
        }
        (_, false) => format!("version {version}: a run only reads files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_cannot_is_told_of() {
        let nowhere = Files::below("/nonexistent");
        assert!(calls(false, has_seccomp(&nowhere)).contains("goes on without"));
        assert!(of_files(true, 0).contains("goes on without"));
        assert!(of_files(true, 7).contains("not used"));
        assert!(of_files(false, 7).contains("only reads"));
    }
}
