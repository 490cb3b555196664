//! Columns of JSON that are read whole, the wanted ones, and dealt out as rows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use shards::metadata::{ColumnKind, ColumnValue};

use super::cell::{self, Cell};
use super::scanner::{Scanner, Step, Stop, Value};
use crate::error::{Error, Result};
use crate::url_list::{BadRow, Columns, Lossy, Rows, UrlRow, Wanted, columns};

/// A column as it was read.
#[derive(Default)]
struct Column {
    /// Names of the cells, where they have some.
    labels: Vec<Box<str>>,
    cells: Vec<Cell<Option<String>>>,
}

/// What a text of columns holds.
#[derive(Default)]
struct Held {
    /// All names, in their order.
    names: Vec<String>,
    /// The columns that may be wanted, by place.
    columns: BTreeMap<usize, Column>,
}

/// The rows of the columns that `scanner` is before.
///
/// # Errors
/// When the text cannot be read, holds other than columns, or lacks a wanted one.
pub(super) fn rows(mut scanner: Scanner, wanted: &Wanted, lossy: Lossy) -> Result<(Columns, Rows)> {
    let mut held = Held::default();
    let damage = match held.read(&mut scanner, wanted, &lossy) {
        Ok(()) => None,
        Err(Stop::Damage(reason)) => Some(reason),
        Err(Stop::Failed(error)) => return Err(error),
    };
    let file = Arc::clone(&scanner.source().file);
    let places = match (columns::by_header(&file, &held.names, wanted), &damage) {
        (Err(_), Some(reason)) => return Err(Error::List { path: file.to_path_buf(), reason: reason.clone() }),
        (places, _) => places?,
    };
    let table = Table::of(held, places.url, places.caption, places.extra);
    let extra = wanted.extra.iter().map(|name| (name.clone(), ColumnKind::Text)).collect();
    let described = Columns { caption: wanted.caption.is_some(), extra };
    Ok((described, table.rows(file, damage)))
}

impl Held {
    fn read(&mut self, scanner: &mut Scanner, wanted: &Wanted, lossy: &Lossy) -> Step<()> {
        scanner.take(b'{')?;
        while scanner.another(self.names.is_empty(), b'}')? {
            let name = name(scanner.key()?, lossy);
            let place = self.names.len();
            let is_wanted = is_wanted(&name, wanted);
            self.names.push(name);
            if !is_wanted {
                scanner.value()?;
                continue;
            }
            let column = self.columns.entry(place).or_default();
            match scanner.peek()? {
                Some(b'[') => column.read_list(scanner, lossy)?,
                Some(b'{') => column.read_labelled(scanner, lossy)?,
                _ => {
                    let name = &self.names[place];
                    let reason = format!("`{name}` is one value, no column; if each line is a record, it is jsonl");
                    return Err(Stop::Failed(Error::List { path: scanner.source().file.to_path_buf(), reason }));
                }
            }
        }
        scanner.end()
    }
}

/// Of names that differ in case only, the right one shows when all are known.
fn is_wanted(name: &str, wanted: &Wanted) -> bool {
    let names = std::iter::once(&wanted.url).chain(&wanted.caption).chain(&wanted.extra);
    names.into_iter().any(|wanted| wanted.eq_ignore_ascii_case(name.trim()))
}

fn name(value: Value, lossy: &Lossy) -> String {
    let raw = lossy.text(&value.unwrap_or_default());
    cell::string(&raw).unwrap_or(raw)
}

fn cell_of(value: Value, lossy: &Lossy) -> Cell<Option<String>> {
    cell::text(&lossy.text(&value.ok_or("the value is too long")?))
}

impl Column {
    fn read_list(&mut self, scanner: &mut Scanner, lossy: &Lossy) -> Step<()> {
        scanner.take(b'[')?;
        while scanner.another(self.cells.is_empty(), b']')? {
            self.cells.push(cell_of(scanner.value()?, lossy));
        }
        Ok(())
    }

    fn read_labelled(&mut self, scanner: &mut Scanner, lossy: &Lossy) -> Step<()> {
        scanner.take(b'{')?;
        while scanner.another(self.cells.is_empty(), b'}')? {
            let label = name(scanner.key()?, lossy);
            self.cells.push(cell_of(scanner.value()?, lossy));
            self.labels.push(label.into());
        }
        Ok(())
    }
}

/// The wanted columns, each with its name.
struct Table {
    columns: Vec<(String, Column)>,
    /// Places of the URL, the caption and the rest within them.
    url: usize,
    caption: Option<usize>,
    extra: Vec<usize>,
}

impl Table {
    fn of(mut held: Held, url: usize, caption: Option<usize>, extra: Vec<usize>) -> Self {
        let mut places = vec![url];
        places.extend(caption.iter().chain(&extra));
        places.sort_unstable();
        places.dedup();
        let within = |place: usize| places.binary_search(&place).unwrap_or_default();
        let (url, caption) = (within(url), caption.map(within));
        let extra = extra.into_iter().map(within).collect();
        let column = |place: &usize| (held.names[*place].clone(), held.columns.remove(place).unwrap_or_default());
        Self { columns: places.iter().map(column).collect(), url, caption, extra }
    }

    fn rows(self, file: Arc<Path>, damage: Option<String>) -> Rows {
        let count = self.columns.iter().map(|(_, column)| column.cells.len()).max().unwrap_or(0) as u64;
        let bad = move |index, reason| BadRow { index, file: Arc::clone(&file), line: index + 1, reason };
        let last = damage.map(|reason| Ok(Err(bad(count, reason))));
        let mut table = self;
        let rows = (0..count).map(move |index| Ok(table.row(index).map_err(|reason| bad(index, reason))));
        Box::new(rows.chain(last))
    }

    /// Takes the row out of the columns.
    fn row(&mut self, index: u64) -> Cell<UrlRow> {
        let at = usize::try_from(index).map_err(|_| "too many rows")?;
        self.check_labels(at)?;
        let mut cells = Vec::with_capacity(self.columns.len());
        for (name, column) in &mut self.columns {
            let rows = column.cells.len();
            let cell = column.cells.get_mut(at).ok_or_else(|| format!("column `{name}` ends after {rows} rows"))?;
            let cell = std::mem::replace(cell, Ok(None));
            cells.push(cell.map_err(|reason| format!("column `{name}`: {reason}"))?);
        }
        let extra = self.extra.iter().map(|place| cells[*place].clone().map_or(ColumnValue::Null, ColumnValue::Text));
        let extra = extra.collect();
        let caption = self.caption.and_then(|place| cells[place].clone());
        let url = cells[self.url].take().filter(|url| !url.trim().is_empty()).ok_or("the URL is missing")?;
        Ok(UrlRow { index, url, caption, extra })
    }

    /// Cells of one row have the same label in all columns that have labels.
    fn check_labels(&self, at: usize) -> Cell<()> {
        let mut labels = self.columns.iter().filter_map(|(name, column)| Some((name, column.labels.get(at)?)));
        let Some((first_name, first)) = labels.next() else { return Ok(()) };
        match labels.find(|(_, label)| *label != first) {
            None => Ok(()),
            Some((name, label)) => {
                Err(format!("column `{first_name}` has the cell `{first}` where `{name}` has `{label}`"))
            }
        }
    }
}
