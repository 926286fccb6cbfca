//! Requests by `wasi:http/outgoing-handler`, as other languages make them.

use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    Fields, FutureIncomingResponse, IncomingBody, Method, OutgoingBody, OutgoingRequest, Scheme,
};
use wasip2::io::streams::StreamError;

/// `GET` or, with a body, `POST`: the status and the body of the answer.
pub fn send(url: &str, body: &[u8]) -> Result<String, String> {
    let pending = start(url, body)?;
    pending.subscribe().block();
    answer(&pending)
}

/// So many at once, each read as soon as it is there: how many were answered.
pub fn flood(url: &str, count: usize) -> Result<String, String> {
    let pending = started(url, count)?;
    let answered = pending.iter().filter(|one| {
        one.subscribe().block();
        answer(one).is_ok()
    });
    Ok(answered.count().to_string())
}

/// So many at once, none read before all are there: how many were answered.
pub fn hoard(url: &str, count: usize) -> Result<String, String> {
    let pending = started(url, count)?;
    for one in &pending {
        one.subscribe().block();
    }
    let answered = pending.iter().filter(|one| answer(one).is_ok());
    Ok(answered.count().to_string())
}

fn started(url: &str, count: usize) -> Result<Vec<FutureIncomingResponse>, String> {
    (0..count).map(|_| start(url, b"")).collect()
}

fn start(url: &str, body: &[u8]) -> Result<FutureIncomingResponse, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no URL")?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.into()),
    };
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(path)));
    set.map_err(|()| "the host refuses the URL")?;
    let mut outgoing = None;
    if !body.is_empty() {
        request.set_method(&Method::Post).map_err(|()| "no POST")?;
        outgoing = Some(request.body().map_err(|()| "no body")?);
    }
    let pending = outgoing_handler::handle(request, None).map_err(debug)?;
    if let Some(outgoing) = outgoing {
        let stream = outgoing.write().map_err(|()| "no stream")?;
        for chunk in body.chunks(4096) {
            // The host has given up: its answer says why.
            if stream.blocking_write_and_flush(chunk).is_err() {
                return Ok(pending);
            }
        }
        drop(stream);
        OutgoingBody::finish(outgoing, None).map_err(debug)?;
    }
    Ok(pending)
}

fn answer(pending: &FutureIncomingResponse) -> Result<String, String> {
    let response = pending
        .get()
        .ok_or("not ready")?
        .map_err(|()| "taken twice")?
        .map_err(debug)?;
    let incoming = response.consume().map_err(|()| "no body")?;
    let stream = incoming.stream().map_err(|()| "no stream")?;
    let mut body = Vec::new();
    loop {
        match stream.blocking_read(1 << 16) {
            Ok(bytes) => body.extend(bytes),
            Err(StreamError::Closed) => break,
            Err(error) => return Err(debug(error)),
        }
    }
    drop(stream);
    IncomingBody::finish(incoming);
    let status = response.status();
    Ok(format!("{status} {}", String::from_utf8_lossy(&body)))
}

fn debug(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
