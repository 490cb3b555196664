//! `cliptrain plot`: charts of runs as SVG, PNG or a page.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tools::exit::{Hint, Outcome};
use tools::out;
use tools::plot::charts::{self, Named};
use tools::plot::record::Record;
use tools::plot::{page, raster, svg};

use crate::cli::plot::Plot;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Svg,
    Png,
    Html,
}

impl Format {
    fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

/// Reads the runs, draws, and names the files.
pub fn run(arguments: &Plot) -> anyhow::Result<Outcome> {
    let formats = formats(&arguments.format)?;
    let records = arguments.runs.iter().map(|run| Record::read(run)).collect::<anyhow::Result<Vec<_>>>()?;
    let charts = chosen(&records, arguments)?;
    let extension = arguments.output.extension().map(|extension| extension.to_string_lossy().into_owned());
    let written = match (extension.as_deref(), extension.as_deref().and_then(Format::of)) {
        (_, Some(format)) => vec![file(&records, &charts, format, &arguments.output)?],
        (None, None) => folder(&records, &charts, &formats, &arguments.output)?,
        (Some(other), None) => bail!("--output: expected .html, .svg, .png or a folder, got `.{other}`"),
    };
    for path in written {
        out::line(&path.display().to_string())?;
    }
    Ok(Outcome::Done)
}

fn formats(text: &str) -> anyhow::Result<Vec<Format>> {
    let format =
        |name: &str| Format::of(name).with_context(|| format!("--format: expected svg, png or html, got `{name}`"));
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(format).collect()
}

fn chosen(records: &[Record], arguments: &Plot) -> anyhow::Result<Vec<Named>> {
    if let Some(metric) = arguments.metric.as_deref().filter(|metric| records.iter().all(|r| r.last(metric).is_none()))
    {
        bail!("--metric `{metric}`: no run has it");
    }
    let mut charts = charts::all(records, arguments.metric.as_deref());
    let names: Vec<&str> = charts.iter().map(|named| named.name).collect();
    if let Some(unknown) = arguments.only.iter().find(|name| !names.contains(&name.as_str())) {
        let known = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        bail!("--only `{unknown}`: these runs have something to show for {known}");
    }
    charts.retain(|named| arguments.only.is_empty() || arguments.only.iter().any(|name| name == named.name));
    if charts.is_empty() {
        bail!("these runs have nothing to draw: no steps, and no evaluations");
    }
    Ok(charts)
}

fn file(records: &[Record], charts: &[Named], format: Format, path: &Path) -> anyhow::Result<PathBuf> {
    let one = || match charts {
        [only] => Ok(&only.chart),
        several => {
            let names: Vec<&str> = several.iter().map(|named| named.name).collect();
            let error =
                anyhow::anyhow!("--output `{}` holds one chart, and there are {}", path.display(), several.len());
            Err(error.context(Hint(format!("--only picks one: {}", names.join(", ")))))
        }
    };
    let bytes = match format {
        Format::Html => page::render(records, charts).into_bytes(),
        Format::Svg => svg::render(&one()?.figure()).into_bytes(),
        Format::Png => raster::render(&one()?.figure())?,
    };
    write(path, &bytes)
}

fn folder(records: &[Record], charts: &[Named], formats: &[Format], folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let mut written = Vec::new();
    for named in charts {
        for format in formats {
            let figure = named.chart.figure();
            let (extension, bytes) = match format {
                Format::Svg => ("svg", svg::render(&figure).into_bytes()),
                Format::Png => ("png", raster::render(&figure)?),
                Format::Html => continue,
            };
            written.push(write(&folder.join(named.name).with_extension(extension), &bytes)?);
        }
    }
    if formats.contains(&Format::Html) {
        written.push(write(&folder.join("index.html"), page::render(records, charts).as_bytes())?);
    }
    Ok(written)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    std::fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path.to_path_buf())
}
