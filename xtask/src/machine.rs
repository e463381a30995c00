//! What the machine must have before anything can be tested: programs and toolchain components.
//!
//! Owns the list and the way to complete it. Looks for the program, never for the package, since
//! several packages may bring it; installs only what is missing, and only as root.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::workspace::{self, Workspace};

/// A program, the Debian package that brings it, and who runs it.
struct Program {
    name: &'static str,
    package: &'static str,
    used_by: &'static str,
}

const PROGRAMS: &[Program] = &[
    Program { name: "cc", package: "gcc", used_by: "the linker, ring, and spin" },
    Program { name: "ip", package: "iproute2", used_by: "the lab, to look from outside" },
    Program { name: "nft", package: "nftables", used_by: "the lab's packet loss and cut links" },
    Program { name: "nginx", package: "nginx-light", used_by: "a web server that is not ours" },
    Program { name: "ping", package: "iputils-ping", used_by: "the article's script" },
    Program { name: "arping", package: "iputils-arping", used_by: "the article's script" },
    Program { name: "ifconfig", package: "net-tools", used_by: "the article's script" },
    Program { name: "systemd-analyze", package: "systemd", used_by: "the units' exposure" },
    Program {
        name: "chromium-headless-shell",
        package: "chromium-headless-shell",
        used_by: "the lab, to look at the page",
    },
    Program { name: "promtool", package: "prometheus", used_by: "tests of the metrics" },
    Program { name: "prometheus", package: "prometheus", used_by: "the lab, to scrape us" },
    Program { name: "valgrind", package: "valgrind", used_by: "bench, to count instructions" },
    Program { name: "spin", package: "spin", used_by: "the models of the lease" },
    Program { name: "ucarp", package: "ucarp", used_by: "bench, to compare" },
    Program { name: "keepalived", package: "keepalived", used_by: "bench, and its samples" },
];

/// Where Debian puts administrators' programs, which an ordinary user's PATH leaves out.
const SYSTEM_DIRECTORIES: &[&str] = &["/usr/sbin", "/sbin", "/usr/local/sbin"];

/// Makes sure that every program and toolchain component is there.
pub fn prepare(workspace: &Workspace) -> Result<()> {
    components(workspace)?;
    let missing: Vec<&Program> = PROGRAMS.iter().filter(|program| !found(program.name)).collect();
    if missing.is_empty() {
        println!("{} programs found, none missing", PROGRAMS.len());
        return Ok(());
    }
    for program in &missing {
        println!("missing: {} ({}), for {}", program.name, program.package, program.used_by);
    }
    let packages: Vec<&str> = missing.iter().map(|program| program.package).collect();
    if !is_root()? {
        bail!(
            "{} missing and only root can install them; run\n    sudo apt-get update && \
             sudo apt-get install --no-install-recommends {}",
            packages.len(),
            packages.join(" ")
        );
    }
    install(workspace, &packages)?;
    match missing.iter().find(|program| !found(program.name)) {
        Some(program) => {
            bail!("the package {} did not bring the program {}", program.package, program.name)
        }
        None => Ok(()),
    }
}

fn install(workspace: &Workspace, packages: &[&str]) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = workspace.command("apt-get");
        workspace::run(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    apt(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

/// rustfmt and clippy are separate components, which a minimal toolchain lacks.
fn components(workspace: &Workspace) -> Result<()> {
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        workspace
            .cargo(&[subcommand, "--version"])
            .with_context(|| format!("run `rustup component add {component}`"))?;
    }
    Ok(())
}

/// Whether `program` is an executable file on the PATH or where Debian puts system programs.
pub fn found(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.iter().map(Into::into))
        .any(|directory| executable(&directory.join(program)))
}

fn executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The owner of our own `/proc` entry is our effective user.
fn is_root() -> Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let entry = Path::new("/proc/self").metadata().context("/proc is not mounted")?;
    Ok(entry.uid() == 0)
}
