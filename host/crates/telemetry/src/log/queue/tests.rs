use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

const SOON: Duration = Duration::from_secs(60);

/// Writes a batch when it is let, as often as it may fail first.
struct Gated {
    may_write: Receiver<()>,
    written: Sender<Vec<Vec<u8>>>,
    failures: usize,
}

impl Sink for Gated {
    fn write(&mut self, lines: &Batch) -> u64 {
        self.may_write.recv().expect("the test lets it");
        if self.failures > 0 {
            self.failures -= 1;
            return lines.len();
        }
        let lines = lines.iter().map(<[u8]>::to_vec).collect();
        self.written.send(lines).expect("the test listens");
        0
    }
}

struct Bench {
    queue: Queue,
    let_write: Sender<()>,
    written: Receiver<Vec<Vec<u8>>>,
    told: Receiver<u64>,
}

fn bench(failures: usize) -> Bench {
    let (let_write, may_write) = channel();
    let (write, written) = channel();
    let (tell, told) = channel();
    let sink = Gated {
        may_write,
        written: write,
        failures,
    };
    let queue = Queue::start(sink, move |lines| tell.send(lines).unwrap()).unwrap();
    Bench {
        queue,
        let_write,
        written,
        told,
    }
}

#[test]
fn who_logs_waits_for_nothing_and_what_has_no_room_is_counted() {
    let bench = bench(0);
    let line = [b'x'; 1000];
    let count = 2 * ROOM / line.len();
    for _ in 0..count {
        bench.queue.push(&line);
    }
    assert!(!bench.queue.flush(Duration::ZERO), "nothing is written yet");
    // At most a batch that the thread had taken, and a full one.
    for _ in 0..3 {
        bench.let_write.send(()).unwrap();
    }
    assert!(bench.queue.flush(SOON));
    let lost = bench.told.recv_timeout(SOON).unwrap();
    drop(bench.queue);
    let batches: Vec<_> = bench.written.iter().collect();
    for batch in &batches {
        let cost: usize = batch.iter().map(|line| line.len() + LINE).sum();
        assert!(cost <= ROOM, "{cost} bytes waited");
    }
    let written: usize = batches.iter().map(Vec::len).sum();
    assert!(written >= ROOM / (line.len() + LINE), "{written} written");
    assert_eq!(written as u64 + lost, count as u64, "every line is counted");
    assert!(bench.told.try_recv().is_err(), "told once");
}

#[test]
fn lines_that_can_not_be_written_are_told_when_one_can() {
    let bench = bench(2);
    for line in ["a", "b", "c"] {
        bench.queue.push(line.as_bytes());
        bench.let_write.send(()).unwrap();
        assert!(bench.queue.flush(SOON));
    }
    assert_eq!(bench.written.recv_timeout(SOON).unwrap(), [b"c"]);
    assert_eq!(bench.told.recv_timeout(SOON), Ok(2));
    assert!(bench.told.try_recv().is_err(), "told once");
}

#[test]
fn the_thread_ends_with_the_queue_when_all_is_written() {
    let bench = bench(0);
    bench.queue.push(b"last");
    drop(bench.queue);
    bench.let_write.send(()).unwrap();
    let written: Vec<_> = bench.written.iter().flatten().collect();
    assert_eq!(written, [b"last"]);
}

#[test]
fn a_flood_is_given_back() {
    let mut batch = Batch::default();
    while batch.push(&[b'x'; 100]) {}
    assert!(batch.bytes.capacity() >= ROOM / 2);
    let batch = batch.emptied();
    assert_eq!((batch.len(), batch.bytes.capacity()), (0, 0));
}
