//! What players hear while there is no keyframe to begin with.

use std::time::{Duration, Instant};

use crate::support::{
    App, Config, Host,
    flv::{AUDIO, VIDEO},
    rtmp::{self, Client},
    together,
};

const SOON: Duration = Duration::from_secs(10);

const AVC_HEADER: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e];
const AAC_HEADER: &[u8] = &[0xaf, 0, 0x12, 0x10];

/// A publisher of numbered frames.
struct Script(Client);

impl Script {
    fn publish(host: &Host) -> Self {
        let client = Client::publish(host.addr, "live", "cam").expect("may publish");
        let mut script = Self(client);
        script.send(AUDIO, 0, AAC_HEADER);
        script
    }

    fn send(&mut self, kind: u8, at: u32, body: &[u8]) {
        self.0.media(kind, at, body).expect("is taken");
    }

    /// A frame of 20 ms, which says its number.
    fn audio(&mut self, number: u32) {
        let body = [&[0xaf, 1][..], &number.to_be_bytes()].concat();
        self.send(AUDIO, number * 20, &body);
    }

    fn video(&mut self, number: u32, first: u8, len: usize) {
        let mut body = vec![first, 1, 0, 0, 0];
        body.extend(number.to_be_bytes());
        body.resize(body.len() + len, 0x55);
        self.send(VIDEO, number * 20, &body);
    }

    fn keyframe(&mut self, number: u32) {
        self.video(number, 0x17, 100);
    }
}

/// What a player got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    AvcHeader,
    AacHeader,
    Audio(u32),
    Key(u32),
    Inter(u32),
}

struct Listener(Client);

impl Listener {
    fn play(host: &Host) -> Self {
        Self(Client::playing(host.addr, "live", "cam").expect("may play"))
    }

    /// All that comes up to `last`.
    fn until(&mut self, last: Got) -> Vec<Got> {
        let mut all = Vec::new();
        while all.last() != Some(&last) {
            let message = self.0.next(Instant::now() + SOON);
            let message = message.unwrap_or_else(|failure| {
                panic!("{failure:?} instead of {last:?}, behind {all:?}");
            });
            assert!(!rtmp::is_end(&message), "over behind {all:?}");
            all.extend(match (message.kind, &*message.payload) {
                (VIDEO, AVC_HEADER) => Some(Got::AvcHeader),
                (AUDIO, AAC_HEADER) => Some(Got::AacHeader),
                (AUDIO, [_, 1, number @ ..]) => Some(Got::Audio(read(number))),
                (VIDEO, [0x17, 1, _, _, _, number @ ..]) => Some(Got::Key(read(number))),
                (VIDEO, [0x27, 1, _, _, _, number @ ..]) => Some(Got::Inter(read(number))),
                _ => None,
            });
        }
        all
    }
}

fn read(number: &[u8]) -> u32 {
    let number = number.first_chunk().expect("a number");
    u32::from_be_bytes(*number)
}

#[test]
fn who_listens_misses_no_sound_while_video_is_promised_and_begins() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut waiting = Listener::play(&host);
    let mut script = Script::publish(&host);
    script.audio(1);
    let expected = [Got::AacHeader, Got::Audio(1)];
    assert_eq!(waiting.until(Got::Audio(1)), expected);
    // The camera is there, and off.
    script.send(VIDEO, 20, AVC_HEADER);
    script.audio(2);
    let expected = [Got::AvcHeader, Got::Audio(2)];
    assert_eq!(waiting.until(Got::Audio(2)), expected);
    let mut late = Listener::play(&host);
    script.audio(3);
    let expected = [Got::AacHeader, Got::AvcHeader, Got::Audio(3)];
    assert_eq!(late.until(Got::Audio(3)), expected);
    assert_eq!(waiting.until(Got::Audio(3)), [Got::Audio(3)]);
    // It is on; the first keyframe comes later.
    script.video(4, 0x27, 100);
    script.audio(4);
    script.keyframe(5);
    script.audio(5);
    script.video(6, 0x27, 100);
    let expected = [Got::Audio(4), Got::Key(5), Got::Audio(5), Got::Inter(6)];
    for mut player in [waiting, late] {
        assert_eq!(player.until(Got::Inter(6)), expected);
    }
    script.0.leave();
    host.stop();
}

#[test]
fn a_stream_without_keyframes_is_heard_and_seen_from_the_present_on() {
    let _guard = together();
    for join in ["Keyframe", "NextKeyframe"] {
        let media = format!("join: {join}, keyframe_cache: \"64 KiB\", queue_time: \"1 min\"");
        let app = App::open("reject").media(&media);
        let host = Host::start(&Config::live(app));
        let mut first = Listener::play(&host);
        let mut script = Script::publish(&host);
        script.send(VIDEO, 0, AVC_HEADER);
        script.keyframe(1);
        for number in 2..10 {
            script.video(number, 0x27, 10_000);
        }
        first.until(Got::Inter(9));
        // The group has outgrown the cache: a keyframe may still come.
        let mut late = Listener::play(&host);
        script.video(10, 0x27, 100);
        script.audio(10);
        let heard = [Got::AacHeader, Got::AvcHeader, Got::Audio(10)];
        assert_eq!(late.until(Got::Audio(10)), heard, "{join}");
        // Stream time goes on, a second a step.
        let last = 10 + 22 * 50;
        for number in (60..=last).step_by(50) {
            script.audio(number);
            script.video(number, 0x27, 100);
        }
        let audio = late.until(Got::Inter(last));
        let audio = audio.iter().filter(|got| matches!(got, Got::Audio(_)));
        assert_eq!(audio.count(), 22, "{join}");
        let mut later = Listener::play(&host);
        script.audio(last + 1);
        script.video(last + 1, 0x27, 100);
        let present = [
            Got::AacHeader,
            Got::AvcHeader,
            Got::Audio(last + 1),
            Got::Inter(last + 1),
        ];
        assert_eq!(later.until(Got::Inter(last + 1)), present, "{join}");
        script.0.leave();
        host.stop();
    }
}
