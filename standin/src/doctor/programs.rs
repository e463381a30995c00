//! What the file names on this host beside the network: hooks, commands, certificates, a group.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Finding, Findings, Patient};
use crate::checks::{self, Probe};
use crate::control::group_named;

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
        if let Probe::Command(command) = &check.check.probe {
            if command.program.starts_with('/') {
                program(patient, "check", &check.name, Path::new(&command.program), findings);
            } else if !is_on_path(patient, &command.program) {
                let what =
                    format!("there is no program '{}' where this check looks", command.program);
                let to_do =
                    "install it, or name it with its whole path: the service has a PATH of its own";
                findings.push(Finding::warn("check", &check.name, what).to_do(to_do));
            }
        }
        // Reads the certificates that an HTTPS check needs.
        if let Err(failure) = checks::prober(check) {
            findings.push(Finding::failure("check", &check.name, &failure));
        }
    }
    if let Some(group) = &patient.file.control.group {
        let groups = patient.files.read("/etc/group").unwrap_or_default();
        if let Err(failure) = group_named(&groups, group) {
            findings.push(Finding::failure("control", group, &failure));
        }
    }
}

/// Whether a program that is named without its directory would be found.
fn is_on_path(patient: &Patient<'_, '_>, program: &str) -> bool {
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories)
        .any(|directory| patient.files.path(directory.join(program)).is_file())
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
