//! Convolution and pooling: operators with a sliding window.

use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::attributes::Attributes;
use crate::operators::{Error, Step, all, one, own, told};

/// How a window moves over feature maps.
#[derive(Debug, Clone)]
struct Window {
    /// Its sides, if stated.
    sides: Option<Vec<i64>>,
    strides: Option<Vec<i64>>,
    dilations: Option<Vec<i64>>,
    pads: Pads,
}

/// The padding of the feature maps.
#[derive(Debug, Clone)]
enum Pads {
    /// The padding before each side, then behind each side.
    Told(Vec<i64>),
    /// Pads so that the output has `ceil(side / stride)` places; an odd number pads more behind, or before.
    Same {
        before: bool,
    },
    None,
}

/// The window for maps with a known number of sides.
struct Fitted {
    sides: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    before: Vec<i64>,
    behind: Vec<i64>,
}

impl Window {
    fn read(a: &mut Attributes<'_>) -> Result<Self> {
        let told = a.ints("pads");
        let pads = match a.text("auto_pad").as_deref() {
            None | Some("NOTSET" | "") => told.map_or(Pads::None, Pads::Told),
            Some("VALID") => Pads::None,
            Some("SAME_UPPER") => Pads::Same { before: false },
            Some("SAME_LOWER") => Pads::Same { before: true },
            Some(other) => return Err(Failure::new(format!("its auto_pad `{other}` is not supported"))),
        };
        let window = Self {
            sides: a.ints("kernel_shape"),
            strides: a.ints("strides"),
            dilations: a.ints("dilations"),
            pads,
        };
        let numbers = [&window.sides, &window.strides, &window.dilations];
        if numbers.into_iter().flatten().flatten().any(|n| *n < 1 || *n > i64::from(i32::MAX)) {
            return Err(Failure::new("a side, stride or dilation of its window is not from 1 to 2147483647"));
        }
        if matches!(&window.pads, Pads::Told(pads) if pads.iter().any(|n| *n < 0 || *n > i64::from(i32::MAX)))
        {
            return Err(Failure::new("its pads are negative or enormous"));
        }
        Ok(window)
    }

    /// The window for maps of this shape; `sides` is the default size of the window.
    fn fit(&self, maps: &[i64], sides: Option<&[i64]>) -> Result<Fitted, Error> {
        let n = maps.len().checked_sub(2).filter(|n| (1..=3).contains(n));
        let n = n.ok_or_else(|| told(format!("maps of the shape {maps:?} have not 1 to 3 sides")))?;
        let sides = self.sides.as_deref().or(sides).unwrap_or_default().to_vec();
        let strides = self.strides.clone().unwrap_or_else(|| vec![1; n]);
        let dilations = self.dilations.clone().unwrap_or_else(|| vec![1; n]);
        let (before, behind) = match &self.pads {
            Pads::None => (vec![0; n], vec![0; n]),
            Pads::Told(pads) if pads.len() == 2 * n => (pads[..n].to_vec(), pads[n..].to_vec()),
            Pads::Told(pads) => return Err(told(format!("its pads are {} numbers", pads.len()))),
            Pads::Same { before } => {
                let short = |k: usize| {
                    let places = (maps[k + 2] + strides.get(k)? - 1) / strides.get(k)?;
                    let seen = (places - 1) * strides.get(k)? + (sides.get(k)? - 1) * dilations.get(k)? + 1;
                    Some((seen - maps[k + 2]).max(0))
                };
                let short: Option<Vec<i64>> = (0..n).map(short).collect();
                let short =
                    short.ok_or_else(|| told("its window has another number of sides than the maps"))?;
                let less: Vec<i64> = short.iter().map(|n| n / 2).collect();
                let more = short.iter().map(|n| n - n / 2).collect();
                if *before { (more, less) } else { (less, more) }
            }
        };
        if [&sides, &strides, &dilations].iter().any(|v| v.len() != n) {
            return Err(told("its window has another number of sides than the maps"));
        }
        Ok(Fitted { sides, strides, dilations, before, behind })
    }
}

impl Fitted {
    fn is_even(&self) -> bool {
        self.before == self.behind
    }

    /// The maps with all padding.
    fn padded(&self, x: &Tensor, value: f64) -> Result<Tensor, Error> {
        if self.before.iter().chain(&self.behind).all(|n| *n == 0) {
            return Ok(x.shallow_clone());
        }
        // libtorch takes the last side first.
        let pads: Vec<i64> =
            (0..self.sides.len()).rev().flat_map(|k| [self.before[k], self.behind[k]]).collect();
        Ok(x.f_pad(pads, "constant", value)?)
    }
}

/// `Conv` (forward) and `ConvTranspose`.
pub(crate) fn convolution(a: &mut Attributes<'_>, transposed: bool) -> Result<Step> {
    let (window, groups) = (Window::read(a)?, a.int("group").unwrap_or(1));
    let extra = if transposed { a.ints("output_padding") } else { None };
    if transposed {
        // `output_shape` gives the size of the result in place of the padding.
        if a.ints("output_shape").is_some() || matches!(window.pads, Pads::Same { .. }) {
            return Err(Failure::new("pads that follow from the size of the result are not supported"));
        }
    }
    Ok(Box::new(move |inputs| {
        let (x, weight, bias) = (own(inputs, 0)?, own(inputs, 1)?, one(inputs, 2));
        let shape = weight.size();
        let fit = window.fit(&x.size(), shape.get(2..))?;
        if transposed && !fit.is_even() {
            return Err(told("pads that differ before and behind are not supported"));
        }
        let none = vec![0; fit.sides.len()];
        let (x, pads) =
            if fit.is_even() { (x.shallow_clone(), &fit.before) } else { (fit.padded(x, 0.0)?, &none) };
        let extra = extra.as_ref().unwrap_or(&none);
        let (strides, dilations) = (&fit.strides, &fit.dilations);
        all([x.f_convolution(weight, bias, strides, pads, dilations, transposed, extra, groups)?])
    }))
}

/// `MaxPool` without the indices of the maxima.
pub(crate) fn max_pool(a: &mut Attributes<'_>) -> Result<Step> {
    let (window, ceil) = (Window::read(a)?, a.flag("ceil_mode"));
    if a.flag("storage_order") {
        return Err(Failure::new("storage by columns is not supported"));
    }
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let fit = window.fit(&x.size(), None)?;
        // libtorch pads by at most half a window.
        let small = fit.before.iter().zip(&fit.sides).all(|(pad, side)| *pad <= side / 2);
        let none = vec![0; fit.sides.len()];
        let (x, pads) = if fit.is_even() && small {
            (x.shallow_clone(), &fit.before)
        } else {
            (fit.padded(x, f64::NEG_INFINITY)?, &none)
        };
        let (sides, strides, dilations) = (&fit.sides, &fit.strides, &fit.dilations);
        all([match sides.len() {
            1 => x.f_max_pool1d(sides, strides, pads, dilations, ceil)?,
            2 => x.f_max_pool2d(sides, strides, pads, dilations, ceil)?,
            _ => x.f_max_pool3d(sides, strides, pads, dilations, ceil)?,
        }])
    }))
}

/// `AveragePool`.
pub(crate) fn average_pool(a: &mut Attributes<'_>) -> Result<Step> {
    let (window, ceil, whole) = (Window::read(a)?, a.flag("ceil_mode"), a.flag("count_include_pad"));
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let fit = window.fit(&x.size(), None)?;
        let small = fit.before.iter().zip(&fit.sides).all(|(pad, side)| *pad <= side / 2);
        if fit.dilations.iter().any(|d| *d != 1) || !fit.is_even() || !small {
            return Err(told("pads that differ or are large, and dilations, are not supported"));
        }
        let (sides, strides, pads) = (&fit.sides, &fit.strides, &fit.before);
        all([match sides.len() {
            1 => x.f_avg_pool1d(sides, strides, pads, ceil, whole)?,
            2 => x.f_avg_pool2d(sides, strides, pads, ceil, whole, None::<i64>)?,
            _ => x.f_avg_pool3d(sides, strides, pads, ceil, whole, None::<i64>)?,
        }])
    }))
}
