//! What comes from people: files, words on a command line, requests at the control socket.
//!
//! Owns the targets. Never opens a file.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use standin::checks::url::{Url, host_and_port, redacted};
use standin::checks::{Probe, StatusSet, words};
use standin::control::understand;
use standin::file::{self, Source};
use standin::import::{self, Files};
use standin::keygen::Keys;
use standin::{control, duration};

/// One line at the control socket.
pub fn control(data: &[u8]) {
    let line = data.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    for (bytes, whole) in [(line, line.ends_with(b"\n")), (data, false), (data, true)] {
        for may_change in [false, true] {
            let request: Result<control::Request, String> = understand(bytes, whole, may_change);
            match request {
                Ok(request) => {
                    assert_eq!(request.may_change, may_change);
                    let told = request.body.get("command").and_then(|told| told.as_str());
                    assert_eq!(told, Some(&*request.command));
                }
                Err(why) => assert!(!why.is_empty() && why.lines().count() == 1, "{why}"),
            }
        }
    }
}

/// A configuration file.
pub fn file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = file::parse(Source::new("any.toml", text));
    assert_eq!(parsed.file.is_none(), parsed.problems.errors() > 0);
    let lines = text.split('\n').count();
    for problem in parsed.problems.iter() {
        let (line, column) = parsed.source.position(problem.span.start);
        assert!(line >= 1 && line <= lines && column >= 1, "{problem:?}");
        let shown = problem.render(&parsed.source, false);
        assert!(shown.contains(&format!("any.toml:{line}:")), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
        let _ = problem.to_json(&parsed.source);
    }
    let _ = parsed.problems.render(&parsed.source, true);
    let Some(found) = &parsed.file else { return };
    assert!((1..=file::MOST_VIPS).contains(&found.vip_count()));
    assert_eq!(
        found.digest(),
        file::parse(Source::new("b.toml", text))
            .file
            .map_or_else(|| panic!("the second reading fails"), |again| again.digest())
    );
    for address in found.addresses().take(32) {
        assert!(found.group_of(address).is_some_and(|group| group.contains(address)));
    }
    let (_, warnings) = parsed.clone().into_valid(false).expect("it has no error");
    assert_eq!(warnings.len(), parsed.problems.warnings());
}

/// A key file.
pub fn key_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Keys::parse(text) {
        Ok(keys) => {
            // Two keys of one number are refused; nothing else is.
            let _ = keys.ring("web");
            let shown = format!("{keys:?}");
            assert!(text.split_whitespace().all(|word| word.len() < 16 || !shown.contains(word)));
        }
        Err(why) => {
            assert!(why.lines().count() == 1, "{why}");
            let secret = |word: &&str| word.len() >= 16 && why.contains(*word);
            assert!(!text.split_whitespace().any(|word| secret(&word)), "{why}");
        }
    }
}

/// Files of a host that is not there.
struct Given<'d>([&'d str; 2]);

impl Files for Given<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("a.conf") => Ok(self.0[0].to_owned()),
            Some("b.conf") => Ok(self.0[1].to_owned()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn names(&self, _: &Path) -> Vec<String> {
        vec!["a.conf".to_owned(), "b.conf".to_owned()]
    }
}

/// Two files of keepalived, of two nodes, and the second included by the first.
pub fn keepalived(data: &[u8]) {
    let Some((cut, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let cut = if *cut < 128 { text.len() } else { text.len() * usize::from(*cut) / 510 };
    let cut = (0..=cut).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let given = Given([&text[..cut], &text[cut..]]);
    let paths = ["a.conf", "b.conf"].map(PathBuf::from);
    for paths in [&paths[..1], &paths] {
        match import::import(paths, &[], Some("web"), &given, false) {
            Ok(outcome) => {
                let parsed = file::parse(Source::new("new.toml", outcome.text.as_str()));
                assert!(parsed.file.is_some(), "what was written is not valid");
                assert!(outcome.list.iter().all(|listed| !listed.to_json().is_null()));
            }
            Err(failure) => assert!(!failure.to_string().is_empty()),
        }
    }
}

/// An argument of `--check`, and what its parts are made of.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let vips: [IpAddr; 2] = [[192, 0, 2, 37].into(), [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()];
    if let Ok(probe) = Probe::parse(text) {
        let shown = probe.to_string();
        assert!(!shown.is_empty());
        for vip in vips {
            assert!(!probe.name_for(vip).contains("{vip}") || text.starts_with("command:"));
            let _ = probe.concerns().includes(vip);
        }
    }
    judge_url(text, &vips);
    let _ = redacted(text);
    let _ = host_and_port(text);
    if let Ok(split) = words::split(text) {
        assert!(split.iter().map(String::len).sum::<usize>() <= text.len());
    }
    if let Ok(read) = duration::parse(text) {
        let shown = duration::show(read);
        // A thousandth of the unit is not shown.
        let again = duration::parse(&shown).unwrap_or_else(|why| panic!("{shown}: {why}"));
        assert!(
            again <= read && read.saturating_sub(again) <= read / 1000,
            "{text} is shown as {shown}"
        );
    }
    let _ = StatusSet::parse(text).map(|set| set.contains(200));
}

/// Neither a good URL nor a complaint about a bad one shows credentials.
fn judge_url(text: &str, vips: &[IpAddr]) {
    match Url::parse(text) {
        Ok(url) => {
            let shown = url.to_string();
            // An `@` in the path or the query is none of ours.
            let secret = credentials(text, &['/', '?', '#']);
            assert!(secret.is_none_or(|secret| !shown.contains(secret)), "{shown}");
            assert_eq!(format!("{url:?}"), format!("Url({shown})"));
            for vip in vips {
                assert!(!url.host_header(*vip).contains(['\r', '\n', ' ']), "{shown}");
            }
        }
        Err(why) => {
            let secret = credentials(text, &[]);
            assert!(secret.is_none_or(|secret| !why.contains(secret)), "{why}");
        }
    }
}

/// What stands before the last `@` before any of `ends`, where it is long enough to be known again
/// and stands nowhere else.
fn credentials<'t>(text: &'t str, ends: &[char]) -> Option<&'t str> {
    let (scheme, rest) = text.split_once("://")?;
    let end = rest.find(ends).unwrap_or(rest.len());
    let (secret, _) = rest[..end].rsplit_once('@')?;
    let place = &rest[secret.len() + 1..];
    let known = secret.len() >= 8 && !place.contains(secret) && !scheme.contains(secret);
    known.then_some(secret)
}
