//! `standin watch`: the status on a terminal, with keys to ask and to order.
//!
//! Owns the terminal while it runs and gives it back when it ends, also by a signal, whose default
//! end is caught for that. What is shown and what a key does are pure (`view`, `draw`); the daemon is
//! asked by a thread of its own, so that one that hangs leaves the keys alive. Off a terminal, and
//! for `--json`, it only prints. Invariant: nothing is ordered that was not confirmed.

mod draw;
mod key;
mod screen;
mod view;

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Map, Value, json};
use standin_sys::signal::{self, Signals};
use standin_sys::terminal::{self, Terminal};

use super::commands::Asking;
use super::{ask, page, table};
use crate::failure::Result;
use crate::host::os;

pub use draw::{Line, Style, draw};
pub use key::{Key, keys};
pub use screen::frame;
pub use view::{Pane, Row, Told, View, Wish};

/// How often a signal, an answer and the size of the terminal are looked for.
const GLANCE: Duration = Duration::from_millis(50);

/// More often the daemon would be busy with being looked at.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_hours(1));

/// The arguments of `standin watch`.
#[derive(Debug, Args)]
#[command(after_help = "\
Keys, on a terminal: up and down select a VIP or a node, e explains it, m moves a VIP, d drains a
node or lets it take its share again, ? shows all keys, q quits. An order is given only after a y.
Elsewhere one page follows the other.")]
pub struct WatchArgs {
    /// Time from one look to the next (10ms to 1h)
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = crate::cli::values::time(LOOKS.0, LOOKS.1))]
    pub interval: Duration,

    /// Whom to ask, and how to print the answer
    #[command(flatten)]
    pub asking: Asking,
}

/// Shows the status until it is told to end; off a terminal one page after the other.
///
/// Gives what kept it from showing more, when that was the reader.
///
/// # Errors
/// At the start the daemon cannot be asked; later that is shown, and asking goes on.
pub fn watch(args: &WatchArgs) -> Result<io::Result<()>> {
    let socket = args.asking.socket();
    let first = look(&socket)?;
    let endings = [signal::SIGINT, signal::SIGTERM, signal::SIGHUP];
    let signals = Signals::block(&endings).map_err(|error| os(&error))?;
    let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    let of_cluster = first.get("status").is_some_and(|status| status.get("cluster").is_some());
    if terminal::is_interactive() && !dumb && !args.asking.json && of_cluster {
        return live(&socket, args.interval, &first, &signals);
    }
    Ok(print(args, &first, &signals))
}

fn look(socket: &Path) -> Result<Map<String, Value>> {
    ask(socket, &json!({ "command": "status", "story": true }))
}

/// One page after the other, on a terminal over the one before.
fn print(args: &WatchArgs, first: &Map<String, Value>, signals: &Signals) -> io::Result<()> {
    let socket = args.asking.socket();
    let text = |answer: &Map<String, Value>| {
        let status = answer.get("status").cloned().unwrap_or_default();
        if args.asking.json {
            return format!("{status}\n");
        }
        page::render(&status).unwrap_or_else(|| table::render(&status))
    };
    let is_screen = io::stdout().is_terminal() && !args.asking.json;
    let screen = is_screen.then(|| screen::Screen::enter(false)).transpose()?;
    let mut page = text(first);
    loop {
        if let Some(screen) = &screen {
            let line = |text: &str| Line { text: text.to_owned(), style: Style::Plain };
            screen.show(&page.lines().map(line).collect::<Vec<_>>())?;
        } else {
            let mut out = io::stdout();
            out.write_all(page.as_bytes())?;
            out.flush()?;
        }
        if pause(signals, args.interval) {
            return Ok(());
        }
        page = match look(&socket) {
            Ok(answer) => text(&answer),
            Err(failure) if args.asking.json => format!("{}\n", failure.to_json()),
            Err(failure) => format!("{failure}\n"),
        };
    }
}

/// Waits; whether a signal came meanwhile.
fn pause(signals: &Signals, length: Duration) -> bool {
    let end = Instant::now() + length;
    loop {
        if is_told_to_end(signals) {
            return true;
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(GLANCE));
    }
}

fn is_told_to_end(signals: &Signals) -> bool {
    matches!(signals.take(), Ok(Some(_)) | Err(_))
}

/// What the asking thread is told, and what it says.
enum Question {
    Look,
    Wish(Wish, Value),
}

enum Answer {
    Look(std::result::Result<Map<String, Value>, String>),
    Wish(Wish, std::result::Result<Map<String, Value>, String>),
}

/// Asks the daemon, one question after the other, until nobody listens.
fn ask_on(socket: PathBuf) -> (Sender<Question>, Receiver<Answer>) {
    let (question, questions) = channel::<Question>();
    let (tell, answers) = channel();
    // Ends with the process, or with the view.
    thread::spawn(move || {
        for question in questions {
            let said = match question {
                Question::Look => Answer::Look(look(&socket).map_err(|why| why.what().to_owned())),
                Question::Wish(wish, request) => {
                    let answer = ask(&socket, &request).map_err(|why| why.what().to_owned());
                    Answer::Wish(wish, answer)
                }
            };
            if tell.send(said).is_err() {
                return;
            }
        }
    });
    (question, answers)
}

fn live(
    socket: &Path,
    interval: Duration,
    first: &Map<String, Value>,
    signals: &Signals,
) -> Result<io::Result<()>> {
    let colour = crate::colour::is_wanted();
    let (questions, answers) = ask_on(socket.to_owned());
    let terminal = Terminal::open().map_err(|error| os(&error))?;
    let screen = match screen::Screen::enter(colour) {
        Ok(screen) => screen,
        Err(error) => return Ok(Err(error)),
    };
    let mut view = View::default();
    view.handle_look(first);
    let mut next_look = Some(Instant::now() + interval);
    let mut shown = Vec::new();
    loop {
        let (width, height) = terminal::size();
        let lines = draw(&view, width, height);
        if lines != shown {
            if let Err(error) = screen.show(&lines) {
                return Ok(Err(error));
            }
            shown = lines;
        }
        if is_told_to_end(signals) {
            return Ok(Ok(()));
        }
        // A terminal that has gone ends the view, as q does.
        let Ok(bytes) = terminal.read(GLANCE) else { return Ok(Ok(())) };
        for key in keys(&bytes) {
            match view.handle_key(key) {
                Some(Wish::Quit) => return Ok(Ok(())),
                Some(wish @ (Wish::Explain(_) | Wish::Order(_))) => {
                    let (Wish::Explain(request) | Wish::Order(request)) = &wish else { continue };
                    let request = request.clone();
                    let _ = questions.send(Question::Wish(wish, request));
                }
                None => {}
            }
        }
        loop {
            match answers.try_recv() {
                Ok(Answer::Look(answer)) => {
                    match answer {
                        Ok(answer) => view.handle_look(&answer),
                        Err(why) => view.handle_trouble(&why),
                    }
                    next_look = Some(Instant::now() + interval);
                }
                Ok(Answer::Wish(wish, answer)) => {
                    view.handle_answer(&wish, answer.as_ref().map_err(String::as_str));
                    // What was ordered is to be seen.
                    next_look = next_look.map(|_| Instant::now());
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        if next_look.is_some_and(|at| at <= Instant::now()) {
            next_look = None;
            let _ = questions.send(Question::Look);
        }
    }
}
