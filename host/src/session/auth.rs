//! Passwords inside RTMP: challenges given out, responses judged.
//!
//! Flows in: a connect, with what the client attempts behind its `app`. Flows
//! out: the policy's decision on it, or a refusal that is the next step of the
//! challenge (`livehost_rtmp::auth` has the texts and hashes). A client opens a
//! connection for each step, so the open challenges are the process's.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use livehost_rtmp::auth::{Attempt, Method, Verifier};
use parking_lot::Mutex;
use tracing::info;

use crate::logging::{STRANGERS, UNDECIDED, limited};
use crate::policy::{ConnectDecision, ConnectRequest, Credential, Gate, Rejection};

/// Open challenges of the process; the oldest makes room for one more.
const MAX_OPEN: usize = 4096;
/// A client connects again at once; a response that is later is too late.
const LIFE: Duration = Duration::from_secs(30);
/// What `on-connect` finds in `extra` of a client that passed.
const USER: &str = "auth-user";
const METHOD: &str = "auth-method";

/// The challenges that clients were given and did not answer yet.
#[derive(Debug, Default)]
pub struct Challenges {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_id: HashMap<String, Challenge>,
    /// In the order they were given; some may be answered.
    order: VecDeque<(Instant, String)>,
}

/// For whom a challenge is, and what answers it.
#[derive(Debug)]
struct Challenge {
    app: String,
    method: Method,
    user: String,
    /// None: there is no such user, and no response is right.
    verifier: Option<Verifier>,
}

impl Challenges {
    fn give(&self, id: String, challenge: Challenge, now: Instant) {
        let mut open = self.open.lock();
        open.forget_old(now);
        open.order.push_back((now, id.clone()));
        open.by_id.insert(id, challenge);
    }

    /// The challenge of this id, once.
    fn take(&self, id: &str, now: Instant) -> Option<Challenge> {
        let mut open = self.open.lock();
        open.forget_old(now);
        open.by_id.remove(id)
    }
}

impl Open {
    fn forget_old(&mut self, now: Instant) {
        while let Some((given, id)) = self.order.front()
            && (self.order.len() >= MAX_OPEN || now.saturating_duration_since(*given) > LIFE)
        {
            self.by_id.remove(id);
            self.order.pop_front();
        }
    }
}

/// What comes of a connect.
pub(super) enum Outcome {
    Decided(ConnectDecision),
    /// The refusal is a step of a challenge, after which the client will come
    /// again, or its end. The log has it already.
    Unauthenticated(Rejection),
}

/// A connect with what authentication has put behind its names.
pub(super) struct Candidate {
    pub(super) request: ConnectRequest,
    pub(super) attempt: Option<Attempt>,
    /// `app` as sent, without the attempt.
    pub(super) app: String,
}

/// Asks the policy: for a challenge first, if this client must pass one.
pub(super) async fn connect(
    gate: &Gate,
    challenges: &Arc<Challenges>,
    candidate: Candidate,
) -> Outcome {
    let Candidate {
        mut request,
        attempt,
        app,
    } = candidate;
    let method = match gate.authenticate(&request).await {
        Ok(Some(method)) => method,
        Ok(None) => return Outcome::Decided(gate.connect(request).await),
        Err(rejection) => return Outcome::Decided(ConnectDecision::Reject(rejection)),
    };
    let attempt = attempt.filter(|attempt| attempt.method == method);
    let step = match attempt {
        None => Step::Challenge(method.need_auth()),
        Some(attempt) => advance(gate, challenges, &request, attempt, &app).await,
    };
    match step {
        Step::Passed(user) => {
            request.extra.push((USER.to_owned(), user));
            request
                .extra
                .push((METHOD.to_owned(), method.as_str().to_owned()));
            Outcome::Decided(gate.connect(request).await)
        }
        Step::Challenge(text) => {
            limited!(INFO, STRANGERS.admits(), "asked to log in");
            Outcome::Unauthenticated(Rejection::new(text))
        }
        Step::Failed => Outcome::Unauthenticated(Rejection::new(method.failed())),
        Step::Refused(rejection) => Outcome::Decided(ConnectDecision::Reject(rejection)),
    }
}

/// How far an attempt leads.
enum Step {
    Passed(String),
    Challenge(String),
    Failed,
    Refused(Rejection),
}

async fn advance(
    gate: &Gate,
    challenges: &Challenges,
    request: &ConnectRequest,
    attempt: Attempt,
    app: &str,
) -> Step {
    let Attempt {
        method,
        user,
        proof,
    } = attempt;
    let Some(proof) = proof else {
        let credential = match gate.credential(request, &user).await {
            Ok(credential) => credential,
            Err(rejection) => return Step::Refused(rejection),
        };
        let (Some(id), Some(random)) = (random_hex(), random_hex()) else {
            let rejection = Rejection::new("no challenge could be made; try again");
            return Step::Refused(rejection);
        };
        let (salt, verifier) = salted(method, &user, credential, random);
        let text = method.challenge(&user, &salt, &id);
        let challenge = Challenge {
            app: request.app.clone(),
            method,
            user,
            verifier,
        };
        challenges.give(id, challenge, Instant::now());
        return Step::Challenge(text);
    };
    let passed = challenges
        .take(&proof.challenge, Instant::now())
        .filter(|open| open.app == request.app && open.method == method && open.user == user)
        .and_then(|open| open.verifier)
        .is_some_and(|verifier| verifier.accepts(method, app, &proof));
    if passed {
        info!(user, method = method.as_str(), "authenticated");
        Step::Passed(user)
    } else {
        let admitted = STRANGERS.admits_refusal(request.client.address());
        limited!(
            WARN,
            admitted,
            user,
            method = method.as_str(),
            "authentication failed"
        );
        Step::Failed
    }
}

/// The salt that the client is told, and what judges its response. A user that
/// there is not, or has no credential for this method, gets a salt as well.
fn salted(
    method: Method,
    user: &str,
    credential: Option<Credential>,
    random: String,
) -> (String, Option<Verifier>) {
    match (method, credential) {
        (_, Some(Credential::Password(password))) => {
            let verifier = Verifier::of_password(method, user, &random, &password);
            (random, Some(verifier))
        }
        (Method::Adobe, Some(Credential::Adobe { salt, hash })) => {
            (salt, Some(Verifier::derived(hash)))
        }
        (Method::Llnw, Some(Credential::Llnw(hash))) => (random, Some(Verifier::derived(hash))),
        (_, Some(_)) => {
            limited!(
                WARN,
                UNDECIDED.admits(),
                user,
                method = method.as_str(),
                "the plugin's credential is for another method"
            );
            (random, None)
        }
        (_, None) => (random, None),
    }
}

/// 64 random bits.
fn random_hex() -> Option<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(user: &str) -> Challenge {
        Challenge {
            app: "live".into(),
            method: Method::Adobe,
            user: user.into(),
            verifier: None,
        }
    }

    #[test]
    fn a_challenge_is_taken_once() {
        let challenges = Challenges::default();
        let now = Instant::now();
        challenges.give("a".into(), challenge("ann"), now);
        assert_eq!(
            challenges.take("a", now).map(|c| c.user).as_deref(),
            Some("ann")
        );
        assert!(challenges.take("a", now).is_none());
    }

    #[test]
    fn a_challenge_ends_with_its_time() {
        let challenges = Challenges::default();
        let now = Instant::now();
        challenges.give("a".into(), challenge("ann"), now);
        challenges.give("b".into(), challenge("ann"), now + LIFE / 2);
        let late = now + LIFE + Duration::from_millis(1);
        assert!(challenges.take("a", late).is_none());
        assert!(challenges.take("b", late).is_some());
    }

    #[test]
    fn challenges_are_bounded_and_the_oldest_goes_first() {
        let challenges = Challenges::default();
        let now = Instant::now();
        for id in 0..3 * MAX_OPEN {
            challenges.give(id.to_string(), challenge("ann"), now);
            if id % 2 == 0 {
                challenges.take(&id.to_string(), now);
            }
        }
        let open = challenges.open.lock();
        assert!(open.order.len() <= MAX_OPEN, "{}", open.order.len());
        assert!(open.by_id.len() <= MAX_OPEN);
        assert!(open.by_id.contains_key(&(3 * MAX_OPEN - 1).to_string()));
        assert!(!open.by_id.contains_key("1"));
    }

    #[test]
    fn whoever_does_not_exist_gets_a_salt_and_never_passes() {
        let (salt, verifier) = salted(Method::Adobe, "nobody", None, "77".into());
        assert_eq!((salt.as_str(), verifier), ("77", None));
        let password = Some(Credential::Password("p".into()));
        let (_, verifier) = salted(Method::Adobe, "ann", password, "77".into());
        assert_eq!(
            verifier,
            Some(Verifier::of_password(Method::Adobe, "ann", "77", "p"))
        );
        let other = Some(Credential::Llnw("ff".into()));
        assert_eq!(salted(Method::Adobe, "ann", other, "77".into()).1, None);
    }
}
