//! Takes the policies out of the SDK's documentation: the example of the hook
//! `on_play` becomes `on_play.rs`, without the part that asks a mock host.

use std::path::Path;
use std::{env, fs};

fn main() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../../sdk/src/app.rs");
    println!("cargo::rerun-if-changed={}", docs.display());
    let text = fs::read_to_string(&docs).expect("the SDK's trait can be read");
    let out = env::var("OUT_DIR").expect("cargo says where");
    let mut example: Option<String> = None;
    let mut is_code = false;
    let mut is_over = false;
    for line in text.lines() {
        let Some(doc) = line.trim_start().strip_prefix("///") else {
            let name = line.trim_start().strip_prefix("fn ");
            let name = name.and_then(|rest| rest.split('(').next());
            if let (Some(name), Some(example)) = (name, example.take()) {
                let file = Path::new(&out).join(format!("{name}.rs"));
                fs::write(file, example).expect("the example can be written");
            }
            continue;
        };
        let doc = doc.strip_prefix(' ').unwrap_or(doc);
        if doc.starts_with("```") {
            is_code = !is_code;
            is_over = false;
            if is_code {
                example = Some(String::new());
            }
            continue;
        }
        let code = doc.strip_prefix("# ").unwrap_or(doc);
        is_over |= code.starts_with("let ") || code.starts_with("assert");
        let is_mock = code.starts_with("use livehost_sdk::testing");
        if let Some(example) = example.as_mut().filter(|_| is_code && !is_over && !is_mock) {
            let code = code.replace("*, testing::{self, MockHost}", "*");
            let code = match code.strip_prefix("struct ") {
                Some(rest) => format!("pub struct {rest}"),
                None => code,
            };
            example.push_str(&code);
            example.push('\n');
        }
    }
}
