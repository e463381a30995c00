//! The client: asks both public addresses for a page, again and again.
//!
//! Owns the requests. They leave at a fixed beat, whether the ones before were answered or not, so
//! that an outage is not hidden by waiting for it. Never judges: each request is told of once.

use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::Instant;

use standin_sys::netns::NetNamespace;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::news::News;
use super::page;
use super::plan::{Host, PATIENCE, Plan, REQUEST_INTERVAL};
use crate::failure::{Failure, Result};
use crate::host::os;

const ANSWER_LENGTH_MAX: u64 = 4096;

/// Starts asking. It ends with the process, or when nobody listens to `tell` any more.
///
/// # Errors
/// The thread cannot be started.
pub fn start(plan: &Plan, namespace: NetNamespace, tell: Sender<News>) -> Result<()> {
    let targets = Host::ALL.map(|home| (home, SocketAddr::new(plan.public(home), page::PORT)));
    let work = move || {
        let ended = ask_for_ever(targets, &namespace, &tell);
        if let Err(failure) = ended {
            let _ = tell.send(News::Broken(failure));
        }
    };
    thread::Builder::new()
        .name("client".to_owned())
        .spawn(work)
        .map_err(|error| Failure::os("start the client", &error))?;
    Ok(())
}

fn ask_for_ever(
    targets: [(Host, SocketAddr); 2],
    namespace: &NetNamespace,
    tell: &Sender<News>,
) -> Result<()> {
    namespace.enter_on_this_thread().map_err(|error| os(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::os("start the client", &error))?;
    runtime.block_on(async {
        let mut beat = interval(REQUEST_INTERVAL);
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            beat.tick().await;
            for (home, target) in targets {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let sent = Instant::now();
                    let by = timeout(PATIENCE, ask(target)).await.ok().flatten();
                    let _ = tell.send(News::Request { home, sent, done: Instant::now(), by });
                });
            }
        }
    })
}

/// Who answers; none when the answer is not a whole page, for whatever reason.
async fn ask(target: SocketAddr) -> Option<Host> {
    let mut stream = TcpStream::connect(target).await.ok()?;
    let question = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.take(ANSWER_LENGTH_MAX).read_to_string(&mut answer).await.ok()?;
    page::author(&answer)
}
