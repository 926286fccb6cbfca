//! WASI for guests: an empty world.
//!
//! No files, no environment, no arguments, no sockets, no name lookup. Clocks
//! and random numbers work. What a guest writes to its standard output and
//! error flows out to the log, line by line.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder};

use super::application::AppContext;
use super::imports::log::Level;

/// A longer line is cut.
const MAX_LINE: usize = 4096;
/// How much of a failing call's standard error its report quotes.
const MAX_LAST_WORDS: usize = 300;

/// The context of one instance, and the ear on its standard error.
pub(super) fn context(app: &Arc<AppContext>, plugin: &Arc<str>) -> (WasiCtx, LastWords) {
    let last_words = LastWords::default();
    let pipe = |level, last_words: Option<LastWords>| LinePipe {
        buffer: Arc::default(),
        app: Arc::clone(app),
        plugin: Arc::clone(plugin),
        level,
        last_words,
    };
    let mut context = WasiCtxBuilder::new();
    let clock = &app.doubles.clock;
    if clock.standing_at().is_some() {
        context.wall_clock(clock.clone());
        context.monotonic_clock(clock.clone());
    }
    let context = context
        .stdout(pipe(Level::Info, None))
        .stderr(pipe(Level::Warn, Some(last_words.clone())))
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false)
        // Asked for by the guest, allocated by the host.
        .max_random_size(1 << 20)
        .build();
    (context, last_words)
}

/// What an instance wrote to its standard error during the present call: a
/// panic message, if it traps.
#[derive(Debug, Clone, Default)]
pub(super) struct LastWords(Arc<Mutex<String>>);

impl LastWords {
    pub(super) fn take(&self) -> String {
        std::mem::take(&mut *self.0.lock())
    }

    /// A new call starts.
    pub(super) fn clear(&self) {
        let mut words = self.0.lock();
        words.clear();
    }

    fn add(&self, line: &str) {
        // Rust's hint on backtraces says nothing about the failure.
        if line.is_empty() || line.starts_with("note: run with") {
            return;
        }
        let mut words = self.0.lock();
        if words.len() >= MAX_LAST_WORDS {
            return;
        }
        if !words.is_empty() {
            words.push(' ');
        }
        words.extend(line.chars().take(MAX_LAST_WORDS));
    }
}

/// Standard output or error of one instance. All its streams share one buffer,
/// as WASI asks.
#[derive(Clone)]
struct LinePipe {
    buffer: Arc<Mutex<Vec<u8>>>,
    app: Arc<AppContext>,
    plugin: Arc<str>,
    level: Level,
    last_words: Option<LastWords>,
}

impl LinePipe {
    fn take(&self, bytes: &[u8]) {
        let mut buffer = self.buffer.lock();
        for byte in bytes {
            if *byte == b'\n' {
                self.line(&buffer);
                buffer.clear();
            } else if buffer.len() < MAX_LINE {
                buffer.push(*byte);
            }
        }
    }

    fn line(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        if let Some(last_words) = &self.last_words {
            last_words.add(line);
        }
        if !line.is_empty() {
            self.app.log(&self.plugin, self.level, line, &[]);
        }
    }
}

impl Drop for LinePipe {
    fn drop(&mut self) {
        // The last handle: what was written without a line end.
        if Arc::strong_count(&self.buffer) == 1 {
            self.take(b"\n");
        }
    }
}

impl IsTerminal for LinePipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LinePipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LinePipe {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.take(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[async_trait::async_trait]
impl Pollable for LinePipe {
    async fn ready(&mut self) {}
}

#[async_trait::async_trait]
impl OutputStream for LinePipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.take(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
