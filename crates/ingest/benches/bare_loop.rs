//! What a picture takes where nothing but pictures is done: decoded, resized and encoded as `clipdata download` does it,
//! one after another in one thread, from memory to memory. `tests/bench/download.py` compares a download with it.
//!
//! Arguments: a folder of JPEGs, a resize mode, the side in pixels, rounds. Prints milliseconds for each picture.
#![allow(clippy::print_stdout)]

use std::fs;
use std::time::Instant;

use ingest::encode::{EncodeFormat, encode};
use ingest::process::{ProcessOptions, decode_scale};
use ingest::resize::{self, resize};
use ingest::resize_mode::{Geometry, ResizeMode, Size, geometry};
use shards::image::{Limits, decode, read_header};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [folder, mode, side, rounds] = arguments.as_slice() else { return };
    let resize_mode: ResizeMode = mode.parse().expect("a resize mode");
    let image_size = side.parse().expect("a side in pixels");
    let options = ProcessOptions { resize_mode, image_size, ..ProcessOptions::default() };
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let bodies: Vec<_> = files.map(|file| fs::read(file).expect("a readable file")).collect();
    let rounds: usize = rounds.parse().expect("a number of rounds");
    let started = Instant::now();
    let mut bytes = 0;
    for body in bodies.iter().cycle().take(bodies.len() * rounds) {
        bytes += stored(body, &options).len();
    }
    let pictures = bodies.len() * rounds;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3 / pictures as f64;
    println!("{{\"pictures\": {pictures}, \"bytes\": {bytes}, \"ms\": {milliseconds:.4}}}");
}

fn stored(body: &[u8], options: &ProcessOptions) -> Vec<u8> {
    let limits = Limits::default();
    let header = read_header(body, &limits).expect("a header");
    let original = Size::new(header.width, header.height);
    let geometry = geometry(options.resize_mode, options.image_size, false, original);
    let picture = decode(body, &limits, decode_scale(&header, geometry, original, options)).expect("a picture");
    let to = |size| resize(&picture, size, options.downscale_interpolation).expect("a size");
    let picture = match geometry {
        Geometry::Keep => to(original),
        Geometry::Resize(size) => to(size),
        Geometry::Crop(size, placement) => resize::crop(to(size), placement).expect("a crop"),
        Geometry::Pad(size, placement) => resize::pad(to(size), placement).expect("a border"),
    };
    encode(picture, EncodeFormat::Jpg, options.quality()).expect("an encoded picture")
}
