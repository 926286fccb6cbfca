//! Reads application, instance, stream name and query out of what clients send.
//!
//! The rule, for `rtmp://HOST/APP/INSTANCE?QUERY` and `NAME?QUERY`: everything
//! from the first `?` is query; slashes at both ends are cut; the application
//! is the part before the first slash, the instance the rest, and the instance
//! `_definst_` is no instance. Query values are percent-decoded, names are not.

use percent_encoding::percent_decode_str;

use crate::policy::Pairs;

/// Longest application, instance or stream name, in bytes.
const MAX_NAME: usize = 512;
/// Most parameters read from one query.
const MAX_PARAMETERS: usize = 64;

/// What a client's `app` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AppName {
    pub(super) app: String,
    pub(super) instance: Option<String>,
    pub(super) query: Pairs,
}

/// What a client's publish or play asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamName {
    pub(super) name: String,
    pub(super) query: Pairs,
}

/// Why a name is refused before the policy is asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    #[error("the {0} name is empty")]
    Empty(&'static str),
    #[error("the {what} name has {len} bytes; at most {MAX_NAME} are allowed")]
    TooLong { what: &'static str, len: usize },
    #[error("the {0} name holds a control character")]
    ControlCharacter(&'static str),
}

pub(super) fn parse_app(app: &str, tc_url: &str) -> Result<AppName, NameError> {
    let (path, query) = cut_query(app);
    let path = path.trim_matches('/');
    let (app, instance) = match path.split_once('/') {
        Some((app, instance)) => (app, instance.trim_matches('/')),
        None => (path, ""),
    };
    checked("application", app)?;
    let instance = match instance {
        "" | "_definst_" => None,
        instance => Some(checked("instance", instance)?.to_owned()),
    };
    let mut query = parse_query(query);
    // Some encoders put the query behind tcUrl only; most repeat app there.
    for (key, value) in parse_query(cut_query(tc_url).1) {
        if !query.iter().any(|(known, _)| *known == key) {
            query.push((key, value));
        }
    }
    Ok(AppName {
        app: app.to_owned(),
        instance,
        query,
    })
}

pub(super) fn parse_stream(name: &str) -> Result<StreamName, NameError> {
    let (name, query) = cut_query(name);
    Ok(StreamName {
        name: checked("stream", name.trim_matches('/'))?.to_owned(),
        query: parse_query(query),
    })
}

/// A name that a grant puts in the place of the one asked for: under the same
/// rule, but taken as it is.
pub(super) fn granted(name: String) -> Result<String, NameError> {
    checked("granted", &name)?;
    Ok(name)
}

fn cut_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn checked<'a>(what: &'static str, name: &'a str) -> Result<&'a str, NameError> {
    if name.is_empty() {
        return Err(NameError::Empty(what));
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong {
            what,
            len: name.len(),
        });
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter(what));
    }
    Ok(name)
}

fn parse_query(query: &str) -> Pairs {
    // Keys may hold `?` themselves; only the first one starts the query.
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .take(MAX_PARAMETERS)
        .map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decoded(key), decoded(value))
        })
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Pairs {
        of.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn applications() {
        type Case<'a> = (
            &'a str,
            &'a str,
            &'a str,
            Option<&'a str>,
            &'a [(&'a str, &'a str)],
        );
        let cases: &[Case<'_>] = &[
            ("live", "", "live", None, &[]),
            ("live/", "", "live", None, &[]),
            ("/live//", "", "live", None, &[]),
            ("live/room1", "", "live", Some("room1"), &[]),
            ("live/a/b/", "", "live", Some("a/b"), &[]),
            ("live/_definst_", "", "live", None, &[]),
            ("live?key=s%26t", "", "live", None, &[("key", "s&t")]),
            (
                "live/r?a=1&b",
                "",
                "live",
                Some("r"),
                &[("a", "1"), ("b", "")],
            ),
            (
                "live",
                "rtmp://host/live?key=1",
                "live",
                None,
                &[("key", "1")],
            ),
            (
                "live?key=1",
                "rtmp://host/live?key=2&x=3",
                "live",
                None,
                &[("key", "1"), ("x", "3")],
            ),
        ];
        for (app, tc_url, name, instance, query) in cases {
            let got = parse_app(app, tc_url).unwrap();
            assert_eq!(got.app, *name, "{app}");
            assert_eq!(got.instance.as_deref(), *instance, "{app}");
            assert_eq!(got.query, pairs(query), "{app}");
        }
    }

    #[test]
    fn streams() {
        type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);
        let cases: &[Case<'_>] = &[
            ("cam1", "cam1", &[]),
            ("cam1?key=a=b", "cam1", &[("key", "a=b")]),
            ("a/b", "a/b", &[]),
            ("/cam1", "cam1", &[]),
            ("cam1?a=1?b=2", "cam1", &[("a", "1?b=2")]),
            ("cam%201", "cam%201", &[]),
            ("cam?k=1+2", "cam", &[("k", "1+2")]),
        ];
        for (raw, name, query) in cases {
            let got = parse_stream(raw).unwrap();
            assert_eq!(
                (got.name.as_str(), got.query),
                (*name, pairs(query)),
                "{raw}"
            );
        }
    }

    #[test]
    fn refused_names_say_why() {
        let cases = [
            (parse_stream(""), "the stream name is empty"),
            (parse_stream("?key=1"), "the stream name is empty"),
            (
                parse_stream("a\nb"),
                "the stream name holds a control character",
            ),
            (
                parse_stream(&"n".repeat(513)),
                "the stream name has 513 bytes; at most 512 are allowed",
            ),
        ];
        for (got, expected) in cases {
            assert_eq!(got.unwrap_err().to_string(), expected);
        }
        assert!(parse_app("/", "").is_err());
    }
}
