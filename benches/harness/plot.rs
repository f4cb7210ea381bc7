//! The plot: durations of actions and of the floor, over all actions and over the life of a
//! Payment. It is drawn again when one of its halves was measured.

use super::directory;
use super::stats::Sorted;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The path of the plot in the repository.
const PLOT: &str = "benches/latency.svg";

const FLOOR: &str = "floor.csv";
const GROWTH: &str = "growth.csv";

/// A point of both curves: `x`, an action, the floor.
type Point = [f64; 3];

/// Stores the durations of actions, in microseconds, by percentile.
pub fn keep_floor(ours: &Sorted, floor: &Sorted) {
    let at = |percent: u8| {
        let part = f64::from(percent) / 100.0;
        [f64::from(percent), ours.quantile(part), floor.quantile(part)]
    };
    keep(FLOOR, &(1..=99).map(at).collect::<Vec<_>>());
}

/// Stores the medians of the first, second, … action of a Payment.
pub fn keep_growth(ours: &[f64], floor: &[f64]) {
    let numbered = (1_u8..).zip(ours.iter().zip(floor));
    let points = numbered.map(|(nth, (ours, floor))| [f64::from(nth), *ours, *floor]);
    keep(GROWTH, &points.collect::<Vec<_>>());
}

fn keep(name: &str, points: &[Point]) {
    if super::is_smoke() {
        return;
    }
    let lines = points.iter().map(|[x, ours, floor]| format!("{x},{ours:.1},{floor:.1}\n"));
    fs::write(directory().join(name), lines.collect::<String>()).expect("it can be kept");
    if let (Some(floor), Some(growth)) = (read(FLOOR), read(GROWTH)) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(PLOT);
        fs::write(file, draw(&floor, &growth)).expect("it can be drawn");
    }
}

fn read(name: &str) -> Option<Vec<Point>> {
    let text = fs::read_to_string(directory().join(name)).ok()?;
    let point = |line: &str| {
        let mut numbers = line.split(',').filter_map(|number| number.parse().ok());
        Some([numbers.next()?, numbers.next()?, numbers.next()?])
    };
    text.lines().map(point).collect()
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
/// The margins of a panel, with room for labels.
const LEFT: f64 = 52.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 44.0;
const RIGHT: f64 = 12.0;

const OURS: &str = "#0b6bcb";
const BARE: &str = "#8a8f98";

fn draw(floor: &[Point], growth: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    let half = WIDTH / 2.0;
    let percentiles = Panel {
        left: 0.0,
        width: half,
        title: "latency of an action, µs, by percentile",
        ticks: &[1.0, 25.0, 50.0, 75.0, 90.0, 99.0],
    };
    let lives = Panel {
        left: half,
        width: half,
        title: "median latency of a Payment's n-th action, µs",
        ticks: &[1.0, 10.0, 25.0, 49.0],
    };
    percentiles.draw(&mut svg, floor);
    lives.draw(&mut svg, growth);
    svg.push_str("</svg>\n");
    svg
}

/// One half of the plot.
struct Panel {
    left: f64,
    width: f64,
    title: &'static str,
    ticks: &'static [f64],
}

impl Panel {
    fn draw(&self, svg: &mut String, points: &[Point]) {
        let highest = points.iter().flat_map(|[_, ours, floor]| [*ours, *floor]);
        let step = step(highest.fold(1.0, f64::max));
        let top = (1..)
            .map(|n| f64::from(n) * step)
            .find(|top| points.iter().all(|[_, ours, floor]| ours <= top && floor <= top));
        let top = top.unwrap_or(step);
        let last = points.iter().map(|[x, ..]| *x).fold(1.0, f64::max);
        let (left, right) = (self.left + LEFT, self.left + self.width - RIGHT);
        let bottom = HEIGHT - BOTTOM;
        let x = |value: f64| left + (value - 1.0) / (last - 1.0).max(1.0) * (right - left);
        let y = |value: f64| bottom - value / top * (bottom - TOP);
        text(svg, left, 20.0, "start", self.title);
        for n in 0..=(top / step).round() as u32 {
            let value = f64::from(n) * step;
            let at = y(value);
            let _ = writeln!(svg, "<path d=\"M{left:.1} {at:.1}H{right:.1}\" stroke=\"#e3e5e8\"/>");
            text(svg, left - 6.0, at + 4.0, "end", &format!("{value:.0}"));
        }
        for tick in self.ticks {
            text(svg, x(*tick), bottom + 16.0, "middle", &format!("{tick:.0}"));
        }
        for (column, colour, name, down) in [
            (2, BARE, "the floor: two bare writes, one bare POST", 36.0),
            (1, OURS, "the action", 24.0),
        ] {
            let path =
                points.iter().map(|point| format!("{:.1} {:.1}", x(point[0]), y(point[column])));
            let path = path.collect::<Vec<_>>().join("L");
            let _ = writeln!(
                svg,
                "<path d=\"M{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>"
            );
            let at = bottom - down + 8.0;
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {:.1}h14\" stroke=\"{colour}\" stroke-width=\"1.6\"/>",
                left + 10.0,
                at - 4.0
            );
            text(svg, left + 30.0, at, "start", name);
        }
    }
}

/// A round step, of which four to ten fill the height.
fn step(highest: f64) -> f64 {
    let magnitude = 10.0_f64.powf(highest.log10().floor());
    [0.1, 0.2, 0.5, 1.0]
        .map(|part| part * magnitude)
        .into_iter()
        .find(|step| highest / step <= 8.0)
        .unwrap_or(magnitude)
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#30343a\">{text}</text>"
    );
}
