//! Waiting for many descriptors at once.
//!
//! Owns an epoll instance, level triggered: what was not read is reported again. A descriptor is
//! known by a token that its owner chose. Never owns the descriptors it watches; one that is
//! closed leaves by itself.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::error::{Error, Result};

/// More descriptors than this are reported in several turns.
const EVENTS_PER_TURN: usize = 64;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// There is something to read.
    Read,
    /// There is room to write.
    Write,
    /// Either.
    Both,
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::Both => EventFlags::IN | EventFlags::OUT,
        }
    }
}

/// A descriptor about which something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What the descriptor was added with.
    pub token: u64,
    /// There is something to read, or an error or an end to be found by reading.
    pub readable: bool,
    /// There is room to write, or an error to be found by writing.
    pub writable: bool,
    /// There is an error, or something in the error queue of a socket.
    pub failed: bool,
}

/// A set of watched descriptors.
pub struct Poller {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// An empty set.
    pub fn new() -> Result<Self> {
        let fd = epoll::create(CreateFlags::CLOEXEC)
            .map_err(|error| Error::new("create a poller", error))?;
        Ok(Self { fd, events: Vec::with_capacity(EVENTS_PER_TURN) })
    }

    /// Watches a descriptor. `EEXIST` when it is watched already.
    pub fn add(&self, source: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::add(&self.fd, source, EventData::new_u64(token), interest.flags())
            .map_err(|error| Error::new("watch a descriptor", error))
    }

    /// Watches a descriptor that is reported once each time that it becomes readable, read or not:
    /// a timer need not be read, since setting it anew takes its expiry back.
    pub fn add_edge(&self, source: impl AsFd, token: u64) -> Result<()> {
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&self.fd, source, EventData::new_u64(token), flags)
            .map_err(|error| Error::new("watch a descriptor", error))
    }

    /// Changes what a watched descriptor is watched for.
    pub fn modify(&self, source: impl AsFd, token: u64, interest: Interest) -> Result<()> {
        epoll::modify(&self.fd, source, EventData::new_u64(token), interest.flags())
            .map_err(|error| Error::new("watch a descriptor differently", error))
    }

    /// Watches a descriptor no longer.
    pub fn remove(&self, source: impl AsFd) -> Result<()> {
        epoll::delete(&self.fd, source)
            .map_err(|error| Error::new("stop watching a descriptor", error))
    }

    /// Waits until a descriptor is ready, or for so long; none: without end, zero: not at all.
    /// An interruption by a signal gives nothing, as the end of the time does.
    pub fn wait(&mut self, timeout: Option<Duration>) -> Result<impl Iterator<Item = Ready> + '_> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().cast_signed(),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        });
        self.events.clear();
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.fd, buffer, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Error::new("wait for descriptors", error)),
        }
        Ok(self.events.iter().map(|event| {
            let flags = event.flags;
            let ended = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            Ready {
                token: event.data.u64(),
                readable: ended || flags.contains(EventFlags::IN),
                writable: ended || flags.contains(EventFlags::OUT),
                failed: flags.contains(EventFlags::ERR),
            }
        }))
    }
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("fd", &self.fd).finish_non_exhaustive()
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::boottime_ns;
    use crate::event::Wakeup;
    use crate::timer::Timer;

    fn ready(poller: &mut Poller, timeout: Option<Duration>) -> Vec<Ready> {
        poller.wait(timeout).unwrap().collect()
    }

    #[test]
    fn a_timer_fires_once_and_not_early() {
        let mut poller = Poller::new().unwrap();
        let timer = Timer::new().unwrap();
        poller.add(&timer, 7, Interest::Read).unwrap();
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
        let due_ns = boottime_ns() + 20_000_000;
        timer.arm(due_ns).unwrap();
        let found = ready(&mut poller, None);
        assert!(boottime_ns() >= due_ns);
        assert_eq!(found, [Ready { token: 7, readable: true, writable: false, failed: false }]);
        assert!(timer.take_expiry().unwrap());
        assert!(!timer.take_expiry().unwrap());

        // A time that has passed fires at once; disarming forgets it.
        timer.arm(0).unwrap();
        assert_eq!(ready(&mut poller, None).len(), 1);
        timer.disarm().unwrap();
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
        assert!(!timer.take_expiry().unwrap());
    }

    #[test]
    fn a_timer_watched_by_its_edge_is_reported_once_for_each_time_it_is_set() {
        let mut poller = Poller::new().unwrap();
        let timer = Timer::new().unwrap();
        poller.add_edge(&timer, 7).unwrap();
        for _ in 0..3 {
            timer.arm(boottime_ns() + 1_000_000).unwrap();
            assert_eq!(ready(&mut poller, None)[0].token, 7);
            assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
        }
        // One that has passed is news as well, and one that is taken back is none.
        timer.arm(1).unwrap();
        assert_eq!(ready(&mut poller, None)[0].token, 7);
        timer.arm(1).unwrap();
        timer.disarm().unwrap();
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
    }

    #[test]
    fn a_wakeup_crosses_threads_and_many_count_as_one() {
        let mut poller = Poller::new().unwrap();
        let wakeup = Wakeup::new().unwrap();
        poller.add(&wakeup, 1, Interest::Read).unwrap();
        let other = wakeup.clone();
        let thread = std::thread::spawn(move || {
            for _ in 0..1000 {
                other.notify().unwrap();
            }
        });
        assert_eq!(ready(&mut poller, None)[0].token, 1);
        thread.join().unwrap();
        assert!(wakeup.take().unwrap());
        assert!(!wakeup.take().unwrap());
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
    }

    #[test]
    fn interests_change_and_end() {
        let mut poller = Poller::new().unwrap();
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        poller.add(&near, 3, Interest::Read).unwrap();
        assert_eq!(poller.add(&near, 3, Interest::Read).unwrap_err().errno(), Some(libc::EEXIST));
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
        poller.modify(&near, 4, Interest::Both).unwrap();
        let writable = Ready { token: 4, readable: false, writable: true, failed: false };
        assert_eq!(ready(&mut poller, None), [writable]);
        poller.modify(&near, 4, Interest::Read).unwrap();
        drop(far);
        assert!(ready(&mut poller, None)[0].readable);
        poller.remove(&near).unwrap();
        assert_eq!(ready(&mut poller, Some(Duration::ZERO)), []);
        assert_eq!(poller.remove(&near).unwrap_err().errno(), Some(libc::ENOENT));
    }
}
