//! `cargo xtask deb`: the Debian package, and what it does on a machine.
//!
//! Owns the order: the release binary, the manual, cargo-deb. `--test` plays a whole life of the
//! package (install, start, upgrade, restart, stop, purge) with a real systemd on a stage of its own:
//! a copy of this machine's file system in memory, in namespaces. Nothing on the machine is touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::man;
use crate::workspace::{self, Workspace};

/// What to do beside building.
#[derive(Args)]
pub struct Options {
    /// Play the package's life with systemd, in namespaces; needs root.
    #[arg(long)]
    pub test: bool,
}

/// Builds the package and says where it is.
pub fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    parts(workspace)?;
    let package = build(workspace, "1")?;
    println!("the package is {}", package.display());
    if options.test {
        // The same program under a later number: an upgrade.
        let next = build(workspace, "2")?;
        let stage = workspace.root().join("packaging/debian/test/stage.sh");
        workspace::run(workspace.command("bash").arg(stage).args([package, next]))?;
    }
    Ok(())
}

/// What a package is made of: the release binary, the manual pages and the completions.
pub fn parts(workspace: &Workspace) -> Result<()> {
    workspace.cargo(&["build", "--release", "--locked", "--package", "standin"])?;
    compress(&man::write(workspace)?)
}

/// As Debian wants its manual pages: without a date, so that the same text is the same package.
fn compress(manual: &Path) -> Result<()> {
    let mut pages = Vec::new();
    for entry in manual.read_dir().context(manual.display().to_string())? {
        let page = entry?.path();
        if page.extension().is_some_and(|section| section == "1" || section == "5") {
            pages.push(page);
        }
    }
    let mut gzip = Command::new("gzip");
    workspace::run(gzip.args(["--best", "--no-name", "--force", "--keep"]).args(pages))
}

fn build(workspace: &Workspace, revision: &str) -> Result<PathBuf> {
    cargo_deb(workspace)?;
    let directory = workspace.target().join("debian");
    std::fs::create_dir_all(&directory).context(directory.display().to_string())?;
    let package = directory.join(format!("standin_{revision}.deb"));
    let shown = package.display().to_string();
    let arguments = ["deb", "--package", "standin", "--no-build", "--no-strip", "--output", &shown];
    workspace.cargo(&[&arguments[..], &["--deb-revision", revision]].concat())?;
    Ok(package)
}

fn cargo_deb(workspace: &Workspace) -> Result<()> {
    let version = workspace.command(&workspace::cargo()).args(["deb", "--version"]).output();
    if version.is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    workspace.cargo(&["install", "cargo-deb", "--locked"])
}
