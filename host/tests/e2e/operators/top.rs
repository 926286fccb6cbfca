//! `host top` at a terminal.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{self, Receiver},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

use super::cli::command;
use crate::support::{App, Config, Host, operator::socket, rtmp::Client, together};

const SOON: Duration = Duration::from_secs(20);
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A terminal with a program on it.
struct Terminal {
    keys: File,
    /// The program's side, which has the modes.
    modes: OwnedFd,
    shown: Receiver<Vec<u8>>,
    text: String,
    child: Child,
}

impl Terminal {
    fn with(folder: &Path, arguments: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&master).expect("it is ours");
        unlockpt(&master).expect("it opens");
        let name = ptsname(&master, Vec::new()).expect("a name");
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty());
        let slave = slave.expect("its other side");
        let size = Winsize {
            ws_row: 10,
            ws_col: 60,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&slave, size).expect("a size");
        let side = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let child = command(folder, arguments)
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("host starts");
        let keys = File::from(master);
        let mut output = keys.try_clone().expect("a descriptor");
        let (sender, shown) = mpsc::channel();
        // Ends with the terminal, at the latest with the test.
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(read) = output.read(&mut bytes) {
                if read == 0 || sender.send(bytes[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            keys,
            modes: slave,
            shown,
            text: String::new(),
            child,
        }
    }

    /// Waits until this was shown behind what was waited for before.
    fn shows(&mut self, expected: &str) {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(at) = self.text.find(expected) {
                self.text.drain(..at + expected.len());
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(bytes) = self.shown.recv_timeout(left) else {
                panic!("no {expected:?}: {:?}", self.text);
            };
            self.text += &String::from_utf8_lossy(&bytes);
        }
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("it is open");
    }

    fn modes(&self) -> LocalModes {
        tcgetattr(&self.modes).expect("its modes").local_modes
    }

    fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status.code();
            }
            assert!(
                Instant::now() < deadline,
                "it does not end: {:?}",
                self.text
            );
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Fails when it has ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn top_is_left_as_it_was_entered() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    socket(&host);
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let signal = |terminal: &mut Terminal, name: &str| {
        let id = terminal.child.id();
        let line = format!("kill -{name} {id}");
        let sent = std::process::Command::new("sh")
            .args(["-c", &line])
            .status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    for end in ["q", "\x03", "TERM", "HUP"] {
        let mut terminal = Terminal::with(host.folder.path(), &["top"]);
        terminal.shows(ENTER);
        terminal.shows("sorted by kbit/s");
        terminal.shows("live/cam");
        assert!(!terminal.modes().contains(LocalModes::ECHO));
        terminal.press("p");
        terminal.shows("sorted by players");
        match end {
            "TERM" | "HUP" => signal(&mut terminal, end),
            key => terminal.press(key),
        }
        terminal.shows(LEAVE);
        assert_eq!(terminal.ends(), Some(0), "{end:?}");
        let restored = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        assert!(terminal.modes().contains(restored), "{end:?}");
    }
    drop(publisher);
}

#[test]
fn top_ends_with_its_server() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    socket(&host);
    let mut terminal = Terminal::with(host.folder.path(), &["top"]);
    terminal.shows("sorted by");
    host.stop();
    terminal.shows(LEAVE);
    terminal.shows("error: no server answers at");
    assert_eq!(terminal.ends(), Some(3));
}
