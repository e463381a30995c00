//! What the file names on this host beside the network: hooks, commands, certificates, a group.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Finding, Findings, Patient};
use crate::checks::{self, Probe};

/// Judges that all of it is there.
pub fn judge(patient: &Patient<'_, '_>, findings: &mut Findings) {
    let hooks = &patient.file.hooks;
    let named = [
        ("on-take", &hooks.on_take),
        ("on-release", &hooks.on_release),
        ("on-doubt", &hooks.on_doubt),
        ("on-conflict", &hooks.on_conflict),
    ];
    for (name, command) in named {
        if let Some(command) = command {
            program(patient, "hook", name, &command.program, findings);
        }
    }
    for check in &patient.file.checks {
        if let Probe::Command(command) = &check.check.probe
            && command.program.starts_with('/')
        {
            program(patient, "check", &check.name, Path::new(&command.program), findings);
        }
        // Reads the certificates that an HTTPS check needs.
        if let Err(failure) = checks::probers(std::slice::from_ref(&check.check)) {
            findings.push(Finding::failure("check", &check.name, &failure));
        }
    }
    if let Some(group) = &patient.file.control.group {
        let groups = patient.files.read("/etc/group").unwrap_or_default();
        let is_there = groups.lines().any(|line| line.split(':').next() == Some(group));
        if !is_there {
            findings.push(
                Finding::fail("control", group, "there is no such group in /etc/group")
                    .to_do(format!("groupadd --system {group}, or another group in [control]")),
            );
        }
    }
}

fn program(
    patient: &Patient<'_, '_>,
    topic: &'static str,
    name: &str,
    path: &Path,
    findings: &mut Findings,
) {
    let shown = path.display();
    let metadata = std::fs::metadata(patient.files.path(path));
    let why = match metadata {
        Err(error) => crate::failure::plain_io(&error),
        Ok(metadata) if !metadata.is_file() => "not a file".to_owned(),
        Ok(metadata) if metadata.permissions().mode() & 0o111 == 0 => "not executable".to_owned(),
        Ok(_) => {
            findings.ok(topic, name, format!("{shown} is there"));
            return;
        }
    };
    findings.push(Finding::fail(topic, name, format!("{shown}: {why}")));
}
