//! A policy's configuration.

use serde::de::DeserializeOwned;

/// Reads the JSON text that [`crate::App::configure`] gets. Empty text counts
/// as `{}`. Errors name the field and what was expected, so they can be
/// returned from `configure` as they are: the host shows the field's line in
/// the file that the operator wrote. Put `#[serde(deny_unknown_fields)]` on
/// your type, so that a misspelt field is an error.
///
/// Begin errors of your own with the field, too: `rooms[2].name: is empty`.
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     room: Room,
/// }
/// #[derive(Debug, serde::Deserialize)]
/// struct Room {
///     seats: u32,
/// }
///
/// let config: Config = livehost_sdk::parse_config(r#"{"room": {"seats": 4}}"#)?;
/// assert_eq!(config.room.seats, 4);
/// let error = livehost_sdk::parse_config::<Config>(r#"{"room": {"seats": "4"}}"#).unwrap_err();
/// assert_eq!(error, "config: room.seats: invalid type: string \"4\", expected u32");
/// let error = livehost_sdk::parse_config::<Config>(r#"{"roam": 1}"#).unwrap_err();
/// assert_eq!(error, "config: roam: unknown field `roam`, expected `room`");
/// # Ok::<(), String>(())
/// ```
pub fn parse_config<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = serde_path_to_error::deserialize(&mut reader);
    let value = read.map_err(|error| {
        let path = error.path().to_string();
        let what = what(error.inner());
        match path.as_str() {
            // The whole, or a text that is no JSON.
            "." | "?" => format!("config: {what}"),
            path => format!("config: {path}: {what}"),
        }
    })?;
    let end = reader.end();
    end.map_err(|error| format!("config: {}", what(&error)))?;
    Ok(value)
}

/// Without the place in the JSON text, which nobody wrote.
fn what(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ");
    what.map_or(text.as_str(), |(what, _)| what).to_owned()
}
