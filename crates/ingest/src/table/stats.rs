//! What a table of URLs is like: counts, sizes, captions, scores and hosts, over one or many
//! parquet, csv or tsv files.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::hosts::{HostCounter, HostStats};
use super::numbers::NumberStats;
use super::scan::{broken, column, files, scan, scan_as_texts};
use crate::error::{Error, Result};

/// Version of [`TableStats`] as JSON; grows when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// Names that a column of URLs has, but for case.
const URL_NAMES: [&str; 2] = ["url", "image_url"];

/// Names that a column of captions has, but for case.
const TEXT_NAMES: [&str; 3] = ["caption", "text", "title"];

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatsOptions {
    /// Hosts listed.
    pub top_hosts: usize,
    /// Bins of each histogram.
    pub histogram_bins: usize,
}

impl Default for StatsOptions {
    fn default() -> Self {
        Self { top_hosts: 20, histogram_bins: 20 }
    }
}

/// One column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnStats {
    /// Its name, as written.
    pub name: String,
    /// Its type, in polars' words.
    pub dtype: String,
    /// Rows without a value, those included whose value is unreadable.
    pub nulls: u64,
    /// Values of text files that are not of the column's type.
    #[serde(default)]
    pub unreadable: u64,
}

/// A whole table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableStats {
    /// Version of this structure.
    pub version: u32,
    /// Files read.
    pub files: u64,
    /// Rows of all files.
    pub rows: u64,
    /// The columns in the table's order.
    pub columns: Vec<ColumnStats>,
    /// Different URLs; `None` without such a column.
    pub unique_urls: Option<u64>,
    /// Different captions; `None` without such a column.
    pub unique_texts: Option<u64>,
    /// All columns of numbers, then `caption_chars` and `caption_words`.
    pub numbers: Vec<NumberStats>,
    /// Where the URLs lead; `None` without such a column.
    pub hosts: Option<HostStats>,
}

/// Describes the tables `paths`, which must have the same columns; a folder stands for the
/// tables in it.
///
/// # Errors
/// When a file cannot be read, or has other columns than the first.
pub fn stats(paths: &[PathBuf], options: &StatsOptions) -> Result<TableStats> {
    let files = files(paths)?;
    if let Some(described) = unless_it_panics(&files, options) {
        return described;
    }
    let damaged = files.iter().find(|file| unless_it_panics(std::slice::from_ref(*file), options).is_none());
    let path = damaged.or(files.first()).cloned().unwrap_or_default();
    Err(Error::Table { path, reason: "it is damaged: the reader of tables broke on it".into() })
}

/// polars panics on some damaged parquet files; `None` where it does.
fn unless_it_panics(files: &[PathBuf], options: &StatsOptions) -> Option<Result<TableStats>> {
    catch_unwind(AssertUnwindSafe(|| described(files, options))).ok()
}

fn described(files: &[PathBuf], options: &StatsOptions) -> Result<TableStats> {
    let tables = files.iter().map(|file| Ok((file.as_path(), scan(file)?))).collect::<Result<Vec<_>>>()?;
    let table = Table::join(tables)?;
    let url = column(&table.schema, &URL_NAMES).cloned();
    let text = column(&table.schema, &TEXT_NAMES).cloned();
    let (rows, columns) = table.columns()?;
    let mut numbers = Vec::new();
    for (name, _) in table.schema.iter().filter(|(_, dtype)| dtype.is_primitive_numeric()) {
        numbers.push(table.numbers(name, options)?);
    }
    if let Some(text) = &text {
        numbers.extend(table.caption_lengths(text, options)?);
    }
    Ok(TableStats {
        version: VERSION,
        files: files.len() as u64,
        rows,
        columns,
        unique_urls: url.as_ref().map(|url| table.unique(url)).transpose()?,
        unique_texts: text.as_ref().map(|text| table.unique(text)).transpose()?,
        numbers,
        hosts: url.as_ref().map(|url| table.hosts(url, options)).transpose()?,
    })
}

/// All files as one lazy table.
struct Table<'a> {
    parts: Vec<(&'a Path, LazyFrame)>,
    whole: LazyFrame,
    schema: SchemaRef,
}

impl<'a> Table<'a> {
    fn join(mut parts: Vec<(&'a Path, LazyFrame)>) -> Result<Self> {
        let path = parts.first().map_or(Path::new(""), |(path, _)| path);
        let frames: Vec<_> = parts.iter().map(|(_, frame)| frame.clone()).collect();
        let arguments = UnionArgs { to_supertypes: true, ..Default::default() };
        let mut first: Option<(PathBuf, SchemaRef)> = None;
        for (path, frame) in &mut parts {
            let schema = frame.collect_schema().map_err(broken(path))?;
            match &first {
                Some((first, expected)) => same_columns((first.as_path(), expected), (*path, &schema))?,
                None => first = Some((path.to_path_buf(), schema)),
            }
        }
        let mut whole = concat(frames, arguments).map_err(broken(path))?;
        let schema = whole.collect_schema().map_err(broken(path))?;
        Ok(Self { parts, whole, schema })
    }

    fn path(&self) -> &Path {
        self.parts.first().map_or(Path::new(""), |(path, _)| path)
    }

    fn collect(&self, expressions: Vec<Expr>) -> Result<DataFrame> {
        self.whole.clone().select(expressions).collect().map_err(broken(self.path()))
    }

    /// Rows, and the nulls of each column.
    fn columns(&self) -> Result<(u64, Vec<ColumnStats>)> {
        let mut expressions = vec![len().cast(DataType::UInt64).alias("__rows")];
        expressions.extend(self.schema.iter_names().map(|name| col(name.clone()).null_count().cast(DataType::UInt64)));
        let counts = self.collect(expressions)?;
        let rows = count(&counts, "__rows").map_err(broken(self.path()))?;
        let unreadable = self.unreadable()?;
        let column = |(name, dtype): (&PlSmallStr, &DataType)| {
            let nulls = count(&counts, name).map_err(broken(self.path()))?;
            let unreadable = unreadable.get(name).copied().unwrap_or(0);
            Ok(ColumnStats { name: name.to_string(), dtype: dtype.to_string(), nulls, unreadable })
        };
        Ok((rows, self.schema.iter().map(column).collect::<Result<_>>()?))
    }

    /// Cells of text files that hold something where their typed column has nothing, by column.
    fn unreadable(&self) -> Result<BTreeMap<PlSmallStr, u64>> {
        let mut unreadable = BTreeMap::new();
        for (path, part) in &self.parts {
            let schema = part.clone().collect_schema().map_err(broken(path))?;
            let names = schema.iter().filter(|(_, dtype)| **dtype != DataType::String).map(|(name, _)| name.clone());
            let (names, texts): (Vec<_>, _) = (names.collect(), scan_as_texts(path)?);
            let Some(texts) = texts.filter(|_| !names.is_empty()) else { continue };
            let held = |frame: LazyFrame| {
                let counts = names.iter().map(|name| col(name.clone()).count().cast(DataType::UInt64));
                frame.select(counts.collect::<Vec<_>>()).collect()
            };
            let (texts, values) = (held(texts).map_err(broken(path))?, held(part.clone()).map_err(broken(path))?);
            for name in &names {
                let held = |frame| count(frame, name).map_err(broken(path));
                *unreadable.entry(name.clone()).or_default() += held(&texts)?.saturating_sub(held(&values)?);
            }
        }
        Ok(unreadable)
    }

    fn unique(&self, name: &PlSmallStr) -> Result<u64> {
        let unique = col(name.clone()).drop_nulls().n_unique().cast(DataType::UInt64);
        count(&self.collect(vec![unique])?, name).map_err(broken(self.path()))
    }

    fn numbers(&self, name: &PlSmallStr, options: &StatsOptions) -> Result<NumberStats> {
        let frame = self.collect(vec![col(name.clone()).cast(DataType::Float64)])?;
        let (values, nulls) = floats(&frame, name).map_err(broken(self.path()))?;
        Ok(NumberStats::of(name, values, nulls, options.histogram_bins))
    }

    /// Characters and words of the captions.
    fn caption_lengths(&self, text: &PlSmallStr, options: &StatsOptions) -> Result<[NumberStats; 2]> {
        let (mut chars, mut words, mut nulls) = (Vec::new(), Vec::new(), 0);
        self.each_text(text, |caption| match caption {
            Some(caption) => {
                chars.push(caption.chars().count() as f64);
                words.push(caption.split_whitespace().count() as f64);
            }
            None => nulls += 1,
        })?;
        let bins = options.histogram_bins;
        let chars = NumberStats::of("caption_chars", chars, nulls, bins);
        Ok([chars, NumberStats::of("caption_words", words, nulls, bins)])
    }

    fn hosts(&self, url: &PlSmallStr, options: &StatsOptions) -> Result<HostStats> {
        let mut counter = HostCounter::default();
        self.each_text(url, |url| {
            if let Some(url) = url {
                counter.add(url);
            }
        })?;
        Ok(counter.finish(options.top_hosts))
    }

    /// Visits a column as text, one file in memory at a time.
    fn each_text(&self, name: &PlSmallStr, mut visit: impl FnMut(Option<&str>)) -> Result<()> {
        for (path, part) in &self.parts {
            let column = part.clone().select([col(name.clone()).cast(DataType::String)]).collect();
            let frame = column.map_err(broken(path))?;
            let texts = frame.column(name).and_then(|column| column.str().cloned()).map_err(broken(path))?;
            texts.iter().for_each(&mut visit);
        }
        Ok(())
    }
}

/// Refuses to take tables together whose columns differ.
fn same_columns((first, expected): (&Path, &SchemaRef), (path, got): (&Path, &SchemaRef)) -> Result<()> {
    if expected.iter_names().eq(got.iter_names()) {
        return Ok(());
    }
    let names = |schema: &SchemaRef| schema.iter_names().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let (first, expected, got) = (first.display(), names(expected), names(got));
    let reason = format!("its columns ({got}) are not those of `{first}` ({expected}): describe them apart");
    Err(Error::Table { path: path.into(), reason })
}

fn count(frame: &DataFrame, name: &str) -> PolarsResult<u64> {
    Ok(frame.column(name)?.u64()?.get(0).unwrap_or(0))
}

/// The values of a column, and how many it lacks.
fn floats(frame: &DataFrame, name: &str) -> PolarsResult<(Vec<f64>, u64)> {
    let column = frame.column(name)?;
    Ok((column.f64()?.iter().flatten().collect(), column.null_count() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Result<TableStats> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        stats(&[folder.path().to_path_buf()], &StatsOptions::default())
    }

    fn number<'a>(stats: &'a TableStats, name: &str) -> &'a NumberStats {
        stats.numbers.iter().find(|number| number.name == name).unwrap()
    }

    #[test]
    fn a_csv_is_described_by_column() {
        let text = "URL,TEXT,WIDTH,similarity\nhttp://www.a/1.jpg,\"a, b\",100,0.25\nhttp://A/2.png,,300,\n\
                    http://a/1.jpg,a cat,200,0.75\n";
        let stats = of(&[("t.csv", text)]).unwrap();
        assert_eq!((stats.version, stats.files, stats.rows), (1, 1, 3));
        assert_eq!((stats.unique_urls, stats.unique_texts), (Some(3), Some(2)));
        let nulls: Vec<_> = stats.columns.iter().map(|column| (column.name.as_str(), column.nulls)).collect();
        assert_eq!(nulls, [("URL", 0), ("TEXT", 1), ("WIDTH", 0), ("similarity", 1)]);
        assert_eq!(number(&stats, "width").mean, Some(200.0));
        assert_eq!((number(&stats, "similarity").nulls, number(&stats, "similarity").max), (1, Some(0.75)));
        assert_eq!(number(&stats, "caption_chars").max, Some(5.0));
        let hosts = stats.hosts.unwrap();
        assert_eq!((hosts.distinct, hosts.top[0].count), (1, 3));
    }

    #[test]
    fn what_is_no_number_in_a_column_of_numbers_is_counted() {
        // The type is told by the first rows.
        let rows: String = (0..10_000).map(|row| format!("http://a/{row},{row}\n")).collect();
        let text = format!("url,width\n{rows}http://a/x,wide\nhttp://a/y,\nhttp://a/z,\"1,5\"\n");
        let width = of(&[("t.csv", &text)]).unwrap().columns.pop().unwrap();
        assert_eq!((width.dtype.as_str(), width.nulls, width.unreadable), ("i64", 3, 2));
    }

    #[test]
    fn files_are_taken_together_and_tabs_do_not_quote() {
        let stats = of(&[("a.tsv", "url\tcaption\nhttp://a/\t\"one\n"), ("b.tsv", "url\tcaption\nhttp://b/\ttwo\"\n")]);
        let stats = stats.unwrap();
        assert_eq!((stats.files, stats.rows, stats.unique_texts), (2, 2, Some(2)));
        assert_eq!(number(&stats, "caption_chars").mean, Some(4.0));
    }

    #[test]
    fn a_list_without_header_has_its_columns_all_the_same() {
        let stats = of(&[("cc3m.tsv", "a cat\thttp://a/1.jpg\na dog\thttp://b/2.jpg\n")]).unwrap();
        assert_eq!((stats.rows, stats.unique_urls, stats.unique_texts), (2, Some(2), Some(2)));
    }

    #[test]
    fn tables_of_other_columns_are_not_taken_together() {
        let error = of(&[("a.csv", "url,caption\nhttp://a/,x\n"), ("b.csv", "url,width\nhttp://b/,3\n")]).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("b.csv`") && told.contains("(url, width)") && told.contains("(url, caption)"), "{told}");
    }

    #[test]
    fn what_is_no_table_is_named() {
        let missing = stats(&["no/such.parquet".into()], &StatsOptions::default()).unwrap_err();
        assert_eq!(missing.to_string(), "cannot open the table `no/such.parquet`");
        assert!(of(&[("notes.txt", "x")]).unwrap_err().to_string().contains("no parquet, csv or tsv file"));
        assert!(of(&[("x.parquet", "no parquet")]).unwrap_err().to_string().contains("x.parquet"));
    }

    #[test]
    fn a_sample_of_laion_has_the_known_answers() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/data/img2dataset/test_files/test_10000.parquet");
        if !path.exists() {
            eprintln!("skipped: {} is not there", path.display());
            return;
        }
        let stats = stats(&[path], &StatsOptions { top_hosts: 5, histogram_bins: 10 }).unwrap();
        assert_eq!((stats.rows, stats.unique_urls, stats.unique_texts), (10_000, Some(9999), Some(9988)));
        let chars = number(&stats, "caption_chars");
        assert_eq!((chars.min, chars.max, chars.mean), (Some(6.0), Some(2041.0), Some(58.3101)));
        let quantiles = chars.quantiles.unwrap();
        let found = [quantiles.p05, quantiles.p25, quantiles.p50, quantiles.p75, quantiles.p95];
        assert_eq!(found, [19.0, 33.0, 48.0, 69.0, 126.0]);
        assert!((quantiles.p99 - 255.01).abs() < 1e-9);
        assert_eq!(number(&stats, "caption_words").mean, Some(9.1945));
        let hosts = stats.hosts.unwrap();
        assert_eq!(hosts.distinct, 4474);
        let top: Vec<_> = hosts.top.iter().map(|share| (share.name.as_str(), share.count)).collect();
        let expected = [
            ("cdn.shopify.com", 641),
            ("thumbs.dreamstime.com", 196),
            ("i.pinimg.com", 194),
            ("rlv.zcache.com", 130),
            ("ecx.images-amazon.com", 100),
        ];
        assert_eq!(top, expected);
        assert_eq!(hosts.schemes[0].name, "https");
        assert_eq!(hosts.schemes[0].count, 6223);
        let extensions: Vec<_> = hosts.extensions.iter().take(4).map(|s| (s.name.as_str(), s.count)).collect();
        assert_eq!(extensions, [("jpg", 8366), ("none", 658), ("png", 648), ("jpeg", 200)]);
    }
}
