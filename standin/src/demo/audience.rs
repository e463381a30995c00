//! The process that was started by hand: it opens the picture's file, makes the namespaces, starts
//! the story inside them as their process 1, and waits.
//!
//! It outlives the story, so it is the one to make sure that nothing stays behind: when the story's
//! process ends, the kernel kills everything in its process namespace; when this one is killed, the
//! kernel kills the story's.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use standin_sys::netns::{NamespaceError, UserNamespaceOptions, enter_user_namespace};
use standin_sys::poll::{Interest, Poller};
use standin_sys::process::{CommandExt, ProcessHandle};
use standin_sys::signal::{SIGHUP, SIGINT, SIGKILL, SIGTERM, Signals};
use standin_sys::sysctl;

use super::node::OURSELVES;
use super::options::DemoArgs;
use super::screen;
use crate::failure::{Code, Failure, Result, plain_io};
use crate::host::os;

/// What stops the demo.
pub const STOPPING: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];
/// The story has so long to end after a signal, then it is killed.
const FAREWELL: Duration = Duration::from_secs(2);
/// An exit status above it: a signal's number.
const BY_SIGNAL: u8 = 128;
const TOKEN_SIGNAL: u64 = 0;
const TOKEN_ENDED: u64 = 1;

/// Plays the whole story. The exit status is the story's.
///
/// # Errors
/// What is missing; nothing has happened then.
pub fn run(args: &DemoArgs) -> Result<ExitCode> {
    args.plan()?;
    let signals = Signals::block(&STOPPING).map_err(|error| os(&error))?;
    let picture = args.svg.as_deref().map(Picture::open).transpose()?;
    let played = play(&signals, picture.as_ref());
    if screen::is_live() {
        let mut out = io::stdout();
        let _ = out.write_all(screen::RESTORE.as_bytes()).and_then(|()| out.flush());
    }
    if let Some(picture) = picture
        && (!matches!(played, Ok(0)) || picture.is_empty())
    {
        picture.discard();
    }
    played.map(ExitCode::from)
}

fn play(signals: &Signals, picture: Option<&Picture>) -> Result<u8> {
    enter_namespaces()?;
    let stdin = match picture {
        Some(picture) => picture.as_stdin()?,
        None => Stdio::null(),
    };
    let mut stage = Command::new(OURSELVES);
    // Signals stay blocked over the start: one that comes now is read by the story.
    stage.arg0("standin").args(std::env::args_os().skip(1)).args(["--role", "stage"]);
    stage.stdin(stdin).die_with_parent();
    let stage = stage.spawn().map_err(|error| Failure::os("start the story", &error))?;
    wait(stage, signals)
}

/// Waits for the story's end, and hands signals on.
fn wait(mut stage: Child, signals: &Signals) -> Result<u8> {
    let handle = ProcessHandle::open(stage.id()).map_err(|error| os(&error))?;
    let mut poller = Poller::new().map_err(|error| os(&error))?;
    poller.add(signals, TOKEN_SIGNAL, Interest::Read).map_err(|error| os(&error))?;
    poller.add(&handle, TOKEN_ENDED, Interest::Read).map_err(|error| os(&error))?;
    let mut stopped: Option<(i32, Instant)> = None;
    loop {
        let patience = stopped.map(|(_, at)| FAREWELL.saturating_sub(at.elapsed()));
        let ready: Vec<_> = poller.wait(patience).map_err(|error| os(&error))?.collect();
        while let Some(received) = signals.take().map_err(|error| os(&error))? {
            stopped.get_or_insert((received.signal, Instant::now()));
            // It may have ended already.
            let _ = handle.send_signal(SIGTERM);
        }
        if ready.iter().any(|ready| ready.token == TOKEN_ENDED) {
            break;
        }
        if stopped.is_some_and(|(_, at)| at.elapsed() >= FAREWELL) {
            let _ = handle.send_signal(SIGKILL);
        }
    }
    let status = stage.wait().map_err(|error| Failure::os("wait for the story", &error))?;
    match stopped {
        Some((signal, _)) => Ok(BY_SIGNAL.saturating_add(signal.unsigned_abs() as u8)),
        None => code_of(status),
    }
}

fn code_of(status: ExitStatus) -> Result<u8> {
    status.code().and_then(|code| u8::try_from(code).ok()).ok_or_else(|| {
        let what = format!("somebody killed the story's process ({status}): it ends here");
        Failure::new(Code::TemporaryFailure, what)
    })
}

/// First as if we had no rights at all; where that is forbidden, with the rights root has.
fn enter_namespaces() -> Result<()> {
    let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let options = UserNamespaceOptions { processes: true, ..UserNamespaceOptions::default() };
    let Err(refusal) = enter_user_namespace(options) else { return Ok(()) };
    let with_rights = UserNamespaceOptions { keep_user_if_privileged: true, ..options };
    if root && enter_user_namespace(with_rights).is_ok() {
        return Ok(());
    }
    Err(explained(&refusal, root))
}

fn explained(refusal: &NamespaceError, root: bool) -> Failure {
    let NamespaceError::Forbidden { error, causes } = refusal else {
        return Failure::new(Code::OsError, format!("cannot {refusal}"));
    };
    let mut failure = Failure::new(
        Code::NoPermission,
        format!("the demo builds its network in namespaces, and this host forbids them: {error}"),
    );
    let mut named = false;
    let mut blame = |failure: Failure, setting: &str, value: &str, wanted: &str| {
        named = true;
        let number = if wanted.starts_with("more") { "15000" } else { wanted };
        failure.advice(format!(
            "{setting} is {value}, needs {wanted}: sudo sysctl -w {setting}={number}"
        ))
    };
    for cause in causes {
        failure = blame(failure, cause.setting, &cause.value, cause.wanted);
    }
    for setting in ["user.max_net_namespaces", "user.max_pid_namespaces"] {
        let value = sysctl::read(&setting.replace('.', "/")).unwrap_or_default();
        if value == "0" {
            failure = blame(failure, setting, &value, "more than 0");
        }
    }
    if !named {
        failure = failure.advice(
            "no setting known to forbid them does (kernel.unprivileged_userns_clone, \
             user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns): look for a \
             container's or a service's seccomp filter",
        );
    }
    if root {
        return failure.advice(
            "root lacks CAP_SYS_ADMIN here: in a container, start it with --cap-add SYS_ADMIN",
        );
    }
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("standin"));
    failure.advice(format!(
        "or run it as root, in network namespaces of its own all the same: sudo {} demo",
        program.display()
    ))
}

/// The file of the picture, open from the start so that it cannot fail at the end.
struct Picture {
    path: PathBuf,
    file: File,
    /// Nothing was there before.
    new: bool,
}

impl Picture {
    fn open(path: &Path) -> Result<Self> {
        let refused = |error: &io::Error| {
            let what = format!("cannot write {}: {}", path.display(), plain_io(error));
            Failure::new(Code::CannotCreate, what)
                .advice("name a file that can be written by --svg")
        };
        let path = path.to_owned();
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => Ok(Self { path, file, new: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // What is in it stays until there is a picture.
                let file = OpenOptions::new().write(true).open(&path);
                Ok(Self {
                    file: file.map_err(|error| refused(&error))?,
                    path: path.clone(),
                    new: false,
                })
            }
            Err(error) => Err(refused(&error)),
        }
    }

    /// The story writes the picture to its standard input: the one descriptor it has no other use
    /// for.
    fn as_stdin(&self) -> Result<Stdio> {
        let file = self.file.try_clone().map_err(|error| Failure::os("pass a file on", &error))?;
        Ok(file.into())
    }

    /// Nothing was written, as when the story's readers went away.
    fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|file| file.is_file() && file.len() == 0)
    }

    /// There is no picture.
    fn discard(self) {
        if self.new
            && let Err(error) = fs::remove_file(&self.path)
        {
            let why = plain_io(&error);
            let path = self.path.display();
            let _ = writeln!(io::stderr(), "standin: {path} is empty and cannot be removed: {why}");
        }
    }
}

#[cfg(test)]
mod tests {
    use standin_sys::Error;
    use standin_sys::netns::ForbiddenBy;

    use super::*;

    fn refused() -> Error {
        Error::new("enter a user namespace", io::Error::from_raw_os_error(1))
    }

    #[test]
    fn a_refusal_names_the_setting_and_the_way_round() {
        let causes = vec![ForbiddenBy {
            setting: "user.max_user_namespaces",
            value: "0".into(),
            wanted: "more than 0",
        }];
        let error = refused();
        let text = explained(&NamespaceError::Forbidden { error, causes }, false).to_string();
        assert!(text.contains("user.max_user_namespaces is 0, needs more than 0"), "{text}");
        assert!(text.contains("sudo sysctl -w user.max_user_namespaces=15000"), "{text}");
        assert!(text.contains("run it as root") && text.contains(" demo"), "{text}");
    }

    #[test]
    fn a_refusal_without_a_known_cause_says_where_to_look() {
        let error = refused();
        let refusal = NamespaceError::Forbidden { error, causes: vec![] };
        let text = explained(&refusal, true).to_string();
        assert!(text.contains("seccomp") && text.contains("CAP_SYS_ADMIN"), "{text}");
        assert!(!text.contains("sudo"), "{text}");
    }

    #[test]
    fn a_file_that_was_there_is_left_as_it_was() {
        let directory = std::env::temp_dir().join(format!("standin-demo-{}", std::process::id()));
        fs::create_dir(&directory).expect("a directory");
        let (old, new) = (directory.join("old"), directory.join("new"));
        fs::write(&old, "precious").expect("a file");
        Picture::open(&old).expect("opens").discard();
        assert_eq!(fs::read_to_string(&old).expect("still there"), "precious");
        let picture = Picture::open(&new).expect("opens");
        assert!(new.exists());
        picture.discard();
        assert!(!new.exists());
        let Err(failure) = Picture::open(&directory) else { panic!("a directory is no file") };
        assert_eq!(failure.code(), Code::CannotCreate);
        assert!(Picture::open(Path::new("/nonexistent/x.svg")).is_err());
        fs::remove_dir_all(&directory).expect("removes");
    }
}
