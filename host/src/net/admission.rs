//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::tally::{Counts, counters};

/// Limits on connections.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionLimits {
    /// In all.
    pub connections: usize,
    /// From one address; 0 for no limit.
    pub per_address: usize,
}

counters! {
    /// Connections that were refused.
    struct Refusals {
        /// `limits.connections` was reached.
        refused_full,
        /// `limits.connections_per_address` was reached.
        refused_per_address,
    }
}

/// Counts connections and refuses those above the limits.
#[derive(Debug)]
pub struct Admission {
    refusals: Refusals,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limits: AdmissionLimits,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One admitted connection; dropping it makes room.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    /// None while it is not known whose the connection is.
    address: Option<IpAddr>,
}

/// Why a connection is closed as soon as it was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `limits.connections` is reached.
    #[error("the server holds {0} connections, its limit")]
    Full(usize),
    /// `limits.connections_per_address` is reached.
    #[error("the address holds {0} connections, its limit")]
    AddressFull(usize),
}

impl Admission {
    /// An empty count.
    pub fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            refusals: Refusals::default(),
            state: Mutex::new(State {
                limits,
                total: 0,
                by_address: HashMap::new(),
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
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Result<Permit, Refused> {
        let mut state = self.state.lock();
        let limits = state.limits;
        if state.total >= limits.connections {
            self.refusals.refused_full.add();
            return Err(Refused::Full(limits.connections));
        }
        if let Some(address) = address {
            self.count(&mut state, address)?;
        }
        state.total = state.total.saturating_add(1);
        Ok(Permit {
            admission: self.clone(),
            address,
        })
    }

    fn count(&self, state: &mut State, address: IpAddr) -> Result<(), Refused> {
        let limit = state.limits.per_address;
        let here = state.by_address.entry(address).or_insert(0);
        // One that has none is below any limit, so no empty entry is left.
        if limit > 0 && *here >= limit {
            self.refusals.refused_per_address.add();
            return Err(Refused::AddressFull(limit));
        }
        *here = here.saturating_add(1);
        Ok(())
    }
}

impl Permit {
    /// The connection is one of `address`.
    pub fn attribute(&mut self, address: IpAddr) -> Result<(), Refused> {
        if self.address.is_none() {
            let mut state = self.admission.state.lock();
            self.admission.count(&mut state, address)?;
            self.address = Some(address);
        }
        Ok(())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        state.total = state.total.saturating_sub(1);
        let Some(address) = self.address else {
            return;
        };
        if let Some(here) = state.by_address.get_mut(&address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                state.by_address.remove(&address);
            }
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
        });
        let [a, b] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let [a, b] = [Some(a), Some(b)];
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), Refused::AddressFull(2));
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), Refused::Full(3));
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
        });
        let address = "192.0.2.1".parse::<IpAddr>().unwrap();
        let mut first = admission.admit(None).unwrap();
        let mut second = admission.admit(None).unwrap();
        first.attribute(address).unwrap();
        assert_eq!(
            second.attribute(address).unwrap_err(),
            Refused::AddressFull(1)
        );
        drop(first);
        second.attribute(address).unwrap();
        let third = admission.admit(None).unwrap();
        assert_eq!(
            admission.admit(Some(address)).unwrap_err(),
            Refused::AddressFull(1)
        );
        drop((second, third));
        let state = admission.state.lock();
        assert_eq!((state.total, state.by_address.len()), (0, 0));
    }
}
