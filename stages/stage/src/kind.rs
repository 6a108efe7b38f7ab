//! Kinds of stages.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::describe::{Choice, Cpu, InputInfo, KindInfo, OutputInfo, Shape};
use crate::{Context, Failure, Result, Step};

/// A source file on which a result depends: its name (`align/src/warp.rs`) and the bytes from which it was compiled.
pub type Source = (&'static str, &'static [u8]);

/// A kind of stage: typed parameters, named inputs and outputs, and the work itself.
///
/// `Params` derives `Serialize`, `Deserialize` and `JsonSchema`, with `#[serde(rename_all = "kebab-case", deny_unknown_fields)]`;
/// its doc comments become the help texts of the parameters. A field without a default is required. `#[schemars(range(min = 0.0,
/// max = 1.0))]` bounds a number, and `#[schemars(extend("x-when" = {"method": ["am-softmax"]}))]` states for which values of
/// another parameter a field counts.
pub trait Stage: Send + Sync + 'static {
    /// The name in `kind = "..."`.
    const KIND: &'static str;
    /// One line for lists and help.
    const SUMMARY: &'static str;
    /// The sources of all crates on which the result depends (`SOURCE` of this crate and of those below it).
    const CODE: &'static [&'static [Source]];
    /// The inputs.
    const INPUTS: &'static [Input];
    /// The outputs.
    const OUTPUTS: &'static [Output];
    /// The inputs that it processes row by row. It may get an earlier result that differs in these inputs alone, and reuses the
    /// results of unchanged rows ([`Context::earlier`]).
    const BY_ROW: &'static [&'static str] = &[];
    /// Options of a command line, where they differ from the names of inputs and parameters ([`crate::KindInfo::options`]).
    const OPTIONS: &'static [[&'static str; 2]] = &[];
    /// The parameters.
    type Params: Serialize + DeserializeOwned + JsonSchema;

    /// The number of processors that it uses by default.
    fn cpu() -> Cpu {
        Cpu::One
    }

    /// Facts of the environment on which every result depends.
    fn facts() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What the values of a parameter select. List source files as keys of `Choice::code` only: the digests are filled in, and the
    /// files no longer count for other values. See [`crate::kind::choice`].
    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        BTreeMap::new()
    }

    /// The process setting that this kind needs for all parameters; see [`Choice::process`].
    const PROCESS: Option<&'static str> = None;

    /// Checks what a schema cannot express: relations between parameters.
    ///
    /// # Errors
    /// A message that names the parameter.
    fn check(_params: &Self::Params) -> Result<()> {
        Ok(())
    }

    /// Does the work: reads `cx.input(..)`, writes every `cx.output(..)`.
    ///
    /// # Errors
    /// A [`Failure`] with advice on what to do next. Nothing that was written is kept.
    fn run(params: &Self::Params, cx: &mut Context<'_>) -> Result<()>;

    /// Computes one step that `run` requested with [`Context::steps`], into `folder`. It must depend only on the step, the folders
    /// in `after` and the inputs that the step lists.
    ///
    /// # Errors
    /// As `run`.
    fn step(
        _params: &Self::Params,
        step: &Step,
        _after: &[&Path],
        _folder: &Path,
        _cx: &mut Context<'_>,
    ) -> Result<()> {
        Err(Failure::new(format!("kind `{}` has no steps, but `{}` was asked for", Self::KIND, step.name)))
    }
}

/// An input of a kind, as a constant.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// The name in `input.NAME`.
    pub name: &'static str,
    /// The content, for the user.
    pub about: &'static str,
    /// How many members it may have.
    pub shape: Shape,
}

/// An output of a kind, as a constant.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The name in `stage.NAME`.
    pub name: &'static str,
    /// The file or folder name under `out/<stage>/`.
    pub path: &'static str,
    /// The content, for the user.
    pub about: &'static str,
}

/// An input with exactly one member.
pub const fn one(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::One }
}

/// An optional input.
pub const fn optional(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Optional }
}

/// An input with one or more members.
pub const fn several(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Several }
}

/// An optional input with any number of members.
pub const fn any(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Any }
}

/// A choice that selects these source files (names as in `SOURCE`: `train/src/loss/am_softmax.rs`).
pub fn choice(files: &[&str]) -> Choice {
    let code = files.iter().map(|f| ((*f).to_owned(), String::new())).collect();
    Choice { code, ..Choice::default() }
}

/// A [`Stage`] as a trait object, for a worker's table (`&Align as &dyn Kind`).
pub trait Kind: Send + Sync {
    /// The name in `kind = "..."`.
    fn name(&self) -> &'static str;
    /// The kind's description.
    fn describe(&self) -> KindInfo;
    /// Reads the parameters, checks them and runs the stage.
    ///
    /// # Errors
    /// As [`Stage::run`].
    fn run(&self, parameters: &Value, cx: &mut Context<'_>) -> Result<()>;
    /// Computes a step.
    ///
    /// # Errors
    /// As [`Stage::step`].
    fn step(
        &self,
        parameters: &Value,
        step: &Step,
        after: &[&Path],
        folder: &Path,
        cx: &mut Context<'_>,
    ) -> Result<()>;
}

impl<S: Stage> Kind for S {
    fn name(&self) -> &'static str {
        S::KIND
    }

    fn describe(&self) -> KindInfo {
        let mut code: BTreeMap<String, String> =
            S::CODE.iter().flat_map(|table| table.iter()).map(|(file, bytes)| digest(file, bytes)).collect();
        let mut choices = S::choices();
        let all = code.clone();
        for (file, digest) in
            choices.values_mut().flat_map(|c| c.values_mut()).flat_map(|c| c.code.iter_mut())
        {
            code.remove(file);
            // A file that is in no table keeps this placeholder, which
            // `every_choice_names_a_parameter_its_value_and_real_source_files` in the worker's tests refuses.
            *digest = all.get(file).cloned().unwrap_or_else(|| "missing".to_owned());
        }
        KindInfo {
            name: S::KIND.to_owned(),
            summary: S::SUMMARY.to_owned(),
            parameters: schema::<S::Params>(),
            inputs: S::INPUTS
                .iter()
                .map(|i| InputInfo { name: i.name.to_owned(), about: i.about.to_owned(), shape: i.shape })
                .collect(),
            outputs: S::OUTPUTS
                .iter()
                .map(|o| OutputInfo {
                    name: o.name.to_owned(),
                    path: o.path.to_owned(),
                    about: o.about.to_owned(),
                })
                .collect(),
            code,
            facts: S::facts(),
            choices,
            cpu: S::cpu(),
            process: S::PROCESS.map(str::to_owned),
            options: S::OPTIONS.iter().map(|pair| pair.map(str::to_owned)).collect(),
            by_row: S::BY_ROW.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn run(&self, parameters: &Value, cx: &mut Context<'_>) -> Result<()> {
        let params = read::<S>(parameters)?;
        S::check(&params)?;
        S::run(&params, cx)
    }

    fn step(
        &self,
        parameters: &Value,
        step: &Step,
        after: &[&Path],
        folder: &Path,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        S::step(&read::<S>(parameters)?, step, after, folder, cx)
    }
}

fn digest(file: &str, bytes: &[u8]) -> (String, String) {
    (file.to_owned(), blake3::hash(bytes).to_hex().to_string())
}

fn read<S: Stage>(parameters: &Value) -> Result<S::Params> {
    serde_json::from_value(parameters.clone())
        .map_err(|e| Failure::new(format!("the parameters of kind `{}` do not fit: {e}", S::KIND)))
}

/// The JSON Schema of a parameter struct, with all references inlined.
fn schema<P: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<P>().to_value()
}
