//! Passwords inside RTMP: `rtmp://USER:PASSWORD@HOST/APP/NAME`.

use crate::bindings_auth::exports::livehost::app::{auth, auth_need};
use crate::export::{Exports, Hosted, with};
use crate::{App, ConnectRequest, Scalar};

pub use crate::bindings_auth::exports::livehost::app::auth::{Credential, Salted};

/// How a client proves that it knows a password. The host speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Of Adobe's servers: OBS, FFmpeg, GStreamer and FMLE know it.
    Adobe,
    /// Limelight's: OBS and FFmpeg know it.
    Llnw,
}

impl Challenge {
    /// The interface's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Adobe => "adobe",
            Self::Llnw => "llnw",
        }
    }
}

/// A policy that knows users. Name it in [`export!`](crate::export) with
/// `auth`: `export!(MyPolicy, auth)`.
///
/// ```
/// use livehost_sdk::{App, Authenticate, Challenge, ConnectRequest, Credential};
/// use livehost_sdk::{ConnectDecision, ConnectGrant, testing};
///
/// struct Members;
///
/// impl App for Members {
///     fn configure(_config: &str) -> Result<Self, String> {
///         Ok(Members)
///     }
///     fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
///         // Later hooks find it in `req.client.attr("user")`.
///         ConnectGrant::default().attr("user", req.user().unwrap_or("nobody")).into()
///     }
/// }
///
/// impl Authenticate for Members {
///     fn on_authenticate(&self, req: &ConnectRequest) -> Option<Challenge> {
///         req.is_encoder().then_some(Challenge::Adobe)
///     }
///     fn on_credential(&self, _req: &ConnectRequest, user: &str) -> Option<Credential> {
///         (user == "ann").then(|| Credential::Password("s3cret".into()))
///     }
/// }
///
/// livehost_sdk::export!(Members, auth);
///
/// # fn main() {
/// let encoder = testing::encoder("live");
/// assert_eq!(Members.on_authenticate(&encoder), Some(Challenge::Adobe));
/// assert_eq!(Members.on_authenticate(&testing::connect("live")), None);
/// let credential = Members.on_credential(&encoder, "ann");
/// assert_eq!(credential, Some(Credential::Password("s3cret".into())));
/// assert_eq!(Members.on_credential(&encoder, "bob"), None);
/// assert!(Members.needs_auth());
/// // What the host asks once the client has shown that it knows the password.
/// let passed = testing::logged_in(encoder, "ann", Challenge::Adobe);
/// let ann = ConnectGrant::default().attr("user", "ann");
/// assert_eq!(Members.on_connect(&passed), ann.into());
/// # }
/// ```
pub trait Authenticate: App {
    /// Whether [`Authenticate::on_authenticate`] may ever ask for a challenge.
    /// The host asks once, between [`App::configure`] and [`App::on_start`]: a
    /// policy whose configuration has no users spares it a call for each client.
    /// One whose users come later, from the state or from a handoff, says true.
    fn needs_auth(&self) -> bool {
        true
    }

    /// Which challenge this client must pass before [`App::on_connect`]; none
    /// lets it on as it is. See [`ConnectRequest::is_encoder`].
    fn on_authenticate(&self, req: &ConnectRequest) -> Option<Challenge>;

    /// The password of a user, or what was derived from it; none if there is
    /// no such user. Clients are told only that user or password is wrong. Asked
    /// for a user's challenge and again for the response, so a salt has to stay.
    fn on_credential(&self, req: &ConnectRequest, user: &str) -> Option<Credential>;
}

impl ConnectRequest {
    /// The client is going to publish: encoders say so with the property
    /// `type` = `nonprivate`, players don't.
    pub fn is_encoder(&self) -> bool {
        let mut props = self.props.iter();
        props.any(|(name, value)| {
            name == "type" && matches!(value, Scalar::Text(text) if text == "nonprivate")
        })
    }

    /// The user whose password the client has proved to know.
    pub fn user(&self) -> Option<&str> {
        let extra = self.extra.iter();
        let mut users = extra.filter(|(key, _)| key == "auth-user");
        users.next().map(|(_, user)| user.as_str())
    }
}

impl<H: Hosted> auth_need::Guest for Exports<H>
where
    H::App: Authenticate,
{
    fn needs_auth() -> bool {
        with::<H, _>(Authenticate::needs_auth)
    }
}

impl<H: Hosted> auth::Guest for Exports<H>
where
    H::App: Authenticate,
{
    fn on_authenticate(req: ConnectRequest) -> Option<String> {
        let challenge = with::<H, _>(|app| app.on_authenticate(&req))?;
        Some(challenge.as_str().into())
    }

    fn on_credential(req: ConnectRequest, user: String) -> Option<Credential> {
        with::<H, _>(|app| app.on_credential(&req, &user))
    }
}
