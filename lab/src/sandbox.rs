//! Where one case runs: a process with its own user, network, mount and process namespaces.
//!
//! Owns the way in and the way out. The runner starts *outer*, which enters the namespaces and
//! starts *inner*, process 1 of the new process namespace; the case runs in inner. Each dies with
//! its parent by the kernel's hand, and with process 1 dies every process of the namespace. Files
//! are written to a file system in memory that only the mount namespace has.
//!
//! Invariant: a case leaves no process, no file, no interface and no rule behind, also when any of
//! the three is killed.

use std::fs;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use standin_sys::netns::{UserNamespaceOptions, enter_user_namespace};
use standin_sys::process::{CommandExt, set_parent_death_signal};
use standin_sys::signal::SIGKILL;

/// The first argument of outer and of inner.
pub const OUTER: &str = "outer";
pub const INNER: &str = "inner";
/// Set: a root that runs the lab keeps its user namespace.
pub const KEEP_USER: &str = "STANDIN_LAB_KEEP_USER";
/// Where files are written; gone with the case.
pub const DIRECTORY: &str = "/run/standin-lab";

/// Names that resolve in every case; the topology uses the same addresses.
const HOSTS: &str = "127.0.0.1 localhost\n10.9.0.2 pinky\n10.9.0.3 brain\n10.9.0.4 snowball\n\
                     fd09::2 pinky6\nfd09::3 brain6\n";

/// Enters the namespaces, runs inner with the same arguments and ends as it ends.
pub fn outer(arguments: &[String]) -> Result<ExitCode> {
    let options = UserNamespaceOptions {
        mounts: true,
        processes: true,
        keep_user_if_privileged: std::env::var_os(KEEP_USER).is_some(),
    };
    enter_user_namespace(options)
        .context("the lab needs user namespaces, or root and --keep-user")?;
    // Entering may have cleared what the runner asked for.
    set_parent_death_signal(SIGKILL)?;
    let myself = std::env::current_exe().context("where this program is")?;
    let mut command = Command::new(myself);
    command.arg(INNER).args(arguments).die_with_parent();
    let status = command.status().context("the case's process did not start")?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(70)))
}

/// Prepares the file system of inner.
pub fn prepare_files() -> Result<()> {
    tool(&["mount", "-t", "tmpfs", "-o", "mode=0755", "standin-lab", "/run"], "mount")?;
    fs::create_dir(DIRECTORY).context(DIRECTORY)?;
    let hosts = format!("{DIRECTORY}/hosts");
    fs::write(&hosts, HOSTS).context("write the hosts file")?;
    tool(&["mount", "--bind", &hosts, "/etc/hosts"], "mount")
}

/// Runs a program of the machine to its end.
pub fn tool(words: &[&str], package: &str) -> Result<()> {
    let [program, arguments @ ..] = words else { bail!("no program is named") };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{program} did not start: install the package {package}"))?;
    if !output.status.success() {
        bail!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Fails with the package's name where a program is missing.
pub fn require(program: &str, package: &str) -> Result<()> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|directory| directory.join(program).is_file());
    anyhow::ensure!(found, "{program} is missing: install the package {package}");
    Ok(())
}
