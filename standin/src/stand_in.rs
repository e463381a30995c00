//! `standin for`: one host stands in for another, without a file.

use standin_core::Node;

use crate::assembly::{assemble, wait_for_last_words};
use crate::cli::ForOptions;
use crate::confine::{confine, is_program};
use crate::control::Access;
use crate::failure::Result;
use crate::fast::{Beginning, FastLoop, now};
use crate::host;
use crate::log::Logger;
use crate::slow::{self, Matters};

/// Runs until a signal; whatever was claimed has been released by then.
///
/// # Errors
/// Why it cannot start; nothing has been changed on the host then. Or the kernel's failure that
/// ended it.
pub fn run(options: &ForOptions) -> Result<()> {
    // A slow resolver can be interrupted: nothing has been changed yet.
    let mut prepared = host::prepare(options)?;
    let access = options.socket.as_ref().map(|path| Access::to(path));
    let (mut shell, backstage) = assemble(access.as_ref())?;
    let node = Node::new(prepared.config.clone(), seed(), now());
    let matters = Matters::of_host(std::mem::take(&mut prepared.checks));
    let beginning = Beginning {
        prepared: &prepared,
        node,
        beats: None,
        names: Vec::new(),
        orphans: Vec::new(),
    };
    let fast = FastLoop::new(beginning, &mut shell)?;
    let logger = Logger::open(options.log, options.log_level)?;
    let first = slow::started(&prepared.config);
    let starts_programs = options.checks.iter().any(|check| is_program(&check.probe));
    let confined = confine(options.sandbox, starts_programs, options.socket.as_deref());
    let thread = backstage.start(logger, &[first, confined], &prepared.warnings, matters, None)?;
    let outcome = fast.run();
    // The slow loop writes what is left and ends.
    drop(shell);
    wait_for_last_words(thread);
    outcome.map(drop)
}

/// A seed for jitter and probe numbers; two processes started in one instant differ by their id.
fn seed() -> u64 {
    standin_sys::clock::realtime_ns() ^ (u64::from(std::process::id()) << 32)
}
