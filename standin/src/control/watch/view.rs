//! What the terminal view is showing, and what a key does to it.
//!
//! Owns the selection, the panes and the question before an order. Asks nobody: a key gives a
//! [`Wish`], its answer comes back. Invariant: nothing is ordered that was not confirmed, and what
//! is selected stays selected wherever its row goes.
//!
//! ```text
//! Table ── e ──► Explanation        Table ── m ──► Destination ── enter ──► Question ── y ──► Wish
//!   ▲               │                 ▲  └─ d ───────────────────────────────▲  │
//!   └──── esc ──────┘                 └───────────── any other key ──────────────┘
//! ```

use serde_json::{Map, Value, json};

use super::key::Key;
use crate::control::commands;

/// Rows that a page key goes over.
const PAGE: usize = 10;

/// A row of the tables, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A group of VIPs.
    Vip(String),
    /// A node.
    Node(String),
}

/// What covers the tables.
#[derive(Debug, Clone, PartialEq)]
pub enum Pane {
    /// Nothing.
    Table,
    /// The keys.
    Help,
    /// Why something is as it is.
    Explanation {
        /// Its lines.
        lines: Vec<String>,
        /// The first one that is shown.
        top: usize,
    },
    /// Where a group is to go.
    Destination {
        /// The group.
        group: String,
        /// The places: a node, or none for where its settings say.
        places: Vec<Option<String>>,
        /// The selected one.
        at: usize,
    },
    /// Whether an order is to be given.
    Question {
        /// In words.
        words: String,
        /// The order.
        order: Value,
    },
}

/// What is to be asked of the daemon.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// Why something is as it is.
    Explain(Value),
    /// A confirmed order.
    Order(Value),
    /// The end.
    Quit,
}

/// An event of the daemon's story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When, RFC 3339.
    pub at: String,
    /// Its level, as in the log.
    pub level: String,
    /// The sentence.
    pub message: String,
}

/// What is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// As `standin status --json` prints it.
    pub status: Value,
    /// The latest events, the newest last.
    pub story: Vec<Told>,
    /// Why the daemon does not answer.
    pub trouble: Option<String>,
    /// What was said last, and whether it is bad.
    pub said: Option<(bool, String)>,
    /// What covers the tables.
    pub pane: Pane,
    /// Whether the daemon takes orders from us.
    may_change: bool,
    selected: Option<Row>,
}

impl Default for View {
    fn default() -> Self {
        Self {
            status: Value::Null,
            story: Vec::new(),
            trouble: None,
            said: None,
            pane: Pane::Table,
            may_change: true,
            selected: None,
        }
    }
}

impl View {
    /// The daemon answered: its status, whether it takes orders from us, and its story.
    pub fn handle_look(&mut self, answer: &Map<String, Value>) {
        self.trouble = None;
        self.status = answer.get("status").cloned().unwrap_or_default();
        self.may_change = answer.get("may_change") != Some(&Value::Bool(false));
        let story = answer.get("story").and_then(Value::as_array);
        let text = |told: &Value, key: &str| {
            told.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let told = |told| Told {
            at: text(told, "at"),
            level: text(told, "level"),
            message: text(told, "message"),
        };
        self.story = story.into_iter().flatten().map(told).collect();
        let rows = self.rows();
        if self.selected.as_ref().is_none_or(|selected| !rows.contains(selected)) {
            self.selected = rows.into_iter().next();
        }
    }

    /// It did not: what is shown stays, and is said to be old.
    pub fn handle_trouble(&mut self, why: &str) {
        self.trouble = Some(why.to_owned());
    }

    /// The answer to a wish.
    pub fn handle_answer(&mut self, wish: &Wish, answer: Result<&Map<String, Value>, &str>) {
        match (wish, answer) {
            (_, Err(why)) => self.said = Some((true, why.to_owned())),
            (Wish::Explain(_), Ok(answer)) => {
                let why = answer.get("explanation").cloned().unwrap_or_default();
                let text = commands::explained(&why);
                let lines = text.lines().map(str::to_owned).collect();
                self.pane = Pane::Explanation { lines, top: 0 };
            }
            (Wish::Order(_) | Wish::Quit, Ok(answer)) => {
                let done = answer.get("done").and_then(Value::as_str).unwrap_or("done");
                self.said = Some((false, done.to_owned()));
            }
        }
    }

    /// Whether keys may order anything.
    pub fn may_change(&self) -> bool {
        self.may_change
    }

    /// The selected row.
    pub fn selected(&self) -> Option<&Row> {
        self.selected.as_ref()
    }

    /// Every row that can be selected, in order.
    pub fn rows(&self) -> Vec<Row> {
        let names = |table: &str, key: &str| -> Vec<String> {
            let rows = self.status.get(table).and_then(Value::as_array);
            let names = rows.into_iter().flatten().filter_map(|row| row.get(key)?.as_str());
            names.map(str::to_owned).collect()
        };
        let vips = names("groups", "group").into_iter().map(Row::Vip);
        vips.chain(names("nodes", "name").into_iter().map(Row::Node)).collect()
    }

    /// Somebody pressed a key.
    pub fn handle_key(&mut self, key: Key) -> Option<Wish> {
        if key == Key::Interrupt {
            return Some(Wish::Quit);
        }
        self.said = None;
        match std::mem::replace(&mut self.pane, Pane::Table) {
            Pane::Table => self.table_key(key),
            // Any key closes it.
            Pane::Help => None,
            Pane::Explanation { lines, top } => {
                self.scroll(key, lines, top);
                None
            }
            Pane::Destination { group, places, at } => {
                self.choose(key, group, places, at);
                None
            }
            Pane::Question { order, .. } => {
                if matches!(key, Key::Character('y' | 'Y')) {
                    return Some(Wish::Order(order));
                }
                self.said = Some((false, "nothing was ordered".to_owned()));
                None
            }
        }
    }

    fn table_key(&mut self, key: Key) -> Option<Wish> {
        match key {
            Key::Up | Key::Character('k') => self.select_by(|at, _| at.saturating_sub(1)),
            Key::Down | Key::Character('j') => self.select_by(|at, _| at + 1),
            Key::PageUp => self.select_by(|at, _| at.saturating_sub(PAGE)),
            Key::PageDown => self.select_by(|at, _| at + PAGE),
            Key::Home | Key::Character('g') => self.select_by(|_, _| 0),
            Key::End | Key::Character('G') => self.select_by(|_, count| count),
            Key::Character('q') => return Some(Wish::Quit),
            Key::Character('?' | 'h') => self.pane = Pane::Help,
            Key::Character('e') | Key::Enter => return self.explain(),
            Key::Character('m') => self.begin_move(),
            Key::Character('d') => self.begin_drain(),
            Key::Escape | Key::Interrupt | Key::Character(_) => {}
        }
        None
    }

    fn select_by(&mut self, to: impl Fn(usize, usize) -> usize) {
        let rows = self.rows();
        let at = rows.iter().position(|row| Some(row) == self.selected.as_ref()).unwrap_or(0);
        let to = to(at, rows.len()).min(rows.len().saturating_sub(1));
        self.selected = rows.into_iter().nth(to);
    }

    fn explain(&mut self) -> Option<Wish> {
        match self.selected.clone()? {
            Row::Vip(group) => Some(Wish::Explain(json!({ "command": "explain", "vip": group }))),
            Row::Node(name) => {
                let node = self.node(&name).cloned().unwrap_or_default();
                self.pane = Pane::Explanation { lines: super::draw::about_node(&node), top: 0 };
                None
            }
        }
    }

    fn node(&self, name: &str) -> Option<&Value> {
        let nodes = self.status.get("nodes").and_then(Value::as_array);
        nodes.into_iter().flatten().find(|node| node.get("name").is_some_and(|found| found == name))
    }

    /// Whether an order makes sense at all; else says why not.
    fn may_order(&mut self, what: &str) -> bool {
        if let Some(why) = &self.trouble {
            self.said = Some((true, format!("cannot {what}: {why}")));
        } else if !self.may_change {
            let why = "that is for root, the daemon's own user and the group of [control]";
            self.said = Some((true, format!("you may not {what}: {why}")));
        }
        self.said.is_none()
    }

    fn begin_move(&mut self) {
        let Some(Row::Vip(group)) = self.selected.clone() else {
            self.said = Some((true, "select a VIP: it is what moves".to_owned()));
            return;
        };
        if !self.may_order("move") {
            return;
        }
        let nodes = self.status.get("nodes").and_then(Value::as_array);
        let members = nodes.into_iter().flatten();
        let members = members.filter(|node| node.get("witness") != Some(&Value::Bool(true)));
        let names = members.filter_map(|node| node.get("name")?.as_str());
        let mut places: Vec<Option<String>> = names.map(|name| Some(name.to_owned())).collect();
        places.push(None);
        let groups = self.status.get("groups").and_then(Value::as_array);
        let holds = |row: &&Value| row.get("group").is_some_and(|found| *found == group.as_str());
        let found = groups.into_iter().flatten().find(holds);
        let holder = found.and_then(|row| row.get("holder")?.as_str());
        // The first one that would be a move.
        let at = places.iter().position(|place| place.as_deref() != holder).unwrap_or(0);
        self.pane = Pane::Destination { group, places, at };
    }

    fn choose(&mut self, key: Key, group: String, places: Vec<Option<String>>, at: usize) {
        let last = places.len().saturating_sub(1);
        let at = match key {
            Key::Up | Key::Character('k') => at.saturating_sub(1),
            Key::Down | Key::Character('j') => (at + 1).min(last),
            Key::Enter => {
                let place = places.into_iter().nth(at).flatten();
                let words = match &place {
                    Some(node) => format!("move {group} to {node}?"),
                    None => format!("let {group} go where its settings say?"),
                };
                let order = json!({ "command": "move", "vip": group, "node": place });
                self.pane = Pane::Question { words, order };
                return;
            }
            Key::Escape | Key::Character('q') => return,
            _ => at,
        };
        self.pane = Pane::Destination { group, places, at };
    }

    fn begin_drain(&mut self) {
        let Some(Row::Node(name)) = self.selected.clone() else {
            self.said = Some((true, "select a node: it is what is drained".to_owned()));
            return;
        };
        let is = |key: &str| self.node(&name).and_then(|node| node.get(key)) == Some(&true.into());
        let (drained, witness) = (is("drained"), is("witness"));
        let command = if drained { "undrain" } else { "drain" };
        if !self.may_order(command) {
            return;
        }
        if witness {
            self.said = Some((true, format!("{name} is a witness: it holds nothing")));
            return;
        }
        let words = if drained {
            format!("let {name} take its share again?")
        } else {
            format!("drain {name}: move away what it holds?")
        };
        let order = json!({ "command": command, "node": name });
        self.pane = Pane::Question { words, order };
    }

    fn scroll(&mut self, key: Key, lines: Vec<String>, top: usize) {
        let last = lines.len().saturating_sub(1);
        let top = match key {
            Key::Up | Key::Character('k') => top.saturating_sub(1),
            Key::Down | Key::Character('j') => (top + 1).min(last),
            Key::PageUp => top.saturating_sub(PAGE),
            Key::PageDown => (top + PAGE).min(last),
            Key::Home => 0,
            Key::End => last,
            Key::Enter | Key::Escape | Key::Interrupt | Key::Character(_) => return,
        };
        self.pane = Pane::Explanation { lines, top };
    }
}
