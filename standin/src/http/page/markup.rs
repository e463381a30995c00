//! HTML that is written piece by piece. Invariant: what comes from elsewhere is escaped.

use std::fmt::{Display, Write};
use std::time::SystemTime;

use crate::log::rfc3339;

/// A piece of a page.
#[derive(Default)]
pub(super) struct Markup(String);

impl Markup {
    /// What we wrote ourselves, as it is.
    pub(super) fn raw(&mut self, html: &'static str) -> &mut Self {
        self.0.push_str(html);
        self
    }

    /// What anybody may have written.
    pub(super) fn text(&mut self, text: impl Display) -> &mut Self {
        let _ = write!(Escaped(&mut self.0), "{text}");
        self
    }

    /// An element with nothing but text in it; `open` is its whole opening tag.
    pub(super) fn element(
        &mut self,
        open: &'static str,
        text: impl Display,
        close: &'static str,
    ) -> &mut Self {
        self.raw(open).text(text).raw(close)
    }

    /// A time, which the script turns into 'so long ago'.
    pub(super) fn time(&mut self, at: SystemTime) -> &mut Self {
        let stamp = rfc3339(at);
        let second = stamp.get(..19).unwrap_or(&stamp);
        self.raw("<time datetime=\"").text(format_args!("{second}Z")).raw("\">");
        self.text(second.replace('T', " ")).raw(" UTC</time>")
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// Escapes for text and for attributes in double quotes.
struct Escaped<'m>(&'m mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_elsewhere_stays_text() {
        let mut markup = Markup::default();
        markup.element("<p title=\"", "\"'<script>&amp;", "\">").raw("</p>");
        let wanted = "<p title=\"&quot;&#39;&lt;script&gt;&amp;amp;\"></p>";
        assert_eq!(markup.finish(), wanted);
    }

    #[test]
    fn a_time_reads_without_a_script() {
        let mut markup = Markup::default();
        markup.time(SystemTime::UNIX_EPOCH);
        let wanted = "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00:00 UTC</time>";
        assert_eq!(markup.finish(), wanted);
    }
}
