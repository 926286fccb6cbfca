//! A policy's configuration.

use serde::de::DeserializeOwned;

/// Reads the JSON text that [`crate::App::configure`] gets. Empty text counts
/// as `{}`. Errors name the place and what was expected, so they can be
/// returned from `configure` as they are. Put
/// `#[serde(deny_unknown_fields)]` on your type, so that a misspelt field is
/// an error.
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config {
///     room: String,
/// }
///
/// let config: Config = livehost_sdk::parse_config(r#"{"room": "a"}"#)?;
/// assert_eq!(config.room, "a");
/// let error = livehost_sdk::parse_config::<Config>(r#"{"roam": "a"}"#).unwrap_err();
/// assert_eq!(error, "config: unknown field `roam`, expected `room` (line 1, column 7)");
/// # Ok::<(), String>(())
/// ```
pub fn parse_config<T: DeserializeOwned>(json: &str) -> Result<T, String> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    serde_json::from_str(json).map_err(|error| {
        let text = error.to_string();
        // serde_json appends " at line L column C"; said in our order instead.
        let what = text
            .rsplit_once(" at line ")
            .map_or(text.as_str(), |(what, _)| what);
        if error.line() == 0 {
            format!("config: {what}")
        } else {
            format!(
                "config: {what} (line {}, column {})",
                error.line(),
                error.column()
            )
        }
    })
}
