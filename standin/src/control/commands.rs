//! The commands that talk to a running `standin run`.
//!
//! Owns their arguments and how their answers read. What they mean is the daemon's.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{ask, default_socket, page, table};
use crate::failure::{Code, Failure, Result};

/// Whom to ask, and how to print the answer.
#[derive(Debug, Args)]
pub struct Asking {
    /// The daemon's socket [default: that of /etc/standin/standin.toml, or /run/standin/standin.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

impl Asking {
    /// Where the daemon is.
    pub fn socket(&self) -> PathBuf {
        self.socket.clone().unwrap_or_else(default_socket)
    }

    fn ask(&self, request: &Value) -> Result<Map<String, Value>> {
        ask(&self.socket(), request)
    }

    /// Orders something and gives the sentence that says what follows.
    fn order(&self, request: &Value) -> Result<String> {
        let answer = self.ask(request)?;
        if self.json {
            return Ok(format!("{:#}\n", Value::Object(answer)));
        }
        Ok(format!("{}\n", text(answer.get("done"))))
    }
}

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  standin explain 208.201.239.37
      Why it is where it is, what each node would be good for, and what would move it.
  standin explain web --json
      The [[vip]] called web, for a program.";

/// The arguments of `standin explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// A VIP: an address, or the name of a `[[vip]]`
    #[arg(value_name = "VIP")]
    pub vip: String,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

const PLAN_EXAMPLES: &str = "\
Examples:
  standin plan --fail brain
      Where everything would go if brain failed now. Nothing is changed.
  standin plan --fail brain,pinky
      If both failed at once.";

/// The arguments of `standin plan`.
#[derive(Debug, Args)]
#[command(after_help = PLAN_EXAMPLES)]
pub struct PlanArgs {
    /// The nodes that would fail at once
    #[arg(long, value_name = "NODE", required = true, value_delimiter = ',')]
    pub fail: Vec<String>,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

const MOVE_EXAMPLES: &str = "\
Examples:
  standin move 208.201.239.37 pinky
      Pinky takes it, and keeps it as long as it can.
  standin move 208.201.239.37 --back
      It goes where its settings say, and follows them again.";

/// The arguments of `standin move`.
#[derive(Debug, Args)]
#[command(after_help = MOVE_EXAMPLES)]
pub struct MoveArgs {
    /// A VIP: an address, or the name of a `[[vip]]`; what moves with it moves along
    #[arg(value_name = "VIP")]
    pub vip: String,

    /// The node that is to have it, and to keep it as long as it can
    #[arg(value_name = "NODE", required_unless_present = "back")]
    pub node: Option<String>,

    /// Undo an earlier move: the VIP goes where its settings say
    #[arg(long, conflicts_with = "node")]
    pub back: bool,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

/// The arguments of `standin drain` and `standin undrain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The node
    #[arg(value_name = "NODE")]
    pub node: String,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

const RELOAD_EXAMPLES: &str = "\
Example:
  standin reload
      The same as SIGHUP, but says what has changed, or why the file is refused: the one before
      stays in effect then.";

/// The arguments of `standin reload`.
#[derive(Debug, Args)]
#[command(after_help = RELOAD_EXAMPLES)]
pub struct ReloadArgs {
    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

const STOP_EXAMPLES: &str = "\
Examples:
  standin stop
      Everything is handed over, then the daemon ends; returns when it has.
  standin stop --keep && standin run
      A new version takes up what the old one held, without a move.";

/// The arguments of `standin stop`.
#[derive(Debug, Args)]
#[command(after_help = STOP_EXAMPLES)]
pub struct StopArgs {
    /// Leave what it holds on the interfaces, for the next run to take up within 30 s
    #[arg(long)]
    pub keep: bool,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

/// `standin move`.
///
/// # Errors
/// The daemon cannot be asked, or refuses.
pub fn place(args: &MoveArgs) -> Result<String> {
    args.asking.order(&json!({ "command": "move", "vip": args.vip, "node": args.node }))
}

/// `standin drain` and `standin undrain`.
///
/// # Errors
/// The daemon cannot be asked, or refuses.
pub fn drain(args: &DrainArgs, drained: bool) -> Result<String> {
    let command = if drained { "drain" } else { "undrain" };
    args.asking.order(&json!({ "command": command, "node": args.node }))
}

/// `standin reload`.
///
/// # Errors
/// The daemon cannot be asked, or the file is bad: it stays as it was then.
pub fn reload(args: &ReloadArgs) -> Result<String> {
    args.asking.order(&json!({ "command": "reload" }))
}

/// `standin stop`; returns when it has stopped.
///
/// # Errors
/// The daemon cannot be asked, or refuses.
pub fn stop(args: &StopArgs) -> Result<String> {
    args.asking.order(&json!({ "command": "stop", "keep": args.keep }))
}

/// `standin explain`.
///
/// # Errors
/// The daemon cannot be asked, or there is no such VIP.
pub fn explain(args: &ExplainArgs) -> Result<String> {
    let answer = args.asking.ask(&json!({ "command": "explain", "vip": args.vip }))?;
    let why = member(&answer, "explanation")?;
    if args.asking.json {
        return Ok(format!("{why:#}\n"));
    }
    Ok(explained(why))
}

/// An explanation in lines.
pub(super) fn explained(why: &Value) -> String {
    let (group, holder) = (text(why.get("group")), why.get("holder").and_then(Value::as_str));
    let addresses = list(why.get("addresses"));
    let mut lines = vec![match holder {
        Some(holder) => format!("{group} is on {holder}"),
        None => format!("{group} is on no node"),
    }];
    if addresses.len() > 1 || addresses.first() != Some(&group) {
        lines.push(format!("  addresses: {}", addresses.join(", ")));
    }
    lines.push(format!("  why: {}", text(why.get("reason"))));
    if let Some(lease) = why.get("lease").and_then(page::lease) {
        lines.push(format!("  lease here: {lease}"));
    }
    for answer in why.get("answered_by").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!(
            "  {} answers for {}: taken here as soon as it stops",
            text(answer.get("mac")),
            text(answer.get("address"))
        ));
    }
    lines.extend(page::rivals(why).map(|rival| format!("  {rival}: take it away there")));
    if let Some(last) = why.get("last_decided").filter(|last| last.is_object()) {
        lines.push(format!(
            "  last decided: {}, {}",
            text(last.get("at")),
            text(last.get("reason"))
        ));
    }
    for (title, key) in [("nodes:", "nodes"), ("what would move it:", "changes")] {
        let sentences = list(why.get(key));
        if !sentences.is_empty() {
            lines.push(title.to_owned());
            lines.extend(sentences.into_iter().map(|sentence| format!("  - {sentence}")));
        }
    }
    lines.join("\n") + "\n"
}

/// `standin plan`.
///
/// # Errors
/// The daemon cannot be asked, or there is no such node.
pub fn plan(args: &PlanArgs) -> Result<String> {
    let answer = args.asking.ask(&json!({ "command": "plan", "fail": args.fail }))?;
    let plan = member(&answer, "plan")?;
    if args.asking.json {
        return Ok(format!("{plan:#}\n"));
    }
    let groups = plan.get("groups").and_then(Value::as_array).cloned().unwrap_or_default();
    let moving: Vec<Value> = groups
        .iter()
        .filter(|group| group.get("moves") == Some(&Value::Bool(true)))
        .map(|group| {
            json!({
                "vip": text(group.get("group")),
                "now on": or_nobody(group.get("holder")),
                "then on": or_nobody(group.get("then")),
                "reason": text(group.get("reason")),
            })
        })
        .collect();
    let failing = list(plan.get("failing")).join(" and ");
    let (of, count) = (groups.len(), moving.len());
    if count == 0 {
        return Ok(format!("if {failing} failed, nothing would move\n"));
    }
    let moved = if count == 1 { "moves" } else { "move" };
    Ok(format!(
        "if {failing} failed: {count} of {of} {moved}\n{}",
        table::render(&json!({ "vips": moving }))
    ))
}

fn member<'a>(answer: &'a Map<String, Value>, name: &str) -> Result<&'a Value> {
    answer.get(name).ok_or_else(|| {
        Failure::new(Code::Unavailable, "the daemon's answer makes no sense to this version")
            .advice("use the standin that the daemon was started from")
    })
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn or_nobody(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or("nobody").to_owned()
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
