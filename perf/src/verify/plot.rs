//! The search as a picture: the part that was lost over the rate that arrived.

use std::fmt::Write;

use super::ramp::{Ramp, Trial};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
/// Room for the labels: left, top, right, bottom.
const MARGIN: (f64, f64, f64, f64) = (70.0, 40.0, 24.0, 56.0);
/// Lines of the grid in either direction.
const LINES: u32 = 5;

/// An SVG document. `title` may be any text.
#[must_use]
pub fn plot(ramp: &Ramp, found: u64, title: &str) -> String {
    let scale = Scale::of(ramp.trials());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    let mut put = |text: String| {
        svg.push_str(&text);
        svg.push('\n');
    };
    put(words(WIDTH / 2.0, 22.0, "middle", &escaped(title)));
    grid(&scale, &mut put);
    if found > 0 {
        let x = scale.x(found as f64);
        let (top, bottom) = (MARGIN.1, HEIGHT - MARGIN.3);
        put(format!(
            "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#2a7\" stroke-width=\"2\" stroke-dasharray=\"5 4\"/>"
        ));
        let (side, anchor) = if x < WIDTH / 2.0 { (6.0, "start") } else { (-6.0, "end") };
        put(words(x + side, top + 14.0, anchor, &format!("no loss up to {}", rate(found as f64))));
    }
    for trial in ramp.trials() {
        let (x, y) = (scale.x(trial.arrived_per_second), scale.y(lost_part(trial)));
        let colour = if lost_part(trial) > 0.0 { "#c33" } else { "#2a7" };
        put(format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{colour}\"/>"));
    }
    svg.push_str("</svg>\n");
    svg
}

fn grid(scale: &Scale, put: &mut impl FnMut(String)) {
    let (left, top, right, bottom) = (MARGIN.0, MARGIN.1, WIDTH - MARGIN.2, HEIGHT - MARGIN.3);
    for line in 0..=LINES {
        let part = f64::from(line) / f64::from(LINES);
        let (x, y) = (scale.x(part * scale.fastest), scale.y(part * scale.most_lost));
        put(format!("<path d=\"M{left} {y:.1}H{right}M{x:.1} {top}V{bottom}\" stroke=\"#ddd\"/>"));
        put(words(left - 8.0, y + 4.0, "end", &format!("{:.2} %", 100.0 * part * scale.most_lost)));
        put(words(x, bottom + 18.0, "middle", &rate(part * scale.fastest)));
    }
    put(words(left.midpoint(right), HEIGHT - 12.0, "middle", "frames a second that arrived"));
    put(words(left, top - 8.0, "start", "lost"));
}

struct Scale {
    fastest: f64,
    most_lost: f64,
}

impl Scale {
    fn of(trials: &[Trial]) -> Self {
        let most = |value: fn(&Trial) -> f64| trials.iter().map(value).fold(0.0, f64::max);
        let most_lost = most(lost_part);
        Self {
            fastest: round_above(most(|trial| trial.arrived_per_second).max(1.0)),
            // Where nothing was lost any scale will do.
            most_lost: if most_lost > 0.0 { round_above(most_lost) } else { 0.01 },
        }
    }

    fn x(&self, rate: f64) -> f64 {
        MARGIN.0 + rate / self.fastest * (WIDTH - MARGIN.0 - MARGIN.2)
    }

    fn y(&self, lost: f64) -> f64 {
        HEIGHT - MARGIN.3 - lost / self.most_lost * (HEIGHT - MARGIN.1 - MARGIN.3)
    }
}

/// The next of 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10 times a power of ten: so that a fifth of it is a round number.
fn round_above(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5];
    steps.into_iter().map(|step| step * power).find(|round| *round >= value).unwrap_or(10.0 * power)
}

/// Of what arrived.
fn lost_part(trial: &Trial) -> f64 {
    let account = &trial.account;
    let lost = account.probe.lost_packets() + account.unseen() + account.unexplained() + account.missing();
    lost as f64 / account.arrived.max(1) as f64
}

/// `1.25 M`, `830 k`.
fn rate(frames: f64) -> String {
    if frames >= 1e6 { format!("{:.2} M", frames / 1e6) } else { format!("{:.0} k", frames / 1e3) }
}

fn words(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        // Writing to a String cannot fail.
        let _ = match letter {
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '&' => out.write_str("&amp;"),
            letter => out.write_char(letter),
        };
    }
    out
}
