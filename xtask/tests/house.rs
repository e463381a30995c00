//! The rules of the house: who may import whom, what keeps the core pure, where `unsafe` may stand
//! and how long a file may grow. `docs/ARCHITECTURE.md` says why; this file holds it.
//!
//! The rules are checked in the source text, so they also hold for code behind a `cfg`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may import whom. A package that is not listed is a failure: the drawing comes first.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("standin-core", &[]),
    ("standin-sys", &[]),
    ("standin", &["standin-core", "standin-sys"]),
    ("standin-lab", &["standin-core", "standin-sys"]),
    ("standin-sim", &["standin-core"]),
    ("standin-fuzz", &["standin", "standin-core", "standin-sim", "standin-sys"]),
    ("xtask", &[]),
];

/// What the core may depend on: each is `no_std`, and taken without default features. These three
/// authenticate heartbeats; cryptography is not for writing oneself.
const CORE_MAY_DEPEND_ON: &[&str] = &["hkdf", "hmac", "sha2"];

/// Words that have no place in the core, and what they would bring into it.
const IMPURE: &[(&str, &str)] = &[
    ("std::", "the operating system"),
    ("extern crate std", "the operating system"),
    ("Instant::now", "a clock"),
    ("SystemTime", "a clock"),
    ("println!", "output"),
    ("eprintln!", "output"),
    ("log::", "logging"),
    ("tracing", "logging"),
    ("HashMap", "an order that differs from run to run"),
    ("HashSet", "an order that differs from run to run"),
    ("thread", "concurrency"),
    ("async", "concurrency"),
    ("Atomic", "shared state"),
    ("static mut", "global state"),
    ("thread_local", "global state"),
    ("OnceCell", "hidden state"),
    ("f32", "arithmetic that differs between machines"),
    ("f64", "arithmetic that differs between machines"),
    ("cfg(test)", "logic that differs under test"),
];

const LINES_PER_FILE: usize = 600;

/// Files that may be longer, each with the reason why it holds one idea all the same.
const MAY_BE_LONGER: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("xtask has a parent")
}

fn packages() -> Vec<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    metadata["packages"].as_array().expect("metadata lists packages").clone()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is text"))
}

fn dependencies(package: &Value) -> &[Value] {
    package["dependencies"].as_array().expect("a package lists dependencies")
}

/// Every Rust file under `directory`, without build products and hidden directories.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir().expect("the source tree can be read") {
        let path = entry.expect("the source tree can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The lines of a file that are code, counted from 1. A comment may name what the code may not do.
fn code(path: &Path) -> Vec<(usize, String)> {
    let content = std::fs::read_to_string(path).expect("a source file is text");
    let uncommented = |line: &str| line.split("//").next().unwrap_or("").to_owned();
    (1..).zip(content.lines().map(uncommented)).collect()
}

/// Whether `word` stands in `line` and does not go on to the left or right of itself.
fn has_word(line: &str, word: &str) -> bool {
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let edge = |character: Option<char>| !character.is_some_and(part);
    line.match_indices(word).any(|(at, _)| {
        let open_left = !word.starts_with(part) || edge(line[..at].chars().next_back());
        let open_right = !word.ends_with(part) || edge(line[at + word.len()..].chars().next());
        // `Atomic` stands for AtomicBool, AtomicU64 and so on.
        open_left && (open_right || word == "Atomic")
    })
}

fn assert_none(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n    {}", broken.join("\n    "));
}

/// The lines before the unit tests at a file's end.
fn production(path: &Path) -> Vec<(usize, String)> {
    let mut code = code(path);
    let opens_tests = |pair: &[(usize, String)]| {
        pair[0].1.trim() == "#[cfg(test)]" && pair[1].1.starts_with("mod tests {")
    };
    let end = code.windows(2).position(opens_tests).unwrap_or(code.len());
    code.truncate(end);
    code
}

/// `file:line: code` for each line that `read` finds and for which `wrong` gives a reason.
fn offences(
    files: &[PathBuf],
    read: fn(&Path) -> Vec<(usize, String)>,
    wrong: impl Fn(&str) -> Option<String>,
) -> Vec<String> {
    let root = root();
    let mut broken = Vec::new();
    for path in files {
        let name = path.strip_prefix(&root).unwrap_or(path).display();
        for (number, line) in read(path) {
            if let Some(reason) = wrong(&line) {
                broken.push(format!("{name}:{number}: {} ({reason})", line.trim()));
            }
        }
    }
    broken
}

#[test]
fn packages_import_only_what_the_drawing_allows() {
    let packages = packages();
    let ours: BTreeSet<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let mut broken = Vec::new();
    for package in &packages {
        let name = text(package, "name");
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(importer, _)| *importer == name) else {
            broken.push(format!("{name} is not in the drawing"));
            continue;
        };
        let imported = dependencies(package).iter().map(|dependency| text(dependency, "name"));
        for import in imported.filter(|import| ours.contains(import) && !allowed.contains(import)) {
            broken.push(format!("{name} imports {import}"));
        }
    }
    assert_none("who may import whom", &broken);
}

#[test]
fn the_lab_knows_only_the_wire_of_the_core() {
    let broken = offences(&rust_files(&root().join("lab")), code, |line| {
        let (_, rest) = line.split_once("standin_core::")?;
        let wire = rest.starts_with("wire") || rest.starts_with("{wire");
        (!wire).then(|| "the lab runs the binary as a black box".to_owned())
    });
    assert_none("the lab reads frames with core::wire and knows nothing else of the core", &broken);
}

#[test]
fn the_core_depends_on_nothing_with_an_operating_system() {
    let packages = packages();
    let core = packages.iter().find(|package| text(package, "name") == "standin-core");
    let mut broken = Vec::new();
    for dependency in dependencies(core.expect("the workspace has a core")) {
        let name = text(dependency, "name");
        if dependency["kind"] == "dev" {
            continue;
        }
        let features = dependency["features"].as_array().expect("features are listed");
        if !CORE_MAY_DEPEND_ON.contains(&name) {
            broken.push(format!("{name} is not among {CORE_MAY_DEPEND_ON:?}"));
        }
        if dependency["uses_default_features"] == true || features.iter().any(|f| f == "std") {
            broken.push(format!("{name} is taken with std"));
        }
    }
    assert_none("the core's dependencies", &broken);
}

#[test]
fn the_core_is_declared_pure() {
    let lib = code(&root().join("core/src/lib.rs"));
    for attribute in ["#![no_std]", "#![forbid(unsafe_code)]"] {
        let declared = lib.iter().any(|(_, line)| line.trim() == attribute);
        assert!(declared, "core/src/lib.rs lacks {attribute}");
    }
}

#[test]
fn the_core_reaches_for_nothing_impure() {
    let broken = offences(&rust_files(&root().join("core/src")), production, |line| {
        let (word, brings) = IMPURE.iter().find(|(word, _)| has_word(line, word))?;
        Some(format!("`{word}` brings {brings}"))
    });
    assert_none("the core is pure", &broken);
}

#[test]
fn unsafe_stands_only_in_sys() {
    let root = root();
    let sys = root.join("sys");
    // This file names what it looks for.
    let here = root.join("xtask/tests/house.rs");
    let mut files = rust_files(&root);
    files.retain(|path| !path.starts_with(&sys) && *path != here);
    let broken = offences(&files, code, |line| {
        let used = has_word(line, "unsafe");
        let permitted = ["allow(unsafe_code", "expect(unsafe_code", "warn(unsafe_code"];
        let opened = permitted.iter().any(|attribute| line.contains(attribute));
        (used || opened).then(|| "only sys may".to_owned())
    });
    assert_none("unsafe outside sys", &broken);
}

#[test]
fn files_hold_one_idea() {
    let root = root();
    let mut broken = Vec::new();
    for path in rust_files(&root) {
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let lines = code(&path).len();
        let excused = MAY_BE_LONGER.iter().any(|(file, _)| *file == name);
        if lines > LINES_PER_FILE && !excused {
            broken.push(format!("{name} has {lines} lines"));
        }
        if lines <= LINES_PER_FILE && excused {
            broken.push(format!("{name} has {lines} lines and needs no exception"));
        }
    }
    assert_none(&format!("files over {LINES_PER_FILE} lines"), &broken);
}

#[test]
fn every_dependency_has_a_written_reason() {
    let page = root().join("docs/DEPENDENCIES.md");
    let page = std::fs::read_to_string(page).expect("docs/DEPENDENCIES.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: BTreeSet<&str> = rows.flat_map(|crates| crates.split(", ")).collect();
    let mut broken = Vec::new();
    for package in packages() {
        for dependency in dependencies(&package) {
            let name = text(dependency, "name");
            // A path is one of ours.
            if dependency["path"].is_null() && !named.contains(name) {
                broken.push(format!("{name}, for {}", text(&package, "name")));
            }
        }
    }
    assert_none("dependencies without a reason in docs/DEPENDENCIES.md", &broken);
}

/// The names that `[workspace.dependencies]` gives a version to.
fn offered() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let lines = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

#[test]
fn what_is_depended_on_is_used() {
    let (mut broken, mut used) = (Vec::new(), BTreeSet::new());
    for package in packages() {
        let manifest = Path::new(text(&package, "manifest_path"));
        let directory = manifest.parent().expect("a manifest is in a directory");
        let source: Vec<_> = rust_files(directory).iter().flat_map(|file| code(file)).collect();
        for dependency in dependencies(&package) {
            let name = text(dependency, "name");
            let word = name.replace('-', "_");
            if !source.iter().any(|(_, line)| has_word(line, &word)) {
                broken.push(format!("{name}, by {}", text(&package, "name")));
            }
            used.insert(name.to_owned());
        }
    }
    assert_none("dependencies that no line of their package names", &broken);
    let unused: Vec<_> = offered().into_iter().filter(|name| !used.contains(name)).collect();
    assert_none("[workspace.dependencies] that no package has", &unused);
}

/// The text of every Rust file.
fn whole_source() -> String {
    let root = root();
    let mut source = String::new();
    for directory in ["core", "sys", "standin", "lab", "sim", "fuzz", "xtask"] {
        if root.join(directory).is_dir() {
            for path in rust_files(&root.join(directory)) {
                source.push_str(&std::fs::read_to_string(path).expect("a source file is text"));
            }
        }
    }
    source
}

/// What stands there in backquotes and looks like a test's name is one.
#[test]
fn a_test_that_the_threat_model_names_exists() {
    let page = std::fs::read_to_string(root().join("docs/THREAT-MODEL.md")).expect("the page");
    let source = whole_source();
    let is_name = |word: &&str| {
        word.contains('_') && word.chars().all(|c| c == '_' || c.is_ascii_lowercase())
    };
    let names: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(names.len() > 30, "only {} names were found", names.len());
    let missing = |name: &&str| {
        !source.contains(&format!("fn {name}(")) && !source.contains(&format!("\"{name}\""))
    };
    let broken: Vec<String> = names.into_iter().filter(missing).map(str::to_owned).collect();
    assert_none("tests that docs/THREAT-MODEL.md names and that do not exist", &broken);
}

/// A promise is a row `| promise | conditions | checked by |`, and each name in backquotes in its
/// last cell is a test or a lab case that stands in the source.
#[test]
fn every_promise_names_a_test_that_exists() {
    let page = std::fs::read_to_string(root().join("docs/PROMISES.md")).expect("docs/PROMISES.md");
    let source = whole_source();
    let mut broken = Vec::new();
    for (number, line) in (1..).zip(page.lines()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, promise, conditions, checks, _] = cells[..] else { continue };
        if promise == "Promise" || promise.starts_with("--") {
            continue;
        }
        let names: Vec<&str> = checks.split('`').skip(1).step_by(2).collect();
        if promise.is_empty() || conditions.is_empty() || names.is_empty() {
            broken.push(format!("line {number}: a promise without a condition or a check"));
        }
        let missing = |name: &&str| {
            !source.contains(&format!("fn {name}(")) && !source.contains(&format!("\"{name}\""))
        };
        for name in names.into_iter().filter(missing) {
            broken.push(format!("line {number}: there is no test `{name}`"));
        }
    }
    assert_none("docs/PROMISES.md", &broken);
}

/// What `--only` may name of `bench cluster` stands in the help of `cargo xtask bench`.
#[test]
fn the_help_names_every_measurement_of_a_cluster() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is there");
    let (source, help) = (read("lab/src/bench/cluster/mod.rs"), read("xtask/src/main.rs"));
    let measured: Vec<&str> = source
        .split("Round { what: \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(measured.len() > 5, "{measured:?}");
    let missing: Vec<String> = measured
        .into_iter()
        .filter(|name| !has_word(&help, &format!(" {name},")))
        .map(str::to_owned)
        .collect();
    assert_none("measurements that the help leaves out", &missing);
}

#[test]
fn words_are_matched_whole() {
    assert!(has_word("use std::time", "std::"));
    assert!(!has_word("crate::mystd::x", "std::"));
    assert!(has_word("AtomicU64::new(0)", "Atomic"));
    assert!(!has_word("let threads = 1", "thread"));
    assert!(!has_word("deny(unsafe_code)", "unsafe"));
    assert!(has_word("async { f() }", "async"));
}
