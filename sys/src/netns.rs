//! Network namespaces, and the user namespace that makes them possible without root.
//!
//! Owns entering, creating and holding them. A namespace lives as long as a process in it, an
//! interface's peer or an open descriptor ([`NetNamespace`]) keeps it; nothing is left on disk.
//!
//! Two things follow the *thread*: `/proc/sys/net` shows the namespace of the thread that reads
//! it, and a socket belongs to the namespace of the thread that opened it.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread;

use crate::error::{Error, Result};
use crate::netlink::RouteSocket;
use crate::process::CommandExt;
use crate::raw;

/// The number of `lo` in every network namespace.
pub const LOOPBACK_INDEX: u32 = 1;
const CAP_SYS_ADMIN: u32 = 21;

/// What [`enter_user_namespace`] shall make beside the network namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserNamespaceOptions {
    /// Also a mount namespace, cut off from the host's mounts.
    pub mounts: bool,
    /// Also a process namespace for the children: the first child is its process 1, and when
    /// that ends the kernel kills all others.
    pub processes: bool,
    /// Where the process is privileged already, keep its user namespace and make only the others.
    pub keep_user_if_privileged: bool,
}

/// Why the namespaces could not be entered.
#[derive(Debug)]
pub enum NamespaceError {
    /// The kernel lets only a process with one thread enter a user namespace.
    MultiThreaded {
        /// How many threads there are.
        threads: usize,
    },
    /// This host forbids unprivileged user namespaces.
    Forbidden {
        /// The kernel's refusal.
        error: Error,
        /// The settings that forbid it, as far as they can be told.
        causes: Vec<ForbiddenBy>,
    },
    /// Something else went wrong.
    Failed(Error),
}

/// A kernel setting that forbids user namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForbiddenBy {
    /// Its name as `sysctl` knows it.
    pub setting: &'static str,
    /// What it is.
    pub value: String,
    /// What it would have to be.
    pub wanted: &'static str,
}

impl fmt::Display for NamespaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MultiThreaded { threads } => write!(
                f,
                "enter a user namespace: the process has {threads} threads and the kernel allows \
                 one; do it first thing in main"
            ),
            Self::Forbidden { error, causes } => {
                write!(f, "{error}: this host forbids unprivileged user namespaces")?;
                for ForbiddenBy { setting, value, wanted } in causes {
                    write!(f, "; {setting} is {value}, needs {wanted}")?;
                }
                Ok(())
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for NamespaceError {}

impl From<Error> for NamespaceError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Moves the process into a new user namespace, in which it is root, and a new network namespace,
/// in which there is only `lo`, up.
///
/// Call it before any thread is started. After an error that is not [`MultiThreaded`] the process
/// may be inside already and half set up: it should end.
///
/// [`MultiThreaded`]: NamespaceError::MultiThreaded
pub fn enter_user_namespace(options: UserNamespaceOptions) -> Result<(), NamespaceError> {
    let keep_user = options.keep_user_if_privileged && has_sys_admin();
    let mut flags = libc::CLONE_NEWNET;
    if options.mounts {
        flags |= libc::CLONE_NEWNS;
    }
    if options.processes {
        flags |= libc::CLONE_NEWPID;
    }
    let threads = thread_count();
    if threads > 1 {
        return Err(NamespaceError::MultiThreaded { threads });
    }
    if keep_user {
        unshare(flags).map_err(|error| Error::new("enter a network namespace", error))?;
    } else {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        unshare(flags | libc::CLONE_NEWUSER)
            .map_err(|error| refusal(Error::new("enter a user namespace", error)))?;
        become_root(uid.as_raw(), gid.as_raw()).map_err(refusal)?;
    }
    if options.mounts {
        detach_mounts()?;
    }
    RouteSocket::open()?.set_link_up(LOOPBACK_INDEX, true)?;
    Ok(())
}

/// Maps the outer user to root inside. The kernel demands that `setgroups` is denied first.
fn become_root(uid: u32, gid: u32) -> Result<()> {
    let write = |path: &str, text: &str| {
        fs::write(path, text).map_err(|error| Error::new(format!("write {path}"), error))
    };
    match write("/proc/self/setgroups", "deny") {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write("/proc/self/uid_map", &format!("0 {uid} 1\n"))?;
    write("/proc/self/gid_map", &format!("0 {gid} 1\n"))
}

/// What we mount later must not reach the host, nor what the host mounts reach us.
fn detach_mounts() -> Result<()> {
    // SAFETY: mount(2) reads the zero-terminated literals; the other pointers may be null.
    let result = unsafe {
        libc::mount(
            c"none".as_ptr(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        )
    };
    raw::check(result).map_err(|error| Error::new("make the mounts private", error))?;
    Ok(())
}

/// Which refusals mean that the host does not want user namespaces at all. `ENOSPC`: the limit of
/// their number is zero, or reached. Where `AppArmor` restricts them, entering succeeds and only the
/// maps cannot be written.
fn refusal(error: Error) -> NamespaceError {
    match error.errno() {
        Some(libc::EPERM | libc::EACCES | libc::ENOSPC | libc::EUSERS | libc::ENOSYS) => {
            NamespaceError::Forbidden { error, causes: forbidding_settings() }
        }
        _ => NamespaceError::Failed(error),
    }
}

/// The settings of this host that forbid unprivileged user namespaces.
pub fn forbidding_settings() -> Vec<ForbiddenBy> {
    let known = [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("user.max_user_namespaces", "0", "more than 0"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ];
    let mut causes = vec![];
    for (setting, forbids, wanted) in known {
        let Ok(value) = crate::sysctl::read(&setting.replace('.', "/")) else { continue };
        if value == forbids {
            causes.push(ForbiddenBy { setting, value, wanted });
        }
    }
    causes
}

fn unshare(flags: libc::c_int) -> io::Result<()> {
    // SAFETY: unshare(2) takes a number; the flags used here (namespaces) leave memory and
    // descriptors of the thread as they are.
    raw::check(unsafe { libc::unshare(flags) }).map(drop)
}

fn thread_count() -> usize {
    fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

fn has_sys_admin() -> bool {
    crate::capability::effective_bits().is_ok_and(|bits| bits >> CAP_SYS_ADMIN & 1 == 1)
}

/// A network namespace, kept alive by an open descriptor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NetNamespace {
    fd: Arc<OwnedFd>,
}

impl NetNamespace {
    /// Creates a namespace in which there is only `lo`, up. The caller stays where it is.
    /// Needs `CAP_SYS_ADMIN` in the current user namespace.
    pub fn create() -> Result<Self> {
        on_fresh_thread("create a network namespace", || {
            unshare(libc::CLONE_NEWNET)
                .map_err(|error| Error::new("create a network namespace", error))?;
            RouteSocket::open()?.set_link_up(LOOPBACK_INDEX, true)?;
            Self::current()
        })
    }

    /// The namespace of the calling thread.
    pub fn current() -> Result<Self> {
        let file = fs::File::open("/proc/thread-self/ns/net")
            .map_err(|error| Error::new("open the current network namespace", error))?;
        Ok(Self { fd: Arc::new(file.into()) })
    }

    /// Moves the calling thread, and it alone, into the namespace.
    pub fn enter_on_this_thread(&self) -> Result<()> {
        enter(self.fd.as_raw_fd()).map_err(|error| Error::new("enter a network namespace", error))
    }

    /// Runs `work` on a fresh thread inside the namespace and waits for its value. A panic of
    /// `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        on_fresh_thread("start a thread in a network namespace", || {
            self.enter_on_this_thread()?;
            Ok(work())
        })
    }
}

impl AsFd for NetNamespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Starts a command inside a namespace. The caller stays where it is.
pub fn spawn_in(namespace: &NetNamespace, command: &mut Command) -> Result<Child> {
    command.in_namespace(namespace).spawn().map_err(|error| {
        let program = command.get_program().to_string_lossy();
        Error::new(format!("start {program} in a network namespace"), error)
    })
}

/// `setns(2)`; safe to call between fork and exec.
pub(crate) fn enter(fd: libc::c_int) -> io::Result<()> {
    // SAFETY: setns(2) takes numbers only and changes nothing but the thread's namespace.
    raw::check(unsafe { libc::setns(fd, libc::CLONE_NEWNET) }).map(drop)
}

fn on_fresh_thread<T: Send>(operation: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let started = thread::Builder::new()
            .spawn_scoped(scope, work)
            .map_err(|error| Error::new(operation, error))?;
        started.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_that_threads_forbid_it() {
        // The test harness has several threads.
        let gate = std::sync::Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| gate.wait());
            let error = enter_user_namespace(UserNamespaceOptions::default()).unwrap_err();
            assert!(matches!(error, NamespaceError::MultiThreaded { threads: 2.. }), "{error}");
            assert!(error.to_string().contains("threads and the kernel allows one"));
            gate.wait();
        });
    }

    #[test]
    fn a_refusal_names_its_settings() {
        let error = Error::from_errno("enter a user namespace", libc::EPERM);
        let causes = vec![ForbiddenBy {
            setting: "kernel.unprivileged_userns_clone",
            value: "0".into(),
            wanted: "1",
        }];
        assert_eq!(
            NamespaceError::Forbidden { error, causes }.to_string(),
            "enter a user namespace: Operation not permitted: this host forbids unprivileged user \
             namespaces; kernel.unprivileged_userns_clone is 0, needs 1"
        );
        let other = Error::from_errno("enter a user namespace", libc::ENOMEM);
        assert!(matches!(refusal(other), NamespaceError::Failed(_)));
    }
}
