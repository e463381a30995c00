//! The control socket: a running `standin for` says what it is doing.
//!
//! A Unix stream socket; one JSON object a line each way. [`Server`] owns the file and removes it
//! when it is dropped; the provider of the status owns what the answer holds. Read-only: nothing
//! that arrives here changes anything, and a slow or hostile client costs a bounded amount.
//!
//! ```text
//! → {"command":"status"}
//! ← {"ok":true,"status":{…}}
//! ← {"ok":false,"error":"unknown command 'stauts': expected status"}
//! ```

mod client;
mod table;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use client::status;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::failure::{Code, Failure, Result, nearest, plain_io};

/// What answers `status`. It is called in the slow loop and must not block.
pub type Provider = Arc<dyn Fn() -> Value + Send + Sync>;

/// A request longer than this is none of ours.
const REQUEST_LIMIT: u64 = 4096;
/// More clients than this at a time wait until one has gone.
const CLIENT_LIMIT: usize = 16;
/// A client that has said or read nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// A pause after a failed `accept`, which would fail at once again (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound socket.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    file: SocketFile,
}

impl Server {
    /// Binds the socket at `path`, mode 0660. A socket that nobody listens on any more is
    /// replaced; needs a tokio runtime.
    ///
    /// # Errors
    /// Another process listens there, something else is there, or it cannot be made.
    pub fn bind(path: &Path) -> Result<Self> {
        judge_existing(path)?;
        let cannot = |error: &io::Error| {
            let shown = path.display();
            let failure = Failure::new(
                Code::CannotCreate,
                format!("cannot make the control socket {shown}: {}", plain_io(error)),
            );
            match error.kind() {
                io::ErrorKind::NotFound => failure.advice("make its directory first"),
                io::ErrorKind::PermissionDenied => {
                    failure.advice("choose a --socket PATH in a directory you may write to")
                }
                io::ErrorKind::InvalidInput => failure.expected("a path of at most 90 bytes or so"),
                _ => failure,
            }
        };
        // Bound under another name and renamed when its mode is right, so that nobody meets it
        // with another mode, and a stale one is replaced in one step.
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}", std::process::id()));
        let new = PathBuf::from(name);
        let _ = fs::remove_file(&new);
        let listener = UnixListener::bind(&new).map_err(|error| cannot(&error))?;
        let placed = fs::set_permissions(&new, fs::Permissions::from_mode(0o660))
            .and_then(|()| fs::symlink_metadata(&new))
            .and_then(|made| fs::rename(&new, path).map(|()| made));
        match placed {
            Ok(made) => {
                let file = SocketFile { path: path.into(), device: made.dev(), inode: made.ino() };
                Ok(Self { listener, file })
            }
            Err(error) => {
                let _ = fs::remove_file(&new);
                Err(cannot(&error))
            }
        }
    }

    /// Where the socket is.
    pub fn path(&self) -> &Path {
        &self.file.path
    }

    /// Serves clients until it is dropped.
    pub async fn serve(self, provider: Provider) {
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept(), if clients.len() < CLIENT_LIMIT => match accepted {
                    Ok((stream, _)) => {
                        clients.spawn(converse(stream, provider.clone()));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = clients.join_next() => {}
            }
        }
    }
}

/// The file, removed when it is dropped if it is still the one that was made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Ok(found) = fs::symlink_metadata(&self.path)
            && (found.dev(), found.ino()) == (self.device, self.inode)
        {
            // Nothing can be done about a file that cannot be removed; the next run replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Only nothing, or a socket on which nobody listens, may be at `path`.
fn judge_existing(path: &Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let shown = path.display();
    if !found.file_type().is_socket() {
        return Err(Failure::new(Code::CannotCreate, format!("--socket {shown} is no socket"))
            .expected("a path where there is nothing yet")
            .advice("choose another path, or remove what is there"));
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(
            Code::TemporaryFailure,
            format!("another process listens on --socket {shown}"),
        )
        .advice("choose another path, or stop the other one")),
    }
}

/// One client: requests are answered in their order until it goes.
async fn converse(stream: UnixStream, provider: Provider) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_LIMIT);
        let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
        let Ok(Ok(1..)) = read else { return };
        let whole = line.ends_with(b"\n");
        let mut reply = answer(&line, whole, &provider).to_string();
        reply.push('\n');
        let sent = tokio::time::timeout(PATIENCE, writer.write_all(reply.as_bytes())).await;
        if !whole || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

fn answer(line: &[u8], whole: bool, provider: &Provider) -> Value {
    let wrong = |error: String| json!({ "ok": false, "error": error });
    if !whole && line.len() as u64 >= REQUEST_LIMIT {
        return wrong(format!("the request is longer than {REQUEST_LIMIT} bytes"));
    }
    let request: Value = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return wrong(format!("the request is not JSON: {error}")),
    };
    match request.get("command").and_then(Value::as_str) {
        Some("status") => json!({ "ok": true, "status": provider() }),
        Some(other) => match nearest(other, ["status"]) {
            Some(meant) => wrong(format!("unknown command '{other}': did you mean {meant}?")),
            None => wrong(format!("unknown command '{other}': expected status")),
        },
        None => wrong("the request has no \"command\"".into()),
    }
}
