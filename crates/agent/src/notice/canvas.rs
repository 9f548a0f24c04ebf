//! A picture in memory, and the few shapes that a card is made of.

/// A rectangle in pixels; it may reach beyond what it is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Area {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

impl Area {
    pub(super) fn new(x: i32, y: i32, width: i32, height: i32) -> Self {
        Self { x, y, width: width.max(0), height: height.max(0) }
    }

    pub(super) fn holds(&self, x: i32, y: i32) -> bool {
        (self.x..self.x + self.width).contains(&x) && (self.y..self.y + self.height).contains(&y)
    }

    /// The same with so many pixels more on each side.
    pub(super) fn grown(&self, by: i32) -> Self {
        Self::new(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)
    }

    /// What it shares with another.
    pub(super) fn within(&self, other: &Self) -> Self {
        let (left, top) = (self.x.max(other.x), self.y.max(other.y));
        let right = (self.x + self.width).min(other.x + other.width);
        let bottom = (self.y + self.height).min(other.y + other.height);
        Self::new(left, top, right - left, bottom - top)
    }

    pub(super) fn middle(&self) -> (i32, i32) {
        (self.x + self.width / 2, self.y + self.height / 2)
    }
}

/// Pixels as `0xRRGGBB`, row by row.
pub(super) struct Canvas {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) pixels: Vec<u32>,
}

impl Canvas {
    pub(super) fn new(width: i32, height: i32, colour: u32) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, pixels: vec![colour; width as usize * height as usize] }
    }

    pub(super) fn whole(&self) -> Area {
        Area::new(0, 0, self.width, self.height)
    }

    pub(super) fn row(&self, y: i32) -> &[u32] {
        let start = y as usize * self.width as usize;
        &self.pixels[start..start + self.width as usize]
    }

    pub(super) fn fill(&mut self, area: Area, colour: u32) {
        let area = area.within(&self.whole());
        if area.width == 0 {
            return;
        }
        for y in area.y..area.y + area.height {
            let start = y as usize * self.width as usize + area.x as usize;
            self.pixels[start..start + area.width as usize].fill(colour);
        }
    }

    /// Fills a rectangle with round corners.
    pub(super) fn round(&mut self, area: Area, radius: i32, colour: u32) {
        let radius = radius.min(area.width / 2).min(area.height / 2).max(0);
        self.fill(Area::new(area.x, area.y + radius, area.width, area.height - 2 * radius), colour);
        let (left, right) = (area.x + radius, area.x + area.width - radius);
        for inset in 0..radius {
            let away = (radius - inset) as f32 - 0.5;
            for y in [area.y + inset, area.y + area.height - 1 - inset] {
                self.fill(Area::new(left, y, right - left, 1), colour);
                for step in 0..radius {
                    let beside = (radius - step) as f32 - 0.5;
                    let cover = radius as f32 - away.hypot(beside) + 0.5;
                    let alpha = (cover.clamp(0.0, 1.0) * 255.0) as u8;
                    self.blend(area.x + step, y, colour, alpha);
                    self.blend(area.x + area.width - 1 - step, y, colour, alpha);
                }
            }
        }
    }

    /// Lays a colour over one pixel, as strongly as `alpha` says; nothing happens outside.
    pub(super) fn blend(&mut self, x: i32, y: i32, colour: u32, alpha: u8) {
        if alpha == 0 || !self.whole().holds(x, y) {
            return;
        }
        let pixel = &mut self.pixels[y as usize * self.width as usize + x as usize];
        let alpha = u32::from(alpha);
        let mix = |shift: u32| {
            let (over, under) = (colour >> shift & 0xff, *pixel >> shift & 0xff);
            ((over * alpha + under * (255 - alpha) + 127) / 255) << shift
        };
        *pixel = mix(16) | mix(8) | mix(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stay_inside_and_are_round() {
        let mut canvas = Canvas::new(20, 10, 0);
        canvas.round(Area::new(-5, -5, 100, 100), 8, 0xff_ffff);
        assert!(canvas.pixels.iter().all(|&pixel| pixel == 0xff_ffff));
        let mut canvas = Canvas::new(21, 21, 0);
        canvas.round(canvas.whole(), 50, 0xff_0000);
        assert_eq!((canvas.row(0)[0], canvas.row(20)[20], canvas.row(10)[10]), (0, 0, 0xff_0000));
        canvas.fill(Area::new(30, -3, 4, 40), 1);
        canvas.blend(-1, 0, 1, 255);
        canvas.blend(0, 0, 0xff_ff00, 128);
        assert_eq!(canvas.row(0)[0], 0x80_8000);
    }
}
