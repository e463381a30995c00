//! What a process has given up is gone, for its programs too; what it needs is not.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use standin_sys::confine::{self, Writable};
use standin_sys::netns::{UserNamespaceOptions, enter_user_namespace};

use crate::Case;

/// The arguments that make this program the process that gives something up.
pub const ALONE: &str = "--confined-without-programs";
pub const WITH_PROGRAMS: &str = "--confined-with-programs";

pub const CASES: &[Case] = &[
    ("confine: without programs nothing is started or written", || child(ALONE)),
    ("confine: programs still run, and reach no other process", || child(WITH_PROGRAMS)),
];

/// Giving up is for ever, so another process does it.
fn child(role: &str) {
    let program = std::env::current_exe().unwrap();
    let directory = std::env::temp_dir().join(format!("standin-confine-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let output = Command::new(program).arg(role).arg(&directory).output().unwrap();
    fs::remove_dir(&directory).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

pub fn alone() -> ExitCode {
    // Nothing but the parent can remove it.
    let directory = PathBuf::from(std::env::args().nth(2).unwrap());
    let (inside, outside) = (directory.join("socket"), std::env::temp_dir().join("standin-no"));
    let version = confine::give_up_files(&Writable { directories: vec![directory.clone()] });
    let version = version.unwrap();
    assert!(!confine::is_filtered());
    confine::give_up_calls(false).unwrap();
    assert!(confine::is_filtered());
    assert!(Command::new("/bin/true").status().is_err(), "a program was started");
    assert!(enter_user_namespace(UserNamespaceOptions::default()).is_err());
    fs::read_to_string("/etc/passwd").unwrap();
    std::thread::spawn(|| fs::read_to_string("/proc/self/status").unwrap()).join().unwrap();
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // A kernel without Landlock leaves the files alone, and says so.
    assert_eq!(version, confine::landlock_version());
    if version > 0 {
        assert!(fs::write(&outside, "x").is_err(), "{} was written", outside.display());
        drop(std::os::unix::net::UnixListener::bind(&inside).unwrap());
        fs::remove_file(&inside).unwrap();
    }
    ExitCode::SUCCESS
}

/// What another process of the same user without rights would be shown of this one.
fn is_dumpable() -> bool {
    rustix::process::dumpable_behavior().unwrap() != rustix::process::DumpableBehavior::NotDumpable
}

pub fn with_programs() -> ExitCode {
    assert!(is_dumpable());
    confine::give_up_dumps().unwrap();
    assert!(!is_dumpable());
    confine::give_up_calls(true).unwrap();
    assert!(Command::new("/bin/true").status().unwrap().success());
    let mut inherits = Command::new("grep");
    inherits.args(["-q", "^Seccomp:.2", "/proc/self/status"]);
    assert!(inherits.status().unwrap().success());
    // What the administrator's programs may need stays.
    enter_user_namespace(UserNamespaceOptions::default()).unwrap();
    ExitCode::SUCCESS
}
