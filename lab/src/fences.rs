//! The fenced blocks of a page in Markdown, and what their opening lines say of them.
//!
//! Owns the form, for whoever holds the pages to the program: `cargo xtask docs` (flags), the tests
//! of `standin` (files) and the lab (commands). Each compiles it for itself, since none of them may
//! import another. Never knows what a block means.
//!
//! ````text
//! ```console on=pinky,brain not-run="it needs a cloud"     kind, then words: NAME, or NAME=VALUE
//! $ a command \
//!     that goes on
//! a line that it prints, with … for what differs
//! ```
//! <!-- lab on=pinky                                       nobody sees it: kind `lab`
//! a script
//! -->
//! ````

#![allow(dead_code, reason = "whoever compiles it uses what it needs")]

use std::collections::BTreeMap;

/// One block.
#[derive(Debug, Clone)]
pub struct Block {
    /// The number of its opening line, from 1.
    pub line: usize,
    /// The first word: `console`, `toml`; `lab` for a hidden one.
    pub kind: String,
    /// The further words; one without a value has an empty one.
    pub words: BTreeMap<String, String>,
    /// What is between, without the indentation of the opening line.
    pub body: Vec<String>,
}

/// A command of a `console` block, and the lines that it should print.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    pub command: String,
    pub expected: Vec<String>,
}

impl Block {
    /// What a word says, if it is there.
    pub fn word(&self, name: &str) -> Option<&str> {
        self.words.get(name).map(String::as_str)
    }

    /// The body as one text.
    pub fn text(&self) -> String {
        self.body.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// The commands: lines behind `$ `, each joined with those after a final backslash.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        let mut lines = self.body.iter();
        while let Some(line) = lines.next() {
            let Some(first) = line.strip_prefix("$ ") else {
                if let Some(step) = steps.last_mut().filter(|_| !line.trim().is_empty()) {
                    step.expected.push(line.clone());
                }
                continue;
            };
            let mut command = first.to_owned();
            while let Some(unfinished) = command.strip_suffix('\\') {
                let next = lines.next().map_or("", |line| line.trim());
                command = format!("{} {next}", unfinished.trim_end());
            }
            steps.push(Step { command, expected: Vec::new() });
        }
        steps
    }
}

/// Every block of a page, in order. One that is not closed ends with the page.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, opening)) = lines.next() {
        let indented = opening.len() - opening.trim_start().len();
        let (info, end) = if let Some(info) = opening.trim_start().strip_prefix("```") {
            (info.to_owned(), "```")
        } else if let Some(info) = opening.strip_prefix("<!-- lab") {
            (format!("lab{info}"), "-->")
        } else {
            continue;
        };
        let inside = lines.by_ref().map(|(_, line)| line);
        let inside = inside.take_while(|line| !line.trim_start().starts_with(end));
        let body = inside.map(|line| line.get(indented..).unwrap_or("").to_owned()).collect();
        let mut words = split(&info).into_iter();
        let kind = words.next().map(|(kind, _)| kind).unwrap_or_default();
        found.push(Block { line, kind, words: words.collect(), body });
    }
    found
}

/// `a b=c d="e f"`.
fn split(info: &str) -> Vec<(String, String)> {
    let mut words = Vec::new();
    let mut rest = info.trim_start();
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = "";
        if let Some(quoted) = rest.strip_prefix("=\"") {
            (value, rest) = quoted.split_once('"').unwrap_or((quoted, ""));
        } else if let Some(plain) = rest.strip_prefix('=') {
            (value, rest) = plain.split_once(' ').unwrap_or((plain, ""));
        }
        words.push((name, value.to_owned()));
        rest = rest.trim_start();
    }
    words
}

/// The first of the expected lines that is not printed, in their order. `…` stands for anything, and
/// so does any other spacing.
pub fn missing<'e>(expected: &'e [String], printed: &str) -> Option<&'e str> {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut lines = printed.lines().map(plain);
    expected.iter().map(String::as_str).find(|wanted| {
        let wanted = plain(wanted);
        let pieces: Vec<&str> = wanted.split('…').map(str::trim).collect();
        !lines.by_ref().any(|line| has_in_order(&line, &pieces))
    })
}

fn has_in_order(line: &str, pieces: &[&str]) -> bool {
    let mut rest = line;
    pieces.iter().all(|piece| {
        let found = rest.split_once(piece);
        rest = found.map_or(rest, |(_, rest)| rest);
        found.is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_kind_their_words_and_their_lines() {
        let text = "a\n   ```console on=a,b stays not-run=\"c d\"\n   $ x \\\n       --y\n   out\n   \
                    ```\n<!-- lab on=c\nls\n-->\n<!-- a remark -->\n```toml\nb = 1";
        let found = blocks(text);
        let kinds: Vec<_> = found.iter().map(|block| (block.line, block.kind.as_str())).collect();
        assert_eq!(kinds, [(2, "console"), (7, "lab"), (11, "toml")]);
        assert_eq!(found[0].word("on"), Some("a,b"));
        assert_eq!((found[0].word("stays"), found[0].word("not-run")), (Some(""), Some("c d")));
        let step = Step { command: "x --y".into(), expected: vec!["out".into()] };
        assert_eq!(found[0].steps(), [step]);
        assert_eq!((found[1].text().as_str(), found[2].text().as_str()), ("ls\n", "b = 1\n"));
    }

    #[test]
    fn what_is_printed_has_the_lines_in_order_with_anything_in_between() {
        let expected =
            |lines: &[&str]| lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>();
        let printed = "NAME   AGE\npinky  12 ms up\nbrain  3 s   up\n";
        assert_eq!(missing(&expected(&["pinky … up", "brain … up"]), printed), None);
        let wrong = expected(&["brain", "pinky"]);
        assert_eq!(missing(&wrong, printed), Some("pinky"));
        assert!(missing(&expected(&["pinky up"]), printed).is_some());
    }
}
