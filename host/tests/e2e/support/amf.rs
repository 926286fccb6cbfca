//! AMF0 (Action Message Format 0, section 2), the few kinds that commands use.

/// An AMF0 value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Amf {
    Number(f64),
    Boolean(bool),
    Text(String),
    Object(Vec<(String, Amf)>),
    Array(Vec<Amf>),
    Null,
}

impl Amf {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A property of an object, as text; empty when it isn't there.
    pub(crate) fn property(&self, name: &str) -> String {
        let Self::Object(properties) = self else {
            return String::new();
        };
        properties
            .iter()
            .find(|(key, _)| key == name)
            .and_then(|(_, value)| value.text())
            .unwrap_or_default()
            .to_owned()
    }
}

impl From<&str> for Amf {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<f64> for Amf {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

pub(crate) fn encode(values: &[Amf]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| put(value, &mut out));
    out
}

fn put(value: &Amf, out: &mut Vec<u8>) {
    match value {
        Amf::Number(number) => {
            out.push(0);
            out.extend(number.to_be_bytes());
        }
        Amf::Boolean(flag) => out.extend([1, u8::from(*flag)]),
        Amf::Text(text) => {
            out.push(2);
            put_key(text, out);
        }
        Amf::Object(properties) => {
            out.push(3);
            for (key, value) in properties {
                put_key(key, out);
                put(value, out);
            }
            out.extend([0, 0, 9]);
        }
        Amf::Array(items) => {
            out.push(0x0a);
            out.extend(
                u32::try_from(items.len())
                    .expect("a short list")
                    .to_be_bytes(),
            );
            items.iter().for_each(|item| put(item, out));
        }
        Amf::Null => out.push(5),
    }
}

fn put_key(text: &str, out: &mut Vec<u8>) {
    let len = u16::try_from(text.len()).expect("a short string");
    out.extend(len.to_be_bytes());
    out.extend(text.as_bytes());
}

pub(crate) fn decode(mut input: &[u8]) -> Vec<Amf> {
    let mut values = Vec::new();
    while !input.is_empty() {
        values.push(take(&mut input));
    }
    values
}

fn bytes<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = input.split_at(count);
    *input = tail;
    head
}

fn take_key(input: &mut &[u8]) -> String {
    let len = u16::from_be_bytes(bytes(input, 2).try_into().expect("2 bytes"));
    String::from_utf8_lossy(bytes(input, len.into())).into_owned()
}

fn take(input: &mut &[u8]) -> Amf {
    match bytes(input, 1) {
        [0] => Amf::Number(f64::from_be_bytes(
            bytes(input, 8).try_into().expect("8 bytes"),
        )),
        [1] => Amf::Boolean(bytes(input, 1) != [0]),
        [2] => Amf::Text(take_key(input)),
        [marker @ (3 | 8)] => {
            if *marker == 8 {
                bytes(input, 4);
            }
            let mut properties = Vec::new();
            while input.get(..3) != Some(&[0, 0, 9]) {
                let key = take_key(input);
                properties.push((key, take(input)));
            }
            bytes(input, 3);
            Amf::Object(properties)
        }
        [5 | 6] => Amf::Null,
        [0x0a] => {
            let count = u32::from_be_bytes(bytes(input, 4).try_into().expect("4 bytes"));
            Amf::Array((0..count).map(|_| take(input)).collect())
        }
        other => panic!("AMF0 marker {other:02x?} is not expected from a server"),
    }
}
