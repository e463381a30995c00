//! Every `toml` block of the documentation is a configuration that the program takes: as it stands,
//! or, with `base=NAME`, put into a whole file: a block of any page with `name=NAME`, or a file from
//! the root of the source tree. What `not-run` says of other blocks, `not-read` says here.

#[path = "../../lab/src/fences.rs"]
mod fences;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fences::Block;
use standin::file::{self, Source};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every `toml` block, with its place.
fn blocks() -> Vec<(String, Block)> {
    let entries = root().join("docs").read_dir().expect("docs");
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    let mut found = Vec::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|kind| kind == "md")) {
        let text = std::fs::read_to_string(page).expect("a page");
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        let blocks = fences::blocks(&text).into_iter().filter(|block| block.kind == "toml");
        found.extend(blocks.map(|block| (format!("{name}:{}", block.line), block)));
    }
    found
}

/// The lines at the top, and those of each header in their order; all `[[vip]]` are one part.
type Parts = (BTreeMap<String, String>, Vec<(String, String)>);

fn parts(text: &str) -> Parts {
    let (mut top, mut sections) = (BTreeMap::new(), Vec::<(String, String)>::new());
    for line in text.lines() {
        let bare = line.split(" #").next().unwrap_or_default().trim_end();
        let is_header = bare.starts_with('[') && bare.ends_with(']');
        if is_header && !sections.iter().any(|(header, _)| header == bare) {
            sections.push((bare.to_owned(), String::new()));
        }
        if is_header || !sections.is_empty() {
            let header = if is_header { bare } else { "" };
            let at = sections.iter().position(|(known, _)| known == header);
            let at = at.unwrap_or(sections.len() - 1);
            // Lines below a repeated header belong to it: it goes to the end.
            let section = sections.remove(at);
            sections.push((section.0, format!("{}{line}\n", section.1)));
        } else if let Some((key, _)) = line.split_once('=') {
            top.insert(key.trim().to_owned(), format!("{line}\n"));
        }
    }
    (top, sections)
}

/// The base with the lines and tables of the fragment in place of its own.
fn completed(base: &str, fragment: &str) -> String {
    let (mut top, sections) = parts(base);
    let (more, own) = parts(fragment);
    top.extend(more);
    let kept = sections.iter().filter(|(header, _)| !own.iter().any(|(own, _)| own == header));
    let all = kept.chain(&own).map(|(_, text)| text.as_str());
    top.values().map(String::as_str).chain(all).collect()
}

fn base(name: &str, blocks: &[(String, Block)]) -> String {
    let block = blocks.iter().find(|(_, block)| block.word("name") == Some(name));
    block.map_or_else(
        || std::fs::read_to_string(root().join(name)).unwrap_or_else(|_| panic!("no base {name}")),
        |(_, block)| block.text(),
    )
}

#[test]
fn every_configuration_of_the_documentation_is_taken() {
    let blocks = blocks();
    let (mut whole, mut fragments) = (0, 0);
    for (place, block) in &blocks {
        if let Some(why) = block.word("not-read") {
            assert!(!why.is_empty(), "{place}");
            println!("{place} is not read: {why}");
            continue;
        }
        let text = match block.word("base") {
            None => {
                whole += 1;
                block.text()
            }
            Some(name) => {
                fragments += 1;
                completed(&base(name, &blocks), &block.text())
            }
        };
        let parsed = file::parse(Source::new(place.as_str(), text.as_str()));
        let shown = parsed.problems.render(&parsed.source, false);
        assert!(parsed.file.is_some(), "{shown}\n{text}");
    }
    assert!(whole >= 3 && fragments >= 5, "{whole} whole, {fragments} fragments");
}

#[test]
fn a_fragment_takes_the_place_of_what_is_there() {
    let base = "a = 1\nb = 2\n[x]\nc = 3\n[[vip]]\nd = 1\n[[vip]]\nd = 2\n[y]\ne = 4\n";
    let fragment = "b = 5  # five\n[[vip]]\nd = 6\n[z]     # new\nf = 7\n[[vip]]\nd = 8\n";
    let expected = "a = 1\nb = 5  # five\n[x]\nc = 3\n[y]\ne = 4\n[z]     # new\nf = 7\n\
                    [[vip]]\nd = 6\n[[vip]]\nd = 8\n";
    assert_eq!(completed(base, fragment), expected);
}
