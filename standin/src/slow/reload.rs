//! Reading the file again.
//!
//! Owns the judgement of a changed file, made while the run goes on: a file with an error in it, or
//! one that this host cannot follow, is refused whole and the one before stays. Changes nothing
//! but hooks; everything else is the fast loop's, which is told once the file is good.

use std::path::PathBuf;

use tokio::task::JoinHandle;

use super::SlowLoop;
use super::desk::ReloadRequest;
use crate::failure::{Failure, Result};
use crate::file::{self, ClusterFile};
use crate::host::prepare_cluster;
use crate::link::{Command, Order, ToFast};
use crate::log::{Event, Level};

/// Where a configuration came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// The node's name, where it was given on the command line.
    pub node: Option<String>,
}

/// A file that was found good, with its warnings; or what is wrong with it.
type Judgement = Result<(ClusterFile, Vec<String>)>;

/// What is known of reloads.
pub(super) struct Reloader {
    origin: Origin,
    /// The file that is in effect.
    pub(super) current: Option<ClusterFile>,
    judging: Option<JoinHandle<Judgement>>,
    /// Somebody asked while one was under way: it may have begun with an older file.
    again: bool,
    waiting: Vec<ReloadRequest>,
}

impl Reloader {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, current: None, judging: None, again: false, waiting: Vec::new() }
    }
}

/// The judgement of a file, once there is one.
pub(super) async fn judged(reloader: &mut Option<Reloader>) -> Judgement {
    let judging = reloader.as_mut().and_then(|reloader| reloader.judging.as_mut());
    let Some(judging) = judging else { return std::future::pending().await };
    let judged = judging.await.unwrap_or_else(|_| Err(Failure::config("reading the file failed")));
    if let Some(reloader) = reloader {
        reloader.judging = None;
    }
    judged
}

/// Whether this host could follow the file.
fn judge(origin: &Origin, current: Option<&ClusterFile>) -> Judgement {
    let (file, warnings) = file::load(&origin.path)?.into_valid(false)?;
    if let Some(current) = current
        && current.control != file.control
    {
        return Err(Failure::config("[control] cannot be changed by a reload")
            .advice("standin stop --keep, and start it again"));
    }
    let held: Vec<_> = current.map(|file| file.addresses().collect()).unwrap_or_default();
    prepare_cluster(&file, origin.node.as_deref(), &held)?;
    Ok((file, warnings))
}

impl SlowLoop {
    pub(super) fn reload(&mut self, reply: Option<ReloadRequest>) {
        let Some(reloader) = &mut self.reloader else { return };
        reloader.waiting.extend(reply);
        if reloader.judging.is_some() {
            reloader.again = true;
            return;
        }
        let (origin, current) = (reloader.origin.clone(), reloader.current.clone());
        reloader.judging =
            Some(tokio::task::spawn_blocking(move || judge(&origin, current.as_ref())));
    }

    pub(super) fn settle_reload(&mut self, judged: Judgement) {
        let Some(reloader) = &mut self.reloader else { return };
        if std::mem::take(&mut reloader.again) {
            self.reload(None);
            return;
        }
        let (file, warnings) = match judged {
            Ok(judged) => judged,
            Err(why) => return self.answer_reload(&Err(why.to_string())),
        };
        for warning in warnings {
            self.write_event(Some(Event::new(Level::Warn, "warning", warning)));
        }
        let (reply, _) = tokio::sync::oneshot::channel();
        let order = Order { command: Command::Renew(Box::new(file)), reply };
        match self.ends.outbox.try_send(ToFast::Order(order)) {
            Ok(()) => {
                let _ = self.ends.wakeup.notify();
            }
            Err(_) => self.answer_reload(&Err("the daemon is too busy: ask again".to_owned())),
        }
    }

    /// Says how it went, in the log and to everyone who waits.
    pub(super) fn answer_reload(&mut self, outcome: &std::result::Result<String, String>) {
        let Some(reloader) = &mut self.reloader else { return };
        let path = reloader.origin.path.display();
        let event = match outcome {
            Ok(_) => Event::new(Level::Info, "reloaded", format!("{path} is in effect")),
            Err(why) => {
                let what = format!("the configuration stays as it was: {why}");
                Event::new(Level::Error, "reload-refused", what)
            }
        };
        for reply in reloader.waiting.drain(..) {
            let _ = reply.send(outcome.clone());
        }
        self.write_event(Some(event));
    }
}
