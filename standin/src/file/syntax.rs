//! What the parser of TOML says, in the words of somebody who writes a configuration file.
//!
//! Owns better words where the parser guesses at what was meant, or speaks of its grammar; whatever
//! else it says stands as it is. Never parses anything.

use toml::de::Error;

use super::problem::{Problem, Span};

/// What may stand before and behind a value without being part of it.
const AROUND: [char; 10] = ['=', ',', '[', ']', '{', '}', '"', '\'', '#', '\n'];

/// A fault of the parser's as a problem; of a text that may be keepalived's.
pub fn problem(text: &str, fault: &Error, is_keepalived: bool) -> Problem {
    let span = fault.span().unwrap_or_default();
    let said = fault.message();
    let is_bare = ["string values must be quoted", "invalid float", "invalid boolean"];
    if is_bare.iter().any(|beginning| said.starts_with(beginning)) {
        return bare(text, span);
    }
    let problem = Problem::error(span.clone(), said.trim_end_matches(", expected nothing"));
    if said == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        let help = "leave one of them out; further lines of a table belong below its first header";
        return Problem::error(span, format!("`{key}` is there twice"))
            .label("not the first time")
            .help(help);
    }
    if said.starts_with("unexpected key or value") {
        return problem.help("one `key = value` a line, without `,` or `;` at its end");
    }
    if said.contains("recursion") || said.contains("recurse") {
        return Problem::error(span, "lists and tables too deep in each other");
    }
    if is_keepalived {
        return problem.help("of a keepalived.conf this file is made by: standin import");
    }
    problem
}

/// A value that is no number, and has no quotes.
fn bare(text: &str, span: Span) -> Problem {
    let at = span.start.min(text.len());
    let (Some(before), Some(behind)) = (text.get(..at), text.get(at..)) else {
        return Problem::error(span, "text stands in quotes");
    };
    let start = before.rfind(AROUND).map_or(0, |end| end + 1);
    let end = behind.find(AROUND).map_or(text.len(), |length| at + length);
    let value = text.get(start..end).unwrap_or_default().trim();
    if value.is_empty() {
        return Problem::error(span, "the value is missing");
    }
    let lower = value.to_ascii_lowercase();
    let help = if matches!(lower.as_str(), "true" | "false") {
        lower
    } else if matches!(lower.as_str(), "yes" | "no" | "on" | "off") {
        format!("true or false; or text, \"{value}\"")
    } else if value.contains(';') {
        "one `key = value` a line, without `;`".to_owned()
    } else {
        let typographic = ['“', '”', '„', '‘', '’', '«', '»'];
        format!("\"{}\"", value.trim_matches(typographic))
    };
    let start = start + text[start..end].find(value).unwrap_or_default();
    Problem::error(start..start + value.len(), format!("'{value}' is no number, and has no quotes"))
        .help(help)
}

#[cfg(test)]
mod tests {
    use crate::file::{Source, parse};

    /// The first problem of a text, its place and its help.
    fn first(text: &str) -> (String, String, String) {
        let parsed = parse(Source::new("x.toml", text));
        let problem = parsed.problems.iter().next().expect(text).clone();
        let place = text.get(problem.span.clone()).unwrap_or_default().to_owned();
        (problem.message, place, problem.help.unwrap_or_default())
    }

    #[test]
    fn a_value_without_quotes_is_shown_with_them() {
        for (text, place, help) in [
            ("x = 192.0.2.1 # the first\n", "192.0.2.1", "\"192.0.2.1\""),
            ("x = 192.0.2.10-192.0.2.20", "192.0.2.10-192.0.2.20", "\"192.0.2.10-192.0.2.20\""),
            ("x = 10 ms\n", "10 ms", "\"10 ms\""),
            ("x = -1s\n", "-1s", "\"-1s\""),
            ("x = [eth0, 1]\n", "eth0", "\"eth0\""),
            ("x = { y = /run/x }\n", "/run/x", "\"/run/x\""),
            ("x = “quorum”\n", "“quorum”", "\"quorum\""),
            ("x = True\n", "True", "true"),
            ("x = yes\n", "yes", "true or false; or text, \"yes\""),
            ("x = 1; y = 2\n", "1; y", "one `key = value` a line, without `;`"),
        ] {
            let (message, found, said) = first(text);
            assert_eq!((found.as_str(), said.as_str()), (place, help), "{text}");
            assert_eq!(message, format!("'{place}' is no number, and has no quotes"));
        }
        for text in ["x =\n", "x = # y\n", "x = "] {
            assert_eq!(first(text).0, "the value is missing", "{text}");
        }
    }

    #[test]
    fn what_the_grammar_calls_it_is_said_in_plain_words() {
        for (text, message, help) in [
            ("cluster = \"a\"\ncluster = \"b\"\n", "`cluster` is there twice", "leave one"),
            ("x == 1\n", "extra `=`", ""),
            ("x = \"a\",\n", "unexpected key or value", "without `,` or `;`"),
            ("vrrp_instance V {\n", "key with no value", "standin import"),
        ] {
            let (said, _, helped) = first(text);
            assert!(said.starts_with(message) && !said.contains("nothing"), "{text}: {said}");
            assert!(helped.contains(help), "{text}: {helped}");
        }
        assert_eq!(
            first(&format!("x={}", "[".repeat(10_000))).0,
            "lists and tables too deep in each other"
        );
    }
}
