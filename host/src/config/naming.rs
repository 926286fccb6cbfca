//! Reads what else applications are called: aliases, and the default one.
//!
//! Flows in: the fields of the file. Flows out: names that are unique; what is
//! wrong goes to the fields' findings. How clients' names are read is in
//! `docs/names.md`.

use std::collections::BTreeMap;

use livehost_ron::{
    node::Node,
    reader::{Fields, suggest},
};
use livehost_settings::Setting;

use super::{load::check_name, schema::ApplicationConfig};

/// Other names of one application. `taken` has those of the others and grows.
pub(super) fn aliases(fields: &mut Fields<'_, '_>, taken: &mut Vec<String>) -> Vec<String> {
    let field = Setting::new("aliases", "Clients may call it by these, too.");
    let mut aliases = Vec::new();
    let path = fields.path_of(field.name);
    for item in fields.items(field, "other names of the application") {
        match alias(item, taken) {
            Ok(alias) => {
                taken.push(alias.clone());
                aliases.push(alias);
            }
            Err(expected) => fields.findings.expected(item, &path, expected),
        }
    }
    aliases
}

fn alias(item: Node<'_>, taken: &[String]) -> Result<String, &'static str> {
    let alias = item.scalar::<String>().ok_or("a name in quotes")?;
    check_name(&alias)?;
    if taken.contains(&alias) {
        return Err("a name that is not taken yet");
    }
    Ok(alias)
}

/// The application for clients that name none.
pub(super) fn default_application(
    fields: &mut Fields<'_, '_>,
    applications: &BTreeMap<String, ApplicationConfig>,
) -> Option<String> {
    let field = Setting::new(
        "default_application",
        "The one for clients that name none, or none that there is; without it they \
         are refused.",
    );
    let node = fields.take(field, "none", "the name of an application")?;
    let name: String = node.scalar().unwrap_or_default();
    if applications.contains_key(&name) {
        return Some(name);
    }
    let names: Vec<&str> = applications.keys().map(String::as_str).collect();
    let message = format!(
        "expected an application of this file ({}); found {}",
        names.join(", "),
        node.describe()
    );
    let help = suggest(&name, &names);
    fields
        .findings
        .problem_with_help(node.span(), field.name, message, help);
    None
}
