//! `control`: commands to the media plane, limited to this application.
//!
//! Lengths are looked at first, by what they are of; reasons are cut. A command
//! that is denied is a line in the log; beyond some of a second, those that would
//! be are not even given.

use std::time::Instant;

use crate::hub::MAX_PATH;
use crate::plugin::bindings::livehost::app::control::{ControlError, Host};
use crate::plugin::bindings::livehost::app::types::{ConnId, Recording};
use crate::plugin::bounds::{MAX_DATA, MAX_URL, MAX_WORD};
use crate::plugin::convert::{reason, recording};
use crate::plugin::instance::State;
use crate::policy::{self, MediaControl};

impl State {
    fn command(
        &self,
        command: impl FnOnce(&dyn MediaControl, &str) -> Result<(), policy::ControlError>,
    ) -> Result<(), ControlError> {
        Ok(command(&*self.app.services.control, &self.app.name)?)
    }

    /// A command that the configuration may not allow.
    fn wish(
        &self,
        is_allowed: impl FnOnce(&dyn MediaControl, &str) -> bool,
        wish: impl FnOnce(&dyn MediaControl, &str) -> Result<(), policy::ControlError>,
    ) -> Result<(), ControlError> {
        let app = &self.app;
        let is_used_up = app.denials.lock().is_used_up(Instant::now());
        if is_used_up && !is_allowed(&*app.services.control, &app.name) {
            return Err(ControlError::Denied);
        }
        let done = self.command(wish);
        if matches!(done, Err(ControlError::Denied)) {
            self.app.denials.lock().admit(Instant::now());
        }
        done
    }
}

/// Nothing has a longer name.
fn named(name: &str) -> Result<(), ControlError> {
    match name.len() <= MAX_PATH {
        true => Ok(()),
        false => Err(ControlError::NotFound),
    }
}

impl Host for State {
    fn disconnect(&mut self, conn: ConnId, reason: String) -> Result<(), ControlError> {
        let reason = self::reason(&reason);
        self.command(|control, app| control.disconnect(app, conn, &reason))
    }

    fn stop_stream(&mut self, name: String, reason: String) -> Result<(), ControlError> {
        named(&name)?;
        let reason = self::reason(&reason);
        self.command(|control, app| control.stop_stream(app, &name, &reason))
    }

    fn start_record(&mut self, name: String, spec: Recording) -> Result<(), ControlError> {
        named(&name)?;
        let spec = recording(spec).map_err(|error| {
            self.warn(&format!("no recording: {error}"));
            ControlError::Denied
        })?;
        self.wish(
            |control, _| control.may_record(),
            |control, app| control.start_record(app, &name, spec),
        )
    }

    fn stop_record(&mut self, name: String) -> Result<(), ControlError> {
        named(&name)?;
        self.wish(
            |control, _| control.may_record(),
            |control, app| control.stop_record(app, &name),
        )
    }

    fn start_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        named(&name)?;
        self.wish(
            |control, app| control.may_forward(app, &url),
            |control, app| control.start_forward(app, &name, &url),
        )
    }

    fn stop_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        named(&name)?;
        if url.len() > MAX_URL {
            return Err(ControlError::NotFound);
        }
        self.command(|control, app| control.stop_forward(app, &name, &url))
    }

    fn send_data(
        &mut self,
        name: String,
        handler: String,
        amf0: Vec<u8>,
    ) -> Result<(), ControlError> {
        named(&name)?;
        if handler.len() > MAX_WORD || amf0.len() > MAX_DATA {
            let (handler, amf0) = (handler.len(), amf0.len());
            let message = format!(
                "data was not sent: expected at most {MAX_WORD} bytes of handler and {MAX_DATA} \
                 of amf0, found {handler} and {amf0}"
            );
            self.warn(&message);
            return Err(ControlError::Denied);
        }
        self.command(|control, app| control.send_data(app, &name, &handler, &amf0))
    }
}

impl From<policy::ControlError> for ControlError {
    fn from(error: policy::ControlError) -> Self {
        match error {
            policy::ControlError::NotFound => Self::NotFound,
            policy::ControlError::Denied => Self::Denied,
            policy::ControlError::Busy => Self::Busy,
        }
    }
}
