//! Being on time on a busy machine: real-time scheduling and locked memory.
//!
//! Owns both requests and why they may be refused. Both are comfort: a caller prints the error
//! and goes on without.

use crate::capability::{Capabilities, Capability};
use crate::error::{Error, Result};
use crate::raw;

/// Gives the calling thread, and it alone, real-time priority (`SCHED_FIFO`, 1 low to 99 high).
/// Children and new threads start with ordinary priority again (`SCHED_RESET_ON_FORK`).
///
/// `EPERM` without `CAP_SYS_NICE` or an `RLIMIT_RTPRIO`, and always in a user namespace.
pub fn set_fifo_priority(priority: u8) -> Result<()> {
    // SAFETY: sched_param is plain numbers on every libc.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(priority);
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // Not the libc's wrapper: musl's refuses on principle.
    // SAFETY: the kernel reads the live structure; 0 means the calling thread.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameters) };
    if result == 0 {
        return Ok(());
    }
    let error = Error::last(format!("take real-time priority {priority}"));
    Err(if error.is_permission() {
        error.with_explanation("needs CAP_SYS_NICE outside of any user namespace")
    } else {
        error
    })
}

/// Keeps all memory of the process that is in use, and all that will be, from being swapped out or
/// dropped: each page stays from when it was first touched, the program's own included. Not the rest of
/// the program, most of which does what a daemon never does.
///
/// Refused (`EPERM`) unless `RLIMIT_MEMLOCK` is unlimited or `CAP_IPC_LOCK` is in effect: under a
/// limit the call may succeed and a later allocation fail, which is worse than a page fault.
pub fn lock_memory() -> Result<()> {
    const OPERATION: &str = "lock the memory";
    // SAFETY: rlimit is plain numbers.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes into the live structure.
    raw::check(unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) })
        .map_err(|error| Error::new(OPERATION, error))?;
    if limit.rlim_cur != libc::RLIM_INFINITY && !ignores_limit() {
        return Err(Error::from_errno(OPERATION, libc::EPERM).with_explanation(
            "needs CAP_IPC_LOCK outside of any user namespace, or LimitMEMLOCK=infinity",
        ));
    }
    let flags = libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT;
    // SAFETY: mlockall(2) takes numbers only.
    raw::check(unsafe { libc::mlockall(flags) })
        .map(drop)
        .map_err(|error| Error::new(OPERATION, error))
}

/// Whether the limit does not count: `CAP_IPC_LOCK` lifts it, but only in the first user
/// namespace, which is the one whose map is the identity over all numbers.
fn ignores_limit() -> bool {
    let holds = Capabilities::effective().is_ok_and(|held| held.has(Capability::IpcLock));
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    holds && map.split_whitespace().eq(["0", "0", "4294967295"])
}
