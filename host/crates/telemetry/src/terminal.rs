//! What the command line prints. A pipe that is closed or a disk that is full
//! must not end a server: `println!` would panic.

use std::fmt;
use std::io;

use anyhow::Context as _;

/// Prints a line that the command could do without.
pub fn tell(line: fmt::Arguments<'_>) {
    // Nobody is there to be told.
    let _ = write(io::stdout(), line);
}

/// [`tell`] with the arguments of `println!`.
#[macro_export]
macro_rules! say {
    ($($line:tt)+) => { $crate::terminal::tell(format_args!($($line)+)) };
}

/// Prints a line for whom something went wrong.
pub fn complain(line: fmt::Arguments<'_>) {
    let _ = write(io::stderr(), line);
}

/// Prints what the command is for. Whoever closes the pipe has read enough.
///
/// # Errors
/// When standard output takes no more for another reason.
pub fn print(line: fmt::Arguments<'_>) -> anyhow::Result<()> {
    match write(io::stdout(), line) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// In one piece, so that lines of several threads don't mix.
fn write(mut to: impl io::Write, line: fmt::Arguments<'_>) -> io::Result<()> {
    to.write_all(format!("{line}\n").as_bytes())?;
    to.flush()
}
