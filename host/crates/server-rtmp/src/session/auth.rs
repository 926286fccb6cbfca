//! Passwords inside RTMP: challenges given out, responses judged.
//!
//! Flows in: a connect, with what the client attempts behind its `app`. Flows
//! out: the policy's decision on it, or a refusal that is the next step of the
//! challenge (`livehost_rtmp::auth` has the texts and hashes). A client opens a
//! connection for each step, so what it needs for the next is in the challenge.
//!
//! No step tells whether there is such a user: without a credential everything
//! is said and computed as with one, and only the result is another.

mod challenges;

use std::sync::Arc;

use livehost_policy::{
    Challenge, ConnectDecision, ConnectRequest, Credential, CredentialRequest, Gate,
    OnAuthenticate, OnConnect, OnCredential, Rejection,
};
use livehost_rtmp::auth::{Login, Method, Proof, Verifier};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use tokio::time::Instant;

use self::challenges::Party;

pub use self::challenges::Challenges;

/// What `on-connect` finds in `extra` of a client that passed.
const USER: &str = "auth-user";
const METHOD: &str = "auth-method";

/// What comes of a connect.
pub(super) enum LoginOutcome {
    Decided(ConnectDecision),
    /// The refusal is a step of a challenge, after which the client will come
    /// again, or its end. The log has it already.
    Unauthenticated(Rejection),
}

/// A connect with what authentication has put behind its names.
pub(super) struct Applicant {
    pub(super) request: ConnectRequest,
    pub(super) attempt: Option<Login>,
    /// `app` as sent, without the attempt.
    pub(super) app: String,
}

/// Asks the policy: for a challenge first, if this client must pass one.
pub(super) async fn connect(
    gate: &Gate,
    challenges: &Arc<Challenges>,
    candidate: Applicant,
) -> LoginOutcome {
    let Applicant {
        request,
        attempt,
        app,
    } = candidate;
    // Shared rather than copied: each question takes it.
    let mut request = Arc::new(request);
    let method = match gate.ask(OnAuthenticate::new(request.clone())).await {
        Ok(Some(Challenge::Adobe)) => Method::Adobe,
        Ok(Some(Challenge::Llnw)) => Method::Llnw,
        Ok(None) => return LoginOutcome::Decided(gate.ask(OnConnect::new(request)).await),
        Err(rejection) => return LoginOutcome::Decided(ConnectDecision::Reject(rejection)),
    };
    let attempt = attempt.filter(|attempt| attempt.method == method);
    let step = match attempt {
        None => LoginStep::Challenge(method.need_auth()),
        Some(attempt) => advance(gate, challenges, &request, attempt, &app).await,
    };
    match step {
        LoginStep::Passed(user) => {
            let passed = [(USER, user), (METHOD, method.as_str().to_owned())];
            let passed = passed.map(|(key, value)| (key.to_owned(), value));
            Arc::make_mut(&mut request).extra.extend(passed);
            LoginOutcome::Decided(gate.ask(OnConnect::new(request)).await)
        }
        LoginStep::Challenge(text) => {
            limited!(INFO, STRANGERS.admits(), "asked to log in");
            LoginOutcome::Unauthenticated(Rejection::new(text))
        }
        LoginStep::Failed => LoginOutcome::Unauthenticated(Rejection::new(method.failed())),
        LoginStep::Refused(rejection) => LoginOutcome::Decided(ConnectDecision::Reject(rejection)),
    }
}

/// How far an attempt leads.
enum LoginStep {
    Passed(String),
    Challenge(String),
    Failed,
    Refused(Rejection),
}

async fn advance(
    gate: &Gate,
    challenges: &Challenges,
    request: &Arc<ConnectRequest>,
    attempt: Login,
    app: &str,
) -> LoginStep {
    let Login {
        method,
        user,
        proof,
    } = attempt;
    let party = Party {
        app: &request.app,
        method,
        user: &user,
    };
    let judged = match proof {
        None => challenge(gate, challenges, request, party).await,
        Some(proof) => judge(gate, challenges, request, party, app, &proof).await,
    };
    match judged {
        Ok(Judged::Challenge(text)) => LoginStep::Challenge(text),
        Ok(Judged::Passed) => {
            limited!(
                INFO,
                gate.admits_client(),
                user,
                method = method.as_str(),
                "authenticated"
            );
            LoginStep::Passed(user)
        }
        Ok(Judged::Failed) => {
            let admitted = STRANGERS.admits_refusal(request.client.address());
            limited!(
                WARN,
                admitted,
                user,
                method = method.as_str(),
                instance = request.instance.as_deref(),
                "authentication failed"
            );
            LoginStep::Failed
        }
        Err(rejection) => LoginStep::Refused(rejection),
    }
}

enum Judged {
    Challenge(String),
    Passed,
    Failed,
}

async fn challenge(
    gate: &Gate,
    challenges: &Challenges,
    request: &Arc<ConnectRequest>,
    party: Party<'_>,
) -> Result<Judged, Rejection> {
    let credential = credential(gate, request, party.user).await?;
    let known = known(gate, challenges, party, credential).ok_or_else(impossible)?;
    let text = challenges.give(party, Instant::now());
    let text = text.ok_or_else(impossible)?;
    let text = party.method.challenge(party.user, &known.salt, &text);
    Ok(Judged::Challenge(text))
}

/// The credential is asked for once more rather than kept: nothing that
/// strangers can fill up lies between the two steps.
async fn judge(
    gate: &Gate,
    challenges: &Challenges,
    request: &Arc<ConnectRequest>,
    party: Party<'_>,
    app: &str,
    proof: &Proof,
) -> Result<Judged, Rejection> {
    if !challenges.is_open(party, &proof.challenge, Instant::now()) {
        return Ok(Judged::Failed);
    }
    let credential = credential(gate, request, party.user).await?;
    let known = known(gate, challenges, party, credential).ok_or_else(impossible)?;
    let is_right = known.verifier.accepts(party.method, app, proof) & known.exists;
    let passed = is_right && challenges.answered(&proof.challenge, Instant::now());
    Ok(match passed {
        true => Judged::Passed,
        false => Judged::Failed,
    })
}

async fn credential(
    gate: &Gate,
    request: &Arc<ConnectRequest>,
    user: &str,
) -> Result<Option<Credential>, Rejection> {
    let question = OnCredential::new(CredentialRequest {
        connect: request.clone(),
        user: user.to_owned(),
    });
    gate.ask(question).await
}

fn impossible() -> Rejection {
    Rejection::undecided("no challenge could be made; try again")
}

/// What a user's challenge and response are made of.
struct Known {
    /// Told to the client.
    salt: String,
    /// Judges its response.
    verifier: Verifier,
    /// False: there is no such user, or none for this method, and no response
    /// is right.
    exists: bool,
}

/// None when this machine has no randomness.
fn known(
    gate: &Gate,
    challenges: &Challenges,
    party: Party<'_>,
    credential: Option<Credential>,
) -> Option<Known> {
    let Party { app, method, user } = party;
    let salt = challenges.salt(app, user)?;
    let exists = true;
    Some(match (method, credential) {
        (_, Some(Credential::Password(password))) => Known {
            verifier: Verifier::of_password(method, user, &salt, &password),
            salt,
            exists,
        },
        (Method::Adobe, Some(Credential::Adobe { salt, hash })) => Known {
            salt,
            verifier: Verifier::derived(hash),
            exists,
        },
        (Method::Llnw, Some(Credential::Llnw(hash))) => Known {
            salt,
            verifier: Verifier::derived(hash),
            exists,
        },
        (_, other) => {
            if other.is_some() {
                limited!(
                    WARN,
                    gate.admits_failure(),
                    user,
                    method = method.as_str(),
                    "the plugin's credential is for another method"
                );
            }
            Known {
                verifier: Verifier::of_password(method, user, &salt, &salt),
                salt,
                exists: false,
            }
        }
    })
}

#[cfg(test)]
mod tests;
