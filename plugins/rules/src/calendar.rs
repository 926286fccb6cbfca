//! Days and hours, UTC: of a moment, and of a rule's `time`.

use plugin_common::OneOrMany;
use serde::Deserialize;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SECONDS_PER_DAY: u64 = 86_400;

/// A moment, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
pub struct Moment(pub u64);

impl Moment {
    /// 0 is Monday.
    fn weekday(self) -> usize {
        // 1 January 1970 was a Thursday.
        usize::try_from((self.0 / SECONDS_PER_DAY + 3) % 7).unwrap_or_default()
    }

    fn minute_of_day(self) -> u64 {
        self.0 % SECONDS_PER_DAY / 60
    }

    /// `2026-01-31`.
    pub fn date(self) -> String {
        // Years are counted from 1 March 0000 on, so that a leap day is the
        // last day of its year; 719468 days later is 1 January 1970.
        let days = self.0 / SECONDS_PER_DAY + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // March is 0.
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// `14-05-09`.
    pub fn time(self) -> String {
        let second = self.0 % SECONDS_PER_DAY;
        format!(
            "{:02}-{:02}-{:02}",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

/// A rule's `time` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    days: Option<OneOrMany>,
    hours: Option<OneOrMany>,
}

/// When a rule holds.
#[derive(Debug)]
pub struct Schedule {
    days: [bool; 7],
    /// Minutes of the day, from and to; over midnight when from > to.
    hours: Vec<(u64, u64)>,
}

impl Schedule {
    /// Checks what is written.
    pub fn read(written: &Written) -> Result<Self, String> {
        let mut days = [written.days.is_none(); 7];
        for text in written.days.iter().flat_map(|days| &days.0) {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let (Some(first), Some(last)) = (day(first), day(last)) else {
                return Err(format!(
                    "days: expected mon, tue, wed, thu, fri, sat, sun or a range such as mon-fri, found {text:?}"
                ));
            };
            // From Saturday to Monday goes over Sunday.
            let length = (last + 7 - first) % 7;
            for (index, day) in days.iter_mut().enumerate() {
                *day |= (index + 7 - first) % 7 <= length;
            }
        }
        let hours = written.hours.iter().flat_map(|hours| &hours.0);
        let hours = hours.map(|text| {
            let range = text.split_once('-');
            range
                .and_then(|(from, to)| Some((minute(from)?, minute(to)?)))
                .filter(|(from, to)| from != to)
                .ok_or_else(|| {
                    format!("hours: expected a range such as 08:00-17:30, found {text:?}")
                })
        });
        let hours = hours.collect::<Result<_, _>>()?;
        Ok(Self { days, hours })
    }

    /// Does it hold at this moment?
    pub fn holds(&self, moment: Moment) -> bool {
        let minute = moment.minute_of_day();
        let within = |&(from, to): &(u64, u64)| {
            if from < to {
                (from..to).contains(&minute)
            } else {
                minute >= from || minute < to
            }
        };
        self.days.get(moment.weekday()) == Some(&true)
            && (self.hours.is_empty() || self.hours.iter().any(within))
    }
}

fn day(text: &str) -> Option<usize> {
    let text = text.trim().to_ascii_lowercase();
    DAYS.iter().position(|day| *day == text)
}

/// `24:00` is the end of the day.
fn minute(text: &str) -> Option<u64> {
    let (hour, minute) = text.trim().split_once(':')?;
    let two_digits = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().ok()).flatten()
    };
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= 24 * 60).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(json: &str) -> Result<Schedule, String> {
        Schedule::read(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn moments_as_date_and_time() {
        for (seconds, date, time) in [
            (0, "1970-01-01", "00-00-00"),
            (951_782_399, "2000-02-28", "23-59-59"),
            (951_782_400, "2000-02-29", "00-00-00"),
            (1_735_689_599, "2024-12-31", "23-59-59"),
            (4_107_542_400, "2100-03-01", "00-00-00"),
        ] {
            assert_eq!(Moment(seconds).date(), date);
            assert_eq!(Moment(seconds).time(), time);
        }
    }

    #[test]
    fn schedules() {
        // Friday 2 January 2026, 12:00.
        const FRIDAY_NOON: u64 = 1_767_355_200;
        assert_eq!(Moment(FRIDAY_NOON).date(), "2026-01-02");
        const HOUR: u64 = 3600;
        for (json, hours_later, expected) in [
            (r#"{}"#, 0, true),
            (r#"{"days": "fri"}"#, 0, true),
            (r#"{"days": "fri"}"#, 12, false),
            (r#"{"days": "Mon-Fri"}"#, 0, true),
            (r#"{"days": "mon-thu"}"#, 0, false),
            (r#"{"days": "thu-sat"}"#, 0, true),
            (r#"{"days": "sat-fri"}"#, 0, true),
            (r#"{"days": "sat-mon"}"#, 24, true),
            (r#"{"days": "sat-mon"}"#, 0, false),
            (r#"{"days": ["sat", "sun"]}"#, 36, true),
            (r#"{"hours": "12:00-13:00"}"#, 0, true),
            (r#"{"hours": "11:00-12:00"}"#, 0, false),
            (r#"{"hours": "00:00-24:00"}"#, 0, true),
            (r#"{"hours": "22:00-06:00"}"#, 11, true),
            (r#"{"hours": "22:00-06:00"}"#, 17, true),
            (r#"{"hours": "22:00-06:00"}"#, 18, false),
            (r#"{"hours": ["01:00-02:00", "12:00-12:01"]}"#, 0, true),
            (r#"{"days": "sat", "hours": "12:00-13:00"}"#, 0, false),
        ] {
            let moment = Moment(FRIDAY_NOON + hours_later * HOUR);
            let holds = schedule(json).unwrap().holds(moment);
            assert_eq!(holds, expected, "{json} +{hours_later} h");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (json, named) in [
            (r#"{"days": "someday"}"#, "found \"someday\""),
            (r#"{"days": "mon-"}"#, "found \"mon-\""),
            (r#"{"hours": "8-17"}"#, "found \"8-17\""),
            (r#"{"hours": "08:00-24:01"}"#, "found \"08:00-24:01\""),
            (r#"{"hours": "08:00-08:00"}"#, "found \"08:00-08:00\""),
            (r#"{"hours": "08:60-09:00"}"#, "found \"08:60-09:00\""),
        ] {
            let error = schedule(json).unwrap_err();
            assert!(error.contains(named), "{json}: {error}");
        }
    }
}
