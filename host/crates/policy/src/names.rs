//! What an application calls its streams: by *path*, which is `instance/name`, or
//! the name alone of a stream without an instance.
//!
//! The last segment is the name, those before it are the instance, and empty
//! segments mean nothing: docs/names.md has the rule for clients, too.

/// Longest name of a stream with its instance, in bytes: nobody claims or plays
/// one that is longer.
pub const MAX_PATH: usize = 512;

/// More of those that a name may stand for are not named.
const MAX_NAMED: usize = 3;
/// So many tell all that is to be known of them.
pub const ENOUGH: usize = MAX_NAMED + 1;

/// The path of a stream.
pub fn path(instance: Option<&str>, name: &str) -> String {
    match instance {
        Some(instance) => format!("{instance}/{name}"),
        None => name.to_owned(),
    }
}

/// Instance and name of the stream that is called `path`.
pub fn split(path: &str) -> (Option<String>, String) {
    let mut segments: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    let name = segments.pop().unwrap_or_default().to_owned();
    let instance = (!segments.is_empty()).then(|| segments.join("/"));
    (instance, name)
}

/// A name without an instance that several streams have, each in another one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the path of one stream, found {name:?}, which is the name of several: {}{}",
    named.join(", "),
    if *are_more { ", ..." } else { "" }
)]
pub struct Ambiguous {
    name: String,
    /// Some of their paths, in order.
    named: Vec<String>,
    are_more: bool,
}

/// Which of the `live` paths, all of streams with this name, is meant by `name`.
/// Of many paths, any [`ENOUGH`] are enough, with the one without an instance.
///
/// # Errors
/// [`Ambiguous`] when there are several, and none of them is without an instance.
pub fn meant(name: &str, live: impl Iterator<Item = String>) -> Result<String, Ambiguous> {
    let mut live: Vec<_> = live.collect();
    if live.len() > 1 && !live.iter().any(|path| path == name) {
        live.sort_unstable();
        let are_more = live.len() > MAX_NAMED;
        live.truncate(MAX_NAMED);
        return Err(Ambiguous {
            name: name.to_owned(),
            named: live,
            are_more,
        });
    }
    let only = live.pop().filter(|_| live.is_empty());
    Ok(only.unwrap_or_else(|| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, live: &[&str]) -> Result<String, Ambiguous> {
        meant(name, live.iter().map(|path| (*path).to_owned()))
    }

    #[test]
    fn the_last_segment_is_the_name() {
        let split = |text| {
            let (instance, name) = split(text);
            (instance.unwrap_or_default(), name)
        };
        let pair = |instance: &str, name: &str| (instance.to_owned(), name.to_owned());
        assert_eq!(split("cam"), pair("", "cam"));
        assert_eq!(split("room1/cam"), pair("room1", "cam"));
        assert_eq!(split("a/b/cam"), pair("a/b", "cam"));
        assert_eq!(split("//a//cam/"), pair("a", "cam"));
        assert_eq!(split("/"), pair("", ""));
        assert_eq!(path(Some("a/b"), "cam"), "a/b/cam");
    }

    #[test]
    fn a_bare_name_is_the_one_without_an_instance_or_the_only_one() {
        assert_eq!(found("cam", &[]).unwrap(), "cam");
        assert_eq!(found("cam", &["cam"]).unwrap(), "cam");
        assert_eq!(found("cam", &["room1/cam"]).unwrap(), "room1/cam");
        assert_eq!(found("cam", &["room1/cam", "cam"]).unwrap(), "cam");
    }

    #[test]
    fn several_are_never_guessed_and_few_of_them_named() {
        let several = ["e/cam", "b/cam", "a/cam", "d/cam"];
        let error = found("cam", &several).unwrap_err().to_string();
        assert_eq!(
            error,
            "expected the path of one stream, found \"cam\", which is the name of several: \
             a/cam, b/cam, d/cam, ..."
        );
    }
}
