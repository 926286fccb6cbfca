//! Whether a client is there: bytes in either direction are a sign of life.
//!
//! Players exist that never speak, so what a client takes counts as what it
//! says does. Only the server's own question does not: it goes out whether
//! anybody is there or not.
//!
//! Flows in: when bytes came, and how many have gone out. Flows out: when to
//! look, and what to do then.

use std::time::Duration;
use tokio::time::Instant;

/// A client that said nothing for so long is asked for a sign of life, and
/// what it takes is looked at as often.
const ASK_AFTER: Duration = Duration::from_secs(20);
/// A client that neither said nor took anything for so long is gone.
pub(super) const SILENT_AFTER: Duration = Duration::from_secs(60);

/// The signs of life of one client.
#[derive(Debug)]
pub(super) struct Activity {
    /// When it last said something.
    heard: Instant,
    /// When it was last seen to have taken something.
    took: Instant,
    looked: Instant,
    /// Bytes that had gone out by then.
    taken: u64,
    /// Asked since it was heard.
    asked: bool,
    /// Where the last question ends among the bytes that go out, and its
    /// length.
    question: (u64, u64),
}

/// What a look has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Alive,
    /// It has to be asked; see [`Activity::asked`].
    Ask,
    Gone,
}

impl Activity {
    /// Of a client that is there at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            heard: now,
            took: now,
            looked: now,
            taken: 0,
            asked: false,
            question: (0, 0),
        }
    }

    /// It said something.
    pub(super) fn hear(&mut self, now: Instant) {
        self.heard = now;
        self.asked = false;
    }

    /// Nobody listens to it: it can't be called silent.
    pub(super) fn excuse(&mut self, now: Instant) {
        self.heard = now;
    }

    /// It was asked with the bytes from `begin` to `end` of those that go out.
    pub(super) fn asked(&mut self, begin: u64, end: u64) {
        self.asked = true;
        self.question = (end, end.saturating_sub(begin));
    }

    /// When to look next, if nothing is heard before.
    pub(super) fn next_look(&self) -> Instant {
        if self.asked {
            (self.looked + ASK_AFTER).min(self.last_sign() + SILENT_AFTER)
        } else {
            self.heard + ASK_AFTER
        }
    }

    /// Looks at how many bytes have gone out by now.
    pub(super) fn look(&mut self, now: Instant, taken: u64) -> Look {
        let (end, len) = self.question;
        let own = if self.taken < end && end <= taken {
            len
        } else {
            0
        };
        // What went out right after it was heard was the answer to that.
        let was_answered = self.looked <= self.heard;
        if taken.saturating_sub(self.taken) > own && !was_answered {
            self.took = now;
        }
        self.taken = taken;
        self.looked = now;
        let since = |sign: Instant| now.saturating_duration_since(sign);
        if since(self.last_sign()) >= SILENT_AFTER {
            Look::Gone
        } else if since(self.heard) >= ASK_AFTER && !self.asked {
            Look::Ask
        } else {
            Look::Alive
        }
    }

    fn last_sign(&self) -> Instant {
        self.heard.max(self.took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client, watched as the driver does it: seconds of a time that passes
    /// at will.
    struct Watched {
        begin: Instant,
        activity: Activity,
        out: u64,
        questions: Vec<u64>,
    }

    impl Watched {
        fn new() -> Self {
            let begin = Instant::now();
            Self {
                begin,
                activity: Activity::new(begin),
                out: 3000,
                questions: Vec::new(),
            }
        }

        /// Until `end`, with what the client does in each second; the second in
        /// which it was given up, if it was.
        fn pass(&mut self, end: u64, does: impl Fn(u64, &mut Self)) -> Option<u64> {
            for second in 0..=end {
                let now = self.begin + Duration::from_secs(second);
                does(second, self);
                if now < self.activity.next_look() {
                    continue;
                }
                match self.activity.look(now, self.out) {
                    Look::Gone => return Some(second),
                    Look::Ask => {
                        self.activity.asked(self.out, self.out + 18);
                        self.out += 18;
                        self.questions.push(second);
                    }
                    Look::Alive => {}
                }
                assert!(
                    self.activity.next_look() > now,
                    "it would be looked at forever"
                );
            }
            None
        }

        fn at(&self, second: u64) -> Instant {
            self.begin + Duration::from_secs(second)
        }
    }

    #[test]
    fn who_says_and_takes_nothing_is_asked_once_and_gone_after_a_minute() {
        let mut client = Watched::new();
        assert_eq!(client.pass(1000, |_, _| {}), Some(60));
        assert_eq!(client.questions, [20]);
    }

    #[test]
    fn who_takes_what_it_gets_need_not_speak() {
        let mut client = Watched::new();
        let plays = |_, client: &mut Watched| client.out += 1000;
        assert_eq!(client.pass(3600, plays), None);
        assert_eq!(client.questions, [20]);
    }

    #[test]
    fn who_stops_taking_is_gone_a_minute_later() {
        let mut client = Watched::new();
        let plays = |second, client: &mut Watched| {
            if second <= 100 {
                client.out += 1000;
            }
        };
        let gone = client.pass(3600, plays).expect("it is gone");
        // What it takes is looked at every 20 s.
        assert!((160..=180).contains(&gone), "{gone}");
    }

    #[test]
    fn who_answers_is_asked_again_after_the_next_silence() {
        let mut client = Watched::new();
        let answers = |second, client: &mut Watched| {
            if second % 21 == 0 {
                let now = client.at(second);
                client.activity.hear(now);
            }
        };
        assert_eq!(client.pass(100, answers), None);
        assert_eq!(client.questions, [20, 41, 62, 83]);
    }

    #[test]
    fn who_is_not_listened_to_is_not_silent() {
        let mut client = Watched::new();
        let waits = |second, client: &mut Watched| {
            if second <= 200 {
                let now = client.at(second);
                client.activity.excuse(now);
            }
        };
        assert_eq!(client.pass(3600, waits), Some(260));
        assert_eq!(client.questions, [220]);
    }
}
