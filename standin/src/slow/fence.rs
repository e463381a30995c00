//! The fencing command: cuts a node off that may still answer.
//!
//! Owns its environment and its end. Invariant: success is told only of a run that ended with
//! status 0 within its time limit.
//!
//! ```text
//! STANDIN_EVENT      fence
//! STANDIN_NODE       the node to cut off
//! STANDIN_ADDRESSES  its real addresses, with spaces in between
//! STANDIN_BY         this node
//! STANDIN_CLUSTER    the cluster's name
//! STANDIN_TIME       when it was decided, as in the log
//! ```

use std::time::{Duration, SystemTime};

use standin_core::place::NodeId;
use tokio::task::JoinSet;

use super::hooks::run_command;
use crate::file::{self, ClusterFile, HookCommand};
use crate::log::{Event, Level, rfc3339};

/// One run of the command.
struct Order {
    command: HookCommand,
    environment: Vec<(&'static str, String)>,
    limit: Duration,
}

/// A run that has ended.
pub(super) struct Ended {
    pub(super) node: String,
    pub(super) result: Result<(), String>,
}

impl Ended {
    pub(super) fn event(&self) -> Event {
        let name = &self.node;
        match &self.result {
            Ok(()) => Event::new(Level::Warn, "fenced", format!("{name} was cut off by fence")),
            Err(why) => Event::new(
                Level::Error,
                "fence-failed",
                format!("fence of {name}: {why}; its lease is waited out"),
            ),
        }
        .with("node", name.clone())
    }
}

/// The runs of the command.
#[derive(Default)]
pub(super) struct Fencer {
    running: JoinSet<Ended>,
}

impl Fencer {
    /// Runs the command against a node.
    pub(super) fn start(&mut self, file: &ClusterFile, own_name: &str, node: NodeId) {
        let id = file.voter_ids().find(|id| u16::from(id.0) == node.0);
        let Some(id) = id else { return };
        let target = file.node(id);
        let order = file.fence.clone().map(|command| Order {
            command,
            environment: environment(file, target, own_name),
            limit: file.hooks.timeout,
        });
        let node = target.name.clone();
        self.running.spawn(async move {
            let result = match order {
                Some(order) => run_command(&order.command, &order.environment, order.limit).await,
                None => Err("there is no fence in the file any more".to_owned()),
            };
            Ended { node, result }
        });
    }

    /// Waits until a run has ended.
    pub(super) async fn ended(&mut self) -> Ended {
        loop {
            match self.running.join_next().await {
                Some(Ok(ended)) => return ended,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

fn environment(
    file: &ClusterFile,
    target: &file::Node,
    own_name: &str,
) -> Vec<(&'static str, String)> {
    let addresses: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
    vec![
        ("STANDIN_EVENT", "fence".to_owned()),
        ("STANDIN_NODE", target.name.clone()),
        ("STANDIN_ADDRESSES", addresses.join(" ")),
        ("STANDIN_BY", own_name.to_owned()),
        ("STANDIN_CLUSTER", file.cluster.clone()),
        ("STANDIN_TIME", rfc3339(SystemTime::now())),
    ]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::file::Source;

    fn run(fence: &str) -> Ended {
        let text = format!(
            "cluster = \"web\"\nkey-file = \"k\"\nauthority = \"quorum\"\nfence = {fence}\n[nodes]\n\
             pinky = \"10.0.0.1\"\nbrain = [\"10.0.0.2\", \"10.1.0.2\"]\nsnowball = \"10.0.0.3\"\n\
             [[vip]]\naddress = \"10.0.0.9\"\nhome = \"pinky\"\n[hooks]\ntimeout = \"300ms\"\n"
        );
        let parsed = crate::file::parse(Source::new(Path::new("f"), text));
        let shown = parsed.problems.render(&parsed.source, false);
        let file = parsed.file.unwrap_or_else(|| panic!("{shown}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut fencer = Fencer::default();
            fencer.start(&file, "pinky", NodeId(1));
            fencer.ended().await
        })
    }

    #[test]
    fn it_is_told_whom_and_where_and_success_is_status_0() {
        let script = "[ \\\"$STANDIN_EVENT $STANDIN_NODE $STANDIN_BY $STANDIN_CLUSTER\\\" = \
                      'fence brain pinky web' ] && [ \\\"$STANDIN_ADDRESSES\\\" = '10.0.0.2 10.1.0.2' ]";
        let ended = run(&format!("[\"/bin/sh\", \"-c\", \"{script}\"]"));
        assert_eq!((ended.node.as_str(), ended.result.clone()), ("brain", Ok(())));
        assert_eq!(ended.event().message, "brain was cut off by fence");
    }

    #[test]
    fn a_failure_and_a_hang_are_no_success() {
        let failed = run("\"/bin/false\"");
        assert!(failed.event().message.contains("exit status: 1; its lease is waited out"));
        let hung = run("[\"/bin/sh\", \"-c\", \"sleep 60 & wait\"]");
        assert_eq!(hung.result, Err("killed after 300ms".to_owned()));
    }
}
