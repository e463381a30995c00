//! What a case tells about itself: its steps, and the logs of what it started.
//!
//! Owns the place where both are kept until a case fails and somebody wants to read them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::daemon::Log;
use crate::sandbox;

/// One case's surroundings.
pub struct Lab {
    standin: PathBuf,
    begun: Instant,
    logs: RefCell<Vec<Arc<Log>>>,
}

impl Lab {
    /// A lab for one case that runs this binary.
    pub fn new(standin: PathBuf) -> Self {
        Self { standin, begun: Instant::now(), logs: RefCell::default() }
    }

    /// The binary under test.
    pub fn standin(&self) -> &Path {
        &self.standin
    }

    /// A directory that goes with the case.
    pub fn directory() -> &'static Path {
        Path::new(sandbox::DIRECTORY)
    }

    /// A step of the story.
    pub fn say(&self, what: impl AsRef<str>) {
        println!("{:9.3}  {}", self.begun.elapsed().as_secs_f64(), what.as_ref());
    }

    /// Keeps a log, to be shown if the case fails.
    pub fn keep(&self, log: Arc<Log>) {
        self.logs.borrow_mut().push(log);
    }

    /// The logs, for a reader.
    pub fn print_logs(&self) {
        for log in self.logs.borrow().iter() {
            println!("--- {}", log.title());
            for line in log.lines() {
                let at = line.at.saturating_duration_since(self.begun).as_secs_f64();
                println!("{at:9.3}  {}", line.text);
            }
        }
    }
}
