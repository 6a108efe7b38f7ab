//! Operators that combine elements: normalisation, matrix products, means, resizing.

use lfs_network::functions;
use lfs_stage::{Failure, Result};
use tch::{Kind, TchError, Tensor};

use super::{Error, Step, all, one, own, place, told, told_or_given};
use crate::attributes::Attributes;

pub(crate) fn batch_norm(a: &mut Attributes<'_>) -> Result<Step> {
    let eps = a.float("epsilon").unwrap_or_else(|| f64::from(1e-5_f32));
    a.ignore("momentum").ignore("is_test");
    if a.flag("training_mode") || a.int("spatial") == Some(0) {
        return Err(Failure::new("a norm that learns, or one for each place, is not supported"));
    }
    Ok(Box::new(move |inputs| {
        let (x, scale, shift) = (own(inputs, 0)?, own(inputs, 1)?, own(inputs, 2)?);
        let (mean, variance) = (own(inputs, 3)?, own(inputs, 4)?);
        all([x.f_batch_norm(Some(scale), Some(shift), Some(mean), Some(variance), false, 0.0, eps, false)?])
    }))
}

pub(crate) fn gemm(a: &mut Attributes<'_>) -> Result<Step> {
    a.ignore("broadcast");
    let (alpha, beta) = (a.float("alpha").unwrap_or(1.0), a.float("beta").unwrap_or(1.0));
    let turned = [a.flag("transA"), a.flag("transB")];
    Ok(Box::new(move |inputs| {
        let side = |k: usize| -> Result<Tensor, Error> {
            let x = own(inputs, k)?;
            Ok(if turned[k] { x.f_transpose(0, 1)? } else { x.shallow_clone() })
        };
        let mut y = product(&side(0)?, &side(1)?)?;
        if alpha != 1.0 {
            y = y.f_mul_scalar(alpha)?;
        }
        all([match one(inputs, 2) {
            None => y,
            Some(more) if beta == 1.0 => y.f_add(more)?,
            Some(more) => y.f_add(&more.f_mul_scalar(beta)?)?,
        }])
    }))
}

/// A product of matrices, with the same bits on every processor.
fn product(x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    let fits = x.dim() == 2 && y.dim() == 2 && x.size()[1] == y.size()[0];
    // libtorch computes or refuses all other cases.
    let fits = fits && x.kind() == Kind::Float && y.kind() == Kind::Float;
    if fits { Ok(functions::linear(x, &y.f_transpose(0, 1)?)) } else { x.f_matmul(y) }
}

pub(crate) fn mat_mul() -> Result<Step> {
    super::plain::pair(product)
}

pub(crate) fn global_average_pool() -> Result<Step> {
    Ok(Box::new(|inputs| {
        let x = own(inputs, 0)?;
        let sides: Vec<i64> = (2..x.dim() as i64).collect();
        if sides.is_empty() {
            return Err(told("its input has no maps"));
        }
        all([x.f_mean_dim(sides, true, None::<Kind>)?])
    }))
}

pub(crate) fn reduce_mean(a: &mut Attributes<'_>) -> Result<Step> {
    let (axes, keep) = (a.ints("axes"), a.int("keepdims").unwrap_or(1) != 0);
    let nothing = a.flag("noop_with_empty_axes");
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let axes = told_or_given(axes.as_ref(), inputs, 1)?.unwrap_or_default();
        if axes.is_empty() && nothing {
            return all([x.shallow_clone()]);
        }
        let axes = if axes.is_empty() { (0..x.dim() as i64).collect() } else { axes };
        all([x.f_mean_dim(axes, keep, None::<Kind>)?])
    }))
}

/// Before version 13, softmax is over all axes from the given one on.
pub(crate) fn softmax(a: &mut Attributes<'_>) -> Result<Step> {
    let version = a.version;
    let axis = a.int("axis").unwrap_or(if version < 13 { 1 } else { -1 });
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        if version >= 13 {
            return all([x.f_softmax(axis, None::<Kind>)?]);
        }
        let shape = x.size();
        let from = place(axis, shape.len())?;
        let rows = shape[..from].iter().product::<i64>();
        let columns = shape[from..].iter().product::<i64>();
        all([x.f_reshape([rows, columns])?.f_softmax(1, None::<Kind>)?.f_reshape(shape)?])
    }))
}

/// How feature maps are resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The pixel at `floor(i / scale)`.
    Nearest,
    /// The same, but only if each side grows by a whole factor.
    NearestByWholeFactors,
    Linear {
        corners: bool,
    },
    /// Linear as `Linear` without corners, but only if no side becomes one pixel.
    LinearOfSeveral,
}

/// `Upsample` and `Resize` of the last two axes.
pub(crate) fn resize(a: &mut Attributes<'_>) -> Result<Step> {
    let version = a.version;
    a.ignore("cubic_coeff_a").ignore("exclude_outside").ignore("extrapolation_value");
    let mode = a.text("mode").unwrap_or_else(|| "nearest".to_owned());
    let old = version < 11;
    let places = a.text("coordinate_transformation_mode");
    let places = places.as_deref().unwrap_or(if old { "asymmetric" } else { "half_pixel" });
    let rounding = a.text("nearest_mode").unwrap_or_else(|| "round_prefer_floor".to_owned());
    let constant = a.floats("scales");
    if a.flag("antialias")
        || a.ints("axes").is_some()
        || a.text("keep_aspect_ratio_policy").is_some_and(|p| p != "stretch")
    {
        return Err(Failure::new("antialiasing, axes and kept ratios are not supported"));
    }
    let way = match (mode.as_str(), places) {
        ("nearest", "asymmetric") if old || rounding == "floor" => Way::Nearest,
        ("nearest", "asymmetric" | "half_pixel") if rounding != "ceil" && rounding != "round_prefer_ceil" => {
            Way::NearestByWholeFactors
        }
        // The two modes differ if a side becomes one pixel.
        ("linear", "half_pixel") => Way::Linear { corners: false },
        ("linear", "pytorch_half_pixel") => Way::LinearOfSeveral,
        ("linear", "align_corners") => Way::Linear { corners: true },
        _ => {
            return Err(Failure::new(format!(
                "the mode `{mode}` with places `{places}` and rounding `{rounding}` is not supported"
            )));
        }
    };
    // In newer versions the second input is a region.
    let scales_at = if old { 1 } else { 2 };
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let shape = x.size();
        if shape.len() != 4 || shape.contains(&0) {
            return Err(told(format!("maps of the shape {shape:?} are not resized here")));
        }
        let scales = match (&constant, one(inputs, scales_at)) {
            (Some(told), _) => Some(told.clone()),
            (None, Some(given)) if given.numel() > 0 => {
                let flat = given.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?.f_flatten(0, -1)?;
                Some(Vec::<f64>::try_from(&flat)?)
            }
            _ => None,
        };
        let sizes = match (&scales, one(inputs, 3)) {
            (Some(scales), _) if scales.len() == 4 => {
                shape.iter().zip(scales).map(|(n, by)| (*n as f64 * by).floor() as i64).collect()
            }
            (None, Some(sizes)) => super::whole(sizes)?,
            _ => return Err(told("it gives neither four scales nor sizes")),
        };
        if sizes.len() != 4 || sizes[..2] != shape[..2] || sizes[2..].iter().any(|n| *n < 1) {
            return Err(told(format!("from {shape:?} to {sizes:?} is not resized here")));
        }
        crate::tensor::count(&sizes)?;
        let wide = &sizes[2..];
        // If scales are given, they determine which pixel is read, not the sizes.
        let exact = |k: usize| scales.as_ref().is_none_or(|s| s[k] * shape[k] as f64 == sizes[k] as f64);
        if !(exact(2) && exact(3)) {
            return Err(told(format!("scales {scales:?} of {shape:?} give no whole sizes")));
        }
        match way {
            Way::NearestByWholeFactors if (2..4).any(|k| sizes[k] % shape[k] != 0) => {
                Err(told("the nearest pixel is supported for whole factors alone"))
            }
            // By whole factors, every rounding to the nearest repeats each pixel.
            Way::Nearest | Way::NearestByWholeFactors => all([x.f_upsample_nearest2d(wide, None, None)?]),
            Way::LinearOfSeveral if wide.contains(&1) => Err(told("it makes a side one pixel long")),
            Way::LinearOfSeveral => all([x.f_upsample_bilinear2d(wide, false, None, None)?]),
            Way::Linear { corners } => all([x.f_upsample_bilinear2d(wide, corners, None, None)?]),
        }
    }))
}
