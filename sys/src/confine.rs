//! What this process gives up for good: system calls (seccomp), files (Landlock), and being looked
//! into.
//!
//! Owns the lists. Everything here is for ever and is inherited by every thread and every program
//! that is started later, so a list holds only what neither we nor a sane hook needs. A refused
//! call fails with `EPERM`; nothing is killed. Invariant: what is asked for is taken from the calling
//! thread, so it is asked for before there is another one.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

use crate::error::{Error, Result};

/// Ways into other processes, into the kernel and out of a container, and ways to change what the
/// whole machine is built on. None of them has a place in a daemon, nor in a hook that tells a load
/// balancer or mounts nothing.
const NEVER: &[c_long] = &[
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_open_by_handle_at,
    libc::SYS_pivot_root,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Besides, for a process that starts no program: those that a program of the administrator's may
/// need (`ip netns exec`, a container's tools), and starting one at all.
const WITHOUT_PROGRAMS: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_chroot,
    libc::SYS_mknodat,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_personality,
];

/// Landlock as far as its calls are known here; an older kernel takes the part that it knows.
const KNOWN: ABI = ABI::V6;

/// How much of the file system is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writable {
    /// Directories in which files and sockets may still be made and removed.
    pub directories: Vec<PathBuf>,
}

/// Gives up system calls. `starts_programs`: what the administrator's own programs may need stays.
///
/// Also sets `no_new_privs`, without which an unprivileged process may not do this: a program with
/// the set-user-ID bit no longer changes the user.
pub fn give_up_calls(starts_programs: bool) -> Result<()> {
    const OPERATION: &str = "give up system calls (seccomp)";
    let failed = |why: String| Error::new(OPERATION, io::Error::other(why));
    let program = filter(starts_programs).map_err(failed)?;
    apply_filter_all_threads(&program).map_err(|error| failed(error.to_string()))
}

fn filter(starts_programs: bool) -> std::result::Result<BpfProgram, String> {
    let more = if starts_programs { &[] } else { WITHOUT_PROGRAMS };
    let refused: BTreeMap<i64, Vec<_>> =
        NEVER.iter().chain(more).map(|call| (*call, Vec::new())).collect();
    compiled(refused, libc::EPERM)
}

/// A filter by which netlink has no nftables: what a kernel without them says to who asks for a
/// socket. See [`crate::process::CommandExt::without_nftables`].
pub(crate) fn without_nftables() -> std::result::Result<BpfProgram, String> {
    let equals = |argument, value: i32| {
        SeccompCondition::new(
            argument,
            SeccompCmpArgLen::Dword,
            SeccompCmpOp::Eq,
            u64::from(value.cast_unsigned()),
        )
    };
    // socket(2): the family, the type, the protocol.
    let rule = || {
        SeccompRule::new(vec![equals(0, libc::AF_NETLINK)?, equals(2, libc::NETLINK_NETFILTER)?])
    };
    let rule = rule().map_err(|error| error.to_string())?;
    let refused = BTreeMap::from([(libc::SYS_socket, vec![rule])]);
    compiled(refused, libc::EPROTONOSUPPORT)
}

/// Puts a filter into effect for the calling thread. Allocates nothing where it succeeds.
pub(crate) fn install(filter: &BpfProgram) -> io::Result<()> {
    apply_filter(filter).map_err(|_| io::Error::from_raw_os_error(libc::EPERM))
}

fn compiled(
    refused: BTreeMap<i64, Vec<SeccompRule>>,
    error: i32,
) -> std::result::Result<BpfProgram, String> {
    let architecture: TargetArch =
        std::env::consts::ARCH.try_into().map_err(|_| "not for this processor".to_owned())?;
    let refusal = SeccompAction::Errno(error.cast_unsigned());
    SeccompFilter::new(refused, SeccompAction::Allow, refusal, architecture)
        .and_then(TryInto::try_into)
        .map_err(|error| error.to_string())
}

/// Keeps this process's memory to itself: no other process of the same user reads it, and a crash
/// leaves none of it in a core file. Programs that are started later are as ever.
pub fn give_up_dumps() -> Result<()> {
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(|error| Error::new("give up core files (prctl)", error))
}

/// Gives up writing to, making, removing and running files, but for what is left in `writable`,
/// and, on a kernel that can, signals to processes that are not ours. Reading stays: a changed file,
/// certificates and the name service's libraries are read later. What is open stays open.
///
/// For a process that starts no program. Gives the version of Landlock in the kernel; 0: it has
/// none, and nothing was given up.
pub fn give_up_files(writable: &Writable) -> Result<u32> {
    const OPERATION: &str = "give up files (Landlock)";
    let version = landlock_version();
    if version == 0 {
        return Ok(0);
    }
    let failed =
        |why: &dyn std::error::Error| Error::new(OPERATION, io::Error::other(why.to_string()));
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let making = reading
        | AccessFs::WriteFile
        | AccessFs::MakeSock
        | AccessFs::MakeReg
        | AccessFs::RemoveFile
        | AccessFs::Truncate;
    let root = PathFd::new("/").map_err(|error| failed(&error))?;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))
        .and_then(|rules| rules.scope(Scope::Signal))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rule(PathBeneath::new(root, reading)))
        .map_err(|error| failed(&error))?;
    // Nothing is learnt from what is written there, and libraries do.
    let null = PathFd::new("/dev/null").ok();
    let directories = writable.directories.iter().filter_map(|path| PathFd::new(path).ok());
    for directory in directories {
        let rule = PathBeneath::new(directory, making);
        rules = rules.add_rule(rule).map_err(|error| failed(&error))?;
    }
    if let Some(null) = null {
        let rule = PathBeneath::new(null, AccessFs::ReadFile | AccessFs::WriteFile);
        rules = rules.add_rule(rule).map_err(|error| failed(&error))?;
    }
    rules.restrict_self().map_err(|error| failed(&error))?;
    Ok(version)
}

/// The version of Landlock in this kernel; 0: none, or it was switched off.
pub fn landlock_version() -> u32 {
    // landlock_create_ruleset(2) with this flag and no attributes makes nothing.
    const VERSION: u32 = 1;
    // SAFETY: a null pointer of size 0 is what the flag asks for; nothing is read or written.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, VERSION)
    };
    u32::try_from(version).unwrap_or(0)
}

/// Whether this process has given up system calls: `Seccomp: 2` in its status.
pub fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().eq(["Seccomp:", "2"]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_filters_compile_and_the_wider_one_is_larger() {
        let with = filter(true).expect("a filter");
        let without = filter(false).expect("a filter");
        assert!(with.len() < without.len(), "{} and {}", with.len(), without.len());
    }

    #[test]
    fn no_call_is_listed_twice() {
        let mut calls: Vec<_> = NEVER.iter().chain(WITHOUT_PROGRAMS).collect();
        calls.sort_unstable();
        let listed = calls.len();
        calls.dedup();
        assert_eq!(calls.len(), listed);
    }
}
