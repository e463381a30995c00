//! The key file, and a configuration file that holds a password.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::{Finding, Findings, Patient};
use crate::checks::Probe;
use crate::checks::url::Url;
use crate::keygen::{self, Keys, Role};

/// Judges who may read what is secret.
pub fn judge(patient: &Patient<'_, '_>, findings: &mut Findings) {
    let path = patient.files.path(&patient.file.key_file);
    let shown = patient.file.key_file.display().to_string();
    let keys = match Keys::read(&path) {
        Ok(keys) => keys,
        Err(failure) => {
            findings.push(Finding::failure("key", &shown, &failure));
            return;
        }
    };
    let before = findings.iter().count();
    if let Ok(metadata) = path.metadata() {
        let users = patient.files.read("/etc/passwd").unwrap_or_default();
        readers(&shown, &metadata, &users, findings);
    }
    if let Err(error) = keys.ring(&patient.file.cluster) {
        let failure = keygen::cannot_use(&patient.file.key_file, &error);
        findings.push(Finding::failure("key", &shown, &failure));
    } else if let Some((role, _)) = keys.second {
        findings.push(
            Finding::warn("key", &shown, under_way(role))
                .to_do("wait until every node has this file, and ran: standin reload")
                .to_do(format!("then, on one node: standin keygen {shown} --rotate")),
        );
    }
    if findings.iter().count() == before {
        findings.ok("key", &shown, "one key, for its owner only");
    }
    let holds_password = |probe: &Probe| match probe {
        Probe::Http(http) => http.url.authorization().is_some(),
        Probe::Tcp(_) | Probe::Dns(_) | Probe::Icmp(_) | Probe::Command(_) => false,
    };
    let secret = patient.file.checks.iter().find(|named| holds_password(&named.check.probe));
    if let Some(named) = secret {
        findings.push(Finding::warn(
            "key",
            &named.name,
            "the check's URL holds a password: the configuration file is for its owner only (mode 0600)",
        ));
    }
    let mut webhooks = patient.file.webhooks.iter();
    let holds_secret = |url: &Url| url.authorization().is_some() || url.path.query().is_some();
    if let Some(webhook) = webhooks.find(|webhook| holds_secret(&webhook.url)) {
        findings.push(Finding::warn(
            "key",
            &webhook.name,
            "the webhook's URL holds a password or a query: the configuration file is for its owner \
             only (mode 0600)",
        ));
    }
}

fn under_way(role: Role) -> &'static str {
    match role {
        Role::Next => {
            "a rotation is under way, after step 1 of 3: the next key is believed, not yet sent with"
        }
        Role::Previous => {
            "a rotation is under way, after step 2 of 3: the previous key is still believed"
        }
    }
}

/// That the daemon, as a service, cannot read a file that is for its owner and group.
pub fn unreadable_for_service(
    topic: &'static str,
    shown: &str,
    metadata: &Metadata,
    users: &str,
) -> Option<Finding> {
    let (service, _) = keygen::service_user(users)?;
    let is_read_by_group = metadata.mode() & 0o040 != 0;
    if service == metadata.uid() || is_read_by_group {
        return None;
    }
    let service_user = keygen::SERVICE_USER;
    let what = format!(
        "the user {service_user} ({service}), as whom standin.service runs, cannot read it"
    );
    Some(Finding::warn(topic, shown, what).to_do(format!("chown {service_user} {shown}")))
}

fn readers(shown: &str, metadata: &Metadata, users: &str, findings: &mut Findings) {
    let mode = metadata.mode() & 0o777;
    if mode & 0o007 != 0 {
        findings.push(
            Finding::fail(
                "key",
                shown,
                format!("mode {mode:04o}: everyone on this host can read it or change it"),
            )
            .to_do(format!("chmod 0600 {shown}"))
            .to_do(format!("and if others were on this host: standin keygen {shown} --rotate")),
        );
    } else if mode & 0o070 != 0 {
        findings.push(
            Finding::warn(
                "key",
                shown,
                format!("mode {mode:04o}: group {} has access to it", metadata.gid()),
            )
            .to_do(format!("chmod 0600 {shown}, unless the daemon runs with that group")),
        );
    }
    let me = standin_uid();
    let service = keygen::service_user(users).map(|(user, _)| user);
    let owner = metadata.uid();
    findings.extend(unreadable_for_service("key", shown, metadata, users));
    if owner != 0 && Some(owner) != me && Some(owner) != service {
        findings.push(
            Finding::warn("key", shown, format!("it belongs to user {}", metadata.uid()))
                .to_do(format!("chown root {shown}, or to the user that the daemon runs as")),
        );
    }
}

/// The user of this process, as the owner of its directory in `/proc` tells.
fn standin_uid() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|metadata| metadata.uid())
}
