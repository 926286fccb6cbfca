//! What of texts may be read: bounded, and without what may be a secret.
//!
//! A plugin's words to a client may repeat what the client sent: "the key x is
//! unknown".

use livehost_policy::{ConnectRequest, Pairs, Question, Scalar};
use livehost_telemetry::secrets;
use url::Url;

use crate::settings::DecisionSettings;

/// The most of what a plugin or the server said, in bytes.
const MAX_SAID: usize = 512;
/// So much of it is looked at: stars may be shorter than what they stand for.
const MAX_LOOKED_AT: usize = 2 * MAX_SAID;
/// Texts that are looked for; of what may have more of them, nothing is shown.
const MAX_TEXTS: usize = 16;
/// The most of a URL that is shown, in bytes.
const MAX_URL: usize = 128;
/// Bytes at the beginning of a text's first word that tell that it may be there.
const HEAD: usize = 4;

/// `text`, or as much of it as has `max` bytes and a mark.
pub(crate) fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let shown = text.get(..text.floor_char_boundary(max));
    format!("{}...", shown.unwrap_or_default())
}

/// Scheme, host, port and first segment of a URL: a login, a stream's name and queries
/// may be secret.
pub(crate) fn server(url: &str) -> String {
    shown_server(url).map_or_else(|| secrets::STARS.to_owned(), |url| cut(&url, MAX_URL))
}

fn shown_server(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let port = url.port().map(|port| format!(":{port}"));
    let first = url.path_segments().and_then(|mut path| path.next());
    // A login with a slash in it.
    let app = first
        .filter(|first| !first.contains('@'))
        .unwrap_or_default();
    let port = port.unwrap_or_default();
    Some(format!("{}://{host}{port}/{app}", url.scheme()))
}

/// Texts of a request that a record must not have.
#[derive(Debug)]
pub(crate) struct RequestTexts<'q>(Vec<&'q str>);

impl<'q> RequestTexts<'q> {
    pub(crate) fn of(question: &'q Question, settings: &DecisionSettings) -> Self {
        let hidden = |(name, _): &&(String, String)| !settings.shows(name);
        let attributes = question.client().attrs.iter().filter(hidden);
        let mut texts = Self(attributes.map(|(_, value)| value.as_str()).collect());
        match question {
            Question::Authenticate(request) | Question::Connect(request) => texts.add(request),
            Question::Credential(request) => texts.add(&request.connect),
            Question::Publish(request) | Question::Play(request) => {
                texts.add_pairs(&request.query);
                texts.add_pairs(&request.extra);
                if request.raw_name != request.name {
                    texts.0.push(&request.raw_name);
                }
            }
            // Their values are in no text of a record.
            Question::SharedObject(_) | Question::Call(_) => {}
        }
        texts
    }

    fn add(&mut self, request: &'q ConnectRequest) {
        self.add_pairs(&request.query);
        self.add_pairs(&request.extra);
        self.0.push(&request.tc_url);
        let texts = request.props.iter().filter_map(|(_, value)| match value {
            Scalar::Text(text) => Some(text.as_str()),
            Scalar::Null | Scalar::Boolean(_) | Scalar::Number(_) => None,
        });
        self.0.extend(texts);
    }

    fn add_pairs(&mut self, pairs: &'q Pairs) {
        self.0.extend(pairs.iter().map(|(_, value)| value.as_str()));
    }

    /// What was `said` without them.
    pub(crate) fn out_of(&self, said: &str) -> String {
        let Some(looked_at) = whole_words(said, MAX_LOOKED_AT) else {
            return secrets::STARS.to_owned();
        };
        // A client may send many, and looking for one takes its time.
        let texts = self.0.iter().copied();
        let found: Vec<_> = texts.filter(|text| may_have(looked_at, text)).collect();
        match found.len() {
            0 => cut(looked_at, MAX_SAID),
            1..=MAX_TEXTS => {
                let shown = secrets::without(looked_at, found.into_iter());
                cut(&shown, MAX_SAID)
            }
            _ => secrets::STARS.to_owned(),
        }
    }
}

/// The words of `said` that end within `max` bytes: half a text would not be found. None
/// when the first is longer.
fn whole_words(said: &str, max: usize) -> Option<&str> {
    if said.len() <= max {
        return Some(said);
    }
    let within = said.get(..said.floor_char_boundary(max))?;
    let (words, _) = within.rsplit_once(char::is_whitespace)?;
    Some(words)
}

/// Whether `text` can be in what was `said`, however it is escaped there: the beginning
/// of its first word is, which always stays as it is.
fn may_have(said: &str, text: &str) -> bool {
    let is_no_part = |c: char| !c.is_alphanumeric();
    let word = text.trim_start_matches(is_no_part);
    let mut chars = word.char_indices();
    let end = chars.find(|(at, c)| *at >= HEAD || is_no_part(*c));
    let head = word.get(..end.map_or(word.len(), |(at, _)| at));
    match head.unwrap_or_default() {
        "" => !text.is_empty() && said.contains(text),
        head => said.contains(head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_only_the_server_and_the_application_are_shown() {
        for (url, expected) in [
            ("rtmp://b/live", "rtmp://b/live"),
            ("rtmp://b:1936/live/cam?key=s3cret", "rtmp://b:1936/live"),
            ("rtmps://ann:s3cret@b/live/s3cret", "rtmps://b/live"),
            ("rtmp://b/live?token=s3cret/cam", "rtmp://b/live"),
            ("rtmp://[::1]:1/live#s3cret", "rtmp://[::1]:1/live"),
            // The login has a slash in it.
            ("rtmp://ann:s3/cret@b/live", "***"),
            ("rtmp://ann:1/s3cret@b/live", "rtmp://ann:1/"),
            ("rtmp:///live", "***"),
            ("mailto:s3cret", "***"),
            ("s3cret", "***"),
            ("", "***"),
        ] {
            assert_eq!(server(url), expected, "{url}");
        }
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("héé", 5), "héé");
        assert_eq!(cut("héé", 4), "hé...");
        assert_eq!(cut("héé", 0), "...");
    }

    #[test]
    fn what_is_said_is_without_what_the_client_sent() {
        let long = "x".repeat(600);
        let texts = RequestTexts(vec!["s3cret", "k\"3y", "", "\u{7f}odd-one", &long]);
        for (said, expected) in [
            ("the key s3cret is unknown", "the key *** is unknown"),
            ("found \"k\\\"3y\"", "found \"***\""),
            ("s3crets are none", "s3crets are none"),
            ("nothing of it", "nothing of it"),
            ("'\\u{7f}odd-one'", "'***'"),
        ] {
            assert_eq!(texts.out_of(said), expected, "{said}");
        }
        // What is cut off by the bound is looked for first.
        let said = format!("{} {long} {}", "a ".repeat(200), "b ".repeat(200));
        let shown = texts.out_of(&said);
        assert!(shown.contains("***") && !shown.contains("xx"), "{shown}");
        assert!(shown.len() <= MAX_SAID + 3);
        // Half of one is at the end of what is looked at.
        let said = format!("{long} {long}");
        assert_eq!(texts.out_of(&said), "***");
        assert_eq!(texts.out_of(&"y".repeat(2000)), "***");
    }

    #[test]
    fn who_sends_more_texts_than_are_looked_for_hides_none() {
        let sent: Vec<_> = (0..40).map(|n| format!("s3cret-{n}")).collect();
        let texts = RequestTexts(sent.iter().map(String::as_str).collect());
        assert_eq!(texts.out_of("s3cret-39 is unknown"), "***");
        assert_eq!(texts.out_of("it is unknown"), "it is unknown");
    }
}
