//! What is recorded of decisions, and where.

use std::path::{Path, PathBuf};

use livehost_policy::Question;
use livehost_settings::{GIB, KIB, MIB, TextError, settings, suggest};
use livehost_telemetry::rotation::RotationLimits;

settings! {
    /// What is recorded of decisions, and where.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DecisionSettings {
        /// The file that each decision is a JSON line of; `""` writes none. See
        /// [decisions.md](decisions.md).
        pub file: String = text(
            String::new(),
            "the path of a file",
            "the path of a file in quotes",
            |text| match text.ends_with('/') {
                true => Err(TextError::expected("the path of a file", text)),
                false => Ok(()),
            },
        ),
        /// A file that is full is called `FILE.1`, the one before it `FILE.2`.
        pub file_size: usize = size(64 * MIB, 64 * KIB..=16 * GIB),
        /// Full files that are kept.
        pub files: usize = number(4, 0..=1000),
        /// Decisions that are kept in memory for the API; each takes 1 KiB, 8 KiB at most.
        pub ring: usize = number(0, 0..=10_000),
        /// One of so many decisions that let a client have its way is recorded. Refusals
        /// and failures always are.
        pub sample: u64 = number(1, 1..=1_000_000),
        /// The questions whose decisions are recorded; `[]` is all of them.
        pub hooks: Vec<&'static str> = list(
            Vec::new(),
            "functions of plugins like \"on-publish\"",
            "a function of plugins in quotes, like \"on-publish\"",
            hook,
        ),
        /// Records have the addresses of clients.
        pub addresses: bool = flag(true),
        /// Attributes of clients (`attrs` of a connect grant) whose values records have. Of
        /// others they have the names.
        pub attributes: Vec<String> = list(
            Vec::new(),
            "names of attributes",
            "the name of an attribute in quotes",
            |text| Ok(text.to_owned()),
        ),
    }
}

impl DecisionSettings {
    /// The file, if there is one; a relative path starts at `base`.
    pub(crate) fn file_in(&self, base: &Path) -> Option<(PathBuf, RotationLimits)> {
        let limits = RotationLimits {
            size: u64::try_from(self.file_size).unwrap_or(u64::MAX),
            files: self.files,
        };
        (!self.file.is_empty()).then(|| (base.join(&self.file), limits))
    }

    /// Whether decisions of this function are recorded.
    pub(crate) fn wants(&self, hook: &str) -> bool {
        self.hooks.is_empty() || self.hooks.contains(&hook)
    }

    /// Whether records have the value of this attribute.
    pub(crate) fn shows(&self, attribute: &str) -> bool {
        self.attributes.iter().any(|shown| shown == attribute)
    }
}

fn hook(text: &str) -> Result<&'static str, TextError> {
    let known = Question::HOOKS.iter().find(|hook| **hook == text);
    known.copied().ok_or_else(|| {
        let expected = format!("one of {}", Question::HOOKS.join(", "));
        TextError {
            help: suggest(text, Question::HOOKS),
            ..TextError::expected(&expected, text)
        }
    })
}
