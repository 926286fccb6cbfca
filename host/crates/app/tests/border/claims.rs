//! Names that others give, too.

use std::sync::Arc;

use livehost_app::claims::{Claimed, Claiming, Claims, Local};
use livehost_app::refusal::{Refusal, RefusalKind};
use livehost_hub::{Claim, Hub, StreamKey};
use livehost_policy::PublishGrant;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::protocol::Server;

/// Others that have a say: they answer when they are told to, and hold a lease for
/// each name.
#[derive(Debug, Default)]
struct Others {
    go_on: Arc<Notify>,
    /// They have a last word when the name is claimed here.
    late: bool,
    /// These names are published elsewhere.
    taken: Vec<&'static str>,
    leases: Arc<Mutex<Vec<String>>>,
}

struct Held {
    name: String,
    hub: Arc<Hub>,
    leases: Arc<Mutex<Vec<String>>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let name = &self.name;
        let free = !self.hub.is_live(&StreamKey::called("live", name));
        (self.leases.lock()).push(format!("{name} given up, free here: {free}"));
    }
}

impl Claims for Others {
    fn claim(&self, hub: &Arc<Hub>, claim: Claim) -> Claiming {
        let name = claim.key.path();
        let is_taken = self.taken.contains(&name.as_str());
        let (hub, go_on, leases) = (hub.clone(), self.go_on.clone(), self.leases.clone());
        let late = self.late;
        Claiming::Later(Box::pin(async move {
            go_on.notified().await;
            if is_taken {
                return Err(Refusal::new(RefusalKind::Busy, "published elsewhere"));
            }
            let lease = Held {
                name,
                hub: hub.clone(),
                leases,
            };
            let claimed = match Local.claim(&hub, claim) {
                Claiming::Now(claimed) => claimed,
                Claiming::Later(claimed) => claimed.await,
            };
            let claimed = claimed?;
            if late {
                go_on.notified().await;
            }
            Ok(Claimed {
                lease: Some(Box::new(lease)),
                ..claimed
            })
        }))
    }
}

#[tokio::test]
async fn a_name_is_claimed_when_all_agree_and_given_up_once_it_is_free() {
    let others = Arc::new(Others {
        taken: vec!["busy"],
        ..Others::default()
    });
    let server = Server::with_claims(others.clone());
    {
        let gone = std::pin::pin!(server.publish("cam"));
        assert!(futures_util::poll!(gone).is_pending());
    }
    assert_eq!(server.policy.events(), [""; 0]);
    others.go_on.notify_one();
    let publisher = server.publish("cam").await.unwrap();
    assert_eq!(server.policy.events(), ["published cam"]);
    assert_eq!(*others.leases.lock(), [""; 0]);
    publisher.leave();
    assert_eq!(*others.leases.lock(), ["cam given up, free here: true"]);
    others.go_on.notify_one();
    let refused = server.publish("busy").await.err().unwrap();
    assert_eq!(
        (refused.number, &*refused.text),
        (409, "published elsewhere")
    );
}

#[tokio::test]
async fn a_name_that_nobody_has_begun_to_publish_is_not_held() {
    let others = Arc::new(Others {
        late: true,
        ..Others::default()
    });
    let server = Server::with_claims(others.clone());
    server.policy.grant(PublishGrant {
        hold_ms: Some(3_600_000),
        ..PublishGrant::default()
    });
    let is_live = || {
        let key = StreamKey::called("live", "cam");
        server.broker.hub().is_live(&key)
    };
    {
        let mut gone = std::pin::pin!(server.publish("cam"));
        assert!(futures_util::poll!(gone.as_mut()).is_pending());
        others.go_on.notify_one();
        assert!(futures_util::poll!(gone).is_pending());
        assert!(is_live(), "claimed here");
    }
    assert!(!is_live());
    assert_eq!(server.policy.events(), [""; 0]);
}
