//! Settings as tables: a section of the configuration is a struct whose every field
//! has its name, default, range and text in one entry of [`settings!`].
//!
//! Flows in: a [`SettingsReader`], which reads values of a file. Flows out: the struct, within
//! its ranges. The same entry makes the defaults, the messages about a value that is
//! wrong, the row of the documentation and the field's rustdoc.
//!
//! The crate that uses a limit owns its table, since it knows what values make sense.
//! It names this crate alone: of the file's format, of places in it and of the
//! documentation only the source knows, which is in `livehost-ron`.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;
pub const GIB: usize = 1 << 30;

pub const MS: Duration = Duration::from_millis(1);
pub const SEC: Duration = Duration::from_secs(1);
pub const MIN: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);

/// What a field is called, and what its documentation says of it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// As it stands in the file.
    pub name: &'static str,
    /// Markdown in one line; empty for a field that no documentation lists.
    pub text: &'static str,
}

impl Setting {
    #[must_use]
    pub const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text }
    }
}

impl From<&'static str> for Setting {
    fn from(name: &'static str) -> Self {
        Self::new(name, "")
    }
}

/// Why a text is not what a field wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextError {
    /// What was expected and, unless it may be a secret, what came.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

impl TextError {
    /// `expected …; found …` with the beginning of what was found.
    #[must_use]
    pub fn expected(expected: &str, found: &str) -> Self {
        const SHOWN: usize = 40;
        let shown = match found.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{:?}...", found.get(..end).unwrap_or_default()),
            None => format!("{found:?}"),
        };
        Self::new(format!("expected {expected}; found {shown}"))
    }

    /// Without help; `message` is an error that says what was expected.
    pub fn new(message: impl Display) -> Self {
        Self {
            message: message.to_string(),
            help: None,
        }
    }
}

impl Display for TextError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        self.help.iter().try_for_each(|help| write!(f, " ({help})"))
    }
}

/// Settings that are read field by field.
pub trait Settings: Default {
    /// Every field, in the order of the table; what the source does not have, or has
    /// out of its range, is the default.
    fn read<S: SettingsReader>(source: &mut S) -> Self;
}

/// Where settings are read from. Each method is a kind of field: it yields `default`
/// for a field that is not there, and for one whose value is wrong, which the source
/// reports.
pub trait SettingsReader {
    /// A plain number.
    fn number<T>(&mut self, field: impl Into<Setting>, default: T, allowed: RangeInclusive<T>) -> T
    where
        T: Copy + PartialOrd + Display + TryFrom<u64>;

    /// A size in bytes, written with its unit.
    fn size(
        &mut self,
        field: impl Into<Setting>,
        default: usize,
        allowed: RangeInclusive<usize>,
    ) -> usize;

    /// A duration, written with its unit.
    fn duration(
        &mut self,
        field: impl Into<Setting>,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration;

    /// `true` or `false`.
    fn flag(&mut self, field: impl Into<Setting>, default: bool) -> bool;

    /// One of several words: see [`words!`].
    fn choice<T>(&mut self, field: impl Into<Setting>, default: T, words: &[(&str, T)]) -> T
    where
        T: Copy + PartialEq;

    /// A text. `allowed` is for the documentation, `one` what is expected instead of
    /// another kind of value.
    fn text(
        &mut self,
        field: impl Into<Setting>,
        default: String,
        allowed: &str,
        one: &str,
        check: impl Fn(&str) -> Result<(), TextError>,
    ) -> String;

    /// A list of texts, each as `one` describes it; the default is empty.
    fn list<T, C>(
        &mut self,
        field: impl Into<Setting>,
        default: C,
        allowed: &str,
        one: &str,
        parse: impl Fn(&str) -> Result<T, TextError>,
    ) -> C
    where
        C: FromIterator<T>;
}

/// A struct of settings, with its `Default` and its [`Settings`].
///
/// Each entry is the documentation of the field in the file, its name (and, after
/// `as`, what it is called in the file if that differs), its type, and its kind: a
/// method of [`SettingsReader`] with the default and what else the method takes.
///
/// ```
/// use livehost_settings::{GIB, MIB, settings};
///
/// settings! {
///     /// How media are kept.
///     #[derive(Debug, Clone, PartialEq, Eq)]
///     pub struct Media {
///         /// Media kept per stream; `"0 B"` keeps none.
///         pub cache_bytes as "cache": usize = size(16 * MIB, 0..=GIB),
///         /// Players of a stream.
///         pub players: u32 = number(100, 1..=1000),
///     }
/// }
/// assert_eq!(Media::default().cache_bytes, 16 << 20);
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident {
            $(
                $(#[doc = $text:literal])+
                pub $field:ident $(as $called:literal)?: $type:ty
                    = $kind:ident($default:expr $(, $more:expr)* $(,)?)
            ),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        $visible struct $name {
            $(
                $(#[doc = $text])+
                #[doc = concat!("\n\nConfigured as `", stringify!($kind($default $(, $more)*)), "`.")]
                pub $field: $type,
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)+ }
            }
        }

        impl $crate::Settings for $name {
            fn read<S: $crate::SettingsReader>(source: &mut S) -> Self {
                Self {
                    $($field: source.$kind(
                        $crate::Setting::new(
                            $crate::called!($field $($called)?),
                            concat!($($text),+).trim_ascii(),
                        ),
                        $default
                        $(, $more)*
                    ),)+
                }
            }
        }
    };
}

/// What a field is called in the file.
#[doc(hidden)]
#[macro_export]
macro_rules! called {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $called:literal) => {
        $called
    };
}

/// The words of a [`SettingsReader::choice`] and what they stand for: variants of an enum,
/// called as they are.
#[macro_export]
macro_rules! words {
    ($type:ident: $($variant:ident),+) => {
        &[$((stringify!($variant), $type::$variant)),+]
    };
}

/// `did you mean …?` for the name among `names` that `found` resembles.
#[must_use]
pub fn suggest(found: &str, names: &[&str]) -> Option<String> {
    /// Jaro-Winkler similarity from which a name looks like a slip.
    const ALIKE: f64 = 0.8;
    let lower = found.to_lowercase();
    names
        .iter()
        .map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| format!("did you mean `{name}`?"))
}
