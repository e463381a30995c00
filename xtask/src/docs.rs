//! README.md and docs/ checked against the program they describe.
//!
//! Of every command of ours in a `console` block the subcommand must exist and each flag must stand
//! in its `--help`. Every relative link must lead to a file. Nothing here knows what a command
//! means; the lab's cases `docs_…` run them, and here those are listed that it does not run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::fences::{Block, blocks};
use crate::workspace::Workspace;

/// Prints every disagreement and fails when there is one.
pub fn check(workspace: &Workspace) -> Result<()> {
    ensure!(
        workspace.standin().is_file(),
        "{} is not built; run `cargo xtask ci --only release` first",
        workspace.standin().display()
    );
    let mut checker = Checker { workspace, help: BTreeMap::new() };
    let (mut passed, mut failed, mut not_run) = (0, 0, 0);
    for page in pages(workspace.root())? {
        let text = std::fs::read_to_string(&page).context(page.display().to_string())?;
        let name = page.strip_prefix(workspace.root()).unwrap_or(&page).display();
        let found = blocks(&text);
        for block in found.iter().filter(|block| block.word("not-run").is_some()) {
            let why = block.word("not-run").unwrap_or_default();
            println!("{name}:{}: not run: {why}", block.line);
            not_run += 1;
        }
        let consoles = found.iter().filter(|block| block.kind == "console");
        let blocks = consoles.map(|block| (block.line, checker.block(block)));
        let links =
            links(&text).into_iter().map(|(line, link)| (line, link_leads_on(&page, &link)));
        for (line, result) in blocks.chain(links) {
            match result {
                Ok(()) => passed += 1,
                Err(error) => {
                    failed += 1;
                    println!("{name}:{line}: {error:#}");
                }
            }
        }
    }
    println!("documentation: {passed} passed, {failed} failed; {not_run} blocks are not run");
    ensure!(failed == 0, "the documentation does not match");
    Ok(())
}

fn pages(root: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = vec![root.join("README.md")];
    for directory in ["docs", "lab/peers"] {
        let directory = root.join(directory);
        let entries = directory.read_dir().with_context(|| directory.display().to_string())?;
        for entry in entries {
            pages.push(entry?.path());
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

struct Checker<'a> {
    workspace: &'a Workspace,
    /// The `--help` of a program and subcommand, asked for once.
    help: BTreeMap<Vec<String>, String>,
}

impl Checker<'_> {
    fn block(&mut self, block: &Block) -> Result<()> {
        for step in block.steps() {
            self.command(&step.command).with_context(|| format!("`{}`", step.command))?;
        }
        Ok(())
    }

    fn command(&mut self, command: &str) -> Result<()> {
        let words = words(command);
        let Some((program, arguments)) = self.ours(&words) else { return Ok(()) };
        let subcommand = arguments.first().filter(|word| !word.starts_with('-'));
        let help = self.help(&program, subcommand)?;
        let known: BTreeSet<&str> = flags(help).collect();
        for argument in arguments.iter().take_while(|argument| *argument != "--") {
            let flag = argument.split('=').next().unwrap_or(argument);
            if flag.starts_with("--") && !known.contains(flag) {
                bail!("its --help knows no {flag}");
            }
        }
        Ok(())
    }

    /// The program of ours that `words` start, and its arguments.
    fn ours<'w>(&self, words: &'w [String]) -> Option<(PathBuf, &'w [String])> {
        let words = if words.first()? == "sudo" { &words[1..] } else { words };
        let program = words.first()?;
        if Path::new(program).file_name()? == "standin" {
            return Some((self.workspace.standin(), &words[1..]));
        }
        if program != "cargo" {
            return None;
        }
        match words.get(1)?.as_str() {
            // This very program, even where the tests have just built its file anew.
            "xtask" => Some((PathBuf::from("/proc/self/exe"), &words[2..])),
            "run" => {
                let end = words.iter().position(|word| word == "--")?;
                Some((self.workspace.standin(), &words[end + 1..]))
            }
            _ => None,
        }
    }

    fn help(&mut self, program: &Path, subcommand: Option<&String>) -> Result<&str> {
        let mut key = vec![program.display().to_string()];
        key.extend(subcommand.cloned());
        if !self.help.contains_key(&key) {
            let mut command = self.workspace.command(&key[0]);
            let output = command.args(subcommand).arg("--help").output()?;
            ensure!(output.status.success(), "there is no such subcommand");
            self.help.insert(key.clone(), String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Ok(&self.help[&key])
    }
}

/// Splits as a shell does, for the quotes that documentation uses.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in command.chars() {
        match (quote, character) {
            (Some(open), _) if character == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => return words,
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

/// Every `--flag` that a help text defines; one that stands only in an example does not count.
fn flags(help: &str) -> impl Iterator<Item = &str> {
    let part_of_flag = |character: char| character.is_ascii_alphanumeric() || character == '-';
    let definitions = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    definitions
        .flat_map(move |line| line.split(move |character| !part_of_flag(character)))
        .filter(|word| word.starts_with("--"))
}

/// The targets of relative links, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let in_line = |(line, content): (usize, &str)| {
        let targets = content.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        targets.map(|(target, _)| (line, target.to_owned())).collect::<Vec<_>>()
    };
    let all = (1..).zip(text.lines()).flat_map(in_line);
    all.filter(|(_, target)| !target.contains("://") && !target.starts_with('#')).collect()
}

fn link_leads_on(page: &Path, link: &str) -> Result<()> {
    let target = page.with_file_name(link.split('#').next().unwrap_or(link));
    ensure!(target.exists(), "the link to {link} leads nowhere");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(words("a --b 'c  d'\"e\" '' # f"), ["a", "--b", "c  de", ""]);
    }

    #[test]
    fn flags_are_found_whole_and_only_where_they_are_defined() {
        let help = "  -v, --vip <VIP>\n      --dead-after=<D>  time\n\n  standin for x --no-such\n";
        assert_eq!(flags(help).collect::<Vec<_>>(), ["--vip", "--dead-after"]);
    }

    #[test]
    fn only_relative_links_are_looked_at() {
        let text = "[a](docs/A.md#b) [c](https://example.net/) [d](#e)\n";
        assert_eq!(links(text), [(1, "docs/A.md#b".to_owned())]);
        assert!(link_leads_on(Path::new("/nowhere/README.md"), "docs/A.md").is_err());
    }
}
