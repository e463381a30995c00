//! The two loops of one run, put together: what `standin for` and `standin run` share.
//!
//! Owns the queues between the loops, the slow loop's thread and the order in which things are
//! opened: everything that can be refused before anything is said.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use standin_sys::event::Wakeup;
use standin_sys::process;
use tokio::runtime::Runtime;

use crate::control::{Access, Server};
use crate::failure::{Code, Failure, Result};
use crate::fast::{self, Shell};
use crate::host::os;
use crate::http::Door;
use crate::link::{TO_FAST, TO_SLOW};
use crate::log::{Event, Level, Logger};
use crate::slow::{self, Matters, Origin, SlowLoop};

/// How long the slow loop may take for its last words. Whoever reads the log may have stopped to;
/// that must not keep a process alive which has released everything.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// So many files are asked for: sockets, visitors of the page and of the control socket, hooks.
const OPEN_FILES: u64 = 1024;
/// With fewer a run would start and lack one when it matters.
const OPEN_FILES_LEAST: u64 = 64;

/// What waits behind the fast loop: the slow one, not started yet.
pub struct Backstage {
    runtime: Runtime,
    server: Option<Server>,
    door: Option<Door>,
    ends: slow::Ends,
}

/// Opens what both loops need. Called before any thread is started, so that all of them leave the
/// signals to the fast loop.
///
/// # Errors
/// The kernel refuses, or the control socket cannot be made.
pub fn assemble(access: Option<&Access>) -> Result<(Shell, Backstage)> {
    judge_open_files(process::allow_open_files(OPEN_FILES))?;
    let signals = fast::block_signals()?;
    let wakeup = Arc::new(Wakeup::new().map_err(|error| os(&error))?);
    let (to_slow, from_fast) = tokio::sync::mpsc::channel(TO_SLOW);
    let (to_fast, from_slow) = sync_channel(TO_FAST);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::os("start the slow loop", &error))?;
    let server = access
        .map(|access| {
            let _entered = runtime.enter();
            Server::bind(access)
        })
        .transpose()?;
    let ends = fast::Ends { inbox: from_slow, wakeup: wakeup.clone(), outbox: to_slow };
    let slow_ends = slow::Ends { inbox: from_fast, outbox: to_fast, wakeup };
    Ok((Shell { ends, signals }, Backstage { runtime, server, door: None, ends: slow_ends }))
}

fn judge_open_files(most: u64) -> Result<()> {
    if most >= OPEN_FILES_LEAST {
        return Ok(());
    }
    let what = format!("this process may have {most} files open");
    Err(Failure::new(Code::Unavailable, what)
        .expected(format!("at least {OPEN_FILES_LEAST}"))
        .advice("ulimit -n 1024, or LimitNOFILE=1024 in the unit"))
}

impl Backstage {
    /// Serves pages behind this door.
    #[must_use]
    pub fn behind(mut self, door: Option<Door>) -> Self {
        self.door = door;
        self
    }

    /// Says that the run begins, with its warnings, and starts the slow loop. It ends when the
    /// [`Shell`] has gone and everything it said is written.
    ///
    /// # Errors
    /// The kernel refuses a thread.
    pub fn start(
        self,
        mut logger: Logger,
        first: &[Event],
        warnings: &[String],
        matters: Matters,
        origin: Option<Origin>,
    ) -> Result<JoinHandle<()>> {
        for event in first {
            logger.write(SystemTime::now(), event);
        }
        for warning in warnings {
            logger.write(SystemTime::now(), &Event::new(Level::Warn, "warning", warning.as_str()));
        }
        let Self { runtime, server, door, ends } = self;
        let slow = SlowLoop::new(ends, logger, matters, origin).with_door(door);
        thread::Builder::new()
            .name("slow".to_owned())
            .spawn(move || {
                runtime.block_on(slow.run(server));
                // A name service that hangs is not waited for.
                runtime.shutdown_background();
            })
            .map_err(|error| Failure::os("start the slow loop", &error))
    }
}

/// Waits until the slow loop has written what is left, but not for ever. The process is about to end.
pub fn wait_for_last_words(slow: JoinHandle<()>) {
    let begun = Instant::now();
    while !slow.is_finished() && begun.elapsed() < LAST_WORDS {
        thread::sleep(Duration::from_millis(1));
    }
    if slow.is_finished() {
        let _ = slow.join();
    }
}
