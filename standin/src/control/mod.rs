//! The control socket: a running standin says what it is doing, and takes orders.
//!
//! A Unix stream socket; one JSON object a line each way. [`Server`] owns the file and removes it
//! when it is dropped, and knows who may change something ([`Access`]); the handler owns what is
//! done. A slow or hostile client costs a bounded amount, and keeps nobody else waiting: see
//! `crate::seats`.
//!
//! ```text
//! → {"command":"status"}
//! ← {"ok":true,"status":{…}}
//! ← {"ok":false,"error":"unknown command 'stauts': did you mean status?","exit_status":64}
//! ```

mod access;
mod client;
pub mod commands;
mod page;
mod table;
pub mod watch;

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub use access::Access;
use access::Trusted;
pub(crate) use access::group_named;
pub use client::{DEFAULT_SOCKET, ask, default_socket, status};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::failure::{Code, Failure, Result, plain_io};
use crate::seats::{Seats, Turn};

/// What somebody asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The command's name.
    pub command: String,
    /// The whole request.
    pub body: Map<String, Value>,
    /// Whether who asks may change something.
    pub may_change: bool,
}

/// What is said to it: members of the answer, or why not.
pub type Reply = std::result::Result<Map<String, Value>, Refusal>;

/// Why not, and the exit status that tells scripts the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    why: String,
}

impl Refusal {
    /// A refusal with its sentence.
    pub fn new(code: Code, why: impl Into<String>) -> Self {
        Self { code, why: why.into() }
    }
}

/// What could be done at another time, or elsewhere.
impl From<String> for Refusal {
    fn from(why: String) -> Self {
        Self::new(Code::Unavailable, why)
    }
}

/// What answers requests. Called in the slow loop; it must not block.
pub type Handler =
    Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Reply> + Send>> + Send + Sync>;

/// A request longer than this is none of ours.
const REQUEST_LIMIT: u64 = 4096;
/// Clients at a time: each may cost an answer of some megabytes. One more takes the place of another.
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
    trusted: Arc<Trusted>,
}

impl Server {
    /// Binds the socket. One that nobody listens on any more is replaced; needs a tokio runtime.
    ///
    /// # Errors
    /// Another process listens there, something else is there, it cannot be made, or there is no
    /// such group.
    pub fn bind(access: &Access) -> Result<Self> {
        judge_existing(&access.path)?;
        Self::make(access)
    }

    /// Binds the socket of this process anew, which was at `present`.
    ///
    /// # Errors
    /// As for [`Server::bind`].
    pub fn bind_instead_of(access: &Access, present: &std::path::Path) -> Result<Self> {
        if access.path == present { Self::make(access) } else { Self::bind(access) }
    }

    fn make(access: &Access) -> Result<Self> {
        let path = access.path.as_path();
        let trusted = Arc::new(Trusted::of(access.group.as_deref())?);
        if path == std::path::Path::new(DEFAULT_SOCKET)
            && let Some(directory) = path.parent()
        {
            // What it refuses, the socket will tell.
            let _ = fs::create_dir(directory);
        }
        let cannot = |error: &io::Error| {
            let shown = path.display();
            let failure = Failure::new(
                Code::CannotCreate,
                format!("cannot make the control socket {shown}: {}", plain_io(error)),
            );
            match error.kind() {
                io::ErrorKind::NotFound => failure.advice("make its directory first"),
                io::ErrorKind::PermissionDenied => {
                    failure.advice("choose a socket in a directory you may write to")
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
        let owned = match trusted.group() {
            Some(group) => chown(&new, None, Some(group)),
            None => Ok(()),
        };
        let placed = owned
            .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(access.mode)))
            .and_then(|()| fs::symlink_metadata(&new))
            .and_then(|made| fs::rename(&new, path).map(|()| made));
        match placed {
            Ok(made) => {
                let place = Place { path: path.into(), device: made.dev(), inode: made.ino() };
                Ok(Self { listener, file: SocketFile(place), trusted })
            }
            Err(error) => {
                let _ = fs::remove_file(&new);
                Err(cannot(&error))
            }
        }
    }

    /// Where the socket is.
    pub fn place(&self) -> &Place {
        &self.file.0
    }

    /// Serves clients until it is dropped.
    pub async fn serve(self, handler: Handler) {
        self.serve_until(handler, std::future::pending()).await;
    }

    /// Lets clients in until `closed`, and serves those that are in to their end.
    pub async fn serve_until(self, handler: Handler, closed: impl Future<Output = ()>) {
        let mut seats = Seats::new(CLIENT_LIMIT);
        let mut closed = std::pin::pin!(closed);
        loop {
            tokio::select! {
                () = &mut closed => break,
                accepted = self.listener.accept(), if seats.is_one_to_be_had() => match accepted {
                    Ok((stream, _)) => {
                        let asker = stream.peer_cred().map(|peer| (peer.uid(), peer.gid())).ok();
                        let may_change = asker.is_some_and(|(user, group)| {
                            self.trusted.includes(user, group)
                        });
                        let (user, handler) = (asker.map(|(user, _)| user), handler.clone());
                        seats.give(user, |turn| converse(stream, handler, may_change, turn));
                        // Who is in may have asked already, and is not to lose his place unheard.
                        tokio::task::yield_now().await;
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                () = seats.changed() => {}
            }
        }
        drop(self);
        seats.all_have_gone().await;
    }
}

/// Where a socket was made, and which one it was.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Place {
    /// Its path.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether it is still there: a program that cleans up may have removed it.
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.device, self.inode))
    }
}

/// The file, removed when it is dropped if it is still the one that was made.
#[derive(Debug)]
struct SocketFile(Place);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.0.is_there() {
            // Nothing can be done about a file that cannot be removed; the next run replaces it.
            let _ = fs::remove_file(&self.0.path);
        }
    }
}

/// Only nothing, or a socket on which nobody listens, may be at `path`.
fn judge_existing(path: &std::path::Path) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    let shown = path.display();
    if !found.file_type().is_socket() {
        return Err(Failure::new(
            Code::CannotCreate,
            format!("the control socket {shown} is no socket"),
        )
        .expected("a path where there is nothing yet")
        .advice("choose another path, or remove what is there"));
    }
    match BlockingStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(_) | Err(_) => Err(Failure::new(
            Code::TemporaryFailure,
            format!("another process listens on the control socket {shown}"),
        )
        .advice("choose another path, or stop the other one")),
    }
}

/// One client: requests are answered in their order until it goes.
async fn converse(stream: UnixStream, handler: Handler, may_change: bool, turn: Turn) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(REQUEST_LIMIT);
        let read = tokio::time::timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await;
        let Ok(Ok(1..)) = read else { return };
        let whole = line.ends_with(b"\n");
        turn.is_ours();
        let reply = match understand(&line, whole, may_change) {
            Ok(request) => handler(request).await,
            Err(error) => Err(Refusal::new(Code::Usage, error)),
        };
        turn.is_the_clients();
        let mut reply = match reply {
            Ok(mut members) => {
                members.insert("ok".to_owned(), Value::Bool(true));
                Value::Object(members).to_string()
            }
            Err(Refusal { code, why }) => {
                json!({ "ok": false, "error": why, "exit_status": code as u8 }).to_string()
            }
        };
        reply.push('\n');
        let sent = tokio::time::timeout(PATIENCE, writer.write_all(reply.as_bytes())).await;
        if !whole || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// Reads one line of a client; `whole`: its end was seen.
///
/// # Errors
/// A sentence on what is wrong with it.
pub fn understand(
    line: &[u8],
    whole: bool,
    may_change: bool,
) -> std::result::Result<Request, String> {
    if !whole && line.len() as u64 >= REQUEST_LIMIT {
        return Err(format!("the request is longer than {REQUEST_LIMIT} bytes"));
    }
    let body: Value = serde_json::from_slice(line)
        .map_err(|error| format!("the request is not JSON: {error}"))?;
    let Value::Object(body) = body else {
        return Err("the request is no JSON object".into());
    };
    match body.get("command").and_then(Value::as_str) {
        Some(command) => Ok(Request { command: command.to_owned(), body, may_change }),
        None => Err("the request has no \"command\"".into()),
    }
}
