//! Pictures into packets: losslessly, or with what is photographic in a video beside it.

use crate::{clock::Moment, recorder::RecordError};
use playhead_format::{Channel, FragmentBuilder};
use playhead_model::{PictureMode, PictureSettings};
use playhead_screen::{Encoder, EncoderConfig, PacketKind, Picture, Rect, Want};
use playhead_video::Layer;

/// What became of a picture.
pub(crate) struct Coded {
    pub(crate) kind: PacketKind,
    /// Pixels that changed, in the video or beside it.
    pub(crate) changed_pixels: u64,
    /// Bytes that were put into the fragment.
    pub(crate) bytes: usize,
    /// Columns and rows.
    pub(crate) size: (u32, u32),
}

/// Codes the pictures of one recording.
pub(crate) struct Coder {
    seed: u64,
    encoder: Encoder,
    settings: PictureSettings,
    /// Gone while everything is lossless.
    layer: Option<Layer>,
    /// The next packet must be an anchor, for what came before was coded otherwise.
    changed: bool,
}

impl Coder {
    /// Lossless. `seed` is random and kept from those who are recorded.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            encoder: Encoder::new(EncoderConfig { seed }),
            settings: PictureSettings::default(),
            layer: None,
            changed: false,
        }
    }

    pub(crate) fn settings(&self) -> &PictureSettings {
        &self.settings
    }

    /// How pictures are coded from now on.
    pub(crate) fn set(&mut self, settings: PictureSettings) {
        let coding = |settings: &PictureSettings| {
            (settings.mode == PictureMode::Lossy).then_some(settings.quality.percent())
        };
        let (before, now) = (coding(&self.settings), coding(&settings));
        self.settings = settings;
        if before != now {
            self.changed = true;
            self.layer = now.map(|quality| Layer::new(self.seed.rotate_left(17), quality));
        }
    }

    /// Whether the next packet must be an anchor.
    pub(crate) fn needs_anchor(&self) -> bool {
        self.changed
    }

    /// Media time at which [`Self::settle`] is due.
    pub(crate) fn still_at(&self) -> Option<u64> {
        self.layer.as_ref().and_then(Layer::still_at)
    }

    /// Puts a picture into the fragment; `None`, and nothing put, when nothing changed. `damage` covers at least what changed.
    ///
    /// # Errors
    /// It cannot be coded. If that is the video's fault, the next pictures are coded losslessly.
    pub(crate) fn put(
        &mut self,
        at: Moment,
        picture: &Picture<'_>,
        damage: &[Rect],
        want: Want,
        builder: &mut FragmentBuilder,
    ) -> Result<Option<Coded>, RecordError> {
        let Some(layer) = &mut self.layer else {
            let before = builder.uncompressed_len();
            let encoded = screen(&mut self.encoder, at, picture, damage, want, builder)?;
            self.changed &= encoded.is_none();
            return Ok(encoded.map(|(kind, changed_pixels)| Coded {
                kind,
                changed_pixels,
                bytes: builder.uncompressed_len() - before,
                size: (picture.width, picture.height),
            }));
        };
        layer.split(at.media_us, picture, damage, want == Want::Anchor);
        self.put_layers(at, want, builder)
    }

    /// What moved stands still: puts it into the fragment once more, better. `None` when there is nothing to put.
    ///
    /// # Errors
    /// As for [`Self::put`].
    pub(crate) fn settle(
        &mut self,
        at: Moment,
        builder: &mut FragmentBuilder,
    ) -> Result<Option<Coded>, RecordError> {
        let Some(layer) = &mut self.layer else { return Ok(None) };
        layer.settle();
        self.put_layers(at, Want::Delta, builder)
    }

    /// The same once more: puts the newest anchor into the fragment.
    ///
    /// # Errors
    /// A fragment that cannot be made.
    pub(crate) fn repeat_anchor(
        &mut self,
        at: Moment,
        builder: &mut FragmentBuilder,
    ) -> Result<(), RecordError> {
        let encoder = &mut self.encoder;
        builder.push_with(Channel::Screen, at.media_us, at.wall_us, |out| {
            Ok::<_, RecordError>(encoder.repeat_anchor(out).is_some())
        })?;
        for message in self.layer.iter().flat_map(Layer::anchor_messages) {
            builder.push(Channel::Video, at.media_us, at.wall_us, message)?;
        }
        Ok(())
    }

    fn put_layers(
        &mut self,
        at: Moment,
        want: Want,
        builder: &mut FragmentBuilder,
    ) -> Result<Option<Coded>, RecordError> {
        let Some(layer) = &mut self.layer else { return Ok(None) };
        let Some(sharp) = layer.sharp() else { return Ok(None) };
        let before = builder.uncompressed_len();
        let size = (sharp.width, sharp.height);
        let encoded = screen(&mut self.encoder, at, &sharp, layer.damage(), want, builder)?;
        let messages = match layer.emit(encoded.map(|(kind, _)| kind)) {
            Ok(messages) => messages,
            Err(error) => {
                // What is recorded must not depend on it.
                tracing::error!(%error, "films and photos cannot be coded as video: recording losslessly from now on");
                self.set(PictureSettings { mode: PictureMode::Lossless, ..self.settings.clone() });
                return Err(error.into());
            }
        };
        if encoded.is_none() && messages.is_empty() {
            return Ok(None);
        }
        for message in messages {
            builder.push(Channel::Video, at.media_us, at.wall_us, &message)?;
        }
        self.changed = false;
        let (kind, changed_pixels) = encoded.unwrap_or((PacketKind::Delta, 0));
        let bytes = builder.uncompressed_len() - before;
        Ok(Some(Coded { kind, changed_pixels: changed_pixels + layer.changed_pixels(), bytes, size }))
    }
}

/// Puts a packet of the lossless codec.
fn screen(
    encoder: &mut Encoder,
    at: Moment,
    picture: &Picture<'_>,
    damage: &[Rect],
    want: Want,
    builder: &mut FragmentBuilder,
) -> Result<Option<(PacketKind, u64)>, RecordError> {
    let mut encoded = None;
    builder.push_with(Channel::Screen, at.media_us, at.wall_us, |out| {
        encoded = encoder.encode(picture, damage, want, out).map_err(RecordError::from)?;
        Ok::<_, RecordError>(encoded.is_some())
    })?;
    Ok(encoded.map(|encoded| (encoded.kind, encoded.changed_pixels)))
}

#[cfg(test)]
#[path = "coder_tests.rs"]
mod tests;
