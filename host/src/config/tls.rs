//! Reads an acceptor's certificates.
//!
//! Flows in: the acceptor's fields and its chain. Flows out: the files, in
//! the order of the configuration; what is in them is read when they are used.

use std::path::PathBuf;

use livehost_net::tls::CertificateFiles;
use livehost_ron::{
    node::{Node, NodeShape},
    reader::Fields,
};
use livehost_settings::Setting;

use super::chain::Chain;
use super::load::FileContext;

const ALLOWED: &str = "(certificate: \"...\", key: \"...\"), or a list of these";

/// `chain` is none when the file's makes no sense: nothing can be said then.
pub(super) fn tls(
    fields: &mut Fields<'_, '_>,
    chain: Option<Chain>,
    context: &FileContext<'_>,
) -> Vec<CertificateFiles> {
    let wanted = chain.is_none_or(Chain::has_tls);
    let field = Setting::new(
        "tls",
        "The certificate of a chain with `Tls`. Of several, the client's wish for a \
         name chooses; the first is for all others.",
    );
    let Some(node) = fields.take(field, "none", ALLOWED) else {
        if chain.is_some() && wanted {
            fields.refuse_absent("tls", &format!("{ALLOWED}, since the chain has Tls"));
        }
        return Vec::new();
    };
    let path = fields.path_of("tls");
    if !wanted {
        let message = "expected no certificate beside a chain without Tls; found one".to_owned();
        let help = "the chain of RTMPS is [Tcp, Tls, Rtmp]".to_owned();
        fields
            .findings
            .problem_with_help(node.span(), &path, message, Some(help));
        return Vec::new();
    }
    let items = match node.shape() {
        NodeShape::List => node.items().unwrap_or_default(),
        _ => vec![node],
    };
    if items.is_empty() {
        let expected = "at least one certificate";
        fields.findings.expected(node, &path, expected);
    }
    let one = items.len() == 1;
    let read = |(index, item): (usize, Node<'_>)| {
        let path = match one {
            true => path.clone(),
            false => format!("{path}[{index}]"),
        };
        Fields::read(fields.findings, path, "Certificate", Some(item), |f| {
            let certificate = Setting::new(
                "certificate",
                "The server's own certificate first, then those that lead to a trusted \
                 one.",
            );
            let certificate = file(f, certificate, "a file with certificates in PEM", context);
            let key = Setting::new(
                "key",
                "The key of that certificate. Both files are read again when they \
                 change, and on SIGHUP.",
            );
            let key = file(f, key, "a file with a private key in PEM", context);
            Some(CertificateFiles {
                certificate: certificate?,
                key: key?,
            })
        })
    };
    items.into_iter().enumerate().filter_map(read).collect()
}

fn file(
    fields: &mut Fields<'_, '_>,
    field: Setting,
    what: &str,
    context: &FileContext<'_>,
) -> Option<PathBuf> {
    let node = fields.require(field, &format!("the path of {what}"))?;
    let path = fields.path_of(field.name);
    let text = node.scalar::<String>().filter(|text| !text.is_empty());
    let Some(text) = text else {
        let expected = format!("the path of {what}, in quotes");
        fields.findings.expected(node, &path, &expected);
        return None;
    };
    let file = context.base.join(text);
    if context.files && !file.is_file() {
        let message = format!("expected {what}; found none at {}", file.display());
        fields.findings.problem(node.span(), &path, message);
    }
    Some(file)
}
