//! What people ask and order at the control socket.
//!
//! Owns the commands, their arguments and the shape of the answers. A name becomes a number here;
//! the fast loop answers from the core. Invariant: who may not change anything changes nothing.

use std::collections::BTreeMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use standin_core::place::Bar;
use standin_core::vip::Place;
use standin_sys::event::Wakeup;
use tokio::sync::{mpsc, oneshot};

use super::Directory;
use super::status::{Seen, SeenCluster, of_lease, of_rivals};
use crate::control::{Handler, Refusal, Reply, Request};
use crate::failure::{self, Code, nearest};
use crate::http::SharedLedger;
use crate::link::{Answer, Command, Order, ToFast};
use crate::log::rfc3339;

/// The fast loop answers in microseconds; one that hangs is not waited for for ever.
const PATIENCE: Duration = Duration::from_secs(3);
/// As many events of the story are told as fit on a screen.
const STORY_TOLD: usize = 50;
/// Reading needs no rights.
const READING: [&str; 3] = ["status", "explain", "plan"];
/// Changing does.
const CHANGING: [&str; 5] = ["move", "drain", "undrain", "reload", "stop"];

/// Somebody wants the file read again; the answer is a sentence.
pub(super) type ReloadRequest = oneshot::Sender<failure::Result<String>>;

/// What was last decided about a group.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) at: SystemTime,
    pub(super) sentence: String,
}

/// The desk. Clones are the same one.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) to_fast: SyncSender<ToFast>,
    pub(super) wakeup: Arc<Wakeup>,
    pub(super) reload: mpsc::Sender<ReloadRequest>,
    pub(super) book: Arc<Mutex<Book>>,
    pub(super) ledger: SharedLedger,
}

/// What the slow loop writes down for the desk.
#[derive(Default)]
pub(super) struct Book {
    /// In a cluster: its name and the names in it.
    pub(super) cluster: Option<(String, Arc<Directory>)>,
    /// By a group's name.
    pub(super) last: BTreeMap<Arc<str>, Remembered>,
}

impl Desk {
    pub(super) fn handler(self) -> Handler {
        Arc::new(move |request| {
            let desk = self.clone();
            Box::pin(async move { desk.answer(request).await })
        })
    }

    async fn answer(&self, request: Request) -> Reply {
        let command = request.command.as_str();
        if command == "status" {
            return self.status(&request).await;
        }
        let known = READING.into_iter().chain(CHANGING);
        if !known.clone().any(|name| name == command) {
            return Err(wrong(match nearest(command, known) {
                Some(meant) => format!("unknown command '{command}': did you mean {meant}?"),
                None => format!(
                    "unknown command '{command}': it may be one of a newer version than this daemon"
                ),
            }));
        }
        if CHANGING.contains(&command) && !request.may_change {
            let why = format!(
                "you may not {command}: that is for root, the daemon's own user and the group of \
                 [control] in its file"
            );
            return Err(Refusal::new(Code::NoPermission, why));
        }
        let Some(directory) = self.directory() else {
            return Err(wrong(format!("'{command}' is for standin run; this is standin for")));
        };
        match command {
            "explain" => self.explain(&directory, &request).await,
            "plan" => self.plan(&directory, &request).await,
            "move" => self.place(&directory, &request).await,
            "drain" | "undrain" => self.drain(&directory, &request).await,
            "reload" => self.reload().await,
            _ => self.stop(&request).await,
        }
    }

    fn directory(&self) -> Option<Arc<Directory>> {
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.cluster.as_ref().map(|(_, directory)| directory.clone())
    }

    async fn ask(&self, command: Command) -> Result<Answer, String> {
        let (reply, answer) = oneshot::channel();
        let order = ToFast::Order(Order { command, reply });
        self.to_fast.try_send(order).map_err(|_| "the daemon is too busy: ask again".to_owned())?;
        let _ = self.wakeup.notify();
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err("the configuration is just changing: ask again".to_owned()),
            Err(_) => Err(format!("no answer from the fast loop within {} s", PATIENCE.as_secs())),
        }
    }

    /// How everything is.
    ///
    /// # Errors
    /// The fast loop does not answer: a sentence.
    pub(super) async fn look(&self) -> Result<Seen, String> {
        let Answer::Status { status, cluster, pulse } = self.ask(Command::Status).await? else {
            return Err(MIXED_UP.to_owned());
        };
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let names = book.cluster.as_ref();
        let cluster = names.zip(cluster).map(|((name, directory), cluster)| SeenCluster {
            name: name.clone(),
            node: directory.own_name().to_owned(),
            addresses: directory.groups().map(|(_, addresses)| addresses.to_vec()).collect(),
            status: *cluster,
        });
        Ok(Seen { status: *status, cluster, pulse: *pulse })
    }

    async fn status(&self, request: &Request) -> Reply {
        let status = self.look().await?.to_json();
        let mut answer = members(json!({ "status": status, "may_change": request.may_change }));
        if request.body.get("story") == Some(&Value::Bool(true)) {
            answer.insert("story".to_owned(), self.story());
        }
        Ok(answer)
    }

    /// The latest events, the newest last.
    fn story(&self) -> Value {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let older = ledger.story.len().saturating_sub(STORY_TOLD);
        let told = ledger.story.iter().skip(older);
        told.map(|told| {
            json!({
                "at": rfc3339(told.at),
                "level": told.level.name(),
                "event": told.name,
                "message": told.message,
            })
        })
        .collect()
    }

    async fn explain(&self, directory: &Directory, request: &Request) -> Reply {
        let group = directory.group(argument(request, "vip")?).map_err(wrong)?;
        let Answer::Explained(Some(why)) = self.ask(Command::Explain { group }).await? else {
            return Err(MIXED_UP.to_owned().into());
        };
        let addresses = directory.group_at(group).map(|(_, vips)| vips.to_vec());
        let seen = self.look().await?;
        let groups = seen.cluster.as_ref().map(|cluster| &cluster.status.groups);
        let here = groups.and_then(|groups| groups.get(group));
        let lease = here.and_then(|here| here.lease.as_ref());
        let vips = here.into_iter().flat_map(|here| &here.vips);
        let vips = vips.filter_map(|vip| seen.status.vips.get(vip.index()));
        let answered: Vec<Value> = vips
            .filter_map(|vip| match vip.place {
                Place::Waiting(mac) => {
                    Some(json!({ "address": vip.address, "mac": mac.to_string() }))
                }
                Place::Away | Place::Asking | Place::Adding | Place::Held | Place::Removing => None,
            })
            .collect();
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let last = book.last.get(&why.group);
        Ok(members(json!({ "explanation": {
            "group": &*why.group,
            "addresses": addresses.unwrap_or_default(),
            "holder": why.present.as_deref(),
            "should_hold": why.holder.as_deref(),
            "reason": why.reason,
            "lease": lease.map(of_lease),
            "answered_by": answered,
            "contested": here.map(|here| of_rivals(here, &seen.status)).unwrap_or_default(),
            "nodes": why.nodes,
            "changes": why.changes,
            "last_decided": last.map(|last| json!({
                "at": rfc3339(last.at),
                "reason": last.sentence,
            })),
        }})))
    }

    async fn plan(&self, directory: &Directory, request: &Request) -> Reply {
        let names = request.body.get("fail").and_then(Value::as_array);
        let names: Vec<&str> = names.into_iter().flatten().filter_map(Value::as_str).collect();
        if names.is_empty() {
            return Err(wrong("plan needs \"fail\": the nodes that would fail".to_owned()));
        }
        let mut failing = Vec::new();
        for name in names {
            let node = directory.node(name).map_err(wrong)?;
            if !failing.contains(&node) {
                failing.push(node);
            }
        }
        let names: Vec<&str> = failing.iter().map(|node| directory.node_at(*node)).collect();
        let Answer::Foreseen(foreseen) = self.ask(Command::Foresee { failing }).await? else {
            return Err(MIXED_UP.to_owned().into());
        };
        let groups: Vec<Value> = foreseen
            .iter()
            .map(|one| {
                json!({
                    "group": &*one.group,
                    "holder": one.before.as_deref(),
                    "then": one.after.as_deref(),
                    "moves": one.before != one.after,
                    "reason": one.reason,
                })
            })
            .collect();
        Ok(members(json!({ "plan": { "failing": names, "groups": groups } })))
    }

    async fn place(&self, directory: &Directory, request: &Request) -> Reply {
        let group = directory.group(argument(request, "vip")?).map_err(wrong)?;
        let named = request.body.get("node").and_then(Value::as_str);
        let node = named.map(|name| directory.node(name)).transpose().map_err(wrong)?;
        let stays = match node {
            Some(node) => self.may_go(directory, group, node).await?,
            None => false,
        };
        self.ask(Command::Place { group, node }).await?;
        let (name, _) = directory.group_at(group).unwrap_or_default();
        Ok(done(&match node {
            Some(node) if stays => {
                format!("{name} is on {} already, and stays there", directory.node_at(node))
            }
            Some(node) => format!("{name} moves to {}", directory.node_at(node)),
            None => format!("{name} goes where its settings say"),
        }))
    }

    /// Refuses a move that could not come about; whether it has come about already.
    async fn may_go(
        &self,
        directory: &Directory,
        group: usize,
        node: standin_core::place::NodeId,
    ) -> Result<bool, Refusal> {
        let Answer::Explained(Some(why)) = self.ask(Command::Explain { group }).await? else {
            return Err(MIXED_UP.to_owned().into());
        };
        let name = directory.node_at(node);
        let candidate = format!("{name} is a candidate");
        // The operator may know that what the others complained of is mended.
        let paused = Bar::FailedOutside.sentence(name).to_string();
        let fit = |said: &String| *said == candidate || *said == paused;
        let stays = why.present.as_deref() == Some(name);
        if stays || why.nodes.iter().any(fit) {
            return Ok(stays);
        }
        let against = why
            .nodes
            .iter()
            .find(|said| said.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '\''])));
        Err(match against {
            Some(why_not) => format!("{name} cannot take {} now: {why_not}", why.group).into(),
            None => wrong(format!("{name} is not one of the nodes of {}", why.group)),
        })
    }

    async fn drain(&self, directory: &Directory, request: &Request) -> Reply {
        let node = directory.node(argument(request, "node")?).map_err(wrong)?;
        let drained = request.command == "drain";
        self.ask(Command::Drain { node, drained }).await?;
        let name = directory.node_at(node);
        Ok(done(&if drained {
            format!("{name} is drained: what it holds moves to others, as far as they can take it")
        } else {
            format!("{name} takes its share again")
        }))
    }

    async fn reload(&self) -> Reply {
        let (reply, answer) = oneshot::channel();
        if self.reload.send(reply).await.is_err() {
            return Err("this run ends".to_owned().into());
        }
        match answer.await {
            Ok(Ok(sentence)) => Ok(done(&sentence)),
            Ok(Err(why)) => {
                Err(Refusal::new(why.code(), format!("{why}\nthe configuration stays as it was")))
            }
            Err(_) => Err("this run ends".to_owned().into()),
        }
    }

    async fn stop(&self, request: &Request) -> Reply {
        let keeps = request.body.get("keep").and_then(Value::as_bool).unwrap_or_default();
        self.ask(Command::Stop { keeps }).await?;
        Ok(done(if keeps {
            "stopped: what it held is left to the next run, for 30 s"
        } else {
            "stopped: everything was handed over or released"
        }))
    }
}

const MIXED_UP: &str = "the configuration has just changed: ask again";

/// What was asked for does not exist.
fn wrong(why: String) -> Refusal {
    Refusal::new(Code::Usage, why)
}

fn argument<'r>(request: &'r Request, name: &str) -> Result<&'r str, Refusal> {
    let value = request.body.get(name).and_then(Value::as_str);
    value.ok_or_else(|| wrong(format!("'{}' needs \"{name}\"", request.command)))
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn done(sentence: &str) -> Map<String, Value> {
    members(json!({ "done": sentence }))
}
