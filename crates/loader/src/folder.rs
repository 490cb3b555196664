//! A folder of class folders, as torchvision's `ImageFolder` reads it: one folder a class, classes numbered in the
//! order of their names.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::evaluation::{Content, EvalBatches, EvalConfig, Labelled};
use crate::picture_file::Visited;

/// File name endings that make a picture.
const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"];

/// Pictures whose class is the folder they are in.
#[derive(Clone, Debug)]
pub struct ClassFolder {
    class_names: Vec<String>,
    pictures: Vec<(PathBuf, u32)>,
}

impl ClassFolder {
    /// Lists the pictures below `root`; none is opened.
    ///
    /// # Errors
    /// When `root` has no folders, one of them has no picture, or the disk refuses.
    pub fn open(root: &Path) -> Result<Self> {
        let mut folders = entries(root)?;
        folders.retain(|path| path.is_dir() && !is_hidden(path));
        let wrong = |path: &Path, reason| Error::ClassFolder { path: path.to_path_buf(), reason };
        if folders.is_empty() {
            return Err(wrong(root, "expected one folder a class in it, found none"));
        }
        let mut pictures = Vec::new();
        for (label, folder) in (0..).zip(&folders) {
            let before = pictures.len();
            collect(folder, label, &mut Visited::default(), &mut pictures)?;
            if pictures.len() == before {
                return Err(wrong(folder, "expected pictures in it, found none (jpg, png, webp, bmp, gif, tiff)"));
            }
        }
        let name = |path: &PathBuf| path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Ok(Self { class_names: folders.iter().map(name).collect(), pictures })
    }

    /// Names of the class folders, sorted; a label is an index into them.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Leaves out the pictures of other labels.
    pub fn keep(&mut self, wanted: impl Fn(u32) -> bool) {
        self.pictures.retain(|(_, label)| wanted(*label));
    }

    /// Every picture with its label, in order.
    pub fn pictures(&self) -> &[(PathBuf, u32)] {
        &self.pictures
    }

    /// How many pictures there are.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// Never: a folder without pictures does not open.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// All pictures, class by class, each folder in the order of its names.
    pub fn batches(&self, config: &EvalConfig) -> EvalBatches {
        let labelled = |(path, label): (PathBuf, u32)| {
            Ok(Labelled { key: path.display().to_string(), label, content: Content::File(path) })
        };
        EvalBatches::new(self.pictures.clone().into_iter().map(labelled), config)
    }
}

/// What is in `folder`, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>());
    let mut paths = listed.map_err(Error::io("list", folder))?;
    paths.sort();
    Ok(paths)
}

fn collect(folder: &Path, label: u32, visited: &mut Visited, pictures: &mut Vec<(PathBuf, u32)>) -> Result<()> {
    if !visited.is_new(folder) {
        return Ok(());
    }
    for path in entries(folder)? {
        if path.is_dir() {
            collect(&path, label, visited, pictures)?;
        } else if is_picture(&path) && !is_hidden(&path) {
            pictures.push((path, label));
        }
    }
    Ok(())
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// Names such as `.ipynb_checkpoints` and `._a.jpg`, which programs leave behind.
fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use shards::image::{Channels, Picture, encode_jpeg};

    fn write(root: &Path, name: &str, content: &[u8]) {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn jpeg() -> Vec<u8> {
        encode_jpeg(&Picture { width: 20, height: 10, channels: Channels::Luma, pixels: vec![99; 200] }, 95).unwrap()
    }

    #[test]
    fn every_picture_is_in_a_batch_or_unreadable() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/2.JPG", "b/1.png", "a/deep/er/0.jpeg"] {
            write(folder.path(), name, &jpeg());
        }
        write(folder.path(), "a/broken.jpg", b"no picture");
        for name in ["a/notes.txt", "a/._0.jpg", ".git/x.jpg", "list.jpg"] {
            write(folder.path(), name, &jpeg());
        }
        let classes = ClassFolder::open(folder.path()).unwrap();
        assert_eq!((classes.class_names(), classes.len()), (["a".to_string(), "b".to_string()].as_slice(), 4));
        let mut batches = classes.batches(&EvalConfig::new(2, 2, 8));
        let read: Vec<_> = batches.by_ref().map(|batch| batch.unwrap()).collect();
        assert_eq!(read.iter().map(|batch| batch.labels.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![1]]);
        assert!(read[1].keys[0].ends_with("2.JPG") && read[1].pixels.len() == 8 * 8 * 3);
        let [unreadable] = batches.unreadable() else { panic!("{:?}", batches.unreadable()) };
        assert!(unreadable.key.ends_with("broken.jpg") && unreadable.reason.contains("no known picture format"));
    }

    #[test]
    fn a_folder_without_classes_or_pictures_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = |path: &Path| ClassFolder::open(path).unwrap_err().to_string();
        assert!(message(folder.path()).contains("one folder a class"));
        write(folder.path(), "a/1.jpg", &jpeg());
        write(folder.path(), "empty/readme.txt", b"");
        assert!(message(folder.path()).contains("empty"));
        assert!(message(&folder.path().join("missing")).contains("missing"));
    }
}
