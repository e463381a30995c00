//! The tables of `bench cost`, its aims and its chart.

use std::fmt::Write as _;

use super::{AXES, Axis, NAME, SINGLES};
use crate::bench::lines::{Line, Panel, Sheet};
use crate::bench::report::{self, Aim, Figures, Machine, aim};

/// What is measured at each point, and what it is called above a column and above a chart.
const FIGURES: [(&str, &str, &str); 6] = [
    ("holder_processor_percent", "holder %", "processor, % of one"),
    ("waiting_processor_percent", "waits %", "processor, % of one"),
    ("holder_memory_mb", "holder MB", "memory (PSS), MB"),
    ("waiting_memory_mb", "waits MB", "memory (PSS), MB"),
    ("waiting_frames_per_second", "frames/s", "frames a second"),
    ("detection_ms", "detect ms", "detection, ms"),
];

const fn percent(
    sentence: &'static str,
    subject: &'static str,
    figure: &'static str,
    most: f64,
    elsewhere: &'static str,
) -> Aim {
    Aim { worst: false, ..aim(sentence, (NAME, subject, figure), (most, "%"), elsewhere) }
}

const fn memory(
    sentence: &'static str,
    subject: &'static str,
    most: f64,
    elsewhere: &'static str,
) -> Aim {
    aim(sentence, (NAME, subject, "holder_memory_mb"), (most, "MB"), elsewhere)
}

/// What the issue asks for.
pub const AIMS: &[Aim] = &[
    memory("memory (PSS), 2 nodes, 1 VIP", "vips-1", 4.0, "5.3 MB"),
    memory("memory (PSS), 2 nodes, 10 000 VIPs", "vips-10000", 10.0, "5.8 MB"),
    percent(
        "processor, a heartbeat every 10 ms, holder",
        "dead-40",
        "holder_processor_percent",
        0.6,
        "1.2 %",
    ),
    percent(
        "processor, a heartbeat every 10 ms, who waits",
        "dead-40",
        "waiting_processor_percent",
        0.3,
        "0.3 %",
    ),
    percent("processor at defaults, holder", "vips-1", "holder_processor_percent", 0.05, ""),
    percent("processor at defaults, who waits", "vips-1", "waiting_processor_percent", 0.05, ""),
];

/// The tables.
pub fn text(figures: &Figures, machine: &Machine) -> String {
    let mut text = format!("\n{}\n", machine.line());
    let singles: Vec<(String, String)> =
        SINGLES.map(|subject| (told(subject), subject.to_owned())).to_vec();
    table(&mut text, figures, "beside keepalived", &singles);
    for axis in &AXES {
        table(&mut text, figures, axis.title, &rows(axis));
    }
    report::aims(&mut text, figures, AIMS);
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

/// What a single measurement is, for people.
fn told(subject: &str) -> String {
    match subject {
        "bare-10" => "sleep 10 ms, read, send".to_owned(),
        "dead-40" => "standin, beats every 10 ms".to_owned(),
        "vips-1" => "standin, as it comes".to_owned(),
        "vips-10000" => "standin, 10000 VIPs".to_owned(),
        peer => peer.trim_end_matches("-1").replace("-10000", ", 10000 VIPs"),
    }
}

/// The points of an axis by their numbers, and the names they were measured by.
fn rows(axis: &Axis) -> Vec<(String, String)> {
    let row = |point: &u16| (point.to_string(), format!("{}-{point}", axis.name));
    axis.points.iter().map(row).collect()
}

fn table(text: &mut String, figures: &Figures, title: &str, rows: &[(String, String)]) {
    let measured = |subject: &str| !figures.runs(NAME, subject, FIGURES[0].0).is_empty();
    if !rows.iter().any(|(_, subject)| measured(subject)) {
        return;
    }
    let _ = write!(text, "\n  {title:<30}");
    for (_, head, _) in FIGURES {
        let _ = write!(text, " {head:>10}");
    }
    text.push('\n');
    for (name, subject) in rows.iter().filter(|(_, subject)| measured(subject)) {
        let _ = write!(text, "  {name:>30}");
        for (figure, _, _) in FIGURES {
            let cell = figures.median(NAME, subject, figure);
            let cell = cell.map_or_else(|| "-".to_owned(), number);
            let _ = write!(text, " {cell:>10}");
        }
        text.push('\n');
    }
}

/// With as many digits as say something.
fn number(number: f64) -> String {
    match number {
        small if small < 10.0 => format!("{small:.3}"),
        middle if middle < 100.0 => format!("{middle:.2}"),
        large => format!("{large:.0}"),
    }
}

/// A panel for each axis and figure: figures that share a name share a panel.
pub fn chart(figures: &Figures, machine: &Machine) -> String {
    let mut names: Vec<&str> = FIGURES.iter().map(|(_, _, name)| *name).collect();
    names.dedup();
    let line = |axis: &Axis, figure: &str, holder: bool| Line {
        bold: holder,
        points: rows(axis)
            .iter()
            .zip(axis.points)
            .filter_map(|((_, subject), point)| {
                Some((f64::from(*point), figures.median(NAME, subject, figure)?))
            })
            .collect(),
    };
    let panel = |name, axis: &Axis| {
        let lines = FIGURES.iter().filter(|(_, _, of)| *of == name);
        let lines = lines.map(|(figure, _, _)| line(axis, figure, figure.starts_with("holder")));
        Panel { title: name, below: axis.title, lines: lines.collect() }
    };
    let row = |name| AXES.iter().map(|axis| panel(name, axis)).collect();
    Sheet {
        title: "What a node takes as one thing grows",
        legend: "bold: the holder; thin: a node that waits; both scales logarithmic",
        rows: names.into_iter().map(row).collect(),
    }
    .svg(&machine.line())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_that_were_measured_are_told_and_drawn() {
        let mut figures = Figures::default();
        for (subject, percent) in [("vips-1", 0.02), ("vips-10000", 0.4), ("nodes-64", 3.0)] {
            for (figure, _, _) in FIGURES {
                figures.add(NAME, subject, figure, percent);
            }
        }
        let text = text(&figures, &Machine::read());
        assert!(
            text.contains("nodes (dead-after 4 s)") && !text.contains("checks a second"),
            "{text}"
        );
        assert!(text.contains("0.020       0.05 %  met"), "{text}");
        let svg = chart(&figures, &Machine::read());
        assert!(svg.contains("<polyline") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
