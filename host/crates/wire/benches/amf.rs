//! AMF0 and AMF3 as connections carry them: the object of `connect`, and an
//! encoder's metadata.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use livehost_wire::{
    amf0::{self, Properties, Value},
    amf3,
};

/// `connect`, as FFmpeg sends it.
fn connect() -> Vec<Value> {
    let object = Properties::from([
        ("app", Value::from("live")),
        ("type", Value::from("nonprivate")),
        (
            "flashVer",
            Value::from("FMLE/3.0 (compatible; Lavf60.16.100)"),
        ),
        ("tcUrl", Value::from("rtmp://127.0.0.1:1935/live")),
    ]);
    vec![Value::from("connect"), Value::from(1.0), object.into()]
}

/// `onMetaData`, as OBS sends it.
fn metadata() -> Vec<Value> {
    let numbers = [
        "duration",
        "fileSize",
        "width",
        "height",
        "videocodecid",
        "videodatarate",
        "framerate",
        "audiocodecid",
        "audiodatarate",
        "audiosamplerate",
        "audiosamplesize",
        "audiochannels",
    ];
    let mut object = Properties::new();
    for name in numbers {
        object.push(name, Value::from(1280.0));
    }
    object.push("stereo", Value::from(true));
    object.push(
        "encoder",
        Value::from("obs-output module (libobs version 30.0.2)"),
    );
    vec![Value::from("onMetaData"), object.into()]
}

fn amf(criterion: &mut Criterion) {
    for (name, values) in [("connect", connect()), ("metadata", metadata())] {
        let encoded = amf0::encode_all(&values);
        let mut group = criterion.benchmark_group(format!("amf0 {name}"));
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        let mut out = BytesMut::new();
        group.bench_function("encode", |bencher| {
            bencher.iter(|| {
                out.clear();
                for value in &values {
                    amf0::encode(value, &mut out);
                }
                black_box(out.len())
            });
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| {
                let decoded = amf0::decode_all(black_box(&encoded));
                assert_eq!(decoded.map(|values| values.len()), Ok(values.len()));
            });
        });
        group.finish();
    }
    amf3(criterion);
}

/// Metadata as a dynamic object, as Flash writes it.
fn amf3(criterion: &mut Criterion) {
    let members = (0..14).map(|index| (format!("property{index}"), amf3::Value::Double(1280.0)));
    let mut dynamic = amf3::Properties::new();
    for (name, value) in members {
        dynamic.push(name, value);
    }
    let value = amf3::Value::Object(amf3::Object {
        dynamic: Some(dynamic),
        ..amf3::Object::default()
    });
    let values = [value];
    let encoded = amf3::encode_all(&values);
    let mut group = criterion.benchmark_group("amf3 metadata");
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("encode", |bencher| {
        bencher.iter(|| black_box(amf3::encode_all(black_box(&values))));
    });
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let decoded = amf3::decode_all(black_box(&encoded));
            assert_eq!(decoded.map(|values| values.len()), Ok(values.len()));
        });
    });
    group.finish();
}

criterion_group!(benches, amf);
criterion_main!(benches);
