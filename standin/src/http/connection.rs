//! One client, from its first byte to its last.
//!
//! Owns the limits: how many at a time, how long a handshake, a request's head or an answer that
//! nobody reads may take. Never looks into a request. Who lets us wait has that time only while
//! nobody else wants the place (`crate::seats`).

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, TcpListener as StdListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};

use super::answer::answer;
use super::door::Keys;
use super::site::Site;
use crate::seats::{Seats, Turn};

/// Clients at a time, where the process may have enough files open. One more takes the place of another.
const CLIENTS_MOST: usize = 64;
/// Files that the rest of the process may need. Of what it may have open besides, clients get half.
const FILES_FOR_OTHERS: u64 = 48;
/// An owner of clients is a network as the usual allotment to one host makes it.
const PREFIX_V6: u32 = 64;
/// A request's head may take so long, and so may the wait for the next request.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// An answer of which nothing is read for so long is given up.
const READER_PATIENCE: Duration = Duration::from_secs(10);
/// A TLS handshake may take so long.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of a request's head.
const HEAD_LIMIT: usize = 16 << 10;
/// Lines of a request's head.
const HEADERS_MOST: usize = 64;
/// A pause after a failed `accept`, which would fail at once again (no file descriptors left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many clients are served at a time by a process that may have so many files open.
pub(super) fn clients_most(open_files: u64) -> usize {
    let left = open_files.saturating_sub(FILES_FOR_OTHERS) / 2;
    usize::try_from(left).unwrap_or(CLIENTS_MOST).clamp(2, CLIENTS_MOST)
}

/// Serves until it is dropped, and every connection with it.
pub(super) async fn serve((listener, keys): (Arc<StdListener>, Keys), site: Arc<Site>) {
    let Ok(listener) = listener.try_clone().and_then(TcpListener::from_std) else { return };
    let mut seats = Seats::new(site.clients_most());
    let keys = Arc::new(keys);
    loop {
        tokio::select! {
            accepted = listener.accept(), if seats.is_one_to_be_had() => match accepted {
                Ok((stream, from)) => {
                    let (keys, site) = (keys.clone(), site.clone());
                    seats.give(owner_of(from.ip()), |turn| attend(stream, keys, site, turn));
                    // Who is in may have asked already, and is not to lose his place unheard.
                    tokio::task::yield_now().await;
                }
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            () = seats.changed() => {}
        }
    }
}

/// Whose a client is. Who has one address of a network of IPv6 has as many as he likes.
fn owner_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> PREFIX_V6 << PREFIX_V6).into(),
        ip @ IpAddr::V4(_) => ip,
    }
}

async fn attend(stream: TcpStream, keys: Arc<Keys>, site: Arc<Site>, turn: Turn) {
    // Only a matter of speed.
    let _ = stream.set_nodelay(true);
    let stream = Impatient::new(stream);
    match &keys.tls {
        None => converse(stream, keys, site, turn).await,
        Some(tls) => {
            let shaken = tokio::time::timeout(HANDSHAKE_PATIENCE, tls.acceptor.accept(stream));
            if let Ok(Ok(stream)) = shaken.await {
                converse(stream, keys, site, turn).await;
            }
        }
    }
}

async fn converse<S>(stream: S, keys: Arc<Keys>, site: Arc<Site>, turn: Turn)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let turn = Arc::new(turn);
    let service = service_fn(move |request| {
        let (keys, site, turn) = (keys.clone(), site.clone(), turn.clone());
        async move {
            turn.is_ours();
            let response = answer(&request, &keys, &site).await;
            // A page that is kept up to date is being answered until it goes.
            if !response.body().is_stream() {
                turn.is_the_clients();
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT)
        .max_headers(HEADERS_MOST)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever is wrong with a client is the client's business.
    let _ = connection.await;
}

/// A stream whose other end has to read.
struct Impatient {
    stream: TcpStream,
    /// Armed while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream) -> Self {
        Self { stream, waiting: None }
    }

    fn judge<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let until = || Box::pin(tokio::time::sleep_until(Instant::now() + READER_PATIENCE));
        let waiting = self.waiting.get_or_insert_with(until);
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.judge(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, pieces);
        this.judge(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
