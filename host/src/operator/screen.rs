//! The screen of `host top`: a terminal's second screen, with keys that arrive one by
//! one. Whatever ends the program by a panic, an error or a signal that it hears, the
//! terminal is as before.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{panic, thread};

use rustix::io::Errno;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::sync::mpsc;

/// The second screen; no cursor; lines that are too long are cut.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const TOP_LEFT: &str = "\x1b[H";
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";
const REVERSED: &str = "\x1b[7m";
const PLAIN: &str = "\x1b[0m";

/// The screen until it is dropped.
#[derive(Debug)]
pub(super) struct Screen {
    keys: mpsc::Receiver<u8>,
    restorer: Arc<Restorer>,
}

/// Keys that wait.
const KEYS: usize = 16;
/// The longest that a read waits for a key, in tenths of a second: so long the thread
/// that reads outlives the screen.
const PATIENCE: u8 = 5;

/// Makes the terminal what it was, once.
#[derive(Debug)]
struct Restorer {
    before: Termios,
    is_done: AtomicBool,
}

impl Restorer {
    fn restore(&self) {
        if self.is_done.swap(true, Ordering::AcqRel) {
            return;
        }
        let _ = write(LEAVE);
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

impl Screen {
    /// The screen, if there is a terminal to be on and to be asked from.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(super) fn open() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut modes = before.clone();
        // Ctrl-C is a key, too.
        modes.local_modes &= !(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 0;
        modes.special_codes[SpecialCodeIndex::VTIME] = PATIENCE;
        let restorer = Arc::new(Restorer {
            before,
            is_done: AtomicBool::new(false),
        });
        let at_panic = restorer.clone();
        let hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // What is said on the second screen is gone with it.
            at_panic.restore();
            hook(info);
        }));
        let (pressed, keys) = mpsc::channel(KEYS);
        let screen = Self { keys, restorer };
        tcsetattr(&stdin, OptionalActions::Now, &modes)?;
        write(ENTER)?;
        thread::spawn(move || forward_keys(&pressed));
        Ok(Some(screen))
    }

    /// The next key; none when the terminal is gone. One that sends several bytes (an
    /// arrow) is the first of them.
    pub(super) async fn key(&mut self) -> Option<u8> {
        self.keys.recv().await
    }

    /// Shows these lines, cut to the window; the one numbered `head` stands out.
    pub(super) fn show(&self, lines: &[String], head: usize) -> io::Result<()> {
        let size = tcgetwinsize(io::stdout())?;
        // Some terminals do not know.
        let or = |size: u16, other: usize| if size == 0 { other } else { usize::from(size) };
        let (rows, columns) = (or(size.ws_row, 24), or(size.ws_col, 80));
        let mut text = TOP_LEFT.to_owned();
        for (at, line) in lines.iter().take(rows).enumerate() {
            // The modes of output make a line's beginning of it, too.
            text.push_str(if at == 0 { "" } else { "\n" });
            // First: behind a line that fills the window it would take its last character.
            text.push_str(CLEAR_LINE);
            let cut: String = line.chars().take(columns).collect();
            match at == head {
                true => text.extend([REVERSED, &format!("{cut:<columns$}"), PLAIN]),
                false => text.push_str(&cut),
            }
        }
        if lines.len() < rows {
            text.extend(["\n", CLEAR_BELOW]);
        }
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.restorer.restore();
    }
}

/// Ends when nobody wants them, or the terminal is gone.
fn forward_keys(pressed: &mpsc::Sender<u8>) {
    let mut bytes = [0; 32];
    while !pressed.is_closed() {
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                // The rest of many is worth nothing.
                let _ = pressed.try_send(bytes[0]);
            }
            Err(_) => return,
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
