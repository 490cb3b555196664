//! Some pictures of a download, in small, for its page. Whatever cannot be read is left out: a page without pictures is
//! better than none.

use std::path::{Path, PathBuf};

use image::imageops::{FilterType, resize};
use shards::image::{JpegScale, Limits, Picture, decode_rgb, encode_jpeg};
use shards::reader::ShardReader;
use shards::store::Folder;
use shards::uri::ShardUri;
use tools::report::Sample;

/// Pictures on a page.
const MOST: usize = 24;

/// Longer side of a picture on the page.
const SIDE: u32 = 240;

/// Characters of a caption on the page.
const MAX_CAPTION_CHARS: usize = 120;

const EXTENSIONS: [&str; 3] = ["jpg", "png", "webp"];

/// The first pictures of the first shards of a local folder.
pub fn some(folder: &Folder) -> Vec<Sample> {
    let Some(folder) = folder.local_path() else { return Vec::new() };
    let names = sorted(folder);
    let tars = names.iter().filter(|path| path.extension().is_some_and(|extension| extension == "tar"));
    let in_tars = tars.flat_map(|tar| in_tar(tar));
    let folders = names.iter().filter(|path| path.is_dir());
    in_tars.chain(folders.flat_map(|folder| in_folder(folder))).take(MOST).collect()
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names
}

fn in_tar(tar: &Path) -> impl Iterator<Item = Sample> + use<> {
    let reader = ShardUri::parse(&tar.display().to_string()).and_then(|uri| ShardReader::open(&uri));
    reader.into_iter().flatten().map_while(Result::ok).filter_map(|sample| {
        let picture = sample.field(&EXTENSIONS)?;
        let caption = sample.field(&["txt"]).map(|field| String::from_utf8_lossy(&field.bytes).into_owned());
        small(&picture.bytes, &caption.unwrap_or_default())
    })
}

fn in_folder(folder: &Path) -> impl Iterator<Item = Sample> + use<> {
    sorted(folder).into_iter().filter_map(|path| {
        let extension = path.extension()?.to_str()?;
        if !EXTENSIONS.contains(&extension) {
            return None;
        }
        let caption = std::fs::read_to_string(path.with_extension("txt")).unwrap_or_default();
        small(&std::fs::read(&path).ok()?, &caption)
    })
}

fn small(bytes: &[u8], caption: &str) -> Option<Sample> {
    let limits = Limits { max_pixels: 40_000_000, ..Limits::default() };
    let rgb = decode_rgb(bytes, &limits, JpegScale::Full).ok()?;
    let scale = f64::from(SIDE) / f64::from(rgb.width.max(rgb.height).max(SIDE));
    let side = |pixels: u32| ((f64::from(pixels) * scale).round() as u32).max(1);
    let (width, height) = (side(rgb.width), side(rgb.height));
    let whole = image::RgbImage::from_raw(rgb.width, rgb.height, rgb.pixels)?;
    let pixels = resize(&whole, width, height, FilterType::Triangle).into_raw();
    let picture = Picture::from(shards::image::RgbImage { width, height, pixels });
    let caption: String = caption.chars().take(MAX_CAPTION_CHARS).collect();
    Some(Sample { jpeg: encode_jpeg(&picture, 80).ok()?, caption })
}
