//! What happened in a recording: the messages of its event channel, page by page.

use super::{
    IndexCache, PlaybackError,
    customary::customarily,
    source::{Place, Source},
};
use crate::{ServerError, core::Shared, folder, keys::Keyring, storage::Locations};
use bytes::Bytes;
use playhead_db::site::{RecordingRow, SegmentRow, Store};
use playhead_format::{Channel, FormatError, IndexEntry, OpenFragment, open_fragment};
use playhead_model::{RecordingId, RecordingState, WallTime};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{fmt, io, path::Path, str::FromStr, sync::Arc};

/// Most fragments that are opened for one page.
const MOST_FRAGMENTS: usize = 256;
/// Bytes of messages after which a page is full.
const MOST_BYTES: usize = 1 << 20;
/// Most bytes of one message whose particulars are told.
const MOST_MESSAGE: usize = 16 << 10;
/// Most bytes of a type's name.
const MOST_TYPE: usize = 64;
/// The type of messages that are none.
const UNKNOWN: &str = "unknown";

/// Something that happened, as the agent has told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Media time, microseconds.
    pub at_us: u64,
    /// The host's clock.
    pub at: WallTime,
    /// What it is; `unknown` where the agent told nothing that can be read.
    #[serde(rename = "type")]
    pub kind: String,
    /// The message's other fields.
    pub particulars: Map<String, Value>,
}

/// A page of events, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Events {
    pub(crate) items: Vec<Event>,
    /// Where to go on; `None` when there is nothing more and nothing can come.
    pub(crate) next: Option<Mark>,
    /// Whether there may be more already. Otherwise `next` is good for what will come.
    pub(crate) more: bool,
}

/// A place among the events: a fragment, and how many of its events to pass over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    seq: u64,
    skip: usize,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.seq, self.skip)
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (seq, skip) = text.split_once('-').ok_or(())?;
        let mark = Self { seq: seq.parse().map_err(drop)?, skip: skip.parse().map_err(drop)? };
        // As it is written, and in no other way.
        if mark.to_string() == text { Ok(mark) } else { Err(()) }
    }
}

impl Serialize for Mark {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WantedEvents {
    /// None before this media time, microseconds.
    pub(crate) from_us: u64,
    /// At most so many; at least one.
    pub(crate) limit: usize,
    /// Where to go on.
    pub(crate) mark: Option<Mark>,
}

/// The events of a recording. Of fragments whose heads count none, nothing is read.
///
/// # Errors
/// The database's and the storage's; a fragment that is damaged.
pub(crate) async fn events(
    core: &Shared,
    row: &RecordingRow,
    wanted: WantedEvents,
) -> Result<Events, PlaybackError> {
    let source = Source::new(core, row.info.id);
    // Asked first: what comes meanwhile is found by the next question then.
    let live = match &source.live {
        Some(live) => !live.follow().borrow().ended,
        None => row.state == RecordingState::Live,
    };
    // The journal before the storage: what leaves it meanwhile is found there.
    let held = source.live.as_ref().map(|live| live.entries()).unwrap_or_default();
    let segments = core.store.segments(row.info.id).await?;
    let stored_seq = segments.last().map_or(0, |segment| segment.next_seq);
    let mut page = Page::new(wanted);
    for segment in segments {
        page.seen(segment.next_seq);
        if segment.events == 0 || segment.end_us < wanted.from_us || segment.next_seq <= page.from.seq {
            continue;
        }
        let index = core.indexes.get(&core.storage, &segment).await?;
        let segment = Arc::new(segment);
        for (position, entry) in index.entries.iter().enumerate() {
            if !page.wants(entry) {
                continue;
            }
            let place = Place::Stored { segment: Arc::clone(&segment), index: Arc::clone(&index), position };
            if page.is_full(entry) || !page.take(entry.seq, &open(&source, &place).await?) {
                return Ok(page.finish(live));
            }
        }
    }
    for (_, entry) in held.iter().filter(|(_, entry)| entry.seq >= stored_seq) {
        page.seen(entry.seq.saturating_add(1));
        if !page.wants(entry) {
            continue;
        }
        let place = source.from(entry.seq).await?.ok_or(PlaybackError::Missing(entry.seq))?;
        if page.is_full(entry) || !page.take(entry.seq, &open(&source, &place).await?) {
            break;
        }
    }
    Ok(page.finish(live))
}

/// A page of what happened in a recording, as far as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventReport {
    /// In order.
    pub items: Vec<Event>,
    /// Where to go on; `None` when there is nothing more in storage.
    pub next: Option<String>,
    /// Whether all of the recording is in storage. What is not can be asked of the server alone.
    pub whole: bool,
}

/// Tells the events of stored recordings, for whoever works on the server's machine. The server may run or not.
pub struct EventReader {
    store: Store,
    storage: Locations,
    indexes: IndexCache,
}

impl EventReader {
    /// Opens it. `database` as the server is told it.
    ///
    /// # Errors
    /// No server was ever started with the folder, or its database cannot be used.
    pub async fn open(data: &Path, database: Option<&str>) -> Result<Self, ServerError> {
        let store = folder::open_store(data, database).await?;
        let keys = Arc::new(Keyring::open(data, None, store.clone()).await?);
        let storage = Locations::known(&store).await?.with_keys(&keys);
        // Each is read once.
        Ok(Self { store, storage, indexes: IndexCache::new(0) })
    }

    /// The events from a media time on, at most `limit` of them; `cursor` is `next` of the page before.
    ///
    /// # Errors
    /// There is no such recording, it was shredded, or cannot be read; a cursor that is none.
    pub async fn read(
        &self,
        recording: RecordingId,
        from_us: u64,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<EventReport, ServerError> {
        let row = self.store.recording(recording).await?;
        let row = row
            .ok_or_else(|| ServerError::Events(format!("there is no recording {recording} at this site")))?;
        if row.privacy.shredded.is_some() {
            let text = "the recording was shredded: its key is gone, and nobody can read it any more";
            return Err(ServerError::Events(text.into()));
        }
        let mark = cursor.map(str::parse).transpose().map_err(|()| {
            ServerError::Events(format!(
                "expected a cursor as 'next' gives it, got '{}'",
                cursor.unwrap_or("")
            ))
        })?;
        let segments = self.store.segments(recording).await?;
        let stored = segments.last().map_or(0, |segment| segment.next_seq);
        let whole = row.state != RecordingState::Live && stored >= row.fragments;
        let mut page = Page::new(WantedEvents { from_us, limit: limit.max(1), mark });
        let filled = self.fill(&mut page, &segments).await;
        filled.map_err(|error| ServerError::Events(error.to_string()))?;
        let Events { items, next, .. } = page.finish(false);
        Ok(EventReport { items, next: next.map(|mark| mark.to_string()), whole })
    }

    async fn fill(&self, page: &mut Page, segments: &[SegmentRow]) -> Result<(), PlaybackError> {
        for segment in segments.iter().filter(|segment| segment.events > 0) {
            if segment.end_us < page.wanted.from_us || segment.next_seq <= page.from.seq {
                continue;
            }
            let index = self.indexes.get(&self.storage, segment).await?;
            for entry in &index.entries {
                if !page.wants(entry) {
                    continue;
                }
                if page.is_full(entry) {
                    return Ok(());
                }
                let range = entry.offset..entry.offset + u64::from(entry.length);
                let record = self.storage.read(segment, range).await?;
                let record = customarily(segment, record).await?;
                let open = opened(record).await?.map_err(|error| damaged(segment, &error))?;
                if !page.take(entry.seq, &open) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Ends.
    pub async fn close(self) {
        self.store.database().close().await;
    }
}

/// A page that is being filled.
struct Page {
    wanted: WantedEvents,
    from: Mark,
    items: Vec<Event>,
    bytes: usize,
    fragments: usize,
    /// The fragment after the last one that was looked at.
    end: u64,
    /// Where the next page begins, once this one is full.
    next: Option<Mark>,
}

impl Page {
    fn new(wanted: WantedEvents) -> Self {
        let from = wanted.mark.unwrap_or(Mark { seq: 0, skip: 0 });
        Self { wanted, from, items: Vec::new(), bytes: 0, fragments: 0, end: from.seq, next: None }
    }

    /// Everything before this fragment was looked at.
    fn seen(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    fn wants(&self, entry: &IndexEntry) -> bool {
        entry.events > 0 && entry.seq >= self.from.seq && entry.end_us >= self.wanted.from_us
    }

    /// Whether there is no room for another fragment's events; the next page begins with that one then.
    fn is_full(&mut self, entry: &IndexEntry) -> bool {
        if self.fragments == MOST_FRAGMENTS {
            self.next = Some(Mark { seq: entry.seq, skip: 0 });
            return true;
        }
        self.fragments += 1;
        false
    }

    /// Takes the events of a fragment. Returns whether the page goes on.
    fn take(&mut self, seq: u64, open: &OpenFragment) -> bool {
        let skip = if seq == self.from.seq { self.from.skip } else { 0 };
        let messages = open.messages().flatten();
        let events = messages.filter(|message| Channel::from_id(message.channel) == Some(Channel::Event));
        for (number, message) in events.enumerate().skip(skip) {
            if message.log_time_us < self.wanted.from_us {
                continue;
            }
            if self.items.len() >= self.wanted.limit || self.bytes >= MOST_BYTES {
                self.next = Some(Mark { seq, skip: number });
                return false;
            }
            self.bytes += message.data.len().min(MOST_MESSAGE);
            let (kind, particulars) = told(message.data);
            let at = WallTime::from_micros(i64::try_from(message.publish_time_us).unwrap_or(i64::MAX));
            self.items.push(Event { at_us: message.log_time_us, at, kind, particulars });
        }
        true
    }

    fn finish(self, live: bool) -> Events {
        let more = self.next.is_some();
        let end = live.then_some(match self.wanted.mark {
            // Nothing new has come: the place stays what it was.
            Some(mark) if mark.seq >= self.end => mark,
            _ => Mark { seq: self.end, skip: 0 },
        });
        Events { items: self.items, next: self.next.or(end), more }
    }
}

/// Opens the fragment with which the place begins.
async fn open(source: &Source, place: &Place) -> Result<OpenFragment, PlaybackError> {
    let (record, _) = source.read(place, 1).await?;
    match place {
        Place::Journal(_) => {
            opened(record).await?.map_err(|error| PlaybackError::Journal(io::Error::other(error)))
        }
        Place::Stored { segment, .. } => opened(record).await?.map_err(|error| damaged(segment, &error)),
    }
}

/// It may have to be decompressed: not on the runtime's threads.
async fn opened(record: Bytes) -> Result<Result<OpenFragment, FormatError>, PlaybackError> {
    Ok(tokio::task::spawn_blocking(move || open_fragment(&record)).await?)
}

fn damaged(segment: &SegmentRow, error: &FormatError) -> PlaybackError {
    PlaybackError::Damaged { segment: segment.number, path: segment.path.clone(), reason: error.to_string() }
}

/// Type and particulars of a message. What an agent of a later version tells is handed on as it is; what is no event is told as unknown.
fn told(data: &[u8]) -> (String, Map<String, Value>) {
    let unknown = || (UNKNOWN.to_owned(), Map::new());
    if data.len() > MOST_MESSAGE {
        return unknown();
    }
    let Ok(mut fields) = serde_json::from_slice::<Map<String, Value>>(data) else { return unknown() };
    match fields.remove("type") {
        Some(Value::String(kind)) if (1..=MOST_TYPE).contains(&kind.len()) => (kind, fields),
        _ => unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_is_told_as_unknown() {
        let (kind, particulars) = told(br#"{"type":"notice","what":"shown"}"#);
        assert_eq!((kind.as_str(), &particulars["what"]), ("notice", &"shown".into()));
        let (kind, particulars) = told(br#"{"type":"of-a-later-version","a":[1]}"#);
        assert_eq!((kind.as_str(), particulars.len()), ("of-a-later-version", 1));
        let long = format!(r#"{{"type":"{}"}}"#, "x".repeat(MOST_TYPE + 1));
        let large = format!(r#"{{"type":"x","y":"{}"}}"#, "y".repeat(MOST_MESSAGE));
        let deep = "[".repeat(MOST_MESSAGE);
        for bad in
            ["", "{", "[]", "7", r#"{"type":7}"#, r#"{"type":""}"#, "{}", "\u{1}", &long, &large, &deep]
        {
            assert_eq!(told(bad.as_bytes()), ("unknown".into(), Map::new()), "{bad:.40}");
        }
    }

    #[test]
    fn marks_are_read_as_they_are_written() {
        for mark in [Mark { seq: 0, skip: 0 }, Mark { seq: u64::MAX, skip: 7 }] {
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        for bad in
            ["", "-", "1", "1-", "-1", "+1-0", "01-0", "1-0-0", "1- 0", "18446744073709551616-0", "x-y"]
        {
            assert_eq!(bad.parse::<Mark>(), Err(()), "{bad}");
        }
    }
}
