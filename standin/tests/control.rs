//! The control socket, asked by the client and by hand.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use standin::control::{Access, Handler, Refusal, Server, ask, status};
use standin::failure::Code;
use tokio::sync::oneshot;

fn path(name: &str) -> PathBuf {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("control-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).expect("a directory");
    directory.join("s")
}

/// Answers `status` with one VIP and `may` with whether the asker may change something.
fn handler() -> Handler {
    Arc::new(|request| {
        let reply = match request.command.as_str() {
            "status" => Ok(json!({ "status": { "vips": [{ "address": "10.0.0.9" }] } })),
            "may" => Ok(json!({ "may": request.may_change })),
            "secret" => Err(Refusal::new(Code::NoPermission, "you may not ask that")),
            other => Err(Refusal::new(Code::Usage, format!("unknown command '{other}'"))),
        };
        let reply = reply.map(|value| value.as_object().cloned().unwrap_or_default());
        Box::pin(async move { reply })
    })
}

/// A server in a thread, gone when this is dropped.
struct Running(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Running {
    fn at(path: &Path) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let path = path.to_path_buf();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let server = Server::bind(&Access::to(&path)).expect("a server");
                ready.send(()).expect("somebody waits");
                tokio::select! {
                    () = server.serve(handler()) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().expect("the server is up");
        Self(Some((stop, thread)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.0.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

fn refused(path: &Path) -> standin::failure::Failure {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime
        .expect("a runtime")
        .block_on(async { Server::bind(&Access::to(path)).map(drop) })
        .expect_err("it cannot be bound")
}

#[test]
fn status_is_a_table_or_json_and_the_file_is_gone_afterwards() {
    let path = path("status");
    let running = Running::at(&path);
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o660);
    let table = status(&path, false).expect("a table");
    assert_eq!(table, "\nVIPS\n  address\n  10.0.0.9\n");
    let text = status(&path, true).expect("JSON");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["vips"][0]["address"], "10.0.0.9");
    drop(running);
    assert!(!path.exists());
    let left = fs::read_dir(path.parent().expect("a parent")).expect("a directory").count();
    assert_eq!(left, 0);
}

#[test]
fn wrong_requests_are_answered_with_what_is_wrong() {
    let path = path("wrong");
    let _running = Running::at(&path);
    let stream = UnixStream::connect(&path).expect("a connection");
    let mut replies = BufReader::new(stream.try_clone().expect("a clone")).lines();
    let mut ask = |line: &str| -> Value {
        (&stream).write_all(line.as_bytes()).expect("sent");
        let reply = replies.next().expect("a line").expect("readable");
        serde_json::from_str(&reply).expect("JSON")
    };
    for (line, reason) in [
        ("{}\n", "no \"command\""),
        ("hello\n", "not JSON"),
        ("[1]\n", "no JSON object"),
        ("{\"command\":\"stauts\"}\n", "unknown command 'stauts'"),
    ] {
        let reply = ask(line);
        assert_eq!(reply["ok"], false);
        let error = reply["error"].as_str().expect("a reason");
        assert!(error.contains(reason), "{line}: {error}");
    }
    assert_eq!(ask("{\"command\":\"status\"}\n")["ok"], true);
    let reply = ask(&"x".repeat(4096));
    assert!(reply["error"].as_str().expect("a reason").contains("longer than"));
    assert!(replies.next().is_none(), "the connection is closed");
}

#[test]
fn any_number_that_lets_us_wait_keeps_nobody_from_being_answered() {
    let path = path("crowd");
    let _running = Running::at(&path);
    let connect = || UnixStream::connect(&path).expect("a connection");
    let mut silent = Vec::new();
    for number in 0..200 {
        let stream = connect();
        // Nothing at all, half a request, or as many requests as fit and no answer read.
        match number % 3 {
            0 => {}
            1 => (&stream).write_all(b"{\"command\":").expect("sent"),
            _ => {
                stream.set_nonblocking(true).expect("set");
                while let Ok(1..) = (&stream).write(&b"{\"command\":\"status\"}\n".repeat(100)) {}
            }
        }
        silent.push(stream);
        // A client's own patience is as long as that of the daemon with the silent ones.
        let begun = std::time::Instant::now();
        status(&path, true).unwrap_or_else(|why| panic!("behind {number} others: {why}"));
        assert!(begun.elapsed().as_secs() < 5, "behind {number} others");
    }
    // Those who let us wait longest have lost their places, and see it.
    silent[0].set_read_timeout(Some(std::time::Duration::from_mins(1))).expect("set");
    assert_eq!(std::io::Read::read(&mut silent[0], &mut [0; 16]).expect("the end"), 0);
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_refused() {
    let path = path("stale");
    drop(UnixListener::bind(&path).expect("a socket that nobody listens on"));
    assert!(path.exists());
    let running = Running::at(&path);
    let failure = refused(&path);
    assert_eq!(failure.code(), Code::TemporaryFailure);
    assert!(status(&path, true).is_ok(), "the refused one did no harm");
    drop(running);
}

#[test]
fn what_is_no_socket_is_called_so() {
    let path = path("ordinary");
    fs::write(&path, "x").expect("a file");
    for path in [path.as_path(), path.parent().expect("a directory")] {
        let failure = status(path, false).expect_err("nothing that could be asked");
        assert_eq!(failure.code(), Code::Unavailable);
        assert!(failure.what().ends_with(" is no socket"), "{failure}");
    }
    let stale = path.with_file_name("stale.sock");
    drop(UnixListener::bind(&stale).expect("a socket that nobody listens on"));
    let failure = status(&stale, false).expect_err("nobody there");
    assert!(failure.what().starts_with("nobody listens on"), "{failure}");
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let path = path("file");
    fs::write(&path, "precious").expect("a file");
    let failure = refused(&path);
    assert_eq!(failure.code(), Code::CannotCreate);
    assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    let failure = refused(&path.with_file_name("no-such-directory").join("s"));
    assert_eq!(failure.code(), Code::CannotCreate);
    assert!(failure.to_string().contains("make its directory first"), "{failure}");
}

#[test]
fn a_successors_socket_is_not_removed() {
    let path = path("successor");
    let first = Running::at(&path);
    fs::remove_file(&path).expect("removed by hand");
    let second = Running::at(&path);
    drop(first);
    assert!(status(&path, true).is_ok());
    drop(second);
    assert!(!path.exists());
}

#[test]
fn asking_where_nobody_is_says_what_to_do() {
    let path = path("nobody");
    let failure = status(&path, false).expect_err("there is no socket");
    assert_eq!(failure.code(), Code::Unavailable);
    assert!(failure.to_string().contains("--socket PATH"), "{failure}");
    drop(UnixListener::bind(&path).expect("a stale socket"));
    let failure = status(&path, false).expect_err("nobody listens");
    assert!(failure.what().contains("nobody listens"), "{failure}");
}

#[test]
fn mode_and_group_are_as_asked_for_and_the_daemons_own_user_may_change_things() {
    let path = path("access");
    let access = Access { path: path.clone(), mode: 0o606, group: Some("0".into()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let bound = runtime.expect("a runtime").block_on(async { Server::bind(&access).map(drop) });
    // Giving a file to another group than one's own is for root alone.
    if let Err(failure) = bound {
        assert!(failure.to_string().contains("cannot make the control socket"), "{failure}");
    }
    let _running = Running::at(&path);
    let answer = ask(&path, &json!({ "command": "may" })).expect("an answer");
    assert_eq!(answer["may"], true);
    let failure = ask(&path, &json!({ "command": "nonsense" })).expect_err("unknown");
    assert_eq!(failure.what(), "unknown command 'nonsense'");
    assert_eq!(failure.code(), Code::Usage);
    let failure = ask(&path, &json!({ "command": "secret" })).expect_err("refused");
    assert_eq!(failure.code(), Code::NoPermission);
}

#[test]
fn a_group_that_does_not_exist_is_refused() {
    let path = path("group");
    let access = Access { group: Some("no-such-group-here".into()), ..Access::to(&path) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let failure = runtime
        .expect("a runtime")
        .block_on(async { Server::bind(&access).map(drop) })
        .expect_err("there is no such group");
    assert_eq!(failure.code(), Code::Config);
    assert!(!path.exists());
}

/// The program, watching the daemon at `path`.
fn watch(path: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_standin"));
    command.args(["watch", "--interval", "10ms", "--socket"]).arg(path).args(arguments);
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    command
}

#[test]
fn a_watch_for_programs_stays_json_when_the_daemon_goes() {
    let path = path("watch");
    let running = Running::at(&path);
    let mut watcher = watch(&path, &["--json"]).stdout(Stdio::piped()).spawn().expect("a watcher");
    let mut lines = BufReader::new(watcher.stdout.take().expect("a pipe")).lines();
    let mut next = || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("UTF-8")).expect("JSON")
    };
    assert_eq!(next()["vips"][0]["address"], "10.0.0.9");
    drop(running);
    let failure = std::iter::repeat_with(next).find(|line| line.get("ok").is_some());
    let failure = failure.expect("the failure is told");
    assert_eq!((&failure["ok"], &failure["exit_status"]), (&json!(false), &json!(69)));
    watcher.kill().expect("killed");
    watcher.wait().expect("its end");
}

#[test]
fn a_watch_that_cannot_be_written_says_so() {
    let path = path("full");
    let _running = Running::at(&path);
    for arguments in [&[][..], &["--json"]] {
        let full = File::options().write(true).open("/dev/full").expect("a full device");
        let output = watch(&path, arguments).stdout(full).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(74), "{output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("cannot write to standard output: no space left"), "{said}");
        assert!(!said.contains("os error"), "{said}");
    }
}
