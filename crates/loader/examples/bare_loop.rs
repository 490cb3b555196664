//! The least that loading pictures can cost: decode, crop and resize in one loop on one thread, of pictures in memory.
//! `bare_loop SPEC SECONDS` prints `{"samples": …}`; `tests/bench/loader.py` divides them by the CPU time it took.

use std::time::{Duration, Instant};

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shards::image::{Decoder, JpegScale, Limits};
use shards::reader::ShardReader;
use shards::spec::ShardSpec;

const SIDE: u32 = 224;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(spec), Some(seconds)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bare_loop SPEC SECONDS".into());
    };
    let mut pictures = Vec::new();
    for uri in ShardSpec::parse(&spec)?.uris() {
        for sample in ShardReader::open(uri)? {
            pictures.extend(sample?.field(&["jpg", "png", "webp"]).map(|field| field.bytes.clone()));
        }
    }
    let length = Duration::from_secs_f64(seconds.parse()?);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    let (mut decoder, mut resizer) = (Decoder::default(), Resizer::new());
    let mut square = vec![0; (SIDE * SIDE * 3) as usize];
    let (started, mut count) = (Instant::now(), 0u64);
    for picture in pictures.iter().cycle() {
        if started.elapsed() >= length {
            break;
        }
        let picture = decoder.decode_rgb(picture, &Limits::default(), JpegScale::Full)?;
        let (width, height) = (picture.width.min(picture.height * 4 / 3), picture.height);
        let whole = ImageRef::new(picture.width, picture.height, picture.pixels, PixelType::U8x3)?;
        let part = CroppedImage::new(&whole, (picture.width - width) / 2, 0, width, height)?;
        let mut target = Image::from_slice_u8(SIDE, SIDE, &mut square, PixelType::U8x3)?;
        resizer.resize(&part, &mut target, &options)?;
        count += 1;
    }
    println!("{{\"samples\": {count}}}");
    Ok(())
}
