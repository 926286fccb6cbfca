//! Challenges that need no table: each carries its time and the server's proof
//! of it.
//!
//! Flows in: whom a challenge is for, and later the text that comes back. Flows
//! out: the text, and whether it is one of ours, in time and not answered yet.
//! So no flood of strangers' challenges can push out the one that an honest
//! client is about to answer.

use std::collections::{HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use livehost_rtmp::auth::Method;
use parking_lot::Mutex;
use sha2::Sha256;
use tokio::time::Instant;

/// A client connects again at once; a response that is later is too late.
const LIFE: Duration = Duration::from_secs(30);
/// Answered challenges that are remembered, so that a response that somebody
/// overheard is of no use. Only who knows a password gets one in here.
const MAX_ANSWERED: usize = 4096;
/// Bytes of a salt, written in hexadecimal.
const SALT: usize = 8;
/// Bytes of a challenge's proof. It is shown for [`LIFE`] and can be guessed at
/// only by connecting.
const PROOF: usize = 8;

/// What this process gave out and what came back. A restart forgets it: clients
/// begin anew.
#[derive(Debug)]
pub struct Challenges {
    /// None: this machine has no randomness, and nobody can log in.
    secret: Option<ChallengeSecret>,
    started: Instant,
    /// No two challenges are alike.
    given: AtomicU32,
    answered: Mutex<Answered>,
}

struct ChallengeSecret([u8; 32]);

impl std::fmt::Debug for ChallengeSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Whom a challenge is for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Party<'a> {
    pub(super) app: &'a str,
    pub(super) method: Method,
    pub(super) user: &'a str,
}

/// Challenges that were answered well, until they are too old anyway.
#[derive(Debug, Default)]
struct Answered {
    known: HashSet<String>,
    order: VecDeque<(Instant, String)>,
}

impl Default for Challenges {
    fn default() -> Self {
        let mut secret = [0; 32];
        Self {
            secret: getrandom::fill(&mut secret)
                .ok()
                .map(|()| ChallengeSecret(secret)),
            started: Instant::now(),
            given: AtomicU32::new(0),
            answered: Mutex::default(),
        }
    }
}

impl Challenges {
    /// A new challenge; none when this machine has no randomness.
    pub(super) fn give(&self, party: Party<'_>, now: Instant) -> Option<String> {
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        self.text(party, self.seconds(now), number)
    }

    /// Whether `text` is a challenge for `party` that is not too old.
    pub(super) fn is_open(&self, party: Party<'_>, text: &str, now: Instant) -> bool {
        let field = |range| {
            text.get(range)
                .map(|digits| u32::from_str_radix(digits, 16))
        };
        let (Some(Ok(low)), Some(Ok(number))) = (field(0..2), field(2..10)) else {
            return false;
        };
        let now = self.seconds(now);
        // The latest second that ends so; the proof is of all of it.
        let age = now.wrapping_sub(u64::from(low)) & 0xFF;
        let Some(then) = now.checked_sub(age).filter(|_| age <= LIFE.as_secs()) else {
            return false;
        };
        self.text(party, then, number)
            .is_some_and(|ours| same(&ours, text))
    }

    /// `text` was answered well. False: it was before.
    pub(super) fn answered(&self, text: &str, now: Instant) -> bool {
        self.answered.lock().add(text, now)
    }

    /// The salt of a user who has none of its own: always the same, whether
    /// there is such a user or not, so that it tells nothing.
    pub(super) fn salt(&self, app: &str, user: &str) -> Option<String> {
        let proof = self.proof(&[b"salt", app.as_bytes(), user.as_bytes()])?;
        Some(hex(proof.iter().take(SALT)))
    }

    fn seconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs()
    }

    /// The low byte of its second, its number, and the proof: FFmpeg reads a
    /// refusal into 256 bytes, and the challenge is in it twice.
    fn text(&self, party: Party<'_>, second: u64, number: u32) -> Option<String> {
        let Party { app, method, user } = party;
        let proof = self.proof(&[
            b"challenge",
            &second.to_be_bytes(),
            &number.to_be_bytes(),
            app.as_bytes(),
            method.as_str().as_bytes(),
            user.as_bytes(),
        ])?;
        let second = second & 0xFF;
        let proof = hex(proof.iter().take(PROOF));
        Some(format!("{second:02x}{number:08x}{proof}"))
    }

    /// HMAC-SHA256 of `parts`, each with its length: no two lists look alike.
    fn proof(&self, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let ChallengeSecret(secret) = self.secret.as_ref()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }
}

impl Answered {
    fn add(&mut self, text: &str, now: Instant) -> bool {
        while let Some((then, old)) = self.order.front()
            && (self.order.len() >= MAX_ANSWERED || now.saturating_duration_since(*then) > LIFE)
        {
            self.known.remove(old);
            self.order.pop_front();
        }
        let is_new = self.known.insert(text.to_owned());
        if is_new {
            self.order.push_back((now, text.to_owned()));
        }
        is_new
    }
}

fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares in a time that tells nothing about where they differ.
fn same(ours: &str, theirs: &str) -> bool {
    let pairs = ours.bytes().zip(theirs.bytes());
    let differing = pairs.fold(0, |bits, (ours, theirs)| bits | (ours ^ theirs));
    ours.len() == theirs.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Party<'_> = Party {
        app: "live",
        method: Method::Adobe,
        user: "ann",
    };

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_challenge_is_open_for_its_time_and_for_its_party() {
        let challenges = Challenges::default();
        let start = challenges.started;
        // Also where the byte of its second comes round.
        for given in [0, 1, 250, 256, 70_000] {
            let text = challenges.give(ANN, after(start, given)).unwrap();
            let open = |seconds| challenges.is_open(ANN, &text, after(start, seconds));
            assert!(open(given) && open(given + 30));
            assert!(!open(given + 31) && !open(given + 256) && !open(given + 512));
            assert!(given == 0 || !open(given - 1), "not before it was given");
        }
        let text = challenges.give(ANN, start).unwrap();
        for other in [
            Party {
                app: "other",
                ..ANN
            },
            Party { user: "an", ..ANN },
            Party {
                method: Method::Llnw,
                ..ANN
            },
        ] {
            assert!(!challenges.is_open(other, &text, start), "{other:?}");
        }
        let others = Challenges::default();
        assert!(!others.is_open(ANN, &text, others.started));
    }

    #[test]
    fn no_two_challenges_are_alike_and_a_changed_one_is_none() {
        let challenges = Challenges::default();
        let now = challenges.started;
        let text = challenges.give(ANN, now).unwrap();
        assert_ne!(challenges.give(ANN, now).unwrap(), text);
        for at in 0..text.len() {
            let mut changed = text.clone();
            let digit = if &text[at..=at] == "0" { "1" } else { "0" };
            changed.replace_range(at..=at, digit);
            assert!(!challenges.is_open(ANN, &changed, now), "{changed}");
        }
        for text in [
            "",
            "00",
            "zz00000000",
            &text[1..],
            &format!("{text}0"),
            "é\u{1F600}",
        ] {
            assert!(!challenges.is_open(ANN, text, now), "{text}");
        }
    }

    #[test]
    fn an_answer_counts_once_and_few_are_remembered() {
        let challenges = Challenges::default();
        let now = challenges.started;
        assert!(challenges.answered("a", now));
        assert!(!challenges.answered("a", now));
        for number in 0..3 * MAX_ANSWERED {
            assert!(challenges.answered(&number.to_string(), now));
        }
        let remembered = |challenges: &Challenges| {
            let answered = challenges.answered.lock();
            assert_eq!(answered.known.len(), answered.order.len());
            answered.order.len()
        };
        assert_eq!(remembered(&challenges), MAX_ANSWERED);
        assert!(challenges.answered("b", after(now, 31)));
        assert_eq!(remembered(&challenges), 1);
    }

    #[test]
    fn a_salt_is_a_users_own_and_always_the_same() {
        let challenges = Challenges::default();
        let salt = challenges.salt("live", "ann").unwrap();
        assert_eq!(salt.len(), 16);
        assert_eq!(challenges.salt("live", "ann"), Some(salt.clone()));
        for (app, user) in [("live", "bob"), ("other", "ann"), ("livea", "nn")] {
            assert_ne!(challenges.salt(app, user), Some(salt.clone()));
        }
    }
}
