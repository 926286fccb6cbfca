//! What is written about the API and the metrics outside of the code: held to each
//! other. `make check-alerts` holds the table of metrics to what a server exports.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../..")
        .join(path)
}

fn read(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_documents_file_is_what_the_code_makes() {
    let made = livehost_server_http::api::openapi() + "\n";
    if env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(file("docs/openapi.json"), &made).unwrap();
    }
    let kept = read("docs/openapi.json");
    let differs = made
        .lines()
        .zip(kept.lines())
        .find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "UPDATE_EXPECT=1 makes docs/openapi.json anew, which differs: {differs:#?}"
    );
}

/// The table of docs/operations.md is made of the document.
#[test]
fn the_page_lists_what_the_document_has() {
    const BEGIN: &str = "<!-- api -->\n";
    const END: &str = "<!-- end of api -->";
    let document: Value = serde_json::from_str(&livehost_server_http::api::openapi()).unwrap();
    let mut made = "| request | scope | does |\n|---|---|---|\n".to_owned();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let text = |field: &str| {
                operation[field]
                    .as_str()
                    .unwrap_or_default()
                    .replace('\n', " ")
            };
            let scope = operation["security"][0]["token"][0].as_str();
            let scope = scope.unwrap_or_else(|| panic!("{method} {path} wants no scope"));
            let (summary, more) = (text("summary"), text("description"));
            assert!(!summary.is_empty(), "{method} {path} says nothing");
            let about = match more.as_str() {
                "" => summary,
                more => format!("{summary}. {more}"),
            };
            made += &format!(
                "| `{} {path}` | `{scope}` | {about} |\n",
                method.to_uppercase()
            );
        }
    }
    let page = read("docs/operations.md");
    let (before, rest) = page.split_once(BEGIN).expect("the table");
    let (there, after) = rest.split_once(END).expect("its end");
    if env::var_os("UPDATE_EXPECT").is_some() {
        let page = format!("{before}{BEGIN}{made}{END}{after}");
        fs::write(file("docs/operations.md"), page).unwrap();
        return;
    }
    assert!(
        there == made,
        "UPDATE_EXPECT=1 makes the table of docs/operations.md anew:\n{made}"
    );
}

/// The names in the first column of docs/operations.md's table.
fn exported() -> BTreeSet<String> {
    let page = read("docs/operations.md");
    let (_, rest) = page.split_once("<!-- metrics -->").expect("the table");
    let (table, _) = rest.split_once("<!-- end of metrics -->").expect("its end");
    let rows = table.lines().filter_map(|row| row.strip_prefix("| `"));
    let names = rows.filter_map(|row| Some(row.split_once('`')?.0.to_owned()));
    names.collect()
}

/// Words in `text` that begin as metrics do, without what a histogram's series add.
fn mentioned(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let names = words.filter(|word| word.starts_with("livehost_") || word.starts_with("process_"));
    let family = |name: &str| {
        let parts = ["_bucket", "_count", "_sum"].into_iter();
        let mut families = parts.filter_map(|part| name.strip_suffix(part));
        families.next().unwrap_or(name).to_owned()
    };
    names.map(family).collect()
}

#[test]
fn alerts_and_the_dashboard_use_metrics_that_there_are() {
    let exported = exported();
    assert!(exported.len() > 50, "{exported:?}");
    for path in [
        "contrib/prometheus/alerts.yml",
        "contrib/prometheus/alerts_test.yml",
        "contrib/grafana/livehost.json",
    ] {
        let used = mentioned(&read(path));
        assert!(used.len() > 10, "{path}: {used:?}");
        let unknown: Vec<_> = used.difference(&exported).collect();
        assert!(unknown.is_empty(), "{path}: nobody exports {unknown:?}");
    }
}

/// As GitHub makes them of headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with('#'));
    let titles = lines.map(|line| line.trim_start_matches('#').trim().to_lowercase());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    let anchor = |title: String| title.chars().filter(kept).collect::<String>();
    titles
        .map(|title| anchor(title).replace(' ', "-"))
        .collect()
}

#[test]
fn each_alert_says_what_to_do_and_has_a_test_and_a_runbook() {
    let anchors = anchors(&read("docs/operations.md"));
    let (rules, tests) = (
        read("contrib/prometheus/alerts.yml"),
        read("contrib/prometheus/alerts_test.yml"),
    );
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let (name, text) = alert.split_once('\n').unwrap();
        for field in ["summary: ", "description: ", "severity: "] {
            assert!(text.contains(field), "{name} has no {field:?}");
        }
        let (_, runbook) = text.split_once("runbook: ").expect("a runbook");
        let anchor = runbook
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("docs/operations.md#"));
        let anchor =
            anchor.unwrap_or_else(|| panic!("{name}: expected a place in docs/operations.md"));
        assert_eq!(anchor, name.to_lowercase(), "the runbook of {name}");
        assert!(
            anchors.contains(anchor),
            "docs/operations.md has no section {name}"
        );
        assert!(
            tests.contains(&format!("alertname=\"{name}\"")),
            "no test of {name}"
        );
    }
}

#[test]
fn the_dashboards_panels_say_what_they_show() {
    let dashboard: Value = serde_json::from_str(&read("contrib/grafana/livehost.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: a number twice"
        );
        if panel["type"] == "row" {
            continue;
        }
        assert!(
            panel["description"]
                .as_str()
                .is_some_and(|text| !text.is_empty()),
            "{title}"
        );
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(expr.contains("$instance"), "{title}: {expr}");
        }
    }
    assert!(ids.len() > 10);
}
