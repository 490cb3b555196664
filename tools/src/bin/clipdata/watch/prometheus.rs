//! Counts in Prometheus's text format, as node_exporter's textfile collector reads them.

use std::fs;
use std::path::Path;

use super::lines::Moment;
use super::tally::Tally;

/// Replaces `file` in one step, so that no collector sees half of it.
///
/// # Errors
/// When it cannot be written.
pub fn write(file: &Path, tally: &Tally, moment: &Moment) -> std::io::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // Not `.prom` at its end: the collector reads every file that is called so.
    let unfinished = file.with_file_name(format!(".{name}.{}.tmp", std::process::id()));
    fs::write(&unfinished, text(tally, moment))?;
    fs::rename(&unfinished, file)
}

fn text(tally: &Tally, moment: &Moment) -> String {
    let statuses = [
        ("success", tally.successes),
        ("failed_to_download", tally.failed_to_download),
        ("failed_to_resize", tally.failed_to_resize),
    ];
    let kinds: Vec<_> = tally.kinds.iter().map(|(name, failures)| (name.as_str(), failures.count)).collect();
    [
        labelled("clipdata_rows_total", "Rows that ended in this run, by status.", "status", &statuses),
        labelled("clipdata_failures_total", "Rows that failed in this run, by kind.", "kind", &kinds),
        single("clipdata_bytes_downloaded_total", "counter", "Bytes of the bodies that arrived.", tally.bytes as f64),
        single("clipdata_shards_total", "counter", "Shards that this run sealed.", tally.shards as f64),
        single("clipdata_rows_per_second", "gauge", "Rows by second, over the last 10 s.", moment.rows_per_second),
        single(
            "clipdata_images_per_second",
            "gauge",
            "Samples by second, over the last 10 s.",
            moment.images_per_second,
        ),
        single(
            "clipdata_bytes_per_second",
            "gauge",
            "Bytes of bodies by second, over the last 10 s.",
            moment.bytes_per_second,
        ),
        tally.ahead.rows_in_all().map_or_else(String::new, |rows| {
            single(
                "clipdata_rows_expected",
                "gauge",
                "Rows of this run in all, estimated while the list is read.",
                rows.round(),
            )
        }),
        single("clipdata_run_seconds", "gauge", "Time since the run began.", moment.elapsed.as_secs_f64()),
    ]
    .concat()
}

fn single(name: &str, kind: &str, help: &str, value: f64) -> String {
    format!("{}{name} {value}\n", head(name, kind, help))
}

fn labelled(name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> String {
    let mut text = head(name, "counter", help);
    for (value, count) in values {
        text.push_str(&format!("{name}{{{label}=\"{}\"}} {count}\n", escaped(value)));
    }
    text
}

fn head(name: &str, kind: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        let text = labelled("a_total", "Some.", "kind", &[("a\"b\\c\nd", 3)]);
        assert_eq!(text, "# HELP a_total Some.\n# TYPE a_total counter\na_total{kind=\"a\\\"b\\\\c\\nd\"} 3\n");
    }
}
