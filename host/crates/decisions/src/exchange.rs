//! A question and what came of it.

use std::time::Duration;

use livehost_policy::{
    Answer, ConnectDecision, ObjectDecision, PlayDecision, PolicyError, PublishDecision, Question,
    Reply,
};

use crate::record::DecisionOutcome;

/// A decision as the wrapper saw it, secrets and all: it must not be kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange<'e> {
    /// Whose policy was asked.
    pub(crate) app: &'e str,
    /// What it was asked.
    pub(crate) question: &'e Question,
    /// What it said; none when nobody waited for it any more.
    pub(crate) reply: Option<&'e Reply>,
    /// From question to reply.
    pub(crate) latency: Duration,
}

impl Exchange<'_> {
    /// The answer to this question, or why there is none.
    pub(crate) fn answer(&self) -> Option<Result<&Answer, PolicyError>> {
        let answer = match &self.reply?.answer {
            Ok(answer) if answer.hook() == self.question.hook() => Ok(answer),
            // As whoever asks takes it.
            Ok(other) => Err(PolicyError::Unusable {
                hook: self.question.hook(),
                reason: format!("expected its own, found that to {}", other.hook()),
            }),
            Err(error) => Err(error.clone()),
        };
        Some(answer)
    }

    /// What came of it, in a word.
    pub(crate) fn outcome(&self) -> DecisionOutcome {
        use DecisionOutcome::{
            Abandoned, Accepted, Challenged, Failed, Redirected, Rejected, Rewritten, Unknown,
        };
        let answer = match self.reply.map(|reply| &reply.answer) {
            None => return Abandoned,
            Some(Err(_)) => return Failed,
            Some(Ok(answer)) if answer.hook() != self.question.hook() => return Failed,
            Some(Ok(answer)) => answer,
        };
        match answer {
            Answer::Authenticate(Ok(Some(_))) => Challenged,
            Answer::Authenticate(Ok(None)) | Answer::Credential(Ok(Some(_))) => Accepted,
            Answer::Credential(Ok(None)) => Unknown,
            Answer::Authenticate(Err(_)) | Answer::Credential(Err(_)) => Rejected,
            Answer::Connect(ConnectDecision::Accept(_)) => Accepted,
            Answer::Connect(ConnectDecision::Reject(_)) => Rejected,
            Answer::Connect(ConnectDecision::Redirect(_)) => Redirected,
            Answer::Publish(PublishDecision::Accept(_)) => Accepted,
            Answer::Publish(PublishDecision::Reject(_)) => Rejected,
            Answer::Play(PlayDecision::Accept(_)) => Accepted,
            Answer::Play(PlayDecision::Reject(_)) => Rejected,
            Answer::SharedObject(ObjectDecision::Allow) => Accepted,
            Answer::SharedObject(ObjectDecision::Deny) => Rejected,
            Answer::SharedObject(ObjectDecision::Rewrite(_)) => Rewritten,
            Answer::Call(Ok(_)) => Accepted,
            Answer::Call(Err(livehost_policy::CallError::Unknown(_))) => Unknown,
            Answer::Call(Err(livehost_policy::CallError::Refused(_))) => Rejected,
        }
    }
}
