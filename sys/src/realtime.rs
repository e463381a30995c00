//! Being on time on a busy machine: real-time scheduling, locked memory, processors of one's own.
//!
//! Owns the requests and why they may be refused. All are comfort: a caller prints the error
//! and goes on without.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

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

/// How much of a program is to stay in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Each page from when it was first touched, the program's own included.
    Used,
    /// Besides, all that is mapped now, with all that the program does rarely, is read in.
    All,
}

/// Keeps memory of the process, also what it will take later, from being swapped out or dropped. What is
/// mapped later stays once it has been touched, so that a thread does not cost the whole of the stack
/// that it might use.
///
/// Refused (`EPERM`) unless `RLIMIT_MEMLOCK` is unlimited or `CAP_IPC_LOCK` is in effect: under a
/// limit the call may succeed and a later allocation fail, which is worse than a page fault.
pub fn lock_memory(extent: Extent) -> Result<()> {
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
    // In this order: each call replaces what the one before said of the future.
    let calls: &[i32] = match extent {
        Extent::Used => &[libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT],
        Extent::All => &[libc::MCL_CURRENT, libc::MCL_FUTURE | libc::MCL_ONFAULT],
    };
    for flags in calls {
        // SAFETY: mlockall(2) takes numbers only.
        raw::check(unsafe { libc::mlockall(*flags) })
            .map_err(|error| Error::new(OPERATION, error))?;
    }
    Ok(())
}

/// The numbers of the processors that the calling thread may run on.
pub fn processors() -> Result<Vec<u16>> {
    let set = sched_getaffinity(None)
        .map_err(|errno| Error::new("ask for the processors to run on", errno))?;
    Ok((0..CpuSet::MAX_CPU).filter(|number| set.is_set(*number)).map(|n| n as u16).collect())
}

/// Has the calling thread run on these processors and no others; threads and children that it starts
/// later do so too.
///
/// `EINVAL` when none of them is there, or may be used by this process.
pub fn run_on(processors: &[u16]) -> Result<()> {
    let mut set = CpuSet::new();
    for number in processors.iter().map(|number| usize::from(*number)) {
        if number < CpuSet::MAX_CPU {
            set.set(number);
        }
    }
    sched_setaffinity(None, &set).map_err(|errno| {
        let listed: Vec<String> = processors.iter().map(u16::to_string).collect();
        let operation = format!("run on processor {} alone", listed.join(", "));
        Error::new(operation, errno)
    })
}

/// Whether the limit does not count: `CAP_IPC_LOCK` lifts it, but only in the first user
/// namespace, which is the one whose map is the identity over all numbers.
fn ignores_limit() -> bool {
    let holds = Capabilities::effective().is_ok_and(|held| held.has(Capability::IpcLock));
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    holds && map.split_whitespace().eq(["0", "0", "4294967295"])
}
