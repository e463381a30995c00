//! `standin status`: asks a running `standin for` and prints the answer.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::table;
use crate::failure::{Code, Failure, Result, plain_io};

/// A live process answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the process at `socket` and gives its answer as text: a table, or JSON.
///
/// # Errors
/// Nobody is there, one may not ask, or the answer makes no sense.
pub fn status(socket: &Path, as_json: bool) -> Result<String> {
    let status = ask(socket)?;
    if as_json {
        return Ok(format!("{status:#}\n"));
    }
    Ok(table::render(&status))
}

fn ask(socket: &Path) -> Result<Value> {
    let shown = socket.display();
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::new(Code::Unavailable, format!("there is no socket {shown}"))
                .advice("start standin for with --socket PATH, and give status the same PATH")
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
    let reply = converse(stream).map_err(|error| {
        Failure::new(Code::Unavailable, format!("no answer from {shown}: {}", plain_io(&error)))
    })?;
    let reply: Value = serde_json::from_str(&reply).map_err(|_| {
        Failure::new(Code::Unavailable, format!("what answers on {shown} is not standin"))
    })?;
    match (reply.get("ok"), reply.get("status"), reply.get("error")) {
        (Some(Value::Bool(true)), Some(status), _) => Ok(status.clone()),
        (_, _, Some(Value::String(error))) => {
            Err(Failure::new(Code::Unavailable, format!("{shown} refused: {error}")))
        }
        _ => {
            Err(Failure::new(Code::Unavailable, format!("what answers on {shown} is not standin")))
        }
    }
}

fn converse(mut stream: UnixStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"{\"command\":\"status\"}\n")?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    if reply.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
    }
    Ok(reply)
}
