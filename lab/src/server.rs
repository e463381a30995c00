//! The small server that a host runs: it says the host's name, on whatever address it is asked at.
//!
//! Owns its threads and sockets; they live in the lab's own process, inside the host's namespace.
//! Cut links silence it as they silence everything.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use standin_sys::netns::NetNamespace;
use standin_sys::sysctl;

/// Where datagrams are answered.
pub const UDP_PORT: u16 = 7;
/// Where pages are served.
pub const HTTP_PORT: u16 = 80;
const STOP_WITHIN: Duration = Duration::from_millis(20);

/// What the page is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Page {
    /// Status 200, and all of it.
    Whole,
    /// Status 200, but it ends in the middle.
    Broken,
    /// Status 500.
    Error,
    /// The connection is accepted, and then nothing.
    Silence,
}

impl Page {
    fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Whole,
            1 => Self::Broken,
            2 => Self::Error,
            _ => Self::Silence,
        }
    }
}

/// Answers datagrams. Stops when dropped.
pub struct Echo {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Echo {
    /// Answers at each of the addresses, whether the host has them now or later.
    pub fn start(namespace: &NetNamespace, name: &str, addresses: &[IpAddr]) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for address in addresses {
            let socket = bind(namespace, *address)
                .with_context(|| format!("{name} cannot answer at {address}"))?;
            let (name, stop) = (name.to_owned(), stop.clone());
            threads.push(std::thread::spawn(move || echo(&socket, &name, &stop)));
        }
        Ok(Self { stop, threads })
    }
}

/// A datagram is answered from the address it came to, so there is a socket for each. The setting
/// that permits it before the address is there is taken back at once: the kernel under test shall
/// be an ordinary one.
fn bind(namespace: &NetNamespace, address: IpAddr) -> Result<UdpSocket> {
    let key = match address {
        IpAddr::V4(_) => "net/ipv4/ip_nonlocal_bind",
        IpAddr::V6(_) => "net/ipv6/ip_nonlocal_bind",
    };
    namespace.run(|| -> Result<UdpSocket> {
        sysctl::write(key, "1")?;
        let socket = UdpSocket::bind((address, UDP_PORT));
        sysctl::write(key, "0")?;
        let socket = socket?;
        socket.set_read_timeout(Some(STOP_WITHIN))?;
        Ok(socket)
    })?
}

fn echo(socket: &UdpSocket, name: &str, stop: &AtomicBool) {
    let mut buffer = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        let mut answer = buffer[..length].to_vec();
        answer.extend_from_slice(name.as_bytes());
        let _ = socket.send_to(&answer, from);
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Addresses at which connections of other hosts are closed without a word.
type Closed = Arc<Mutex<BTreeSet<IpAddr>>>;

/// Serves a page with the host's name in it, at every address. Stops when dropped.
pub struct Web {
    stop: Arc<AtomicBool>,
    page: Arc<AtomicU8>,
    closed: Closed,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts with a whole page.
    pub fn start(namespace: &NetNamespace, name: &str) -> Result<Self> {
        let listener = namespace
            .run(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, HTTP_PORT)))?
            .with_context(|| format!("{name} cannot serve pages"))?;
        listener.set_nonblocking(true).context("the page's listener")?;
        let stop = Arc::new(AtomicBool::new(false));
        let page = Arc::new(AtomicU8::new(Page::Whole as u8));
        let closed = Closed::default();
        let thread = {
            let (name, stop) = (name.to_owned(), stop.clone());
            let (page, closed) = (page.clone(), closed.clone());
            std::thread::spawn(move || accept(&listener, &name, &stop, (&page, &closed)))
        };
        Ok(Self { stop, page, closed, thread: Some(thread) })
    }

    /// Changes the page.
    pub fn show(&self, page: Page) {
        self.page.store(page as u8, Ordering::Relaxed);
    }

    /// Serves no other host at one of its addresses from now on, as behind a wrong firewall.
    pub fn close(&self, address: IpAddr) {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).insert(address);
    }
}

fn accept(
    listener: &TcpListener,
    name: &str,
    stop: &AtomicBool,
    (page, closed): (&AtomicU8, &Closed),
) {
    let mut silent = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let closed = closed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if is_refused(&stream, &closed) {
            continue;
        }
        match Page::from_number(page.load(Ordering::Relaxed)) {
            Page::Silence => silent.push(stream),
            page => drop(serve(stream, name, page)),
        }
    }
}

/// A host that asks itself comes from the address it asks.
fn is_refused(stream: &TcpStream, closed: &BTreeSet<IpAddr>) -> bool {
    let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
    ends.is_ok_and(|(local, from)| {
        local.ip() != from.ip() && closed.contains(&local.ip().to_canonical())
    })
}

fn serve(mut stream: TcpStream, name: &str, page: Page) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&part[..length]),
        }
    }
    let (status, end) = match page {
        Page::Whole | Page::Silence => ("200 OK", "</html>"),
        Page::Broken => ("200 OK", ""),
        Page::Error => ("500 Internal Server Error", "</html>"),
    };
    let body = format!("<html><body>This is {name}.</body>{end}\n");
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
