//! Passwords inside RTMP: `rtmp://USER:PASSWORD@HOST/APP/NAME`.

use crate::bindings_auth::exports::livehost::app::auth::Guest;
use crate::export::{Exports, Hosted, with};
use crate::{App, ConnectRequest};

pub use crate::bindings_auth::exports::livehost::app::auth::{Credential, Salted};

/// How a client proves that it knows a password. The host speaks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Of Adobe's servers: OBS, FFmpeg, GStreamer and FMLE know it.
    Adobe,
    /// Limelight's: OBS and FFmpeg know it.
    Llnw,
}

/// A policy that knows users. Name it in [`export!`](crate::export) with
/// `auth`: `export!(MyPolicy, auth)`.
///
/// ```
/// use livehost_sdk::{App, Authenticate, Challenge, ConnectRequest, Credential};
///
/// struct Members;
///
/// impl App for Members {
///     fn configure(_config: &str) -> Result<Self, String> {
///         Ok(Members)
///     }
/// }
///
/// impl Authenticate for Members {
///     fn on_authenticate(&self, _req: &ConnectRequest) -> Option<Challenge> {
///         Some(Challenge::Adobe)
///     }
///     fn on_credential(&self, _req: &ConnectRequest, user: &str) -> Option<Credential> {
///         (user == "ann").then(|| Credential::Password("s3cret".into()))
///     }
/// }
///
/// livehost_sdk::export!(Members, auth);
/// # fn main() {}
/// ```
pub trait Authenticate: App {
    /// Which challenge this client must pass before [`App::on_connect`]; none
    /// lets it on as it is. Encoders send the property `type` = `nonprivate`,
    /// players don't.
    fn on_authenticate(&self, req: &ConnectRequest) -> Option<Challenge>;

    /// The password of a user, or what was derived from it; none if there is
    /// no such user. Clients are told only that user or password is wrong.
    fn on_credential(&self, req: &ConnectRequest, user: &str) -> Option<Credential>;
}

impl ConnectRequest {
    /// The user whose password the client has proved to know.
    pub fn user(&self) -> Option<&str> {
        let extra = self.extra.iter();
        let mut users = extra.filter(|(key, _)| key == "auth-user");
        users.next().map(|(_, user)| user.as_str())
    }
}

impl<H: Hosted> Guest for Exports<H>
where
    H::App: Authenticate,
{
    fn on_authenticate(req: ConnectRequest) -> Option<String> {
        let challenge = with::<H, _>(|app| app.on_authenticate(&req))?;
        Some(match challenge {
            Challenge::Adobe => "adobe".into(),
            Challenge::Llnw => "llnw".into(),
        })
    }

    fn on_credential(req: ConnectRequest, user: String) -> Option<Credential> {
        with::<H, _>(|app| app.on_credential(&req, &user))
    }
}
