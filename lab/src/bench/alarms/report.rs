//! The table of `bench alarms`, its aims and its chart.

use std::fmt::Write as _;

use super::{CONDITIONS, OURS, SUBJECTS};
use crate::bench::chart::{Chart, Row, Scale};
use crate::bench::report::{self, Aim, Figures, Machine, aim};

/// What the issue asks for, of all that is measured.
pub const AIMS: &[Aim] = &[
    aim("forged heartbeats at 100 000/s: moves", ("forged", OURS, "moves"), (0.0, ""), ""),
    aim(
        "forged heartbeats: the fast loop's processor time",
        ("forged", OURS, "loop_percent"),
        (30.0, "%"),
        "",
    ),
];

/// The table.
pub fn text(figures: &Figures, machine: &Machine) -> String {
    let mut text = format!("\n{}\n\nnobody is dead\n", machine.line());
    let columns = ["moves_per_minute", "nobody_ms", "overlap_ms"];
    let _ = writeln!(
        text,
        "  {:<42} {:>7} {:>21} {:>21} {:>21}",
        "", "", "moves a minute", "nobody has it, ms", "two have it, ms"
    );
    let _ = write!(text, "  {:<42} {:>7}", "", "seconds");
    for _ in columns {
        let _ = write!(text, " {:>10} {:>10}", "standin", "keepalived");
    }
    text.push('\n');
    for (condition, name) in CONDITIONS {
        let number = |subject, figure| figures.median(condition, subject, figure);
        let Some(time) = SUBJECTS.iter().find_map(|subject| number(subject, "seconds")) else {
            continue;
        };
        let _ = write!(text, "  {name:<42} {time:>7}");
        for (figure, subject) in columns.into_iter().flat_map(|one| SUBJECTS.map(|of| (one, of))) {
            let cell = number(subject, figure);
            let cell = cell.map_or_else(|| "-".to_owned(), |number| format!("{number:.0}"));
            let _ = write!(text, " {cell:>10}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\nthe waiting node's processor time, % of one");
    for (condition, name) in CONDITIONS {
        for subject in SUBJECTS {
            let number = |figure| figures.median(condition, subject, figure);
            let (Some(all), Some(fast)) = (number("processor_percent"), number("loop_percent"))
            else {
                continue;
            };
            let rate = number("frames_per_second")
                .map_or_else(String::new, |rate| format!(", {rate:.0} frames/s came"));
            let limit = match number("limited") {
                Some(limited) if limited < 0.5 => ", WITHOUT a limit: it takes root",
                _ => "",
            };
            let _ = writeln!(
                text,
                "  {name:<42} {subject:<16} {all:>7.2}, its loop {fast:>6.2}{rate}{limit}"
            );
        }
    }
    report::aims(&mut text, figures, AIMS);
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

/// The moves, side by side.
pub fn chart(figures: &Figures) -> Chart<'_> {
    let mut rows = Vec::new();
    for (condition, name) in CONDITIONS {
        for subject in SUBJECTS {
            if let Some(median) = figures.median(condition, subject, "moves_per_minute") {
                let system = subject.split('-').next().unwrap_or(subject);
                rows.push(Row {
                    label: format!("{name}: {system}"),
                    ours: subject == OURS,
                    runs: figures.runs(condition, subject, "moves_per_minute"),
                    median,
                });
            }
        }
    }
    Chart {
        title: "Nobody is dead: how often a minute the address moves",
        left: 400.0,
        scale: Scale::Counts,
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_that_were_measured_are_told() {
        let mut figures = Figures::default();
        for (subject, moves) in [(OURS, 0.0), ("keepalived-fast", 90.0)] {
            for (name, number) in [
                ("moves", moves / 3.0),
                ("moves_per_minute", moves),
                ("seconds", 20.0),
                ("nobody_ms", 0.0),
                ("processor_percent", 12.0),
                ("loop_percent", 11.0),
                ("frames_per_second", 99_000.0),
            ] {
                figures.add("forged", subject, name, number);
            }
        }
        let text = text(&figures, &Machine::read());
        assert!(
            text.contains("99000 frames/s came") && text.matches("met ").count() == 2,
            "{text}"
        );
        assert!(!text.contains("spin"), "{text}");
        assert_eq!(chart(&figures).rows.len(), 2);
    }
}
