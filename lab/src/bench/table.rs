//! A table: one figure of one measurement, of ours and of a peer beside it.
//!
//! Owns how a table looks. Its numbers are the report's.

use std::fmt::Write as _;

use super::report::{Figures, median};

/// One figure of one measurement, and whom it is compared with.
pub struct Table {
    pub title: &'static str,
    pub what: &'static str,
    pub figure: &'static str,
    /// Ours, and a peer whose setting is like it.
    pub rows: &'static [(&'static str, Option<&'static str>)],
}

impl Table {
    /// Nothing where nothing of it was measured.
    pub fn print(&self, text: &mut String, figures: &Figures) {
        let runs = |subject: &str| figures.runs(self.what, subject, self.figure);
        let rows = self.rows.iter().flat_map(|(ours, peer)| {
            [Some((*ours, None)), peer.map(|peer| (peer, Some(*ours)))].into_iter().flatten()
        });
        let measured: Vec<_> = rows.filter(|(subject, _)| !runs(subject).is_empty()).collect();
        if measured.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{}", self.title);
        let _ = writeln!(
            text,
            "  {:<20} {:>10} {:>10} {:>10} {:>6}   ratio",
            "", "median", "least", "most", "runs"
        );
        for (subject, ours) in measured {
            let numbers = runs(subject);
            let middle = median(numbers).unwrap_or_default();
            let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let most = numbers.iter().copied().fold(0.0, f64::max);
            let base = ours.and_then(|ours| Some((ours, median(runs(ours))?)));
            let ratio = base.map_or_else(String::new, |(ours, base)| ratio(middle, ours, base));
            let _ = writeln!(
                text,
                "  {subject:<20} {middle:>10.1} {least:>10.1} {most:>10.1} {:>6}   {ratio}",
                numbers.len()
            );
        }
    }
}

fn ratio(number: f64, ours: &str, base: f64) -> String {
    if base > 0.0 {
        format!("{:.2} × {ours}", number / base)
    } else if number > 0.0 {
        format!("{ours} has none")
    } else {
        String::new()
    }
}
