//! The tables of `bench cluster`, its aims and its chart.

use std::fmt::Write as _;

use crate::bench::chart::{Chart, Row, Scale};
use crate::bench::report::{self, Aim, Figures, Machine, aim};
use crate::bench::table::Table;

/// The slow settings and the fast ones.
const QUORUM: &str = "standin-quorum-60ms";
const QUORUM_LEAST: &str = "standin-quorum-50ms";
const BOTH: &[(&str, Option<&str>)] = &[
    ("standin-10ms", Some("keepalived-fast")),
    ("standin", Some("keepalived-default")),
    (QUORUM, None),
];
const DEFAULT: &[(&str, Option<&str>)] = &[("standin", Some("keepalived-default")), (QUORUM, None)];
const ALONE: &[(&str, Option<&str>)] = &[("standin", None), (QUORUM, None)];
const LEASED: &[(&str, Option<&str>)] = &[(QUORUM, None), (QUORUM_LEAST, None)];
const NODES: &[(&str, Option<&str>)] =
    &[("homes-1", None), ("homes-16", None), ("pool-1", None), ("pool-16", None)];

const TABLES: &[Table] = &[
    Table {
        title: "power off: longest wait at the client, ms",
        what: "power-off",
        figure: "outage_ms",
        rows: BOTH,
    },
    Table { title: "planned moves: lost", what: "moves", figure: "lost", rows: ALONE },
    Table {
        title: "planned moves: longest wait, ms",
        what: "moves",
        figure: "outage_ms",
        rows: ALONE,
    },
    Table { title: "nothing happens: lost", what: "steady", figure: "lost", rows: LEASED },
    Table {
        title: "nothing happens: longest wait, ms",
        what: "steady",
        figure: "outage_ms",
        rows: LEASED,
    },
    Table { title: "drained and taken back: lost", what: "drain", figure: "lost", rows: ALONE },
    Table { title: "holder stopped: lost", what: "stop", figure: "lost", rows: BOTH },
    Table {
        title: "holder stopped: longest wait, ms",
        what: "stop",
        figure: "outage_ms",
        rows: BOTH,
    },
    Table { title: "holder restarted: lost", what: "restart", figure: "lost", rows: BOTH },
    Table {
        title: "holder restarted: moves seen by the client",
        what: "restart",
        figure: "moves",
        rows: BOTH,
    },
    Table {
        title: "daemon killed: two hold it for, ms (of 8 s)",
        what: "killed",
        figure: "overlap_ms",
        rows: DEFAULT,
    },
    Table {
        title: "daemon killed: longest wait, ms",
        what: "killed",
        figure: "outage_ms",
        rows: DEFAULT,
    },
    Table {
        title: "daemon hung: two hold it for, ms (of 8 s)",
        what: "hung",
        figure: "overlap_ms",
        rows: DEFAULT,
    },
    Table {
        title: "daemon hung: longest wait, ms",
        what: "hung",
        figure: "outage_ms",
        rows: DEFAULT,
    },
    Table {
        title: "holder hung under a lease: from its last answer to the first of another, ms",
        what: "hung",
        figure: "between_ms",
        rows: &[(QUORUM, None)],
    },
    Table {
        title: "lease of 60 ms: the holder's processor time, % of one",
        what: "renewals",
        figure: "processor_percent",
        rows: &[("vips-1", Some("vips-1000"))],
    },
    Table {
        title: "64 nodes, 64 VIPs: from the cut to the last one announced elsewhere, × dead-after of 4 s",
        what: "nodes",
        figure: "converged",
        rows: NODES,
    },
];

/// What the issue asks for.
pub const AIMS: &[Aim] = &[
    Aim {
        worst: false,
        ..aim(
            "power off, dead-after 10ms: median wait",
            ("power-off", "standin-10ms", "outage_ms"),
            (12.0, "ms"),
            "35–38 ms",
        )
    },
    Aim {
        worst: false,
        ..aim(
            "power off, default: median wait",
            ("power-off", "standin", "outage_ms"),
            (1100.0, "ms"),
            "3.45 s",
        )
    },
    Aim {
        worst: false,
        ..aim(
            "power off, lease 60ms of a majority: median wait",
            ("power-off", QUORUM, "outage_ms"),
            (80.0, "ms"),
            "3–15 s",
        )
    },
    aim("lease 60ms: holder hung, two answer", ("hung", QUORUM, "overlap_ms"), (0.0, "ms"), ""),
    aim(
        "lease 60ms: holder hung, nobody answers",
        ("hung", QUORUM, "between_ms"),
        (100.0, "ms"),
        "",
    ),
    aim("lease 60ms: planned moves, lost", ("moves", QUORUM, "lost"), (0.0, ""), ""),
    aim("lease 60ms: nothing happens, lost", ("steady", QUORUM, "lost"), (0.0, ""), ""),
    aim("lease 50ms: nothing happens, lost", ("steady", QUORUM_LEAST, "lost"), (0.0, ""), ""),
    aim("planned moves: lost in a run", ("moves", "standin", "lost"), (0.0, ""), "6 to 610 each"),
    aim("drained and taken back: lost", ("drain", "standin", "lost"), (0.0, ""), "6 to 610"),
    aim("holder stopped: lost", ("stop", "standin", "lost"), (1.0, ""), "6 to 610"),
    aim("restart with --keep: lost", ("restart", "standin", "lost"), (0.0, ""), "7 to 616"),
    aim("restart with --keep: moves", ("restart", "standin", "moves"), (0.0, ""), "2"),
    aim("daemon killed: two hold it", ("killed", "standin", "overlap_ms"), (0.0, "ms"), "for ever"),
    aim("daemon killed: wait", ("killed", "standin", "outage_ms"), (150.0, "ms"), ""),
    aim("daemon hung: two hold it", ("hung", "standin", "overlap_ms"), (0.0, "ms"), "for ever"),
    aim("daemon hung: wait", ("hung", "standin", "outage_ms"), (150.0, "ms"), ""),
    aim(
        "20 % loss, dead-after 50ms: moves",
        ("loss", "standin-50ms", "moves"),
        (0.0, ""),
        "8 in 6 s",
    ),
    aim("busy, dead-after 100ms: moves", ("busy", "standin-100ms", "moves"), (0.0, ""), "flapped"),
    aim("64 nodes, 1 lost", ("nodes", "homes-1", "converged"), (3.0, "× dead-after"), ""),
    aim("64 nodes, 16 lost", ("nodes", "homes-16", "converged"), (3.0, "× dead-after"), ""),
    aim("64 nodes, a pool, 1 lost", ("nodes", "pool-1", "converged"), (3.0, "× dead-after"), ""),
    aim("64 nodes, a pool, 16 lost", ("nodes", "pool-16", "converged"), (3.0, "× dead-after"), ""),
];

/// The tables.
pub fn text(figures: &Figures, machine: &Machine) -> String {
    let mut text = format!("\n{}\n", machine.line());
    for table in TABLES {
        table.print(&mut text, figures);
    }
    for (what, title) in
        [("loss", "20 % of all frames lost each way"), ("busy", "4 processes that spin")]
    {
        for subject in ["standin-50ms", "standin-100ms", "keepalived-fast"] {
            let number = |name| figures.median(what, subject, name);
            let (Some(moves), Some(seconds)) = (number("moves"), number("seconds")) else {
                continue;
            };
            let _ = writeln!(text, "\n{title}, {subject}: {moves} moves in {seconds} s");
        }
    }
    report::aims(&mut text, figures, AIMS);
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

/// The waits, side by side.
pub fn chart(figures: &Figures) -> Chart<'_> {
    let waits = [
        ("power-off", "power off"),
        ("stop", "stopped"),
        ("restart", "restarted"),
        ("killed", "killed"),
        ("hung", "hung"),
    ];
    let subjects = ["standin-10ms", "keepalived-fast", "standin", "keepalived-default"];
    let mut rows = Vec::new();
    for (what, name) in waits {
        for subject in subjects {
            if let Some(median) = figures.median(what, subject, "outage_ms") {
                rows.push(Row {
                    label: format!("{name}: {subject}"),
                    ours: subject.starts_with("standin"),
                    runs: figures.runs(what, subject, "outage_ms"),
                    median,
                });
            }
        }
    }
    for (subject, name) in [("homes-1", "1 of 64 lost"), ("homes-16", "16 of 64 lost")] {
        if let Some(median) = figures.median("nodes", subject, "converged_ms") {
            let runs = figures.runs("nodes", subject, "converged_ms");
            rows.push(Row { label: format!("{name}: standin"), ours: true, runs, median });
        }
    }
    Chart {
        title: "How long a client waits for its next answer",
        left: 230.0,
        scale: Scale::Milliseconds(1.0),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_set_beside_ours() {
        let mut figures = Figures::default();
        figures.add("power-off", "standin-10ms", "outage_ms", 10.0);
        figures.add("power-off", "keepalived-fast", "outage_ms", 35.0);
        figures.add("stop", "standin", "lost", 0.0);
        figures.add("stop", "keepalived-default", "lost", 610.0);
        let mut text = String::new();
        for table in TABLES {
            table.print(&mut text, &figures);
        }
        assert!(text.contains("3.50 × standin-10ms"), "{text}");
        assert!(text.contains("standin has none"), "{text}");
        assert_eq!(chart(&figures).rows.len(), 2);
    }
}
