//! A running `standin`, seen from outside: its log, its signals, its end.
//!
//! Owns the process and what it has said. Reads the log line by line as it comes, so that a case
//! can wait for an event.

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use standin_sys::process::{CommandExt, ProcessHandle};
use standin_sys::signal::{SIGKILL, SIGTERM};

use crate::event::Event;
use crate::wait::{self, PATIENCE};

/// A line that was said.
#[derive(Clone, Debug)]
pub struct Line {
    pub at: Instant,
    pub text: String,
    pub event: Option<Event>,
}

/// What a process has said so far.
pub struct Log {
    title: String,
    lines: Mutex<Vec<Line>>,
    grown: Condvar,
}

impl Log {
    fn new(title: String) -> Arc<Self> {
        Arc::new(Self { title, lines: Mutex::default(), grown: Condvar::new() })
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn follow(self: &Arc<Self>, source: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for text in BufReader::new(source).lines().map_while(Result::ok) {
                let line = Line { at: Instant::now(), event: Event::parse(&text).ok(), text };
                log.lock().push(line);
                log.grown.notify_all();
            }
        });
    }
}

/// A process that ends with its host's power.
pub struct Process {
    child: RefCell<Child>,
}

impl Process {
    pub fn id(&self) -> u32 {
        self.child.borrow().id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        Ok(ProcessHandle::open(self.id())?.send_signal(signal)?)
    }

    /// Kills it, where it still lives, and waits for its end.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child.borrow_mut();
        if child.try_wait().context("wait for a process")?.is_none() {
            ProcessHandle::open(child.id())?.send_signal(SIGKILL)?;
            child.wait().context("wait for a process")?;
        }
        Ok(())
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child.borrow_mut().try_wait().ok().flatten()
    }
}

/// A process whose log is followed. Killed when dropped.
pub struct Daemon {
    process: Rc<Process>,
    log: Arc<Log>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Daemon {
    /// Starts a command, whose two outputs become the log.
    pub fn start(title: String, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.die_with_parent();
        let mut child = command
            .spawn()
            .with_context(|| format!("{} did not start", command.get_program().display()))?;
        let log = Log::new(title);
        if let Some(output) = child.stdout.take() {
            log.follow(output);
        }
        if let Some(errors) = child.stderr.take() {
            log.follow(errors);
        }
        Ok(Self { process: Rc::new(Process { child: RefCell::new(child) }), log })
    }

    pub fn log(&self) -> &Arc<Log> {
        &self.log
    }

    pub fn process(&self) -> &Rc<Process> {
        &self.process
    }

    /// Every event so far.
    pub fn events(&self) -> Vec<Event> {
        self.log.lock().iter().filter_map(|line| line.event.clone()).collect()
    }

    /// How many events of this name there have been.
    pub fn count(&self, name: &str) -> usize {
        self.events().iter().filter(|event| event.name == name).count()
    }

    /// A place in the log, for [`Daemon::wait_after`].
    pub fn mark(&self) -> usize {
        self.log.lock().len()
    }

    /// Waits for an event of this name, from the beginning of the log.
    pub fn wait(&self, name: &str) -> Result<Event> {
        self.wait_after(0, name, PATIENCE)
    }

    /// Waits for an event of this name behind a mark.
    pub fn wait_after(&self, mark: usize, name: &str, within: Duration) -> Result<Event> {
        self.wait_where(mark, name, within, |event| event.name == name)
    }

    /// Waits for an event about one address.
    pub fn wait_about(
        &self,
        mark: usize,
        name: &str,
        vip: std::net::IpAddr,
        within: Duration,
    ) -> Result<Event> {
        let vip = vip.to_string();
        let what = format!("{name} of {vip}");
        self.wait_where(mark, &what, within, |event| event.name == name && event.text("vip") == vip)
    }

    fn wait_where(
        &self,
        mark: usize,
        what: &str,
        within: Duration,
        right: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let deadline = Instant::now() + within;
        let mut seen = mark;
        let mut lines = self.log.lock();
        loop {
            let found = lines.get(seen..).unwrap_or_default().iter();
            if let Some(event) = found.filter_map(|line| line.event.as_ref()).find(|e| right(e)) {
                return Ok(event.clone());
            }
            seen = seen.max(lines.len());
            let now = Instant::now();
            if now >= deadline {
                bail!("{} never said '{what}' within {} ms", self.log.title, within.as_millis());
            }
            if let Some(status) = self.process.ended() {
                // The last lines may still be on their way.
                let left = deadline.min(now + Duration::from_millis(200)) - now;
                let (again, timeout) = self
                    .log
                    .grown
                    .wait_timeout(lines, left)
                    .unwrap_or_else(PoisonError::into_inner);
                lines = again;
                if timeout.timed_out() {
                    bail!("{} ended ({status}) and never said '{what}'", self.log.title);
                }
                continue;
            }
            let pause = (deadline - now).min(Duration::from_millis(100));
            lines =
                self.log.grown.wait_timeout(lines, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) -> Result<()> {
        self.process.signal(signal)
    }

    /// Waits for the end.
    pub fn wait_end(&self, within: Duration) -> Result<ExitStatus> {
        wait::until(&format!("{} ends", self.log.title), within, || self.process.ended())
    }

    /// Asks it to end and waits until it has; it must end well.
    pub fn stop(&self) -> Result<()> {
        self.signal(SIGTERM)?;
        let status = self.wait_end(PATIENCE)?;
        anyhow::ensure!(status.success(), "{} ended with {status}", self.log.title);
        Ok(())
    }

    /// Everything that was said, as text.
    pub fn text(&self) -> String {
        let lines: Vec<String> = self.log.lock().iter().map(|line| line.text.clone()).collect();
        lines.join("\n")
    }
}
