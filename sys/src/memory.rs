//! Memory that is no longer needed goes back to the kernel.
//!
//! Owns what the C library's allocator is told. A daemon needs much of it for a moment, when it reads
//! its file and when many addresses move, and little for ever; what is kept would be locked as well
//! ([`crate::realtime::lock_memory`]). Invariant: nothing here is needed for anything to work.

/// From so many bytes on an allocation is a mapping of its own, which is gone when it is freed. The
/// allocator starts with this by itself, but raises it with each such allocation that is freed.
#[cfg(target_env = "gnu")]
const MAPPED_FROM: i32 = 128 * 1024;

/// Has large allocations given back when they are freed, also those to come.
pub fn give_back_large() {
    #[cfg(target_env = "gnu")]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt(3) takes numbers only. What it refuses stays as it was.
        unsafe { libc::mallopt(parameter, MAPPED_FROM) };
    }
}

/// Gives back what was freed in between of what is still in use. It takes about a millisecond for ten
/// megabytes.
pub fn give_back_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) touches free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}
