//! What a plugin says about its settings is shown where the operator wrote
//! them.

use std::{fs, time::Duration};

use crate::support::{App, Config, Host, guests, host, together};

const SOON: Duration = Duration::from_secs(20);

/// A mistake, marked by what is wrong, in settings of several lines.
const KEYS: &str = "(
  publish: { \"keys\": [\"k-83a7\"] },
  users: { \"ann\": \"\" }, play: \"users\",
)";
const RULES: &str = "(
  rules: [
    (match: (ip: \"10.0.0.0/8\"), then: \"deny\"), // fine
    (match: (ip: \"10.0.0.0/99\"), then: \"deny\"),
    (then: Allow(nmae: \"x\")),
  ],
)";

/// `config.ron:LINE:COLUMN`, where `needle` is in the text.
fn place(text: &str, needle: &str) -> String {
    let at = text.find(needle).expect("it is there");
    let before = &text[..at];
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("config.ron:{}:{column}", 1 + before.matches('\n').count())
}

#[test]
fn check_and_run_point_at_the_line_of_the_configuration() {
    let _guard = together();
    let folder = host::folder();
    let rules = |settings: &str| App::new(guests::guest("rules.wasm"), settings);
    let config = Config::live(App::keys(KEYS))
        .and("ruled", rules(&RULES.replace("nmae", "name")))
        .and("named", rules(&RULES.replace("/99", "/9")))
        .and("bare", App::keys("()"));
    let text = config.text();
    let exit = host::check(folder.path(), &text).wait(SOON);
    eprintln!("{}", exit.stderr);
    assert_eq!(exit.status.code(), Some(1));
    for expected in [
        format!(
            "{}: applications.\"live\".config.users.ann: the password is empty",
            place(&text, "\"\" }, play")
        ),
        format!(
            "{}: applications.\"ruled\".config.rules[1].match.ip: expected an address",
            place(&text, "\"10.0.0.0/99\"")
        ),
        // The key that nobody knows, not its value.
        "applications.\"named\".config.rules[2].then.Allow.nmae: unknown field `nmae`".to_owned(),
        "|     (then: Allow(nmae: \"x\")),".to_owned(),
        // With a path that is a name in capitals, and with nothing to point at.
        format!(
            "{}: applications.\"bare\".config: missing field `publish`",
            place(
                &text,
                "(), on_error: Reject, limits: (), http: (), media: (), shared_objects: (), ),\n  },"
            )
        ),
    ] {
        let shown = exit.stderr.contains(&expected);
        assert!(shown, "{expected} in\n{}", exit.stderr);
    }
    assert!(!exit.stderr.contains("column"), "{}", exit.stderr);

    let text = Config::live(rules(&RULES.replace("nmae", "name"))).text();
    let exit = host::launch(folder.path(), &text).wait(SOON);
    assert_eq!(exit.status.code(), Some(1));
    let expected = place(&text, "\"10.0.0.0/99\"");
    assert!(exit.stderr.contains(&expected), "{}", exit.stderr);
    assert!(exit.stderr.contains("^^^^"), "{}", exit.stderr);
}

#[test]
fn the_log_of_a_running_server_has_the_place_and_no_key() {
    let _guard = together();
    let folder = host::folder();
    let plugin = folder.path().join("policy.wasm");
    fs::copy(guests::guest("static-keys.wasm"), &plugin).unwrap();
    let good = KEYS.replace("\"\" }", "\"pw\" }");
    let config = |settings: &str| Config::live(App::new(&plugin, settings));
    let host = Host::start_in(folder, &config(&good));

    // A saved configuration.
    let mark = host.log.mark();
    let text = config(KEYS).text();
    guests::replace(&host.file("config.ron"), text.as_bytes());
    let refused = "configuration refused; the old one stays in force";
    let entry = host.log.wait(mark, refused, &[], SOON);
    let error = entry.field("error").expect("why");
    let expected = place(&text, "\"\" }, play");
    assert!(error.contains(&expected), "{expected} in {error}");
    assert!(
        error.contains("users.ann: the password is empty"),
        "{error}"
    );

    // A new version of the plugin that wants other settings.
    let text = config(&good).text();
    guests::replace(&host.file("config.ron"), text.as_bytes());
    let mark = host.log.mark();
    let rules = fs::read(guests::guest("rules.wasm")).unwrap();
    guests::replace(&plugin, &rules);
    let message = "the new version refuses its settings";
    let entry = host.log.wait(mark, message, &[("app", "live")], SOON);
    let shown = entry.field("place").expect("where");
    // `rules` knows no field `publish`; settings are read in the order of names.
    assert!(shown.contains(&place(&text, "play: \"users\"")), "{shown}");
    let log = host.process.stderr.text();
    assert!(
        log.contains("users: { "),
        "the line is not in the log:\n{log}"
    );
    assert!(!log.contains("k-83a7"), "a key is in the log:\n{log}");
    host.stop();
}
