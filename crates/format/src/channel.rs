//! The channels of a recording.

/// What kind of message stands in a fragment. The numbers are the MCAP channel ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Channel {
    /// The fragment head, always the first message and only once.
    Fragment = 1,
    /// The recording's particulars, gaps and the end, as JSON.
    Meta = 2,
    /// Packets of the screen codec.
    Screen = 3,
    /// The pointer's place and shape.
    Cursor = 4,
    /// Sound.
    Audio = 5,
    /// Detected events, as JSON.
    Event = 6,
    /// Performance data, as JSON.
    Perf = 7,
    /// Parts of the picture as video. Only files with such messages declare it.
    Video = 8,
}

impl Channel {
    /// Those that every file declares, in the order of their ids.
    pub const ALL: [Self; 7] =
        [Self::Fragment, Self::Meta, Self::Screen, Self::Cursor, Self::Audio, Self::Event, Self::Perf];

    /// The MCAP channel id.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The channel with that id; `None` for one that this version does not know.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Video]).find(|channel| channel.id() == id)
    }

    /// The MCAP topic.
    pub const fn topic(self) -> &'static str {
        match self {
            Self::Fragment => "fragment",
            Self::Meta => "meta",
            Self::Screen => "screen",
            Self::Cursor => "cursor",
            Self::Audio => "audio",
            Self::Event => "event",
            Self::Perf => "perf",
            Self::Video => "video",
        }
    }

    /// The MCAP message encoding.
    pub const fn encoding(self) -> &'static str {
        match self {
            Self::Fragment => "playhead.fragment.v1",
            Self::Meta | Self::Event | Self::Perf => "json",
            Self::Screen => "playhead.screen.v1",
            Self::Cursor => "playhead.cursor.v1",
            Self::Audio => "playhead.audio.v1",
            Self::Video => "playhead.video.v1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Channel;

    #[test]
    fn ids_are_those_of_the_specification() {
        let ids: Vec<u16> = Channel::ALL.iter().map(|channel| channel.id()).collect();
        assert_eq!(ids, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(Channel::from_id(3), Some(Channel::Screen));
        assert_eq!(Channel::from_id(8), Some(Channel::Video));
        assert_eq!(Channel::from_id(9), None);
        assert_eq!(Channel::from_id(0), None);
    }
}
