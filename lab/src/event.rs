//! A line of `--log json`, read back.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

/// Something that `standin` said.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its kind, such as `claimed`.
    pub name: String,
    /// Wall-clock time in nanoseconds since 1970.
    pub at_ns: u64,
    fields: Map<String, Value>,
}

impl Event {
    /// Reads a line; the fixed fields must be there and well formed.
    pub fn parse(line: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(line).context("the line is no JSON")?;
        let Value::Object(fields) = value else { anyhow::bail!("the line is no object") };
        let text = |key: &str| {
            fields.get(key).and_then(Value::as_str).with_context(|| format!("there is no {key}"))
        };
        let level = text("level")?;
        anyhow::ensure!(
            ["trace", "debug", "info", "warn", "error"].contains(&level),
            "{level} is no level"
        );
        anyhow::ensure!(!text("message")?.is_empty(), "the message is empty");
        let stamp = text("ts")?;
        let at_ns = timestamp(stamp).with_context(|| format!("{stamp} is no time"))?;
        Ok(Self { name: text("event")?.to_owned(), at_ns, fields })
    }

    /// A field that is text, or nothing.
    pub fn text(&self, key: &str) -> &str {
        self.fields.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field that is a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.fields.get(key).and_then(Value::as_u64)
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        self.text("message")
    }
}

/// Nanoseconds since 1970 of `2026-11-22T09:36:00.123456Z`.
fn timestamp(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.split('-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = clock.split(':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let digits = u32::try_from(fraction.len()).ok().filter(|&digits| digits <= 9)?;
    let nanoseconds = fraction.parse::<u64>().ok()? * 10u64.pow(9 - digits);
    let seconds = (days(year, month, day)? * 24 + hour) * 3600 + minute * 60 + second;
    Some(seconds * 1_000_000_000 + nanoseconds)
}

/// Days since 1970, counting years from March so that the leap day is the last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let of_years = 365 * year + year / 4 - year / 100 + year / 400;
    (of_years + (153 * month + 2) / 5 + day).checked_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_to_the_nanosecond() {
        assert_eq!(timestamp("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(timestamp("2000-03-01T00:00:00.5Z"), Some(951_868_800_500_000_000));
        assert_eq!(timestamp("2026-11-22T09:36:00.000042Z"), Some(1_795_340_160_000_042_000));
        for wrong in ["", "Z", "2026-11-22", "2026-11-22T09:36Z", "2026-11-22T09:36:00.1234567890Z"]
        {
            assert_eq!(timestamp(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_line_needs_its_fixed_fields() {
        let line = r#"{"ts":"1970-01-01T00:00:01Z","level":"info","event":"claimed","message":"m","vip":"10.0.0.9","n":3}"#;
        let event = Event::parse(line).expect("well formed");
        assert_eq!((event.name.as_str(), event.at_ns), ("claimed", 1_000_000_000));
        assert_eq!((event.text("vip"), event.number("n")), ("10.0.0.9", Some(3)));
        for wrong in ["", "[]", "{}", r#"{"ts":"x","level":"info","event":"e","message":"m"}"#] {
            assert!(Event::parse(wrong).is_err(), "{wrong}");
        }
    }
}
