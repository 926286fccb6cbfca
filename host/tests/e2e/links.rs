//! Files that are reached through links, as those of a Kubernetes volume and of
//! a folder of releases are: what a link leads to is swapped, and nobody sends a
//! signal.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use crate::support::{
    App, Config, Host, guests, host,
    rtmp::Client,
    tls::{self, Certificate},
    together,
};

const SOON: Duration = Duration::from_secs(30);

/// A version of everything that a server reads.
struct Version<'a> {
    config: &'a str,
    plugin: Vec<u8>,
    certificate: &'a Certificate,
}

impl Version<'_> {
    fn write(&self, folder: &Path) {
        fs::create_dir(folder).expect("a new folder");
        fs::write(folder.join("config.ron"), self.config).expect("the configuration");
        fs::write(folder.join("plugin.wasm"), &self.plugin).expect("the plugin");
        self.certificate.write(folder, "own");
    }
}

/// Leads `link` to `to`, at once, and removes what it led to before.
fn swap(link: &Path, to: &str) {
    let fresh = link.with_file_name("fresh-link");
    symlink(to, &fresh).expect("a link");
    let old = fs::read_link(link).expect("the link");
    fs::rename(&fresh, link).expect("the link is replaced");
    let old = link.with_file_name(old);
    fs::remove_dir_all(old).expect("the old version");
}

#[test]
fn a_swapped_volume_with_a_refused_configuration_is_taken_up_in_no_part() {
    let _guard = together();
    let folder = host::folder();
    let root = folder.path().to_owned();
    let plugin = root.join("..data/plugin.wasm");
    let certificate = Certificate::new("localhost");
    let version = |folder: &str, number: u32, room: &str| {
        let live = Config::live(App::probe_at(&plugin, "tell-version"));
        let config = live.and("room", App::probe(room));
        Version {
            config: &config.state(&root.join("state")).text(),
            plugin: guests::probe_version(number),
            certificate: &certificate,
        }
        .write(&root.join(folder));
    };
    version("..1", 1, "accept");
    symlink("..1", root.join("..data")).expect("a link");
    let host = Host::start_at(folder, "..data/config.ron");
    let told = || {
        let told = Client::connect(host.addr, "live").expect_err("it tells its version");
        told.description().to_owned()
    };
    assert_eq!(told(), "version 000001");

    let mark = host.log.mark();
    version("..2", 2, "refuse-start");
    swap(&root.join("..data"), "..2");
    let waits = "what changed with it waits for a configuration";
    host.log.wait(mark, waits, &[], SOON);
    assert_eq!(told(), "version 000001");

    // The configuration is the old one again.
    version("..3", 2, "accept");
    swap(&root.join("..data"), "..3");
    host.log.wait(mark, "plugin generation serving", &[], SOON);
    assert_eq!(told(), "version 000002");
    host.stop();
}

#[test]
fn a_swapped_volume_is_taken_up_as_a_whole_without_a_signal() {
    let _guard = together();
    for through_links in [true, false] {
        let folder = host::folder();
        let root = folder.path().to_owned();
        let place = |name: &str| root.join(name);
        let files = ["config.ron", "plugin.wasm", "own.pem", "own.key"];
        let inside = if through_links { "" } else { "..data/" };
        let tls = format!(
            "tls: [(certificate: \"{}\", key: \"{}\")],",
            place(&format!("{inside}own.pem")).display(),
            place(&format!("{inside}own.key")).display()
        );
        let plugin = place(&format!("{inside}plugin.wasm"));
        let config = |mode: &str| {
            let app = App::probe_at(&plugin, mode);
            let config = Config::live(app).chain("[Tcp, Tls, Rtmp]", &tls);
            config.state(&place("state")).text()
        };
        let (first, second) = (Certificate::new("localhost"), Certificate::new("localhost"));
        let old = Version {
            config: &config("accept"),
            plugin: guests::probe_version(1),
            certificate: &first,
        };
        let new = Version {
            config: &config("tell-version"),
            plugin: guests::probe_version(2),
            certificate: &second,
        };
        old.write(&place("..1"));
        symlink("..1", place("..data")).expect("a link");
        if through_links {
            for file in files {
                symlink(Path::new("..data").join(file), place(file)).expect("a link");
            }
        }
        let host = Host::start_at(folder, &format!("{inside}config.ron"));
        let connect = || Client::connect(tls::tunnel(host.addr, "localhost"), "live");
        connect().expect("the old plugin accepts");

        let mark = host.log.mark();
        new.write(&host.file("..2"));
        swap(&host.file("..data"), "..2");
        host.log.wait(mark, "configuration in force", &[], SOON);
        host.log.wait(mark, "plugin generation serving", &[], SOON);
        let told = connect().expect_err("the new plugin refuses");
        assert_eq!(told.description(), "version 000002");
        let shown = tls::greet(host.addr, "localhost", tls::ALL).expect("a handshake");
        assert_eq!(shown.certificate, second.der);

        // Each of them alone, while the others stay as they are.
        let third = Certificate::new("localhost");
        let mark = host.log.mark();
        Version {
            certificate: &third,
            ..new
        }
        .write(&host.file("..3"));
        swap(&host.file("..data"), "..3");
        host.log.wait(mark, "certificates reloaded", &[], SOON);
        let mark = host.log.mark();
        let plugin = guests::probe_version(4);
        let config = config("tell-version");
        let new = Version {
            config: &config,
            plugin,
            certificate: &third,
        };
        new.write(&host.file("..4"));
        swap(&host.file("..data"), "..4");
        host.log.wait(mark, "plugin generation serving", &[], SOON);
        let told = connect().expect_err("the new plugin refuses");
        assert_eq!(told.description(), "version 000004");
        host.stop();
    }
}
