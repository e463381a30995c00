//! Reading the file again.
//!
//! Owns the judgement of a changed file, made while the run goes on: a file with an error in it, or
//! one that this host cannot follow, is refused whole and the one before stays. Changes hooks, webhooks,
//! pages and the control socket; everything else is the fast loop's, which is told once the file is good.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;

use standin_core::heartbeat::KeyRing;
use tokio::task::JoinHandle;

use super::SlowLoop;
use super::counter::Counter;
use super::desk::ReloadRequest;
use crate::confine;
use crate::failure::{Code, Failure, Result};
use crate::file::{self, ClusterFile};
use crate::host::{PreparedCluster, prepare_cluster, prepare_witness, quorum};
use crate::http::Door;
use crate::keygen::{Keys, cannot_use};
use crate::link::{Command, Order, ToFast};
use crate::log::{Event, Level};
use crate::notify;

/// Where a configuration came from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// The node's name, where it was given on the command line.
    pub node: Option<String>,
    /// As what this host takes part.
    pub role: Role,
    /// The run has not given up starting programs.
    pub may_start_programs: bool,
}

/// As what a host takes part in a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It may hold addresses.
    Node,
    /// It votes and holds nothing.
    Witness,
}

impl Origin {
    /// Finds out and judges everything on this host. The addresses in `held` are locked by this
    /// process already.
    ///
    /// # Errors
    /// The first reason not to start.
    pub fn prepare(&self, file: &ClusterFile, held: &[IpAddr]) -> Result<PreparedCluster> {
        match self.role {
            Role::Node => prepare_cluster(file, self.node.as_deref(), held),
            Role::Witness => prepare_witness(file, self.node.as_deref()),
        }
    }
}

/// A file in effect, and the keys that it names.
#[derive(Debug, Clone)]
pub(super) struct InEffect {
    pub(super) file: ClusterFile,
    pub(super) keys: Option<Keys>,
}

impl InEffect {
    pub(super) fn new(file: ClusterFile) -> Self {
        let keys = Keys::read(&file.key_file).ok();
        Self { file, keys }
    }
}

/// What is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each followed by itself")]
pub(super) struct Change {
    /// Something that the fast loop is built on.
    core: bool,
    /// The keys.
    keys: bool,
    /// The hooks.
    hooks: bool,
    /// The control socket.
    control: bool,
    /// Where the pages are served.
    http: bool,
    /// The webhooks.
    webhooks: bool,
    /// What was asked of the kernel at the start.
    realtime: bool,
}

/// A file that was found good.
pub(super) struct Judged {
    file: ClusterFile,
    keys: Keys,
    ring: KeyRing,
    change: Change,
    warnings: Vec<String>,
}

/// That, or what is wrong with it.
pub(super) type Judgement = Result<Judged>;

/// What is known of reloads.
pub(super) struct Reloader {
    origin: Origin,
    /// The file that is in effect.
    pub(super) current: Option<InEffect>,
    judging: Option<JoinHandle<Judgement>>,
    /// Somebody asked while one was under way: it may have begun with an older file.
    again: bool,
    waiting: Vec<ReloadRequest>,
}

impl Reloader {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, current: None, judging: None, again: false, waiting: Vec::new() }
    }

    /// The file in effect, where this host is a node: a witness tells nobody.
    pub(super) fn of_node(&self) -> Option<&InEffect> {
        self.current.as_ref().filter(|_| self.origin.role == Role::Node)
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

/// Whether this host could follow the file, and what would change.
fn judge(origin: &Origin, current: Option<&InEffect>) -> Judgement {
    let (file, mut warnings) = file::load(&origin.path)?.into_valid(false)?;
    if origin.role == Role::Node && !origin.may_start_programs && confine::starts_programs(&file) {
        return Err(Failure::config(
            "this run has given up starting programs, as hooks and commands",
        )
        .advice("standin stop --keep, and start it again"));
    }
    if let Some(known) = current {
        quorum::judge_change(&known.file, &file)?;
    }
    let held: Vec<_> = current.map(|known| known.file.addresses().collect()).unwrap_or_default();
    let mut prepared = origin.prepare(&file, &held)?;
    warnings.append(&mut prepared.host.warnings);
    if current.is_some_and(|known| known.file.port != file.port) {
        // Once the run with the old port has ended it would be too late.
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, file.port))
            .map_err(|error| Failure::os(format!("use UDP port {}", file.port), &error))?;
    }
    if let Some(http) = file.http.as_ref().filter(|_| origin.role == Role::Node) {
        Door::judge(current.and_then(|known| known.file.http.as_ref()), http)?;
    }
    if origin.role == Role::Node {
        notify::judge(&file.webhooks)?;
    }
    let keys = Keys::read(&file.key_file)?;
    let ring = keys.ring(&file.cluster).map_err(|error| cannot_use(&file.key_file, &error))?;
    let mut change = change(current, &file, &keys);
    // A witness has the socket of its command line, and neither pages nor webhooks.
    change.control &= origin.role == Role::Node;
    change.http &= origin.role == Role::Node;
    change.webhooks &= origin.role == Role::Node;
    Ok(Judged { file, keys, ring, change, warnings })
}

fn change(current: Option<&InEffect>, file: &ClusterFile, keys: &Keys) -> Change {
    let Some(InEffect { file: old, keys: old_keys }) = current else {
        return Change {
            core: true,
            keys: true,
            hooks: true,
            control: false,
            http: true,
            webhooks: true,
            realtime: false,
        };
    };
    let core = ClusterFile {
        hooks: file.hooks.clone(),
        control: file.control.clone(),
        http: file.http.clone(),
        webhooks: file.webhooks.clone(),
        realtime: file.realtime.clone(),
        key_file: file.key_file.clone(),
        ..old.clone()
    };
    Change {
        core: core != *file,
        keys: old_keys.as_ref() != Some(keys),
        hooks: old.hooks != file.hooks,
        control: old.control != file.control,
        http: old.http != file.http,
        webhooks: old.webhooks != file.webhooks,
        realtime: old.realtime != file.realtime,
    }
}

impl SlowLoop {
    pub(super) fn reload(&mut self, reply: Option<ReloadRequest>) {
        let Some(reloader) = &mut self.reloader else { return };
        if let Some(service) = &mut self.service {
            service.reloading();
        }
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
        let judged = match judged {
            Ok(judged) => judged,
            Err(why) => return self.answer_reload(&Err(why)),
        };
        for warning in &judged.warnings {
            self.write_event(Some(Event::new(Level::Warn, "warning", warning.as_str())));
        }
        match self.follow_judged(judged) {
            Ok(Some(what)) => self.answer_reload(&Ok(what)),
            // The fast loop says when it is done.
            Ok(None) => {}
            Err(why) => self.answer_reload(&Err(why)),
        }
    }

    /// Puts a good file into effect, what may be refused first. What was done, where it is done.
    fn follow_judged(&mut self, judged: Judged) -> Result<Option<String>> {
        let Judged { file, keys, ring, mut change, warnings: _ } = judged;
        let is_node = self.reloader.as_ref().is_some_and(|it| it.origin.role == Role::Node);
        change.control |= is_node && self.counter.as_ref().is_some_and(Counter::is_lost);
        if let (true, Some(counter)) = (change.control, &mut self.counter) {
            counter.change(&file.control)?;
        }
        if change.core {
            self.order(Command::Renew(Box::new(file)))?;
            return Ok(None);
        }
        if change.keys {
            self.order(Command::ChangeKeys(Box::new(ring)))?;
        }
        // A token, a secret or a certificate may be another in a file that says the same.
        self.front_stale = true;
        self.webhooks_stale = true;
        if let (true, Some(hooks)) = (change.hooks, &mut self.hooks) {
            hooks.change_commands(file.hooks.clone());
        }
        if let Some(reloader) = &mut self.reloader {
            reloader.current = Some(InEffect { file, keys: Some(keys) });
        }
        let all = [
            (change.keys, "another key"),
            (change.control, "a new control socket"),
            (change.hooks, "other hooks"),
            (change.http, "other pages"),
            (change.webhooks, "other webhooks"),
            (change.realtime, "[realtime] as it is now counts from the next start on"),
        ];
        let what: Vec<&str> = all.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
        Ok(Some(match what.as_slice() {
            [] => "nothing has changed in the file".to_owned(),
            what => format!("reloaded: {}", what.join(", ")),
        }))
    }

    fn order(&mut self, command: Command) -> Result<()> {
        let (reply, _) = tokio::sync::oneshot::channel();
        self.ends.outbox.try_send(ToFast::Order(Order { command, reply })).map_err(|_| {
            Failure::new(Code::TemporaryFailure, "the daemon is too busy").advice("ask again")
        })?;
        let _ = self.ends.wakeup.notify();
        Ok(())
    }

    /// Says how it went, in the log and to everyone who waits.
    pub(super) fn answer_reload(&mut self, outcome: &Result<String>) {
        let Some(reloader) = &mut self.reloader else { return };
        let path = reloader.origin.path.display();
        let event = match outcome {
            Ok(what) => Event::new(Level::Info, "reloaded", format!("{path}: {what}")),
            Err(why) => {
                let what = format!("the configuration stays as it was: {}", why.in_one_line());
                Event::new(Level::Error, "reload-refused", what)
            }
        };
        for reply in reloader.waiting.drain(..) {
            let _ = reply.send(outcome.clone());
        }
        if let Some(service) = &mut self.service {
            service.reloaded();
        }
        self.write_event(Some(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Source;

    const FILE: &str = "cluster = \"web\"\nkey-file = \"/nonexistent\"\n[nodes]\n\
                        pinky = \"10.0.0.1\"\nbrain = \"10.0.0.2\"\n[[vip]]\n\
                        address = \"10.0.0.9\"\nhome = \"pinky\"\n";

    fn file(text: &str) -> ClusterFile {
        let parsed = file::parse(Source::new(std::path::Path::new("f"), text.to_owned()));
        parsed.file.expect("a valid file")
    }

    fn keys(digit: &str) -> Keys {
        Keys::parse(&format!("{digit}{}", "123".repeat(21))).expect("a key")
    }

    #[test]
    fn only_what_the_fast_loop_is_built_on_needs_a_renewal() {
        let current = InEffect { file: file(FILE), keys: Some(keys("a")) };
        let hooks = format!("{FILE}[hooks]\non-take = \"/bin/true\"\n");
        let control = format!("{FILE}[control]\nmode = \"0600\"\n");
        let http = format!("{FILE}[http]\n");
        let webhooks = format!("{FILE}[[webhook]]\nurl = \"http://web/\"\n");
        let timing = format!("{FILE}[timing]\ndead-after = \"2s\"\n");
        let realtime = format!("{FILE}[realtime]\npriority = 0\n");
        let elsewhere = FILE.replace("/nonexistent", "/elsewhere");
        for (text, digit, wanted) in [
            (FILE, "a", ""),
            (FILE, "b", "k"),
            (hooks.as_str(), "a", "h"),
            (hooks.as_str(), "b", "kh"),
            (control.as_str(), "a", "c"),
            (http.as_str(), "a", "p"),
            (webhooks.as_str(), "a", "w"),
            (timing.as_str(), "a", "C"),
            (realtime.as_str(), "a", "r"),
            (elsewhere.as_str(), "a", ""),
            (elsewhere.as_str(), "b", "k"),
        ] {
            let found = change(Some(&current), &file(text), &keys(digit));
            let all = [
                (found.core, 'C'),
                (found.keys, 'k'),
                (found.hooks, 'h'),
                (found.control, 'c'),
                (found.http, 'p'),
                (found.webhooks, 'w'),
                (found.realtime, 'r'),
            ];
            let found: String = all.iter().filter(|(is, _)| *is).map(|(_, what)| *what).collect();
            assert_eq!(found, wanted, "{text} {digit}");
        }
    }
}
