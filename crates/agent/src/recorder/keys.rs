//! When key frames and anchors are due, by what they and what follows them cost.

/// A key frame comes early when it and what must be read after it have grown to this: what a seek fetches besides the anchor.
const MOST_AFTER_ANCHOR: u64 = 288 << 10;
/// But not before this much follows it, nor before half of what it costs: key frames would be most of the recording.
const LEAST_BEFORE_KEY: u64 = 96 << 10;
/// A new anchor has helped when its smallest key frame costs at most this share of what the smallest on the one before did.
const HELPED_PERCENT: u64 = 75;
/// Anchors that do not help are made ever more rarely, down to one for this many times their own bytes in key frames.
const MOST_PATIENCE: u64 = 32;

/// How far the last key frame lies back.
#[derive(Debug, Default)]
pub(super) struct SinceKey {
    pub(super) activity_us: u64,
    pub(super) bytes: u64,
    /// Bytes of that key frame, compressed.
    pub(super) key_bytes: u64,
    pub(super) picture_at: Option<u64>,
}

impl SinceKey {
    /// Whether so much came since that another one is due.
    pub(super) fn is_much(&self) -> bool {
        let Self { bytes, key_bytes, .. } = *self;
        bytes >= MOST_AFTER_ANCHOR.saturating_sub(key_bytes).max(key_bytes / 2).max(LEAST_BEFORE_KEY)
    }
}

/// What has been paid for key frames that rest on the newest anchor. The desktop moves away from it: once they have cost as much
/// as another anchor, another is made; if it makes them no smaller, the next has to wait twice as long.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnchorUse {
    /// Bytes of its fragment, compressed.
    pub(super) bytes: u64,
    /// All bytes of key frames that rest on it.
    pub(super) spent: u64,
    /// The smallest of them.
    pub(super) least_key: Option<u64>,
    /// The smallest on the anchor before.
    pub(super) least_before: Option<u64>,
    /// How many times its own bytes may be spent.
    pub(super) patience: u64,
}

impl Default for AnchorUse {
    fn default() -> Self {
        Self { bytes: 0, spent: 0, least_key: None, least_before: None, patience: 1 }
    }
}

impl AnchorUse {
    /// For the anchor that follows this one.
    pub(super) fn next(self) -> Self {
        let helped = match (self.least_key, self.least_before) {
            (Some(least), Some(before)) => least * 100 <= before * HELPED_PERCENT,
            _ => true,
        };
        let patience = if helped { 1 } else { (self.patience * 2).min(MOST_PATIENCE) };
        Self { least_before: self.least_key, patience, ..Self::default() }
    }

    /// Counts a key frame of so many bytes.
    pub(super) fn count_key(&mut self, bytes: u64) {
        self.spent += bytes;
        self.least_key = Some(self.least_key.map_or(bytes, |least| least.min(bytes)));
    }

    pub(super) fn is_outlived(&self) -> bool {
        self.spent > self.bytes * self.patience
    }
}
