//! The ways in which layers are compressed (image-spec, layer.md, "`+gzip` Media Types", "`+zstd` Media Types").

use std::io::{BufRead, Error, Read, Result, copy, sink};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The uncompressed bytes of a layer, whose first bytes say how it is compressed: media types do not always.
///
/// # Errors
///
/// It cannot be read, or is compressed in another way.
pub(crate) fn uncompressed<'a>(mut layer: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>> {
    let other =
        |name: &str| Err(Error::other(format!("it is compressed with {name}, which is not read here")));
    match layer.fill_buf()? {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(layer))),
        // A frame with content, or one to be skipped (RFC 8878, section 3.1).
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Box::new(Zstd::new(layer))),
        [b'B', b'Z', b'h', ..] => other("bzip2"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => other("xz"),
        [0x04, 0x22, 0x4d, 0x18, ..] => other("lz4"),
        _ => Ok(Box::new(layer)),
    }
}

/// All frames of a zstd stream; the decoder reads one. Layers that can be fetched in parts have many.
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        Self { source, decoder: FrameDecoder::new(), in_frame: false }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while !buffer.is_empty() {
            if self.in_frame {
                while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                    let one = BlockDecodingStrategy::UptoBlocks(1);
                    self.decoder.decode_blocks(&mut self.source, one).map_err(Error::other)?;
                }
                let read = self.decoder.read(buffer)?;
                if read > 0 {
                    return Ok(read);
                }
                self.in_frame = false;
            }
            if self.source.fill_buf()?.is_empty() {
                break;
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => self.in_frame = true,
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    copy(&mut (&mut self.source).take(length.into()), &mut sink())?;
                }
                Err(error) => return Err(Error::other(error)),
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Write as _};

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn read(layer: &[u8]) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        uncompressed(BufReader::new(layer))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[test]
    fn layers_of_every_kind_are_read_whole() {
        let content: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let (first, second) = content.split_at(300_000);
        let gzip = |bytes: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
        let skipped = [&[0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"toc"[..]].concat();
        for (name, layer) in [
            ("plain", content.clone()),
            ("gzip", gzip(&content)),
            ("gzip in members", [gzip(first), gzip(second)].concat()),
            ("zstd", zstd(&content)),
            (
                "zstd in frames",
                [skipped.clone(), zstd(first), skipped.clone(), zstd(second), skipped].concat(),
            ),
        ] {
            assert!(read(&layer).unwrap() == content, "{name}");
        }
        assert_eq!(read(b"").unwrap(), b"");
    }

    #[test]
    fn what_is_not_read_is_an_error() {
        let zstd = compress_to_vec(&[7u8; 100_000][..], CompressionLevel::Fastest);
        for layer in [
            &b"BZh91AY&SY"[..],
            b"\xfd7zXZ\0\0",
            b"\x04\x22\x4d\x18..",
            b"\x1f\x8bx",
            &zstd[..zstd.len() - 1],
        ] {
            assert!(read(layer).is_err(), "{layer:?}");
        }
    }
}
