//! The shapes that patterns can have: the decisions, commands and requests of
//! `wit/0.1`, with the names of its fields in Rust's spelling.

/// One alternative, and what can be said about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventShape {
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [Field],
}

/// A field. One without a name is the only one: `Redirect("url")`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: FieldKind,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FieldKind {
    Text,
    Number,
    Word(&'static [&'static str]),
    Pairs,
    List,
    Record(&'static [Field]),
    Values,
}

const fn field(name: &'static str, kind: FieldKind) -> Field {
    Field { name, kind }
}

const fn shape(name: &'static str, fields: &'static [Field]) -> EventShape {
    EventShape { name, fields }
}

use FieldKind::{List, Number, Pairs, Record, Text, Values, Word};

/// The words of `duplicate-rule`.
pub(crate) const DUPLICATE_RULES: &[&str] = &["Reject", "Replace", "Standby"];

const REJECT: EventShape = shape(
    "Reject",
    &[
        field("code", Text),
        field("description", Text),
        field("retry_after_ms", Number),
    ],
);

const RECORDING: &[Field] = &[
    field("container", Text),
    field("path", Text),
    field("split_seconds", Number),
];

pub(crate) const CONNECT: &[EventShape] = &[
    shape(
        "Accept",
        &[
            field("attrs", Pairs),
            field("chunk_size", Number),
            field("window_ack", Number),
            field("max_seconds", Number),
            field("extra", Pairs),
        ],
    ),
    REJECT,
    shape("Redirect", &[field("", Text)]),
];

pub(crate) const PUBLISH: &[EventShape] = &[
    shape(
        "Accept",
        &[
            field("name", Text),
            field("on_duplicate", Word(DUPLICATE_RULES)),
            field("record_to", Record(RECORDING)),
            field("forward_to", List),
            field("max_kbps", Number),
            field("idle_timeout_ms", Number),
            field("hold_ms", Number),
            field("extra", Pairs),
        ],
    ),
    REJECT,
];

pub(crate) const PLAY: &[EventShape] = &[
    shape(
        "Accept",
        &[
            field("name", Text),
            field("pull_from", Text),
            field("wait_ms", Number),
            field("max_seconds", Number),
            field("extra", Pairs),
        ],
    ),
    REJECT,
];

pub(crate) const CALL: &[EventShape] = &[
    shape("Returns", &[field("", Values)]),
    shape("Fails", &[field("", Text)]),
];

pub(crate) const AUTHENTICATE: &[EventShape] = &[
    shape("Challenge", &[field("", Text)]),
    shape("NoChallenge", &[]),
];

pub(crate) const CREDENTIAL: &[EventShape] = &[
    shape("Password", &[field("", Text)]),
    shape("Adobe", &[field("salt", Text), field("hash", Text)]),
    shape("Llnw", &[field("", Text)]),
    shape("NoUser", &[]),
];

pub(crate) const SHARED_OBJECT: &[EventShape] = &[
    shape("Allow", &[]),
    shape("Deny", &[]),
    shape("Rewrite", &[field("", Values)]),
];

pub(crate) const HTTP_REQUEST: EventShape = shape(
    "Request",
    &[
        field("method", Text),
        field("url", Text),
        field("headers", Pairs),
        field("body", Text),
    ],
);

/// The commands of `control`.
pub(crate) const CONTROL: &[EventShape] = &[
    shape(
        "Disconnect",
        &[field("conn", Number), field("reason", Text)],
    ),
    shape(
        "StopStream",
        &[
            field("name", Text),
            field("id", Number),
            field("reason", Text),
        ],
    ),
    shape(
        "StartRecord",
        &[field("name", Text), field("spec", Record(RECORDING))],
    ),
    shape("StopRecord", &[field("name", Text)]),
    shape(
        "StartForward",
        &[field("name", Text), field("id", Number), field("url", Text)],
    ),
    shape(
        "StopForward",
        &[field("name", Text), field("id", Number), field("url", Text)],
    ),
    shape(
        "SendData",
        &[
            field("name", Text),
            field("id", Number),
            field("handler", Text),
            field("values", Values),
        ],
    ),
];

const LINE: &[Field] = &[field("message", Text), field("fields", Pairs)];

/// Lines of the log, by level.
pub(crate) const LOG: &[EventShape] = &[
    shape("Trace", LINE),
    shape("Debug", LINE),
    shape("Info", LINE),
    shape("Warn", LINE),
    shape("Error", LINE),
];
