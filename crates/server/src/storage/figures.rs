//! What is counted while stored segments are looked after.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::{Registry, Unit},
};

#[derive(Default)]
pub(crate) struct TendMetrics {
    pub(crate) repacked: Counter,
    pub(crate) repacked_bytes: Counter,
    pub(crate) saved_bytes: Counter,
    pub(crate) scrubbed: Counter,
    pub(crate) scrubbed_bytes: Counter,
    pub(crate) mended: Counter,
    pub(crate) errors: Counter,
    pub(crate) damaged: Gauge,
}

impl TendMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        let counters = [
            ("segments_repacked", "Stored segments that were packed denser", &self.repacked),
            ("segments_scrubbed", "Stored segments that were read through", &self.scrubbed),
            ("segments_mended", "Damaged segments that were mended from another copy", &self.mended),
            ("segment_tend_errors", "Stored segments that could not be read or written then", &self.errors),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        let bytes = [
            ("segments_repacked", "Bytes of segments before they were packed denser", &self.repacked_bytes),
            ("segments_saved", "Bytes that packing denser has saved", &self.saved_bytes),
            ("segments_scrubbed", "Bytes that were read through", &self.scrubbed_bytes),
        ];
        for (name, help, counter) in bytes {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        }
        registry.register("segments_damaged", "Stored segments that are damaged", self.damaged.clone());
    }
}
