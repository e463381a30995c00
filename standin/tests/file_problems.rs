//! Everything that can be wrong or risky in a configuration file, as it is shown.
//!
//! `tests/file/NAME.toml` has one problem, `tests/file/NAME.txt` is what is said about it. With
//! `STANDIN_BLESS=1` the second is written anew, to be read before it is kept.

use std::fs;
use std::path::{Path, PathBuf};

use standin::file::{self, Source};

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/file");
    let mut cases: Vec<PathBuf> = fs::read_dir(directory)
        .expect("the cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    cases.sort();
    cases
}

fn said_of(path: &Path) -> String {
    let name = path.file_name().expect("a name");
    let text = fs::read_to_string(path).expect("a case");
    let parsed = file::parse(Source::new(name, text));
    assert_eq!(parsed.file.is_none(), parsed.problems.errors() > 0, "{}", path.display());
    parsed.problems.render(&parsed.source, false)
}

#[test]
fn every_problem_is_shown_as_it_was_agreed() {
    let bless = std::env::var_os("STANDIN_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in cases() {
        let (said, agreed) = (said_of(&path), path.with_extension("txt"));
        assert!(!said.is_empty(), "{} has no problem", path.display());
        if bless {
            fs::write(&agreed, &said).expect("written");
        } else if fs::read_to_string(&agreed).unwrap_or_default() != said {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_password_is_never_shown() {
    let text = "cluster = \"web\"\n[check.x]\nhttp = \"http://pinky:narf@web/?token=troz\"\nhtpt = 1\n\
                [check.y]\nhttp = \"ftp://pinky:narf@web/?token=troz\"\n\
                [check.z]\nhttp = \"http://pinky:na/rf@web/?token=troz\"\n\
                [check.u]\ncommand = \"https://pinky:narf@web/\"\nserver-name = 1\n\
                [[webhook]]\nurl = \"https://pinky:narf@web/narf/troz\"\nevent = 1\n\
                [[webhook]]\nurl = \"gopher://web/narf\"\n\
                [[webhook]]\nurl = \"https://web/na rf/troz\"\n";
    let parsed = file::parse(Source::new("x.toml", text));
    assert!(parsed.problems.errors() >= 8);
    let shown = parsed.problems.render(&parsed.source, true);
    let json: Vec<String> =
        parsed.problems.iter().map(|problem| problem.to_json(&parsed.source).to_string()).collect();
    for secret in ["narf", "troz", "na/rf", "na rf"] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!json.join("\n").contains(secret), "{json:?}");
    }
}

#[test]
fn all_errors_of_a_file_are_named_in_one_go() {
    let text = "clutser = \"web\"\n[nodes]\npinky = \"10.0.0.1\"\nbrain = 5\n[[vip]]\n\
                address = \"10.0.0.1\"\nhome = \"pinkie\"\n[timing]\ndead-after = 5\n";
    let parsed = file::parse(Source::new("x.toml", text));
    let messages: Vec<&str> =
        parsed.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "unknown key `clutser`",
            "`cluster` is missing",
            "`key-file` is missing",
            "expected an address, or a list of them, found a number",
            "10.0.0.1 is a VIP and the real address of pinky",
            "'pinkie' is not a node",
            "expected a duration in quotes, found a number",
        ]
    );
}

#[test]
fn a_file_of_nonsense_is_counted_and_not_listed() {
    let parsed = file::parse(Source::new("x.toml", "narf = 1\n".repeat(5000)));
    // All but the first are there twice, the first is unknown, and four keys are missing.
    assert!(parsed.problems.errors() >= 5000, "{}", parsed.problems.errors());
    assert!(parsed.problems.iter().count() <= 1000);
    let shown = parsed.problems.render(&parsed.source, false);
    assert_eq!(shown.matches("-->").count(), 50);
    assert!(shown.trim_end().ends_with("more"), "{shown}");
}

#[test]
fn json_has_the_place_and_the_cure() {
    let parsed = file::parse(Source::new("x.toml", "cluster = \"ü\"\nclustre = 1\n"));
    let unknown = parsed.problems.iter().find(|problem| problem.message.contains("clustre"));
    let json = unknown.expect("the unknown key").to_json(&parsed.source);
    assert_eq!(
        json,
        serde_json::json!({
            "severity": "error",
            "message": "unknown key `clustre`",
            "line": 2,
            "column": 1,
            "end_line": 2,
            "end_column": 8,
            "label": "unknown",
            "help": "did you mean `cluster`?",
        })
    );
}
