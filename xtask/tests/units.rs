//! The systemd units: read without complaint, and exposed as little as is promised.
//!
//! Skipped, with a word, where there is no `systemd-analyze`; `cargo xtask ci` installs it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What `systemd-analyze security` may say at most, of 10.
const EXPOSURE_MOST: f64 = 2.0;
const UNITS: [&str; 2] = ["standin.service", "standin-witness.service"];

fn unit(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/systemd").join(name)
}

fn analyze(arguments: &[&str], unit: &Path) -> Option<Output> {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    if output.is_err() {
        eprintln!("skipped: there is no systemd-analyze");
    }
    output.ok()
}

#[test]
fn the_units_are_exposed_as_little_as_promised() {
    for name in UNITS {
        let Some(output) = analyze(&["security", "--offline=true", "--no-pager"], &unit(name))
        else {
            return;
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|line| line.contains("Overall exposure level"));
        let line = line.unwrap_or_else(|| panic!("no level in {text}"));
        println!("{line}");
        let level = line.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
        let level: f64 = level.and_then(|word| word.parse().ok()).expect("a level");
        assert!(level <= EXPOSURE_MOST, "{name}: {level} of 10\n{text}");
    }
}

#[test]
fn every_line_of_the_units_means_something_to_systemd() {
    for name in UNITS {
        let Some(output) = analyze(&["verify", "--man=no"], &unit(name)) else { return };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        // The program is not installed where this runs; that is all that may be wrong.
        let wrong: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("standin") && !line.contains("/usr/bin/standin is not"))
            .collect();
        assert!(wrong.is_empty(), "{name}: {wrong:#?}");
    }
}

#[test]
fn a_line_that_means_nothing_would_be_seen() {
    let directory = std::env::temp_dir().join(format!("standin-units-{}", std::process::id()));
    std::fs::create_dir(&directory).expect("a directory");
    let path = directory.join("standin-wrong.service");
    std::fs::write(&path, "[Service]\nExecStart=/bin/true\nNoNewPriviledges=yes\n")
        .expect("a unit");
    let output = analyze(&["verify", "--man=no"], &path);
    std::fs::remove_dir_all(&directory).expect("the directory is ours");
    let Some(output) = output else { return };
    assert!(String::from_utf8_lossy(&output.stderr).contains("NoNewPriviledges"), "{output:?}");
}

/// A restart keeps what a stop hands over: the two signals are told apart by systemd itself.
#[test]
fn a_restart_is_told_from_a_stop() {
    let text = std::fs::read_to_string(unit("standin.service")).expect("the unit");
    for line in ["KillSignal=SIGTERM", "RestartKillSignal=SIGUSR2", "KillMode=mixed"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}
