//! `control`: orders to the media plane, limited to this application.
//!
//! Lengths are looked at first, by what they are of; reasons are cut. An order is
//! looked at while the guest waits, and kept until its call is over: one that
//! failed has ordered nothing. An order that is denied is a line in the log;
//! beyond some of a second, those that would be are not even looked at.

use std::time::Instant;

use livehost_policy::names::MAX_PATH;
use livehost_policy::{MediaControl, Order, StreamRef};

use crate::application::AppContext;
use crate::bindings::livehost::app::control::{ControlError, Host};
use crate::bindings::livehost::app::types::{ConnId, Recording, StreamId};
use crate::bounds::{MAX_DATA, MAX_URL, MAX_WORD};
use crate::convert::{reason, recording};
use crate::instance::HostState;

/// Orders of one call.
const MAX_ORDERS: usize = 10_000;
/// What they take in memory, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// What a call has ordered so far.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: Vec<Order>,
    bytes: usize,
}

impl Orders {
    fn has_room(&self, order: &Order) -> bool {
        let bytes = self.bytes.saturating_add(order.bytes());
        self.queue.len() < MAX_ORDERS && bytes <= MAX_BYTES
    }

    fn push(&mut self, order: Order) {
        self.bytes = self.bytes.saturating_add(order.bytes());
        self.queue.push(order);
    }

    /// After the call that gave them.
    pub(crate) fn carry_out(self, app: &AppContext) {
        for order in self.queue {
            app.services.control.carry_out(&app.name, order);
        }
    }

    /// Before those of `later`.
    pub(crate) fn extend(&mut self, later: Self) {
        self.bytes = self.bytes.saturating_add(later.bytes);
        self.queue.extend(later.queue);
    }
}

impl HostState {
    /// Forgets what a call that failed has ordered.
    pub(crate) fn drop_orders(&self, hook: &'static str, orders: &Orders) {
        if !orders.queue.is_empty() {
            let message = format!(
                "{hook} failed: its {} orders are dropped",
                orders.queue.len()
            );
            self.warn(&message);
        }
    }

    fn order(&mut self, order: Order) -> Result<(), ControlError> {
        let control = &*self.app.services.control;
        control.check(&self.app.name, &order).inspect_err(|error| {
            if let livehost_policy::ControlError::Unusable(reason) = error {
                self.warn(reason);
            }
        })?;
        if !self.orders.has_room(&order) {
            return Err(ControlError::Busy);
        }
        self.orders.push(order);
        Ok(())
    }

    /// An order that the configuration may not allow.
    fn wish(
        &mut self,
        is_allowed: impl FnOnce(&dyn MediaControl, &str) -> bool,
        wish: Order,
    ) -> Result<(), ControlError> {
        let app = &self.app;
        let is_used_up = app.denials.lock().is_used_up(Instant::now());
        if is_used_up && !is_allowed(&*app.services.control, &app.name) {
            return Err(ControlError::Denied);
        }
        let done = self.order(wish);
        if matches!(done, Err(ControlError::Denied)) {
            self.app.denials.lock().admit(Instant::now());
        }
        done
    }

    /// The stream that the guest calls `name`. Nothing has a longer one.
    fn named(&self, name: &str) -> Result<StreamRef, ControlError> {
        if name.len() > MAX_PATH {
            return Err(ControlError::NotFound);
        }
        let path = self.resolve(name).ok_or(ControlError::NotFound)?;
        Ok(StreamRef::Path(path))
    }

    fn start_forward(&mut self, stream: StreamRef, url: String) -> Result<(), ControlError> {
        let denied = |control: &dyn MediaControl, app: &str| control.may_forward(app, &url);
        let order = Order::StartForward {
            stream,
            url: url.clone(),
        };
        self.wish(denied, order)
    }

    fn stop_forward(&mut self, stream: StreamRef, url: String) -> Result<(), ControlError> {
        if url.len() > MAX_URL {
            return Err(ControlError::NotFound);
        }
        self.order(Order::StopForward { stream, url })
    }

    fn send_data(
        &mut self,
        stream: StreamRef,
        handler: String,
        amf0: Vec<u8>,
    ) -> Result<(), ControlError> {
        if handler.len() > MAX_WORD || amf0.len() > MAX_DATA {
            let (handler, amf0) = (handler.len(), amf0.len());
            let message = format!(
                "data was not sent: expected at most {MAX_WORD} bytes of handler and {MAX_DATA} \
                 of amf0, found {handler} and {amf0}"
            );
            self.warn(&message);
            return Err(ControlError::Denied);
        }
        self.order(Order::SendData {
            stream,
            handler,
            amf0,
        })
    }
}

impl Host for HostState {
    fn disconnect(&mut self, conn: ConnId, reason: String) -> Result<(), ControlError> {
        let reason = self::reason(&reason);
        self.order(Order::Disconnect { conn, reason })
    }

    fn stop_stream(&mut self, name: String, reason: String) -> Result<(), ControlError> {
        let (stream, reason) = (self.named(&name)?, self::reason(&reason));
        self.order(Order::StopStream { stream, reason })
    }

    fn start_record(&mut self, name: String, spec: Recording) -> Result<(), ControlError> {
        let stream = self.named(&name)?;
        let spec = recording(spec).map_err(|error| {
            self.warn(&format!("no recording: {error}"));
            ControlError::Denied
        })?;
        let order = Order::StartRecord { stream, spec };
        self.wish(|control, _| control.may_record(), order)
    }

    fn stop_record(&mut self, name: String) -> Result<(), ControlError> {
        let stream = self.named(&name)?;
        let order = Order::StopRecord { stream };
        self.wish(|control, _| control.may_record(), order)
    }

    fn start_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        let stream = self.named(&name)?;
        HostState::start_forward(self, stream, url)
    }

    fn stop_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        let stream = self.named(&name)?;
        HostState::stop_forward(self, stream, url)
    }

    fn send_data(
        &mut self,
        name: String,
        handler: String,
        amf0: Vec<u8>,
    ) -> Result<(), ControlError> {
        let stream = self.named(&name)?;
        HostState::send_data(self, stream, handler, amf0)
    }

    fn stop_stream_id(&mut self, id: StreamId, reason: String) -> Result<(), ControlError> {
        let (stream, reason) = (StreamRef::Id(id), self::reason(&reason));
        self.order(Order::StopStream { stream, reason })
    }

    fn start_forward_id(&mut self, id: StreamId, url: String) -> Result<(), ControlError> {
        HostState::start_forward(self, StreamRef::Id(id), url)
    }

    fn stop_forward_id(&mut self, id: StreamId, url: String) -> Result<(), ControlError> {
        HostState::stop_forward(self, StreamRef::Id(id), url)
    }

    fn send_data_id(
        &mut self,
        id: StreamId,
        handler: String,
        amf0: Vec<u8>,
    ) -> Result<(), ControlError> {
        HostState::send_data(self, StreamRef::Id(id), handler, amf0)
    }
}

impl From<livehost_policy::ControlError> for ControlError {
    fn from(error: livehost_policy::ControlError) -> Self {
        match error {
            livehost_policy::ControlError::NotFound => Self::NotFound,
            livehost_policy::ControlError::Denied | livehost_policy::ControlError::Unusable(_) => {
                Self::Denied
            }
            livehost_policy::ControlError::Busy => Self::Busy,
        }
    }
}
