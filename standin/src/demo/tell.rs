//! The words of the story: introduction, events, the view, the summary.
//!
//! Pure: from what is known to lines of text, none wider than [`WIDTH`].

use std::net::IpAddr;
use std::time::Duration;

use standin_core::wire::Mac;

use super::known::{Change, Known};
use super::plan::{Host, PATIENCE, Plan, REQUEST_INTERVAL};
use super::screen::{Paint, WIDTH, wrapped};
use super::summary::{Cell, Cost, Marks, Summary, row};
use crate::duration;

/// Where an address's timeline starts.
const INDENT: usize = 19;
/// Slices of a timeline.
const COLUMNS: usize = 60;
/// The view shows the requests of so long.
const RECENT: Duration = Duration::from_secs(6);

/// What the spectator has to know.
pub fn introduction(plan: &Plan, paint: Paint) -> Vec<String> {
    let line = |host: Host| {
        let (real, public) = (plan.real(host), plan.public(host));
        format!("{}  {real}, home of {public}", name(host, paint))
    };
    let mut lines = vec![
        paint.strong("Two web servers stand in for each other. Then one of them loses its power."),
        "All of it happens in a network of its own: nothing of this host is touched.".to_owned(),
        String::new(),
        format!("  client ---- router ----+--- {}", line(Host::Pinky)),
        format!("           (ARP cache)   +--- {}", line(Host::Brain)),
        String::new(),
    ];
    if plan.ipv6 {
        lines[4] = lines[4].replace("(ARP cache)", "(NDP cache)");
    }
    for host in Host::ALL {
        let prompt = format!("  {}$ ", name(host, paint));
        let command = format!("standin {}", plan.command_line(host).join(" "));
        let mut command = wrapped(&prompt, 11, &command);
        let last = command.len() - 1;
        for line in &mut command[..last] {
            line.push_str(" \\");
        }
        lines.append(&mut command);
    }
    lines.push(String::new());
    lines
}

fn name(host: Host, paint: Paint) -> String {
    paint.host(host, host.name())
}

/// Something happened, in one line or more. Without a time: before the story began.
pub fn event(at: Option<Duration>, who: &str, sentence: &str, paint: Paint) -> Vec<String> {
    let time = at.map_or_else(|| "setting up".to_owned(), seconds);
    let padded = format!("{who:<6}");
    let who = Host::named(who).map_or_else(|| padded.clone(), |host| paint.host(host, &padded));
    wrapped(&format!("{} {who} ", paint.faint(&format!("{time:>10}"))), 18, sentence)
}

/// The client gets its answers from another host.
pub fn change(plan: &Plan, Change { home, by, after }: Change) -> String {
    let address = plan.public(home);
    let by = by.name();
    format!("{address} is answered by {by} now, {} after the answer before", millis(after))
}

/// The router learnt another MAC address.
pub fn cache_change(plan: &Plan, home: Host, mac: Mac) -> String {
    let address = plan.public(home);
    format!("sends packets for {address} to {} from now on", with_owner(mac))
}

fn with_owner(mac: Mac) -> String {
    match Host::with_mac(mac) {
        Some(host) => format!("{mac} ({})", host.name()),
        None => mac.to_string(),
    }
}

/// The picture of this moment.
pub fn view(plan: &Plan, known: &Known, powers: [bool; 2], paint: Paint) -> Vec<String> {
    let now = known.now();
    let rule = format!("-- {} ", seconds(now));
    let cache = if plan.ipv6 { "router's NDP cache" } else { "router's ARP cache" };
    let station = |host: Host| {
        let power = if powers[host.index()] { "power on".into() } else { paint.bad("NO POWER") };
        format!("{}  {}  {}  {power}", name(host, paint), host.mac(), plan.real(host))
    };
    let mut lines = vec![
        String::new(),
        paint.faint(&format!("{rule:-<WIDTH$}")),
        format!("  client --- router --+-- {}", station(Host::Pinky)),
        format!("                      +-- {}", station(Host::Brain)),
        String::new(),
        paint.faint(&format!(
            "  {:<17} {:<6} {:<19} {cache}",
            "public address", "home", "answered by"
        )),
    ];
    for home in Host::ALL {
        let entry = known.cache[home.index()];
        let entry = entry.map_or_else(|| "(no entry)".to_owned(), with_owner);
        let home_name = paint.host(home, &format!("{:<6}", home.name()));
        let answered = answered_by(known, home, now, paint);
        lines.push(format!(
            "  {:<17} {home_name} {answered} {entry}",
            plan.public(home).to_string()
        ));
    }
    lines.push(String::new());
    let from = now.saturating_sub(RECENT);
    for home in Host::ALL {
        lines.push(timeline(plan, known, home, (from, from + RECENT), paint));
    }
    let recent = RECENT.as_secs();
    lines.push(paint.faint(&format!(
        "{:INDENT$}last {recent} s: P pinky answers, B brain answers, x lost",
        ""
    )));
    lines
}

/// In 19 columns.
fn answered_by(known: &Known, home: Host, now: Duration, paint: Paint) -> String {
    match (known.silence(home, now), known.answers[home.index()].last) {
        (Some(silence), _) => {
            paint.bad(&format!("{:<19}", format!("nobody for {}", seconds(silence))))
        }
        (None, Some((_, by))) => paint.host(by, &format!("{:<19}", by.name())),
        (None, None) => format!("{:<19}", "nobody yet"),
    }
}

fn timeline(
    plan: &Plan,
    known: &Known,
    home: Host,
    span: (Duration, Duration),
    paint: Paint,
) -> String {
    let cells = row(&known.samples, home, span, COLUMNS);
    let letters: String = cells.chunk_by(|a, b| a == b).map(|run| letters(run, paint)).collect();
    format!("  {}{letters}", padded(plan.public(home)))
}

fn padded(address: IpAddr) -> String {
    format!("{:<width$}", address.to_string(), width = INDENT - 2)
}

/// A run of equal slices.
fn letters(run: &[Cell], paint: Paint) -> String {
    let times = run.len();
    match run.first() {
        Some(Cell::Answered(host)) => paint.host(*host, &host.letter().to_string().repeat(times)),
        Some(Cell::Lost) => paint.bad(&"x".repeat(times)),
        Some(Cell::Unknown) | None => " ".repeat(times),
    }
}

/// The end of the story.
pub fn summary(
    plan: &Plan,
    known: &Known,
    summary: &Summary,
    marks: Marks,
    paint: Paint,
) -> Vec<String> {
    let span = (Duration::ZERO, marks.end);
    let interval = duration::show(REQUEST_INTERVAL);
    let patience = duration::show(PATIENCE);
    let mut lines = vec![
        String::new(),
        paint.strong("What the client saw"),
        format!(
            "  (one request every {interval} to each address; lost: no page within {patience})"
        ),
        String::new(),
    ];
    for home in Host::ALL {
        lines.push(timeline(plan, known, home, span, paint));
    }
    lines.extend(axis(marks));
    lines.push(format!("{:INDENT$}P pinky answers   B brain answers   x requests lost", ""));
    lines.push(String::new());
    lines.extend(figures(plan, known, summary, marks, paint));
    lines.push(String::new());
    lines.push(paint.strong(&format!(
        "Pinky stood in after {}; brain got its address back: {} lost.",
        millis(summary.outage.gap),
        requests(summary.hand_back.lost)
    )));
    lines.push(
        "All of it is gone again: namespaces, processes, addresses. For your own hosts:".into(),
    );
    lines.push("  standin for HOST --vip ADDRESS      (standin for --help)".into());
    lines
}

/// Seconds below the timelines, and the two turns of the story.
fn axis(marks: Marks) -> Vec<String> {
    let span_ms = marks.end.as_millis().max(1);
    let column = |at: Duration| (at.as_millis() * COLUMNS as u128 / span_ms) as usize;
    let last_s = marks.end.as_secs();
    let step = [1, 2, 5].into_iter().find(|step| last_s / step < 9).unwrap_or(10);
    let mut seconds = String::new();
    for second in (0..=last_s).step_by(step as usize) {
        let label = format!("{second} s");
        let place = column(Duration::from_secs(second));
        if place + label.len() <= COLUMNS {
            seconds.push_str(&" ".repeat(place.saturating_sub(seconds.len())));
            seconds.push_str(&label);
        }
    }
    let flag = |at: Duration, text: &str| {
        let place = column(at);
        let room = COLUMNS.saturating_sub(place);
        if text.len() + 2 <= room {
            format!("{:place$}^ {text}", "")
        } else {
            format!("{:>width$}", format!("{text} ^"), width = place + 1)
        }
    };
    let margin = " ".repeat(INDENT);
    let first = flag(marks.unplugged, "power fails");
    let second = flag(marks.plugged, "power is back");
    let indented = second.len() - second.trim_start().len();
    if first.len() + 1 < indented {
        let gap = " ".repeat(indented - first.len());
        return vec![margin.clone() + &seconds, margin + &first + &gap + second.trim_start()];
    }
    [seconds, first, second].map(|line| margin.clone() + &line).to_vec()
}

fn figures(
    plan: &Plan,
    known: &Known,
    summary: &Summary,
    marks: Marks,
    paint: Paint,
) -> Vec<String> {
    let Summary { outage, hand_back, bystander } = summary;
    let row = |title: &str, text: String| format!("  {title:<26}{text}");
    let lost = |cost: &Cost| format!("{} of {}", cost.lost, cost.asked);
    let mut lines = vec![
        paint.strong("Power failure of brain"),
        row(
            "outage at the client",
            format!(
                "{} (dead after {} without a sign of life)",
                paint.strong(&millis(outage.gap)),
                duration::show(plan.dead_after)
            ),
        ),
        row("requests lost", lost(outage)),
    ];
    if let Some(verdict) = known.verdict {
        let sure = millis(verdict.saturating_sub(marks.unplugged));
        lines.push(row("until pinky was sure", sure));
    }
    if let Some(time) = known.decided_to_announced {
        let micros = time.as_micros();
        lines.push(row("decision to announcement", format!("{micros} us")));
    }
    lines.push(paint.strong("Hand-back"));
    lines.push(row("requests lost", lost(hand_back)));
    lines.push(row("longest wait", format!("{} between two answers", millis(hand_back.gap))));
    lines.push(paint.strong("Pinky's own address, all the time"));
    lines.push(row("requests lost", lost(bystander)));
    lines
}

fn requests(count: usize) -> String {
    if count == 1 { "1 request".to_owned() } else { format!("{count} requests") }
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(unplugged: u64, plugged: u64, end: u64) -> Marks {
        let [unplugged, plugged, end] = [unplugged, plugged, end].map(Duration::from_millis);
        Marks { unplugged, plugged, end }
    }

    fn plan(ipv6: bool) -> Plan {
        Plan { ipv6, dead_after: Duration::from_millis(1500), calm: Duration::from_secs(1) }
    }

    #[test]
    fn the_flags_stand_where_it_happened() {
        let lines = axis(marks(2000, 5000, 10_000));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1].find('^'), Some(INDENT + 12));
        assert_eq!(lines[1].rfind('^'), Some(INDENT + 30));
        assert_eq!(lines[0].find("2 s"), Some(INDENT + 12));
        // Too near for one line, and too near to the right edge for the usual side.
        let lines = axis(marks(9000, 9500, 10_000));
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].find('^'), Some(INDENT + 54));
        assert_eq!(lines[2].find('^'), Some(INDENT + 57));
        assert!(axis(marks(0, 0, 0)).len() >= 2);
    }

    #[test]
    fn no_line_is_too_wide() {
        for ipv6 in [false, true] {
            let (plan, known, paint) = (plan(ipv6), Known::new(), Paint::new(false));
            let marks = marks(2000, 5000, 10_000);
            let totals = Summary::of(&[], marks);
            let change = Change { home: Host::Brain, by: Host::Pinky, after: Duration::ZERO };
            let mut lines = introduction(&plan, paint);
            lines.extend(view(&plan, &known, [true, false], paint));
            lines.extend(summary(&plan, &known, &totals, marks, paint));
            lines.extend(event(None, "client", &super::change(&plan, change), paint));
            for line in lines {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }
}
