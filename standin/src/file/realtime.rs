//! `[realtime]`: what keeps the loop that decides from being late on a busy host.

use std::collections::BTreeSet;

use standin_sys::realtime::Extent;

use super::keys::Section;
use super::model::Realtime;
use super::problem::{Problem, Problems};
use super::reader::{Table, Text, word};
use super::settings::with_table;

/// Below the kernel's own threads that serve interrupts, which have 50: without them nothing arrives.
const MOST_PRIORITY: u32 = 49;
/// Below those, and above what else is real-time by default.
pub const DEFAULT_PRIORITY: u8 = 20;
/// As many as the kernel's call knows.
const MOST_CPUS: u16 = 1024;
const EXTENTS: [(&str, Option<Extent>); 3] =
    [("used", Some(Extent::Used)), ("all", Some(Extent::All)), ("none", None)];

/// Reads `[realtime]`.
pub fn realtime(top: &Table<'_>, problems: &mut Problems) -> Realtime {
    with_table(top, "realtime", Section::Realtime, problems, |table, problems| {
        let priority = table.get("priority");
        let priority = priority.and_then(|value| value.number(0..=MOST_PRIORITY, problems));
        let extent = table.text("lock-memory", problems);
        let extent = extent.and_then(|text| word(text, &EXTENTS, problems));
        let cpus = table.text("cpus", problems).and_then(|text| cpus(text, problems));
        Realtime {
            priority: priority.map_or(DEFAULT_PRIORITY, |priority| priority as u8),
            lock_memory: extent.unwrap_or(Some(Extent::Used)),
            cpus: cpus.unwrap_or_default(),
        }
    })
}

/// Numbers and ranges, as `taskset --cpu-list` takes them.
fn cpus(text: Text<'_>, problems: &mut Problems) -> Option<Vec<u16>> {
    let mut found = BTreeSet::new();
    for part in text.text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().ok().filter(|cpu| *cpu < MOST_CPUS);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => found.extend(first..=last),
            _ => {
                problems.push(
                    Problem::error(text.span(), format!("'{part}' is no processor"))
                        .label("expected numbers and ranges, such as \"2\" or \"2-3,6\"")
                        .help("they are counted from 0, as in /proc/cpuinfo"),
                );
                return None;
            }
        }
    }
    Some(found.into_iter().collect())
}
