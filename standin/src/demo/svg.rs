//! The timeline as a picture: one bar per public address over time.
//!
//! Pure: from samples to SVG text. It follows the reader's light or dark setting, and losses are
//! hatched as well as red, so that no one has to tell colours apart.

use std::fmt::Write as _;
use std::time::Duration;

use super::plan::{Host, Plan};
use super::summary::{Marks, Sample, Summary, stretches};
use crate::duration;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 330.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 118.0;
const BAR: f64 = 46.0;
const PITCH: f64 = 66.0;
/// Anything thinner could not be seen.
const STRETCH_WIDTH_MIN: f64 = 1.5;

/// Light, then what differs in the dark. No variables: not every viewer knows them.
const STYLE: &str = "\
svg{font-family:system-ui,sans-serif;font-size:14px}text{fill:#1d2430}.soft{fill:#5d6776}\
.title{font-size:19px;font-weight:600}.on{fill:#fff;font-weight:600}.page{fill:#fff}\
.pinky{fill:#c2417c}.brain{fill:#1f7a8c}.stripe{fill:#d92d20}.lost{fill:url(#hatch)}\
.grid{stroke:#d9dee6}.turn{stroke:#1d2430;stroke-dasharray:4 3}\
.mid{text-anchor:middle}.end{text-anchor:end}\
@media(prefers-color-scheme:dark){text{fill:#e8ecf2}.soft{fill:#9aa5b4}.on{fill:#14181f}\
.page{fill:#14181f}.pinky{fill:#ef7fb0}.brain{fill:#5cc4d6}.stripe{fill:#ff6b5e}\
.grid{stroke:#333b47}.turn{stroke:#e8ecf2}}";

/// Draws the whole story.
pub fn draw(plan: &Plan, samples: &[Sample], summary: &Summary, marks: Marks) -> String {
    let mut svg = Canvas { text: String::new(), end: marks.end };
    let outage = millis(summary.outage.gap);
    let told = format!(
        "Brain loses its power at {}; pinky answers at {} after {outage} ms; lost requests: {}. \
         Brain has power again at {} and gets its address back; lost requests: {}.",
        seconds(marks.unplugged),
        plan.public(Host::Brain),
        summary.outage.lost,
        seconds(marks.plugged),
        summary.hand_back.lost
    );
    let _ = write!(
        svg.text,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"title told\">\n\
         <title id=\"title\">standin demo: who answers for which address</title>\n\
         <desc id=\"told\">{told}</desc>\n<style>{STYLE}</style>\n\
         <defs><pattern id=\"hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" class=\"page\"/>\
         <rect width=\"3.5\" height=\"6\" class=\"stripe\"/></pattern></defs>\n\
         <rect width=\"100%\" height=\"100%\" class=\"page\"/>\n"
    );
    svg.words(24.0, 34.0, "title", &format!("{outage} ms without brain's address"));
    let subtitle = format!(
        "power failure with dead-after {}: {} of {} requests lost; hand-back: {} lost",
        duration::show(plan.dead_after),
        summary.outage.lost,
        summary.outage.asked,
        summary.hand_back.lost
    );
    svg.words(24.0, 57.0, "soft", &subtitle);
    svg.axis();
    for home in Host::ALL {
        svg.bar(plan, samples, home);
    }
    svg.turn(marks.unplugged, "power fails");
    svg.turn(marks.plugged, "power is back");
    svg.legend();
    svg.text.push_str("</svg>\n");
    svg.text
}

struct Canvas {
    text: String,
    end: Duration,
}

impl Canvas {
    fn x(&self, at: Duration) -> f64 {
        let share = at.as_secs_f64() / self.end.as_secs_f64().max(0.001);
        LEFT + share.min(1.0) * (RIGHT - LEFT)
    }

    fn words(&mut self, x: f64, y: f64, class: &str, words: &str) {
        let _ =
            writeln!(self.text, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>");
    }

    fn line(&mut self, x: f64, y: [f64; 2], class: &str) {
        let [from, to] = y;
        let _ = writeln!(
            self.text,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\" class=\"{class}\"/>"
        );
    }

    /// Seconds, with a grid line each.
    fn axis(&mut self) {
        let bottom = TOP + PITCH + BAR + 8.0;
        let end_s = self.end.as_secs();
        let step = [1, 2, 5].into_iter().find(|step| end_s / step <= 12).unwrap_or(10);
        for second in (0..=end_s).step_by(step as usize) {
            let x = self.x(Duration::from_secs(second));
            self.line(x, [TOP - 6.0, bottom], "grid");
            self.words(x, bottom + 18.0, "soft mid", &format!("{second} s"));
        }
    }

    fn bar(&mut self, plan: &Plan, samples: &[Sample], home: Host) {
        let y = match home {
            Host::Pinky => TOP,
            Host::Brain => TOP + PITCH,
        };
        let middle = y + BAR / 2.0;
        self.words(LEFT - 14.0, middle - 2.0, "end", &plan.public(home).to_string());
        self.words(LEFT - 14.0, middle + 16.0, "soft end", &format!("home: {}", home.name()));
        for stretch in stretches(samples, home, self.end) {
            let (from, to) = (self.x(stretch.from), self.x(stretch.to));
            let width = (to - from).max(STRETCH_WIDTH_MIN);
            let class = stretch.by.map_or("lost", Host::name);
            let who = stretch.by.map_or("nobody answers", Host::name);
            let length = millis(stretch.to.saturating_sub(stretch.from));
            let _ = writeln!(
                self.text,
                "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" \
                 class=\"{class}\"><title>{who}, {} to {} ({length} ms)</title></rect>",
                seconds(stretch.from),
                seconds(stretch.to)
            );
            if stretch.by.is_some() && width > 50.0 {
                self.words(f64::midpoint(from, from + width), middle + 5.0, "on mid", who);
            }
        }
    }

    fn turn(&mut self, at: Duration, words: &str) {
        let x = self.x(at);
        self.line(x, [TOP - 18.0, TOP + PITCH + BAR + 8.0], "turn");
        self.words(x, TOP - 24.0, "mid", &format!("{words} ({})", seconds(at)));
    }

    fn legend(&mut self) {
        let y = HEIGHT - 30.0;
        let entries =
            [("pinky", "pinky answers"), ("brain", "brain answers"), ("lost", "requests lost")];
        let mut x = LEFT;
        for (class, words) in entries {
            let top = y - 12.0;
            let _ = writeln!(
                self.text,
                "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"16\" height=\"16\" class=\"{class}\"/>"
            );
            self.words(x + 24.0, y + 1.0, "", words);
            x += 160.0;
        }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

fn millis(time: Duration) -> String {
    format!("{:.0}", time.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks what XML demands of a document like ours: every element closed in order, every
    /// attribute quoted and once, no stray `<` or `&`. Gives the number of elements.
    fn well_formed(text: &str) -> usize {
        let mut open: Vec<&str> = vec![];
        let mut elements = 0;
        let mut rest = text;
        while let Some((words, tag)) = rest.split_once('<') {
            assert!(!words.contains(['>', '&']) || open.last() == Some(&"style"), "{words}");
            assert!(!open.is_empty() || words.trim().is_empty(), "text outside: {words}");
            let (tag, after) = tag.split_once('>').expect("a closed tag");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
                continue;
            }
            elements += 1;
            let (tag, empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let quoted: Vec<&str> = attributes.split('"').collect();
            assert_eq!(quoted.len() % 2, 1, "{tag}");
            let mut names: Vec<&str> = quoted.iter().step_by(2).map(|name| name.trim()).collect();
            assert_eq!(names.pop(), Some(""), "{tag}");
            assert!(names.iter().all(|name| name.ends_with('=')), "{tag}");
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), count, "{tag}");
            if !empty {
                open.push(name);
            }
        }
        assert!(open.is_empty() && rest.trim().is_empty());
        elements
    }

    #[test]
    fn the_picture_is_well_formed_and_tells_the_story() {
        let ms = Duration::from_millis;
        let sample =
            |sent, by| Sample { home: Host::Brain, sent: ms(sent), done: ms(sent + 1), by };
        let samples = [
            sample(0, Some(Host::Brain)),
            sample(1000, None),
            sample(2000, Some(Host::Pinky)),
            sample(3000, Some(Host::Brain)),
        ];
        let marks = Marks { unplugged: ms(990), plugged: ms(2500), end: ms(4000) };
        let plan = Plan { ipv6: false, dead_after: ms(1000), calm: ms(1000) };
        let picture = draw(&plan, &samples, &Summary::of(&samples, marks), marks);
        assert!(well_formed(&picture) > 30);
        for words in [
            "208.201.239.37",
            "power fails (0.99 s)",
            "prefers-color-scheme:dark",
            "nobody answers, 1.00 s to 2.00 s (1000 ms)",
            "requests lost",
            "home: pinky",
        ] {
            assert!(picture.contains(words), "{words}");
        }
        let empty = Marks { unplugged: ms(0), plugged: ms(0), end: ms(0) };
        let nothing = draw(&plan, &[], &Summary::of(&[], empty), empty);
        assert!(well_formed(&nothing) > 10 && !nothing.contains("NaN"));
    }
}
