//! Other programs that add or remove addresses on this host.
//!
//! Seen by what they leave below `/run` and by their processes in `/proc`; nothing is asked of
//! them.

use std::fs;

use super::interfaces::Used;
use super::{Files, Finding, Findings, Patient};

/// Programs that move addresses themselves, by the name of their process (at most 15 characters).
const MOVERS: [&str; 10] = [
    "keepalived",
    "ucarp",
    "vrrpd",
    "corosync",
    "pacemakerd",
    "ctdbd",
    "wackamole",
    "kube-vip",
    "vip-manager",
    "heartbeat",
];

/// Judges what runs beside standin.
pub fn judge(patient: &Patient<'_, '_>, used: &[Used], findings: &mut Findings) {
    let before = findings.iter().count();
    let running = processes(patient.files);
    for mover in MOVERS.iter().filter(|mover| running.iter().any(|name| name == *mover)) {
        findings.push(
            Finding::warn(
                "manager",
                mover,
                format!("{mover} is running, which moves addresses too"),
            )
            .to_do("make sure that it has none of the VIPs of this file"),
        );
    }
    for interface in used {
        networkd(patient.files, interface, findings);
        network_manager(patient.files, interface, findings);
    }
    if findings.iter().count() == before {
        findings.ok("manager", "addresses", "no other program was seen that moves or strips them");
    }
}

/// The names of all processes that can be seen.
fn processes(files: &Files) -> Vec<String> {
    let Ok(entries) = fs::read_dir(files.path("/proc")) else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .filter_map(|entry| fs::read_to_string(entry.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .collect()
}

/// systemd-networkd keeps a file per link; when it starts again or is told to reconfigure a link,
/// it removes what it did not add, unless `KeepConfiguration=` says otherwise.
fn networkd(files: &Files, interface: &Used, findings: &mut Findings) {
    let Ok(state) = files.read(format!("/run/systemd/netif/links/{}", interface.index)) else {
        return;
    };
    let value = |key: &str| {
        state.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    let network_file = value("NETWORK_FILE");
    if matches!(value("ADMIN_STATE"), "unmanaged" | "") || keeps(files, network_file) {
        return;
    }
    let name = &interface.name;
    let place = if network_file.is_empty() { "its .network file" } else { network_file };
    findings.push(
        Finding::warn("manager", name, "systemd-networkd removes addresses that it did not add when it restarts; standin puts them back, after a gap")
            .to_do(format!("in {place}, section [Network]: KeepConfiguration=yes")),
    );
}

/// Whether a `.network` file, or one of its drop-ins, keeps foreign addresses.
fn keeps(files: &Files, network_file: &str) -> bool {
    if network_file.is_empty() {
        return false;
    }
    let mut texts: Vec<String> = files.read(network_file).into_iter().collect();
    let name = network_file.rsplit('/').next().unwrap_or_default();
    for directory in ["/etc/systemd/network", "/run/systemd/network", "/usr/lib/systemd/network"] {
        let drop_ins = files.path(format!("{directory}/{name}.d"));
        let entries = fs::read_dir(drop_ins).into_iter().flatten().flatten();
        texts.extend(entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()));
    }
    let keeps = |line: &str| {
        let setting = line.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        matches!(setting, Some(("KeepConfiguration", "yes" | "true" | "1" | "on" | "static")))
    };
    texts.iter().any(|text| text.lines().any(keeps))
}

/// `NetworkManager` keeps a file per device.
fn network_manager(files: &Files, interface: &Used, findings: &mut Findings) {
    let Ok(state) = files.read(format!("/run/NetworkManager/devices/{}", interface.index)) else {
        return;
    };
    if !state.lines().any(|line| matches!(line.trim(), "managed=true" | "managed=1")) {
        return;
    }
    let name = &interface.name;
    findings.push(
        Finding::warn("manager", name, "NetworkManager removes addresses that it did not add when it restarts or reconnects; standin puts them back, after a gap")
            .to_do(format!("nmcli device set {name} managed no, and for good in /etc/NetworkManager/conf.d: [keyfile] unmanaged-devices=interface-name:{name}")),
    );
}
