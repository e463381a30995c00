//! The two text formats: `OpenMetrics` 1.0 and the older one of Prometheus (0.0.4).
//!
//! Owns the spelling. They differ in how a counter's family is called, in `info` and `unit`, and in
//! the line at the end. Invariant: every sample belongs to a family of [`table`](super::table),
//! with exactly its labels.

use std::fmt::{Display, Write};
use std::time::Duration;

use standin_core::histogram::Histogram;

use super::table::{Family, Kind};

/// How the text is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics = 0,
    /// What Prometheus reads besides, and `promtool check metrics` alone.
    Text = 1,
}

impl Format {
    /// What a client wants by its `Accept`.
    pub fn accepted_by(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Writes families one after the other.
pub(super) struct Writer {
    text: String,
    format: Format,
}

impl Writer {
    pub(super) fn new(format: Format) -> Self {
        Self { text: String::with_capacity(16 << 10), format }
    }

    /// Begins a family.
    pub(super) fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let open = self.format == Format::OpenMetrics;
        let (base, sample) = (family.name, family.sample_name());
        let (name, kind) = match (family.kind, open) {
            (Kind::Counter, true) => (base, "counter"),
            (Kind::Counter, false) => (sample.as_str(), "counter"),
            (Kind::Gauge, _) => (base, "gauge"),
            (Kind::Histogram, _) => (base, "histogram"),
            (Kind::Info, true) => (base, "info"),
            (Kind::Info, false) => (sample.as_str(), "gauge"),
        };
        let mut header = format!("# TYPE {name} {kind}\n");
        if let (Some(unit), true) = (family.unit, open) {
            let _ = writeln!(header, "# UNIT {name} {unit}");
        }
        let _ = writeln!(header, "# HELP {name} {}.", family.help);
        self.text.push_str(&header);
        Samples { text: &mut self.text, family, name: sample }
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Writes the samples of one family.
pub(super) struct Samples<'w> {
    text: &'w mut String,
    family: &'static Family,
    name: String,
}

impl Samples<'_> {
    /// One sample with the values of its labels.
    pub(super) fn sample(&mut self, labels: &[&str], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One sample that is a time.
    pub(super) fn seconds(&mut self, labels: &[&str], value: Duration) {
        self.line("", labels, None, value.as_secs_f64());
    }

    /// The samples of one histogram, in seconds.
    pub(super) fn histogram(&mut self, labels: &[&str], histogram: &Histogram) {
        for (limit, count) in histogram.cumulative() {
            // OpenMetrics wants a point in every limit.
            self.line("_bucket", labels, Some(&format!("{:?}", limit.as_secs_f64())), count);
        }
        self.line("_bucket", labels, Some("+Inf"), histogram.count());
        self.line("_sum", labels, None, histogram.sum().as_secs_f64());
        self.line("_count", labels, None, histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: &[&str], limit: Option<&str>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.family.labels.len(), "{}", self.family.name);
        self.text.push_str(&self.name);
        self.text.push_str(suffix);
        let named = self.family.labels.iter().copied().zip(labels.iter().copied());
        let mut before = '{';
        for (name, value) in named.chain(limit.map(|limit| ("le", limit))) {
            self.text.push(before);
            before = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, self.text);
            self.text.push('"');
        }
        if before == ',' {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

fn escape(value: &str, text: &mut String) {
    for letter in value.chars() {
        match letter {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Family = Family {
        name: "standin_seen",
        kind: Kind::Counter,
        unit: None,
        labels: &["what"],
        help: "What was seen",
    };
    const WAIT: Family = Family {
        name: "standin_wait_seconds",
        kind: Kind::Histogram,
        unit: Some("seconds"),
        labels: &[],
        help: "How long it was",
    };

    fn written(format: Format) -> String {
        let mut writer = Writer::new(format);
        writer.family(&SEEN).sample(&["a \"b\" \\ c\nd"], 3_u64);
        let mut histogram = Histogram::default();
        histogram.record(Duration::from_millis(1500));
        writer.family(&WAIT).histogram(&[], &histogram);
        writer.finish()
    }

    #[test]
    fn open_metrics_is_spelled_as_it_wants_to_be() {
        let text = written(Format::OpenMetrics);
        assert!(
            text.starts_with(
                "# TYPE standin_seen counter\n# HELP standin_seen What was seen.\n\
             standin_seen_total{what=\"a \\\"b\\\" \\\\ c\\nd\"} 3\n\
             # TYPE standin_wait_seconds histogram\n# UNIT standin_wait_seconds seconds\n\
             # HELP standin_wait_seconds How long it was.\n\
             standin_wait_seconds_bucket{le=\"0.0001\"} 0\n"
            ),
            "{text}"
        );
        assert!(text.contains("{le=\"1.0\"} 0\nstandin_wait_seconds_bucket{le=\"2.5\"} 1\n"));
        let end =
            "{le=\"+Inf\"} 1\nstandin_wait_seconds_sum 1.5\nstandin_wait_seconds_count 1\n# EOF\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn the_older_format_names_a_counter_with_its_suffix_and_has_no_end() {
        let text = written(Format::Text);
        assert!(text.starts_with("# TYPE standin_seen_total counter\n"), "{text}");
        assert!(!text.contains("# UNIT") && !text.contains("# EOF"), "{text}");
    }

    #[test]
    fn a_client_gets_what_it_asks_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted_by(prometheus), Format::OpenMetrics);
        assert_eq!(Format::accepted_by("*/*"), Format::Text);
    }
}
