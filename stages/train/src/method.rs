//! The trait of methods, and the macro that turns table rows into names, parameters, dispatch and code
//! dependencies.

use std::collections::BTreeMap;

use lfs_stage::Result;

use crate::loss::head::Loss;

/// The inputs of a method when it chooses the losses of an epoch.
#[derive(Debug)]
pub struct Now<'a> {
    /// The seed of the training.
    pub seed: u64,
    /// The next epoch, from 0.
    pub epoch: u32,
    /// The scale s.
    pub scale: f64,
    /// The candidates of each previous epoch.
    pub history: &'a [Past],
}

/// The candidates of an epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The drawn numbers of each candidate; empty if none were drawn.
    pub samples: Vec<Vec<f64>>,
    /// The reward of each candidate, if known.
    pub rewards: Vec<Option<f64>>,
}

/// A loss to train an epoch with.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw<F> {
    /// The name to display, such as `a0 = -0.93`; may be empty.
    pub name: String,
    /// The drawn numbers; empty if none were drawn.
    pub sample: Vec<f64>,
    /// The loss.
    pub form: F,
}

impl<F> Draw<F> {
    /// Converts the loss.
    pub fn map<G>(self, into: impl FnOnce(F) -> G) -> Draw<G> {
        Draw { name: self.name, sample: self.sample, form: into(self.form) }
    }
}

/// Rounds to twelve significant digits. Any JSON reader reads back the same bits, so that a step keeps its
/// key in another process.
pub fn short(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

/// The parameters of a method: a pure function from seed, epoch and history to the losses of an epoch.
pub trait Settings {
    /// The loss.
    type Form: Loss;

    /// Checks constraints that the schema cannot express.
    ///
    /// # Errors
    /// A message that names the setting.
    fn check(&self) -> Result<()>;

    /// The candidates of the epoch. One model is trained with each, all from the same weights unless
    /// [`Settings::parents`] says otherwise.
    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<Self::Form>>;

    /// Whether it needs the rewards of the candidates.
    fn wants_reward(&self) -> bool {
        false
    }

    /// Whether the winner's momentum is copied with its weights. If not, each candidate keeps its own.
    fn copies_momentum(&self) -> bool {
        true
    }

    /// For each candidate of the next epoch, the candidate of this one whose weights it continues from. None:
    /// all continue from the winner.
    fn parents(&self, _past: &Past) -> Option<Vec<usize>> {
        None
    }

    /// The state of the search before this epoch, by name: `mu`.
    fn state(&self, _now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::new()
    }
}

/// Every loss is a method that uses the same loss in every epoch.
impl<L: Loss + Clone> Settings for L {
    type Form = L;

    fn check(&self) -> Result<()> {
        Loss::check(self)
    }

    fn candidates(&self, _now: &Now<'_>) -> Vec<Draw<L>> {
        vec![Draw { name: String::new(), sample: Vec::new(), form: self.clone() }]
    }
}

/// Expands each row `Variant "name" field => Form, counts "file" ..` (`field` of the parameters) to the
/// method's name, its loss in the spec of a step, and its dispatch.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal $field:ident => $form:ty,
        counts $($file:literal)+;)*) => {
        /// The training method.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Method {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        /// A loss with all its parameters.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        pub enum Form {
            $($(#[$doc])* #[serde(rename = $name)] $variant($form),)*
        }

        impl Form {
            /// The loss.
            pub fn loss(&self) -> &dyn Loss {
                match self { $(Self::$variant(form) => form),* }
            }
        }

        impl Method {
            /// Every method.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in manifests.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The source files that are part of the key for this method only.
            pub fn sources(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$(concat!("train/src/", $file)),+]),* }
            }

            /// Checks the method's own parameters.
            ///
            /// # Errors
            /// A message that names the parameter.
            pub fn check(self, params: &Params) -> Result<()> {
                match self { $(Self::$variant => Settings::check(&params.$field)),* }
            }

            /// The candidates of an epoch.
            pub fn candidates(self, params: &Params, now: &Now<'_>) -> Vec<Draw<Form>> {
                match self {
                    $(Self::$variant => {
                        params.$field.candidates(now).into_iter().map(|draw| draw.map(Form::$variant)).collect()
                    })*
                }
            }

            /// Whether it needs the rewards of the candidates.
            pub fn wants_reward(self, params: &Params) -> bool {
                match self { $(Self::$variant => params.$field.wants_reward()),* }
            }

            /// Whether the winner's momentum is copied with its weights.
            pub fn copies_momentum(self, params: &Params) -> bool {
                match self { $(Self::$variant => params.$field.copies_momentum()),* }
            }

            /// For each candidate of the next epoch, the candidate of this one that it continues from; none:
            /// the winner.
            pub fn parents(self, params: &Params, past: &Past) -> Option<Vec<usize>> {
                match self { $(Self::$variant => params.$field.parents(past)),* }
            }

            /// The state of the search before this epoch.
            pub fn state(self, params: &Params, now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
                match self { $(Self::$variant => params.$field.state(now)),* }
            }

            /// The method's own parameters.
            pub fn settings(self, params: &Params) -> serde_json::Result<serde_json::Value> {
                match self { $(Self::$variant => serde_json::to_value(&params.$field)),* }
            }
        }

        /// Instances of every loss, for the tests over the table.
        #[cfg(test)]
        pub fn examples() -> Vec<Form> {
            let mut all = Vec::new();
            $(all.extend(<$form as Loss>::examples().into_iter().map(Form::$variant));)*
            all
        }

        /// The instances that are plain softmax, for the losses that have one.
        #[cfg(test)]
        pub fn neutral() -> Vec<Form> {
            let mut all = Vec::new();
            $(all.extend(<$form as Loss>::neutral().map(Form::$variant));)*
            all
        }
    };
}
pub(crate) use methods;
