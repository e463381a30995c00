//! A client that asks a VIP for an answer at a steady rate, and remembers who gave it.
//!
//! Owns two threads: one sends numbered datagrams on an absolute schedule, one reads the answers.
//! An answer is the number and the name of the host that served it.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use standin_sys::netns::NetNamespace;

use crate::server::UDP_PORT;
use crate::wait;

const READ_PATIENCE: Duration = Duration::from_millis(20);
/// How long after the last request answers are still counted.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub sent: Instant,
    /// When it was answered, and by whom.
    pub answered: Option<(Instant, String)>,
}

/// Every request so far; a request's number is its position.
type Requests = Arc<Mutex<Vec<Request>>>;

/// A running client. Stops when dropped.
pub struct Client {
    requests: Requests,
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    receiver: Option<JoinHandle<()>>,
}

impl Client {
    /// Starts to ask `vip` so many times a second from inside a namespace.
    pub fn start(namespace: &NetNamespace, vip: IpAddr, rate_hz: u32) -> Result<Self> {
        let any: IpAddr = match vip {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = namespace.run(|| UdpSocket::bind((any, 0)))?.context("the client's socket")?;
        socket.set_read_timeout(Some(READ_PATIENCE)).context("the client's socket")?;
        let requests: Requests = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let sender = {
            let socket = socket.try_clone().context("the client's socket")?;
            let (requests, stop) = (requests.clone(), stop.clone());
            let to = SocketAddr::new(vip, UDP_PORT);
            let pause = Duration::from_secs(1) / rate_hz;
            std::thread::spawn(move || send(&socket, to, pause, &requests, &stop))
        };
        let receiver = {
            let (requests, stop) = (requests.clone(), stop.clone());
            std::thread::spawn(move || receive(&socket, &requests, &stop))
        };
        Ok(Self { requests, stop, sender: Some(sender), receiver: Some(receiver) })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests sent so far.
    pub fn mark(&self) -> usize {
        self.lock().len()
    }

    /// Waits until a request sent behind the mark is answered by `host`.
    pub fn wait_answered_by(&self, host: &str, mark: usize, within: Duration) -> Result<()> {
        wait::until_true(&format!("{host} answers the client"), within, || {
            let requests = self.lock();
            let answered = requests.iter().skip(mark).filter_map(|one| one.answered.as_ref());
            answered.rev().any(|(_, by)| by == host)
        })
    }

    /// Who answered last.
    pub fn last_answered_by(&self) -> Option<String> {
        self.lock().iter().rev().find_map(|one| one.answered.clone()).map(|(_, by)| by)
    }

    /// Stops sending, waits for the last answers, and gives the record.
    pub fn finish(mut self) -> Record {
        self.stop_sending();
        let deadline = Instant::now() + LAST_ANSWERS;
        while Instant::now() < deadline && self.lock().iter().any(|one| one.answered.is_none()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Record { requests: self.lock().clone() }
    }

    fn stop_sending(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop_sending();
        if let Some(receiver) = self.receiver.take() {
            let _ = receiver.join();
        }
    }
}

fn send(
    socket: &UdpSocket,
    to: SocketAddr,
    pause: Duration,
    requests: &Requests,
    stop: &AtomicBool,
) {
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let number = {
            let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(Request { sent: Instant::now(), answered: None });
            requests.len() as u64 - 1
        };
        // A request that the kernel refuses (no way to the VIP) is one that is never answered.
        let _ = socket.send_to(&number.to_be_bytes(), to);
        next += pause;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn receive(socket: &UdpSocket, requests: &Requests, stop: &AtomicBool) {
    let mut buffer = [0; 256];
    let mut stopped: Option<Instant> = None;
    while stopped.is_none_or(|since| since.elapsed() < LAST_ANSWERS) {
        if stopped.is_none() && stop.load(Ordering::Relaxed) {
            stopped = Some(Instant::now());
        }
        let Ok(length) = socket.recv(&mut buffer) else { continue };
        let at = Instant::now();
        let Some((number, name)) = buffer[..length].split_first_chunk() else { continue };
        let number = usize::try_from(u64::from_be_bytes(*number)).unwrap_or(usize::MAX);
        let by = String::from_utf8_lossy(name).into_owned();
        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(request) = requests.get_mut(number) {
            request.answered.get_or_insert((at, by));
        }
    }
}

/// What a client has met with.
pub struct Record {
    requests: Vec<Request>,
}

impl Record {
    /// The longest time between two answers, or from the last to the end.
    pub fn longest_gap(&self) -> Duration {
        let mut answers: Vec<Instant> = self.answers().map(|(at, _)| at).collect();
        answers.sort_unstable();
        if let Some(last) = self.requests.last() {
            answers.push(last.sent.max(*answers.last().unwrap_or(&last.sent)));
        }
        answers.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    /// The longest time between two requests: for so long the client itself did not run.
    pub fn longest_pause(&self) -> Duration {
        let pauses = self.requests.windows(2).map(|pair| pair[1].sent - pair[0].sent);
        pauses.max().unwrap_or_default()
    }

    /// Requests that nobody answered.
    pub fn lost(&self) -> usize {
        self.requests.iter().filter(|one| one.answered.is_none()).count()
    }

    /// Requests sent.
    pub fn sent(&self) -> usize {
        self.requests.len()
    }

    /// From the last answer of one host to the first of another, in seconds; below zero where the
    /// one still answered after the other had begun. None where either never answered.
    pub fn handed_over(&self, from: &str, to: &str) -> Option<f64> {
        let last = self.answers().filter(|(_, by)| *by == from).map(|(at, _)| at).max()?;
        let first = self.answers().filter(|(_, by)| *by == to).map(|(at, _)| at).min()?;
        let between = first.saturating_duration_since(last).as_secs_f64();
        Some(between - last.saturating_duration_since(first).as_secs_f64())
    }

    /// When each request that was answered was, and by whom.
    fn answers(&self) -> impl Iterator<Item = (Instant, &str)> {
        self.requests.iter().filter_map(|one| {
            let (at, by) = one.answered.as_ref()?;
            Some((*at, by.as_str()))
        })
    }

    /// How often another host answered than before.
    pub fn moves(&self) -> usize {
        let by: Vec<&str> = self.answers().map(|(_, by)| by).collect();
        by.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}
