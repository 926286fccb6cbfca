//! Every row of `testdata/names.txt`.

use std::fmt::Write as _;
use std::time::Duration;

use async_trait::async_trait;
use livehost_policy::{Event, Gate, OnError, Policy, Question, Reply};

use super::*;
use crate::application::ApplicationSettings;
use crate::shared_objects::{Forget, Objects};

/// A name is read before anybody is asked.
struct Unasked;

#[async_trait]
impl Policy for Unasked {
    async fn ask(&self, _: Question) -> Reply {
        unreachable!()
    }
    fn decides_shared_objects(&self) -> bool {
        false
    }
    fn notify(&self, _: Event) {}
}

fn settings() -> ApplicationSettings {
    ApplicationSettings {
        media: livehost_hub::MediaSettings {
            keyframe_cache: 0,
            join: livehost_hub::Join::Keyframe,
            queue_bytes: 0,
            queue_time: Duration::ZERO,
            slow_close: Duration::ZERO,
            gather: Duration::ZERO,
        },
        chunk_size: 128,
        message: 1 << 20,
        publisher_timeout: Duration::ZERO,
        wait_for_publisher: Duration::ZERO,
    }
}

/// One row, unescaped.
struct Row<'a> {
    line: usize,
    app: String,
    tc_url: String,
    /// None: only the connection is made.
    stream: Option<String>,
    meant: &'a str,
}

fn applications(default: Option<&str>) -> Applications {
    let named = |name: &str| {
        let gate = Gate::new(name, Arc::new(Unasked), OnError::default());
        let objects = Objects::new(Default::default(), Arc::new(Forget));
        Application::new(name, gate, settings(), objects)
    };
    let applications = Applications::default();
    let aliases = ["tv".to_owned()];
    applications.replace(
        [(named("live"), &aliases[..]), (named("vod"), &[])],
        default,
    );
    applications
}

/// `\n`, `\xNN` and `{a*3}`; bytes that are no UTF-8 become what the AMF
/// reader makes of them.
fn unescaped(text: &str) -> String {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\\n") {
            out.push(b'\n');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\x") {
            out.push(u8::from_str_radix(&after[..2], 16).unwrap());
            rest = &after[2..];
        } else if let Some((inner, after)) = rest.strip_prefix('{').and_then(|r| r.split_once('}'))
        {
            let (what, count) = inner.split_once('*').unwrap();
            out.extend(what.repeat(count.parse().unwrap()).bytes());
            rest = after;
        } else {
            let (one, after) = rest.split_at(first.len_utf8());
            out.extend(one.bytes());
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn shown(name: &str, query: &Pairs) -> String {
    let pairs: Vec<_> = query.iter().map(|(k, v)| format!("{k}={v}")).collect();
    match &pairs[..] {
        [] => String::new(),
        pairs => format!(" {name}({})", pairs.join(",")),
    }
}

fn read(row: &Row<'_>, applications: &Applications) -> String {
    let path = AppPath::parse(&row.app, &row.tc_url);
    let resolved = path.and_then(|path| Ok((path.resolve(applications)?, path.query)));
    let ((application, instance), query) = match resolved {
        Ok(resolved) => resolved,
        Err(error) => return format!("connect refused: {error}"),
    };
    let mut out = application.name().to_string();
    let Some(stream) = &row.stream else {
        return out;
    };
    let stream = match StreamName::parse(instance.as_deref(), stream) {
        Ok(stream) => stream,
        Err(error) => return format!("stream refused: {error}"),
    };
    if let Some(instance) = &stream.place.instance {
        let _ = write!(out, " instance={instance}");
    }
    let _ = write!(out, " name={}", stream.place.name);
    if let Some(kind) = &stream.kind {
        let _ = write!(out, " type={kind}");
    }
    out + &shown("connect", &query) + &shown("stream", &stream.query)
}

#[test]
fn every_row_of_the_table_means_what_it_says() {
    let mut applications = applications(None);
    let mut rows = 0;
    let mut wrong = Vec::new();
    let table = include_str!("../../../../testdata/names.txt");
    for (line, text) in table.lines().enumerate() {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(section) = text.strip_prefix("== ") {
            applications = match section {
                "no default application" => self::applications(None),
                "the default application is live" => self::applications(Some("live")),
                other => panic!("line {}: no such section: {other}", line + 1),
            };
            continue;
        }
        let cells: Vec<_> = text.splitn(4, '|').map(str::trim).collect();
        let [app, tc_url, stream, meant] = cells[..] else {
            panic!("line {}: expected four cells, found {text:?}", line + 1);
        };
        let row = Row {
            line: line + 1,
            app: unescaped(app),
            tc_url: unescaped(tc_url),
            stream: (stream != "-").then(|| unescaped(stream)),
            meant,
        };
        rows += 1;
        let got = read(&row, &applications);
        if got != unescaped(row.meant) {
            wrong.push(format!("line {}: {text}\n  got {got}", row.line));
        }
    }
    assert!(rows > 100, "{rows} rows");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_granted_name_is_below_the_instance_and_taken_as_it_is() {
    let granted = |instance, name| {
        let place = NamePlace::granted(instance, name)?;
        Ok::<_, NameError>((place.instance, place.name))
    };
    let place = |instance: &str, name: &str| {
        let instance = (!instance.is_empty()).then(|| instance.to_owned());
        Ok((instance, name.to_owned()))
    };
    assert_eq!(granted(None, "cam"), place("", "cam"));
    assert_eq!(granted(Some("room"), "cam"), place("room", "cam"));
    assert_eq!(granted(Some("room"), "a/cam"), place("room/a", "cam"));
    assert_eq!(
        granted(None, "mp4:a%20b.mp4?x"),
        place("", "mp4:a%20b.mp4?x")
    );
    assert_eq!(granted(None, ""), Err(NameError::Empty("granted")));
    assert_eq!(granted(Some("room"), "/"), Err(NameError::Empty("granted")));
    assert_eq!(granted(None, "../a"), Err(NameError::Dots("granted")));
}

mod arbitrary {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However a URL is cut into connection and stream, one stream is meant.
        #[test]
        fn a_url_means_one_stream_wherever_a_client_cuts_it(
            path in prop::collection::vec("[a-z_.:%é ?&]{1,6}", 1..5),
            at in 0..4_usize,
        ) {
            let path: Vec<_> = path.iter().map(|s| s.replace(['?', ':', '%'], "x")).collect();
            prop_assume!(!path.iter().any(|s| s == "." || s == ".."));
            let at = at.min(path.len() - 1);
            let applications = applications(None);
            let meant = |at: usize| {
                let app = format!("live/{}", path[..at].join("/"));
                let (_, instance) = AppPath::parse(&app, "").unwrap().resolve(&applications).unwrap();
                StreamName::parse(instance.as_deref(), &path[at..].join("/"))
            };
            prop_assert_eq!(meant(at), meant(0));
        }

        /// Whatever a client sends is a name, or refused with a reason.
        #[test]
        fn text_is_a_name_or_refused(app in "\\PC{0,40}", url in "\\PC{0,40}", name in "\\PC{0,40}") {
            let applications = applications(Some("live"));
            if let Ok(path) = AppPath::parse(&app, &url) {
                let (_, instance) = path.resolve(&applications).unwrap();
                if let Ok(stream) = StreamName::parse(instance.as_deref(), &name) {
                    prop_assert!(!stream.place.name.is_empty());
                }
            }
        }
    }
}
