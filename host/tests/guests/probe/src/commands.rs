//! The host's imports as remote procedure calls: `method` names the import,
//! the argument bytes are plain words (no AMF0: the host passes bytes on
//! unread), and so is the answer.

use livehost_sdk::control::ControlError;
use livehost_sdk::{amf0, control, http_client, kv, log, registry, timers};

/// Runs one command; errors are the import's, as their debug text.
pub fn run(method: &str, args: &str) -> Result<String, String> {
    let words: Vec<&str> = args.split(' ').collect();
    let word = |index: usize| words.get(index).copied().unwrap_or_default();
    let number = |index: usize| word(index).parse::<u64>().unwrap_or_default();
    let ttl = |index: usize| word(index).parse::<u64>().ok();
    match method {
        "kv-get" => match kv::get(word(0)).map_err(debug)? {
            Some(entry) => Ok(format!(
                "{} {}",
                entry.version,
                String::from_utf8_lossy(&entry.value)
            )),
            None => Ok("none".into()),
        },
        "kv-set" => kv::set(word(0), word(1).as_bytes(), ttl(2))
            .map(|version| version.to_string())
            .map_err(debug),
        "kv-fill" => kv::set(word(0), &vec![7; number(1) as usize], None)
            .map(|version| version.to_string())
            .map_err(debug),
        "kv-cas" => kv::cas(word(0), word(1).as_bytes(), number(2), ttl(3))
            .map(|swapped| swapped.to_string())
            .map_err(debug),
        "kv-incr" => kv::incr(word(0), word(1).parse().unwrap_or_default(), ttl(2))
            .map(|value| value.to_string())
            .map_err(debug),
        "kv-delete" => kv::delete(word(0))
            .map(|()| "deleted".into())
            .map_err(debug),
        // Prefix, how many, and behind which.
        "kv-list" => kv::list(word(0), words.get(2).copied(), number(1) as u32)
            .map(|keys| keys.join(","))
            .map_err(debug),
        // Without the version, which differs from run to run.
        "kv-value" => match kv::get(word(0)).map_err(debug)? {
            Some(entry) => Ok(String::from_utf8_lossy(&entry.value).into_owned()),
            None => Ok("none".into()),
        },
        "kv-put" => kept(kv::set(word(0), word(1).as_bytes(), ttl(2))),
        // A key, or a value, of so many bytes.
        "kv-key" => kept(kv::set(&"k".repeat(number(0) as usize), b"", None)),
        "kv-long" => kept(kv::set(word(0), &vec![7; number(1) as usize], None)),
        // Whether versions grow, also past a deletion.
        "kv-newer" => {
            let first = kv::set(word(0), b"1", None).map_err(debug)?;
            let second = kv::set(word(0), b"2", None).map_err(debug)?;
            kv::delete(word(0)).map_err(debug)?;
            let third = kv::set(word(0), b"3", None).map_err(debug)?;
            Ok((first < second && second < third).to_string())
        }
        // Swaps what is there; with a version that is stale meanwhile.
        "kv-swap" => {
            let version = version(word(0))?;
            let swapped = kv::cas(word(0), word(1).as_bytes(), version, None);
            swapped.map(|swapped| swapped.to_string()).map_err(debug)
        }
        "kv-stale" => {
            let version = version(word(0))?;
            kv::set(word(0), b"newer", None).map_err(debug)?;
            let swapped = kv::cas(word(0), b"stale", version, None);
            swapped.map(|swapped| swapped.to_string()).map_err(debug)
        }
        "timer-set" => {
            timers::set(word(0), number(1), ttl(2));
            Ok("set".into())
        }
        "timer-cancel" => {
            timers::cancel(word(0));
            Ok("cancelled".into())
        }
        "registry-get" => Ok(registry::get(word(0)).map_or("none".into(), |info| info.path())),
        // A name of so many slashes.
        "registry-slashes" => {
            let name = "/".repeat(number(0) as usize);
            let found = registry::get(&name).is_some() || !registry::find(&name, 10).is_empty();
            let stopped = control::stop_stream(&name, "asked to").is_ok();
            Ok(format!("{found} {} {stopped}", registry::count(&name)))
        }
        "registry-bytes" => {
            Ok(registry::get(word(0)).map_or("none".into(), |info| info.bytes_in.to_string()))
        }
        "registry-count" => Ok(registry::count(word(0)).to_string()),
        "registry-find" => Ok(registry::find(word(0), 10)
            .into_iter()
            .map(|info| info.path())
            .collect::<Vec<_>>()
            .join(",")),
        "registry-awaited" => Ok(registry::awaited_streams(word(0), 10)
            .into_iter()
            .map(|awaited| format!("{} {} {}", awaited.path, awaited.players, awaited.held))
            .collect::<Vec<_>>()
            .join(",")),
        "registry-id" => {
            Ok(registry::get(word(0)).map_or("none".into(), |info| info.id.to_string()))
        }
        "registry-clients" => Ok(registry::clients(10)
            .into_iter()
            .map(|client| client.remote)
            .collect::<Vec<_>>()
            .join(",")),
        "disconnect" => control::disconnect(number(0), word(1))
            .map(|()| "queued".into())
            .map_err(debug),
        "stop-stream" => control::stop_stream(word(0), word(1))
            .map(|()| "queued".into())
            .map_err(debug),
        "stop-stream-id" => control::stop_stream_id(number(0), word(1))
            .map(|()| "queued".into())
            .map_err(debug),
        // Two orders, and perhaps a failure.
        "order" => {
            for text in [word(0), word(1)] {
                control::send_data("cam1", "ordered", &amf0::text(text)).map_err(debug)?;
            }
            if word(2) == "panic" {
                panic!("asked to panic after its orders");
            }
            Ok("queued".into())
        }
        // As many orders as there is room for.
        "order-often" => {
            let reason = "r".repeat(number(0) as usize);
            let orders = std::iter::repeat_with(|| control::disconnect(7, &reason));
            Ok(orders.take_while(Result::is_ok).count().to_string())
        }
        "send-text" => control::send_data(word(0), word(1), &amf0::text(word(2)))
            .map(|()| "sent".into())
            .map_err(debug),
        "send-bytes" => control::send_data(word(0), word(1), word(2).as_bytes())
            .map(|()| "sent".into())
            .map_err(debug),
        // So many commands that the configuration doesn't allow.
        "forward-often" => {
            let (mut denied, mut busy) = (0, 0);
            for _ in 0..number(0) {
                match control::start_forward("cam1", "rtmp://192.0.2.1/live/cam1") {
                    Err(ControlError::Busy) => busy += 1,
                    Err(_) => denied += 1,
                    Ok(()) => {}
                }
            }
            Ok(format!("{denied} {busy}"))
        }
        "send-data" => {
            let handler = "h".repeat(number(0) as usize);
            control::send_data("cam1", &handler, &vec![5; number(1) as usize])
                .map(|()| "sent".into())
                .map_err(debug)
        }
        "start-record" => {
            let spec = livehost_sdk::Recording {
                container: "flv".into(),
                path: "cam.flv".into(),
                split_seconds: None,
            };
            control::start_record(word(0), &spec)
                .map(|()| "started".into())
                .map_err(debug)
        }
        "stop-record" => control::stop_record(word(0))
            .map(|()| "stopped".into())
            .map_err(debug),
        "start-forward" => control::start_forward(word(0), word(1))
            .map(|()| "started".into())
            .map_err(debug),
        "stop-forward" => control::stop_forward(word(0), word(1))
            .map(|()| "stopped".into())
            .map_err(debug),
        // Method, URL, time, redirects, bytes of body, headers as name:value.
        "http" => http_client::send(&http_client::Request {
            method: word(0).into(),
            url: word(1).into(),
            headers: words
                .iter()
                .skip(5)
                .filter_map(|header| header.split_once(':'))
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            body: vec![b'x'; number(4) as usize],
            timeout_ms: number(2) as u32,
            follow_redirects: number(3) as u8,
        })
        .map(|response| {
            let body = String::from_utf8_lossy(&response.body);
            format!("{} {body}", response.status)
        })
        .map_err(debug),
        #[cfg(target_arch = "wasm32")]
        "wasi-http" => crate::wasi_http::send(word(0), &vec![b'x'; number(1) as usize]),
        #[cfg(target_arch = "wasm32")]
        "wasi-http-flood" => crate::wasi_http::flood(word(0), number(1) as usize),
        #[cfg(target_arch = "wasm32")]
        "wasi-http-hoard" => crate::wasi_http::hoard(word(0), number(1) as usize),
        "print" => {
            println!("{args}");
            Ok("printed".into())
        }
        "log" => {
            log::info(args);
            Ok("logged".into())
        }
        "env" => Ok(std::env::vars().count().to_string()),
        "read-file" => std::fs::read_to_string(word(0)).map_err(debug),
        "args" => Ok(std::env::args().count().to_string()),
        "write-file" => std::fs::write(word(0), "written")
            .map(|()| "written".into())
            .map_err(debug),
        "listen" => std::net::TcpListener::bind(word(0))
            .map(|_| "bound".into())
            .map_err(debug),
        "tcp" => std::net::TcpStream::connect(word(0))
            .map(|_| "connected".into())
            .map_err(debug),
        "udp" => std::net::UdpSocket::bind(word(0))
            .map(|_| "bound".into())
            .map_err(debug),
        "resolve" => std::net::ToSocketAddrs::to_socket_addrs(word(0))
            .map(|addresses| addresses.count().to_string())
            .map_err(debug),
        "panic" => panic!("asked to panic in a call"),
        _ => Err("unknown".into()),
    }
}

fn kept(set: Result<u64, kv::KvError>) -> Result<String, String> {
    set.map(|_| "kept".into()).map_err(debug)
}

/// 0 without a value.
fn version(key: &str) -> Result<u64, String> {
    let entry = kv::get(key).map_err(debug)?;
    Ok(entry.map_or(0, |entry| entry.version))
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
