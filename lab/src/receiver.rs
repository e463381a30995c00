//! Whoever a webhook tells: a small server that keeps what it was told and says what it shall.
//!
//! Owns its thread and socket; they live in the lab's own process, inside the host's namespace. It
//! believes nothing: a case verifies what was heard.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use standin_sys::netns::NetNamespace;

const LOOK_AGAIN: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(5);

/// A request, and the status that it was given.
#[derive(Clone, Debug)]
pub struct Told {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Told {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value)
    }
}

/// The server. Stops when dropped.
pub struct Receiver {
    told: Arc<Mutex<Vec<Told>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Listens at a port of every address of a host; answers with these statuses, then with 204.
    pub fn start(namespace: &NetNamespace, port: u16, statuses: &[u16]) -> Result<Self> {
        let listener = namespace.run(|| TcpListener::bind(("0.0.0.0", port)))??;
        listener.set_nonblocking(true).context("the receiver")?;
        let told = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (kept, stopping) = (told.clone(), stop.clone());
        let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                let Ok((stream, _)) = listener.accept() else {
                    std::thread::sleep(LOOK_AGAIN);
                    continue;
                };
                let status = statuses.front().copied().unwrap_or(204);
                if let Ok(heard) = answer(&stream, status) {
                    statuses.pop_front();
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(heard);
                }
            }
        });
        Ok(Self { told, stop, thread: Some(thread) })
    }

    /// Everything so far.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(stream: &TcpStream, status: u16) -> Result<Told> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        anyhow::ensure!(reader.read_line(&mut head)? > 0, "half a request");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.context("a length")?.parse()?];
    reader.read_exact(&mut body)?;
    let mut writer = stream;
    write!(writer, "HTTP/1.1 {status} Told\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(Told { status, head, body: String::from_utf8(body)? })
}
