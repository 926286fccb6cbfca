//! Players that show what they receive instead of recording it: what they
//! decoded is compared with what was sent, picture by picture.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    clients::Tool,
    process::{Exit, Process},
};

/// VLC or mpv.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Viewer(pub(crate) Tool);

/// A viewer at work.
#[derive(Debug)]
pub(crate) struct Viewing {
    tool: Tool,
    pub(crate) process: Process,
    out: PathBuf,
}

impl Viewer {
    /// Plays `url` until the stream ends.
    pub(crate) fn watch(self, url: &str, out: &Path) -> Viewing {
        let mut command = self.0.command();
        match self.0 {
            Tool::Mpv => {
                // Its encoding mode: the output is a hash of each picture.
                command.args(["--no-config", "--no-ytdl", "--msg-level=all=warn"]);
                command.args(["--of=framemd5", "--ovc=rawvideo", "--oac=pcm_s16le"]);
                command.arg(format!("--o={}", out.display())).arg(url);
            }
            Tool::Vlc => {
                open_to_everybody(out);
                // Shown, and what is shown kept: taken apart, not transcoded.
                // Its own multiplexers drop what they hold at the end.
                let mux = "mux=ffmpeg{mux=flv}";
                let keep = format!("std{{access=file,{mux},dst={}}}", out.display());
                command.args(["--play-and-exit", "--vout=dummy", "--aout=adummy"]);
                command
                    .arg("--sout")
                    .arg(format!("#duplicate{{dst=display,dst={keep}}}"));
                command.arg(url);
            }
            other => panic!("{other} records, see Player"),
        }
        Viewing {
            tool: self.0,
            process: Process::spawn(format!("{} playing {url}", self.0), &mut command),
            out: out.to_owned(),
        }
    }
}

/// VLC is another user, if the test is root: the file is made for it.
fn open_to_everybody(file: &Path) {
    File::create(file).expect("a new file");
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the test's own file");
    };
    allow(file, 0o666);
    allow(file.parent().expect("in a folder"), 0o711);
}

impl Viewing {
    /// Waits until it has ended by itself, as it does when it is told that the
    /// stream was unpublished.
    pub(crate) fn ended(&mut self, limit: Duration) -> Exit {
        self.process.wait(limit)
    }

    /// What it decoded.
    pub(crate) fn seen(&self) -> Seen {
        match self.tool {
            Tool::Mpv => Seen::parse(&fs::read_to_string(&self.out).unwrap_or_default()),
            _ => Seen::of(&self.out),
        }
    }
}

/// What is in a film, decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// A hash of each picture, in order.
    pub(crate) pictures: Vec<String>,
    /// Bytes of sound: 16 bits a sample.
    pub(crate) sound: u64,
}

impl Seen {
    /// Decodes a file. Needs [`Tool::Ffmpeg9`].
    pub(crate) fn of(file: &Path) -> Self {
        let mut command = Tool::Ffmpeg9.command();
        command
            .args(["-nostdin", "-loglevel", "error", "-i"])
            .arg(file);
        command.args(["-fps_mode", "passthrough", "-c:v", "rawvideo"]);
        command.args(["-c:a", "pcm_s16le", "-f", "framemd5", "-"]);
        let mut process = Process::spawn("FFmpeg 9 decoding", &mut command);
        process.wait(Duration::from_secs(60));
        Self::parse(&process.stdout.text())
    }

    /// Reads the output of FFmpeg's `framemd5`.
    fn parse(text: &str) -> Self {
        let kinds: Vec<(&str, &str)> = text
            .lines()
            .filter_map(|line| line.strip_prefix("#media_type ")?.split_once(": "))
            .collect();
        let mut seen = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            // Stream, dts, pts, duration, size, hash.
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [stream, _, _, _, size, hash, ..] = fields.as_slice() else {
                continue;
            };
            match kinds.iter().find(|(index, _)| index == stream) {
                Some((_, "video")) => seen.pictures.push((*hash).to_owned()),
                Some((_, "audio")) => seen.sound += size.parse().unwrap_or(0),
                _ => {}
            }
        }
        seen
    }

    /// How many pictures of `film` were seen: from the first on, each once and
    /// in order, at most `missing` fewer than there are; and with their sound.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn of_film(&self, film: &Self, missing: usize) -> Result<usize, String> {
        let (seen, all) = (self.pictures.len(), film.pictures.len());
        if seen == 0 {
            return Err("no picture was seen".into());
        }
        let both = self.pictures.iter().zip(&film.pictures);
        if let Some(place) = { both }.position(|(seen, sent)| seen != sent) {
            return Err(format!("picture {place} is not the film's"));
        }
        if seen > all || seen + missing < all {
            return Err(format!("{seen} of {all} pictures"));
        }
        // A decoder may drop what an encoder put in front; mpv ends with some
        // silence.
        let sent = film.sound as f64 * seen as f64 / all as f64;
        let (least, heard) = (if missing > 0 { 0.8 } else { 0.95 }, self.sound as f64);
        if heard < least * sent || heard > 1.15 * sent {
            return Err(format!("{heard} bytes of sound, expected {sent:.0}"));
        }
        Ok(seen)
    }
}
