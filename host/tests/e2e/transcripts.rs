//! What real clients do, replayed against the whole server.
//!
//! The files are those of `host/testdata/transcripts`, which the state machine
//! alone is tested with too; here the policy, the hub and a socket answer.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    support::{App, Config, Host, together},
    transcript::{
        self,
        replay::{Received, Scope, Wire, replay},
    },
};

/// What never comes is waited for so long.
const PATIENCE: Duration = Duration::from_secs(5);

struct Socket(TcpStream);

impl Socket {
    fn open(addr: SocketAddr) -> Box<dyn Wire> {
        let socket = TcpStream::connect(addr).expect("the server accepts");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Box::new(Self(socket))
    }
}

impl Wire for Socket {
    fn send(&mut self, bytes: &[u8]) {
        // A server that has closed shows when something is expected of it.
        let _ = self.0.write_all(bytes);
    }

    fn end(&mut self) {
        let _ = self.0.shutdown(Shutdown::Write);
    }

    fn receive(&mut self) -> Received {
        let mut buffer = [0; 16_384];
        match self.0.read(&mut buffer) {
            Ok(0) => Received::Closed,
            Ok(count) => Received::Bytes(buffer[..count].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Received::Nothing
            }
            Err(_) => Received::Closed,
        }
    }

    fn events(&mut self) -> Vec<String> {
        Vec::new()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/transcripts")
}

/// The server that the transcripts speak to.
fn server() -> Host {
    let keys = r#"{"publish": {"keys": ["k1"]}}"#;
    let users = r#"{"publish": "users", "users": {"ann": "s3cret"}}"#;
    let config = Config::live(App::open("reject").aliases("\"tv\""))
        .and("guarded", App::keys(keys))
        .and("studio", App::keys(users))
        .and("calling", App::probe("accept"))
        .and("rooms", App::open("reject").shared_objects("access: Allow"))
        .and("hidden", App::open("reject"))
        .default_application("live")
        .serving(&["live", "guarded", "studio", "calling", "rooms"]);
    Host::start(&config)
}

#[test]
fn every_transcript_holds_against_the_server() {
    let _guard = together();
    let host = server();
    let transcripts = transcript::all(&folder());
    assert!(transcripts.len() > 60, "{}", transcripts.len());
    let failures: Vec<_> = transcripts
        .iter()
        .filter_map(|one| replay(one, Scope::Server, || Socket::open(host.addr)).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        transcripts.len(),
        failures.join("\n")
    );
    host.stop();
}
