//! Requests and events as a host makes them.

use crate::{
    Challenge, Client, ConnectRequest, ObjectRequest, Operation, Pairs, Relay, RelayFailure,
    Scalar, SessionEnd, StreamInfo, StreamRequest,
};

/// Connection 7, over RTMP, from 203.0.113.7.
pub fn client() -> Client {
    Client {
        conn: 7,
        remote: "203.0.113.7:51234".into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs: Vec::new(),
    }
}

/// A connection to `app`, for example `live`, `live/room1?user=ann`.
pub fn connect(app: &str) -> ConnectRequest {
    let (path, query) = split(app);
    let (name, instance) = match path.split_once('/') {
        Some((name, instance)) => (name, Some(instance.to_owned())),
        None => (path, None),
    };
    ConnectRequest {
        client: client(),
        local: "0.0.0.0:1935".into(),
        app: name.into(),
        instance,
        query,
        tc_url: format!("rtmp://media.example/{app}"),
        flash_ver: "FMLE/3.0 (compatible; FMSc/1.0)".into(),
        props: Vec::new(),
        extra: Vec::new(),
    }
}

/// Like [`connect`], of a client that is going to publish.
pub fn encoder(app: &str) -> ConnectRequest {
    let mut request = connect(app);
    let kind = Scalar::Text("nonprivate".into());
    request.props.push(("type".into(), kind));
    request
}

/// The request of a client that has passed `challenge` with the password of
/// `user`, as the policy's `on_connect` gets it.
pub fn logged_in(mut request: ConnectRequest, user: &str, challenge: Challenge) -> ConnectRequest {
    let method = challenge.as_str();
    request.extra.extend([
        ("auth-user".into(), user.into()),
        ("auth-method".into(), method.into()),
    ]);
    request
}

/// A publish or play of a stream of `live`, for example `cam1?key=s3cret`, or
/// `room1/cam1` in the instance `room1`.
pub fn request(name: &str) -> StreamRequest {
    let (path, query) = split(name);
    let (instance, name_alone) = place(path);
    StreamRequest {
        client: client(),
        app: "live".into(),
        instance,
        name: name_alone,
        raw_name: name.into(),
        query,
        mode: "live".into(),
        start_seconds: None,
        extra: with_path(path),
    }
}

/// What a client wants to do with a shared object of `live`; it is not persistent.
pub fn object(name: &str, operation: Operation) -> ObjectRequest {
    ObjectRequest {
        client: client(),
        app: "live".into(),
        instance: None,
        name: name.into(),
        persistent: false,
        operation,
    }
}

/// A live stream of [`client`], for example `cam1`, or `room1/cam1` in the instance
/// `room1`.
pub fn stream(path: &str) -> StreamInfo {
    let (instance, name) = place(path);
    StreamInfo {
        id: 1,
        app: "live".into(),
        instance,
        name,
        publisher: client(),
        video: None,
        audio: None,
        started_unix_ms: 0,
        bytes_in: 0,
        idle_ms: 0,
        kbps: 0,
        players: 0,
        extra: with_path(path),
    }
}

/// The end of a publish, a playback or a connection, at once.
pub fn ended(reason: &str) -> SessionEnd {
    SessionEnd {
        reason: reason.into(),
        duration_ms: 0,
        bytes_in: 0,
        bytes_out: 0,
        frames_dropped: 0,
    }
}

/// The first attempt to push a stream of `live` to another server, whose
/// connection is 9.
pub fn relay(path: &str, target: &str) -> Relay {
    let (instance, name) = place(path);
    Relay {
        conn: 9,
        app: "live".into(),
        instance,
        name,
        direction: "push".into(),
        target: target.into(),
        attempt: 1,
        extra: with_path(path),
    }
}

/// An attempt that did not come up, and is repeated in a second.
pub fn failed(reason: &str) -> RelayFailure {
    RelayFailure {
        reason: reason.into(),
        up_ms: None,
        retry_ms: Some(1000),
    }
}

/// Instance and name of the stream that is called `path`: the last segment is the
/// name, those before it are the instance, and empty ones mean nothing.
pub(super) fn place(path: &str) -> (Option<String>, String) {
    let mut segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = segments.pop().unwrap_or_default().to_owned();
    let instance = (!segments.is_empty()).then(|| segments.join("/"));
    (instance, name)
}

fn with_path(path: &str) -> Pairs {
    let (instance, name) = place(path);
    let path = crate::decision::path(instance.as_deref(), &name);
    vec![("path".into(), path)]
}

fn split(text: &str) -> (&str, Pairs) {
    let Some((path, query)) = text.split_once('?') else {
        return (text, Vec::new());
    };
    let pairs = query.split('&').map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), value.to_owned())
    });
    (path, pairs.collect())
}
