//! `control`: commands to the media plane, limited to this application.

use crate::plugin::bindings::livehost::app::control::{ControlError, Host};
use crate::plugin::bindings::livehost::app::types::{ConnId, Recording};
use crate::plugin::instance::State;
use crate::policy;

impl Host for State {
    fn disconnect(&mut self, conn: ConnId, reason: String) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.disconnect(app, conn, &reason)?)
    }

    fn stop_stream(&mut self, name: String, reason: String) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.stop_stream(app, &name, &reason)?)
    }

    fn start_record(&mut self, name: String, spec: Recording) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.start_record(app, &name, spec.into())?)
    }

    fn stop_record(&mut self, name: String) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.stop_record(app, &name)?)
    }

    fn start_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.start_forward(app, &name, &url)?)
    }

    fn stop_forward(&mut self, name: String, url: String) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.stop_forward(app, &name, &url)?)
    }

    fn send_data(
        &mut self,
        name: String,
        handler: String,
        amf0: Vec<u8>,
    ) -> Result<(), ControlError> {
        let (control, app) = (&self.app.services.control, &self.app.name);
        Ok(control.send_data(app, &name, &handler, &amf0)?)
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
