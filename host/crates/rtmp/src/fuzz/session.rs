//! Whole sessions: a server session and a hostile client, a client session and
//! a hostile server, or both with each other.

use bytes::BytesMut;

use super::{
    client::ClientEnd,
    program::FuzzProgram,
    server::ServerEnd,
    speaker::Speaker,
    speech::{body, preamble, speak},
};
use crate::{
    chunk::{ChunkErrorKind, encode_absolute},
    handshake::{ClientHandshake, HandshakeKind, Progress, RANDOM_LEN, ServerHandshake},
    message::{Message, type_id},
    session::SessionError,
};

/// Exchanges after one step, at most: two ends that answer each other's
/// answers for ever must be found.
const MAX_ROUNDS: u32 = 10_000;

/// The first byte says who meets whom and how it begins, the second how the
/// bytes are cut. Every step after that is a choice of who does something,
/// and what.
pub fn session(data: &[u8]) {
    let mut program = FuzzProgram::new(data);
    let (Some(mode), Some(piece)) = (program.byte(), program.byte()) else {
        return;
    };
    let piece = match piece {
        0 => usize::MAX,
        piece => usize::from(piece),
    };
    // Each ends with its program, or when its session can't go on.
    let _ = match mode & 3 {
        0 | 1 => hostile_client(mode, piece, &mut program),
        2 => hostile_server(mode, piece, &mut program),
        _ => pair(mode, piece, &mut program),
    };
}

/// The end of a run: the program's, or the session's with its reason.
type Run = Option<Result<(), SessionError>>;

fn kind(mode: u8) -> HandshakeKind {
    if mode & 4 == 0 {
        HandshakeKind::Simple
    } else {
        HandshakeKind::Digest
    }
}

fn hostile_client(mode: u8, piece: usize, program: &mut FuzzProgram<'_>) -> Run {
    let mut server = ServerEnd::new(mode);
    let mut speaker = Speaker::default();
    // One in 16 has a handshake of the program's making.
    if mode & 0xF0 != 0xF0 {
        let mut client = ClientHandshake::new(kind(mode), &[!mode; RANDOM_LEN], 0);
        let mut input = BytesMut::new();
        loop {
            let mut rest = &input[..];
            let progress = client.handle_input(&mut rest, &mut speaker.out).ok()?;
            if let Err(error) = server.receive(&speaker.out.split(), piece) {
                return Some(Err(error));
            }
            if progress == Progress::Done {
                break;
            }
            input = server.sent.split();
        }
    }
    preamble(&mut speaker, mode >> 4 & 3);
    loop {
        server.sent.clear();
        if let Err(error) = server.receive(&speaker.out.split(), piece) {
            return Some(Err(error));
        }
        if server.closed {
            return Some(Ok(()));
        }
        // Some steps are sent together.
        for _ in 0..=program.byte()? & 3 {
            match program.byte()? {
                0..=31 => server.order(program)?,
                _ => speak(&mut speaker, program)?,
            }
        }
    }
}

fn hostile_server(mode: u8, piece: usize, program: &mut FuzzProgram<'_>) -> Run {
    let mut client = ClientEnd::new(kind(mode), mode);
    let mut speaker = Speaker::default();
    if mode & 0xF0 != 0xF0 {
        let mut server = ServerHandshake::new([!mode; RANDOM_LEN], 0);
        let input = client.sent.split();
        server
            .handle_input(&mut &input[..], &mut speaker.out)
            .ok()?;
    }
    loop {
        client.sent.clear();
        if let Err(error) = client.receive(&speaker.out.split(), piece) {
            return Some(Err(error));
        }
        for _ in 0..=program.byte()? & 3 {
            match program.byte()? {
                0..=63 => client.order(program)?,
                _ => speak(&mut speaker, program)?,
            }
        }
    }
}

/// An owner's values may be more than a peer takes.
fn is_too_much(error: &SessionError) -> bool {
    match error {
        SessionError::Command(_) => true,
        SessionError::Chunk(error) => matches!(error.kind, ChunkErrorKind::MessageTooLong { .. }),
        _ => false,
    }
}

/// Both ends; between two that keep the protocol, nothing fails.
fn pair(mode: u8, piece: usize, program: &mut FuzzProgram<'_>) -> Run {
    let mut client = ClientEnd::new(kind(mode), mode);
    let mut server = ServerEnd::new(!mode);
    let mut honest = true;
    // Live media, as a server's fan-out adds it behind what its session says.
    let mut live = BytesMut::new();
    loop {
        match exchange(&mut client, &mut server, piece, &mut live) {
            Ok(()) => {}
            Err(error) => {
                let too_much = client.called && is_too_much(&error);
                assert!(!honest || too_much, "an honest peer is refused: {error}");
                return Some(Err(error));
            }
        }
        if honest {
            assert!(server.media <= client.media, "media from nowhere");
        }
        match program.byte()? {
            0..=99 => client.order(program)?,
            100..=179 => server.order(program)?,
            180..=219 => {
                let message = Message {
                    chunk_stream_id: 6,
                    timestamp: program.number()?,
                    type_id: type_id::VIDEO,
                    message_stream_id: 1,
                    payload: body(program)?,
                };
                if let Some(size) = server.chunk_size {
                    live.extend_from_slice(&encode_absolute(&message, size));
                }
            }
            _ => {
                // A wrong byte in what is on its way.
                let at = usize::from(program.byte()?);
                let wire = match program.byte()? & 1 {
                    0 => &mut client.sent,
                    _ => &mut server.sent,
                };
                if let Some(byte) = wire.get_mut(at) {
                    *byte ^= program.byte()?;
                    honest = false;
                }
            }
        }
    }
}

/// Moves bytes until no end has more to say.
fn exchange(
    client: &mut ClientEnd,
    server: &mut ServerEnd,
    piece: usize,
    live: &mut BytesMut,
) -> Result<(), SessionError> {
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds <= MAX_ROUNDS, "two sessions talk without end");
        let to_server = client.sent.split();
        let mut to_client = server.sent.split();
        to_client.extend_from_slice(&live.split());
        if to_server.is_empty() && to_client.is_empty() {
            return Ok(());
        }
        if !server.closed {
            server.receive(&to_server, piece)?;
        }
        client.receive(&to_client, piece)?;
    }
}
