//! How a row of the table of methods becomes a name, its parameters, its dispatch and the code that counts.

use std::collections::BTreeMap;

use lfs_stage::Result;

use crate::loss::head::Loss;

/// What a method knows when it chooses the losses of an epoch.
#[derive(Debug)]
pub struct Now<'a> {
    /// The seed of the training.
    pub seed: u64,
    /// The epoch to come, from 0.
    pub epoch: u32,
    /// The scale s.
    pub scale: f64,
    /// What was tried in each epoch before.
    pub history: &'a [Past],
}

/// What was tried in one epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Past {
    /// The numbers that were drawn for each candidate; empty where nothing was drawn.
    pub samples: Vec<Vec<f64>>,
    /// What each of them was worth, where that is known.
    pub rewards: Vec<Option<f64>>,
}

/// A loss to train an epoch with.
#[derive(Debug, Clone, PartialEq)]
pub struct Draw<F> {
    /// For people: `a0 = -0.93`; empty where there is nothing to say.
    pub name: String,
    /// The numbers that were drawn; empty where nothing was.
    pub sample: Vec<f64>,
    /// The loss.
    pub form: F,
}

impl<F> Draw<F> {
    /// The same with another type of loss.
    pub fn map<G>(self, into: impl FnOnce(F) -> G) -> Draw<G> {
        Draw { name: self.name, sample: self.sample, form: into(self.form) }
    }
}

/// The number to twelve significant digits: so short a decimal is read back to the same bits by any JSON reader, and
/// a step that travels to another process stays the same step.
pub fn short(x: f64) -> f64 {
    format!("{x:.11e}").parse().unwrap_or(x)
}

/// The parameters of a method: a pure function from seed, epoch and history to the losses of an epoch.
pub trait Settings {
    /// The loss that it trains with.
    type Form: Loss;

    /// Checks what a schema cannot say.
    ///
    /// # Errors
    /// A message that names the setting.
    fn check(&self) -> Result<()>;

    /// The candidates of the epoch: one model is trained with each, from the same weights.
    fn candidates(&self, now: &Now<'_>) -> Vec<Draw<Self::Form>>;

    /// Whether it wants to know what candidates are worth.
    fn wants_reward(&self) -> bool {
        false
    }

    /// Whether the winner's momentum goes on with its weights. If not, each candidate keeps its own.
    fn copies_momentum(&self) -> bool {
        true
    }

    /// Of each candidate of the next epoch, the candidate of this one whose weights it goes on with. Without it all go on
    /// with the winner's.
    fn parents(&self, _past: &Past) -> Option<Vec<usize>> {
        None
    }

    /// Where the search stands before this epoch, by name: `mu`.
    fn state(&self, _now: &Now<'_>) -> BTreeMap<String, Vec<f64>> {
        BTreeMap::new()
    }
}

/// A loss is a method: the same loss in every epoch.
impl<L: Loss + Clone> Settings for L {
    type Form = L;

    fn check(&self) -> Result<()> {
        Loss::check(self)
    }

    fn candidates(&self, _now: &Now<'_>) -> Vec<Draw<L>> {
        vec![Draw { name: String::new(), sample: Vec::new(), form: self.clone() }]
    }
}

/// Makes of each row `Variant "name" field => Form, counts "file" ..` (`field` of the parameters) the method's name, its loss in a
/// step's specification, and its dispatch.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal $field:ident => $form:ty,
        counts $($file:literal)+;)*) => {
        /// How a network is trained.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum Method {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        /// A loss whose every number is known.
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

            /// The source files that count only for the methods that name them.
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

            /// Whether it wants to know what candidates are worth.
            pub fn wants_reward(self, params: &Params) -> bool {
                match self { $(Self::$variant => params.$field.wants_reward()),* }
            }

            /// Whether the winner's momentum goes on with its weights.
            pub fn copies_momentum(self, params: &Params) -> bool {
                match self { $(Self::$variant => params.$field.copies_momentum()),* }
            }

            /// Of each candidate of the next epoch, the candidate of this one that it goes on from, if not the winner.
            pub fn parents(self, params: &Params, past: &Past) -> Option<Vec<usize>> {
                match self { $(Self::$variant => params.$field.parents(past)),* }
            }

            /// Where the search stands before this epoch.
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

        /// The instance of every loss that is plain softmax, where there is one.
        #[cfg(test)]
        pub fn neutral() -> Vec<Form> {
            let mut all = Vec::new();
            $(all.extend(<$form as Loss>::neutral().map(Form::$variant));)*
            all
        }
    };
}
pub(crate) use methods;
