//! Charts of lines in rows of small panels, for what grows with something: both scales logarithmic.
//!
//! Owns a few shapes of SVG, like [`mod@super::chart`]: no fonts, no scripts, nothing fetched.

use std::fmt::Write as _;

use super::chart::label;

const WIDTH: f64 = 230.0;
const HEIGHT: f64 = 190.0;
const TOP: f64 = 64.0;
const LEFT: f64 = 16.0;
/// Inside a panel: room for numbers at the left, the title above, and what grows below.
const INSET: (f64, f64, f64, f64) = (44.0, 26.0, 14.0, 40.0);

/// One line.
pub struct Line {
    /// From left to right.
    pub points: Vec<(f64, f64)>,
    pub bold: bool,
}

/// A panel.
pub struct Panel<'t> {
    pub title: &'t str,
    pub below: &'t str,
    pub lines: Vec<Line>,
}

/// All of a file.
pub struct Sheet<'t> {
    pub title: &'t str,
    pub legend: &'t str,
    /// Row by row. The panels of one row are of one figure, so they have one scale.
    pub rows: Vec<Vec<Panel<'t>>>,
}

impl Sheet<'_> {
    /// The file.
    pub fn svg(&self, footer: &str) -> String {
        let places = |count: usize, step: f64| f64::from(u16::try_from(count).unwrap_or(1)) * step;
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = LEFT + places(columns, WIDTH);
        let height = TOP + places(self.rows.len(), HEIGHT) + 30.0;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
        );
        label(&mut svg, 16.0, 28.0, "start", 18, self.title);
        label(&mut svg, 16.0, 48.0, "start", 12, self.legend);
        for (number, row) in self.rows.iter().enumerate() {
            let upright = range(row.iter().flat_map(|panel| panel.numbers(|point| point.1)));
            for (place, panel) in row.iter().enumerate() {
                let at = (LEFT + places(place, WIDTH), TOP + places(number, HEIGHT));
                panel.draw(&mut svg, at, upright);
            }
        }
        label(&mut svg, 16.0, height - 10.0, "start", 11, footer);
        svg.push_str("</svg>\n");
        svg
    }
}

/// The powers of ten around some numbers.
fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let known = numbers.filter(|number| *number > 0.0);
    let (least, most) =
        known.fold((f64::INFINITY, 0.0_f64), |(least, most), n| (least.min(n), most.max(n)));
    if most == 0.0 {
        return (1.0, 10.0);
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    (10.0_f64.powf(low), 10.0_f64.powf(if high > low { high } else { low + 1.0 }))
}

/// Where a number lies between two others, from 0 to 1.
fn part(number: f64, (least, most): (f64, f64)) -> f64 {
    (number.clamp(least, most) / least).ln() / (most / least).ln()
}

impl Panel<'_> {
    fn numbers(&self, pick: impl Fn(&(f64, f64)) -> f64) -> impl Iterator<Item = f64> {
        let points = self.lines.iter().flat_map(|line| &line.points);
        points.map(pick).collect::<Vec<_>>().into_iter()
    }

    fn draw(&self, svg: &mut String, (x, y): (f64, f64), upright: (f64, f64)) {
        let (left, top, right, bottom) = INSET;
        let level = range(self.numbers(|point| point.0));
        let at = |point: &(f64, f64)| {
            let across = part(point.0, level) * (WIDTH - left - right);
            let up = part(point.1.max(upright.0), upright) * (HEIGHT - top - bottom);
            (x + left + across, y + HEIGHT - bottom - up)
        };
        let mut mark = upright.0;
        while mark <= upright.1 * 1.001 {
            let (x1, y1) = at(&(level.0, mark));
            let (x2, _) = at(&(level.1, mark));
            let _ = writeln!(
                svg,
                "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y1:.1}\" stroke=\"#ddd\"/>"
            );
            label(svg, x1 - 5.0, y1 + 4.0, "end", 10, &format!("{mark}"));
            mark *= 10.0;
        }
        for end in [level.0, level.1] {
            let (x1, y1) = at(&(end, upright.0));
            label(svg, x1, y1 + 13.0, "middle", 10, &format!("{end}"));
        }
        let middle = x + left + (WIDTH - left - right) / 2.0;
        label(svg, middle, y + 16.0, "middle", 12, self.title);
        label(svg, middle, y + HEIGHT - 12.0, "middle", 11, self.below);
        for line in self.lines.iter().filter(|line| !line.points.is_empty()) {
            let points: Vec<String> =
                line.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let (color, width) = if line.bold { ("#2b7a4b", 3.0) } else { ("#404a58", 1.2) };
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\"/>",
                points.join(" ")
            );
            for (x, y) in line.points.iter().map(at) {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{color}\"/>"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_reach_around_what_is_drawn() {
        assert_eq!(range([0.02, 0.4, 3.0].into_iter()), (0.01, 10.0));
        assert_eq!(range([0.0].into_iter()), (1.0, 10.0));
        assert_eq!(range([10.0].into_iter()), (10.0, 100.0));
        assert!((part(10.0, (1.0, 100.0)) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_panel_has_its_lines_and_its_words() {
        let line = Line { points: vec![(1.0, 0.1), (10.0, 1.0)], bold: true };
        let panel = Panel { title: "a < b", below: "VIPs", lines: vec![line] };
        let svg = Sheet { title: "t", legend: "l", rows: vec![vec![panel]] }.svg("m");
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (1, 2));
        assert!(svg.contains("a &lt; b") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
