//! Cost against size: how long a new list takes by its number of platforms, for each tool.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::reconcile::{Row, Work};

const SIZE: (u32, u32) = (760, 440);
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(86, 180, 233), RGBColor(213, 94, 0), RGBColor(0, 158, 115)];

/// The plot as SVG; `None` when fewer than two sizes were measured.
pub(crate) fn platforms(rows: &[Row]) -> Result<Option<String>> {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.work == Work::New).collect();
    if rows.len() < 2 {
        return Ok(None);
    }
    let mut lines: BTreeMap<(usize, &str), Vec<(f64, f64)>> = BTreeMap::new();
    for row in &rows {
        let own = [("manifests, cold cache", row.cold), ("manifests, warm cache", row.warm)];
        for (order, (name, sample)) in own.iter().chain(&row.peers).enumerate() {
            lines.entry((order, *name)).or_default().push((row.platforms as f64, sample.seconds));
        }
    }
    let points = || lines.values().flatten();
    let most = points().map(|(platforms, _)| *platforms).fold(1.0, f64::max);
    let longest = points().map(|(_, seconds)| *seconds).fold(0.1, f64::max);

    let mut svg = String::new();
    draw(&mut svg, &lines, most, longest).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    Ok(Some(svg))
}

fn draw(
    svg: &mut String,
    lines: &BTreeMap<(usize, &str), Vec<(f64, f64)>>,
    most: f64,
    longest: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Publishing a new list, by its platforms", ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d((1.0..most * 1.1).log_scale(), (0.1..longest * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("platforms")
        .y_desc("seconds")
        .x_label_formatter(&|platforms| format!("{platforms:.0}"))
        .draw()?;
    for (((_, name), points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)).point_size(4))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}
