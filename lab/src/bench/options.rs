//! What may be said behind the name of a benchmark: the same words for all of them.
//!
//! Owns the reading and the defaults. Which words a benchmark takes it says itself, by [`Words`].

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

use super::record;

/// What a benchmark takes, and what is meant where nothing is said.
pub struct Words {
    /// The benchmark: its files in the documentation have this name.
    pub benchmark: &'static str,
    /// Runs of each measurement, and with `--quick`.
    pub runs: (usize, usize),
    /// How long what lasts is measured, in seconds, and with `--quick`; none where nothing lasts.
    pub lasting: Option<(f64, f64)>,
    /// What `--only` may name.
    pub parts: Vec<&'static str>,
}

/// What was said.
#[derive(Clone)]
pub struct Options {
    pub runs: usize,
    pub seconds: f64,
    pub quick: bool,
    pub json: Option<PathBuf>,
    pub svg: Option<PathBuf>,
    pub only: Vec<String>,
    /// Tables, numbers and chart go into the documentation.
    pub record: bool,
    pub keep_user: bool,
}

impl Options {
    /// Reads the words of one benchmark.
    pub fn parse(words: &[String], known: &Words) -> Result<Self> {
        let mut options = Self {
            runs: known.runs.0,
            seconds: known.lasting.map_or(0.0, |(seconds, _)| seconds),
            quick: false,
            json: None,
            svg: None,
            only: Vec::new(),
            record: false,
            keep_user: false,
        };
        // What is said of runs and seconds counts, before `--quick` or behind it.
        if words.iter().any(|word| word == "--quick") {
            options.quick = true;
            options.runs = known.runs.1;
            options.seconds = known.lasting.map_or(0.0, |(_, seconds)| seconds);
        }
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--quick" => continue,
                "--keep-user" => {
                    options.keep_user = true;
                    continue;
                }
                "--record" => {
                    options.record = true;
                    let file =
                        |end| record::documented(&format!("benchmarks/{}.{end}", known.benchmark));
                    (options.json, options.svg) = (Some(file("json")), Some(file("svg")));
                    continue;
                }
                _ => {}
            }
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            options.take(word, value, known)?;
        }
        let whole = !options.record || options.only.is_empty();
        ensure!(
            whole,
            "--record with --only would leave out of the documentation what is not named"
        );
        Ok(options)
    }

    fn take(&mut self, word: &str, value: &str, known: &Words) -> Result<()> {
        match word {
            "--runs" => {
                self.runs = value.parse().context("--runs needs a number")?;
                ensure!(self.runs > 0, "--runs needs at least 1");
            }
            "--seconds" | "--minutes" if known.lasting.is_some() => {
                let unit = if word == "--minutes" { 60.0 } else { 1.0 };
                let number: f64 =
                    value.parse().with_context(|| format!("{word} needs a number"))?;
                self.seconds = number * unit;
                let right = (1.0..=36_000.0).contains(&self.seconds);
                ensure!(right, "{word} needs at least a second and at most ten hours");
            }
            "--json" => self.json = Some(PathBuf::from(value)),
            "--svg" => self.svg = Some(PathBuf::from(value)),
            "--only" => {
                let parts = &known.parts;
                ensure!(parts.contains(&value), "--only {value}: expected {}", parts.join(", "));
                self.only.push(value.to_owned());
            }
            other => bail!("bench {} has no option {other}; see --help", known.benchmark),
        }
        Ok(())
    }

    /// Whether a part is to be measured.
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let known = Words {
            benchmark: "cluster",
            runs: (5, 1),
            lasting: Some((600.0, 18.0)),
            parts: vec!["stop", "loss"],
        };
        Options::parse(&words, &known)
    }

    #[test]
    fn options_are_read_and_wrong_ones_refused() {
        let quick = parse("--runs 2 --quick --only stop").expect("well formed");
        assert_eq!((quick.runs, format!("{}", quick.seconds)), (2, "18".to_owned()));
        assert!(quick.wants("stop") && !quick.wants("loss"));
        let whole = parse("").expect("nothing is needed");
        assert_eq!((whole.runs, format!("{}", whole.seconds)), (5, "600".to_owned()));
        assert!(whole.wants("loss") && whole.json.is_none());
        let minutes = parse("--minutes 2").expect("well formed").seconds;
        assert!((minutes - 120.0).abs() < 1e-9);
        let recorded = parse("--record").expect("well formed");
        assert!(recorded.svg.is_some_and(|path| path.ends_with("docs/benchmarks/cluster.svg")));
        for wrong in [
            "--runs 0",
            "--runs",
            "--seconds 0",
            "--only nothing",
            "--fast 1",
            "--record --only stop",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
