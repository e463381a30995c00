//! Runs seeds: `standin-sim --seeds N [--from S] [--jobs J] [--keep-going] [--once]`, or one with
//! its story: `standin-sim --seed S [--story]`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use standin_sim::run::{self, Verdict};

const USAGE: &str = "\
Usage: standin-sim --seeds N [--from S] [--jobs J] [--keep-going] [--only NAME] [--once]
       standin-sim --seed S [--story]

  --seeds N      run N seeds, each twice
  --from S       the first of them [default: 0]
  --jobs J       at the same time [default: what the machine has]
  --keep-going   do not stop at the first failure
  --only NAME    of these, those of authority none, or quorum
  --once         each once, and not again to see that it comes out alike
  --seed S       run one seed
  --story        tell what happens in it";

/// A long run says that it goes on.
const PROGRESS_EVERY: u64 = 5000;

struct Options {
    seeds: Option<u64>,
    from: u64,
    jobs: usize,
    keep_going: bool,
    once: bool,
    only: Option<bool>,
    seed: Option<u64>,
    story: bool,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let jobs = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut options = Options {
        seeds: None,
        from: 0,
        jobs,
        keep_going: false,
        once: false,
        only: None,
        seed: None,
        story: false,
    };
    while let Some(argument) = arguments.next() {
        if argument == "--only" {
            options.only = match arguments.next().as_deref() {
                Some("none") => Some(false),
                Some("quorum") => Some(true),
                _ => return Err(String::from("--only takes none or quorum")),
            };
            continue;
        }
        let mut number = || {
            let value = arguments.next().ok_or(format!("{argument} needs a number"))?;
            value.parse().map_err(|_| format!("{argument} {value:?} is not a number"))
        };
        match argument.as_str() {
            "--seeds" => options.seeds = Some(number()?),
            "--from" => options.from = number()?,
            "--jobs" => options.jobs = number()?.clamp(1, 256) as usize,
            "--seed" => options.seed = Some(number()?),
            "--keep-going" => options.keep_going = true,
            "--once" => options.once = true,
            "--story" => options.story = true,
            _ => return Err(format!("{argument:?} is not known")),
        }
    }
    if options.seeds.is_none() && options.seed.is_none() {
        return Err(String::from("say --seeds or --seed"));
    }
    Ok(options)
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("standin-sim: {why}\n\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    let passed = match options.seed {
        Some(seed) => run_one(seed, options.story),
        None => run_many(&options),
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run_one(seed: u64, story: bool) -> bool {
    println!("{}", run::describe(seed));
    if story {
        let verdict = run::run_once(seed, true);
        for line in &verdict.story {
            println!("{line}");
        }
    }
    let verdict = run::run(seed);
    match &verdict.broken {
        Some(why) => println!("seed {seed} FAILED: {why}"),
        None => println!("seed {seed} passed: {} events", verdict.events),
    }
    verdict.broken.is_none()
}

fn run_many(options: &Options) -> bool {
    let begun = Instant::now();
    let end = options.from + options.seeds.unwrap_or(0);
    let next = AtomicU64::new(options.from);
    let play = |seed| if options.once { run::run_once(seed, false) } else { run::run(seed) };
    let (mut ran, mut events, mut failed) = (0_u64, 0_u64, Vec::<Verdict>::new());
    std::thread::scope(|scope| {
        let (sender, verdicts) = mpsc::channel();
        for _ in 0..options.jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let skipped = |quorum| run::is_of_quorum(seed) != quorum;
                    if seed < end && options.only.is_some_and(skipped) {
                        continue;
                    }
                    if seed >= end || sender.send(play(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for verdict in verdicts {
            ran += 1;
            events += verdict.events;
            if ran.is_multiple_of(PROGRESS_EVERY) {
                eprintln!("{ran} seeds so far, {} failed", failed.len());
            }
            if let Some(why) = &verdict.broken {
                println!("seed {} FAILED: {why}", verdict.seed);
                failed.push(verdict);
                if !options.keep_going {
                    break;
                }
            }
        }
    });
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
    println!(
        "{ran} seeds, each {}, in {}.{} s ({} a second), {events} events; {} failed",
        if options.once { "once" } else { "twice" },
        millis / 1000,
        millis / 100 % 10,
        ran * 1000 / millis,
        failed.len()
    );
    if let Some(first) = failed.iter().min_by_key(|verdict| verdict.seed)
        && !options.keep_going
    {
        println!("\n{}", run::describe(first.seed));
        for line in run::run_once(first.seed, true).story {
            println!("{line}");
        }
        println!("seed {} FAILED: {}", first.seed, first.broken.as_deref().unwrap_or("?"));
    }
    failed.is_empty()
}
