//! Thin, checked forms of the system calls that several rooms of this crate share.
//!
//! Owns the conversion of `-1` into `io::Error` and of file descriptors into `OwnedFd`. Never
//! knows what a socket is for.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `-1` becomes the thread's `errno`, anything else is the result.
pub(crate) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for the calls that return a length; a length is never negative otherwise.
pub(crate) fn check_length(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// A new socket, closed on exec.
pub(crate) fn socket(domain: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes numbers only.
    let fd = check(unsafe { libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol) })?;
    // SAFETY: the kernel has just given us this descriptor and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a socket option to the bytes of `value`.
pub(crate) fn set_option<T: Copy>(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes at the address of a live value of that size.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length)
    })?;
    Ok(())
}

/// Reads a socket option of exactly this size.
pub(crate) fn option<T: Copy + Default>(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
) -> io::Result<T> {
    let mut value = T::default();
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to a live value of that size, whose type
    // is made of numbers (callers use integers and arrays of them only).
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    })?;
    Ok(value)
}

/// A socket address that may be passed to the kernel as it is.
///
/// # Safety
/// The type must be a plain C structure that begins with the address family.
pub(crate) unsafe trait SocketAddress: Copy {}
// SAFETY: C structures of the kernel's ABI that begin with the family.
unsafe impl SocketAddress for libc::sockaddr_nl {}
// SAFETY: as above.
unsafe impl SocketAddress for libc::sockaddr_ll {}
// SAFETY: as above.
unsafe impl SocketAddress for libc::sockaddr_in {}
// SAFETY: as above.
unsafe impl SocketAddress for libc::sockaddr_in6 {}

/// Binds a socket.
pub(crate) fn bind<A: SocketAddress>(fd: BorrowedFd<'_>, address: &A) -> io::Result<()> {
    let length = size_of::<A>() as libc::socklen_t;
    // SAFETY: the address is a live C structure of `length` bytes, by the trait's contract.
    check(unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(address).cast(), length) })?;
    Ok(())
}

/// Sends bytes to the peer the socket is connected to (for netlink: the kernel).
pub(crate) fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads the live slice, within its length.
    check_length(unsafe {
        libc::send(fd.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL)
    })
}

/// Sends bytes to an address.
pub(crate) fn send_to<A: SocketAddress>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    address: &A,
) -> io::Result<usize> {
    let length = size_of::<A>() as libc::socklen_t;
    // SAFETY: the kernel reads the live slice and the live C structure, within their lengths.
    check_length(unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_NOSIGNAL,
            std::ptr::from_ref(address).cast(),
            length,
        )
    })
}

/// Receives one datagram. With `MSG_TRUNC` in `flags` the length returned is the datagram's, which
/// may exceed the buffer's.
pub(crate) fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8], flags: i32) -> io::Result<usize> {
    // SAFETY: the kernel writes into the live slice, within its length.
    check_length(unsafe {
        libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), flags)
    })
}

/// `Ok(None)` in place of `EAGAIN`, and a new try after `EINTR`.
pub(crate) fn unless_empty<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    loop {
        match call() {
            Ok(value) => return Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
