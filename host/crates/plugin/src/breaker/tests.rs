use super::*;

const SECOND: Duration = Duration::from_secs(1);
const TRAP: FailureKind = FailureKind::Itself { waiting: false };
const WAIT: FailureKind = FailureKind::Itself { waiting: true };

fn of(address: u8) -> Caller {
    Caller::Network([192, 0, 2, address].into())
}

fn breaker(failures: usize) -> Breaker {
    Breaker::new(1, failures, 60 * SECOND)
}

fn admitted(breaker: &Breaker, caller: u8, now: Instant) -> Ticket<'_> {
    breaker.admit(of(caller), now).expect("it may call")
}

fn fail(breaker: &Breaker, caller: u8, now: Instant) -> Consequence {
    admitted(breaker, caller, now).failed(1, TRAP, now)
}

fn succeed(breaker: &Breaker, caller: u8, now: Instant) -> Option<Duration> {
    admitted(breaker, caller, now).succeeded(1, now)
}

/// Who of 10 may call.
fn may_call(breaker: &Breaker, now: Instant) -> Vec<u8> {
    let is_open = |caller: &u8| breaker.admit(of(*caller), now).is_ok();
    (0..10).filter(is_open).collect()
}

/// Opened by the callers 1, 2 and 3 at `now`.
fn opened(now: Instant) -> Breaker {
    let breaker = breaker(3);
    let verdicts = [1, 2, 3].map(|caller| fail(&breaker, caller, now).opened);
    assert_eq!(verdicts, [None, None, Some(SECOND)]);
    breaker
}

#[test]
fn the_fifth_failure_in_a_minute_opens_it() {
    let breaker = breaker(5);
    let now = Instant::now();
    for caller in [1, 2, 3, 1] {
        assert_eq!(fail(&breaker, caller, now).opened, None);
    }
    let now = now + 59 * SECOND;
    assert_eq!(fail(&breaker, 2, now).opened, Some(SECOND));
    let open = breaker.admit(of(9), now).expect_err("open");
    let expected = NotAdmitted {
        left: SECOND,
        waiting: false,
        alone: false,
    };
    assert_eq!(open, expected);
}

#[test]
fn old_failures_are_forgotten() {
    let breaker = breaker(5);
    let now = Instant::now();
    for caller in [1, 2, 3, 4] {
        fail(&breaker, caller, now);
    }
    let verdict = fail(&breaker, 5, now + 60 * SECOND);
    assert!(
        verdict.opened.is_none() && !verdict.condemned,
        "{verdict:?}"
    );
    succeed(&breaker, 1, now + 121 * SECOND);
    assert!(!breaker.troubled.load(Ordering::Acquire));
}

#[test]
fn a_few_failures_among_many_answers_do_not_open_it() {
    let breaker = breaker(5);
    let now = Instant::now();
    for turn in 0..3000 {
        let caller = (turn % 10) as u8;
        succeed(&breaker, caller, now);
        succeed(&breaker, caller, now);
        assert_eq!(fail(&breaker, caller, now), Consequence::default());
    }
    assert_eq!(breaker.state().failures.list.len(), MAX_FAILURES, "bounded");
    // Once all calls fail, the answers of before help no longer than a window.
    let later = now + 60 * SECOND;
    let failed = (0..5).map(|caller| fail(&breaker, caller, later).opened);
    assert_eq!(failed.flatten().next(), Some(SECOND));
}

#[test]
fn what_went_well_before_does_not_excuse_that_all_fail_now() {
    let breaker = breaker(5);
    let now = Instant::now();
    fail(&breaker, 1, now);
    for _ in 0..3000 {
        succeed(&breaker, 2, now);
    }
    let mut opened = (0..200_u8).map(|caller| fail(&breaker, caller, now).opened);
    let at = opened.position(|opened| opened == Some(SECOND));
    assert_eq!(at, Some(49), "ten times the limit");
}

#[test]
fn one_address_waits_and_others_do_not() {
    let breaker = breaker(5);
    let mut now = Instant::now();
    succeed(&breaker, 7, now);
    for _ in 0..4 {
        assert_eq!(fail(&breaker, 1, now), Consequence::default());
    }
    let mut waits = Vec::new();
    for _ in 0..8 {
        let Consequence {
            opened,
            delayed: Some(wait),
            condemned: false,
            ..
        } = fail(&breaker, 1, now)
        else {
            panic!("it waits, and nobody else");
        };
        assert_eq!(opened, None);
        assert_eq!(may_call(&breaker, now), [0, 2, 3, 4, 5, 6, 7, 8, 9]);
        let open = breaker.admit(of(1), now).expect_err("it waits");
        assert!(open.alone && open.left == wait, "{open:?}");
        waits.push(wait.as_secs());
        now += wait;
    }
    assert_eq!(waits, [1, 2, 4, 8, 10, 10, 10, 10]);
    // Two addresses are not enough either.
    for _ in 0..5 {
        assert_eq!(fail(&breaker, 2, now).opened, None);
    }
    assert_eq!(succeed(&breaker, 1, now), None);
    assert_eq!(fail(&breaker, 1, now).delayed, None, "from the beginning");
}

#[test]
fn answers_of_an_address_vouch_for_it() {
    let breaker = breaker(5);
    let now = Instant::now();
    for _ in 0..50 {
        succeed(&breaker, 1, now);
        succeed(&breaker, 1, now);
        assert_eq!(fail(&breaker, 1, now), Consequence::default());
    }
}

#[test]
fn addresses_that_fail_take_bounded_memory() {
    let breaker = breaker(1000);
    let now = Instant::now();
    for address in 0..3000_u32 {
        let caller = Caller::Network(address.to_be_bytes().into());
        if let Ok(ticket) = breaker.admit(caller, now) {
            ticket.failed(1, TRAP, now);
        }
        breaker
            .admit(of(1), now)
            .ok()
            .map(|it| it.succeeded(1, now));
        breaker
            .admit(of(1), now)
            .ok()
            .map(|it| it.succeeded(1, now));
    }
    let state = breaker.state();
    assert!(state.open.is_none());
    assert_eq!(state.failures.list.len(), MAX_FAILURES);
    drop(state);
    // And so do those that try and leave.
    let breaker = opened(now);
    let now = now + SECOND;
    for address in 0..1000_u32 {
        let caller = Caller::Network(address.to_be_bytes().into());
        drop(breaker.admit(caller, now));
    }
    breaker
        .admit(of(9), now)
        .expect("its turn")
        .succeeded(1, now);
    assert!(!breaker.is_open());
}

#[test]
fn with_the_smallest_limit_it_takes_three_addresses() {
    let breaker = breaker(1);
    let now = Instant::now();
    assert_eq!(fail(&breaker, 1, now).delayed, Some(SECOND));
    assert_eq!(fail(&breaker, 2, now).delayed, Some(SECOND));
    assert_eq!(fail(&breaker, 3, now).opened, Some(SECOND));
}

#[test]
fn the_hosts_own_calls_need_no_addresses() {
    let breaker = breaker(2);
    let mut now = Instant::now();
    let fail = |now| {
        let ticket = breaker.admit(Caller::Host, now).expect("it may call");
        ticket.failed(1, WAIT, now).opened
    };
    assert_eq!(fail(now), None);
    let mut back_off = fail(now).expect("the second");
    for _ in 0..10 {
        assert_eq!(breaker.suspended(now), Some(back_off));
        now += back_off;
        assert_eq!(breaker.suspended(now), None);
        back_off = fail(now).expect("opens again");
    }
    assert_eq!(back_off, MAX_BACK_OFF);
    now += back_off;
    let trial = breaker.admit(Caller::Host, now).expect("a trial");
    assert_eq!(
        trial.succeeded(1, now),
        Some(SECOND * (1 + 2 + 4 + 8 + 16 + 32 + 60 * 5))
    );
    assert!(!breaker.is_open());
}

#[test]
fn a_timer_waits_for_up_to_a_minute_and_others_fire() {
    let breaker = breaker(5);
    let timer = |key: &str| Caller::Timer(key.into());
    let mut now = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..12 {
        let ticket = breaker.admit(timer("bad"), now).expect("it is due");
        if let Some(wait) = ticket.failed(1, TRAP, now).delayed {
            assert!(breaker.admit(timer("bad"), now).is_err());
            let good = breaker.admit(timer("good"), now).expect("it fires");
            good.succeeded(1, now);
            waits.push(wait.as_secs());
            now += wait;
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn after_the_back_off_three_callers_try_once_each() {
    let now = Instant::now();
    let breaker = opened(now);
    assert!(may_call(&breaker, now).is_empty());
    let now = now + SECOND;
    let trials = [1, 5, 6].map(|caller| admitted(&breaker, caller, now));
    assert!(may_call(&breaker, now).is_empty(), "three, and each once");
    let [a, b, c] = trials;
    assert_eq!(a.failed(1, TRAP, now), Consequence::default());
    assert_eq!(b.failed(1, TRAP, now), Consequence::default());
    assert!(breaker.admit(of(1), now).is_err(), "it has had its turn");
    assert_eq!(c.failed(1, TRAP, now).opened, Some(2 * SECOND));
    assert!(may_call(&breaker, now + SECOND).is_empty());
    let now = now + 2 * SECOND;
    let slow = admitted(&breaker, 1, now);
    assert_eq!(succeed(&breaker, 2, now), Some(3 * SECOND));
    assert_eq!(may_call(&breaker, now).len(), 10);
    // It is over by then.
    assert_eq!(slow.failed(1, TRAP, now).opened, None);
}

#[test]
fn no_client_holds_the_trial_for_itself() {
    let start = Instant::now();
    let breaker = opened(start);
    let mut now = start + SECOND;
    // One that leaves each time, one that fails each time, one that is slow.
    drop(admitted(&breaker, 1, now));
    fail(&breaker, 2, now);
    let slow = admitted(&breaker, 3, now);
    assert!(breaker.admit(of(2), now).is_err());
    for _ in 0..10 {
        now += 61 * SECOND;
        drop(admitted(&breaker, 1, now));
        let verdict = fail(&breaker, 2, now);
        assert_eq!(verdict.opened, None, "it fails for itself alone");
        // Any other may try at once.
        drop(admitted(&breaker, 4, now));
    }
    assert_eq!(succeed(&breaker, 5, now), Some(now - start));
    drop(slow);
}

#[test]
fn a_trial_of_an_earlier_time_is_none_of_this_one() {
    let start = Instant::now();
    for is_reset in [false, true] {
        let breaker = opened(start);
        let mut now = start + SECOND;
        let [first, left, failed] = [1, 2, 3].map(|caller| admitted(&breaker, caller, now));
        let generation = if is_reset {
            breaker.reset(2, 3, 60 * SECOND);
            drop(first);
            2
        } else {
            assert!(first.succeeded(1, now).is_some());
            1
        };
        for caller in [4, 5, 6] {
            admitted(&breaker, caller, now).failed(generation, TRAP, now);
        }
        now += SECOND;
        let [a, b, c] = [4, 5, 6].map(|caller| admitted(&breaker, caller, now));
        drop(left);
        let verdict = failed.failed(generation, TRAP, now);
        assert_eq!(verdict, Consequence::default());
        assert!(may_call(&breaker, now).is_empty(), "all three run");
        assert_eq!(a.failed(generation, TRAP, now).opened, None);
        assert_eq!(b.failed(generation, TRAP, now).opened, None);
        assert_eq!(c.failed(generation, TRAP, now).opened, Some(2 * SECOND));
    }
}

#[test]
fn without_others_a_caller_tries_again_later_and_later() {
    let now = Instant::now();
    let breaker = opened(now);
    let mut now = now + SECOND;
    let mut waits = Vec::new();
    for _ in 0..8 {
        fail(&breaker, 1, now);
        let left = breaker.admit(of(1), now).expect_err("it has failed").left;
        waits.push(left.as_secs());
        now += left;
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(succeed(&breaker, 1, now).is_some());
}

#[test]
fn it_knows_whether_waiting_alone_has_opened_it() {
    let now = Instant::now();
    let opened_by = |failures: [FailureKind; 3]| {
        let breaker = breaker(3);
        for (failing, caller) in failures.into_iter().zip(1..) {
            let ticket = admitted(&breaker, caller, now);
            ticket.failed(1, failing, now);
        }
        breaker
    };
    let waiting = |breaker: &Breaker, now| breaker.admit(of(9), now).expect_err("open").waiting;
    assert!(waiting(&opened_by([WAIT, WAIT, WAIT]), now));
    assert!(!waiting(&opened_by([WAIT, TRAP, WAIT]), now));
    // What came late is not known to have waited.
    assert!(waiting(&opened_by([WAIT, FailureKind::Late, WAIT]), now));
    assert!(!waiting(&opened_by([FailureKind::Late; 3]), now));
    // From then on trials tell: one that does not wait is enough, and it takes
    // all of them to say that they do.
    let breaker = opened_by([WAIT, WAIT, WAIT]);
    let mut now = now + SECOND;
    let try_all = |now, turns: [FailureKind; 3]| {
        let tickets = [1, 2, 3].map(|caller| admitted(&breaker, caller, now));
        for (ticket, failing) in tickets.into_iter().zip(turns) {
            ticket.failed(1, failing, now);
        }
    };
    try_all(now, [WAIT, TRAP, WAIT]);
    assert!(!waiting(&breaker, now));
    now += 2 * SECOND;
    try_all(now, [WAIT, WAIT, WAIT]);
    assert!(waiting(&breaker, now));
    now += 4 * SECOND;
    fail(&breaker, 1, now);
    let other = breaker.admit(of(1), now).expect_err("it has had its turn");
    assert!(!other.waiting);
}

#[test]
fn queued_calls_count_when_nothing_at_all_was_answered() {
    let breaker = breaker(3);
    let now = Instant::now();
    let late = |answered: bool| {
        let tickets = [1, 2, 3].map(|caller| admitted(&breaker, caller, now));
        if answered {
            succeed(&breaker, 4, now);
        }
        let verdicts = tickets.map(|ticket| ticket.failed(1, FailureKind::Late, now));
        verdicts.map(|verdict| (verdict.opened, verdict.delayed))
    };
    assert_eq!(late(true), [(None, None); 3]);
    assert_eq!(
        late(false),
        [(None, None), (None, None), (Some(SECOND), None)]
    );
}

#[test]
fn only_the_generation_that_is_judged_counts() {
    let breaker = breaker(3);
    let now = Instant::now();
    let before = [1, 2, 3].map(|caller| admitted(&breaker, caller, now));
    let answered = admitted(&breaker, 4, now);
    breaker.reset(2, 3, 60 * SECOND);
    let verdicts = before.map(|ticket| ticket.failed(1, TRAP, now));
    assert_eq!(verdicts, [(); 3].map(|()| Consequence::default()));
    assert_eq!(answered.succeeded(1, now), None);
    // What the old one answered does not vouch for the new one.
    let fail = |caller| {
        admitted(&breaker, caller, now)
            .failed(2, TRAP, now)
            .condemned
    };
    assert_eq!([1, 2, 3].map(fail), [false, false, true]);
}

#[test]
fn two_addresses_alone_condemn_no_generation() {
    let now = Instant::now();
    let breaker = breaker(5);
    for address in [1, 2].repeat(20) {
        if let Ok(ticket) = breaker.admit(of(address), now) {
            let verdict = ticket.failed(1, TRAP, now);
            assert!(!verdict.condemned && !verdict.answers_nobody);
        }
    }
    let third = fail(&breaker, 3, now);
    assert!(third.opened.is_some() && third.condemned, "{third:?}");
}

#[test]
fn a_generation_that_answers_nobody_for_long_is_known() {
    let start = Instant::now();
    let answers_nobody = |answers: usize, failures: usize, lasted: Duration| {
        let breaker = breaker(5);
        for _ in 0..answers {
            succeed(&breaker, 9, start);
        }
        for _ in 1..failures {
            fail(&breaker, 1, start);
        }
        let last = fail(&breaker, 1, start + lasted);
        assert!(!last.condemned && last.opened.is_none(), "{last:?}");
        last.answers_nobody
    };
    assert!(answers_nobody(0, 5, 10 * SECOND));
    assert!(!answers_nobody(0, 5, 9 * SECOND));
    assert!(!answers_nobody(0, 4, 10 * SECOND));
    assert!(!answers_nobody(1, 5, 10 * SECOND));
}

#[test]
fn what_a_generation_before_did_not_answer_says_nothing() {
    let start = Instant::now();
    let breaker = breaker(2);
    fail(&breaker, 1, start);
    breaker.reset(2, 2, 60 * SECOND);
    let fail = |now| {
        admitted(&breaker, 1, now)
            .failed(2, TRAP, now)
            .answers_nobody
    };
    assert!(!fail(start + 10 * SECOND));
    assert!(!fail(start + 19 * SECOND));
    assert!(fail(start + 21 * SECOND));
}

#[test]
fn events_about_one_client_condemn_no_generation() {
    let breaker = breaker(2);
    let mut now = Instant::now();
    let fail = |address: Option<u8>, now| {
        let about = address.map(|address| Client {
            remote: format!("192.0.2.{address}:50000"),
            ..Client::default()
        });
        let ticket = breaker.admit(Caller::Host, now).expect("it may call");
        let verdict = ticket.about(about.as_ref()).failed(1, TRAP, now);
        (verdict.opened.is_some(), verdict.condemned)
    };
    assert_eq!(fail(Some(1), now), (false, false));
    // The function waits all the same.
    assert_eq!(fail(Some(1), now), (true, false));
    for address in [1, 1, 2, 1, 2] {
        now += MAX_BACK_OFF;
        assert_eq!(fail(Some(address), now), (true, false));
    }
    now += MAX_BACK_OFF;
    assert_eq!(fail(Some(3), now), (true, true));
    // Those about no client are the host's own.
    breaker.reset(1, 2, 60 * SECOND);
    assert_eq!(fail(None, now), (false, false));
    assert_eq!(fail(None, now), (true, true));
}
