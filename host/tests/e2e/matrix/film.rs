//! Two seconds of each pair of codecs: as a file that every client reads, and
//! as the messages that a scripted publisher sends.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use super::axes::Codecs;
use crate::support::{
    Tool, fixture,
    flv::{self, AUDIO, SCRIPT, Tag, VIDEO},
    process::Process,
};

/// Pictures a second.
const RATE: u32 = 25;
const SECONDS: u32 = 2;
pub(super) const PICTURES: usize = (RATE * SECONDS) as usize;

/// A film of its codecs, for encoders. Needs FFmpeg 9.
pub(super) fn source(codecs: Codecs) -> PathBuf {
    // Nellymoser is in no other file.
    let kind = match &codecs.audio.fourcc {
        b"nell" => "flv",
        _ => "mkv",
    };
    fixture::made(&format!("matrix-{}-v1.{kind}", codecs.word()), |fresh| {
        let picture = format!("testsrc2=size=320x180:rate={RATE}:duration={SECONDS}");
        let tone = format!("sine=frequency=440:sample_rate=48000:duration={SECONDS}");
        let format = match kind {
            "flv" => "flv",
            _ => "matroska",
        };
        let mut command = Tool::Ffmpeg9.command();
        command.args(["-nostdin", "-loglevel", "error", "-y"]);
        command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone]);
        command.args(["-pix_fmt", "yuv420p", "-g", "25", "-keyint_min", "25"]);
        command.args(["-c:v", codecs.video.encoder]);
        command.args(codecs.video.options);
        command.args(["-c:a", codecs.audio.encoder]);
        command.args(codecs.audio.options);
        command.args(["-f", format]).arg(fresh);
        done("making a film", &mut command);
    })
}

/// The same as messages.
pub(super) fn messages(codecs: Codecs) -> Vec<Tag> {
    let mut tags = flv::tags(&sent(codecs));
    tags.retain(|tag| tag.kind != SCRIPT && !tag.payload.is_empty());
    tags.sort_by_key(|tag| tag.dts);
    tags
}

/// What an encoder says of it: `onMetaData` and its values.
pub(super) fn metadata(codecs: Codecs) -> Vec<u8> {
    let script = flv::tags(&sent(codecs))
        .into_iter()
        .find(|tag| tag.kind == SCRIPT);
    script.expect("the multiplexer writes metadata").payload
}

fn sent(codecs: Codecs) -> PathBuf {
    match &codecs.video.fourcc {
        b"vp08" => vp8(codecs),
        _ => {
            let source = source(codecs);
            fixture::made(&format!("matrix-{}-v1.sent.flv", codecs.word()), |fresh| {
                // Twice: what the multiplexer adds of its own is then the same
                // when a player writes it again.
                let once = fresh.with_extension("once.flv");
                remux(&source, &once);
                remux(&once, fresh);
                fs::remove_file(&once).expect("the first can be removed");
            })
        }
    }
}

fn remux(from: &Path, to: &Path) {
    let mut command = Tool::Ffmpeg9.command();
    command.args(["-nostdin", "-loglevel", "error", "-y", "-i"]);
    command.arg(from);
    command.args(["-c", "copy", "-f", "flv"]).arg(to);
    done("remuxing", &mut command);
}

fn done(name: &str, command: &mut std::process::Command) {
    let exit = Process::spawn(name, command).wait(Duration::from_secs(240));
    assert!(exit.status.success(), "{name}: {}", exit.stderr);
}

/// No multiplexer here writes VP8 as Enhanced RTMP has it: its frames out of
/// an IVF file, with the sound of another film.
fn vp8(codecs: Codecs) -> PathBuf {
    let source = source(codecs);
    fixture::made("matrix-vp8-v1.sent.flv", |fresh| {
        let (ivf, sound) = (fresh.with_extension("ivf"), fresh.with_extension("aac.flv"));
        for (map, format, file) in [("0:v", "ivf", &ivf), ("0:a", "flv", &sound)] {
            let mut command = Tool::Ffmpeg9.command();
            command.args(["-nostdin", "-loglevel", "error", "-y", "-i"]);
            command.arg(&source);
            command
                .args(["-map", map, "-c", "copy", "-f", format])
                .arg(file);
            done("taking VP8 apart", &mut command);
        }
        let mut tags = flv::tags(&sound);
        tags.retain(|tag| tag.kind == AUDIO && !tag.payload.is_empty());
        // VPCodecConfigurationRecord: version 1, flags; profile 0, level
        // unknown; 8 bits, 4:2:0, colours unspecified; no further data.
        let record = [1, 0, 0, 0, 0, 0, 0x82, 2, 2, 2, 0, 0];
        tags.push(Tag {
            kind: VIDEO,
            dts: 0,
            payload: [&b"\x90vp08"[..], &record].concat(),
        });
        for (number, frame) in ivf_frames(&ivf).into_iter().enumerate() {
            // The lowest bit of VP8's first byte is 0 in a keyframe.
            let inter = frame.first().is_some_and(|byte| byte & 1 == 1);
            let head: &[u8] = if inter { b"\xa1vp08" } else { b"\x91vp08" };
            tags.push(Tag {
                kind: VIDEO,
                dts: u32::try_from(number).expect("few") * 1000 / RATE,
                payload: [head, &frame].concat(),
            });
        }
        tags.sort_by_key(|tag| tag.dts);
        flv::write(fresh, &tags);
        for file in [ivf, sound] {
            fs::remove_file(file).expect("a part can be removed");
        }
    })
}

fn ivf_frames(file: &Path) -> Vec<Vec<u8>> {
    let bytes = fs::read(file).expect("an IVF file");
    let mut rest = bytes.get(32..).unwrap_or_default();
    let mut frames = Vec::new();
    // Each frame: its size, its time in 8 bytes, itself.
    while let Some((size, behind)) = rest.split_first_chunk::<4>() {
        let size = u32::from_le_bytes(*size) as usize;
        let Some((frame, behind)) = behind.get(8..).and_then(|b| b.split_at_checked(size)) else {
            break;
        };
        frames.push(frame.to_vec());
        rest = behind;
    }
    frames
}
