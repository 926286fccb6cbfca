//! Golden bytes of real encoders and of the specifications, and round trips.

mod audio;
mod file;
mod round_trip;
mod video;

use super::*;
