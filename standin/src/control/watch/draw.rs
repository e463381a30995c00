//! What a [`View`] looks like on a screen of some size.
//!
//! Owns what is left out where there is no room: VIPs and nodes scroll with the selection, the story
//! gets what is left, sentences are cut. A pure function. Invariant: a screen has exactly its rows,
//! and no row is longer than it is wide.

use std::time::Duration;

use serde_json::Value;

use super::view::{Pane, Row, View};
use crate::control::{page, table};
use crate::duration;

/// How something stands out. Without colours all of them can be told apart by their words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all.
    Plain,
    /// A heading.
    Heading,
    /// Of less interest.
    Faint,
    /// As it should be.
    Good,
    /// Somebody should look.
    Warn,
    /// Wrong.
    Bad,
    /// The selected row.
    Selected,
}

/// A row of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub text: String,
    /// How.
    pub style: Style,
}

impl Line {
    fn new(style: Style, text: impl Into<String>) -> Self {
        Self { text: text.into(), style }
    }
}

/// Draws it: `height` lines, none longer than `width`.
pub fn draw(view: &View, width: usize, height: usize) -> Vec<Line> {
    let mut lines = header(view);
    let foot = footer(view, width);
    let room = height.saturating_sub(lines.len() + 1);
    match &view.pane {
        Pane::Help => lines.extend(HELP.iter().map(|line| Line::new(Style::Plain, *line))),
        Pane::Explanation { lines: text, top } => {
            let text = text.iter().flat_map(|line| wrapped(line, width));
            lines.extend(text.skip(*top).map(|line| Line::new(Style::Plain, line)));
        }
        Pane::Destination { group, places, at } => {
            lines.push(Line::new(Style::Heading, format!("MOVE {group} TO")));
            let from = at.saturating_sub(room.saturating_sub(3));
            lines.extend(places.iter().enumerate().skip(from).map(|(number, place)| {
                let place = place.as_deref().unwrap_or("where its settings say");
                chosen(number == *at, place)
            }));
        }
        Pane::Table | Pane::Question { .. } => lines.extend(tables(view, width, room)),
    }
    lines.truncate(height.saturating_sub(1));
    lines.resize(height.saturating_sub(1), Line::new(Style::Plain, ""));
    lines.push(foot);
    lines.truncate(height);
    for line in &mut lines {
        line.text = cut(&line.text, width);
    }
    lines
}

/// On fewer columns the keys are not told at the bottom.
const NARROW: usize = 50;

const HELP: [&str; 12] = [
    "",
    "up, down, j, k    select a VIP or a node",
    "enter, e          explain: why it is as it is",
    "m                 move the selected VIP",
    "d                 drain the selected node, or let it",
    "                  take its share again",
    "esc               back",
    "?, h              these keys",
    "q, ctrl-c         quit",
    "",
    "An order is given only after a y.",
    "Any key goes back.",
];

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is(value: &Value, key: &str) -> bool {
    value.get(key) == Some(&Value::Bool(true))
}

fn rows<'v>(status: &'v Value, key: &str) -> &'v [Value] {
    status.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Cut to so many characters, with a sign that it was.
fn cut(line: &str, width: usize) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    if line.chars().count() <= width {
        return line.chars().map(plain).collect();
    }
    let kept = line.chars().take(width.saturating_sub(1)).map(plain);
    kept.chain((width > 0).then_some('…')).collect()
}

/// In lines of so many characters, broken between words where that is possible.
fn wrapped(line: &str, width: usize) -> Vec<String> {
    let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
    let mut lines = vec![String::new()];
    for word in line.trim_start().split(' ') {
        let last = lines.len() - 1;
        let begun = if lines[last].is_empty() { &indent } else { &lines[last] };
        let gap = if lines[last].is_empty() { "" } else { " " };
        let longer = format!("{begun}{gap}{word}");
        if longer.chars().count() > width && !lines[last].is_empty() {
            lines.push(format!("{indent}  {word}"));
        } else {
            lines[last] = longer;
        }
    }
    lines
}

fn header(view: &View) -> Vec<Line> {
    let status = &view.status;
    let mut lines = Vec::new();
    let quorum = status.get("authority").filter(|authority| authority.is_object());
    let title = format!(
        "{} in cluster {}, standin {}",
        text(status, "node"),
        text(status, "cluster"),
        text(status, "version")
    );
    lines.push(Line::new(Style::Heading, title));
    if let Some(quorum) = quorum {
        lines.push(Line::new(Style::Plain, page::quorum(quorum)));
    }
    if is(status, "cut_off") {
        lines.push(Line::new(Style::Bad, "CUT OFF: nobody answers this node"));
    }
    if let Some(why) = &view.trouble {
        lines.push(Line::new(Style::Bad, format!("NOT NOW: {why}; what is below is old")));
    }
    lines
}

fn footer(view: &View, width: usize) -> Line {
    if let Pane::Question { words, .. } = &view.pane {
        return Line::new(Style::Warn, format!("(y/n) {words}"));
    }
    if let Some((is_bad, said)) = &view.said {
        return Line::new(if *is_bad { Style::Bad } else { Style::Good }, said.as_str());
    }
    let keys = match &view.pane {
        Pane::Help => "any key: back",
        Pane::Explanation { .. } => "up, down: scroll  esc: back",
        Pane::Destination { .. } => "up, down: select  enter: this one  esc: back",
        _ if width < NARROW => "?: keys  q: quit",
        _ if view.may_change() => "e: explain  m: move  d: drain  ?: keys  q: quit",
        _ => "e: explain  ?: keys  q: quit  (you may look, not order)",
    };
    Line::new(Style::Faint, keys)
}

/// A row behind the mark of the selection.
fn chosen(is_chosen: bool, row: &str) -> Line {
    if is_chosen {
        Line::new(Style::Selected, format!("> {row}"))
    } else {
        Line::new(Style::Plain, format!("  {row}"))
    }
}

/// VIPs, nodes and the story in so many lines.
fn tables(view: &View, width: usize, room: usize) -> Vec<Line> {
    let (vips, nodes) = (rows(&view.status, "groups"), rows(&view.status, "nodes"));
    // Each table has a heading; the story has at least two lines where there is any room.
    let story = if room >= 12 { (room / 4).max(3) } else { 0 };
    let for_tables = room.saturating_sub(story);
    let selected = view.selected();
    let for_nodes = match (for_tables, selected) {
        // No room for both: the one in which something is selected.
        (0..4, Some(Row::Vip(_))) => 0,
        (0..4, _) => for_tables,
        (4.., _) => (nodes.len() + 1).min(for_tables / 2),
    };
    let for_vips = (vips.len() + 1).min(for_tables.saturating_sub(for_nodes));
    let at_vip =
        vips.iter().position(|vip| selected == Some(&Row::Vip(text(vip, "group").to_owned())));
    let at_node =
        nodes.iter().position(|node| selected == Some(&Row::Node(text(node, "name").to_owned())));
    let vip_cells: Vec<Vec<String>> = vips.iter().map(vip_row).collect();
    let node_cells: Vec<Vec<String>> = nodes.iter().map(node_row).collect();
    let mut lines = Vec::new();
    let headings = ["VIP", "ON", "WHY"];
    let styles: Vec<Style> = vips.iter().map(vip_style).collect();
    section(&mut lines, (&headings, &vip_cells, &styles), at_vip, (width, for_vips));
    let headings = ["NODE", "STATE", "PATHS"];
    let styles: Vec<Style> = nodes.iter().map(node_style).collect();
    section(&mut lines, (&headings, &node_cells, &styles), at_node, (width, for_nodes));
    let left = room.saturating_sub(lines.len());
    if left >= 2 && !view.story.is_empty() {
        lines.push(Line::new(Style::Heading, "WHAT HAPPENED"));
        lines.extend(view.story.iter().rev().take(left - 1).map(|told| {
            let style = match told.level.as_str() {
                "error" => Style::Bad,
                "warn" => Style::Warn,
                _ => Style::Plain,
            };
            // Of 2026-11-22T09:36:00.123456Z the time, in seconds.
            let time = told.at.get(11..19).unwrap_or_default();
            Line::new(style, format!("  {time} {}", told.message))
        }));
    }
    lines
}

/// Headings, rows and their styles.
type Table<'t> = (&'t [&'t str], &'t [Vec<String>], &'t [Style]);

/// A table in so many lines, scrolled to what is selected in it; the last column gets what is left.
fn section(
    lines: &mut Vec<Line>,
    (headings, cells, styles): Table<'_>,
    selected: Option<usize>,
    (width, height): (usize, usize),
) {
    if height < 2 || cells.is_empty() {
        return;
    }
    let column = |number: usize| {
        let cells = cells.iter().filter_map(|row| row.get(number)).map(|cell| cell.chars().count());
        let heading = headings[number].chars().count();
        // Three columns: none of the first two may take all the room.
        cells.max().unwrap_or(0).max(heading).min((width / 3).max(heading))
    };
    let widths = [column(0), column(1)];
    let joined = |row: &[&str]| {
        let [first, second] = widths;
        let (one, two) = (cut(row[0], first), cut(row[1], second));
        format!("{one:first$}  {two:second$}  {}", row[2]).trim_end().to_owned()
    };
    let shown = height - 1;
    let from = selected.map_or(0, |at| (at + 1).saturating_sub(shown));
    let more = cells.len().saturating_sub(shown);
    let mut heading = joined(headings);
    if more > 0 {
        heading = format!("{heading} ({} to {} of {})", from + 1, from + shown, cells.len());
    }
    lines.push(Line::new(Style::Heading, format!("  {heading}")));
    for (number, row) in cells.iter().enumerate().skip(from).take(shown) {
        let row: Vec<&str> = row.iter().map(String::as_str).collect();
        let mut line = chosen(selected == Some(number), &joined(&row));
        if line.style == Style::Plain {
            line.style = styles[number];
        }
        lines.push(line);
    }
}

fn vip_row(group: &Value) -> Vec<String> {
    let shown = page::group(group);
    let mut why = text(&shown, "reason").to_owned();
    if let Some(lease) = group.get("lease").and_then(page::lease) {
        why = format!("[{lease}] {why}");
    }
    vec![text(&shown, "vip").to_owned(), text(&shown, "on").to_owned(), why]
}

fn vip_style(group: &Value) -> Style {
    let (holder, should) = (group.get("holder"), group.get("should_hold"));
    match holder {
        None | Some(Value::Null) => Style::Bad,
        _ if holder != should || !group["moving"].is_null() => Style::Warn,
        _ => Style::Plain,
    }
}

fn node_row(node: &Value) -> Vec<String> {
    let shown = page::node(node);
    let paths: Vec<String> = rows(node, "paths").iter().map(path).collect();
    let mut rest = paths.join(", ");
    let trouble = text(node, "trouble");
    if !trouble.is_empty() {
        rest = format!("{trouble}; {rest}");
    }
    vec![text(&shown, "name").to_owned(), text(&shown, "state").to_owned(), rest]
}

fn node_style(node: &Value) -> Style {
    match text(node, "state") {
        "dead" | "daemon gone" | "other file" | "out of reach" => Style::Bad,
        "takes part" if !is(node, "drained") && node["trouble"].is_null() => Style::Plain,
        _ => Style::Warn,
    }
}

/// A path with its last sign of life and its loss.
fn path(path: &Value) -> String {
    let address = text(path, "address");
    let number = |key: &str| path.get(key).and_then(Value::as_u64);
    let heard = number("heard_ms_ago").map_or_else(|| "silent".to_owned(), table::milliseconds_ago);
    let lost = number("lost").unwrap_or(0);
    let sent = lost + number("received").unwrap_or(0);
    // In tenths of a percent.
    let permille = (lost * 1000).checked_div(sent).unwrap_or(0);
    match (lost, permille) {
        (0, _) => format!("{address} {heard}"),
        (_, 0) => format!("{address} {heard}, lost {lost}"),
        _ => format!("{address} {heard}, lost {}.{} %", permille / 10, permille % 10),
    }
}

/// All that is known of a node, in lines.
pub fn about_node(node: &Value) -> Vec<String> {
    let shown = page::node(node);
    let mut lines = vec![format!("{}: {}", text(&shown, "name"), text(&shown, "state"))];
    let trouble = text(node, "trouble");
    if !trouble.is_empty() {
        lines.push(format!("  trouble: {trouble}"));
    }
    if let Some(micros) = node.get("round_trip_us").and_then(Value::as_u64) {
        let trip = duration::show(Duration::from_micros(micros));
        lines.push(format!("  round trip: {trip}"));
    }
    let host = text(node, "host");
    if !host.is_empty() {
        lines.push(format!("  its host: {host}"));
    }
    lines.extend(rows(node, "paths").iter().map(|one| format!("  path: {}", path(one))));
    lines
}
