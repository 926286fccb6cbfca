//! OBS Studio: the real program on a screen of its own, with a profile and a
//! scene that the test wrote, streaming by its own RTMP output.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;
use tempfile::TempDir;

use super::{
    clients::{self, Tool},
    process::Process,
    tls,
};

/// To draw its window without a graphics card, on a machine that does other
/// things too.
pub(crate) const START: Duration = Duration::from_secs(60);

/// What it says when a stream came to an end, or never began.
pub(crate) const STOPPED: &str = "==== Streaming Stop";

/// Where it streams to: its settings under "Stream", service "Custom...".
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) server: String,
    pub(crate) key: String,
    /// "Use authentication".
    pub(crate) login: Option<(String, String)>,
}

/// A running OBS that streams, and records what its encoders make. Killed when
/// dropped.
#[derive(Debug)]
pub(crate) struct Obs {
    pub(crate) process: Process,
    _screen: Process,
    home: TempDir,
}

impl Obs {
    /// Starts it with a scene that shows `film` over and over.
    pub(crate) fn start(film: &Path, service: &Service) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        settings(home.path(), film, service);
        let (screen, display) = screen();
        let mut command = match service.server.starts_with("rtmp://") {
            true => Tool::Obs.command(),
            false => trusting(),
        };
        command
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env("DISPLAY", display)
            .env("QT_QPA_PLATFORM", "xcb")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            // It asks its makers for their list of services: nobody is here.
            .env("https_proxy", "http://127.0.0.1:9")
            .env_remove("WAYLAND_DISPLAY")
            .args(["--multi", "--unfiltered_log", "--disable-updater"])
            .args(["--profile", "test", "--collection", "test"])
            .args(["--startrecording", "--startstreaming"]);
        Self {
            process: Process::spawn("OBS", &mut command),
            _screen: screen,
            home,
        }
    }

    /// What its encoders made so far, as it records it itself.
    pub(crate) fn recording(&self) -> PathBuf {
        self.home.path().join("recording.flv")
    }

    /// Waits for a line of its log.
    ///
    /// # Panics
    /// If it doesn't come.
    pub(crate) fn wait(&self, text: &str) -> String {
        let deadline = Instant::now() + START;
        let has = |line: &super::process::Line| line.text.contains(text).then(|| line.text.clone());
        let line = self.process.stdout.wait(0, deadline, has);
        line.unwrap_or_else(|| panic!("no {text:?}; OBS said:\n{}", self.output()))
    }

    /// Whether its stream came to an end.
    pub(crate) fn has_stopped(&self) -> bool {
        self.output().contains(STOPPED)
    }

    /// All that it said.
    pub(crate) fn output(&self) -> String {
        let streams = [&self.process.stdout, &self.process.stderr];
        streams.map(|pipe| pipe.text()).join("\n")
    }
}

/// A command that has a view of the file system of its own.
fn apart() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    // Where user namespaces are forbidden, as in many containers, root needs none.
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// Whether [`Obs`] can be made to trust the tests' certificate; said loudly if
/// it can't.
///
/// # Panics
/// In CI, if it can't.
pub(crate) fn can_trust() -> bool {
    let can = apart().arg("true").status().is_ok_and(|it| it.success());
    if !can {
        let why = "unshare(1) is not allowed here, and OBS trusts /etc/ssl/certs alone";
        assert!(!clients::in_ci(), "mandatory in CI: {why}");
        eprintln!("SKIPPED: OBS over TLS, because {why}");
    }
    can
}

/// OBS trusts what is in /etc/ssl/certs and nothing else: in its own view of
/// the file system that is the tests' certificate.
fn trusting() -> Command {
    let mut command = apart();
    command.args(["sh", "-euc"]).arg(
        "mount -t tmpfs none /etc/ssl/certs && cp \"$1\" /etc/ssl/certs/own.pem && shift && exec \"$@\"",
    );
    command.arg("sh").arg(tls::trusted_file());
    command.arg(Tool::Obs.command().get_program());
    command
}

/// A screen that nobody sees, and its name.
fn screen() -> (Process, String) {
    let mut command = Command::new("Xvfb");
    command.args(["-displayfd", "1", "-screen", "0", "640x480x24"]);
    command.args(["-nolisten", "tcp"]);
    let screen = Process::spawn("Xvfb", &mut command);
    let number = screen.stdout.wait(0, Instant::now() + START, |line| {
        line.text.trim().parse::<u32>().ok()
    });
    let number = number.unwrap_or_else(|| panic!("no screen: {}", screen.tail()));
    (screen, format!(":{number}"))
}

/// What OBS reads at its start.
fn settings(home: &Path, film: &Path, service: &Service) {
    let write = |path: &str, text: &str| {
        let file = home.join("obs-studio").join(path);
        fs::create_dir_all(file.parent().expect("in a folder")).expect("a folder");
        fs::write(file, text).expect("a file of OBS's settings");
    };
    write(
        "global.ini",
        "[General]\nFirstRun=true\nEnableAutoUpdates=false\nLastVersion=486539266\n\n\
         [Basic]\nProfile=test\nProfileDir=test\nSceneCollection=test\nSceneCollectionFile=test\n\n\
         [BasicWindow]\nWarnBeforeStartingStream=false\n",
    );
    let mut profile = String::from(
        "[General]\nName=test\n\n\
         [Output]\nMode=Simple\nReconnect=false\nFilenameFormatting=recording\n\n\
         [SimpleOutput]\nVBitrate=600\nABitrate=96\nStreamEncoder=x264\nRecQuality=Stream\n\
         RecFormat=flv\nUseAdvanced=true\nPreset=ultrafast\n\
         x264Settings=keyint=30 min-keyint=30 scenecut=0 bframes=2\n",
    );
    let _ = writeln!(profile, "FilePath={}\n", home.display());
    profile.push_str(
        "[Video]\nBaseCX=320\nBaseCY=180\nOutputCX=320\nOutputCY=180\nFPSType=0\nFPSCommon=30\n\n\
         [Audio]\nSampleRate=48000\nChannelSetup=Stereo\n",
    );
    write("basic/profiles/test/basic.ini", &profile);
    let mut stream = json!({ "server": service.server, "key": service.key });
    if let Some((user, password)) = &service.login {
        stream["use_auth"] = true.into();
        stream["username"] = user.as_str().into();
        stream["password"] = password.as_str().into();
    }
    let service = json!({ "type": "rtmp_custom", "settings": stream });
    write("basic/profiles/test/service.json", &service.to_string());
    let camera = json!({
        "id": "ffmpeg_source",
        "name": "camera",
        "settings": { "local_file": film, "is_local_file": true, "looping": true },
    });
    let item = json!({ "name": "camera", "id": 1, "visible": true });
    let scene = json!({
        "id": "scene",
        "name": "scene",
        "settings": { "items": [item], "id_counter": 1 },
    });
    let collection = json!({
        "name": "test",
        "current_scene": "scene",
        "current_program_scene": "scene",
        "scene_order": [{ "name": "scene" }],
        "sources": [camera, scene],
    });
    write("basic/scenes/test.json", &collection.to_string());
}
