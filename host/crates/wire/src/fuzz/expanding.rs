//! Input that stands for far more than it is long, to hold limits with: large
//! seeds of the fuzz targets, and what the tests of memory decode.

/// A 29-bit number of AMF3, in four bytes.
pub fn u29(number: usize) -> [u8; 4] {
    let seven = |shift: usize| (number >> shift & 0x7f | 0x80) as u8;
    [seven(22), seven(15), seven(8), (number & 0xff) as u8]
}

/// An AMF3 array that announces `count` entries; `entries` are some of them.
pub fn array3(count: usize, entries: &[u8]) -> Vec<u8> {
    [&[0x09], &length3(count)[..], &[0x01], entries].concat()
}

/// An AMF3 array of `count` texts of `length` bytes: one, and references to it.
pub fn references3(length: usize, count: usize) -> Vec<u8> {
    let mut entries = [&[0x06], &length3(length)[..]].concat();
    entries.extend(vec![b'a'; length]);
    entries.extend(b"\x06\0".repeat(count.saturating_sub(1)));
    array3(count, &entries)
}

/// A name of AMF0, or an object's of RTMP: with a 16-bit length.
pub fn name0(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&length, name].concat()
}

/// AMF0 of about `length` bytes each.
pub fn amf0(length: usize) -> Vec<Vec<u8>> {
    let units: [&[u8]; 9] = [
        b"\x05",
        b"\x03\0\0\x09",
        b"\x03\0\x01a\x05\0\0\x09",
        b"\x03\0\0\x05\0\0\x05\0\0\x05\0\0\x09",
        b"\x08\0\0\0\0\0\x01a\x01\x01\0\0\x09",
        b"\x02\0\x03\xff\xff\xff",
        b"\x0a\0\0\0\0",
        b"\x10\0\x01C\0\x01a\x05\0\0\x09",
        b"\x11\x09\x07\x01\x04\x01\x04\x02\x06\x03x",
    ];
    let mut all = Vec::new();
    for unit in units {
        let values = repeated(unit, length);
        // The same in one array, and as the properties of one object.
        all.push([&[0x0a], &length0(values.len())[..], &values].concat());
        let named = repeated(&[b"\0\x01a", unit].concat(), length);
        all.push([&[0x03], &named[..], b"\0\0\x09"].concat());
        all.push(values);
    }
    // One long text, sound and not.
    for byte in [b'a', 0xff] {
        let text = vec![byte; length];
        all.push([&[0x0c], &length0(length)[..], &text].concat());
    }
    // Arrays that announce more than there is, in each other.
    let nested = b"\x0a\xff\xff\xff\xff".repeat(31);
    all.push([&nested[..], &vec![0x05; length]].concat());
    // Objects in each other, with names as long as they can be.
    let mut object = vec![0x05];
    while object.len() < length {
        let name = name0(&vec![b'K'; length.min(0xffff)]);
        object = [&[0x03], &name[..], &object, b"\0\0\x09"].concat();
    }
    all.push(object);
    all
}

/// AMF3 of about `length` bytes each.
pub fn amf3(length: usize) -> Vec<Vec<u8>> {
    let units: [&[u8]; 8] = [
        b"\x01",
        b"\x04\x01",
        b"\x06\x01",
        b"\x06\x03a",
        b"\x09\x01\x01",
        b"\x0a\x0b\x01\x03b\x04\x01\x01",
        b"\x08\x01\0\0\0\0\0\0\0\0",
        b"\x0a\x07\x43flex.messaging.io.ArrayCollection\x09\x01\x01",
    ];
    let mut all = Vec::new();
    for unit in units {
        let count = (length / unit.len()).saturating_add(1);
        let values = unit.repeat(count);
        all.push(array3(count, &values));
        all.push(array3(1 << 27, &values));
        // With a named entry all others are named when it is converted.
        let head = [&[0x09], &length3(count)[..], b"\x03k\x01\x01"].concat();
        all.push([&head[..], &values].concat());
        all.push(values);
    }
    for (text, count) in [(length, 9), (length / 2, length / 4), (20, length / 2)] {
        all.push(references3(text, count));
    }
    // Bytes and vectors, and references to them.
    for (kind, width) in [(0x0c, 1), (0x0d, 4), (0x0e, 4), (0x0f, 8)] {
        let count = length / width;
        for copies in [0, 3, 1000] {
            let mut entries = [&[kind], &length3(count)[..], &[0]].concat();
            entries.extend(vec![0; count.saturating_mul(width)]);
            entries.extend([kind, 0x02].repeat(copies));
            all.push(array3(copies.saturating_add(1), &entries));
        }
    }
    // An object of a class with so many members.
    let members = length / 2;
    let class = [&[0x0a], &u29(members << 4 | 0b0011)[..], &[0x01]].concat();
    all.push([&class[..], &vec![0x01; members.saturating_mul(2)]].concat());
    // A map.
    let map = [&[0x11], &length3(members)[..], &[0]].concat();
    all.push([&map[..], &vec![0x01; members.saturating_mul(2)]].concat());
    all
}

/// `value` so often that it is about `length` bytes.
fn repeated(value: &[u8], length: usize) -> Vec<u8> {
    value.repeat((length / value.len()).saturating_add(1))
}

fn length0(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// A length of AMF3, with the flag that what follows is there.
fn length3(length: usize) -> [u8; 4] {
    u29(length << 1 | 1)
}
