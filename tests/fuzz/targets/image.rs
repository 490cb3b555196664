//! Any bytes as a picture: a header and pixels of the size it says, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shards::image::{JpegScale, Limits, decode, read_header};

const LIMITS: Limits = Limits { max_pixels: 1 << 20, max_side: 4096 };

fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = read_header(bytes, &LIMITS) else {
        assert!(decode(bytes, &LIMITS, JpegScale::Full).is_err(), "pixels without a header");
        return;
    };
    for scale in [JpegScale::Full, JpegScale::Eighth] {
        if let Ok(picture) = decode(bytes, &LIMITS, scale) {
            let area = picture.width as usize * picture.height as usize;
            assert_eq!(picture.pixels.len(), area * picture.channels.count());
            assert!(picture.width <= header.width && picture.height <= header.height);
        }
    }
});
