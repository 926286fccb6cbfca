//! Who comes and goes: healthy publishers and players, whose every message is
//! checked, and one in ten that misbehaves.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};

use super::{
    rogue::{Fate, Kind, Rogue},
    server::KEY,
};
use crate::{
    client::{
        Client, ConnId, Event, Happened, Pace, Plan, Purpose, Reading, Tally, Target, Window,
    },
    clock::{SECOND, now_ns},
    media::{BitRate, Model, Shape},
};

/// Tallies: of those whose every message must come, and of the others.
const HEALTHY: usize = 0;
const OTHERS: usize = 1;
/// Streams that run all the time, and the players of each that stay.
const STEADY: u32 = 4;
const STAYING: u32 = 3;
/// Bits a second of the streams; the first is one that slow readers fall
/// behind soon.
const RATE: BitRate = BitRate(600_000);
const FAST: BitRate = BitRate(4_000_000);
/// What a slow reader takes, in bytes a second.
const SLOW: u32 = 10_000;
/// How long everybody may take to start.
const START_LIMIT: u64 = 60 * SECOND;
/// Reasons kept of connections that should not have ended.
const REASONS: usize = 20;

/// What a connection is in the crowd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Stays to the end.
    Steady,
    Publisher,
    Player,
    /// Misbehaves: leaves without a word in the middle of its stream.
    Aborting,
    /// Misbehaves: stops sending and stays.
    Stalling,
    /// Misbehaves: has another key.
    WrongKey,
    /// Misbehaves: reads too slowly.
    Slow,
}

#[derive(Debug)]
struct Guest {
    role: Role,
    stream: u32,
    started: bool,
}

/// What happened so far.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) publishers: u64,
    pub(super) players: u64,
    /// Misbehaving ones by what they do, and how many of them were closed or
    /// refused by the server.
    pub(super) misbehaving: BTreeMap<&'static str, (u64, u64)>,
    /// What should not happen.
    pub(super) healthy_lost: u64,
    pub(super) never_started: u64,
    pub(super) wrong_key_let_in: u64,
    pub(super) forgotten: u64,
    pub(super) reasons: Vec<String>,
}

/// Everybody.
pub(super) struct Crowd {
    client: Client,
    target: Target,
    guests: BTreeMap<ConnId, Guest>,
    leaving: BinaryHeap<Reverse<(u64, ConnId)>>,
    rogues: Vec<(Rogue, &'static str)>,
    model: Arc<Model>,
    fast: Arc<Model>,
    arrivals: u64,
    next_stream: u32,
    noise: u64,
    pub(super) counts: Counts,
}

impl Crowd {
    pub(super) fn new(target: Target) -> Result<Self> {
        let mut client = Client::new(target.clone(), 2)?;
        client.measure(Window {
            from_ns: 0,
            to_ns: u64::MAX,
        })?;
        Ok(Self {
            client,
            target,
            guests: BTreeMap::new(),
            leaving: BinaryHeap::new(),
            rogues: Vec::new(),
            model: Arc::new(Model::new(RATE, Shape::USUAL)),
            fast: Arc::new(Model::new(FAST, Shape::USUAL)),
            arrivals: 0,
            next_stream: STEADY,
            noise: 0x9E37_79B9_7F4A_7C15,
            counts: Counts::default(),
        })
    }

    /// Starts what runs all the time.
    ///
    /// # Errors
    /// If it doesn't start.
    pub(super) fn settle(&mut self) -> Result<()> {
        for stream in 0..STEADY {
            self.publish(stream, Role::Steady, None)?;
        }
        self.await_all()?;
        for stream in 0..STEADY {
            for _ in 0..STAYING {
                self.play(stream, Role::Steady, None)?;
            }
        }
        self.await_all()
    }

    fn await_all(&mut self) -> Result<()> {
        let deadline = now_ns() + START_LIMIT;
        while self.guests.values().any(|guest| !guest.started) {
            ensure!(now_ns() < deadline, "the steady streams don't start");
            self.run(now_ns() + SECOND / 10)?;
        }
        Ok(())
    }

    /// One more comes.
    pub(super) fn arrive(&mut self) -> Result<()> {
        let count = self.arrivals;
        self.arrivals += 1;
        if count % 10 == 9 {
            return self.misbehave(count / 10);
        }
        let stay = self.between(3, 15);
        if count.is_multiple_of(3) {
            let stream = self.new_stream();
            self.publish(stream, Role::Publisher, Some(stay))
        } else {
            let stream = u32::try_from(count % u64::from(STEADY))?;
            self.play(stream, Role::Player, Some(stay))
        }
    }

    fn misbehave(&mut self, turn: u64) -> Result<()> {
        let stay = self.between(3, 10);
        let what = match turn % 9 {
            0 => return self.rogue("noise", Kind::Noise),
            1 => return self.rogue("half a handshake", Kind::HalfHandshake),
            2 => return self.rogue("silence", Kind::Silence),
            3 => return self.rogue("noise after the handshake", Kind::NoiseAfterHandshake),
            4 => return self.rogue("HTTP", Kind::Http),
            5 => {
                self.play(0, Role::Slow, Some(90 * SECOND))?;
                "slow reader"
            }
            6 => {
                let stream = self.new_stream();
                self.publish(stream, Role::Aborting, Some(stay))?;
                "aborted publisher"
            }
            7 => {
                let stream = self.new_stream();
                self.publish(stream, Role::Stalling, Some(stay))?;
                "publisher that stalls"
            }
            _ => {
                let stream = self.new_stream();
                self.publish(stream, Role::WrongKey, Some(stay))?;
                "wrong key"
            }
        };
        self.counts.misbehaving.entry(what).or_default().0 += 1;
        Ok(())
    }

    fn rogue(&mut self, what: &'static str, kind: Kind) -> Result<()> {
        let seed = self.noise.to_le_bytes()[0];
        let rogue = Rogue::open(self.target.addr, kind, seed)?;
        self.rogues.push((rogue, what));
        self.counts.misbehaving.entry(what).or_default().0 += 1;
        Ok(())
    }

    fn new_stream(&mut self) -> u32 {
        self.next_stream += 1;
        self.next_stream
    }

    fn publish(&mut self, stream: u32, role: Role, stay: Option<u64>) -> Result<()> {
        let key = match role {
            Role::WrongKey => "another",
            _ => KEY,
        };
        let purpose = Purpose::Publish {
            name: format!("{}?key={key}", name(stream)),
        };
        self.counts.publishers += u64::from(matches!(role, Role::Steady | Role::Publisher));
        self.open(purpose, stream, role, stay)
    }

    fn play(&mut self, stream: u32, role: Role, stay: Option<u64>) -> Result<()> {
        self.counts.players += u64::from(role != Role::Slow);
        let purpose = Purpose::Play { name: name(stream) };
        self.open(purpose, stream, role, stay)
    }

    fn open(&mut self, purpose: Purpose, stream: u32, role: Role, stay: Option<u64>) -> Result<()> {
        let plan = Plan {
            purpose,
            group: if role == Role::Slow { OTHERS } else { HEALTHY },
            reading: match role {
                Role::Slow => Reading::Slow(SLOW),
                _ => Reading::Prompt,
            },
        };
        let id = self.client.open(plan, stream)?;
        if let Some(stay) = stay {
            self.leaving.push(Reverse((now_ns() + stay, id)));
        }
        let started = false;
        self.guests.insert(
            id,
            Guest {
                role,
                stream,
                started,
            },
        );
        Ok(())
    }

    /// Does what is due until `until_ns`.
    pub(super) fn run(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns {
            for event in self.client.turn(until_ns)? {
                self.handle(event)?;
            }
        }
        let now = now_ns();
        while let Some(Reverse((due, id))) = self.leaving.peek().copied() {
            if due > now {
                break;
            }
            self.leaving.pop();
            self.depart(id);
        }
        self.look_at_rogues();
        Ok(())
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        let Some(guest) = self.guests.get_mut(&event.conn) else {
            return Ok(());
        };
        let (role, stream) = (guest.role, guest.stream);
        match event.what {
            Happened::Started => {
                guest.started = true;
                let publishes = matches!(
                    self.client.purpose(event.conn),
                    Some(Purpose::Publish { .. })
                );
                if role == Role::WrongKey {
                    self.counts.wrong_key_let_in += 1;
                } else if publishes {
                    let model = if stream == 0 { &self.fast } else { &self.model };
                    self.client
                        .feed(event.conn, stream, model, Pace::RealTime, now_ns())?;
                    if role == Role::Publisher {
                        let stay = self.between(2, 12);
                        self.play(stream, Role::Player, Some(stay))?;
                    }
                }
            }
            Happened::Closed(why) => {
                self.guests.remove(&event.conn);
                self.closed(role, stream, &why);
            }
            Happened::Connected | Happened::Keyframe => {}
        }
        Ok(())
    }

    /// The server closed it.
    fn closed(&mut self, role: Role, stream: u32, why: &anyhow::Error) {
        let what = match role {
            Role::Steady | Role::Publisher | Role::Player => {
                self.counts.healthy_lost += 1;
                self.reason(format!("{role:?} of stream {stream} closed: {why:#}"));
                return;
            }
            Role::Aborting => return,
            Role::Stalling => "publisher that stalls",
            Role::WrongKey => "wrong key",
            Role::Slow => "slow reader",
        };
        self.counts.misbehaving.entry(what).or_default().1 += 1;
    }

    /// Its time is over.
    fn depart(&mut self, id: ConnId) {
        let Some(guest) = self.guests.get(&id) else {
            return;
        };
        match guest.role {
            Role::Steady => {}
            // It stays, silent, until the server is tired of it.
            Role::Stalling => {
                self.client.mute(id);
                return;
            }
            Role::Aborting | Role::Slow => self.client.abort(id),
            Role::Publisher | Role::Player | Role::WrongKey => {
                if !guest.started && guest.role != Role::WrongKey {
                    self.counts.never_started += 1;
                    let reason = format!("{:?} of stream {}", guest.role, guest.stream);
                    self.reason(format!("{reason} was not let in"));
                }
                self.client.leave(id);
            }
        }
        self.guests.remove(&id);
    }

    fn look_at_rogues(&mut self) {
        let counts = &mut self.counts;
        self.rogues.retain_mut(|(rogue, what)| match rogue.look() {
            Fate::Open => true,
            Fate::Closed => {
                counts.misbehaving.entry(what).or_default().1 += 1;
                false
            }
            Fate::Forgotten => {
                counts.forgotten += 1;
                false
            }
        });
    }

    fn reason(&mut self, text: String) {
        if self.counts.reasons.len() < REASONS {
            self.counts.reasons.push(text);
        }
    }

    /// Everybody goes.
    pub(super) fn leave(&mut self) -> Result<()> {
        for id in std::mem::take(&mut self.guests).into_keys() {
            self.client.leave(id);
        }
        self.leaving.clear();
        self.rogues.clear();
        Ok(())
    }

    /// Connections that are open at this end.
    pub(super) fn open_count(&self) -> usize {
        self.client.open_count() + self.rogues.len()
    }

    /// What healthy players received.
    pub(super) fn tally(&self) -> Result<&Tally> {
        self.client.tallies.get(HEALTHY).context("a tally")
    }

    /// A time in this range of seconds, in nanoseconds: xorshift64.
    fn between(&mut self, from: u64, to: u64) -> u64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        from * SECOND + self.noise % ((to - from) * SECOND)
    }
}

fn name(stream: u32) -> String {
    format!("soak{stream}")
}
