//! A screen as a picture, kept in docs/screens.

use std::fs;
use std::path::Path;

use anstyle_svg::{Palette, Term};
use regex::Regex;

/// Colours that can be read on the picture's own ground, which stands out from a light page and a dark one.
const PALETTE: [u32; 8] =
    [0x3b_42_4d, 0xff_7b_72, 0x5c_d6_72, 0xe5_b5_4b, 0x79_b8_ff, 0xd2_a8_ff, 0x56_d4_dd, 0xc9_d1_d9];
const INK: u32 = 0xd8_de_e6;
const GROUND: u32 = 0x1e_22_29;

/// Compares the picture with the kept one, or writes it where `SNAPSHOTS=overwrite` asks for that.
///
/// # Panics
///
/// When a kept picture shows something else, beside what differs with every run and machine.
pub(crate) fn keep(name: &str, screen: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/screens").join(format!("{name}.svg"));
    let picture = draw(screen);
    if std::env::var("SNAPSHOTS").is_ok_and(|wish| wish == "overwrite") {
        return fs::write(&file, picture).expect("the picture is written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    let (was, is) = (essence(&kept), essence(&picture));
    let gone: Vec<_> = was.iter().filter(|line| !is.contains(line)).collect();
    let come: Vec<_> = is.iter().filter(|line| !was.contains(line)).collect();
    assert!(
        was == is,
        "docs/screens/{name}.svg is not what a run shows\n  has:   {gone:#?}\n  shows: {come:#?}\n\
         hint: `cargo xtask screens` makes the pictures anew"
    );
}

fn draw(screen: &str) -> String {
    let colour = |rgb: u32| {
        let [_, red, green, blue] = rgb.to_be_bytes();
        anstyle::RgbColor(red, green, blue)
    };
    let mut palette = [colour(INK); 16];
    for (index, rgb) in PALETTE.into_iter().enumerate() {
        palette[index] = colour(rgb);
        palette[index + 8] = colour(rgb);
    }
    let term = Term::new().palette(Palette(palette));
    term.fg_color(colour(INK).into()).bg_color(colour(GROUND).into()).render_svg(screen)
}

/// The lines of a picture in any order, without what differs from run to run and from machine to machine: images are
/// built side by side, and engines have versions.
fn essence(picture: &str) -> Vec<String> {
    let varies = [
        r#" y="\d+px""#,
        "sha256:[0-9a-f]+",
        // What a long digest leaves for the next line.
        "<tspan>[0-9a-f]+</tspan>",
        r"\d+ requests, \d+",
        // What an engine says of itself, and manifests whose size is that of a time.
        "(Engine|CLI|daemon|size ).*",
        // The stage that a build was seen in.
        r"\d+s +(building|looking|smoke).*",
        r"\d of \d images done.*",
    ];
    let varies = Regex::new(&varies.join("|")).expect("an expression");
    let mut lines: Vec<String> =
        picture.lines().map(|line| varies.replace_all(line, "").into_owned()).collect();
    lines.sort();
    lines
}
