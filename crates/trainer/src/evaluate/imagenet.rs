//! ImageNet and the sets that are made for models of its classes: which folder holds which class, and among which classes
//! a picture is named.
//!
//! ImageNet-A and -R hold 200 of the 1,000 classes, and a model names their pictures among those. ObjectNet has folders of
//! its own, 113 of which stand for one or more of the 1,000 classes; the likeliest of these speaks for a folder, as in the
//! papers about robustness. `NOTICE` says where the tables are from.

use std::collections::HashMap;

use crate::error::{Error, Result};

static SYNSETS: &str = include_str!("imagenet_synsets.txt");
static SUBSETS: &str = include_str!("imagenet_subsets.txt");
static OBJECTNET: &str = include_str!("objectnet_classes.txt");

/// A set of pictures of ImageNet's classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Benchmark {
    /// The validation set.
    ImageNet,
    /// ImageNet-V2: new pictures of the same classes.
    V2,
    /// Natural pictures that a ResNet-50 got wrong.
    A,
    /// Renditions: paintings, toys, tattoos.
    R,
    /// Black and white sketches.
    Sketch,
    /// Things of the household, seen from all sides.
    ObjectNet,
}

/// How folders become the labels of a task, and classes its candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelling {
    /// Label of each folder in its sorted place; none where its pictures are left out.
    pub labels: Vec<Option<u32>>,
    /// The classes that stand for each label.
    pub groups: Vec<Vec<u32>>,
}

impl Benchmark {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::ImageNet, Self::V2, Self::A, Self::R, Self::Sketch, Self::ObjectNet];

    /// What its metrics are called; the first two as open_clip calls them.
    pub fn metric(self) -> &'static str {
        match self {
            Self::ImageNet => "imagenet-zeroshot-val",
            Self::V2 => "imagenetv2-zeroshot-val",
            Self::A => "imagenet-a-zeroshot-val",
            Self::R => "imagenet-r-zeroshot-val",
            Self::Sketch => "imagenet-sketch-zeroshot-val",
            Self::ObjectNet => "objectnet-zeroshot-val",
        }
    }

    /// The flag that names its folder.
    pub fn flag(self) -> &'static str {
        match self {
            Self::ImageNet => "--imagenet-val",
            Self::V2 => "--imagenet-v2",
            Self::A => "--imagenet-a",
            Self::R => "--imagenet-r",
            Self::Sketch => "--imagenet-sketch",
            Self::ObjectNet => "--objectnet",
        }
    }

    /// Pixels at each edge that are not part of the picture: ObjectNet's red frame and its neighbours.
    pub fn border(self) -> u32 {
        if self == Self::ObjectNet { 2 } else { 0 }
    }

    /// What these folders, in sorted order, hold.
    ///
    /// # Errors
    /// When a folder is none of the set's.
    pub fn labelling(self, folders: &[String]) -> Result<Labelling> {
        match self {
            Self::ObjectNet => objectnet(folders),
            Self::ImageNet | Self::V2 | Self::Sketch => self.among(folders, (0..1000).collect()),
            Self::A => self.among(folders, subset("imagenet-a")),
            Self::R => self.among(folders, subset("imagenet-r")),
        }
    }

    fn among(self, folders: &[String], classes: Vec<u32>) -> Result<Labelling> {
        let indices = by_synset(folders).or_else(|| by_number(folders, 1000));
        let indices = indices.or_else(|| (folders.len() == 1000).then(|| (0..1000).collect()));
        let Some(indices) = indices else {
            let strange = folders.iter().find(|folder| by_synset(std::slice::from_ref(*folder)).is_none());
            return Err(self.wrong(format!(
                "expected folders called as ImageNet's classes (n01440764, or 0 to 999), got `{}`",
                strange.map_or("", |name| name)
            )));
        };
        let label = |(index, folder): (u32, &String)| match classes.iter().position(|class| *class == index) {
            Some(label) => Ok(Some(label as u32)),
            None => Err(self.wrong(format!("folder `{folder}` is none of the set's {} classes", classes.len()))),
        };
        let labels = indices.into_iter().zip(folders).map(label).collect::<Result<_>>()?;
        Ok(Labelling { labels, groups: classes.into_iter().map(|class| vec![class]).collect() })
    }

    fn wrong(self, reason: String) -> Error {
        Error::Config { option: self.flag(), reason }
    }
}

/// Classes of folders that are called by ImageNet's synsets, where all are.
pub(crate) fn by_synset(folders: &[String]) -> Option<Vec<u32>> {
    let synsets: HashMap<&str, u32> = SYNSETS.lines().zip(0..).collect();
    folders.iter().map(|folder| synsets.get(folder.as_str()).copied()).collect()
}

/// Classes of folders that are called by numbers below `count`, where all are.
pub(crate) fn by_number(folders: &[String], count: usize) -> Option<Vec<u32>> {
    let number = |folder: &String| {
        let number: u32 = folder.parse().ok()?;
        ((number as usize) < count && folder.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
    };
    folders.iter().map(number).collect()
}

fn subset(name: &str) -> Vec<u32> {
    let line = SUBSETS.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().split_whitespace().filter_map(|index| index.parse().ok()).collect()
}

fn objectnet(folders: &[String]) -> Result<Labelling> {
    let lines = OBJECTNET.lines().filter_map(|line| line.split_once('\t'));
    let (names, groups): (Vec<&str>, Vec<Vec<u32>>) = lines
        .map(|(name, classes)| (name, classes.split(',').filter_map(|class| class.parse().ok()).collect()))
        .unzip();
    let label = |folder: &String| names.iter().position(|name| name == folder).map(|label| label as u32);
    let labels: Vec<Option<u32>> = folders.iter().map(label).collect();
    if labels.iter().all(Option::is_none) {
        let first = folders.first().map_or("", |folder| folder);
        let reason = format!("expected folders such as `alarm_clock` and `backpack`, got `{first}`");
        return Err(Benchmark::ObjectNet.wrong(reason));
    }
    Ok(Labelling { labels, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn tables_are_whole() {
        let synsets: Vec<&str> = SYNSETS.lines().collect();
        assert!(synsets.len() == 1000 && synsets.is_sorted());
        assert_eq!((synsets[0], synsets[999]), ("n01440764", "n15075141"));
        assert_eq!((subset("imagenet-a").len(), subset("imagenet-r").len()), (200, 200));
        let all = objectnet(&strings(&["alarm_clock"])).unwrap();
        assert_eq!((all.groups.len(), all.groups[0].as_slice()), (113, [409, 530].as_slice()));
        assert!(all.groups.iter().all(|group| !group.is_empty() && group.iter().all(|class| *class < 1000)));
    }

    #[test]
    fn folders_are_synsets_or_numbers() {
        let labels = |benchmark: Benchmark, folders: &[&str]| benchmark.labelling(&strings(folders)).unwrap().labels;
        assert_eq!(labels(Benchmark::ImageNet, &["n01440764", "n01443537"]), [Some(0), Some(1)]);
        // Sorted as text, as folders are listed.
        assert_eq!(labels(Benchmark::V2, &["1", "10", "2"]), [Some(1), Some(10), Some(2)]);
        // Goldfish is the first of ImageNet-R's 200.
        assert_eq!(labels(Benchmark::R, &["n01443537"]), [Some(0)]);
    }

    #[test]
    fn strange_folders_are_named_or_left_out() {
        let told =
            |benchmark: Benchmark, folders: &[&str]| benchmark.labelling(&strings(folders)).unwrap_err().to_string();
        assert!(told(Benchmark::ImageNet, &["n01440764", "zebra"]).contains("--imagenet-val: expected folders"));
        assert!(told(Benchmark::ImageNet, &["n01440764", "zebra"]).contains("got `zebra`"));
        assert!(told(Benchmark::A, &["n01440764"]).contains("`n01440764` is none of the set's 200 classes"));
        assert!(told(Benchmark::ObjectNet, &["zebra"]).contains("`zebra`"));
        let found = Benchmark::ObjectNet.labelling(&strings(&["air_freshener", "backpack"])).unwrap();
        assert_eq!(found.labels, [None, Some(1)]);
    }
}
