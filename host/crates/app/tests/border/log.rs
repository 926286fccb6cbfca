//! What the log has of clients that do the same again and again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use livehost_app::control::Control;
use livehost_app::directory::Directory;
use livehost_media::NotAPacket;
use livehost_policy::{MediaControl, Order, StreamRef};
use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::protocol::Server;

/// How often each message was logged on this thread.
#[derive(Clone, Default)]
struct Messages(Arc<Mutex<BTreeMap<String, usize>>>);

impl Messages {
    fn start() -> (Self, DefaultGuard) {
        // As long as there is but one subscriber, tracing asks that of the thread
        // which comes to a line first whether the line is of interest: another
        // test's has none.
        static ANOTHER: LazyLock<Dispatch> =
            LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
        LazyLock::force(&ANOTHER);
        let messages = Self::default();
        let subscriber = tracing_subscriber::registry().with(messages.clone());
        (messages, tracing::subscriber::set_default(subscriber))
    }

    fn count(&self, message: &str) -> usize {
        self.0.lock().get(message).copied().unwrap_or_default()
    }
}

impl<S: Subscriber> Layer<S> for Messages {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        *self.0.lock().entry(message.0).or_default() += 1;
    }
}

/// How much more than one minute's quota may be there: more only on a machine that
/// takes minutes.
fn minutes(since: Instant) -> usize {
    1 + since.elapsed().as_secs() as usize / 60
}

#[tokio::test]
async fn who_publishes_and_plays_again_and_again_fills_no_log() {
    let (messages, _guard) = Messages::start();
    let begin = Instant::now();
    let server = Server::new();
    for _ in 0..4000 {
        let mut publisher = server.publish("cam").await.unwrap();
        let why = NotAPacket::Empty;
        publisher.send_nonsense(1, &why).unwrap();
        drop(server.play("cam").await.unwrap());
        drop(publisher);
    }
    let of_publishers = messages.count("publishing") + messages.count("unpublished");
    assert!(of_publishers >= 600);
    assert!(of_publishers <= 600 * minutes(begin), "{of_publishers}");
    let of_players = messages.count("playing") + messages.count("play ended");
    assert!(of_players >= 6000);
    assert!(of_players <= 6000 * minutes(begin), "{of_players}");
    let of_media = messages.count("dropping a message that is no frame");
    assert!(
        (600..=600 * minutes(begin)).contains(&of_media),
        "{of_media}"
    );
}

#[tokio::test]
async fn who_waits_when_publishers_come_and_go_fills_no_log() {
    let (messages, _guard) = Messages::start();
    let begin = Instant::now();
    let server = Server::new();
    let mut players = Vec::new();
    for _ in 0..100 {
        players.push(server.play("cam").await.unwrap());
    }
    for _ in 0..100 {
        drop(server.publish("cam").await.unwrap());
        for player in &mut players {
            player.next().await.unwrap();
            player.next().await.unwrap();
        }
    }
    let lines = messages.count("the publisher has appeared")
        + messages.count("the publisher has left; waiting for another")
        + messages.count("playing: waiting for a publisher");
    assert!((6000..=6000 * minutes(begin)).contains(&lines), "{lines}");
}

#[tokio::test]
async fn a_plugin_that_orders_what_nobody_can_do_fills_no_log() {
    let (messages, _guard) = Messages::start();
    let begin = Instant::now();
    let server = Server::new();
    let directory = Directory::new(Arc::default());
    let control = Control::new(server.broker.clone(), directory);
    for _ in 0..1000 {
        let order = Order::StopRecord {
            stream: StreamRef::Path("cam".to_owned()),
        };
        control.check("live", &order).unwrap_err();
    }
    let lines = messages.count("not available yet: the plugin's order is refused");
    assert!((60..=60 * minutes(begin)).contains(&lines), "{lines}");
}
