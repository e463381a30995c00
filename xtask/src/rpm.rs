//! `cargo xtask rpm`: the RPM package, looked into by rpm itself.
//!
//! Owns the order, and the list of what has to be inside. It is never installed here: its scripts do
//! what those of the Debian package do, and that one's life is played.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::deb;
use crate::workspace::{self, Workspace};

/// Without one of these the package is not whole.
const INSIDE: [&str; 10] = [
    "/usr/bin/standin",
    "/usr/lib/systemd/system/standin.service",
    "/usr/lib/systemd/system/standin-witness.service",
    "/usr/lib/sysusers.d/standin.conf",
    "/usr/share/bash-completion/completions/standin",
    "/usr/share/doc/standin/examples/quorum.toml",
    "/usr/share/fish/vendor_completions.d/standin.fish",
    "/usr/share/man/man1/standin.1.gz",
    "/usr/share/man/man5/standin.toml.5.gz",
    "/usr/share/zsh/site-functions/_standin",
];

/// Builds the package, looks into it and says where it is.
pub fn run(workspace: &Workspace) -> Result<()> {
    deb::parts(workspace)?;
    let version =
        workspace.command(&workspace::cargo()).args(["generate-rpm", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        workspace.cargo(&["install", "cargo-generate-rpm", "--locked"])?;
    }
    let package = path(workspace);
    let shown = package.display().to_string();
    workspace.cargo(&["generate-rpm", "--package", "standin", "--output", &shown])?;
    let listed = workspace.command("rpm").args(["--query", "--list", "--package", &shown]).output();
    let listed = listed.context("rpm did not start: install the package rpm")?;
    ensure!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let text = String::from_utf8_lossy(&listed.stdout);
    for file in INSIDE {
        ensure!(text.lines().any(|line| line == file), "{file} is not in the package:\n{text}");
    }
    println!("the package is {shown}: {} files", text.lines().count());
    Ok(())
}

fn path(workspace: &Workspace) -> PathBuf {
    workspace.target().join("standin.rpm")
}
