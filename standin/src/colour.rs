//! Whether what is written for people may have colours: the one place that asks.

use std::ffi::OsStr;

/// Whether a terminal may be sent colours: `NO_COLOR` is unset or empty, and `TERM` names one that
/// knows them.
pub(crate) fn is_wanted() -> bool {
    decide(std::env::var_os("NO_COLOR").as_deref(), std::env::var_os("TERM").as_deref())
}

fn decide(no_colour: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    let is_dumb = term.is_none_or(|term| term.is_empty() || term == "dumb");
    no_colour.is_none_or(OsStr::is_empty) && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_colour_goes_where_it_is_not_wanted_or_not_understood() {
        let decide = |no: Option<&str>, term: Option<&str>| {
            super::decide(no.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(decide(None, Some("xterm")) && decide(Some(""), Some("linux")));
        for (no, term) in [
            (Some("1"), Some("xterm")),
            (Some("0"), Some("xterm")),
            (None, Some("dumb")),
            (None, Some("")),
            (None, None),
        ] {
            assert!(!decide(no, term), "{no:?} {term:?}");
        }
    }
}
