//! Families as text: OpenMetrics, and Prometheus' own format.

use std::fmt;

use livehost_telemetry::latency::LatencyCounts;
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// A label's name and value.
pub(super) type Label = (&'static str, String);

/// All series of one name.
#[derive(Debug)]
pub(super) struct Family {
    /// Without the `_total` of counters.
    pub(super) name: String,
    pub(super) help: String,
    pub(super) kind: Kind,
    pub(super) series: Vec<(Vec<Label>, Value)>,
}

#[derive(Debug)]
pub(super) enum Value {
    Number(f64),
    Latency(LatencyCounts),
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Goes up alone.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How long something took.
    Histogram,
}

impl Family {
    /// One series without labels.
    pub(super) fn single(name: &str, help: &str, kind: Kind, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            help: help.to_owned(),
            kind,
            series: vec![(Vec::new(), value.into())],
        }
    }
}

/// Families that are written once.
#[derive(Debug)]
struct Gathered(Mutex<Vec<Family>>);

impl Collector for Gathered {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in self.0.lock().iter() {
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(&family.name, &family.help, None, kind)?;
            for (labels, value) in &family.series {
                let mut series = metric.encode_family(labels)?;
                match value {
                    Value::Latency(LatencyCounts {
                        buckets,
                        sum,
                        count,
                    }) => series.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)?,
                    Value::Number(value) if family.kind == Kind::Counter => {
                        series.encode_counter::<NoLabelSet, _, f64>(value, None)?;
                    }
                    Value::Number(value) => series.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

fn registry(families: Vec<Family>) -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Gathered(Mutex::new(families))));
    registry
}

pub(super) fn open_metrics(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut written = String::new();
    text::encode(&mut written, &registry(families))?;
    Ok(written)
}

pub(super) fn prometheus(families: Vec<Family>) -> Result<String, fmt::Error> {
    let mut written = String::new();
    prometheus_text::encode(&mut written, &registry(families))?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use livehost_telemetry::latency::Latency;

    use super::*;

    fn families() -> Vec<Family> {
        vec![
            Family::single("lh_streams", "Streams.", Kind::Gauge, 2.0),
            Family {
                name: "lh_bytes_in".into(),
                help: "Bytes.".into(),
                kind: Kind::Counter,
                series: vec![(vec![("stream", "a\"b\\c\nd".into())], 7.0.into())],
            },
        ]
    }

    #[test]
    fn both_formats_have_every_series_with_its_labels_escaped() {
        let open = open_metrics(families()).unwrap();
        assert_eq!(
            open,
            "# HELP lh_streams Streams.\n# TYPE lh_streams gauge\nlh_streams 2.0\n\
             # HELP lh_bytes_in Bytes.\n# TYPE lh_bytes_in counter\n\
             lh_bytes_in_total{stream=\"a\\\"b\\\\c\\nd\"} 7.0\n# EOF\n"
        );
        let classic = prometheus(families()).unwrap();
        assert!(
            classic.contains("# TYPE lh_bytes_in_total counter\n"),
            "{classic}"
        );
        assert!(!classic.contains("# EOF"), "{classic}");
    }

    #[test]
    fn a_histogram_has_buckets_that_grow_and_seconds() {
        let latency = Latency::default();
        latency.add(Duration::from_micros(80));
        latency.add(Duration::from_secs(9));
        let family = Family {
            name: "lh_decision_seconds".into(),
            help: "Time.".into(),
            kind: Kind::Histogram,
            series: vec![(vec![("app", "live".into())], Value::Latency(latency.read()))],
        };
        let text = prometheus(vec![family]).unwrap();
        for line in [
            "# TYPE lh_decision_seconds histogram",
            "lh_decision_seconds_bucket{app=\"live\",le=\"5e-05\"} 0",
            "lh_decision_seconds_bucket{app=\"live\",le=\"0.0001\"} 1",
            "lh_decision_seconds_bucket{app=\"live\",le=\"3\"} 1",
            "lh_decision_seconds_bucket{app=\"live\",le=\"+Inf\"} 2",
            "lh_decision_seconds_count{app=\"live\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
