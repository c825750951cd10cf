//! Dates as dumps write them: numbers, ISO 8601 and its relatives, and the dates of mail headers.

use serde_json::Value;
use time::{Date, Month, OffsetDateTime, Time, UtcOffset, format_description::well_known::Rfc2822};

use super::fields::number;

/// Unix seconds of a date: a number of seconds or of their parts, also as text, ISO 8601 with or without its marks, Python's and
/// SQL's spellings of it, or RFC 2822. Without a zone it is UTC.
pub(crate) fn timestamp(value: &Value) -> Option<i64> {
    match value {
        Value::Number(_) => number(value).map(seconds),
        Value::String(text) => {
            let text = text.trim();
            // Eight digits are a day; a count of seconds has had nine since 1973.
            let counted = text.split('.').next().is_some_and(|whole| whole.len() >= 9);
            if counted && let Some(counted) = number(value) {
                return Some(seconds(counted));
            }
            date(text)
                .or_else(|| OffsetDateTime::parse(text, &Rfc2822).ok().map(OffsetDateTime::unix_timestamp))
        }
        _ => None,
    }
}

/// Seconds reach 10^11 in the year 5138; what is larger counts milli-, micro- or nanoseconds.
fn seconds(count: i64) -> i64 {
    match count.unsigned_abs() {
        0..100_000_000_000 => count,
        100_000_000_000..100_000_000_000_000 => count.div_euclid(1_000),
        100_000_000_000_000..100_000_000_000_000_000 => count.div_euclid(1_000_000),
        _ => count.div_euclid(1_000_000_000),
    }
}

fn date(text: &str) -> Option<i64> {
    if !text.is_ascii() || !(8..=40).contains(&text.len()) {
        return None;
    }
    let (day, rest) = text.split_at(if text.as_bytes()[4] == b'-' { 10.min(text.len()) } else { 8 });
    let day = match (day.len(), day.as_bytes().get(7)) {
        (10, Some(b'-')) => calendar([&day[..4], &day[5..7], &day[8..]])?,
        (8, _) => calendar([&day[..4], &day[4..6], &day[6..]])?,
        _ => return None,
    };
    let rest = rest.trim_start_matches(['T', 't', ' ']);
    let zone_at = rest.find(|c: char| !(c.is_ascii_digit() || ":.,".contains(c))).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let moment = day.with_time(time_of(clock)?).assume_offset(offset(zone.trim())?);
    Some(moment.unix_timestamp())
}

fn calendar([year, month, day]: [&str; 3]) -> Option<Date> {
    let month = Month::try_from(digits(month)?).ok()?;
    Date::from_calendar_date(i32::from(year.parse::<u16>().ok()?), month, digits(day)?).ok()
}

/// `07`, `07:08`, `07:08:09`, `07:08:09.5`, or the same without colons; midnight where nothing stands.
fn time_of(clock: &str) -> Option<Time> {
    if clock.is_empty() {
        return Some(Time::MIDNIGHT);
    }
    let whole = clock.split(['.', ',']).next().unwrap_or(clock);
    let parts: Vec<&str> = match whole.contains(':') {
        true => whole.split(':').collect(),
        false => (0..whole.len()).step_by(2).map(|at| whole.get(at..at + 2)).collect::<Option<_>>()?,
    };
    let part = |at: usize| parts.get(at).map_or(Some(0), |part| digits(part));
    let (hour, minute, second) = (part(0)?, part(1)?, part(2)?);
    // The last second of a day may be a leap second.
    if parts.len() <= 3 { Time::from_hms(hour, minute, second.min(59)).ok() } else { None }
}

/// `Z`, `UTC`, `GMT`, `+02`, `+0200` or `-08:00`; UTC where nothing stands.
fn offset(zone: &str) -> Option<UtcOffset> {
    if zone.is_empty() || ["Z", "UTC", "GMT"].iter().any(|utc| zone.eq_ignore_ascii_case(utc)) {
        return Some(UtcOffset::UTC);
    }
    let sign = match zone.as_bytes()[0] {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let plain = zone[1..].replace(':', "");
    let (hours, minutes) = plain.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { digits(minutes)? };
    UtcOffset::from_hms(sign * i8::try_from(digits(hours)?).ok()?, sign * i8::try_from(minutes).ok()?, 0).ok()
}

/// A number of two digits.
fn digits(text: &str) -> Option<u8> {
    (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::timestamp;

    #[test]
    fn a_moment_is_the_same_in_every_spelling() {
        for spelling in [
            json!("2024-05-06T07:08:09Z"),
            json!("2024-05-06T07:08:09.123456Z"),
            json!("2024-05-06T07:08:09,123Z"),
            json!("2024-05-06T09:08:09+02:00"),
            json!("2024-05-06T09:08:09+0200"),
            json!("2024-05-06T09:08:09+02"),
            json!("2024-05-05T23:08:09-0800"),
            json!("2024-05-06 07:08:09+00:00"),
            json!("2024-05-06 07:08:09 +0000"),
            json!("2024-05-06 07:08:09 UTC"),
            json!("2024-05-06 07:08:09.5"),
            json!("20240506T070809Z"),
            json!("Mon, 06 May 2024 07:08:09 GMT"),
            json!("Mon, 06 May 2024 09:08:09 +0200"),
            json!("1714979289"),
            json!("1714979289.5"),
            json!("1714979289000"),
            json!(1_714_979_289),
            json!(1_714_979_289.5),
            json!(1_714_979_289_000_000_000_i64),
        ] {
            assert_eq!(timestamp(&spelling), Some(1_714_979_289), "{spelling}");
        }
        assert_eq!(timestamp(&json!("2024-05-06T07:08")), Some(1_714_979_280));
        assert_eq!(timestamp(&json!("20240506")), Some(1_714_953_600));
        assert_eq!(timestamp(&json!("2024-05-06")), Some(1_714_953_600));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "NaT",
            "2024",
            "2024-05",
            "2024-13-01",
            "2024-05-06T25:00",
            "06/05/2024",
            "2024-05-06x",
            "é024-05-06",
        ] {
            assert_eq!(timestamp(&Value::from(text)), None, "{text}");
        }
        assert_eq!(timestamp(&json!(true)), None);
    }
}
