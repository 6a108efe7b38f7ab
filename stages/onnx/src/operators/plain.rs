//! Elementwise operators of one or two inputs.

use lfs_stage::{Failure, Result};
use tch::{Kind, TchError, Tensor};

use super::{Error, Step, all, one, own};
use crate::attributes::Attributes;
use crate::tensor;

/// A function of one input.
pub(crate) fn each(work: fn(&Tensor) -> Result<Tensor, TchError>) -> Result<Step> {
    Ok(Box::new(move |inputs| all([work(own(inputs, 0)?)?])))
}

/// A function of two inputs.
pub(crate) fn pair(work: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>) -> Result<Step> {
    Ok(Box::new(move |inputs| all([work(own(inputs, 0)?, own(inputs, 1)?)?])))
}

/// Integer division truncates towards zero.
pub(crate) fn divided(x: &Tensor, y: &Tensor) -> Result<Tensor, TchError> {
    if x.kind() == Kind::Float || x.kind() == Kind::Double {
        x.f_div(y)
    } else {
        x.f_div_tensor_mode(y, "trunc")
    }
}

pub(crate) fn cast(a: &mut Attributes<'_>) -> Result<Step> {
    a.ignore("saturate").ignore("round_mode");
    let to = a.int("to").ok_or_else(|| Failure::new("it does not give the type of number (`to`)"))?;
    let (kind, _) = tensor::kind(to)?;
    if kind == Kind::Half {
        // Rounding to half precision would be lost in single precision.
        return Err(Failure::new("numbers of half precision are not computed here"));
    }
    Ok(Box::new(move |inputs| all([own(inputs, 0)?.f_to_kind(kind)?])))
}

pub(crate) fn clip(a: &mut Attributes<'_>) -> Result<Step> {
    let (least, most) = (a.float("min"), a.float("max"));
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        let bound = |told: Option<f64>, k: usize| -> Result<Option<Tensor>, Error> {
            let given = one(inputs, k).map(Tensor::shallow_clone);
            let told = told.map(|v| Tensor::from(v as f32)).map(|t| t.f_to_device(x.device())).transpose()?;
            Ok(told.or(given))
        };
        let (least, most) = (bound(least, 1)?, bound(most, 2)?);
        let x = match least {
            Some(least) => x.f_maximum(&least)?,
            None => x.shallow_clone(),
        };
        all([match most {
            Some(most) => x.f_minimum(&most)?,
            None => x,
        }])
    }))
}

/// Without training, nothing is dropped.
pub(crate) fn dropout(a: &mut Attributes<'_>) -> Result<Step> {
    a.ignore("ratio").ignore("seed").ignore("is_test");
    Ok(Box::new(|inputs| {
        if let Some(training) = one(inputs, 2)
            && super::whole(training)?.iter().any(|v| *v != 0)
        {
            return Err(super::told("it is set to training"));
        }
        let x = own(inputs, 0)?;
        all([x.shallow_clone(), x.f_ones_like()?.f_to_kind(Kind::Bool)?])
    }))
}

pub(crate) fn leaky_relu(a: &mut Attributes<'_>) -> Result<Step> {
    let slope = a.float("alpha").unwrap_or_else(|| f64::from(0.01_f32));
    Ok(Box::new(move |inputs| {
        let x = own(inputs, 0)?;
        all([x.f_mul_scalar(slope)?.f_where_self(&x.f_lt(0)?, x)?])
    }))
}
