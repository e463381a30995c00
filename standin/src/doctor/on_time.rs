//! `[realtime]`: what this host grants of it.

use standin_sys::capability::{Capabilities, Capability};

use super::{Finding, Findings};
use crate::file::{ClusterFile, DEFAULT_PRIORITY};
use crate::on_time::{self, NEEDS_PRIORITY_BELOW};

/// Judges what keeps the loop that decides from being late.
pub fn judge(file: &ClusterFile, findings: &mut Findings) {
    let wanted = &file.realtime;
    if let Some(why) = on_time::missing(&wanted.cpus) {
        findings.push(
            Finding::warn("rights", "cpus", why)
                .to_do("name processors of this host in [realtime], or none"),
        );
    }
    let Ok(effective) = Capabilities::effective() else { return };
    let needed = [
        (wanted.priority > 0, Capability::SysNice),
        (wanted.lock_memory.is_some(), Capability::IpcLock),
    ];
    let needed: Vec<Capability> =
        needed.into_iter().filter(|(is, _)| *is).map(|(_, capability)| capability).collect();
    let late = effective.missing(&needed);
    let is_short = file.timing.dead_after < NEEDS_PRIORITY_BELOW;
    if (is_short || wanted.priority != DEFAULT_PRIORITY) && !late.is_empty() {
        let names: Vec<&str> = late.iter().map(|one| one.name()).collect();
        let names = names.join(" and ");
        let why = if is_short { "dead-after is short" } else { "[realtime] asks for a priority" };
        findings.push(
            Finding::warn("rights", "real time", format!("{why}, and {names} missing: a busy host may be late"))
                .to_do("run the daemon with CAP_SYS_NICE and CAP_IPC_LOCK, or choose a dead-after of 100ms or more"),
        );
    }
}
