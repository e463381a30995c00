//! What processes use: processor time to the nanosecond, and memory.
//!
//! Owns the reading of proc(5). It counts a process's time in ticks too, which misses whoever never
//! runs while one falls, so it is read from `schedstat`. The `/proc` that a sandbox sees is that of
//! the machine, where its processes have other numbers; so one of the sandbox's own is mounted.

use std::fs;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::sandbox;
use crate::story::Lab;

/// The processes of one side: of keepalived two, of `standin` one.
#[derive(Clone, Debug)]
pub struct Processes(pub Vec<u32>);

/// What they have used up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    at: Instant,
    /// All threads.
    all: Duration,
    /// The first thread of the last process: `standin`'s fast loop, and keepalived's only loop.
    loop_alone: Duration,
}

/// What they used between two moments, in percent of one processor.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub all: f64,
    pub loop_alone: f64,
}

impl Processes {
    /// What they have used so far.
    pub fn spent(&self) -> Result<Spent> {
        let at = Instant::now();
        let mut all = Duration::ZERO;
        for id in &self.0 {
            all += of_process(*id)?;
        }
        let id = self.0.last().context("a process")?;
        Ok(Spent { at, all, loop_alone: of_thread(&format!("{}/{id}/task/{id}", proc()?))? })
    }

    /// The memory that is theirs: what they share with others by its part (PSS), in kB.
    pub fn memory_kb(&self) -> Result<f64> {
        let mut sum = 0.0;
        for id in &self.0 {
            let path = format!("{}/{id}/smaps_rollup", proc()?);
            let text = fs::read_to_string(&path).with_context(|| path.clone())?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
            let number = line.and_then(|rest| rest.trim().strip_suffix("kB"));
            let number = number.and_then(|number| number.trim().parse::<f64>().ok());
            sum += number.with_context(|| format!("{path} has no Pss"))?;
        }
        Ok(sum)
    }
}

impl Spent {
    /// From an earlier moment to this one.
    pub fn since(&self, earlier: &Self) -> Share {
        let time = (self.at - earlier.at).as_secs_f64();
        let percent = |now: Duration, then: Duration| {
            (now.saturating_sub(then).as_secs_f64() / time * 1e5).round() / 1e3
        };
        Share {
            all: percent(self.all, earlier.all),
            loop_alone: percent(self.loop_alone, earlier.loop_alone),
        }
    }
}

/// Where this sandbox's processes are found by the numbers that they have in it.
fn proc() -> Result<&'static str> {
    static MOUNTED: OnceLock<String> = OnceLock::new();
    if std::process::id() != 1 {
        return Ok("/proc");
    }
    if let Some(mounted) = MOUNTED.get() {
        return Ok(mounted);
    }
    let place = Lab::directory().join("proc");
    fs::create_dir_all(&place).context("a place for proc")?;
    let place = place.display().to_string();
    sandbox::tool(&["mount", "-t", "proc", "standin-lab", &place], "mount")?;
    Ok(MOUNTED.get_or_init(|| place))
}

/// The time that all threads of a process have used.
fn of_process(id: u32) -> Result<Duration> {
    let tasks = format!("{}/{id}/task", proc()?);
    let mut spent = Duration::ZERO;
    for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
        spent += of_thread(&task?.path().display().to_string())?;
    }
    Ok(spent)
}

/// The time that the calling thread has used.
pub fn of_this_thread() -> Result<Duration> {
    of_thread(&format!("{}/thread-self", proc()?))
}

fn of_thread(directory: &str) -> Result<Duration> {
    let path = format!("{directory}/schedstat");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let nanos = text.split(' ').next().and_then(|word| word.parse().ok());
    Ok(Duration::from_nanos(nanos.context("schedstat begins with a time")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let myself = Processes(vec![std::process::id()]);
        let before = myself.spent().expect("/proc is there");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(20) {}
        let share = myself.spent().expect("/proc is there").since(&before);
        assert!(share.all >= 0.0 && share.loop_alone <= share.all + 100.0);
        assert!(myself.memory_kb().expect("/proc is there") > 100.0);
    }
}
