//! Real encoders and players.

use std::{
    fmt,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    process::{Exit, Process},
    tls, workspace,
};

/// A program that a test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Debian 12's ffmpeg.
    Ffmpeg5,
    /// The static one of PyPI's imageio-ffmpeg, fetched by `make test`.
    Ffmpeg9,
    Rtmpdump,
    /// With rtmp2sink, rtmp2src, flvmux and flvdemux.
    Gstreamer,
    /// With its older elements rtmpsink and rtmpsrc, which have librtmp below.
    GstreamerLibrtmp,
    Vlc,
    Mpv,
    /// With a screen to be on.
    Obs,
}

/// VLC refuses to run as root; it needs no rights.
const NOBODY: u32 = 65_534;

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ffmpeg5 => "ffmpeg 5.1",
            Self::Ffmpeg9 => "FFmpeg 9",
            Self::Rtmpdump => "rtmpdump",
            Self::Gstreamer => "GStreamer",
            Self::GstreamerLibrtmp => "GStreamer's rtmpsink and rtmpsrc",
            Self::Vlc => "VLC",
            Self::Mpv => "mpv",
            Self::Obs => "OBS Studio",
        })
    }
}

impl Tool {
    /// Those that record what they receive, unchanged.
    pub(crate) const ALL: [Self; 4] = [
        Self::Ffmpeg5,
        Self::Ffmpeg9,
        Self::Rtmpdump,
        Self::Gstreamer,
    ];

    fn program(self) -> PathBuf {
        match self {
            Self::Ffmpeg5 => "ffmpeg".into(),
            Self::Ffmpeg9 => workspace().join("target/clients/ffmpeg9"),
            Self::Rtmpdump => "rtmpdump".into(),
            Self::Gstreamer | Self::GstreamerLibrtmp => "gst-launch-1.0".into(),
            Self::Vlc => "cvlc".into(),
            Self::Mpv => "mpv".into(),
            Self::Obs => "obs".into(),
        }
    }

    pub(crate) fn command(self) -> Command {
        let mut command = Command::new(self.program());
        command.env("SSL_CERT_FILE", tls::trusted_file());
        if self == Self::Vlc && rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY).env("HOME", "/nonexistent");
        }
        command
    }

    /// Why it can't be used; none if it can.
    fn missing(self) -> Option<String> {
        let run = |mut command: Command, arguments: &[&str]| {
            let program = PathBuf::from(command.get_program());
            command
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .map_err(|error| format!("{} doesn't start: {error}", program.display()))
        };
        let inspect = |element: &str| run(Command::new("gst-inspect-1.0"), &[element]);
        let outcomes = match self {
            Self::Ffmpeg5 | Self::Ffmpeg9 => vec![run(self.command(), &["-version"])],
            // It has no way to ask for its version that succeeds.
            Self::Rtmpdump => return run(self.command(), &["--help"]).err(),
            Self::Gstreamer | Self::GstreamerLibrtmp => {
                let elements = match self {
                    Self::Gstreamer => ["rtmp2sink", "rtmp2src", "flvmux", "flvdemux"],
                    _ => ["rtmpsink", "rtmpsrc", "flvmux", "flvdemux"],
                };
                elements.into_iter().map(inspect).collect()
            }
            Self::Vlc | Self::Mpv => vec![run(self.command(), &["--version"])],
            Self::Obs => vec![
                run(self.command(), &["--version"]),
                run(Command::new("Xvfb"), &["-help"]),
            ],
        };
        outcomes.into_iter().find_map(|outcome| match outcome {
            Ok(status) if status.success() => None,
            Ok(status) => Some(format!("a part of {self} is missing ({status})")),
            Err(error) => Some(error),
        })
    }
}

/// Those of `tools` that are here. The others are reported loudly.
///
/// # Panics
/// In CI (`CI` or `LIVEHOST_CI` is set), if one is missing.
pub(crate) fn present(tools: &[Tool]) -> Vec<Tool> {
    let ci = in_ci();
    let here = |tool: &Tool| match tool.missing() {
        None => true,
        Some(why) if ci => panic!("{tool} is mandatory in CI: {why}"),
        Some(why) => {
            eprintln!("SKIPPED: what needs {tool}, because {why}");
            false
        }
    };
    tools.iter().copied().filter(here).collect()
}

/// What is missing is a failure, not something to skip.
pub(crate) fn in_ci() -> bool {
    ["CI", "LIVEHOST_CI"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
}

/// Whether all of `tools` are here, see [`present`].
pub(crate) fn all(tools: &[Tool]) -> bool {
    present(tools).len() == tools.len()
}

/// A real encoder, sending a file as if it came from a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoder(pub(crate) Tool);

impl Encoder {
    /// Publishes `file` at its own pace.
    pub(crate) fn publish(self, file: &Path, url: &str) -> Process {
        let mut command = self.0.command();
        match self.0 {
            Tool::Gstreamer => {
                command.args(gstreamer_remux(file));
                command.args(["rtmp2sink", "sync=true"]);
                command.arg(format!("location={url}"));
                command.args(GSTREAMER_PADS);
            }
            Tool::GstreamerLibrtmp => {
                command.args(gstreamer_remux(file));
                command.args(["rtmpsink", "sync=true"]);
                command.arg(format!("location={url} live=1"));
                command.args(GSTREAMER_PADS);
            }
            _ => {
                command.args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-re"]);
                command.arg("-i").arg(file);
                command.args(["-c", "copy", "-f", "flv", url]);
            }
        }
        Process::spawn(format!("{} publishing {url}", self.0), &mut command)
    }

    /// What [`Encoder::publish`] sends, as the same program writes it to a
    /// file.
    pub(crate) fn sent(self, file: &Path, out: &Path) {
        let mut command = self.0.command();
        match self.0 {
            Tool::Gstreamer | Tool::GstreamerLibrtmp => {
                command.args(gstreamer_remux(file)).arg("filesink");
                command.arg(format!("location={}", out.display()));
                command.args(GSTREAMER_PADS);
            }
            _ => {
                command.args(["-nostdin", "-loglevel", "warning", "-y", "-i"]);
                command.arg(file).args(["-c", "copy", "-f", "flv"]);
                command.arg(out);
            }
        }
        let exit = Process::spawn(format!("{} remuxing", self.0), &mut command)
            .wait(Duration::from_secs(20));
        assert!(exit.status.success(), "{}", exit.stderr);
    }
}

fn gstreamer_remux(file: &Path) -> Vec<String> {
    let location = format!("location={}", file.display());
    let words = ["-q", "-e", "filesrc", &location, "!", "flvdemux", "name=d"];
    let mux = ["flvmux", "name=m", "streamable=true", "!"];
    words.into_iter().chain(mux).map(str::to_owned).collect()
}

const GSTREAMER_PADS: [&str; 10] = [
    "d.video", "!", "queue", "!", "m.video", "d.audio", "!", "queue", "!", "m.audio",
];

/// A real player that records what it receives, unchanged, as FLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Player(pub(crate) Tool);

/// A player at work.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) tool: Tool,
    pub(crate) process: Process,
    pub(crate) file: PathBuf,
}

impl Player {
    /// Records `url` until the stream ends.
    pub(crate) fn record(self, url: &str, file: PathBuf) -> Recording {
        let mut command = self.0.command();
        match self.0 {
            Tool::Ffmpeg5 | Tool::Ffmpeg9 => {
                command.args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-y"]);
                // -copyts: the received timestamps, not some that start at 0.
                command.args(["-i", url, "-c", "copy", "-copyts"]);
                command.args(["-flush_packets", "1", "-f", "flv"]);
                command.arg(&file);
            }
            Tool::Rtmpdump => {
                command.args(["--quiet", "--live", "--rtmp", url, "--flv"]);
                command.arg(&file);
            }
            Tool::Gstreamer => {
                let sink = format!("location={}", file.display());
                // It trusts what the machine trusts, and takes no other list.
                command.args(["-q", "-e", "rtmp2src", "tls-validation-flags=0"]);
                command.arg(format!("location={url}"));
                command.args(["!", "filesink", "buffer-mode=unbuffered", &sink]);
            }
            Tool::GstreamerLibrtmp => {
                let sink = format!("location={}", file.display());
                let source = format!("location={url} live=1");
                command.args(["-q", "-e", "rtmpsrc", &source]);
                command.args(["!", "filesink", "buffer-mode=unbuffered", &sink]);
            }
            Tool::Vlc | Tool::Mpv | Tool::Obs => panic!("{} shows, see Viewer", self.0),
        }
        let process = Process::spawn(format!("{} playing {url}", self.0), &mut command);
        Recording {
            tool: self.0,
            process,
            file,
        }
    }
}

impl Recording {
    /// Waits until the player has ended by itself, as it does when it is told
    /// that the stream was unpublished.
    pub(crate) fn ended(&mut self, limit: Duration) -> Exit {
        self.process.wait(limit)
    }
}
