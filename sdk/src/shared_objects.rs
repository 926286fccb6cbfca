//! Shared objects of RTMP clients, `SharedObject.getRemote` in Flash.

use crate::App;
use crate::bindings_shared_objects::exports::livehost::app::shared_objects::Guest;
use crate::export::{Exports, Hosted, with};

pub use crate::bindings_shared_objects::exports::livehost::app::shared_objects::{
    ObjectDecision, ObjectRequest, Operation, Property,
};

/// A policy that decides on shared objects. Name it in
/// [`export!`](crate::export) with `shared_objects`.
///
/// ```
/// use livehost_sdk::{
///     App, ObjectDecision, ObjectRequest, Operation, Property, ShareObjects, amf0, testing,
/// };
///
/// /// Everybody chats, nobody shouts; only moderators change the topic.
/// struct Room;
///
/// impl App for Room {
///     fn configure(_config: &str) -> Result<Self, String> {
///         Ok(Room)
///     }
/// }
///
/// impl ShareObjects for Room {
///     fn on_shared_object(&self, req: &ObjectRequest) -> ObjectDecision {
///         match &req.operation {
///             Operation::Connect | Operation::Send(_) => ObjectDecision::Allow,
///             Operation::Set(Property { name, amf0 }) if name == "last" => {
///                 match amf0::as_text(amf0) {
///                     Some(text) => ObjectDecision::rewrite(amf0::text(&text.to_lowercase())),
///                     None => ObjectDecision::Deny,
///                 }
///             }
///             _ => ObjectDecision::when(req.client.attr("role") == Some("moderator")),
///         }
///     }
/// }
///
/// livehost_sdk::export!(Room, shared_objects);
///
/// # fn main() {
/// let set = |name: &str, text: &str| testing::object("room", Operation::set(name, amf0::text(text)));
/// let quiet = ObjectDecision::rewrite(amf0::text("hello"));
/// assert_eq!(Room.on_shared_object(&set("last", "HELLO")), quiet);
/// assert_eq!(Room.on_shared_object(&set("topic", "mine")), ObjectDecision::Deny);
/// let mut moderator = set("topic", "news");
/// moderator.client.attrs.push(("role".into(), "moderator".into()));
/// assert_eq!(Room.on_shared_object(&moderator), ObjectDecision::Allow);
/// # }
/// ```
pub trait ShareObjects: App {
    /// May this client do so? Asked for each event, in the client's order.
    /// Values are AMF0, see [`amf0`](crate::amf0).
    fn on_shared_object(&self, req: &ObjectRequest) -> ObjectDecision;
}

impl Operation {
    /// To give a property this AMF0 value.
    pub fn set(name: impl Into<String>, amf0: Vec<u8>) -> Self {
        let name = name.into();
        Self::Set(Property { name, amf0 })
    }
}

impl ObjectDecision {
    /// With these AMF0 values instead: one for [`Operation::Set`], the
    /// handler's name and its arguments for [`Operation::Send`].
    pub fn rewrite(amf0: Vec<u8>) -> Self {
        Self::Rewrite(amf0)
    }

    /// Allows it if `yes`, denies it otherwise.
    pub fn when(yes: bool) -> Self {
        if yes { Self::Allow } else { Self::Deny }
    }
}

impl<H: Hosted> Guest for Exports<H>
where
    H::App: ShareObjects,
{
    fn on_shared_object(req: ObjectRequest) -> ObjectDecision {
        with::<H, _>(|app| app.on_shared_object(&req))
    }
}
