//! Damaged files: whatever is done to a good one, it is either still good or has problems with a
//! place, and nothing panics. `STANDIN_MUTATIONS=1000000` looks longer.

use std::fs;
use std::path::Path;

use standin::file::{self, Source};

/// A small generator, so that a failure can be repeated (xorshift64*, Vigna 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

fn seeds() -> Vec<String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = Vec::new();
    for directory in ["../packaging/examples", "tests/file"] {
        for entry in fs::read_dir(here.join(directory)).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                texts.push(fs::read_to_string(path).expect("text"));
            }
        }
    }
    texts.sort();
    texts
}

/// Pieces that mean something to some layer.
const PIECES: [&str; 28] = [
    "\"",
    "'",
    "\"\"\"",
    "[",
    "]",
    "[[",
    "{",
    "}",
    "=",
    "\n",
    "\r\n",
    "\u{0}",
    "\u{1b}[2J",
    "ü",
    "\u{202e}",
    "-",
    "/",
    "999999999999999999999",
    "0o",
    "nan",
    "10.0.0.10-10.0.0.40",
    "::",
    "/0",
    "true",
    "{vip}",
    "://u:p@",
    "1979-05-27",
    "#",
];

fn damage(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(4) {
        let at = random.below(letters.len() + 1);
        let to = (at + random.below(12)).min(letters.len());
        match random.below(5) {
            0 => drop(letters.drain(at..to)),
            1 => drop(letters.splice(at..at, PIECES[random.below(PIECES.len())].chars())),
            2 => drop(letters.splice(at..to, PIECES[random.below(PIECES.len())].chars())),
            3 => {
                let copied: Vec<char> = letters[at..to].to_vec();
                let place = random.below(letters.len() + 1);
                drop(letters.splice(place..place, copied));
            }
            _ => letters.truncate(at.max(letters.len() / 2)),
        }
    }
    letters.into_iter().collect()
}

fn judge(text: &str) {
    let parsed = file::parse(Source::new("damaged.toml", text));
    assert_eq!(parsed.file.is_none(), parsed.problems.errors() > 0, "{text}");
    let lines = text.split('\n').count();
    for problem in parsed.problems.iter() {
        let (line, column) = parsed.source.position(problem.span.start);
        assert!(line >= 1 && line <= lines && column >= 1, "{problem:?} in {text}");
        let shown = problem.render(&parsed.source, false);
        assert!(shown.contains(&format!("damaged.toml:{line}:")), "{shown} in {text}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    if let Some(file) = parsed.file {
        assert!(file.vip_count() >= 1 && file.vip_count() <= 10_000);
        let _ = file.digest();
    }
}

#[test]
fn damaged_files_have_an_error_with_a_place_or_are_good() {
    let texts = seeds();
    let mut random = Random(0x5eed_0003);
    let rounds = std::env::var("STANDIN_MUTATIONS").ok().and_then(|count| count.parse().ok());
    for round in 0..rounds.unwrap_or(3000) {
        let text = &texts[round % texts.len()];
        judge(&damage(text, &mut random));
    }
}

#[test]
fn files_that_end_anywhere_are_judged() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples/three-nodes.toml"),
    )
    .expect("text");
    for (end, _) in text.char_indices() {
        judge(&text[..end]);
    }
}
