//! A text as a QR code, on a terminal and as a PNG image.
//!
//! Links are in letters that QR codes pack tightly (alphanumeric mode: two in 11 bits), so the longest ticket is
//! version 6 at error correction L: with its quiet zone of 2 it fits a terminal of 80 columns and 24 lines.

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use qrcode::{Color, EcLevel, QrCode};

/// Light modules around the code on a terminal. The standard asks for 4; two are enough for cameras and fit 24 lines.
const QUIET_TERMINAL: usize = 2;
/// Light modules around the code in an image (ISO/IEC 18004, §6.3.8).
const QUIET_IMAGE: usize = 4;
/// Pixels a module in an image: a version 6 code is 392 pixels wide.
const PIXELS: usize = 8;

/// How a code is drawn on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawing {
    /// Two modules a character, black on white whatever the terminal's theme.
    Colored,
    /// Two modules a character without escapes: light modules are drawn, which suits dark terminals.
    Plain,
    /// One module on two characters, in ASCII alone: dark modules are drawn.
    Ascii,
}

/// The text is too long for any code, or the image cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum QrError {
    /// Too long.
    #[error("the text does not fit a QR code: {0}")]
    Code(#[from] qrcode::types::QrError),
    /// The image encoder failed.
    #[error("the image cannot be made: {0}")]
    Image(#[from] image::ImageError),
}

/// The modules of a code.
pub struct Qr {
    side: usize,
    dark: Vec<bool>,
}

impl Qr {
    /// The smallest code at level L. Links are read in either case, so the text is put in upper case.
    ///
    /// # Errors
    /// A text over about 4,000 characters.
    pub fn new(text: &str) -> Result<Self, QrError> {
        let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L)?;
        let side = code.width();
        Ok(Self { side, dark: code.into_colors().into_iter().map(|color| color == Color::Dark).collect() })
    }

    /// Lines for a terminal.
    pub fn draw(&self, drawing: Drawing) -> Vec<String> {
        let side = self.side + 2 * QUIET_TERMINAL;
        let dark = |x, y| self.dark_at(x, y, QUIET_TERMINAL);
        if drawing == Drawing::Ascii {
            let line = |y| (0..side).map(|x| if dark(x, y) { "##" } else { "  " }).collect();
            return (0..side).map(line).collect();
        }
        let line = |y| {
            let cells = (0..side).map(|x| match (dark(x, y), dark(x, y + 1)) {
                // On black ink and white ground the dark half is drawn, else the light half.
                (upper, lower) if drawing == Drawing::Colored => half_block(upper, lower),
                (upper, lower) => half_block(!upper, !lower && y + 1 < side),
            });
            let cells: String = cells.collect();
            // Colour 256 exactly black and white: themes may paint the first sixteen otherwise.
            if drawing == Drawing::Colored { format!("\x1b[38;5;16;48;5;231m{cells}\x1b[0m") } else { cells }
        };
        (0..side).step_by(2).map(line).collect()
    }

    /// A PNG image, black on white.
    ///
    /// # Errors
    /// The encoder's.
    pub fn png(&self) -> Result<Vec<u8>, QrError> {
        let side = (self.side + 2 * QUIET_IMAGE) * PIXELS;
        let mut pixels = Vec::with_capacity(side * side);
        for y in 0..side {
            pixels.extend((0..side).map(|x| match self.dark_at(x / PIXELS, y / PIXELS, QUIET_IMAGE) {
                true => 0u8,
                false => 255,
            }));
        }
        let mut png = Vec::new();
        PngEncoder::new(&mut png).write_image(&pixels, side as u32, side as u32, ExtendedColorType::L8)?;
        Ok(png)
    }

    /// Whether the module is dark, counted from the corner of a quiet zone; all outside is light.
    fn dark_at(&self, x: usize, y: usize, quiet: usize) -> bool {
        let (Some(x), Some(y)) = (x.checked_sub(quiet), y.checked_sub(quiet)) else { return false };
        x < self.side && self.dark.get(y * self.side + x).copied().unwrap_or(false)
    }
}

fn half_block(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ids::base32;

    /// The longest ticket: 117 bytes.
    fn longest() -> String {
        let bytes: Vec<u8> = (0..117u8).map(|i| i.wrapping_mul(151)).collect();
        format!("moim:1:{}", base32(&bytes))
    }

    fn read(side: usize, mut light: impl FnMut(usize, usize) -> bool) -> String {
        let mut image =
            rqrr::PreparedImage::prepare_from_greyscale(side, side, |x, y| if light(x, y) { 255 } else { 0 });
        image.detect_grids().first().expect("a code").decode().expect("a readable code").1
    }

    /// The terminal's cells as a picture of 4 × 4 pixels a module.
    fn read_cells(lines: &[String], ink_is_dark: bool) -> String {
        let cells: Vec<Vec<char>> = lines
            .iter()
            .map(|line| line.trim_start_matches("\x1b[38;5;16;48;5;231m").trim_end_matches("\x1b[0m").chars().collect())
            .collect();
        read(cells[0].len() * 4, |x, y| {
            let Some(cell) = cells.get(y / 8).and_then(|row| row.get(x / 4)) else { return true };
            let ink = match cell {
                '█' => true,
                '▀' => y % 8 < 4,
                '▄' => y % 8 >= 4,
                _ => false,
            };
            ink != ink_is_dark
        })
    }

    #[test]
    fn the_longest_ticket_fits_80_by_24_and_reads_back() {
        let link = longest();
        assert_eq!(link.len(), 195);
        let qr = Qr::new(&link).unwrap();
        assert_eq!(qr.side, 41, "version 6");
        for (drawing, ink_is_dark) in [(Drawing::Colored, true), (Drawing::Plain, false)] {
            let lines = qr.draw(drawing);
            assert_eq!(lines.len(), 23);
            assert_eq!(read_cells(&lines, ink_is_dark), link.to_uppercase(), "{drawing:?}");
        }
        assert!(qr.draw(Drawing::Colored).iter().all(|line| line.starts_with("\x1b[38;5;16;48;5;231m")));
        assert!(qr.draw(Drawing::Plain).iter().all(|line| line.chars().count() == 45));
    }

    #[test]
    fn ascii_is_ascii_and_reads_back() {
        let lines = Qr::new(&longest()).unwrap().draw(Drawing::Ascii);
        assert!(lines.iter().all(|line| line.bytes().all(|b| b == b'#' || b == b' ')));
        let text = read(lines.len() * 4, |x, y| lines[y / 4].as_bytes()[x / 4 * 2] == b' ');
        assert_eq!(text, longest().to_uppercase());
    }

    #[test]
    fn the_image_reads_back() {
        let link = longest();
        let image = image::load_from_memory(&Qr::new(&link).unwrap().png().unwrap()).unwrap().into_luma8();
        let text = read(image.width() as usize, |x, y| image.get_pixel(x as u32, y as u32).0[0] > 127);
        assert_eq!(text, link.to_uppercase());
    }

    #[test]
    fn a_text_that_no_code_holds_is_refused() {
        assert!(Qr::new(&"a".repeat(5_000)).is_err());
    }
}
