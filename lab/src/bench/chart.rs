//! The chart: how long something takes, or how often it happens, on a logarithmic scale, with a dot
//! for each run.
//!
//! Owns a few shapes of SVG. A file stands alone: no fonts, no scripts, nothing fetched.

use std::fmt::Write as _;

use super::report::{Figures, Machine};
use super::subject::Subject;

const WIDTH: f64 = 860.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 64.0;
const ROW: f64 = 44.0;
/// The scale's upper end in milliseconds.
const MOST_MS: f64 = 20_000.0;
const MARKS: [(f64, &str); 5] =
    [(1.0, "1 ms"), (10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s"), (10_000.0, "10 s")];
/// The upper end of a scale of counts.
const MOST_COUNT: f64 = 3000.0;
const COUNTS: [(f64, &str); 5] =
    [(0.0, "0"), (1.0, "1"), (10.0, "10"), (100.0, "100"), (1000.0, "1000")];

/// What the bars are of.
#[derive(Clone, Copy)]
pub enum Scale {
    /// Times in milliseconds, from this one on.
    Milliseconds(f64),
    /// Counts, from none on.
    Counts,
}

impl Scale {
    /// Where a number lies between the ends, from 0 to 1.
    fn part(self, number: f64) -> f64 {
        match self {
            Self::Milliseconds(least) => {
                (number.clamp(least, MOST_MS) / least).ln() / (MOST_MS / least).ln()
            }
            Self::Counts => number.clamp(0.0, MOST_COUNT).ln_1p() / MOST_COUNT.ln_1p(),
        }
    }

    fn marks(self) -> Vec<(f64, &'static str)> {
        match self {
            Self::Milliseconds(least) => {
                MARKS.into_iter().filter(|(mark, _)| *mark >= least).collect()
            }
            Self::Counts => COUNTS.to_vec(),
        }
    }

    fn text(self, number: f64) -> String {
        match self {
            Self::Milliseconds(_) if number >= 1000.0 => format!("{:.2} s", number / 1000.0),
            Self::Milliseconds(_) if number < 9.95 => format!("{number:.1} ms"),
            Self::Milliseconds(_) => format!("{number:.0} ms"),
            Self::Counts => format!("{number:.0}"),
        }
    }
}

/// One bar.
pub struct Row<'f> {
    pub label: String,
    /// It is `standin`.
    pub ours: bool,
    pub runs: &'f [f64],
    pub median: f64,
}

/// Bars.
pub struct Chart<'f> {
    pub title: &'f str,
    /// Where the bars begin: the labels need the room.
    pub left: f64,
    pub scale: Scale,
    pub rows: Vec<Row<'f>>,
}

/// The chart of `bench failover` as a file.
pub fn failover(figures: &Figures, machine: &Machine) -> String {
    let row = |subject: Subject| {
        Some(Row {
            label: subject.name().to_owned(),
            ours: subject.name().starts_with("standin"),
            runs: figures.runs("outage", subject.name(), "outage_ms"),
            median: figures.median("outage", subject.name(), "outage_ms")?,
        })
    };
    let title = "Power off: how long a client waits for its next answer";
    let rows = Subject::ALL.into_iter().filter_map(row).collect();
    Chart { title, left: 170.0, scale: Scale::Milliseconds(10.0), rows }.svg(machine)
}

impl Chart<'_> {
    /// The chart as a file.
    pub fn svg(&self, machine: &Machine) -> String {
        let bottom = self.rows.iter().fold(TOP, |y, _| y + ROW);
        let height = bottom + 56.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        label(&mut svg, 16.0, 28.0, "start", 18, self.title);
        let legend = "bar: median; dots: single runs; logarithmic scale";
        label(&mut svg, 16.0, 48.0, "start", 12, legend);
        for (mark, name) in self.scale.marks() {
            let x = self.place(mark);
            let _ = writeln!(
                svg,
                "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>"
            );
            label(&mut svg, x, bottom + 18.0, "middle", 12, name);
        }
        let mut y = TOP;
        for row in &self.rows {
            self.draw(&mut svg, y, row);
            y += ROW;
        }
        label(&mut svg, 16.0, height - 10.0, "start", 11, &machine.line());
        svg.push_str("</svg>\n");
        svg
    }

    fn draw(&self, svg: &mut String, y: f64, row: &Row<'_>) {
        let Row { runs, median, .. } = *row;
        let left = self.left;
        let fill = if row.ours { "#2b7a4b" } else { "#8a8f98" };
        let (middle, end) = (y + ROW / 2.0, self.place(median));
        label(svg, left - 12.0, middle + 5.0, "end", 14, &row.label);
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>",
            y + 10.0,
            (end - left).max(1.0),
            ROW - 20.0
        );
        for run in runs {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"3.5\" fill=\"white\" stroke=\"black\"/>",
                self.place(*run)
            );
        }
        let most = runs.iter().copied().fold(median, f64::max);
        let text = self.scale.text(median);
        label(svg, self.place(most) + 10.0, middle + 5.0, "start", 14, &text);
    }

    /// The horizontal place of a number.
    fn place(&self, number: f64) -> f64 {
        self.left + self.scale.part(number) * (WIDTH - self.left - RIGHT)
    }
}

pub fn label(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{text}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_a_bar_for_each_subject_and_a_dot_for_each_run() {
        let mut figures = Figures::default();
        for run in [900.0, 1000.0, 1100.0] {
            figures.add("outage", "standin", "outage_ms", run);
        }
        figures.add("outage", "article", "outage_ms", 6500.0);
        let machine = Machine {
            processor: "A & B <C>".into(),
            cores: 2,
            kernel: "6.18".into(),
            load: String::new(),
            commit: "abc".into(),
        };
        let svg = failover(&figures, &machine);
        assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
        assert!(svg.contains("1.00 s") && svg.contains("6.50 s"), "{svg}");
        assert!(svg.contains("A &amp; B &lt;C>") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn times_are_placed_between_the_ends() {
        let chart =
            Chart { title: "", left: 170.0, scale: Scale::Milliseconds(10.0), rows: Vec::new() };
        assert!(chart.place(1.0) >= 170.0 && chart.place(1e9) <= WIDTH - RIGHT + 0.1);
        assert!(chart.place(100.0) < chart.place(1000.0));
        let counts = Chart { scale: Scale::Counts, ..chart };
        assert!((counts.place(0.0) - 170.0).abs() < 1e-9);
        assert!(counts.place(1.0) > counts.place(0.0) && counts.place(1e9) <= WIDTH - RIGHT + 0.1);
    }
}
