//! The control socket in its place, which a reload may change.
//!
//! Owns the server's task. Invariant: a client that was let in is served to its end, also where the
//! socket it came through is gone; somebody listens at the present socket all the time.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::control::{Access, Handler, Place, Server};
use crate::failure::Result;
use crate::file::Control;

/// Where people come to.
pub(super) struct Counter {
    handler: Handler,
    place: Place,
    task: JoinHandle<()>,
    close: oneshot::Sender<()>,
}

impl Counter {
    /// Serves at a socket that is bound.
    pub(super) fn open(server: Server, handler: Handler) -> Self {
        let place = server.place().clone();
        let (close, closed) = oneshot::channel();
        let task = tokio::spawn(server.serve_until(handler.clone(), async {
            // When its sender is gone the server is aborted soon.
            if closed.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Self { handler, place, task, close }
    }

    /// Whether nobody can come any more: its file was removed, or replaced.
    pub(super) fn is_lost(&self) -> bool {
        !self.place.is_there()
    }

    /// Moves to another socket, or to one with other rights, or makes one anew that is lost.
    ///
    /// # Errors
    /// It cannot be made; the present one stays.
    pub(super) fn change(&mut self, control: &Control) -> Result<()> {
        let access = Access::of(control);
        let server = if self.is_lost() {
            Server::bind(&access)?
        } else {
            Server::bind_instead_of(&access, self.place.path())?
        };
        let next = Self::open(server, self.handler.clone());
        let former = std::mem::replace(self, next);
        let _ = former.close.send(());
        Ok(())
    }

    /// Ends it and removes its file.
    pub(super) async fn shut(self) {
        self.task.abort();
        // Its file is removed when it is dropped.
        let _ = self.task.await;
    }
}
