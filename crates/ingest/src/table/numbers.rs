//! One column of numbers: extremes, mean, quantiles and a histogram, all exact.

use serde::{Deserialize, Serialize};

/// Values below which a share of the column lies, linearly interpolated between neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// 5 %.
    pub p05: f64,
    /// 25 %.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// 75 %.
    pub p75: f64,
    /// 95 %.
    pub p95: f64,
    /// 99 %.
    pub p99: f64,
}

/// Values from `from` up to, not including, `to`; the last bin includes its end, unless bins are of whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower end.
    pub from: f64,
    /// Upper end.
    pub to: f64,
    /// Values between.
    pub count: u64,
}

/// A column of numbers. Without any finite value there are no quantiles and no bins, and
/// `min`, `mean` and `max` are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberStats {
    /// The column, in lower case; or `caption_chars`, `caption_words`.
    pub name: String,
    /// Finite values.
    pub count: u64,
    /// Rows without a finite value.
    pub nulls: u64,
    /// Smallest value.
    pub min: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Quantiles.
    pub quantiles: Option<Quantiles>,
    /// Bins of equal width from the smallest to the largest value; of whole numbers where all values are whole.
    pub histogram: Vec<Bin>,
}

impl NumberStats {
    /// Describes `values`, of which those that are not finite count as nulls, like the `nulls`
    /// rows without a value.
    pub fn of(name: &str, values: Vec<f64>, nulls: u64, bins: usize) -> Self {
        let rows = values.len() as u64 + nulls;
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let count = values.len() as u64;
        let mean = (count > 0).then(|| values.iter().sum::<f64>() / count as f64);
        let (min, max) = (values.first().copied(), values.last().copied());
        let quantiles = (count > 0).then(|| quantiles(&values));
        let histogram = histogram(&values, bins);
        Self { name: name.to_lowercase(), count, nulls: rows - count, min, mean, max, quantiles, histogram }
    }
}

fn quantiles(sorted: &[f64]) -> Quantiles {
    let at = |share: f64| quantile(sorted, share);
    Quantiles { p05: at(0.05), p25: at(0.25), p50: at(0.5), p75: at(0.75), p95: at(0.95), p99: at(0.99) }
}

/// The definition most tools use: position `share * (n - 1)`, between neighbours linearly.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}

fn histogram(sorted: &[f64], bins: usize) -> Vec<Bin> {
    let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else { return Vec::new() };
    let (bins, width) = match sorted.iter().all(|value| value.fract() == 0.0) {
        true => {
            let width = ((max - min + 1.0) / bins as f64).ceil();
            (((max - min + 1.0) / width).ceil() as usize, Some(width))
        }
        false if min == max => (1, None),
        false => (bins, None),
    };
    let edge = |bin: usize| match width {
        Some(width) => min + width * bin as f64,
        None if bin == bins => max,
        None => min + (max - min) * (bin as f64 / bins as f64),
    };
    let mut start = 0;
    let bin = |bin: usize| {
        let (from, to) = (edge(bin), edge(bin + 1));
        let end = if bin + 1 == bins { sorted.len() } else { sorted.partition_point(|value| *value < to).max(start) };
        let count = (end - start) as u64;
        start = end;
        Bin { from, to, count }
    };
    (0..bins).map(bin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_described_exactly() {
        let stats = NumberStats::of("Width", vec![4.0, 1.0, 3.0, 2.5, f64::NAN], 2, 3);
        assert_eq!((stats.name.as_str(), stats.count, stats.nulls), ("width", 4, 3));
        assert_eq!((stats.min, stats.mean, stats.max), (Some(1.0), Some(2.625), Some(4.0)));
        let quantiles = stats.quantiles.unwrap();
        assert_eq!((quantiles.p25, quantiles.p50), (2.125, 2.75));
        assert_eq!(bins(&stats), [(1.0, 2.0, 1), (2.0, 3.0, 1), (3.0, 4.0, 2)]);
    }

    fn bins(stats: &NumberStats) -> Vec<(f64, f64, u64)> {
        stats.histogram.iter().map(|bin| (bin.from, bin.to, bin.count)).collect()
    }

    #[test]
    fn whole_numbers_get_whole_bins() {
        let few = NumberStats::of("x", vec![24.0, 26.0, 26.0], 0, 20);
        assert_eq!(bins(&few), [(24.0, 25.0, 1), (25.0, 26.0, 0), (26.0, 27.0, 2)]);
        let many = NumberStats::of("x", vec![0.0, 4.0, 5.0, 9.0, 10.0], 0, 3);
        assert_eq!(bins(&many), [(0.0, 4.0, 1), (4.0, 8.0, 2), (8.0, 12.0, 2)]);
    }

    #[test]
    fn columns_without_values_or_with_one_have_answers() {
        let none = NumberStats::of("x", Vec::new(), 3, 10);
        assert_eq!((none.count, none.nulls, none.mean, none.histogram.len()), (0, 3, None, 0));
        let one = NumberStats::of("x", vec![7.0, 7.0], 0, 10);
        assert_eq!(one.histogram, [Bin { from: 7.0, to: 8.0, count: 2 }]);
        assert_eq!(one.quantiles.unwrap().p99, 7.0);
    }

    #[test]
    fn every_value_is_in_one_bin() {
        let values: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 377)).collect();
        let histogram = NumberStats::of("x", values, 0, 7).histogram;
        assert_eq!(histogram.iter().map(|bin| bin.count).sum::<u64>(), 1000);
        assert!(histogram.windows(2).all(|pair| pair[0].to == pair[1].from));
    }
}
