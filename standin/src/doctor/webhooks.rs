//! `[[webhook]]`: whether its secret and its certificates can be used, and whether its host is known
//! by name. Sends nothing: a receiver is not woken by a check.

use super::names::ask;
use super::{Finding, Findings, Patient, secrets};
use crate::checks::url::Host;
use crate::file::{ClusterFile, Webhook};
use crate::notify;

/// Judges the files that the webhooks need.
pub fn judge(patient: &Patient<'_, '_>, findings: &mut Findings) {
    for webhook in &patient.file.webhooks {
        let here = Webhook {
            secret_file: webhook.secret_file.as_ref().map(|path| patient.files.path(path)),
            ca_file: webhook.ca_file.as_ref().map(|path| patient.files.path(path)),
            ..webhook.clone()
        };
        if let Err(failure) = notify::judge(std::slice::from_ref(&here)) {
            findings.push(Finding::failure("webhook", &webhook.name, &failure));
            continue;
        }
        let before = findings.iter().count();
        if let Some(path) = &here.secret_file
            && let Ok(metadata) = path.metadata()
        {
            let users = patient.files.read("/etc/passwd").unwrap_or_default();
            let shown = path.display().to_string();
            let finding = secrets::unreadable_for_service("webhook", &shown, &metadata, &users);
            findings.extend(finding);
        }
        if here.secret_file.is_none() && !here.url.tls {
            findings.push(
                Finding::warn(
                    "webhook",
                    &webhook.name,
                    "neither signed nor encrypted: whoever is in between reads and forges events",
                )
                .to_do("secret-file = \"/etc/standin/webhook-secret\", or an https:// URL"),
            );
        }
        if findings.iter().count() == before {
            let how = if here.secret_file.is_some() { "signed" } else { "not signed" };
            let kinds = crate::file::counted(webhook.events.len(), "kind");
            findings.ok("webhook", &webhook.name, format!("{kinds} of events are sent, {how}"));
        }
    }
}

/// Asks for the hosts' names.
pub fn judge_names(file: &ClusterFile, findings: &mut Findings) {
    for webhook in &file.webhooks {
        let Host::Name(name) = &webhook.url.host else { continue };
        match ask(name) {
            Ok(_) => findings.ok("webhook", &webhook.name, format!("the name {name} is known")),
            Err(why) => findings.push(
                Finding::warn("webhook", &webhook.name, why)
                    .to_do("events wait for as long as retry-for until the name is known"),
            ),
        }
    }
}
