//! What the kernel tells beside a received packet: control messages (cmsg(3)).
//!
//! Owns their buffer and the walk over them. What a message means is read as bytes, safely.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::raw;

/// All that our sockets ask for at once: a time stamp (32), a packet information (40) and an
/// extended error with an IPv6 address (64).
const LENGTH: usize = 256;

/// A buffer for control messages, aligned as they have to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ControlBuffer([u64; LENGTH / 8]);

impl ControlBuffer {
    pub(crate) const fn new() -> Self {
        Self([0; LENGTH / 8])
    }

    /// Lets a header's control messages be written here.
    pub(crate) fn attach(&mut self, header: &mut libc::msghdr) {
        header.msg_control = self.0.as_mut_ptr().cast();
        header.msg_controllen = LENGTH as _;
    }
}

/// `recvmsg(2)` into one buffer; gives the length and lets `read` see each control message as
/// level, type and data. The sender's address goes into `address`.
pub(crate) fn receive<A: raw::SocketAddress>(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    address: &mut A,
    flags: i32,
    read: impl FnMut(i32, i32, &[u8]),
) -> io::Result<usize> {
    let mut control = ControlBuffer::new();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is pointers and numbers; null and zero are valid.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_name = std::ptr::from_mut(address).cast();
    header.msg_namelen = size_of::<A>() as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    control.attach(&mut header);
    // SAFETY: every pointer in the header is to a live object of the length beside it.
    let length =
        raw::check_length(unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, flags) })?;
    // SAFETY: the kernel has filled the header just now, and the control buffer is still there.
    unsafe { each(&header, read) };
    Ok(length)
}

/// Lets `read` see each control message as level, type and data.
///
/// # Safety
/// The header's control pointer is to a live buffer that the kernel has filled, and its length.
pub(crate) unsafe fn each(header: &libc::msghdr, mut read: impl FnMut(i32, i32, &[u8])) {
    // SAFETY: by this function's contract.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: the macros give only addresses of whole control headers within the buffer.
        let head = unsafe { std::ptr::read_unaligned(message) };
        // SAFETY: CMSG_LEN computes with numbers only.
        let empty = unsafe { libc::CMSG_LEN(0) } as usize;
        // Its type differs between C libraries.
        let length = (head.cmsg_len as usize).saturating_sub(empty);
        // SAFETY: the kernel wrote `length` bytes of data behind the header.
        let data = unsafe { std::slice::from_raw_parts(libc::CMSG_DATA(message), length) };
        read(head.cmsg_level, head.cmsg_type, data);
        // SAFETY: as for the first.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
}

/// The nanoseconds of `CLOCK_REALTIME` in a receive time stamp; none: it is another message.
pub(crate) fn timestamp(level: i32, kind: i32, data: &[u8]) -> Option<u64> {
    if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
        || data.len() < size_of::<libc::timespec>()
    {
        return None;
    }
    // SAFETY: timespec is plain numbers, and the data is as long; it may be unaligned.
    let time: libc::timespec = unsafe { std::ptr::read_unaligned(data.as_ptr().cast()) };
    let whole_ns = time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000);
    Some(whole_ns.saturating_add(time.tv_nsec.unsigned_abs()))
}
