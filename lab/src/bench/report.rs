//! Figures, their medians, and the table that sets them beside the issue's.
//!
//! Owns the numbers once they have been measured. Knows the aims, and whether they were met.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::subject::Subject;

/// Every number measured: by measurement, subject and name, in the order of the runs.
#[derive(Clone, Default)]
pub struct Figures {
    numbers: BTreeMap<(String, String, String), Vec<f64>>,
    /// Measurements that gave no number.
    pub failed: Vec<String>,
}

impl Figures {
    pub fn add(&mut self, what: &str, subject: &str, name: &str, number: f64) {
        let key = (what.to_owned(), subject.to_owned(), name.to_owned());
        self.numbers.entry(key).or_default().push(number);
    }

    /// The runs of one figure.
    pub fn runs(&self, what: &str, subject: &str, name: &str) -> &[f64] {
        let key = (what.to_owned(), subject.to_owned(), name.to_owned());
        self.numbers.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The median of one figure.
    pub fn median(&self, what: &str, subject: &str, name: &str) -> Option<f64> {
        median(self.runs(what, subject, name))
    }

    /// The worst run of one figure.
    pub fn most(&self, what: &str, subject: &str, name: &str) -> Option<f64> {
        self.runs(what, subject, name).iter().copied().reduce(f64::max)
    }
}

/// The middle, or the mean of the two middle ones.
pub fn median(numbers: &[f64]) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        length if length.is_multiple_of(2) => {
            Some(f64::midpoint(sorted[middle - 1], sorted[middle]))
        }
        _ => Some(sorted[middle]),
    }
}

/// Where and of what the figures were taken.
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub load: String,
    pub commit: String,
}

impl Machine {
    pub fn read() -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = file("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let processor =
            model.map_or("an unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
        Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: file("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
            commit: commit().unwrap_or_else(|| "unknown".to_owned()),
        }
    }

    /// In one line.
    pub fn line(&self) -> String {
        format!(
            "{} × {}, Linux {}, load {}, commit {}",
            self.cores, self.processor, self.kernel, self.load, self.commit
        )
    }
}

/// The commit of the source tree the lab was built from, and whether it was changed since, but for
/// its documentation.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        output.status.success().then_some(text)
    };
    let id = git(&["rev-parse", "--short=12", "HEAD"])?;
    // What a recording writes changes nothing that is measured.
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no", "--", ":/", ":(top,exclude)docs"])?;
    Some(if changed.is_empty() { id } else { format!("{id}, changed since") })
}

/// An aim of the issue: what, of whom, by which figure, and how much it may be.
pub struct Aim {
    pub sentence: &'static str,
    pub elsewhere: &'static str,
    pub key: (&'static str, &'static str, &'static str),
    pub most: f64,
    pub unit: &'static str,
    /// Judged by the worst run instead of the median.
    pub worst: bool,
}

/// An aim that is judged by the worst run.
pub const fn aim(
    sentence: &'static str,
    key: (&'static str, &'static str, &'static str),
    (most, unit): (f64, &'static str),
    elsewhere: &'static str,
) -> Aim {
    Aim { sentence, elsewhere, key, most, unit, worst: true }
}

/// Those of `bench failover`.
pub const AIMS: &[Aim] = &[
    Aim {
        sentence: "outage at the client, power off, default",
        elsewhere: "article 6.5–12 s, keepalived 3.45 s",
        key: ("outage", "standin", "outage_ms"),
        most: 1100.0,
        unit: "ms",
        worst: false,
    },
    Aim {
        sentence: "the same, --dead-after 20ms",
        elsewhere: "keepalived at its fastest 35–38 ms",
        key: ("outage", "standin-20ms", "outage_ms"),
        most: 25.0,
        unit: "ms",
        worst: false,
    },
    Aim {
        sentence: "decision to first announcement, default",
        elsewhere: "fork and exec, several ms",
        key: ("outage", "standin", "decision_to_wire_ms"),
        most: 1.0,
        unit: "ms",
        worst: false,
    },
    Aim {
        sentence: "the same, --dead-after 20ms",
        elsewhere: "",
        key: ("outage", "standin-20ms", "decision_to_wire_ms"),
        most: 1.0,
        unit: "ms",
        worst: false,
    },
    Aim {
        sentence: "hand-back, both run standin: requests lost",
        elsewhere: "about 7–600",
        key: ("hand-back", "standin", "lost"),
        most: 5.0,
        unit: "of 1000/s",
        worst: false,
    },
    Aim {
        sentence: "takeovers in 60 s of 20 % loss each way",
        elsewhere: "8 moves in 6 s (keepalived 10 ms)",
        key: ("loss", "standin", "takeovers"),
        most: 0.0,
        unit: "",
        worst: true,
    },
    Aim {
        sentence: "address left behind after SIGKILL",
        elsewhere: "for ever",
        key: ("left-behind", "SIGKILL", "gone_after_ms"),
        most: 3200.0,
        unit: "ms",
        worst: true,
    },
    Aim {
        sentence: "address left behind after SIGSTOP",
        elsewhere: "for ever",
        key: ("left-behind", "SIGSTOP", "gone_after_ms"),
        most: 3200.0,
        unit: "ms",
        worst: true,
    },
];

impl Aim {
    fn number(&self, figures: &Figures) -> Option<f64> {
        let (what, subject, name) = self.key;
        if self.worst {
            figures.most(what, subject, name)
        } else {
            figures.median(what, subject, name)
        }
    }
}

/// The tables.
pub fn text(figures: &Figures, machine: &Machine) -> String {
    let mut text = format!("\n{}\n\n", machine.line());
    let _ = writeln!(text, "power off, {} requests/s: longest wait at the client", 1000);
    let _ = writeln!(
        text,
        "  {:<20} {:>10} {:>10} {:>10} {:>6} {:>10} {:>10}",
        "", "median ms", "least", "most", "runs", "× standin", "× 20ms"
    );
    let ours = |name| figures.median("outage", name, "outage_ms");
    for subject in Subject::ALL {
        let runs = figures.runs("outage", subject.name(), "outage_ms");
        let Some(middle) = median(runs) else { continue };
        let least = runs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = runs.iter().copied().fold(0.0, f64::max);
        let ratio =
            |base: Option<f64>| base.map_or("-".to_owned(), |base| format!("{:.2}", middle / base));
        let _ = writeln!(
            text,
            "  {:<20} {middle:>10.1} {least:>10.1} {most:>10.1} {:>6} {:>10} {:>10}",
            subject.name(),
            runs.len(),
            ratio(ours("standin")),
            ratio(ours("standin-20ms"))
        );
    }
    let _ =
        writeln!(text, "\nhand-back between two daemons: requests lost of 1000/s, longest wait");
    for subject in Subject::ALL {
        let lost = figures.runs("hand-back", subject.name(), "lost");
        let (Some(middle), Some(wait)) =
            (median(lost), figures.median("hand-back", subject.name(), "outage_ms"))
        else {
            continue;
        };
        let _ = writeln!(
            text,
            "  {:<20} median {middle:>7.1}, {wait:>8.1} ms   runs {lost:?}",
            subject.name()
        );
    }
    for subject in [Subject::Standin, Subject::KEEPALIVED_FAST] {
        let moves = figures.runs("loss", subject.name(), "moves");
        let seconds = figures.median("loss", subject.name(), "seconds").unwrap_or_default();
        if !moves.is_empty() {
            let _ = writeln!(
                text,
                "\n20 % loss each way, {}: {moves:?} moves in {seconds} s",
                subject.name()
            );
        }
    }
    aims(&mut text, figures, AIMS);
    for failed in &figures.failed {
        let _ = writeln!(text, "failed: {failed}");
    }
    text
}

/// The aims, each with what was measured.
pub fn aims(text: &mut String, figures: &Figures, aims: &[Aim]) {
    let _ = writeln!(text, "\nthe issue's figures");
    let _ =
        writeln!(text, "  {:<44} {:>12} {:>12}  {:<7} elsewhere", "", "measured", "at most", "");
    for aim in aims {
        let Some(number) = aim.number(figures) else { continue };
        let met = if number <= aim.most { "met" } else { "MISSED" };
        let most = format!("{} {}", aim.most, aim.unit);
        let _ = writeln!(
            text,
            "  {:<44} {number:>12.3} {:>12}  {met:<7} {}",
            aim.sentence,
            most.trim_end(),
            aim.elsewhere
        );
    }
}

/// Everything, for programs.
pub fn json(figures: &Figures, machine: &Machine, aims: &[Aim]) -> Value {
    let rows: Vec<Value> = figures
        .numbers
        .iter()
        .map(|((what, subject, name), runs)| {
            json!({
                "measurement": what,
                "subject": subject,
                "figure": name,
                "median": median(runs),
                "runs": runs,
            })
        })
        .collect();
    let aims: Vec<Value> = aims
        .iter()
        .filter_map(|aim| {
            let number = aim.number(figures)?;
            let (measured, at_most) = (number, aim.most);
            let met = number <= aim.most;
            Some(json!({
                "aim": aim.sentence,
                "unit": aim.unit,
                "measured": measured,
                "at_most": at_most,
                "met": met,
                "elsewhere": aim.elsewhere,
            }))
        })
        .collect();
    json!({
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "kernel": machine.kernel,
            "load": machine.load,
        },
        "commit": machine.commit,
        "figures": rows,
        "aims": aims,
        "failed": figures.failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn an_aim_that_is_missed_is_called_so() {
        let mut figures = Figures::default();
        for number in [900.0, 1000.0, 1300.0] {
            figures.add("outage", "standin", "outage_ms", number);
        }
        figures.add("loss", "standin", "takeovers", 1.0);
        let mut text = String::new();
        aims(&mut text, &figures, AIMS);
        assert!(text.contains("met     article"), "{text}");
        assert!(text.contains("MISSED  8 moves"), "{text}");
    }
}
