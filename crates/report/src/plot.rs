//! Plot primitives: a drawing as SVG in the placeholder colours of [`crate::colour`], and its axes.

use plotters::{
    coord::{
        Shift,
        ranged1d::{AsRangedCoord, Ranged, ValueFormatter},
    },
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    colour::Role,
    html::{Axis, Dot, gathered},
};

const BROAD: (u32, u32) = (560, 380);

/// A drawing as text.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The outcome of a painter.
pub type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A drawing of so many pixels across and down, as SVG.
///
/// # Panics
/// The painter returns an error: writing to a string has none.
pub fn drawing(size: (u32, u32), paint: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        paint(&area).and_then(|()| area.present()).expect("a string takes every drawing");
    }
    svg
}

/// The frame of a drawing: what the axes are called, and how their numbers read.
#[derive(Clone, Copy)]
pub struct Axes<'a> {
    /// Name of the horizontal axis.
    pub x: &'a str,
    /// Name of the vertical axis.
    pub y: &'a str,
    /// Labels on the horizontal axis, about.
    pub x_labels: usize,
    /// Text of a number on the horizontal axis.
    pub x_text: &'a dyn Fn(&f64) -> String,
    /// Text of a number on the vertical axis.
    pub y_text: &'a dyn Fn(&f64) -> String,
}

/// A chart on a drawing.
pub type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;

impl Axes<'_> {
    /// Draws the frame, the grid and the labels, and returns the chart to draw on.
    ///
    /// # Errors
    /// Errors of the drawing area.
    pub fn draw<'a, 'b, X, Y>(
        &self,
        area: &'a Area<'b>,
        x: X,
        y: Y,
    ) -> Result<
        Chart<'a, 'b, X::CoordDescType, Y::CoordDescType>,
        DrawingAreaErrorKind<std::io::Error>,
    >
    where
        X: AsRangedCoord<Value = f64>,
        Y: AsRangedCoord<Value = f64>,
        X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let ink = Role::Ink.placeholder();
        let text = |size: u32| TextStyle::from(("sans-serif", size).into_font()).color(&ink);
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(20)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_labels(self.x_labels)
            .y_labels(6)
            .x_label_formatter(self.x_text)
            .y_label_formatter(self.y_text)
            .axis_style(ink)
            .light_line_style(TRANSPARENT)
            .bold_line_style(Role::Grid.placeholder())
            .label_style(text(15))
            .axis_desc_style(text(16))
            .draw()?;
        Ok(chart)
    }
}

/// Points on two axes from 0 on, each with its number; points that nearly share a place are one
/// dot.
#[must_use]
pub fn scatter(dots: &[Dot], x: Axis<'_>, y: Axis<'_>) -> String {
    let top = |axis: &Axis<'_>, of: fn(&Dot) -> f64| {
        let most = dots.iter().map(of).fold(axis.least_top, f64::max);
        if most > 0.0 { most * 1.08 } else { 1.0 }
    };
    let (right, high) = (top(&x, |dot| dot.x), top(&y, |dot| dot.y));
    drawing(BROAD, |area| {
        let axes = Axes { x: x.name, y: y.name, x_labels: 6, x_text: x.text, y_text: y.text };
        let mut chart = axes.draw(area, -0.03 * right..right, -0.03 * high..high)?;
        let ink = Role::Ink.placeholder();
        let style = TextStyle::from(("sans-serif", 14).into_font()).color(&ink);
        // As fine as labels that do not lie on each other.
        for (x, y, marked, numbers) in gathered(dots, (right / 12.0, high / 20.0)) {
            let (role, size) = if marked { (Role::Attack, 7) } else { (Role::Benign, 5) };
            chart.draw_series([Circle::new((x, y), size, role.placeholder().filled())])?;
            // Within the frame: on the right half to the left of its dot.
            let (shift, anchor) =
                if x > 0.6 * right { (-0.018, HPos::Right) } else { (0.018, HPos::Left) };
            let style = style.pos(Pos::new(anchor, VPos::Center));
            chart.draw_series([Text::new(numbers, (x + shift * right, y), style)])?;
        }
        Ok(())
    })
}
