//! The reference of the configuration file is what the program does: every key is read, every
//! default that is printed is the one that holds, and `docs/CONFIGURATION.md` has the tables as the
//! program writes them.

use std::path::Path;

use standin::file::{self, ClusterFile, KeyDefault, Section, Source};

const TOP: &str = "cluster = \"web\"\nkey-file = \"/etc/standin/key\"\n";
const QUORUM: &str = "authority = \"quorum\"\n";
const NODES: &str = "[nodes]\npinky = \"10.0.0.1\"\nbrain = { addresses = [\"10.0.0.2\"]NODE }\n";
const VIP: &str = "[[vip]]\naddress = \"10.0.0.9\"\nhome = \"pinky\"\n";
const CHECK: &str = "[check.web]\nhttp = \"https://{vip}/\"\n";
const REST: [(Section, &str); 6] = [
    (Section::Timing, "[timing]\n"),
    (Section::Hooks, "[hooks]\n"),
    (Section::Control, "[control]\n"),
    (Section::Http, "[http]\n"),
    (Section::Webhook, "[[webhook]]\nurl = \"http://web/\"\n"),
    (Section::Realtime, "[realtime]\n"),
];

/// A small file, with one more line in one of its sections.
fn with(quorum: bool, section: Section, line: &str) -> String {
    let mut text = TOP.to_owned();
    if quorum {
        text.push_str(QUORUM);
    }
    let mut part = |of: Section, part: &str| {
        text.push_str(part);
        if of == section && of != Section::Node {
            text.push_str(line);
            text.push('\n');
        }
    };
    part(Section::Top, "");
    let more = if section == Section::Node { format!(", {line}") } else { String::new() };
    part(Section::Node, &NODES.replace("NODE", &more));
    part(Section::Vip, VIP);
    part(Section::Check, CHECK);
    for (of, header) in REST {
        part(of, header);
    }
    text
}

fn read(text: String) -> ClusterFile {
    let parsed = file::parse(Source::new("standin.toml", text));
    let shown = parsed.problems.render(&parsed.source, false);
    parsed.file.unwrap_or_else(|| panic!("{shown}\n{}", parsed.source.text))
}

#[test]
fn every_default_that_is_printed_is_the_one_that_holds() {
    let mut seen = 0;
    for section in Section::ALL {
        for key in section.keys() {
            let (KeyDefault::Value(value) | KeyDefault::Derived(_, value)) = key.default else {
                continue;
            };
            let quorum = key.name == "lease";
            let mut written = read(with(quorum, section, &format!("{} = {value}", key.name)));
            let mut left_out = read(with(quorum, section, ""));
            if key.name == "as" {
                // None stands for 'by their number'; what counts is what comes of it.
                for file in [&mut written, &mut left_out] {
                    assert!(!file.vips[0].wants_routes());
                    file.vips[0].held_as = None;
                }
            }
            assert_eq!(written, left_out, "{} = {value} in {section:?}", key.name);
            seen += 1;
        }
    }
    assert!(seen >= 25, "{seen}");
}

#[test]
fn every_key_of_the_table_is_read() {
    for section in Section::ALL {
        for key in section.keys() {
            let line = format!("{} = 1979-05-27", key.name);
            // At the top most keys are there already.
            let is_top = section == Section::Top;
            let text = if is_top { line.clone() } else { with(true, section, &line) };
            let parsed = file::parse(Source::new("standin.toml", text.clone()));
            let start = text.find(&line).expect("the line");
            let place = start..start + line.len();
            let refused = parsed.problems.iter().any(|problem| {
                place.contains(&problem.span.start) && !problem.message.contains("unknown key")
            });
            assert!(refused, "{line} in {section:?} is taken without a word");
        }
    }
}

#[test]
fn the_reference_is_as_the_program_writes_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGURATION.md");
    let text = std::fs::read_to_string(&path).expect("the reference");
    let updated = file::reference::updated(&text).expect("its marks");
    let differs = updated.lines().zip(text.lines()).find(|(new, old)| new != old);
    assert_eq!(differs, None, "run `cargo xtask docs --update`");
    assert_eq!(updated.lines().count(), text.lines().count(), "run `cargo xtask docs --update`");
    let again = file::reference::updated(&updated).expect("its marks");
    assert_eq!(again, updated);
}

#[test]
fn a_mark_that_is_wrong_is_named() {
    let said = |text: &str| file::reference::updated(text).expect_err(text);
    assert!(said("").contains("<!-- keys at the top -->"), "{}", said(""));
    let unclosed = "<!-- keys [timing] -->\n| a |\n";
    assert!(said(unclosed).contains("has no end"), "{}", said(unclosed));
    let unknown = "<!-- keys [timings] -->\n<!-- end of keys -->\n";
    assert!(said(unknown).contains("'[timings]' is no section"), "{}", said(unknown));
}
