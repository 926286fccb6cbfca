//! One cell of the matrix: a client at work against the real server, with a
//! scripted client at the other end.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    axes::{Codecs, Transport},
    film::{self, PICTURES},
};
use crate::support::{
    App, Config, Host, Player, Tool,
    chunks::Message,
    compare::{self, By, Run},
    flv::{self, AUDIO, Packet, Role, Tag, VIDEO},
    host::folder,
    log::Mark,
    nginx,
    obs::{self, Obs, Service},
    process::Process,
    rtmp::{self, Client},
    tls,
    viewer::{Seen, Viewer, Viewing},
};

/// For a client to start, or to give up.
const START: Duration = Duration::from_secs(30);
/// For a client to end by itself.
const END: Duration = Duration::from_secs(30);

/// Why a cell is not a yes, and what the client said.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) why: String,
    pub(super) said: String,
}

type Outcome = Result<(), Failed>;

/// The server, listening on every transport.
pub(super) struct Stage {
    pub(super) host: Host,
    addresses: Vec<(Transport, SocketAddr)>,
    names: AtomicU32,
}

impl Stage {
    pub(super) fn start() -> Self {
        let folder = folder();
        let tls = format!("tls: {},", tls::localhost().write(folder.path(), "own"));
        let mut config = Config::live(App::open("reject"));
        let mut addresses = Vec::new();
        for transport in Transport::ALL {
            let chain = transport.chain();
            let fields = if chain.contains("Tls") {
                tls.as_str()
            } else {
                ""
            };
            let address = nginx::free();
            config = match transport {
                Transport::Rtmp => config.listen(&address.to_string()),
                _ => config.also(address, chain, fields),
            };
            addresses.push((transport, address));
        }
        Self {
            host: Host::start_in(folder, &config),
            addresses,
            names: AtomicU32::new(0),
        }
    }

    /// By name, for clients that check certificates.
    fn url(&self, transport: Transport, path: &str) -> String {
        let mut addresses = self.addresses.iter();
        let (_, address) = addresses.find(|(t, _)| *t == transport).expect("all");
        format!(
            "{}://localhost:{}/{path}",
            transport.scheme(),
            address.port()
        )
    }

    /// Of a stream that nobody else has.
    fn name(&self) -> String {
        format!("cell{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    fn saw(&self, since: Mark, message: &str, stream: &str, limit: Duration) -> bool {
        let wanted = |entry: &crate::support::log::Entry| {
            entry.message().starts_with(message) && entry.field("stream").as_deref() == Some(stream)
        };
        self.host.log.wait_until(since, limit, wanted).is_some()
    }
}

/// A process and how it ended.
fn said(process: &Process) -> String {
    [&process.stdout, &process.stderr]
        .map(|pipe| pipe.text())
        .join("\n")
}

/// A client that plays.
enum Playing {
    Recording(PathBuf, Process),
    Viewing(Viewing),
}

impl Playing {
    fn process(&mut self) -> &mut Process {
        match self {
            Self::Recording(_, process) => process,
            Self::Viewing(viewing) => &mut viewing.process,
        }
    }
}

/// Does it play what a scripted client publishes?
pub(super) fn plays(stage: &Stage, tool: Tool, transport: Transport, codecs: Codecs) -> Outcome {
    let name = stage.name();
    let url = stage.url(transport, &format!("live/{name}"));
    let out = stage.host.file(&name);
    let mark = stage.host.log.mark();
    let mut playing = match tool {
        Tool::Vlc | Tool::Mpv => Playing::Viewing(Viewer(tool).watch(&url, &out)),
        _ => {
            let recording = Player(tool).record(&url, out);
            Playing::Recording(recording.file, recording.process)
        }
    };
    let deadline = Instant::now() + START;
    let step = Duration::from_millis(200);
    while !stage.saw(mark, "playing", &name, step) {
        let process = playing.process();
        let ended = process.has_ended();
        if ended || Instant::now() > deadline {
            process.kill();
            let said = said(process);
            let why = if ended { "it ended" } else { "it did nothing" };
            let why = format!("{why} before it played");
            return Err(Failed { why, said });
        }
    }
    let sent = film::messages(codecs);
    let again = stage.host.log.mark();
    publish(stage.host.addr, &name, &sent);
    let process = playing.process();
    let ended = match tool {
        // rtmpsrc comes back for the next publisher.
        Tool::GstreamerLibrtmp => stage.saw(again, "playing", &name, END),
        _ => process.ends(END).is_some(),
    };
    process.kill();
    let said = said(process);
    let checked = match &playing {
        Playing::Recording(file, _) => recorded(&sent, file, tool),
        Playing::Viewing(viewing) => {
            let film = stage.host.file(&format!("{name}.sent.flv"));
            flv::write(&film, &sent);
            // VLC keeps the last packet of some codecs.
            let missing = usize::from(tool == Tool::Vlc);
            viewing.seen().of_film(&Seen::of(&film), missing).map(drop)
        }
    };
    match checked {
        Ok(()) if ended => Ok(()),
        Ok(()) => Err(Failed {
            why: "it did not end when the stream did".into(),
            said,
        }),
        Err(why) => Err(Failed { why, said }),
    }
}

/// Sends messages at their own pace.
fn publish(addr: SocketAddr, name: &str, sent: &[Tag]) {
    let mut client = Client::publish(addr, "live", name).expect("the scripted client may");
    let begin = Instant::now();
    for tag in sent {
        let due = begin + Duration::from_millis(tag.dts.into());
        thread::sleep(due.saturating_duration_since(Instant::now()));
        client
            .media(tag.kind, tag.dts, &tag.payload)
            .expect("the server takes it");
    }
    client.leave();
}

fn recorded(sent: &[Tag], file: &Path, tool: Tool) -> Result<(), String> {
    if fs::metadata(file).map_or(0, |file| file.len()) == 0 {
        return Err("it recorded nothing".into());
    }
    let sent: Vec<Packet> = sent.iter().map(Tag::packet).collect();
    let run = compare::contiguous(&sent, &flv::packets(file), By::Hash)?;
    // rtmp2src drops the message that it holds when the stream ends.
    let allowed = usize::from(tool == Tool::Gstreamer);
    whole(run, allowed)
}

fn whole(run: Run, allowed: usize) -> Result<(), String> {
    let (video, audio) = run.missing;
    if run.skipped > 0 || video + audio > allowed {
        return Err(format!("not all of it: {run:?}"));
    }
    Ok(())
}

/// Does a scripted client play what it publishes?
pub(super) fn publishes(
    stage: &Stage,
    tool: Tool,
    transport: Transport,
    codecs: Codecs,
) -> Outcome {
    let name = stage.name();
    let film = film::source(codecs);
    let mut player = Client::play(stage.host.addr, "live", &name).expect("the scripted client may");
    player
        .status(START, "NetStream.Play.Start")
        .expect("it may play");
    let mark = stage.host.log.mark();
    if tool == Tool::Obs {
        return obs_publishes(stage, transport, &name, &film, &mut player);
    }
    let url = stage.url(transport, &format!("live/{name}"));
    let copy = stage.host.file(&format!("{name}.{}", extension(&film)));
    fs::copy(&film, &copy).expect("a copy that every user can read");
    let mut command = publisher(tool, codecs, &copy, &url);
    let mut process = Process::spawn(format!("{tool} publishing {url}"), &mut command);
    let mut received = Vec::new();
    let deadline = Instant::now() + START + END;
    let mut ended: Option<Instant> = None;
    let over = loop {
        match player.next(Instant::now() + Duration::from_millis(200)) {
            Ok(message) if rtmp::is_end(&message) => break true,
            Ok(message) => received.extend(tag(message)),
            Err(rtmp::Failure::TimedOut) => {}
            Err(failure) => panic!("the scripted player: {failure:?}"),
        }
        if ended.is_none() && process.has_ended() {
            ended = Some(Instant::now());
        }
        // The server's log may be a little behind the process.
        let gone = ended.is_some_and(|at| at.elapsed() > Duration::from_secs(2));
        let never = gone && !stage.saw(mark, "publishing", &name, Duration::ZERO);
        if never || Instant::now() > deadline {
            break false;
        }
    };
    let finished = process.ends(END).is_some();
    process.kill();
    let said = said(&process);
    // Without a pipeline it may publish half of the film.
    let linked = !said.contains("Delayed linking failed");
    let checked = match over && linked {
        true => arrived(stage, tool, transport, codecs, &name, &copy, &received),
        false => Err("nothing was published to its end".into()),
    };
    match checked {
        Ok(()) if finished => Ok(()),
        Ok(()) => Err(Failed {
            why: "it did not end".into(),
            said,
        }),
        Err(why) => Err(Failed { why, said }),
    }
}

fn extension(file: &Path) -> &str {
    file.extension().and_then(|e| e.to_str()).unwrap_or("flv")
}

fn tag(message: Message) -> Option<Tag> {
    let is_media = matches!(message.kind, AUDIO | VIDEO) && !message.payload.is_empty();
    is_media.then_some(Tag {
        kind: message.kind,
        dts: message.timestamp,
        payload: message.payload,
    })
}

/// The same film, as the client sends it to `to`.
fn publisher(tool: Tool, codecs: Codecs, film: &Path, to: &str) -> Command {
    let mut command = tool.command();
    match tool {
        Tool::Ffmpeg5 | Tool::Ffmpeg9 => {
            command.args(["-nostdin", "-hide_banner", "-loglevel", "warning"]);
            command.args(["-y", "-re", "-i"]).arg(film);
            command.args(["-c", "copy", "-f", "flv", to]);
        }
        Tool::Gstreamer | Tool::GstreamerLibrtmp => gstreamer(&mut command, tool, codecs, film, to),
        Tool::Vlc => {
            let std = format!("#std{{access=rtmp,mux=ffmpeg{{mux=flv}},dst={to}}}");
            command.args(["--play-and-exit", "--sout", &std]).arg(film);
        }
        Tool::Mpv => {
            command.args(["--no-config", "--no-ytdl", "--msg-level=all=warn"]);
            command.arg("--of=flv");
            let (encoder, options) = match codecs.video.encoder {
                "libx264" => ("libx264", "preset=veryfast"),
                // SVT-AV1 takes mpv's time base for a rate of pictures.
                "libsvtav1" => ("libaom-av1", "cpu-used=8"),
                other => (other, ""),
            };
            command.arg(format!("--ovc={encoder}"));
            command.arg(format!("--ovcopts={options}"));
            command.arg(format!("--oac={}", codecs.audio.encoder));
            command.arg(format!("--o={to}")).arg(film);
        }
        other => panic!("{other} is not started like this"),
    }
    command
}

fn gstreamer(command: &mut Command, tool: Tool, codecs: Codecs, film: &Path, to: &str) {
    let demux = match extension(film) {
        "flv" => ("flvdemux", "d.video", "d.audio"),
        _ => ("matroskademux", "d.video_0", "d.audio_0"),
    };
    command.args(["-e", "filesrc", &format!("location={}", film.display())]);
    command.args(["!", demux.0, "name=d"]);
    command.args(["flvmux", "name=m", "streamable=true", "!"]);
    match tool {
        _ if !to.contains("://") => command.args(["filesink", &format!("location={to}")]),
        Tool::Gstreamer => {
            command.args(["rtmp2sink", "sync=true", "tls-validation-flags=0"]);
            command.arg(format!("location={to}"))
        }
        _ => {
            command.args(["rtmpsink", "sync=true"]);
            command.arg(format!("location={to} live=1"))
        }
    };
    for (pad, parser, sink) in [
        (demux.1, codecs.video.parser, "m.video"),
        (demux.2, codecs.audio.parser, "m.audio"),
    ] {
        command.args([pad, "!", "queue", "!", parser, "!", sink]);
    }
}

/// Whether what was played is what was to be published.
fn arrived(
    stage: &Stage,
    tool: Tool,
    transport: Transport,
    codecs: Codecs,
    name: &str,
    film: &Path,
    received: &[Tag],
) -> Result<(), String> {
    let by = match tool {
        Tool::Ffmpeg5 | Tool::Ffmpeg9 => By::Hash,
        // Its multiplexer makes its own timestamps.
        Tool::Gstreamer | Tool::GstreamerLibrtmp => By::Essence,
        _ => return decodes(stage, tool, transport, codecs, name, film, received),
    };
    // The same into a file.
    let file = stage.host.file(&format!("{name}.sent.flv"));
    let mut command = publisher(tool, codecs, film, file.to_str().expect("UTF-8"));
    let exit = Process::spawn(format!("{tool} to a file"), &mut command).wait(END);
    if !exit.status.success() {
        return Err(exit.stderr);
    }
    let received: Vec<Packet> = received.iter().map(Tag::packet).collect();
    let run = compare::contiguous(&flv::packets(&file), &received, by)?;
    // A tunnel is closed without what waits for its next request.
    let allowed = if transport.is_tunnel() { PICTURES } else { 0 };
    whole(run, allowed)
}

/// For clients that encode, or cut the film into other packets.
fn decodes(
    stage: &Stage,
    tool: Tool,
    transport: Transport,
    codecs: Codecs,
    name: &str,
    film: &Path,
    received: &[Tag],
) -> Result<(), String> {
    for (kind, codec) in [(VIDEO, codecs.video), (AUDIO, codecs.audio)] {
        let of_kind: Vec<_> = received.iter().filter(|tag| tag.kind == kind).collect();
        let strange = of_kind
            .iter()
            .find(|tag| tag.packet().codec != codec.fourcc);
        if of_kind.is_empty() || strange.is_some() {
            return Err(format!("not its codec: {strange:?}"));
        }
    }
    let file = stage.host.file(&format!("{name}.played.flv"));
    flv::write(&file, received);
    let (seen, film) = (Seen::of(&file), Seen::of(film));
    if tool == Tool::Vlc {
        let missing = if transport.is_tunnel() {
            PICTURES / 2
        } else {
            1
        };
        return seen.of_film(&film, missing).map(drop);
    }
    let (seen, all) = (seen.pictures.len(), film.pictures.len());
    // Its encoding mode gives the first picture twice, or the last not at all.
    if seen + 1 < all || seen > all + 1 {
        return Err(format!("{seen} of {all} pictures"));
    }
    Ok(())
}

fn obs_publishes(
    stage: &Stage,
    transport: Transport,
    name: &str,
    film: &Path,
    player: &mut Client,
) -> Outcome {
    let service = Service {
        server: stage.url(transport, "live"),
        key: name.to_owned(),
        login: None,
    };
    let obs = Obs::start(film, &service);
    let mut received = Vec::new();
    let deadline = Instant::now() + obs::START;
    let failed = |why: &str| Failed {
        why: why.to_owned(),
        said: obs.output(),
    };
    while received.len() < 4 * PICTURES {
        match player.next(Instant::now() + Duration::from_millis(200)) {
            Ok(message) => received.extend(tag(message)),
            Err(rtmp::Failure::TimedOut) if Instant::now() > deadline => {
                return Err(failed("nothing was published"));
            }
            Err(rtmp::Failure::TimedOut) if obs.has_stopped() => {
                return Err(failed("it stopped"));
            }
            Err(rtmp::Failure::TimedOut) => {}
            Err(failure) => panic!("the scripted player: {failure:?}"),
        }
    }
    let file = stage.host.file(&format!("{name}.played.flv"));
    flv::write(&file, &received);
    let sent = received.iter().map(Tag::packet);
    let pictures = sent
        .filter(|packet| packet.kind == VIDEO && packet.role == Role::Frame)
        .count();
    let seen = Seen::of(&file);
    // B-frames at the end wait for the picture behind them.
    if seen.pictures.len() + 3 < pictures || seen.sound == 0 {
        return Err(failed(&format!(
            "{} of {pictures} pictures",
            seen.pictures.len()
        )));
    }
    Ok(())
}
