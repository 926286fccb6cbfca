//! Is what was played what was sent?

use std::collections::BTreeSet;

use super::flv::{AUDIO, Packet, Role, VIDEO, needs_header};

/// A contiguous run of what was sent, found in what was played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// Video and audio frames, every one as it was sent.
    pub(crate) video: usize,
    pub(crate) audio: usize,
    /// Video frames sent before the run.
    pub(crate) skipped: usize,
    /// Frames sent behind the run: `(video, audio)`.
    pub(crate) missing: (usize, usize),
    /// Played timestamp less sent timestamp, the same for every frame.
    pub(crate) offset: i64,
}

/// What of a packet must be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Every byte and every timestamp.
    Hash,
    /// The coded data only: for an encoder whose multiplexer makes its own
    /// timestamps.
    Essence,
}

/// Compares frame by frame.
///
/// `played` must be a contiguous run of `sent`, from a keyframe on: none
/// missing, none changed, none twice, each at its time, audio and video
/// against the same clock, the codec headers in front.
///
/// # Errors
/// The first difference.
pub(crate) fn contiguous(sent: &[Packet], played: &[Packet], by: By) -> Result<Run, String> {
    headers(sent, played)?;
    let frames = |packets: &[Packet], kind: u8| -> Vec<Packet> {
        packets
            .iter()
            .filter(|p| p.kind == kind && p.role == Role::Frame)
            .cloned()
            .collect()
    };
    let (sent_video, played_video) = (frames(sent, VIDEO), frames(played, VIDEO));
    let first = played_video.first().ok_or("no video was played")?;
    if !first.keyframe {
        return Err(format!("the first frame played is no keyframe: {first:?}"));
    }
    let skipped = sent_video
        .iter()
        .position(|frame| same(frame, first, by))
        .ok_or_else(|| format!("the first frame played was never sent: {first:?}"))?;
    let start = sent_video.get(skipped).ok_or("no video was sent")?;
    let offset = i64::from(first.dts) - i64::from(start.dts);
    let (video, missing_video) = run(&sent_video, &played_video, skipped, offset, by)?;

    let (sent_audio, played_audio) = (frames(sent, AUDIO), frames(played, AUDIO));
    let (audio, missing_audio) = match played_audio.first() {
        None if sent_audio.is_empty() => (0, 0),
        None => return Err("no audio was played".into()),
        Some(first) => {
            let at = i64::from(first.dts) - offset;
            let from = sent_audio
                .iter()
                .position(|frame| match by {
                    By::Hash => i64::from(frame.dts) == at && same(frame, first, by),
                    By::Essence => same(frame, first, by),
                })
                .ok_or_else(|| format!("no audio was sent for {first:?}, offset {offset} ms"))?;
            run(&sent_audio, &played_audio, from, offset, by)?
        }
    };
    Ok(Run {
        video,
        audio,
        skipped,
        missing: (missing_video, missing_audio),
        offset,
    })
}

fn same(sent: &Packet, played: &Packet, by: By) -> bool {
    match by {
        By::Hash => sent.hash == played.hash && sent.cts == played.cts,
        By::Essence => sent.essence == played.essence,
    }
}

/// Every header played was sent; and of every track that was played, the
/// header comes before the frames, if its codec has one.
fn headers(sent: &[Packet], played: &[Packet]) -> Result<(), String> {
    let is_header = |p: &&Packet| matches!(p.role, Role::Header | Role::Supplement);
    for header in played.iter().filter(is_header) {
        let known = sent
            .iter()
            .any(|p| p.kind == header.kind && p.hash == header.hash);
        if !known {
            return Err(format!("a codec header that was never sent: {header:?}"));
        }
    }
    for kind in [VIDEO, AUDIO] {
        let tracks = |packets: &[Packet]| -> BTreeSet<u8> {
            let frames = packets.iter().filter(|p| p.role == Role::Frame);
            let of_kind = frames.filter(|p| p.kind == kind);
            of_kind.map(|p| p.track).collect()
        };
        if tracks(sent) != tracks(played) {
            return Err(format!(
                "tracks {:?} of type {kind} were sent, {:?} were played",
                tracks(sent),
                tracks(played)
            ));
        }
        for track in tracks(sent) {
            let mut of_track = played.iter().filter(|p| p.kind == kind && p.track == track);
            let first = of_track.find(|p| matches!(p.role, Role::Header | Role::Frame));
            match first {
                Some(p) if p.role == Role::Header || !needs_header(p.codec) => {}
                Some(p) => return Err(format!("a frame came before its codec header: {p:?}")),
                None => return Err(format!("track {track} of type {kind} was not played")),
            }
        }
    }
    Ok(())
}

/// How many frames match from `from` on, and how many were sent behind them.
fn run(
    sent: &[Packet],
    played: &[Packet],
    from: usize,
    offset: i64,
    by: By,
) -> Result<(usize, usize), String> {
    for (i, frame) in played.iter().enumerate() {
        let expected = sent
            .get(from + i)
            .ok_or_else(|| format!("frame {i} was played behind the last one sent: {frame:?}"))?;
        let on_time = by == By::Essence || i64::from(frame.dts) - i64::from(expected.dts) == offset;
        if !same(expected, frame, by) || !on_time {
            let found = sent.iter().position(|p| same(p, frame, by));
            return Err(format!(
                "frame {i} (sent as {}): expected {expected:?} at offset {offset} ms, \
                 played {frame:?} (its bytes were sent as {found:?})",
                from + i
            ));
        }
    }
    Ok((played.len(), sent.len() - from - played.len()))
}

#[cfg(test)]
mod tests {
    use super::{By, Run, contiguous};
    use crate::support::{fixture, flv};

    fn clip() -> Vec<flv::Packet> {
        fixture::clip().iter().map(flv::Tag::packet).collect()
    }

    fn compare(change: impl FnOnce(&mut Vec<flv::Packet>)) -> Result<Run, String> {
        let mut played = clip();
        change(&mut played);
        contiguous(&clip(), &played, By::Hash)
    }

    /// The index of the n-th frame of a kind.
    fn frame(kind: u8, n: usize) -> usize {
        let is_frame = |p: &flv::Packet| p.kind == kind && p.role == flv::Role::Frame;
        let all = clip();
        let mut frames = all.iter().enumerate().filter(|(_, p)| is_frame(p));
        frames.nth(n).unwrap().0
    }

    fn without(packets: &mut Vec<flv::Packet>, index: usize) {
        packets.remove(index);
    }

    #[test]
    fn what_is_the_same_is_accepted() {
        let run = compare(|_| {}).unwrap();
        assert_eq!((run.video, run.skipped, run.missing), (120, 0, (0, 0)));
        let shifted = compare(|played| played.iter_mut().for_each(|p| p.dts += 1000)).unwrap();
        assert_eq!(shifted.offset, 1000);
        // From the second keyframe on, headers in front, the last two lost.
        let late = compare(|played| {
            let key = played.iter().filter(|p| p.keyframe).nth(1).unwrap().dts;
            played.retain(|p| p.role == flv::Role::Header || p.dts >= key);
            let last = played
                .iter()
                .rposition(|p| p.kind == flv::VIDEO && p.role == flv::Role::Frame);
            played.remove(last.unwrap());
        })
        .unwrap();
        assert_eq!((late.skipped, late.missing.0), (60, 1));
    }

    #[test]
    fn every_difference_is_found() {
        for kind in [flv::VIDEO, flv::AUDIO] {
            compare(|played| without(played, frame(kind, 20))).unwrap_err();
            compare(|played| played[frame(kind, 20)].hash[0] ^= 1).unwrap_err();
            compare(|played| played[frame(kind, 20)].dts += 1).unwrap_err();
            compare(|played| played.swap(frame(kind, 20), frame(kind, 21))).unwrap_err();
            compare(|played| played.insert(frame(kind, 20), clip()[frame(kind, 20)].clone()))
                .unwrap_err();
            compare(|played| played.retain(|p| p.kind != kind)).unwrap_err();
            compare(|played| played.retain(|p| p.kind != kind || p.role != flv::Role::Header))
                .unwrap_err();
        }
        compare(|played| played[frame(flv::VIDEO, 20)].cts += 1).unwrap_err();
        compare(|played| without(played, frame(flv::VIDEO, 0))).unwrap_err();
        // Audio against another clock than video.
        compare(|played| {
            let audio = played.iter_mut().filter(|p| p.kind == flv::AUDIO);
            audio.for_each(|p| p.dts += 1);
        })
        .unwrap_err();
    }
}
