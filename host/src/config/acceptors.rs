//! Reads the listening addresses and checks them against each other and
//! against the applications.
//!
//! Flows in: the fields of the file and the applications it has. Flows out:
//! the [`AcceptorConfig`]s; what is wrong goes to the fields' findings.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::IpNet;
use livehost_net::Binding;
use livehost_ron::{
    node::NodeShape,
    reader::{Fields, suggest, suggest_word, word},
};
use livehost_server_http::Service;
use livehost_settings::{Setting, SettingsReader as _, TextError, words};

use super::{
    chain::Chain,
    load::FileContext,
    schema::{AcceptorConfig, ApplicationConfig},
    tls::tls,
};

/// What is expected in `proxy_protocol`.
const NETWORK: &str = "a network or an address in quotes, like \"10.0.0.0/8\"";

pub(super) fn acceptors(
    fields: &mut Fields<'_, '_>,
    applications: &BTreeMap<String, ApplicationConfig>,
    context: &FileContext<'_>,
) -> Vec<AcceptorConfig> {
    let mut acceptors: Vec<AcceptorConfig> = Vec::new();
    let field = Setting::new("acceptors", "The listening addresses.");
    let allowed = "[(listen: \"127.0.0.1:1935\")], at least one";
    let Some(node) = fields.require(field, allowed) else {
        return acceptors;
    };
    let Some(items) = node.items().filter(|_| node.shape() == NodeShape::List) else {
        let expected = "a list, like [(listen: \"127.0.0.1:1935\")]";
        fields.findings.expected(node, "acceptors", expected);
        return acceptors;
    };
    if items.is_empty() {
        let expected = "at least one acceptor";
        fields.findings.expected(node, "acceptors", expected);
    }
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("acceptors[{index}]");
        let acceptor = Fields::read(fields.findings, path, "Acceptor", Some(item), |f| {
            let binding = listen(f, &acceptors);
            let chain = chain(f);
            let tls = tls(f, chain, context);
            let serve = services(f, chain);
            let proxy_protocol = f.list(
                Setting::new(
                    "proxy_protocol",
                    "Who connects from there is a proxy and begins with a PROXY header, \
                     version 1 or 2; the address in it counts as the client's. A header \
                     from elsewhere is refused.",
                ),
                Vec::new(),
                "networks and addresses, like \"10.0.0.0/8\"",
                NETWORK,
                network,
            );
            let applications = served(f, applications);
            let (listen, dual_stack) = binding?;
            Some(AcceptorConfig {
                listen,
                dual_stack,
                chain: chain?,
                tls,
                serve,
                proxy_protocol,
                applications,
            })
        });
        acceptors.extend(acceptor);
    }
    acceptors
}

/// The address, and whether it takes both families.
fn listen(fields: &mut Fields<'_, '_>, others: &[AcceptorConfig]) -> Option<(SocketAddr, bool)> {
    let field = Setting::new(
        "listen",
        "IP address and port, IPv6 in brackets: `\"[::1]:1935\"`. Port 0 takes any \
         free one.",
    );
    let node = fields.require(field, "\"address:port\"");
    let field = Setting::new(
        "dual_stack",
        "`\"[::]:1935\"` takes IPv4 clients as well; without it an IPv6 address takes \
         IPv6 alone, whatever the machine's default is.",
    );
    let dual_stack = fields.flag(field, false);
    let node = node?;
    let path = fields.path_of("listen");
    let text: String = node.scalar().unwrap_or_default();
    let Ok(listen) = text.parse::<SocketAddr>() else {
        let message = format!(
            "expected an IP address and a port in quotes, like \"127.0.0.1:1935\"; found {}",
            node.describe()
        );
        fields
            .findings
            .problem_with_help(node.span(), &path, message, listen_help(&text));
        return None;
    };
    if dual_stack && listen.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        let expected = "no dual stack, which is for \"[::]\" alone";
        fields.refuse("dual_stack", expected, "false");
    }
    let here = Binding {
        address: listen,
        dual_stack,
    };
    if let Some(other) = others.iter().find(|other| other.binding().overlaps(here)) {
        let other = other.listen;
        let message =
            format!("expected each address once; found {listen}, and {other} in another acceptor");
        fields.findings.problem(node.span(), &path, message);
    }
    Some((listen, dual_stack))
}

/// What an address that was not understood may have meant.
fn listen_help(text: &str) -> Option<String> {
    const PORT: u16 = 1935;
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some("an IPv6 address has brackets, like \"[::1]:1935\"".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, PORT),
    };
    let ip: IpAddr = match host {
        "localhost" => Ipv4Addr::LOCALHOST.into(),
        "" | "*" if !text.is_empty() => Ipv4Addr::UNSPECIFIED.into(),
        _ => host.parse().ok()?,
    };
    Some(format!("write \"{}\"", SocketAddr::new(ip, port)))
}

/// The default if the file has none; none for a chain that does not exist.
fn chain(fields: &mut Fields<'_, '_>) -> Option<Chain> {
    let field = Setting::new(
        "chain",
        "The protocols that a connection's bytes pass; see [transports](transports.md).",
    );
    let default = Chain::default();
    let allowed = Chain::list();
    let Some(node) = fields.take(field, &default.to_string(), &allowed) else {
        return Some(default);
    };
    let path = fields.path_of("chain");
    let items = match node.shape() {
        NodeShape::List => node.items().unwrap_or_default(),
        _ => Vec::new(),
    };
    let words: Vec<&str> = items
        .iter()
        .map(|item| match item.shape() {
            NodeShape::Word(word) => word,
            _ => item.text(),
        })
        .collect();
    let found = Chain::all().find(|chain| chain.protocols() == words);
    if found.is_some() {
        return found;
    }
    let known: Vec<&str> = Chain::all().flat_map(Chain::protocols).copied().collect();
    let help = words
        .iter()
        .find(|word| !known.contains(word))
        .and_then(|word| suggest_word(word, &known));
    let message = match node.shape() {
        NodeShape::List => format!(
            "expected a chain that exists: {allowed}; found [{}]",
            words.join(", ")
        ),
        _ => format!(
            "expected a list of protocols: {allowed}; found {}",
            node.describe()
        ),
    };
    fields
        .findings
        .problem_with_help(node.span(), &path, message, help);
    None
}

/// What is served over HTTP; none if the chain makes no sense.
fn services(fields: &mut Fields<'_, '_>, chain: Option<Chain>) -> Vec<Service> {
    const WORDS: &[(&str, Service)] = words!(Service: Api, Metrics);
    let field = Setting::new(
        "serve",
        "What a chain that ends with `Http` serves: the [API](operations.md#the-api) below \
         `/api`, [metrics](operations.md#metrics) at `/metrics`. `/health/live` and \
         `/health/ready` are always there.",
    );
    let allowed = "of Api, Metrics";
    let path = fields.path_of(field.name);
    let items = fields.items(field, allowed);
    let mut services = Vec::new();
    for item in &items {
        services.extend(word(fields.findings, *item, &path, WORDS, allowed));
    }
    match chain {
        Some(chain) if !chain.is_http() && !items.is_empty() => {
            fields.refuse(
                "serve",
                "nothing for a chain that does not end with Http",
                "",
            );
        }
        Some(chain) if chain.is_http() && items.is_empty() => {
            fields.refuse_absent(
                "serve",
                "[Api], [Metrics] or both, since the chain ends with Http",
            );
        }
        _ => {}
    }
    services
}

/// A network whose connections begin with a PROXY header.
fn network(text: &str) -> Result<IpNet, TextError> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| address());
    network
        .map(canonical)
        .map_err(|_| TextError::expected(NETWORK, text))
}

/// IPv4 addresses written as IPv6 are what they are, as those of clients are.
fn canonical(network: IpNet) -> IpNet {
    let mapped = || {
        let bits = network.prefix_len().checked_sub(96)?;
        let IpAddr::V4(address) = network.addr().to_canonical() else {
            return None;
        };
        IpNet::new(address.into(), bits).ok()
    };
    match network {
        IpNet::V4(_) => network,
        IpNet::V6(_) => mapped().unwrap_or(network),
    }
}

fn served(
    fields: &mut Fields<'_, '_>,
    applications: &BTreeMap<String, ApplicationConfig>,
) -> Vec<String> {
    let field = Setting::new("applications", "The applications served at this address.");
    let mut served = Vec::new();
    let path = fields.path_of(field.name);
    let names: Vec<&str> = applications.keys().map(String::as_str).collect();
    for item in fields.items(field, "names of applications, [] for all") {
        let Some(name) = item.scalar::<String>() else {
            let expected = "an application's name in quotes";
            fields.findings.expected(item, &path, expected);
            continue;
        };
        if served.contains(&name) {
            fields
                .findings
                .expected(item, &path, "each application once");
        } else if !applications.contains_key(&name) {
            let message = format!(
                "expected an application of this file ({}); found {}",
                names.join(", "),
                item.describe()
            );
            let help = suggest(&name, &names);
            fields
                .findings
                .problem_with_help(item.span(), &path, message, help);
        }
        served.push(name);
    }
    served
}
