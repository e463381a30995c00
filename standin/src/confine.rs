//! What a run gives up before its second thread begins.
//!
//! Owns the choice; the means are [`standin_sys::confine`]'s. What is given up is inherited by every
//! program that is started later, so how much it is depends on whether there are any: a run without
//! commands and hooks can neither start a program nor write a file; one with them leaves their
//! programs what these may need, but for a look at the key in our memory. Invariant: a run that could not give something up says so and goes
//! on, for it stands in for somebody.

use std::path::Path;

use standin_sys::confine::{self, Writable};

use crate::checks::Probe;
use crate::file::ClusterFile;
use crate::log::{Event, Level};

/// Whether a run gives anything up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sandbox {
    /// Everything that it can do without.
    Auto,
    /// Nothing: for a hook that needs what is given up.
    Off,
}

/// Whether a run with this file starts programs of the administrator's.
pub fn starts_programs(file: &ClusterFile) -> bool {
    let hooks = &file.hooks;
    let hooks =
        [&hooks.on_take, &hooks.on_release, &hooks.on_doubt, &hooks.on_conflict, &file.fence];
    hooks.iter().any(|hook| hook.is_some())
        || file.checks.iter().any(|named| is_program(&named.check.probe))
}

/// Whether a check is a program.
pub fn is_program(probe: &Probe) -> bool {
    matches!(probe, Probe::Command(_))
}

/// Gives up what a run of this kind can do without, and says what that was. Called while there is
/// one thread, after everything is open. `socket` is the control socket, whose file is removed at
/// the end.
pub fn confine(sandbox: Sandbox, starts_programs: bool, socket: Option<&Path>) -> Event {
    let told = |level, sentence: String| Event::new(level, "confined", sentence);
    if sandbox == Sandbox::Off {
        return told(Level::Info, "not at all, as was asked for (--sandbox off)".to_owned());
    }
    // Landlock first: the filter leaves it alone, but a refused filter must not cost it.
    let mut kept = Vec::new();
    let mut refused = Vec::new();
    let mut landlock = 0;
    // The key is in it.
    match confine::give_up_dumps() {
        Ok(()) => kept.push("nobody looks into its memory".to_owned()),
        Err(error) => refused.push(error.to_string()),
    }
    if starts_programs {
        kept.push("files stay open to the programs of checks and hooks".to_owned());
    } else {
        let directories = socket.and_then(Path::parent).map(Into::into).into_iter().collect();
        match confine::give_up_files(&Writable { directories }) {
            Ok(0) => refused.push("Landlock is not to be had here".to_owned()),
            Ok(version) => {
                landlock = version;
                kept.push(format!("files are only read (Landlock {version})"));
            }
            Err(error) => refused.push(error.to_string()),
        }
    }
    let filtered = match confine::give_up_calls(starts_programs) {
        Ok(()) => {
            let what = if starts_programs {
                "no way into the kernel or other processes (seccomp)"
            } else {
                "no program can be started (seccomp)"
            };
            kept.push(what.to_owned());
            true
        }
        Err(error) => {
            refused.push(error.to_string());
            false
        }
    };
    let sentence = kept.iter().chain(&refused).map(String::as_str).collect::<Vec<_>>().join("; ");
    // A kernel without these was chosen by somebody; nothing is to be done about it here.
    told(Level::Info, sentence).with("seccomp", filtered).with("landlock", landlock)
}
