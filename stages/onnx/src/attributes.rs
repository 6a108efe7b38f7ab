//! The attributes of a step. An attribute that no code reads is an error: ignoring it could change the result unnoticed.

use std::collections::BTreeMap;

use lfs_stage::{Failure, Result};
use tch::Tensor;

use crate::{proto, tensor};

/// The attributes of a step that have not been read yet, and other properties of the step.
pub(crate) struct Attributes<'a> {
    /// The version of the operator set.
    pub(crate) version: i64,
    /// The number of outputs of the step.
    pub(crate) outputs: i64,
    left: BTreeMap<&'a str, &'a proto::Attribute>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(node: &'a proto::Node, version: i64) -> Self {
        let left = node.attributes.iter().map(|a| (a.name.as_str(), a)).collect();
        Self { version, outputs: node.outputs.len() as i64, left }
    }

    pub(crate) fn int(&mut self, name: &str) -> Option<i64> {
        self.left.remove(name).map(|a| a.int)
    }

    pub(crate) fn flag(&mut self, name: &str) -> bool {
        self.int(name).unwrap_or(0) != 0
    }

    pub(crate) fn float(&mut self, name: &str) -> Option<f64> {
        self.left.remove(name).map(|a| f64::from(a.float))
    }

    pub(crate) fn ints(&mut self, name: &str) -> Option<Vec<i64>> {
        self.left.remove(name).map(|a| a.ints.clone())
    }

    pub(crate) fn floats(&mut self, name: &str) -> Option<Vec<f64>> {
        self.left.remove(name).map(|a| a.floats.iter().map(|v| f64::from(*v)).collect())
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        self.left.remove(name).map(|a| String::from_utf8_lossy(&a.text).into_owned())
    }

    pub(crate) fn tensor(&mut self, name: &str) -> Result<Option<Tensor>> {
        self.left.remove(name).and_then(|a| a.tensor.as_ref()).map(tensor::read).transpose()
    }

    /// Skips an attribute that does not affect the result here.
    pub(crate) fn ignore(&mut self, name: &str) -> &mut Self {
        self.left.remove(name);
        self
    }

    /// Refuses attributes that were not read.
    pub(crate) fn finish(self) -> Result<()> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(Failure::new(format!("its attribute `{name}` is not supported"))),
        }
    }
}
