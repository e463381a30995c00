//! The chart: how long a client waits, on a logarithmic scale, with a dot for each run.
//!
//! Owns a few shapes of SVG. A file stands alone: no fonts, no scripts, nothing fetched.

use std::fmt::Write as _;

use super::report::{Figures, Machine};
use super::subject::Subject;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 90.0;
const TOP: f64 = 64.0;
const ROW: f64 = 44.0;
/// The scale's ends in milliseconds.
const LEAST_MS: f64 = 10.0;
const MOST_MS: f64 = 20_000.0;
const MARKS: [(f64, &str); 4] =
    [(10.0, "10 ms"), (100.0, "100 ms"), (1000.0, "1 s"), (10_000.0, "10 s")];

/// The chart as a file.
pub fn svg(figures: &Figures, machine: &Machine) -> String {
    let rows: Vec<(&str, &[f64], f64)> = Subject::ALL
        .into_iter()
        .filter_map(|subject| {
            let runs = figures.runs("outage", subject.name(), "outage_ms");
            Some((subject.name(), runs, figures.median("outage", subject.name(), "outage_ms")?))
        })
        .collect();
    let bottom = rows.iter().fold(TOP, |y, _| y + ROW);
    let height = bottom + 56.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"14\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    label(
        &mut svg,
        16.0,
        28.0,
        "start",
        18,
        "Power off: how long a client waits for its next answer",
    );
    label(&mut svg, 16.0, 48.0, "start", 12, "bar: median; dots: single runs; logarithmic scale");
    for (mark_ms, name) in MARKS {
        let x = place(mark_ms);
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\" stroke=\"#ddd\"/>"
        );
        label(&mut svg, x, bottom + 18.0, "middle", 12, name);
    }
    let mut y = TOP;
    for (name, runs, median) in rows {
        row(&mut svg, y, name, runs, median);
        y += ROW;
    }
    label(&mut svg, 16.0, height - 10.0, "start", 11, &machine.line());
    svg.push_str("</svg>\n");
    svg
}

fn row(svg: &mut String, y: f64, name: &str, runs: &[f64], median: f64) {
    let fill = if name.starts_with("standin") { "#2b7a4b" } else { "#8a8f98" };
    let (middle, end) = (y + ROW / 2.0, place(median));
    label(svg, LEFT - 12.0, middle + 5.0, "end", 14, name);
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"/>",
        y + 10.0,
        (end - LEFT).max(1.0),
        ROW - 20.0
    );
    for run in runs {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"3.5\" fill=\"white\" stroke=\"black\"/>",
            place(*run)
        );
    }
    let most = runs.iter().copied().fold(median, f64::max);
    let text = if median < 1000.0 {
        format!("{median:.0} ms")
    } else {
        format!("{:.2} s", median / 1000.0)
    };
    label(svg, place(most) + 10.0, middle + 5.0, "start", 14, &text);
}

/// The horizontal place of a time.
fn place(ms: f64) -> f64 {
    let part = (ms.clamp(LEAST_MS, MOST_MS) / LEAST_MS).ln() / (MOST_MS / LEAST_MS).ln();
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, text: &str) {
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
        let svg = svg(&figures, &machine);
        assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
        assert!(svg.contains("1.00 s") && svg.contains("6.50 s"), "{svg}");
        assert!(svg.contains("A &amp; B &lt;C>") && svg.ends_with("</svg>\n"), "{svg}");
    }

    #[test]
    fn times_are_placed_between_the_ends() {
        assert!(place(1.0) >= LEFT && place(1e9) <= WIDTH - RIGHT + 0.1);
        assert!(place(100.0) < place(1000.0));
    }
}
