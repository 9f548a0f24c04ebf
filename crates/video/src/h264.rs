//! OpenH264 behind a safe surface. The only unsafe code of the crate.
#![expect(unsafe_code, reason = "the encoder and the decoder are a C library")]

use crate::{VideoError, planes::Planes};
use openh264_sys2 as sys;
use std::{ffi::c_int, ptr, slice};
use sys::source::APILoader;

/// BT.709, as High Definition television has it.
const BT709: u8 = 1;
/// The encoder's own limit for its longer and its shorter side.
pub(crate) const MOST_SIDES: (usize, usize) = (3_840, 2_160);

type EncodeFrame =
    unsafe extern "C" fn(*mut sys::ISVCEncoder, *const sys::SSourcePicture, *mut sys::SFrameBSInfo) -> c_int;

/// How a stream is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coding {
    /// Quantiser, 0 to 51: the higher, the coarser.
    pub(crate) qp: u8,
    /// Pictures that move. Otherwise the stream is a single picture.
    pub(crate) moving: bool,
}

/// Makes one stream.
pub(crate) struct Encoder {
    raw: *mut sys::ISVCEncoder,
    encode_frame: EncodeFrame,
    uninitialize: unsafe extern "C" fn(*mut sys::ISVCEncoder) -> c_int,
    size: (usize, usize),
    info: Box<sys::SFrameBSInfo>,
    pictures: i64,
}

// SAFETY: the library keeps no thread's state; an encoder is used by one thread at a time, which `&mut` ensures.
unsafe impl Send for Encoder {}

impl Encoder {
    /// A stream of pictures of so many columns and rows, both even and at least 16.
    ///
    /// # Errors
    /// The library refuses, which it does for want of memory or for sides beyond its limits.
    pub(crate) fn new(size: (usize, usize), coding: Coding) -> Result<Self, VideoError> {
        if size.0 > MOST_SIDES.0 || size.1 > MOST_SIDES.1 {
            return Err(VideoError::Refused { code: -1, width: size.0, height: size.1 });
        }
        let mut raw = ptr::null_mut();
        // SAFETY: the library writes the place of the new encoder, or leaves it null.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut raw) };
        if code != 0 || raw.is_null() {
            return Err(VideoError::Create { code });
        }
        // SAFETY: a created encoder begins with a pointer to its table of functions, which lives as long as the library.
        let table = unsafe { &**raw };
        let (Some(defaults), Some(initialize), Some(encode_frame), Some(uninitialize), Some(set_option)) = (
            table.GetDefaultParams,
            table.InitializeExt,
            table.EncodeFrame,
            table.Uninitialize,
            table.SetOption,
        ) else {
            // SAFETY: it was created above and is not used again.
            unsafe { APILoader::WelsDestroySVCEncoder(raw) };
            return Err(VideoError::Create { code: -1 });
        };
        let encoder = Self { raw, encode_frame, uninitialize, size, info: Box::default(), pictures: 0 };
        let mut quiet = sys::WELS_LOG_QUIET;
        let mut parameters = sys::SEncParamExt::default();
        // SAFETY: the encoder is valid, and every pointer is to a value of the type that the function expects.
        let code = unsafe {
            set_option(raw, sys::ENCODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast());
            match defaults(raw, &raw mut parameters) {
                0 => {
                    choose(&mut parameters, size, coding);
                    initialize(raw, &raw const parameters)
                }
                code => code,
            }
        };
        if code != 0 {
            return Err(VideoError::Refused { code, width: size.0, height: size.1 });
        }
        Ok(encoder)
    }

    /// Codes the next picture and appends it to `out` as an access unit in Annex B form. The first one is decodable by itself.
    ///
    /// # Errors
    /// A picture of another size; the library fails.
    pub(crate) fn encode(&mut self, picture: &Planes, out: &mut Vec<u8>) -> Result<(), VideoError> {
        let (width, height) = self.size;
        if picture.size() != self.size {
            return Err(VideoError::Refused { code: -1, width: picture.size().0, height: picture.size().1 });
        }
        let [y, u, v] = picture.planes();
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [width as c_int, (width / 2) as c_int, (width / 2) as c_int, 0],
            pData: [y, u, v, &[]].map(|plane| plane.as_ptr().cast_mut()),
            iPicWidth: width as c_int,
            iPicHeight: height as c_int,
            uiTimeStamp: self.pictures * 33,
            ..sys::SSourcePicture::default()
        };
        self.pictures += 1;
        // SAFETY: the encoder is initialised for this size; `Planes` holds width x height and twice a quarter of that, and the
        // library only reads them.
        let code = unsafe { (self.encode_frame)(self.raw, &raw const source, &raw mut *self.info) };
        if code != 0 {
            return Err(VideoError::Encode { code });
        }
        let layers = usize::try_from(self.info.iLayerNum).unwrap_or(0);
        for layer in self.info.sLayerInfo.iter().take(layers) {
            let units = usize::try_from(layer.iNalCount).unwrap_or(0);
            if units == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: the library gives as many lengths as there are units, and their bytes in one piece; both stay until the next call.
            let bytes = unsafe {
                let lengths = slice::from_raw_parts(layer.pNalLengthInByte, units);
                let length = lengths.iter().map(|&length| usize::try_from(length).unwrap_or(0)).sum();
                slice::from_raw_parts(layer.pBsBuf, length)
            };
            out.extend_from_slice(bytes);
        }
        Ok(())
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: created once, given back once.
        unsafe {
            (self.uninitialize)(self.raw);
            APILoader::WelsDestroySVCEncoder(self.raw);
        }
    }
}

fn choose(parameters: &mut sys::SEncParamExt, (width, height): (usize, usize), coding: Coding) {
    parameters.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    parameters.iPicWidth = width as c_int;
    parameters.iPicHeight = height as c_int;
    parameters.iRCMode = sys::RC_OFF_MODE;
    parameters.fMaxFrameRate = 30.0;
    // With the rate control off it decides nothing, but it must be there.
    parameters.iTargetBitrate = 5_000_000;
    parameters.iTemporalLayerNum = 1;
    parameters.iSpatialLayerNum = 1;
    parameters.iComplexityMode = if coding.moving { sys::LOW_COMPLEXITY } else { sys::MEDIUM_COMPLEXITY };
    parameters.uiIntraPeriod = 0;
    parameters.iNumRefFrame = 1;
    parameters.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    parameters.iEntropyCodingModeFlag = 1;
    parameters.bEnableFrameSkip = false;
    parameters.iMinQp = coding.qp.into();
    parameters.iMaxQp = 51;
    parameters.bEnableLongTermReference = false;
    parameters.iMultipleThreadIdc = 1;
    parameters.bEnableDenoise = false;
    parameters.bEnableBackgroundDetection = true;
    parameters.bEnableAdaptiveQuant = false;
    parameters.bEnableSceneChangeDetect = false;
    parameters.bEnableFrameCroppingFlag = true;
    let layer = &mut parameters.sSpatialLayers[0];
    layer.iVideoWidth = width as c_int;
    layer.iVideoHeight = height as c_int;
    layer.fFrameRate = 30.0;
    layer.iSpatialBitrate = 5_000_000;
    layer.iMaxSpatialBitrate = 0;
    layer.uiProfileIdc = sys::PRO_HIGH;
    layer.iDLayerQp = coding.qp.into();
    layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
    layer.sSliceArgument.uiSliceNum = 1;
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = 5;
    layer.bFullRange = false;
    layer.bColorDescriptionPresent = true;
    layer.uiColorPrimaries = BT709;
    layer.uiTransferCharacteristics = BT709;
    layer.uiColorMatrix = BT709;
}

/// Decodes one stream after another.
pub(crate) struct Decoder {
    raw: *mut sys::ISVCDecoder,
}

// SAFETY: as for the encoder.
unsafe impl Send for Decoder {}

impl Decoder {
    /// # Errors
    /// The library refuses, for want of memory.
    pub(crate) fn new() -> Result<Self, VideoError> {
        let mut raw = ptr::null_mut();
        // SAFETY: the library writes the place of the new decoder, or leaves it null.
        let code = unsafe { APILoader::WelsCreateDecoder(&raw mut raw) } as c_int;
        if code != 0 || raw.is_null() {
            return Err(VideoError::Create { code });
        }
        let decoder = Self { raw };
        // SAFETY: a created decoder begins with a pointer to its table of functions.
        let table = unsafe { &**raw };
        let (Some(initialize), Some(set_option)) = (table.Initialize, table.SetOption) else {
            return Err(VideoError::Create { code: -1 });
        };
        let mut quiet = sys::WELS_LOG_QUIET;
        let mut parameters = sys::SDecodingParam::default();
        parameters.sVideoProperty.eVideoBsType = sys::VIDEO_BITSTREAM_AVC;
        // SAFETY: the decoder is valid, and every pointer is to a value of the type that the function expects.
        let code = unsafe {
            set_option(raw, sys::DECODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast());
            initialize(raw, &raw const parameters)
        };
        if code != 0 {
            return Err(VideoError::Create { code: code as c_int });
        }
        Ok(decoder)
    }

    /// Decodes one access unit into planes of the stream's size.
    ///
    /// # Errors
    /// Bytes that are no access unit, that need one that is missing, or whose picture has another size.
    pub(crate) fn decode(&mut self, unit: &[u8], picture: &mut Planes) -> Result<(), VideoError> {
        // SAFETY: the decoder is valid.
        let table = unsafe { &**self.raw };
        let (Some(decode), Some(flush)) = (table.DecodeFrameNoDelay, table.FlushFrame) else {
            return Err(VideoError::Create { code: -1 });
        };
        let length = c_int::try_from(unit.len()).map_err(|_| VideoError::Decode { code: -1 })?;
        let mut planes = [ptr::null_mut::<u8>(); 3];
        let mut info = sys::SBufferInfo::default();
        // SAFETY: the unit is readable for its length; the library writes three places and the description. It may keep a picture
        // back for others to be shown before it, of which our streams have none.
        let code = unsafe {
            let mut code = decode(self.raw, unit.as_ptr(), length, planes.as_mut_ptr(), &raw mut info);
            if code == 0 && info.iBufferStatus == 0 {
                code = flush(self.raw, planes.as_mut_ptr(), &raw mut info);
            }
            code
        };
        if code != 0 || info.iBufferStatus != 1 || planes.iter().any(|plane| plane.is_null()) {
            return Err(VideoError::Decode { code: code as c_int });
        }
        // SAFETY: with a picture ready, this member of the union is the one that is set.
        let system = unsafe { info.UsrData.sSystemBuffer };
        let (width, height) = picture.size();
        if (system.iWidth as usize, system.iHeight as usize) != (width, height) {
            return Err(VideoError::Decode { code: -1 });
        }
        for (number, target) in picture.planes_mut().into_iter().enumerate() {
            let part = if number == 0 { 1 } else { 2 };
            let stride = usize::try_from(system.iStride[part - 1]).unwrap_or(0);
            for (row, target) in target.chunks_exact_mut(width / part).enumerate() {
                // SAFETY: each plane has at least so many rows of `stride` bytes, which are not fewer than its columns.
                target.copy_from_slice(unsafe {
                    slice::from_raw_parts(planes[number].add(row * stride), width / part)
                });
            }
        }
        Ok(())
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: created once, given back once; the table of a valid decoder is readable.
        unsafe {
            if let Some(uninitialize) = (**self.raw).Uninitialize {
                uninitialize(self.raw);
            }
            APILoader::WelsDestroyDecoder(self.raw);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A picture with slopes and a little noise, moved on by `shift` columns.
    fn picture(width: usize, height: usize, shift: usize) -> Planes {
        let mut planes = Planes::new(width, height);
        for cell in 0..width / 8 * (height / 8) {
            let (column, row) = (cell % (width / 8), cell / (width / 8));
            let pixels = std::array::from_fn(|at| {
                let (x, y) = (column * 8 + at % 8 + shift, row * 8 + at / 8);
                let noise = (x * 7 + y * 13 + x * y) % 5;
                let part = |value: usize| (value + noise) as u32 & 255;
                part(x) << 16 | part(y * 3) << 8 | part((x + y) / 2)
            });
            planes.take(column, row, &pixels);
        }
        planes
    }

    #[test]
    fn what_is_coded_comes_back_alike() {
        let (width, height) = (96, 64);
        let mut encoder = Encoder::new((width, height), Coding { qp: 22, moving: true }).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut sizes = Vec::new();
        for shift in 0..4 {
            let source = picture(width, height, shift);
            let mut unit = Vec::new();
            encoder.encode(&source, &mut unit).unwrap();
            let mut back = Planes::new(width, height);
            decoder.decode(&unit, &mut back).unwrap();
            let errors = source.planes()[0].iter().zip(back.planes()[0]);
            let worst = errors.map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst < 20, "off by {worst} in picture {shift}");
            sizes.push(unit.len());
        }
        assert!(sizes[1] < sizes[0] && sizes[0] < width * height, "{sizes:?}");
    }

    #[test]
    fn garbage_is_refused_and_does_not_harm_what_follows() {
        let mut decoder = Decoder::new().unwrap();
        let mut planes = Planes::new(64, 48);
        assert!(decoder.decode(&[], &mut planes).is_err());
        assert!(decoder.decode(&[0xff; 100], &mut planes).is_err());
        let source = picture(64, 48, 0);
        let mut unit = Vec::new();
        Encoder::new((64, 48), Coding { qp: 26, moving: false }).unwrap().encode(&source, &mut unit).unwrap();
        for length in (0..unit.len()).step_by(37) {
            // A part of a picture may be shown; what matters is that it is survived.
            let _ = decoder.decode(&unit[..length], &mut planes);
        }
        let mut decoder = Decoder::new().unwrap();
        decoder.decode(&unit, &mut planes).unwrap();
        // Another size than expected.
        assert!(decoder.decode(&unit, &mut Planes::new(32, 32)).is_err());
        assert!(Encoder::new((8_000, 64), Coding { qp: 26, moving: false }).is_err());
    }
}
