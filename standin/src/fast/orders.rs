//! What people and the slow loop tell the fast loop: signals, results of checks, orders, questions.
//!
//! Owns the way from a message to an input of the core and back to an answer. Invariant: once the
//! run is to be renewed nothing more is taken: what is left is for the next one.

use standin_core::place::NodeId;
use standin_core::{Input, Instant, step};
use standin_sys::signal;

use super::{FastLoop, STOP_PATIENCE};
use crate::failure::Result;
use crate::file::ClusterFile;
use crate::host::os;
use crate::host::quorum::voters;
use crate::link::{Answer, Command, Order, Orders, ToFast, ToSlow};

impl FastLoop<'_> {
    pub(super) fn read_signals(&mut self, at: Instant) -> Result<()> {
        while self.renew.is_none() {
            let Some(received) = self.shell.signals.take().map_err(|error| os(&error))? else {
                break;
            };
            match (received.signal, self.beats.is_some()) {
                (signal::SIGHUP, true) => self.tell(at, ToSlow::ReloadAsked),
                (signal @ signal::SIGUSR2, true) => self.stop(at, Some(signal), true),
                // Nothing of a run without a cluster outlives it. Other daemons are asked by SIGUSR1
                // how they are: the habit must not cost the addresses.
                (signal::SIGUSR2, false) | (signal::SIGUSR1, _) => {}
                (signal, _) => self.stop(at, Some(signal), false),
            }
        }
        Ok(())
    }

    /// Stops for a signal or a command. Once everything is left to the next run, it stays so.
    fn stop(&mut self, at: Instant, cause: Option<i32>, keeps: bool) {
        let first = self.stop_by.is_none();
        self.keeps |= keeps;
        self.tell(at, ToSlow::Stopping { cause, keeps: self.keeps });
        if keeps {
            step(&mut self.node, at, Input::StopKeeping);
        } else if first {
            step(&mut self.node, at, Input::Stop);
        }
        if first {
            self.stop_by = Some(at + STOP_PATIENCE);
        }
    }

    pub(super) fn read_inbox(&mut self, at: Instant) {
        while self.renew.is_none() {
            let Ok(message) = self.shell.ends.inbox.try_recv() else { break };
            match message {
                ToFast::CheckResult { check, target, result } => {
                    step(&mut self.node, at, Input::Check { check, target, result });
                }
                ToFast::Fenced { node, result } => {
                    let position = self.names.iter().position(|name| **name == *node);
                    if let Some(position) = position {
                        let node = NodeId(position as u16);
                        step(&mut self.node, at, Input::Fenced { node, result });
                    }
                }
                ToFast::Order(Order { command, reply }) => {
                    let answer = self.obey(at, command);
                    // Who asked may have gone.
                    let _ = reply.send(answer);
                }
            }
        }
    }

    fn obey(&mut self, at: Instant, command: Command) -> Answer {
        match command {
            Command::Ping => {}
            Command::Status => {
                let status = Box::new(self.node.status(at));
                let cluster = self.node.cluster_status().map(Box::new);
                let pulse = Box::new(self.pulse.clone());
                return Answer::Status { status, cluster, pulse };
            }
            Command::Explain { group } => return Answer::Explained(self.node.explain(group)),
            Command::Foresee { failing } => return Answer::Foreseen(self.node.foresee(&failing)),
            Command::Place { group, node } => {
                step(&mut self.node, at, Input::Place { group, node });
            }
            Command::Drain { node, drained } => {
                step(&mut self.node, at, Input::Drain { node, drained });
            }
            Command::Stop { keeps } => self.stop(at, None, keeps),
            Command::ChangeKeys(keys) => self.node.change_keys(*keys),
            Command::Renew(file) => {
                if let Some(why) = self.keeps_its_file(&file) {
                    self.tell(at, ToSlow::RenewalRefused { why });
                    return Answer::Done;
                }
                let orders = self.orders();
                step(&mut self.node, at, Input::StopKeeping);
                self.renew = Some((*file, orders));
            }
        }
        Answer::Done
    }

    /// Why another file cannot be taken over now: this run ends, or the file has other voters, or the
    /// same in another order, before those of the last change are settled.
    fn keeps_its_file(&self, file: &ClusterFile) -> Option<String> {
        if self.stop_by.is_some() {
            return Some("standin was told to stop, and reads no file any more".to_owned());
        }
        let same = self.names.iter().map(|name| &**name).eq(voters(file));
        let judged = self.node.judge_voters_settled(&voters(file));
        judged.err().filter(|_| !same).map(|refused| refused.to_string())
    }

    /// What the operator ordered, by name: the numbers will be others.
    fn orders(&self) -> Orders {
        let Some(cluster) = self.node.cluster_status() else { return Orders::default() };
        let drained = cluster.nodes.into_iter().filter(|node| node.draining).map(|node| node.name);
        let placed =
            cluster.groups.into_iter().filter_map(|group| Some((group.name, group.placed?)));
        Orders { drained: drained.collect(), placed: placed.collect() }
    }
}
