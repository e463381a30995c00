//! The story: all is well, brain loses its power, pinky stands in, brain comes back.
//!
//! Owns the course of events and its time limits. It runs as process 1 of its process namespace,
//! so that everything it started ends with it.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use standin_sys::poll::{Interest, Poller};
use standin_sys::signal::Signals;

use super::audience::STOPPING;
use super::known::Known;
use super::network::Network;
use super::news::News;
use super::node::Node;
use super::options::DemoArgs;
use super::plan::{Host, PATIENCE, Plan, STORY_MAX};
use super::screen::Screen;
use super::summary::{Marks, Summary};
use super::{client, svg, tell};
use crate::duration;
use crate::failure::{self, Code, Failure};
use crate::host::os;

/// Time between two redrawings of the view, and between two looks at the router's cache.
const FRAME: Duration = Duration::from_millis(100);
/// What takes longer than it should by so much has failed.
const PATIENCE_WITH_HOSTS: Duration = Duration::from_secs(5);

/// Why the story ends early.
enum Stop {
    Interrupted,
    ReadersGone,
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<standin_sys::Error> for Stop {
    fn from(error: standin_sys::Error) -> Self {
        Self::Failed(os(&error))
    }
}

/// Plays the story. Standard input is the picture's file when one is asked for.
///
/// # Errors
/// A sentence that says what did not happen.
pub fn run(args: &DemoArgs) -> failure::Result<()> {
    let plan = args.plan()?;
    let (tell, inbox) = channel();
    let signals = Signals::block(&STOPPING).map_err(|error| os(&error))?;
    listen_to_signals(signals, tell.clone())?;
    let network = Network::build(plan).map_err(|error| os(&error))?;
    let mut story = Story {
        plan,
        opened: Instant::now(),
        frame_due: Instant::now(),
        network,
        nodes: [None, None],
        boots: [0, 0],
        screen: Screen::open(),
        known: Known::new(),
        began: false,
        tell,
        inbox,
    };
    match story.play(args.svg.is_some()) {
        Err(Stop::Failed(failure)) => Err(failure),
        Err(Stop::Interrupted) => {
            story.screen.say(&["interrupted: all of it is gone again".to_owned()]);
            Ok(())
        }
        Err(Stop::ReadersGone) | Ok(()) => Ok(()),
    }?;
    let Some(error) = story.screen.fault() else { return Ok(()) };
    let what = format!("cannot write to standard output: {}", failure::plain_io(error));
    Err(Failure::new(failure::Code::InputOutput, what))
}

fn listen_to_signals(signals: Signals, tell: Sender<News>) -> failure::Result<()> {
    let listen = move || {
        let news = match wait_for_signal(&signals) {
            Ok(()) => News::Interrupted,
            Err(error) => News::Broken(os(&error)),
        };
        let _ = tell.send(news);
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .map_err(|error| Failure::os("start a thread", &error))?;
    Ok(())
}

fn wait_for_signal(signals: &Signals) -> standin_sys::Result<()> {
    let mut poller = Poller::new()?;
    poller.add(signals, 0, Interest::Read)?;
    while signals.take()?.is_none() {
        let _ = poller.wait(None)?;
    }
    Ok(())
}

struct Story {
    plan: Plan,
    opened: Instant,
    frame_due: Instant,
    network: Network,
    nodes: [Option<Node>; 2],
    boots: [u32; 2],
    screen: Screen,
    known: Known,
    /// The preparations are over.
    began: bool,
    tell: Sender<News>,
    inbox: Receiver<News>,
}

impl Story {
    fn play(&mut self, with_picture: bool) -> Result<(), Stop> {
        self.screen.say(&tell::introduction(&self.plan, self.screen.paint));
        for host in Host::ALL {
            self.switch_on(host)?;
        }
        client::start(&self.plan, self.network.client.clone(), self.tell.clone())?;
        let ready = |known: &Known| {
            Host::ALL.iter().all(|&host| known.is_steady(host, host))
                && known.sees_other == [true; 2]
        };
        self.expect(PATIENCE_WITH_HOSTS, ready, "pinky and brain are not ready")?;
        self.known.begin();
        self.began = true;
        self.headline("1. All is well: each host answers at its own public address.");
        self.look(self.plan.calm)?;
        self.headline("2. Brain's power fails: its cable is dead, its processes are killed.");
        let unplugged = self.known.now();
        self.switch_off(Host::Brain)?;
        let taken_over = |known: &Known| known.is_steady(Host::Brain, Host::Pinky);
        let limit = self.plan.dead_after + PATIENCE_WITH_HOSTS;
        self.expect(limit, taken_over, "pinky did not take over brain's address")?;
        self.look(self.plan.calm)?;
        self.headline("3. Brain has power again: it boots, and asks for its address.");
        let plugged = self.known.now();
        self.switch_on(Host::Brain)?;
        let handed_back = |known: &Known| known.is_steady(Host::Brain, Host::Brain);
        self.expect(PATIENCE_WITH_HOSTS, handed_back, "brain did not get its address back")?;
        self.look(self.plan.calm)?;
        let marks = Marks { unplugged, plugged, end: self.known.now() };
        // Until the fate of the last request is known.
        self.look(PATIENCE)?;
        self.conclude(marks, with_picture)
    }

    fn conclude(&mut self, marks: Marks, with_picture: bool) -> Result<(), Stop> {
        self.known.samples.retain(|sample| sample.sent < marks.end);
        let summary = Summary::of(&self.known.samples, marks);
        let lines = tell::summary(&self.plan, &self.known, &summary, marks, self.screen.paint);
        self.screen.say(&lines);
        if with_picture {
            let picture = svg::draw(&self.plan, &self.known.samples, &summary, marks);
            write_picture(&picture).map_err(|error| Failure::os("write the picture", &error))?;
        }
        Ok(())
    }

    fn headline(&mut self, text: &str) {
        let text = self.screen.paint.strong(text);
        self.screen.say(&[String::new(), text]);
        self.show();
    }

    fn switch_on(&mut self, host: Host) -> Result<(), Stop> {
        let namespace = self.network.plug_in(host)?;
        let boot = &mut self.boots[host.index()];
        *boot += 1;
        let node = Node::start(&self.plan, host, *boot, &namespace, &self.tell)?;
        self.nodes[host.index()] = Some(node);
        Ok(())
    }

    /// Silence first, as when a plug is pulled: nothing that dies afterwards is heard.
    fn switch_off(&mut self, host: Host) -> Result<(), Stop> {
        self.network.cut(host)?;
        if let Some(node) = self.nodes[host.index()].take() {
            node.kill();
        }
        Ok(self.network.forget(host)?)
    }

    /// Waits for something that has to happen.
    fn expect(
        &mut self,
        limit: Duration,
        happened: impl Fn(&Known) -> bool,
        otherwise: &str,
    ) -> Result<(), Stop> {
        let limit = limit.min(STORY_MAX.saturating_sub(self.opened.elapsed()));
        if self.watch(limit, happened)? {
            return Ok(());
        }
        let limit = duration::show(Duration::from_millis(limit.as_millis() as u64));
        Err(Failure::new(Code::TemporaryFailure, format!("{otherwise} within {limit}"))
            .advice("the lines above say how far it came; try again when the machine is less busy")
            .into())
    }

    fn look(&mut self, time: Duration) -> Result<(), Stop> {
        self.watch(time, |_| false).map(drop)
    }

    /// Tells what happens until something is so, or the time is over. Whether it became so.
    fn watch(&mut self, limit: Duration, happened: impl Fn(&Known) -> bool) -> Result<bool, Stop> {
        let end = Instant::now() + limit;
        loop {
            if happened(&self.known) {
                return Ok(true);
            }
            let now = Instant::now();
            if now >= end {
                return Ok(false);
            }
            if now >= self.frame_due {
                self.frame_due = now + FRAME;
                self.look_at_router()?;
                self.show();
            }
            if self.screen.readers_gone() {
                return Err(Stop::ReadersGone);
            }
            let wait = end.min(self.frame_due).saturating_duration_since(now);
            match self.inbox.recv_timeout(wait) {
                Ok(news) => self.handle(news)?,
                // We hold a sender ourselves: it is never disconnected.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
    }

    fn handle(&mut self, news: News) -> Result<(), Stop> {
        let is_on = |story: &Self, host: Host, boot| {
            story.nodes[host.index()].is_some() && story.boots[host.index()] == boot
        };
        match news {
            News::Request { home, sent, done, by } => {
                let change = self.known.learn_request(home, sent, done, by);
                if let Some(change) = change.filter(|_| self.began) {
                    // The router knows it already: the answer came through it.
                    self.look_at_router()?;
                    self.event("client", &tell::change(&self.plan, change));
                }
            }
            News::Log { host, boot, at, line } if is_on(self, host, boot) => {
                self.known.learn_log(&self.plan, host, at, &line);
                // While setting up, the command lines have just been shown.
                if self.began || line.event != "started" {
                    let sentence = self.plan.with_names(&line.message);
                    self.event(host.name(), &format!("{}: {sentence}", line.event));
                }
            }
            News::Ended { host, boot, complaint } if is_on(self, host, boot) => {
                let what =
                    format!("a process of {} ended too early: {}", host.name(), complaint.trim());
                return Err(Failure::new(Code::Unavailable, what).into());
            }
            // A host without power says no more.
            News::Log { .. } | News::Ended { .. } => {}
            News::Broken(failure) => return Err(failure.into()),
            News::Interrupted => return Err(Stop::Interrupted),
        }
        Ok(())
    }

    fn look_at_router(&mut self) -> Result<(), Stop> {
        for home in Host::ALL {
            let found = self.network.router_cache(self.plan.public(home))?;
            let before = std::mem::replace(&mut self.known.cache[home.index()], found);
            if let Some(mac) = found
                && before.is_some_and(|before| before != mac)
                && self.began
            {
                self.event("router", &tell::cache_change(&self.plan, home, mac));
            }
        }
        Ok(())
    }

    fn event(&mut self, who: &str, sentence: &str) {
        let at = self.began.then(|| self.known.now());
        self.screen.say(&tell::event(at, who, sentence, self.screen.paint));
        self.show();
    }

    fn show(&mut self) {
        if self.screen.has_view() {
            let powers = Host::ALL.map(|host| self.nodes[host.index()].is_some());
            let view = tell::view(&self.plan, &self.known, powers, self.screen.paint);
            self.screen.show(&view);
        }
    }
}

/// Standard input is the picture's file, open for writing.
fn write_picture(picture: &str) -> io::Result<()> {
    let mut file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    file.write_all(picture.as_bytes())?;
    // What was longer before is cut; a pipe or a device has no length.
    let _ = file.set_len(picture.len() as u64);
    Ok(())
}
