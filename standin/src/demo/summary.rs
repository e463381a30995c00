//! What the client's requests add up to: outages, losses, rows of a timeline.
//!
//! Pure arithmetic. All times count from the start of the story.

use std::time::Duration;

use super::plan::Host;

/// One request of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The public address that was asked, by its home.
    pub home: Host,
    /// When it was sent.
    pub sent: Duration,
    /// When it was answered, or given up.
    pub done: Duration,
    /// Who answered; none: it is lost.
    pub by: Option<Host>,
}

/// The turns of the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Brain lost its power.
    pub unplugged: Duration,
    /// It was plugged in again.
    pub plugged: Duration,
    /// The end.
    pub end: Duration,
}

/// What a part of the story cost at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The longest time between two answers.
    pub gap: Duration,
    /// Requests that were lost.
    pub lost: usize,
    /// Requests that ended in this time.
    pub asked: usize,
}

/// What the whole story cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Brain's address, from the power failure until brain was plugged in.
    pub outage: Cost,
    /// Brain's address, from then on.
    pub hand_back: Cost,
    /// Pinky's own address, all the time.
    pub bystander: Cost,
}

impl Summary {
    /// Adds it up.
    pub fn of(samples: &[Sample], marks: Marks) -> Self {
        Self {
            outage: cost(samples, Host::Brain, marks.unplugged, marks.plugged),
            hand_back: cost(samples, Host::Brain, marks.plugged, marks.end),
            bystander: cost(samples, Host::Pinky, Duration::ZERO, marks.end),
        }
    }
}

/// What happened at the address of `home` after `from` and until `to`. A gap that only begins or
/// ends in this time counts whole; one that never ended counts until `to`. Requests count when they
/// end, because a loss that is caused at one moment was perhaps sent shortly before it.
pub fn cost(samples: &[Sample], home: Host, from: Duration, to: Duration) -> Cost {
    let of_home = || samples.iter().filter(|sample| sample.home == home);
    let within = |sample: &&Sample| sample.done > from && sample.done <= to;
    let mut answers: Vec<Duration> =
        of_home().filter(|sample| sample.by.is_some()).map(|sample| sample.done).collect();
    answers.sort_unstable();
    let before = answers.iter().rev().find(|&&at| at <= from);
    let mut previous = before.copied().unwrap_or(from);
    let mut gap = Duration::ZERO;
    for &at in answers.iter().filter(|&&at| at > from) {
        if previous >= to {
            break;
        }
        gap = gap.max(at.saturating_sub(previous));
        previous = at;
    }
    // Zero where an answer came after the end.
    gap = gap.max(to.saturating_sub(previous));
    let lost = of_home().filter(within).filter(|sample| sample.by.is_none()).count();
    Cost { gap, lost, asked: of_home().filter(within).count() }
}

/// A slice of time at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing was asked, or nothing is known yet.
    Unknown,
    /// All requests were answered; the last by this host.
    Answered(Host),
    /// At least one request was lost.
    Lost,
}

/// The time from `from` to `to` in `columns` equal slices. A request belongs to the slice in which
/// it was sent. One loss marks its slice, so that no outage is too short to be seen.
pub fn row(
    samples: &[Sample],
    home: Host,
    (from, to): (Duration, Duration),
    columns: usize,
) -> Vec<Cell> {
    let mut cells = vec![(Duration::ZERO, Cell::Unknown); columns];
    let span = to.saturating_sub(from).as_nanos().max(1);
    for sample in samples.iter().filter(|sample| sample.home == home) {
        let Some(since) = sample.sent.checked_sub(from) else { continue };
        let place = usize::try_from(since.as_nanos() * columns as u128 / span);
        let Some((latest, cell)) = place.ok().and_then(|place| cells.get_mut(place)) else {
            continue;
        };
        match sample.by {
            None => *cell = Cell::Lost,
            Some(by) if *cell != Cell::Lost && sample.sent >= *latest => {
                (*latest, *cell) = (sample.sent, Cell::Answered(by));
            }
            Some(_) => {}
        }
    }
    cells.into_iter().map(|(_, cell)| cell).collect()
}

/// A stretch of time in which all requests at one address ended alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first request was sent.
    pub from: Duration,
    /// The first request after it was sent, or the story ended.
    pub to: Duration,
    /// Who answered; none: nobody.
    pub by: Option<Host>,
}

/// The story of one address, exact to the request.
pub fn stretches(samples: &[Sample], home: Host, end: Duration) -> Vec<Stretch> {
    let mut of_home: Vec<&Sample> = samples.iter().filter(|sample| sample.home == home).collect();
    of_home.sort_by_key(|sample| sample.sent);
    let mut stretches: Vec<Stretch> = vec![];
    for sample in of_home {
        match stretches.last_mut() {
            Some(last) if last.by == sample.by => {}
            last => {
                if let Some(last) = last {
                    last.to = sample.sent;
                }
                stretches.push(Stretch { from: sample.sent, to: end, by: sample.by });
            }
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answered(home: Host, sent: u64, by: Host) -> Sample {
        Sample { home, sent: ms(sent), done: ms(sent + 1), by: Some(by) }
    }

    fn lost(home: Host, sent: u64) -> Sample {
        Sample { home, sent: ms(sent), done: ms(sent + 200), by: None }
    }

    /// A request every 10 ms: brain until 1000, nobody until 1500, pinky until 3000, then brain,
    /// with one loss at the hand-back.
    fn story() -> (Vec<Sample>, Marks) {
        let mut samples = vec![];
        for sent in (0..4000).step_by(10) {
            samples.push(answered(Host::Pinky, sent, Host::Pinky));
            samples.push(match sent {
                1000..1500 | 3000 => lost(Host::Brain, sent),
                1500..3000 => answered(Host::Brain, sent, Host::Pinky),
                _ => answered(Host::Brain, sent, Host::Brain),
            });
        }
        samples.sort_by_key(|sample| sample.done);
        (samples, Marks { unplugged: ms(995), plugged: ms(2500), end: ms(4000) })
    }

    #[test]
    fn the_outage_lies_between_two_answers() {
        let (samples, marks) = story();
        let summary = Summary::of(&samples, marks);
        assert_eq!(summary.outage, Cost { gap: ms(510), lost: 50, asked: 50 + 100 });
        assert_eq!((summary.hand_back.gap, summary.hand_back.lost), (ms(20), 1));
        assert_eq!((summary.bystander.gap, summary.bystander.lost), (ms(10), 0));
        assert_eq!(summary.bystander.asked, 400);
    }

    #[test]
    fn an_outage_without_end_counts_to_the_end() {
        let samples = [answered(Host::Brain, 99, Host::Brain), lost(Host::Brain, 120)];
        let cost = cost(&samples, Host::Brain, ms(110), ms(1000));
        assert_eq!(cost, Cost { gap: ms(900), lost: 1, asked: 1 });
    }

    #[test]
    fn silence_from_the_start_counts_from_there() {
        assert_eq!(
            cost(&[], Host::Pinky, ms(100), ms(400)),
            Cost { gap: ms(300), lost: 0, asked: 0 }
        );
        let late = [answered(Host::Pinky, 199, Host::Brain)];
        assert_eq!(cost(&late, Host::Pinky, ms(0), ms(210)).gap, ms(200));
    }

    #[test]
    fn a_row_shows_every_loss() {
        let (samples, _) = story();
        let text: String = row(&samples, Host::Brain, (ms(0), ms(4000)), 8)
            .into_iter()
            .map(|cell| match cell {
                Cell::Unknown => '.',
                Cell::Answered(host) => host.letter(),
                Cell::Lost => 'x',
            })
            .collect();
        assert_eq!(text, "BBxPPPxB");
        let beyond = row(&samples, Host::Pinky, (ms(3500), ms(4500)), 4);
        assert_eq!(
            beyond,
            [
                Cell::Answered(Host::Pinky),
                Cell::Answered(Host::Pinky),
                Cell::Unknown,
                Cell::Unknown
            ]
        );
        assert_eq!(row(&samples, Host::Pinky, (ms(5), ms(5)), 0), []);
        assert_eq!(row(&[], Host::Pinky, (ms(9), ms(5)), 2), [Cell::Unknown; 2]);
    }

    #[test]
    fn stretches_are_exact_and_cover_the_time() {
        let (samples, marks) = story();
        let found = stretches(&samples, Host::Brain, marks.end);
        let expected = [
            (0, 1000, Some(Host::Brain)),
            (1000, 1500, None),
            (1500, 3000, Some(Host::Pinky)),
            (3000, 3010, None),
            (3010, 4000, Some(Host::Brain)),
        ]
        .map(|(from, to, by)| Stretch { from: ms(from), to: ms(to), by });
        assert_eq!(found, expected);
        assert_eq!(stretches(&[], Host::Brain, marks.end), []);
    }
}
