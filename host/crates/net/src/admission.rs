//! How many connections there may be, in all and from one address.
//!
//! Who was granted to publish or play is known to the policy. All others are
//! strangers, and one address may have few of them: a school behind one address
//! has hundreds of players, but only as many that are just arriving.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use livehost_telemetry::counters;
use livehost_telemetry::counters::Counts;
use livehost_telemetry::network::network;
use parking_lot::Mutex;

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// In all.
    pub connections: usize,
    /// From one address; 0 for no limit.
    pub per_address: usize,
    /// From one network, without a grant to publish or play; 0 for no limit.
    pub ungranted_per_address: usize,
}

counters! {
    /// Connections that were refused.
    struct Refusals {
        /// `limits.connections` was reached.
        refused_full,
        /// `limits.connections_per_address` was reached.
        refused_per_address,
        /// `limits.ungranted_per_address` was reached.
        refused_ungranted,
    }
}

/// Counts connections and refuses those above the limits.
#[derive(Debug)]
pub struct Admission {
    refusals: Refusals,
    state: Mutex<AdmissionCounts>,
}

#[derive(Debug)]
struct AdmissionCounts {
    limits: AdmissionLimits,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    /// Those without a grant, by network.
    ungranted: HashMap<IpAddr, usize>,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// None while it is not known whose the connection is.
    address: Option<IpAddr>,
    /// It was granted to publish or play: then it counts among the strangers
    /// no more, whatever becomes of the stream.
    granted: AtomicBool,
}

/// Why a connection is closed as soon as it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// `limits.connections` is reached.
    #[error("the server holds {0} connections, its limit")]
    Full(usize),
    /// `limits.connections_per_address` is reached.
    #[error("the address holds {0} connections, its limit")]
    AddressFull(usize),
    /// `limits.ungranted_per_address` is reached.
    #[error(
        "the address, or its /64, holds {0} connections without a grant to publish or play, its \
         limit"
    )]
    StrangersFull(usize),
}

impl Admission {
    /// An empty count.
    pub fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            refusals: Refusals::default(),
            state: Mutex::new(AdmissionCounts {
                limits,
                total: 0,
                by_address: HashMap::new(),
                ungranted: HashMap::new(),
            }),
        })
    }

    /// Other limits from now on; who is there stays.
    pub fn set_limits(&self, limits: AdmissionLimits) {
        self.state.lock().limits = limits;
    }

    /// How many connections were refused.
    pub fn counts(&self) -> Counts {
        self.refusals.by_name().into()
    }

    /// Admits one more connection from `address`; none: from a proxy, which
    /// has yet to say whose it is (`Permit::attribute`).
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, AdmissionError> {
        let mut state = self.state.lock();
        let limits = state.limits;
        if state.total >= limits.connections {
            self.refusals.refused_full.add();
            return Err(AdmissionError::Full(limits.connections));
        }
        if let Some(address) = address {
            self.count(&mut state, address)?;
        }
        state.total = state.total.saturating_add(1);
        Ok(Permit {
            admission: self.clone(),
            address,
            granted: AtomicBool::new(false),
        })
    }

    fn count(&self, state: &mut AdmissionCounts, address: IpAddr) -> Result<(), AdmissionError> {
        let limits = state.limits;
        let network = network(address);
        if is_full(&state.by_address, &address, limits.per_address) {
            self.refusals.refused_per_address.add();
            return Err(AdmissionError::AddressFull(limits.per_address));
        }
        if is_full(&state.ungranted, &network, limits.ungranted_per_address) {
            self.refusals.refused_ungranted.add();
            return Err(AdmissionError::StrangersFull(limits.ungranted_per_address));
        }
        add(&mut state.by_address, address);
        add(&mut state.ungranted, network);
        Ok(())
    }
}

impl Permit {
    /// The connection is one of `address`.
    pub fn attribute(&mut self, address: IpAddr) -> Result<(), AdmissionError> {
        if self.address.is_none() {
            let mut state = self.admission.state.lock();
            self.admission.count(&mut state, address)?;
            self.address = Some(address);
        }
        Ok(())
    }

    /// The connection was granted to publish or to play.
    pub fn grant(&self) {
        if !self.granted.swap(true, Ordering::Relaxed)
            && let Some(address) = self.address
        {
            let mut state = self.admission.state.lock();
            remove(&mut state.ungranted, network(address));
        }
    }

    /// Whether it ever was.
    pub fn is_granted(&self) -> bool {
        self.granted.load(Ordering::Relaxed)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.total = state.total.saturating_sub(1);
        let Some(address) = self.address else {
            return;
        };
        remove(&mut state.by_address, address);
        if !self.is_granted() {
            remove(&mut state.ungranted, network(address));
        }
    }
}

fn is_full<K: Eq + Hash>(counts: &HashMap<K, usize>, key: &K, limit: usize) -> bool {
    limit > 0 && counts.get(key).is_some_and(|count| *count >= limit)
}

fn add<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    let count = counts.entry(key).or_insert(0);
    *count = count.saturating_add(1);
}

/// No entry is left for what there is none of.
fn remove<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: K) {
    if let Entry::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() = count.get().saturating_sub(1);
        if *count.get() == 0 {
            count.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_leaving_makes_room() {
        let admission = Admission::new(AdmissionLimits {
            connections: 3,
            per_address: 2,
            ungranted_per_address: 0,
        });
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let [a, b] = [Some(a), Some(b)];
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(
            admission.admit(a).unwrap_err(),
            AdmissionError::AddressFull(2)
        );
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), AdmissionError::Full(3));
        drop(first);
        let _fourth = admission.admit(a).unwrap();
        let counts = admission.counts();
        assert_eq!(counts.get("refused_full"), 1);
        assert_eq!(counts.get("refused_per_address"), 1);
        assert_eq!(admission.state.lock().by_address.len(), 2);
    }

    #[test]
    fn a_proxied_connection_counts_for_the_address_behind_the_proxy() {
        let admission = Admission::new(AdmissionLimits {
            connections: 3,
            per_address: 1,
            ungranted_per_address: 0,
        });
        let address = "192.0.2.1".parse::<IpAddr>().unwrap();
        let mut first = admission.admit(None).unwrap();
        let mut second = admission.admit(None).unwrap();
        first.attribute(address).unwrap();
        assert_eq!(
            second.attribute(address).unwrap_err(),
            AdmissionError::AddressFull(1)
        );
        drop(first);
        second.attribute(address).unwrap();
        let third = admission.admit(None).unwrap();
        assert_eq!(
            admission.admit(Some(address)).unwrap_err(),
            AdmissionError::AddressFull(1)
        );
        drop((second, third));
        let state = admission.state.lock();
        assert_eq!((state.total, state.by_address.len()), (0, 0));
        assert!(state.ungranted.is_empty());
    }

    fn strangers(ungranted_per_address: usize) -> Arc<Admission> {
        Admission::new(AdmissionLimits {
            connections: 100,
            per_address: 0,
            ungranted_per_address,
        })
    }

    fn from(admission: &Arc<Admission>, address: &str) -> Result<Permit, AdmissionError> {
        admission.admit(Some(address.parse().unwrap()))
    }

    #[test]
    fn who_was_granted_something_counts_no_more() {
        let admission = strangers(2);
        let player = from(&admission, "192.0.2.1").unwrap();
        let other = from(&admission, "192.0.2.1").unwrap();
        let refused = from(&admission, "192.0.2.1").unwrap_err();
        assert_eq!(refused, AdmissionError::StrangersFull(2));
        assert_eq!(admission.counts().get("refused_ungranted"), 1);
        from(&admission, "192.0.2.2").unwrap();
        // Twice is once.
        player.grant();
        player.grant();
        let third = from(&admission, "192.0.2.1").unwrap();
        from(&admission, "192.0.2.1").unwrap_err();
        // Its end makes no room that it did not take.
        drop(player);
        from(&admission, "192.0.2.1").unwrap_err();
        drop(other);
        from(&admission, "192.0.2.1").unwrap();
        drop(third);
        assert!(admission.state.lock().ungranted.is_empty());
        assert!(admission.state.lock().by_address.is_empty());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admission = strangers(1);
        let first = from(&admission, "2001:db8:0:7::1").unwrap();
        let refused = from(&admission, "2001:db8:0:7:ffff::2").unwrap_err();
        assert_eq!(refused, AdmissionError::StrangersFull(1));
        let next = from(&admission, "2001:db8:0:8::1").unwrap();
        drop((first, next));
        // An IPv4 address is one, however it is written.
        let first = from(&admission, "::ffff:192.0.2.1").unwrap();
        from(&admission, "192.0.2.1").unwrap_err();
        from(&admission, "192.0.2.2").unwrap();
        drop(first);
        assert!(admission.state.lock().ungranted.is_empty());
    }

    #[test]
    fn the_limit_may_change_and_be_none() {
        let admission = strangers(0);
        let permits: Vec<_> = (0..50)
            .map(|_| from(&admission, "192.0.2.1").unwrap())
            .collect();
        admission.set_limits(AdmissionLimits {
            connections: 100,
            per_address: 0,
            ungranted_per_address: 50,
        });
        from(&admission, "192.0.2.1").unwrap_err();
        permits[0].grant();
        from(&admission, "192.0.2.1").unwrap();
    }
}
