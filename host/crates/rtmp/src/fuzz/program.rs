//! A fuzzer's bytes, read as a program: each byte is a choice, so a changed
//! byte is another choice and an inserted one another step. The format is the
//! corpus's: a new choice goes behind the others.

use livehost_wire::{
    amf0::{Properties, TypedObject, Value},
    amf3,
};

/// Numbers at which something changes: counts, sizes, times, ids.
const NUMBERS: [u32; 16] = [
    0,
    1,
    2,
    63,
    64,
    127,
    128,
    319,
    320,
    4096,
    65_599,
    0x00FF_FFFE,
    0x00FF_FFFF,
    0x0100_0000,
    0x7FFF_FFFF,
    u32::MAX,
];

/// Doubles that a transaction, an id or a position can be.
const DOUBLES: [f64; 10] = [
    0.0,
    1.0,
    2.0,
    -1.0,
    -2000.0,
    0.5,
    4_294_967_295.0,
    1e300,
    f64::NAN,
    f64::NEG_INFINITY,
];

const TEXTS: [&str; 12] = [
    "live",
    "",
    "key",
    "key?token=secret",
    "mp4:a.mp4",
    "record",
    "onMetaData",
    "@setDataFrame",
    "app",
    "tcUrl",
    "code",
    "level",
];

/// Values within values: beyond what decoding allows.
const MAX_DEPTH: u32 = 70;

/// What is left of the bytes.
#[derive(Debug)]
pub(super) struct FuzzProgram<'a>(&'a [u8]);

impl<'a> FuzzProgram<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next choice; none at the end.
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next bytes as they are: as many as the next one says, if they are
    /// there.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = usize::from(self.byte()?).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn pick<T: Copy>(&mut self, table: &[T]) -> Option<T> {
        let at = usize::from(self.byte()?).checked_rem(table.len())?;
        table.get(at).copied()
    }

    /// A small number, one of [`NUMBERS`], or any.
    pub(super) fn number(&mut self) -> Option<u32> {
        match self.byte()? {
            0xFF => {
                let bytes = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
                Some(u32::from_be_bytes(bytes))
            }
            0xF0 => self.pick(&NUMBERS),
            small => Some(small.into()),
        }
    }

    /// How long a body is: most are short, few are long.
    pub(super) fn length(&mut self) -> Option<usize> {
        Some(match self.byte()? {
            short @ 0..200 => usize::from(short),
            long => (usize::from(long) - 200) * 200,
        })
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let choice = usize::from(self.byte()?);
        match TEXTS.get(choice) {
            Some(text) => Some((*text).to_owned()),
            None if choice == 0xFF => Some("x".repeat(5000)),
            None => Some(String::from_utf8_lossy(self.bytes()?).into_owned()),
        }
    }

    fn double(&mut self) -> Option<f64> {
        let choice = self.byte()?;
        let known = DOUBLES.get(usize::from(choice)).copied();
        known.or(Some(f64::from(choice) - 10.0))
    }

    /// At most four values.
    pub(super) fn values(&mut self) -> Option<Vec<Value>> {
        let count = self.byte()? % 5;
        (0..count).map(|_| self.value(0)).collect()
    }

    pub(super) fn properties(&mut self) -> Option<Properties> {
        self.properties_at(0)
    }

    fn properties_at(&mut self, depth: u32) -> Option<Properties> {
        let mut properties = Properties::new();
        for _ in 0..self.byte()? % 5 {
            let name = self.text()?;
            properties.push(name, self.value(depth + 1)?);
        }
        Some(properties)
    }

    fn value(&mut self, depth: u32) -> Option<Value> {
        if depth > MAX_DEPTH {
            return Some(Value::Null);
        }
        Some(match self.byte()? % 14 {
            0 => Value::String(self.text()?),
            1 => Value::Number(self.double()?),
            2 => Value::Boolean(self.byte()? & 1 == 1),
            3 => Value::Null,
            4 => Value::Undefined,
            5 => Value::Object(self.properties_at(depth)?),
            6 => Value::EcmaArray(self.properties_at(depth)?),
            7 => {
                let count = self.byte()? % 5;
                let values = (0..count).map(|_| self.value(depth + 1));
                Value::StrictArray(values.collect::<Option<_>>()?)
            }
            8 => Value::Date {
                millis: self.double()?,
                timezone: 0,
            },
            9 => Value::Reference(self.byte()?.into()),
            10 => Value::TypedObject(Box::new(TypedObject {
                class_name: self.text()?,
                properties: self.properties_at(depth)?,
            })),
            11 => Value::XmlDocument(self.text()?),
            12 => Value::AvmPlus(Box::new(self.value3(depth)?)),
            _ => Value::Unsupported,
        })
    }

    fn value3(&mut self, depth: u32) -> Option<amf3::Value> {
        if depth > MAX_DEPTH {
            return Some(amf3::Value::Null);
        }
        Some(match self.byte()? % 6 {
            0 => amf3::Value::String(self.text()?),
            1 => amf3::Value::Double(self.double()?),
            2 => amf3::Value::Integer(i32::from(self.byte()?) - 128),
            3 => amf3::Value::Boolean(self.byte()? & 1 == 1),
            4 => {
                let mut dynamic = amf3::Properties::new();
                for _ in 0..self.byte()? % 5 {
                    let name = self.text()?;
                    dynamic.push(name, self.value3(depth + 1)?);
                }
                amf3::Value::Object(amf3::Object {
                    dynamic: Some(dynamic),
                    ..amf3::Object::default()
                })
            }
            _ => amf3::Value::Null,
        })
    }
}
