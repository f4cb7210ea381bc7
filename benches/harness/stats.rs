//! Medians, percentiles, and their spread over the rounds.

use std::fmt;
use std::time::Instant;

/// The time since then, in microseconds.
pub fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000_000.0
}

/// The time since then, in milliseconds.
pub fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// Sorted measurements.
#[derive(Clone, Debug, Default)]
pub struct Sorted(Vec<f64>);

impl Sorted {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which this part of the measurements lies.
    pub fn quantile(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = (part * last as f64).round() as usize;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The median of the rounds, and the range of the middle half.
    pub fn spread(&self) -> Spread {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|part| self.quantile(part));
        Spread { low, median, high }
    }
}

/// A value over several rounds.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let Self { low, median, high } = self;
        write!(f, "{median:.digits$} ({low:.digits$}–{high:.digits$})")
    }
}

/// The durations of an action and of the floor, measured in turns in one round.
#[derive(Clone, Debug, Default)]
pub struct Pair {
    pub ours: Vec<f64>,
    pub floor: Vec<f64>,
}

impl Pair {
    /// The ratio of an action to the floor, at this percentile.
    pub fn ratio(&self, part: f64) -> f64 {
        let [ours, floor] =
            [&self.ours, &self.floor].map(|values| Sorted::of(values.iter().copied()));
        ours.quantile(part) / floor.quantile(part)
    }
}

/// The ratios of all rounds.
pub fn ratios(rounds: &[Pair], part: f64) -> Sorted {
    Sorted::of(rounds.iter().map(|round| round.ratio(part)))
}

pub fn ours(rounds: &[Pair]) -> Sorted {
    Sorted::of(rounds.iter().flat_map(|round| round.ours.iter().copied()))
}

pub fn bare(rounds: &[Pair]) -> Sorted {
    Sorted::of(rounds.iter().flat_map(|round| round.floor.iter().copied()))
}
