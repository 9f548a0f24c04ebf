//! Merging the pages of several sites into one.
//!
//! All sites sort alike, and a cursor names the last recording shown by its sort key and id, not a place at one site. So one cursor
//! serves all sites: each continues behind it, and the first of what they give are the next page.

use super::shapes::Recording;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use utoipa::ToSchema;

/// How a list of recordings is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub(crate) enum Sort {
    /// Latest first.
    #[default]
    #[serde(rename = "-started_at")]
    StartedAtDown,
    /// Earliest first.
    #[serde(rename = "started_at")]
    StartedAt,
    /// By user, ascending.
    #[serde(rename = "user")]
    User,
    /// By user, descending.
    #[serde(rename = "-user")]
    UserDown,
    /// By session host, ascending.
    #[serde(rename = "host")]
    Host,
    /// By session host, descending.
    #[serde(rename = "-host")]
    HostDown,
    /// Shortest first.
    #[serde(rename = "duration")]
    Duration,
    /// Longest first.
    #[serde(rename = "-duration")]
    DurationDown,
    /// Smallest first.
    #[serde(rename = "bytes")]
    Bytes,
    /// Biggest first.
    #[serde(rename = "-bytes")]
    BytesDown,
}

/// A recording in a site's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    #[serde(flatten)]
    pub(crate) recording: Recording,
    /// The cursor that goes on right behind it: its id, a dot, and what the site sorted it by. That is not always what the recording
    /// says: one that is live has moved on since, and names are sorted in lower case.
    pub(crate) cursor: String,
}

/// What a site sorted by, of one recording.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Number(i64),
    Text(&'a str),
}

/// One site's page.
pub(crate) struct Page {
    pub(crate) items: Vec<Listed>,
    /// Whether the site has more behind it.
    pub(crate) more: bool,
}

/// The merged page.
pub(crate) struct Merged {
    pub(crate) items: Vec<Listed>,
    /// Whether there is more behind it.
    pub(crate) more: bool,
}

impl Sort {
    /// The name in addresses.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::StartedAtDown => "-started_at",
            Self::StartedAt => "started_at",
            Self::User => "user",
            Self::UserDown => "-user",
            Self::Host => "host",
            Self::HostDown => "-host",
            Self::Duration => "duration",
            Self::DurationDown => "-duration",
            Self::Bytes => "bytes",
            Self::BytesDown => "-bytes",
        }
    }

    fn descends(self) -> bool {
        self.as_str().starts_with('-')
    }

    /// What the site sorted by. A cursor that makes no sense sorts as the least.
    fn key(self, listed: &Listed) -> Key<'_> {
        let value = listed.cursor.split_once('.').map_or("", |(_, value)| value);
        match self {
            Self::User | Self::UserDown | Self::Host | Self::HostDown => Key::Text(value),
            _ => Key::Number(value.parse().unwrap_or(i64::MIN)),
        }
    }

    /// The order of two recordings. The id decides between equals, in the same direction.
    pub(crate) fn order(self, a: &Listed, b: &Listed) -> Ordering {
        let ascending = (self.key(a), a.recording.id).cmp(&(self.key(b), b.recording.id));
        if self.descends() { ascending.reverse() } else { ascending }
    }
}

/// The first `limit` recordings of all pages, which all begin behind the same cursor.
pub(crate) fn merge(pages: Vec<Page>, sort: Sort, limit: usize) -> Merged {
    let mut more = pages.iter().any(|page| page.more);
    // What a site keeps back comes after the last it gave: nothing behind that can be shown yet.
    let edges = pages.iter().filter(|page| page.more).filter_map(|page| page.items.last());
    let edge = edges.min_by(|a, b| sort.order(a, b)).cloned();
    let mut items: Vec<Listed> = pages.into_iter().flat_map(|page| page.items).collect();
    items.sort_by(|a, b| sort.order(a, b));
    let known = match &edge {
        Some(edge) => items.partition_point(|item| sort.order(item, edge).is_le()),
        None => items.len(),
    };
    let shown = known.min(limit);
    more |= shown < items.len();
    items.truncate(shown);
    Merged { items, more }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{listed, recording};
    use proptest::prelude::*;

    const SORTS: [Sort; 10] = [
        Sort::StartedAtDown,
        Sort::StartedAt,
        Sort::User,
        Sort::UserDown,
        Sort::Host,
        Sort::HostDown,
        Sort::Duration,
        Sort::DurationDown,
        Sort::Bytes,
        Sort::BytesDown,
    ];

    /// What a site gives behind a place.
    fn page(site: &[Listed], sort: Sort, behind: Option<&Listed>, limit: usize) -> Page {
        let mut rest: Vec<Listed> = site
            .iter()
            .filter(|item| behind.is_none_or(|place| sort.order(item, place).is_gt()))
            .cloned()
            .collect();
        rest.sort_by(|a, b| sort.order(a, b));
        let more = rest.len() > limit;
        rest.truncate(limit);
        Page { items: rest, more }
    }

    #[test]
    fn names_of_sorts_are_those_of_addresses() {
        for sort in SORTS {
            assert_eq!(serde_json::to_value(sort).unwrap(), sort.as_str());
        }
    }

    #[tokio::test]
    async fn what_sites_sort_by_is_read_from_their_cursors() {
        use playhead_db::site::{Filter, NewAgent, NewToken, Store};
        use playhead_model::{AgentId, RecordingInfo, ServerId};
        let folder = tempfile::tempdir().unwrap();
        let store =
            Store::open(&format!("sqlite:{}", folder.path().join("site.db").display())).await.unwrap();
        let recording = Recording { user: "Ärzte & Söhne".into(), ..recording(1, "PC-Ö", 5) };
        let now = recording.started_at;
        let token =
            NewToken { hash: "t".into(), uses: 1, expires_at: now.plus_micros(1), created_by: "a".into() };
        store.add_join_token(&token, now).await.unwrap();
        let agent = AgentId::from_bytes([1; 16]);
        let new = NewAgent { id: agent, host: "h".into(), public_key: "k".into(), version: "1".into() };
        store.enrol("t", &new, now).await.unwrap();
        let info = RecordingInfo {
            id: recording.id,
            host: recording.host.clone(),
            user: recording.user.clone(),
            display: recording.display.clone(),
            client: None,
            client_address: None,
            application: recording.application.clone(),
            started_at: now,
            agent_version: "1".into(),
            monitors: Vec::new(),
            session: None,
        };
        store.open_recording(agent, ServerId::from_bytes([2; 16]), &info, now).await.unwrap();
        let recording = Recording { duration_us: 0, bytes: 0, ..recording };
        for sort in SORTS {
            let page =
                store.recordings(&Filter::default(), sort.as_str().parse().unwrap(), 1, None).await.unwrap();
            let theirs = Listed { recording: recording.clone(), cursor: page.items[0].1.clone() };
            let ours = listed(sort, recording.clone());
            assert_eq!(sort.key(&theirs), sort.key(&ours), "{}", sort.as_str());
        }
    }

    proptest! {
        #[test]
        fn merged_pages_are_the_sorted_whole(
            recordings in prop::collection::vec((0usize..4, 0i64..6, "[a-cA-C]"), 0..60),
            limit in 1usize..9,
            // Some sites give less at a time than they are asked for.
            meanness in prop::collection::vec(0usize..3, 4),
            sort in prop::sample::select(SORTS.to_vec()),
        ) {
            let mut sites = vec![Vec::new(); 4];
            for (number, (site, started_at, host)) in recordings.iter().enumerate() {
                sites[*site].push(listed(sort, recording(number as u128 * 37 % 64, host, *started_at)));
            }
            let mut whole: Vec<Listed> = sites.iter().flatten().cloned().collect();
            whole.sort_by(|a, b| sort.order(a, b));
            let mut read: Vec<Listed> = Vec::new();
            loop {
                let behind = read.last().cloned();
                let pages = sites.iter().zip(&meanness).map(|(site, mean)| {
                    page(site, sort, behind.as_ref(), limit.saturating_sub(*mean).max(1))
                });
                let Merged { items, more } = merge(pages.collect(), sort, limit);
                prop_assert!(items.len() <= limit);
                prop_assert!(!more || !items.is_empty(), "a page that leads on must not be empty");
                read.extend(items);
                if !more {
                    break;
                }
            }
            prop_assert_eq!(read, whole);
        }
    }
}
