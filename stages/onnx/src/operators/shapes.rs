//! Operators that move elements and compute shapes.

use lfs_stage::{Failure, Result};
use tch::{Kind, Tensor};

use super::{Error, Step, all, one, own, place, told, told_or_given, whole};
use crate::attributes::Attributes;
use crate::tensor;

pub(crate) fn concat(a: &mut Attributes<'_>) -> Result<Step> {
    let axis = a.int("axis").unwrap_or(1);
    Ok(Box::new(move |inputs| {
        let given: Vec<&Tensor> = inputs.iter().copied().flatten().collect();
        all([Tensor::f_cat(&given, axis)?])
    }))
}

pub(crate) fn constant_of_shape(a: &mut Attributes<'_>) -> Result<Step> {
    let value = a.tensor("value")?;
    let (value, kind) = match &value {
        None => (0.0, Kind::Float),
        Some(x) if x.numel() == 1 && x.kind() != Kind::Int64 => {
            (x.f_to_kind(Kind::Double).and_then(|x| x.f_double_value(&[0])).unwrap_or(0.0), x.kind())
        }
        Some(x) if x.numel() == 1 => (x.f_int64_value(&[0]).unwrap_or(0) as f64, Kind::Int64),
        Some(_) => return Err(Failure::new("its value is not one number")),
    };
    Ok(Box::new(move |inputs| {
        let shape = whole(own(inputs, 0)?)?;
        tensor::count(&shape)?;
        all([Tensor::f_full(shape, value, (kind, tch::Device::Cpu))?])
    }))
}

pub(crate) fn expand() -> Result<Step> {
    Ok(Box::new(|inputs| {
        let (x, to) = (own(inputs, 0)?, whole(own(inputs, 1)?)?);
        tensor::count(&to)?;
        // Either shape may be the longer one.
        let ones = Tensor::f_ones(to, (x.kind(), x.device()))?;
        let both = Tensor::f_broadcast_tensors(&[x, &ones])?;
        all(both.into_iter().take(1))
    }))
}

pub(crate) fn flatten(a: &mut Attributes<'_>) -> Result<Step> {
    let axis = a.int("axis").unwrap_or(1);
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let shape = x.size();
        let at = if axis == shape.len() as i64 { shape.len() } else { place(axis, shape.len())? };
        let rows = shape[..at].iter().product::<i64>();
        let columns = shape[at..].iter().product::<i64>();
        all([x.f_reshape([rows, columns])?])
    }))
}

pub(crate) fn gather(a: &mut Attributes<'_>) -> Result<Step> {
    let axis = a.int("axis").unwrap_or(0);
    Ok(Box::new(move |inputs| {
        let (x, which) = (own(inputs, 0)?, own(inputs, 1)?);
        let shape = x.size();
        let at = place(axis, shape.len())?;
        let side = shape[at];
        let mut places = whole(which)?;
        for place in &mut places {
            *place += if *place < 0 { side } else { 0 };
            if !(0..side).contains(place) {
                return Err(told(format!("there is no place {place} among {side}")));
            }
        }
        let places = Tensor::f_from_slice(&places)?.f_to_device(x.device())?;
        let to = [&shape[..at], &which.size(), &shape[at + 1..]].concat();
        all([x.f_index_select(at as i64, &places)?.f_reshape(to)?])
    }))
}

pub(crate) fn pad(a: &mut Attributes<'_>) -> Result<Step> {
    let mode = a.text("mode").unwrap_or_else(|| "constant".to_owned());
    let (pads, value) = (a.ints("pads"), a.float("value"));
    if mode != "constant" {
        return Err(Failure::new(format!("pads of the mode `{mode}` are not supported")));
    }
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let pads = told_or_given(pads.as_ref(), inputs, 1)?;
        let pads = pads.ok_or_else(|| told("its pads are missing"))?;
        let value = match (value, one(inputs, 2)) {
            (Some(value), _) => value,
            (None, Some(given)) if given.numel() == 1 => {
                given.f_to_kind(Kind::Double)?.f_flatten(0, -1)?.f_double_value(&[0])?
            }
            _ => 0.0,
        };
        let n = x.dim();
        if one(inputs, 3).is_some() || pads.len() != 2 * n {
            return Err(told("pads of some sides alone are not supported"));
        }
        let sides: Option<Vec<i64>> =
            (0..n).map(|k| x.size()[k].checked_add(pads[k])?.checked_add(pads[k + n])).collect();
        tensor::count(&sides.ok_or_else(|| told("its pads are enormous"))?)?;
        let order: Vec<i64> = (0..n).rev().flat_map(|k| [pads[k], pads[k + n]]).collect();
        all([x.f_pad(order, "constant", value)?])
    }))
}

pub(crate) fn reshape(a: &mut Attributes<'_>) -> Result<Step> {
    let (constant, zeros) = (a.ints("shape"), a.flag("allowzero"));
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let to = told_or_given(constant.as_ref(), inputs, 1)?;
        let mut to = to.ok_or_else(|| told("its shape is missing"))?;
        if !zeros {
            for (side, own) in to.iter_mut().zip(x.size()) {
                if *side == 0 {
                    *side = own;
                }
            }
        }
        all([x.f_reshape(to)?])
    }))
}

pub(crate) fn shape(a: &mut Attributes<'_>) -> Result<Step> {
    let (start, end) = (a.int("start").unwrap_or(0), a.int("end").unwrap_or(i64::MAX));
    Ok(Box::new(move |inputs| {
        let shape = own(inputs, 0)?.size();
        let n = shape.len() as i64;
        let at = |k: i64| (if k < 0 { k + n } else { k }).clamp(0, n) as usize;
        let (start, end) = (at(start), at(end));
        all([Tensor::f_from_slice(shape.get(start..end).unwrap_or_default())?])
    }))
}

/// Before version 10, starts, ends and axes are attributes.
pub(crate) fn slice(a: &mut Attributes<'_>) -> Result<Step> {
    let (starts, ends, axes) = (a.ints("starts"), a.ints("ends"), a.ints("axes"));
    Ok(Box::new(move |inputs| {
        let mut x = own(inputs, 0)?.shallow_clone();
        let given = |told: &Option<Vec<i64>>, k: usize| told_or_given(told.as_ref(), inputs, k);
        let missing = || told("its starts or ends are missing");
        let starts = given(&starts, 1)?.ok_or_else(missing)?;
        let ends = given(&ends, 2)?.ok_or_else(missing)?;
        let axes = given(&axes, 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = given(&None, 4)?.unwrap_or_else(|| vec![1; starts.len()]);
        if ends.len() != starts.len() || axes.len() != starts.len() || steps.len() != starts.len() {
            return Err(told("its starts, ends, axes and steps are not equally many"));
        }
        for (((start, end), axis), step) in starts.into_iter().zip(ends).zip(axes).zip(steps) {
            let sides = x.size();
            let at = place(axis, sides.len())?;
            let n = sides[at];
            let from_start = |k: i64| if k < 0 { k.saturating_add(n) } else { k };
            let (start, end) = (from_start(start), from_start(end));
            x = match step {
                1.. => x.f_slice(at as i64, start.clamp(0, n), end.clamp(0, n), step)?,
                0 => return Err(told("a step of it is 0")),
                _ => {
                    let (mut k, end) = (start.clamp(-1, n - 1), end.clamp(-1, n - 1));
                    let mut places = Vec::new();
                    while k > end {
                        places.push(k);
                        k = k.saturating_add(step);
                    }
                    x.f_index_select(at as i64, &Tensor::f_from_slice(&places)?.f_to_device(x.device())?)?
                }
            };
        }
        all([x])
    }))
}

pub(crate) fn split(a: &mut Attributes<'_>) -> Result<Step> {
    let (axis, constant) = (a.int("axis").unwrap_or(0), a.ints("split"));
    // The attribute repeats the number of outputs, which the step has; a value from a hostile file is not trusted.
    a.ignore("num_outputs");
    let parts = a.outputs.max(1);
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let shape = x.size();
        let side = shape[place(axis, shape.len())?];
        let sizes = told_or_given(constant.as_ref(), inputs, 1)?.unwrap_or_else(|| {
            let each = (side + parts - 1) / parts;
            (0..parts).map(|k| (side - k * each).clamp(0, each)).collect()
        });
        if sizes.iter().any(|n| *n < 0) {
            return Err(told("a part of it is negative"));
        }
        all(x.f_split_with_sizes(sizes, axis)?)
    }))
}

pub(crate) fn squeeze(a: &mut Attributes<'_>) -> Result<Step> {
    let axes = a.ints("axes");
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let shape = x.size();
        let axes = told_or_given(axes.as_ref(), inputs, 1)?;
        let axes = axes.map(|axes| axes.into_iter().map(|k| place(k, shape.len())).collect());
        let axes: Option<Vec<usize>> = axes.transpose()?;
        let goes = |k: usize| axes.as_ref().map_or(shape[k] == 1, |axes| axes.contains(&k));
        if (0..shape.len()).any(|k| goes(k) && shape[k] != 1) {
            return Err(told(format!("a side of {shape:?} that goes is not 1")));
        }
        let to: Vec<i64> = (0..shape.len()).filter(|k| !goes(*k)).map(|k| shape[k]).collect();
        all([x.f_reshape(to)?])
    }))
}

pub(crate) fn transpose(a: &mut Attributes<'_>) -> Result<Step> {
    let order = a.ints("perm");
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let order = order.clone().unwrap_or_else(|| (0..x.dim() as i64).rev().collect());
        all([x.f_permute(order)?.f_contiguous()?])
    }))
}

pub(crate) fn unsqueeze(a: &mut Attributes<'_>) -> Result<Step> {
    let axes = a.ints("axes");
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let axes = told_or_given(axes.as_ref(), inputs, 1)?;
        let axes = axes.ok_or_else(|| told("its axes are missing"))?;
        let sides = x.dim() + axes.len();
        let new: Result<Vec<usize>, Error> = axes.into_iter().map(|k| place(k, sides)).collect();
        let (new, mut old) = (new?, x.size().into_iter());
        let to: Vec<i64> =
            (0..sides).map(|k| if new.contains(&k) { 1 } else { old.next().unwrap_or(1) }).collect();
        all([x.f_reshape(to)?])
    }))
}
