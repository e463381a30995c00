//! The other end of the control socket: asks a running standin and takes its answer.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{page, table};
use crate::failure::{Code, Failure, Result, plain_io};
use crate::file;

/// A live process answers in milliseconds; one that stops hands over first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a daemon's socket is when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/standin/standin.sock";

/// The socket of this host's daemon: what the configuration file says, where there is one that
/// can be read.
pub fn default_socket() -> PathBuf {
    let parsed = file::load(Path::new(file::DEFAULT_PATH)).ok();
    let file = parsed.and_then(|parsed| parsed.file);
    file.map_or_else(|| PathBuf::from(DEFAULT_SOCKET), |file| file.control.socket)
}

/// Asks the process at `socket` how it is and gives its answer as text: a table, or JSON.
///
/// # Errors
/// Nobody is there, one may not ask, or the answer makes no sense.
pub fn status(socket: &Path, as_json: bool) -> Result<String> {
    let answer = ask(socket, &json!({ "command": "status" }))?;
    let Some(status) = answer.get("status") else { return Err(not_ours(socket)) };
    if as_json {
        return Ok(format!("{status:#}\n"));
    }
    Ok(page::render(status).unwrap_or_else(|| table::render(status)))
}

fn not_ours(socket: &Path) -> Failure {
    let shown = socket.display();
    Failure::new(Code::Unavailable, format!("what answers on {shown} is not standin"))
}

/// Sends one request and gives the answer's members.
///
/// # Errors
/// Nobody is there, one may not ask, it was refused, or the answer makes no sense.
pub fn ask(socket: &Path, request: &Value) -> Result<Map<String, Value>> {
    let shown = socket.display();
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Code::Unavailable, format!("there is no socket {shown}"))
                .advice("is standin running? standin run makes the socket of its file's [control]")
                .advice("standin for makes one with --socket PATH: give status the same PATH")
        }
        // The kernel says the same of a file that is something else.
        io::ErrorKind::ConnectionRefused if !is_socket(socket) => {
            Failure::new(Code::Unavailable, format!("{shown} is no socket"))
                .expected("the socket of a running standin")
                .advice("leave --socket out, or give the path in the file's [control]")
        }
        io::ErrorKind::ConnectionRefused => {
            Failure::new(Code::Unavailable, format!("nobody listens on {shown} any more"))
                .advice("the standin that made it was killed: start it again")
        }
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::NoPermission, format!("you may not connect to {shown}"))
                .advice("ask as the user or group that runs standin, or as root")
        }
        _ => Failure::new(
            Code::Unavailable,
            format!("cannot connect to {shown}: {}", plain_io(&error)),
        ),
    })?;
    let reply = converse(stream, request).map_err(|error| {
        Failure::new(Code::Unavailable, format!("no answer from {shown}: {}", plain_io(&error)))
    })?;
    let Ok(Value::Object(reply)) = serde_json::from_str(&reply) else {
        return Err(not_ours(socket));
    };
    match (reply.get("ok"), reply.get("error")) {
        (Some(Value::Bool(true)), _) => Ok(reply),
        (_, Some(Value::String(error))) => {
            // An older daemon does not say.
            let number = reply.get("exit_status").and_then(Value::as_u64);
            Err(Failure::new(number.and_then(Code::of_number).unwrap_or(Code::Unavailable), error))
        }
        _ => Err(not_ours(socket)),
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

fn converse(mut stream: UnixStream, request: &Value) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut reply = String::new();
    BufReader::new(&stream).read_line(&mut reply)?;
    if reply.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    let stops = request.get("command").and_then(Value::as_str) == Some("stop");
    if stops && reply.contains("\"ok\":true") {
        // The connection ends with the daemon.
        let mut rest = [0; 64];
        while matches!(io::Read::read(&mut stream, &mut rest), Ok(1..)) {}
    }
    Ok(reply)
}
