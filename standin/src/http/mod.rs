//! The page and the metrics: what a run shows to people and programs over HTTP.
//!
//! Owns the listener of `[http]`, who may read, the limits, and everything that is served. Part of
//! the slow loop: it asks the fast one for its status and never more than ten times a second, and
//! it changes nothing, whoever asks. Invariant: a client costs a bounded amount, whatever it sends
//! or does not read.
//!
//! - [`door`]: the listening socket, the token, the certificate.
//! - `connection`: one client, from its first byte to its last.
//! - `answer`: which request gets what.
//! - [`site`]: what is known, asked for once for all who want it.
//! - [`ledger`]: what the slow loop has seen happen.
//! - [`metrics`]: the same in the words of Prometheus.
//! - [`page`]: the same for people; `events` keeps it up to date.

mod answer;
mod base64;
mod body;
mod connection;
pub mod door;
mod events;
pub mod ledger;
pub mod metrics;
pub mod page;
pub mod site;

use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

pub use door::Door;
pub use ledger::Ledger;
pub use site::{Look, Site};

use crate::failure::Result;
use crate::file::Http;

/// What the slow loop writes down and the pages show.
pub type SharedLedger = Arc<Mutex<Ledger>>;

/// Everything that is served, where it is served, if it is.
pub struct Front {
    site: Arc<Site>,
    door: Option<Door>,
    serving: Option<JoinHandle<()>>,
}

impl Front {
    /// Serves behind a door, if there is one. Needs a tokio runtime.
    pub fn open(site: Arc<Site>, door: Option<Door>) -> Self {
        let mut front = Self { site, door, serving: None };
        front.serve();
        front
    }

    /// Follows a changed `[http]`, or changed files that it names. Who is connected has to connect
    /// again, unless nothing has changed at all.
    ///
    /// # Errors
    /// It cannot be followed; what was served before still is.
    pub async fn change(&mut self, settings: Option<&Http>) -> Result<()> {
        let Some(settings) = settings else {
            self.close().await;
            self.door = None;
            return Ok(());
        };
        // A port can be given up for another address of this host, not bound twice.
        let in_the_way = self.door.take_if(|door| door.is_in_the_way_of(settings));
        if let Some(old) = in_the_way {
            self.close().await;
            let before = old.settings().clone();
            drop(old);
            let (door, outcome) = match Door::open_after_closing(settings).await {
                Ok(door) => (Some(door), Ok(())),
                Err(why) => (Door::open_after_closing(&before).await.ok(), Err(why)),
            };
            self.door = door;
            self.serve();
            return outcome;
        }
        if let Some(door) = Door::follow(self.door.as_ref(), settings)? {
            self.close().await;
            self.door = Some(door);
            self.serve();
        }
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Its socket is closed when it has gone.
            let _ = serving.await;
        }
    }

    fn serve(&mut self) {
        let (site, door) = (self.site.clone(), self.door.as_ref());
        self.serving = door.map(|door| tokio::spawn(connection::serve(door.share(), site)));
    }

    /// Where it is served, for tests that let the kernel choose a port.
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.door.as_ref().and_then(Door::address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}
