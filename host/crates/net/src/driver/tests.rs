//! A driver with a scripted session over a carrier in memory, in simulated time.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use parking_lot::Mutex;

use super::*;
use crate::carrier::memory::Memory;

const STALL: Duration = Duration::from_secs(30);
const SEC: Duration = Duration::from_secs(1);

/// What waits for a carrier in memory.
#[derive(Debug, Default)]
struct Way {
    carrier: Memory,
    queue: Mutex<Vec<u8>>,
    since: Mutex<Option<Instant>>,
}

impl Way {
    fn push(&self, bytes: &[u8]) {
        self.since.lock().get_or_insert_with(Instant::now);
        self.queue.lock().extend_from_slice(bytes);
    }

    fn write(&self) -> io::Result<()> {
        let mut queue = self.queue.lock();
        let written = self.carrier.try_write(&[io::IoSlice::new(&queue)])?;
        queue.drain(..written);
        *self.since.lock() = (!queue.is_empty()).then(Instant::now);
        Ok(())
    }
}

impl Egress for Way {
    fn carrier(&self) -> &dyn Carrier {
        &self.carrier
    }

    fn waiting(&self) -> Waiting {
        Waiting {
            bytes: self.queue.lock().len(),
            since: *self.since.lock(),
        }
    }

    fn flush(&self) -> io::Result<bool> {
        if self.queue.lock().is_empty() {
            return Ok(false);
        }
        match self.write() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(self.queue.lock().is_empty()),
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.carrier.poll_write_ready(cx))?;
        Poll::Ready(self.write())
    }

    fn take_failure(&self) -> Option<io::Error> {
        None
    }
}

#[derive(Debug, PartialEq)]
enum End {
    Closed,
    Failed,
    Stalled,
    /// Its own deadline.
    Due,
    /// An event ended it.
    Told,
}

/// Takes bytes, except while an answer is awaited: `?` asks for one.
struct Script {
    way: Arc<Way>,
    taken: Vec<u8>,
    awaits: bool,
    outlives: bool,
    deadline: Option<Instant>,
    excused: Option<Instant>,
    max_waiting: usize,
    asked: Cell<bool>,
    answered: u32,
    caught_up: u32,
}

impl Script {
    fn over(way: &Arc<Way>) -> Self {
        Self {
            way: way.clone(),
            taken: Vec::new(),
            awaits: false,
            outlives: true,
            deadline: None,
            excused: None,
            max_waiting: usize::MAX,
            asked: Cell::new(false),
            answered: 0,
            caught_up: 0,
        }
    }
}

impl Session for Script {
    type End = End;

    fn lost(&self, lost: Lost) -> End {
        match lost {
            Lost::Closed => End::Closed,
            Lost::Failed(_) => End::Failed,
            Lost::Stalled(after) => {
                assert_eq!(after, STALL);
                End::Stalled
            }
        }
    }

    /// A `+` is a sign of life.
    fn advance(&mut self, now: Instant) -> Result<(), End> {
        if self.taken.ends_with(b"+") {
            self.taken.clear();
            self.deadline = Some(now + 10 * SEC);
        }
        Ok(())
    }

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> Result<usize, End> {
        for (at, byte) in bytes.iter().enumerate() {
            if self.awaits {
                return Ok(at);
            }
            self.awaits = *byte == b'?';
            self.taken.push(*byte);
            if *byte == b'!' {
                self.way.push(b"heard");
            }
        }
        Ok(bytes.len())
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), End> {
        match self.deadline.is_some_and(|due| due <= now) {
            true => Err(End::Due),
            false => Ok(()),
        }
    }

    fn may_read(&mut self, waiting: usize) -> bool {
        waiting < self.max_waiting
    }

    fn excuse(&mut self, now: Instant) {
        self.excused = Some(now);
    }

    fn awaits_answer(&self) -> bool {
        self.awaits
    }

    fn answer_outlives_peer(&self) -> bool {
        self.outlives
    }

    fn is_asked(&mut self) -> bool {
        self.asked.get()
    }

    fn answer(&mut self) -> bool {
        self.answered += 1;
        let between = self.taken.len().is_multiple_of(2);
        self.asked.set(!between);
        between
    }

    fn caught_up(&mut self) {
        self.caught_up += 1;
    }
}

fn never(_: &mut Script, _: &mut Context<'_>) -> Poll<Result<(), End>> {
    Poll::Pending
}

/// Answers whatever is awaited after a second.
fn answering() -> impl FnMut(&mut Script, &mut Context<'_>) -> Poll<Result<(), End>> {
    let pause = RefCell::new(None);
    move |script, cx| {
        if !script.awaits {
            return Poll::Pending;
        }
        let mut pause = pause.borrow_mut();
        let waits = pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(SEC)));
        std::task::ready!(waits.as_mut().poll(cx));
        *pause = None;
        script.awaits = false;
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_is_fed_and_what_is_said_goes_out() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    way.carrier.send(b"hello!");
    way.carrier.close(true);
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Closed);
    assert_eq!(script.taken, b"hello!");
    assert_eq!((driver.read(), script.caught_up), (6, 1));
    assert_eq!(way.carrier.take(), b"heard");
}

#[tokio::test(start_paused = true)]
async fn input_waits_for_an_answer_and_then_for_the_next() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    way.carrier.send(b"a?b?c");
    let mut driver = Driver::new(&*way, STALL);
    script.deadline = Some(Instant::now() + SEC + SEC / 2);
    assert_eq!(driver.run(&mut script, answering()).await, End::Due);
    assert_eq!(
        script.taken, b"a?b?",
        "one answer has come, the second has not"
    );
    assert!(!driver.is_all_taken());
    script.deadline = Some(Instant::now() + 60 * SEC);
    assert_eq!(driver.run(&mut script, answering()).await, End::Due);
    assert_eq!(script.taken, b"a?b?c");
    assert!(driver.is_all_taken());
}

#[tokio::test(start_paused = true)]
async fn no_more_is_held_than_a_bound_while_an_answer_is_awaited() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    way.carrier.send(b"?");
    way.carrier.send(&[b'x'; 300_000]);
    script.deadline = Some(Instant::now() + SEC);
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Due);
    assert!(driver.held.len() <= MAX_HELD + READ_SIZE);
    assert!(way.carrier.unread() >= 300_000 - MAX_HELD - READ_SIZE);
    assert!(
        script.excused.is_some(),
        "who is not read from is not silent"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_comes_nearer_is_kept() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    let begin = Instant::now();
    script.deadline = Some(begin + 100 * SEC);
    let mut told = false;
    let nearer = |script: &mut Script, _: &mut Context<'_>| {
        if told {
            return Poll::Pending;
        }
        told = true;
        script.deadline = Some(begin + 5 * SEC);
        Poll::Ready(Ok(()))
    };
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, nearer).await, End::Due);
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_waits_unread_when_a_deadline_comes_counts() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    let begin = Instant::now();
    script.deadline = Some(begin + SEC);
    // The runtime, which was held up, has not heard of it.
    way.carrier.send_untold(b"+");
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Due);
    assert_eq!(begin.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_nothing_is_gone_after_the_stall_and_one_that_takes_some_is_not() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    way.carrier.set_room(0);
    way.push(&[1; 1000]);
    let begin = Instant::now();
    let taking = way.clone();
    let peer = tokio::spawn(async move {
        for _ in 0..3 {
            tokio::time::sleep(STALL - SEC).await;
            taking.carrier.set_room(1);
        }
    });
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Stalled);
    let expected = 3 * (STALL - SEC) + STALL;
    assert_eq!(begin.elapsed().as_secs(), expected.as_secs());
    peer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_asks_and_never_reads_is_not_read_from_any_more() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    script.max_waiting = 100;
    way.carrier.set_room(0);
    way.push(&[1; 100]);
    way.carrier.send(b"abc");
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Stalled);
    assert_eq!((script.taken.len(), way.carrier.unread()), (0, 3));
}

#[tokio::test(start_paused = true)]
async fn an_event_ends_it() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    let mut driver = Driver::new(&*way, STALL);
    let told = |_: &mut Script, _: &mut Context<'_>| Poll::Ready(Err(End::Told));
    assert_eq!(driver.run(&mut script, told).await, End::Told);
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_after_reads_what_nobody_has_told_of() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    script.asked.set(true);
    // The runtime never hears of it.
    way.carrier.close(false);
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Closed);
}

#[tokio::test(start_paused = true)]
async fn in_the_middle_of_a_message_the_answer_waits_for_its_end() {
    let way = Arc::new(Way::default());
    let mut script = Script::over(&way);
    script.asked.set(true);
    script.deadline = Some(Instant::now() + 10 * SEC);
    way.carrier.send(b"x");
    let peer = way.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SEC).await;
        peer.carrier.send(b"y");
    });
    let mut driver = Driver::new(&*way, STALL);
    assert_eq!(driver.run(&mut script, never).await, End::Due);
    assert!(!script.asked.get());
    assert_eq!(script.answered, 2, "once in the middle, once behind it");
}

#[tokio::test(start_paused = true)]
async fn last_words_are_heard_unless_nobody_may_be_let_in_any_more() {
    for (outlives, heard) in [(true, &b"a?b"[..]), (false, b"a?")] {
        let way = Arc::new(Way::default());
        let mut script = Script::over(&way);
        script.outlives = outlives;
        way.carrier.send(b"a?b");
        way.carrier.close(true);
        let mut driver = Driver::new(&*way, STALL);
        assert_eq!(driver.run(&mut script, answering()).await, End::Closed);
        assert_eq!(script.taken, b"a?");
        driver.hear_out(&mut script, answering()).await;
        assert_eq!(script.taken, heard);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_bytes_are_waited_for_but_not_forever() {
    for (room, in_time) in [(usize::MAX, true), (3, false)] {
        let way = Arc::new(Way::default());
        way.carrier.set_room(room);
        way.push(b"goodbye");
        // Unread, and closed behind it.
        way.carrier.send(&[0; 100]);
        way.carrier.close(true);
        let begin = Instant::now();
        let driver = Driver::new(&*way, STALL);
        assert_eq!(driver.linger().await, in_time);
        assert_eq!(begin.elapsed() == LINGER, !in_time);
        assert_eq!(way.carrier.is_shut(), in_time);
        assert!(b"goodbye".starts_with(&way.carrier.take()));
    }
}
