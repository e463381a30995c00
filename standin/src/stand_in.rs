//! `standin for`: the two loops of one run, put together.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::SystemTime;

use standin_sys::event::Wakeup;

use crate::cli::ForOptions;
use crate::control::Server;
use crate::failure::{Failure, Result};
use crate::fast::{self, FastLoop, Published};
use crate::host::{self, os};
use crate::link::{TO_FAST, TO_SLOW};
use crate::log::{Event, Level, Logger};
use crate::slow::{self, SlowLoop};

/// Runs until a signal; whatever was claimed has been released by then.
///
/// # Errors
/// Why it cannot start; nothing has been changed on the host then. Or the kernel's failure that
/// ended it.
pub fn run(options: &ForOptions) -> Result<()> {
    // A slow resolver can be interrupted: nothing has been changed yet.
    let mut prepared = host::prepare(options)?;
    // Before any thread is started, so that all of them leave the signals to the fast loop.
    let signals = fast::block_signals()?;
    let wakeup = Arc::new(Wakeup::new().map_err(|error| os(&error))?);
    let (to_slow, from_fast) = tokio::sync::mpsc::channel(TO_SLOW);
    let (to_fast, from_slow) = sync_channel(TO_FAST);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::os("start the slow loop", &error))?;
    let published: Option<Published> = options.socket.as_ref().map(|_| Arc::new(Mutex::new(None)));
    let control = match (&options.socket, &published) {
        (Some(path), Some(published)) => {
            let _entered = runtime.enter();
            Some((Server::bind(path)?, published.clone()))
        }
        _ => None,
    };
    let fast_ends =
        fast::Ends { inbox: from_slow, wakeup: wakeup.clone(), outbox: to_slow, published };
    let fast = FastLoop::new(&prepared, signals, fast_ends, seed())?;
    let mut logger = Logger::stdout(options.log, options.log_level);
    logger.write(SystemTime::now(), &slow::started(&prepared.config));
    for warning in &prepared.warnings {
        logger.write(SystemTime::now(), &Event::new(Level::Warn, "warning", warning.as_str()));
    }
    let checks = std::mem::take(&mut prepared.checks);
    let slow_ends = slow::Ends { inbox: from_fast, outbox: to_fast, wakeup };
    let slow = SlowLoop { ends: slow_ends, logger, checks, control };
    let thread = thread::Builder::new()
        .name("slow".to_owned())
        .spawn(move || runtime.block_on(slow.run()))
        .map_err(|error| Failure::os("start the slow loop", &error))?;
    let outcome = fast.run();
    // The fast loop's end of the queue is gone now: the slow loop writes what is left and ends.
    let _ = thread.join();
    outcome
}

/// A seed for jitter and probe numbers; two processes started in one instant differ by their id.
fn seed() -> u64 {
    standin_sys::clock::realtime_ns() ^ (u64::from(std::process::id()) << 32)
}
