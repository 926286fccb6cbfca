//! The optional interfaces of `wit/0.1`: the one list of them.
//!
//! Flows in: a component. Flows out: which of them it exports, ready to be
//! called. A new one is a line of `optional!`, its calls in [`super::hooks`],
//! and its row in `docs/plugins.md`.

use wasmtime::Store;
use wasmtime::component::{self, Component, InstancePre};

use super::bindings::exports::livehost::app as exports;
use super::compile::{interface, wrong_shape};
use super::error::Fault;
use super::instance::HostState;

/// An interface that a plugin may leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optional {
    /// Its name in `livehost:app`.
    pub name: &'static str,
    /// What a plugin that has it does.
    pub meaning: &'static str,
}

macro_rules! optional {
    ($($field:ident: $name:literal, $meaning:literal;)*) => {
        /// Every optional interface that this host calls.
        pub const OPTIONAL: &[Optional] = &[
            $(Optional { name: $name, meaning: $meaning },)*
        ];

        /// Where a component has them; none: it does not export that one.
        pub(super) struct Indices {
            $(pub(super) $field: Option<exports::$field::GuestIndices>,)*
        }

        /// Those of an instance.
        pub(super) struct Guests {
            $(pub(super) $field: Option<exports::$field::Guest>,)*
        }

        impl Indices {
            /// Looks them up; one of another shape is an error.
            pub(super) fn find(
                component: &Component,
                pre: &InstancePre<HostState>,
            ) -> Result<Self, Fault> {
                let has = |name: &str| component.get_export_index(None, interface(name)).is_some();
                Ok(Self {
                    $($field: if has($name) {
                        let found = exports::$field::GuestIndices::new(pre);
                        Some(found.map_err(|error| wrong_shape($name, &error))?)
                    } else {
                        None
                    },)*
                })
            }

            pub(super) fn load(
                &self,
                store: &mut Store<HostState>,
                instance: &component::Instance,
            ) -> Result<Guests, Fault> {
                Ok(Guests {
                    $($field: match &self.$field {
                        Some(indices) => {
                            let guest = indices.load(&mut *store, instance);
                            Some(guest.map_err(|error| wrong_shape($name, &error))?)
                        }
                        None => None,
                    },)*
                })
            }

            /// The names of those that are there.
            pub(super) fn names(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$field.is_some() {
                    names.push($name);
                })*
                names
            }
        }
    };
}

optional! {
    events: "events", "is told what has happened";
    calls: "calls", "answers clients' remote procedure calls";
    auth: "auth", "has clients log in with a password";
    auth_need: "auth-need", "says whether anybody has to log in";
    relays: "relays", "is told what becomes of pushes and pulls";
    shared_objects: "shared-objects", "decides on clients' shared objects";
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<&'static str> {
        OPTIONAL.iter().map(|optional| optional.name).collect()
    }

    /// Their documentation begins with the word.
    #[test]
    fn the_list_has_what_the_interface_calls_optional() {
        let world = include_str!("../../../../wit/0.1/world.wit");
        let mut found = Vec::new();
        let mut is_optional = false;
        for line in world.lines() {
            if let Some(text) = line.strip_prefix("///") {
                is_optional |= text.starts_with(" Optional.");
            } else {
                let name = line.strip_prefix("interface ");
                let name = name.and_then(|rest| rest.split_whitespace().next());
                found.extend(name.filter(|_| is_optional));
                is_optional = false;
            }
        }
        assert_eq!(found, names());
        let all = world.split_once("world app-all").expect("app-all").1;
        let full = world.split_once("world app-full").expect("app-full").1;
        for name in names() {
            let export = format!("export {name};");
            assert!(all.contains(&export) || full.contains(&export), "{name}");
        }
    }

    #[test]
    fn authors_can_read_about_each() {
        let docs = include_str!("../../../../docs/plugins.md");
        for name in names() {
            assert!(docs.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
