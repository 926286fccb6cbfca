//! Media that is sent: real H.264 with B-frames, and AAC.

use std::{
    fs,
    path::{Path, PathBuf},
    process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{clients::Tool, flv, process::Process, workspace};

/// A short clip that is part of the repository, so that scripted clients need
/// no encoder: 320x180, 30 frames/s, a keyframe every 2 s, B-frames, AAC.
/// Made with FFmpeg 9:
///
/// ```text
/// ffmpeg -f lavfi -i testsrc2=size=320x180:rate=30:duration=4 \
///   -f lavfi -i sine=frequency=440:sample_rate=48000:duration=4 \
///   -c:v libx264 -preset slow -pix_fmt yuv420p -bf 2 -g 60 -keyint_min 60 \
///   -sc_threshold 0 -flags +cgop -b:v 120k -c:a aac -b:a 48k -f flv clip.flv
/// ```
pub(crate) fn clip() -> Vec<flv::Tag> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/clip.flv");
    flv::tags(&file)
}

static MAKING: Mutex<()> = Mutex::new(());

/// Makes a file of `seconds` once per checkout; every `look` is another
/// picture and another tone. Needs [`Tool::Ffmpeg9`].
pub(crate) fn film(seconds: u32, look: u32) -> PathBuf {
    made(&format!("film-{seconds}s-{look}-v1.flv"), |fresh| {
        make_film(seconds, look, fresh);
    })
}

/// The file of this name among the fixtures; `make` writes it if it is new.
pub(crate) fn made(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = workspace().join("target/e2e/fixtures");
    let file = folder.join(name);
    if file.is_file() {
        return file;
    }
    fs::create_dir_all(&folder).expect("the folder of the fixtures");
    // Another process may be making it too; the rename is atomic.
    let fresh = file.with_extension(process::id().to_string());
    make(&fresh);
    fs::rename(&fresh, &file).expect("the fixture can be renamed");
    file
}

fn make_film(seconds: u32, look: u32, fresh: &Path) {
    let picture = format!(
        "testsrc2=size=640x360:rate=30:duration={seconds},hue=h={}",
        look * 36
    );
    let tone = 440 + 110 * look;
    let tone = format!("sine=frequency={tone}:sample_rate=48000:duration={seconds}");
    let mut command = Tool::Ffmpeg9.command();
    command.args(["-nostdin", "-loglevel", "error", "-y"]);
    command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
    command.args([
        "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p",
    ]);
    command.args([
        "-bf",
        "2",
        "-b_strategy",
        "0",
        "-g",
        "30",
        "-keyint_min",
        "30",
    ]);
    command.args(["-sc_threshold", "0", "-flags", "+cgop", "-b:v", "800k"]);
    command.args(["-c:a", "aac", "-b:a", "96k", "-f", "flv"]);
    command.arg(fresh);
    let exit = Process::spawn("ffmpeg making a film", &mut command).wait(Duration::from_secs(120));
    assert!(exit.status.success(), "{}", exit.stderr);
}
