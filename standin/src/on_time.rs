//! What a run asks of the kernel so that a busy host does not make it late: `[realtime]`.
//!
//! Owns what is asked and who is told of a refusal. Never insists: a run that gets nothing of it goes on
//! and says so once, where it matters. Invariant: only the fast loop, which is the thread that calls
//! here, gets a priority and processors of its own; what it started before has neither.

use std::time::Duration;

use standin_sys::error::Error;
use standin_sys::realtime;

use crate::file::{ClusterFile, DEFAULT_PRIORITY};
use crate::slow::service;

/// Below this an ordinary thread may be late for its own deadline.
pub const NEEDS_PRIORITY_BELOW: Duration = Duration::from_millis(100);

/// Asks for the priority and locks the memory; the refusals that matter, as sentences: where a deadline
/// is short, and where the file asks for something of its own.
pub fn ask(file: &ClusterFile) -> Vec<String> {
    let wanted = &file.realtime;
    let is_short = file.timing.dead_after < NEEDS_PRIORITY_BELOW;
    let own_priority = wanted.priority != DEFAULT_PRIORITY;
    let priority = (wanted.priority > 0)
        .then(|| realtime::set_fifo_priority(wanted.priority).err())
        .flatten()
        // standin.service gives the usual one from outside, once the run is ready.
        .filter(|_| own_priority || is_short && !service::is_managed());
    let memory = wanted.lock_memory.and_then(|extent| {
        let refused = realtime::lock_memory(extent).err();
        refused.filter(|_| is_short || extent == realtime::Extent::All)
    });
    let told =
        |error: Error| format!("a busy host may be late for its own dead-after: cannot {error}");
    let mut sentences: Vec<String> = [priority, memory].into_iter().flatten().map(told).collect();
    sentences.extend(missing(&wanted.cpus).map(|why| format!("[realtime] cpus: {why}")));
    sentences
}

/// Keeps to the processors of the file, once every other thread has begun: they are inherited.
pub fn keep_to_processors(file: &ClusterFile) {
    let may: Vec<u16> = realtime::processors().unwrap_or_default();
    let cpus: Vec<u16> =
        file.realtime.cpus.iter().copied().filter(|cpu| may.contains(cpu)).collect();
    if !cpus.is_empty() {
        // What is not there was told of; to run anywhere is no fault.
        let _ = realtime::run_on(&cpus);
    }
}

/// Which processors are asked for and cannot be had here, and what follows; none when all can.
pub fn missing(cpus: &[u16]) -> Option<String> {
    let may = realtime::processors().ok()?;
    let (here, gone): (Vec<u16>, Vec<u16>) = cpus.iter().partition(|cpu| may.contains(cpu));
    if gone.is_empty() {
        return None;
    }
    let list = |cpus: &[u16]| cpus.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let what = if here.is_empty() {
        "any processor is used".to_owned()
    } else {
        format!("processor {} is used", list(&here))
    };
    Some(format!("this process may not run on processor {}: {what}", list(&gone)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_that_is_not_there_is_named() {
        let may = realtime::processors().expect("the kernel tells");
        let here = *may.first().expect("one at least");
        assert_eq!(missing(&[]), None);
        assert_eq!(missing(&[here]), None);
        let why = missing(&[here, 1023]).expect("nobody has so many");
        assert_eq!(
            why,
            format!("this process may not run on processor 1023: processor {here} is used")
        );
        assert!(missing(&[1023]).is_some_and(|why| why.ends_with("any processor is used")));
    }

    #[test]
    fn a_thread_keeps_to_a_processor_and_others_do_not() {
        let may = realtime::processors().expect("the kernel tells");
        let first = may[0];
        let kept = std::thread::spawn(move || {
            realtime::run_on(&[first]).expect("it may run there");
            realtime::processors()
        });
        assert_eq!(kept.join().expect("no panic").ok(), Some(vec![first]));
        assert_eq!(realtime::processors().ok(), Some(may));
        let refused = realtime::run_on(&[]).expect_err("somewhere it has to run");
        assert_eq!(refused.errno(), Some(22));
    }
}
