//! Clients that log in, as `livehost_rtmp::auth::reply` does for relays.

use async_trait::async_trait;
use livehost_policy::{Answer, Client, ConnectGrant, Event, Fallback, Policy, Question, Reply};
use livehost_rtmp::auth::{cut, reply};

use super::*;

/// Ann has a password, carl one that was salted and hashed before.
struct Users(Method);

#[async_trait]
impl Policy for Users {
    async fn ask(&self, question: Question) -> Reply {
        let answer = match question {
            Question::Authenticate(_) => Answer::Authenticate(Ok(Some(match self.0 {
                Method::Adobe => Challenge::Adobe,
                Method::Llnw => Challenge::Llnw,
            }))),
            Question::Credential(request) => Answer::Credential(Ok(match &*request.user {
                "ann" => Some(Credential::Password("s3cret".into())),
                // base64(md5("carl" "5a17" "s3cret")).
                "carl" => Some(Credential::Adobe {
                    salt: "5a17".into(),
                    hash: "DCKbxcdE7QrGXpwEWWGs+Q==".into(),
                }),
                _ => None,
            })),
            Question::Connect(request) => Answer::Connect(ConnectDecision::Accept(ConnectGrant {
                attrs: request.extra.clone(),
                ..ConnectGrant::default()
            })),
            other => panic!("{other:?}"),
        };
        answer.into()
    }
    fn decides_shared_objects(&self) -> bool {
        false
    }
    fn notify(&self, _: Event) {}
}

struct Server {
    method: Method,
    gate: Gate,
    challenges: Arc<Challenges>,
}

impl Server {
    fn new(method: Method) -> Self {
        Self {
            method,
            gate: Gate::new("live", Arc::new(Users(method)), Fallback::Reject),
            challenges: Arc::default(),
        }
    }

    /// One connect with this `app`; what was granted, or the refusal's text.
    async fn connect(&self, app: &str) -> Result<Vec<(String, String)>, String> {
        let (app, attempt) = cut(app);
        let candidate = Applicant {
            request: ConnectRequest {
                client: Client::default(),
                local: String::new(),
                app: "live".into(),
                instance: None,
                query: Vec::new(),
                tc_url: String::new(),
                flash_ver: String::new(),
                props: Vec::new(),
                extra: Vec::new(),
            },
            attempt,
            app: app.to_owned(),
        };
        match connect(&self.gate, &self.challenges, candidate).await {
            LoginOutcome::Decided(ConnectDecision::Accept(grant)) => Ok(grant.attrs),
            LoginOutcome::Decided(ConnectDecision::Reject(refused))
            | LoginOutcome::Unauthenticated(refused) => Err(refused.description),
            LoginOutcome::Decided(other) => panic!("{other:?}"),
        }
    }

    /// The refusal that is a challenge of `user`.
    async fn challenge(&self, user: &str) -> String {
        let first = format!("live?authmod={}&user={user}", self.method.as_str());
        self.connect(&first).await.unwrap_err()
    }

    /// The connect that answers `challenge`.
    fn response(challenge: &str, user: &str, password: &str) -> String {
        let reply = reply(challenge, "live", user, password, "c0ffee00");
        format!("live?{}", reply.expect("a challenge"))
    }
}

fn field(text: &str, name: &str) -> String {
    let (_, rest) = text.split_once(&format!("{name}=")).expect("a field");
    rest.split('&').next().unwrap_or_default().to_owned()
}

const METHODS: [Method; 2] = [Method::Adobe, Method::Llnw];

#[tokio::test]
async fn who_knows_a_password_passes_once_for_each_challenge() {
    for method in METHODS {
        let server = Server::new(method);
        let asked = server.connect("live").await.unwrap_err();
        assert_eq!(asked, method.need_auth());
        let response = Server::response(&server.challenge("ann").await, "ann", "s3cret");
        let granted = server.connect(&response).await.expect("it is right");
        assert_eq!(granted[0], ("auth-user".into(), "ann".into()));
        // Overheard and sent again.
        assert_eq!(server.connect(&response).await, Err(method.failed()));
        for (user, password) in [("ann", "other"), ("bob", "s3cret"), ("bob", "")] {
            let response = Server::response(&server.challenge(user).await, user, password);
            assert_eq!(server.connect(&response).await, Err(method.failed()));
        }
    }
    let server = Server::new(Method::Adobe);
    let response = Server::response(&server.challenge("carl").await, "carl", "s3cret");
    server.connect(&response).await.expect("it is right");
}

#[tokio::test]
async fn a_flood_of_strangers_takes_no_challenge_away() {
    let server = Server::new(Method::Adobe);
    let challenge = server.challenge("ann").await;
    for stranger in 0..10_000 {
        let challenge = server.challenge(&format!("stranger{stranger}")).await;
        if stranger % 8 == 0 {
            let user = format!("stranger{stranger}");
            let response = Server::response(&challenge, &user, "guess");
            server.connect(&response).await.unwrap_err();
        }
    }
    let response = Server::response(&challenge, "ann", "s3cret");
    server.connect(&response).await.expect("it is right");
}

#[tokio::test]
async fn nothing_tells_whether_there_is_such_a_user() {
    for method in METHODS {
        let server = Server::new(method);
        // Carl's credential is of no use for the other method.
        let users: &[&str] = match method {
            Method::Adobe => &["ann", "bob"],
            Method::Llnw => &["ann", "bob", "carl"],
        };
        let mut shapes = Vec::new();
        for user in users {
            let (first, second) = (server.challenge(user).await, server.challenge(user).await);
            if method == Method::Adobe {
                // A real one does not change either.
                assert_eq!(field(&first, "salt"), field(&second, "salt"), "{user}");
            }
            assert_ne!(first, second, "the challenge itself is new");
            shapes.push(
                first
                    .replace(user, "USER")
                    .replace(|c: char| c.is_ascii_hexdigit(), "x"),
            );
            let wrong = Server::response(&first, user, "wrong");
            assert_eq!(server.connect(&wrong).await, Err(method.failed()), "{user}");
        }
        shapes.dedup();
        assert_eq!(shapes.len(), 1, "{shapes:?}");
    }
}

#[tokio::test]
async fn the_longest_user_gets_a_refusal_that_ffmpeg_can_read() {
    let server = Server::new(Method::Adobe);
    let longest = "u".repeat(livehost_rtmp::auth::MAX_USER);
    let challenge = server.challenge(&longest).await;
    assert!(
        challenge.len() < 250,
        "FFmpeg reads 256 bytes: {}",
        challenge.len()
    );
}
