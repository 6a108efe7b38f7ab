//! What a kind of stage is.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::describe::{Choice, Cpu, InputInfo, KindInfo, OutputInfo, Shape};
use crate::{Context, Failure, Result, Step};

/// A source file behind a result: its name (`align/src/warp.rs`), and the bytes from which it was compiled.
pub type Source = (&'static str, &'static [u8]);

/// A kind of stage: typed parameters, named inputs and outputs, and the work itself.
///
/// `Params` derives `Serialize`, `Deserialize` and `JsonSchema`, with
/// `#[serde(rename_all = "kebab-case", deny_unknown_fields)]`; its doc comments become the parameters' help. A
/// field without a default is required. `#[schemars(range(min = 0.0, max = 1.0))]` bounds a number and
/// `#[schemars(extend("x-when" = {"method": ["am-softmax"]}))]` says when a field counts at all.
pub trait Stage: Send + Sync + 'static {
    /// The name in `kind = "..."`.
    const KIND: &'static str;
    /// One line for lists and help.
    const SUMMARY: &'static str;
    /// The sources of all crates behind the result (`SOURCE` of this crate and of those below it).
    const CODE: &'static [&'static [Source]];
    /// The inputs.
    const INPUTS: &'static [Input];
    /// The outputs.
    const OUTPUTS: &'static [Output];
    /// The inputs that it works on row by row, where it takes over what an earlier result made of rows that are the same
    /// ([`Context::earlier`]): that result differs in these inputs alone.
    const BY_ROW: &'static [&'static str] = &[];
    /// The parameters.
    type Params: Serialize + DeserializeOwned + JsonSchema;

    /// How many processors it uses when the manifest says nothing.
    fn cpu() -> Cpu {
        Cpu::One
    }

    /// Facts of the environment on which every result depends.
    fn facts() -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// What the values of a parameter choose. Name source files with `Choice::code` keys only: the digests are
    /// filled in, and the file no longer counts for other values. See [`crate::kind::choice`].
    fn choices() -> BTreeMap<String, BTreeMap<String, Choice>> {
        BTreeMap::new()
    }

    /// What a worker process must have settled on for this kind, whatever its parameters; see [`Choice::process`].
    const PROCESS: Option<&'static str> = None;

    /// Checks what a schema cannot say: one parameter against another.
    ///
    /// # Errors
    /// A message that names the parameter.
    fn check(_params: &Self::Params) -> Result<()> {
        Ok(())
    }

    /// Does the work: reads `cx.input(..)`, writes every `cx.output(..)`.
    ///
    /// # Errors
    /// A [`Failure`] that says what to do next. Nothing that was written is kept.
    fn run(params: &Self::Params, cx: &mut Context<'_>) -> Result<()>;

    /// Computes one step that `run` asked for with [`Context::steps`], into `folder`. It must depend on nothing
    /// but the step, the folders in `after` and the inputs that the step names.
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
    /// What it holds.
    pub about: &'static str,
    /// How many outputs may stand behind it.
    pub shape: Shape,
}

/// An output of a kind, as a constant.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The name in `stage.NAME`.
    pub name: &'static str,
    /// The file or folder name under `out/<stage>/`.
    pub path: &'static str,
    /// What it holds.
    pub about: &'static str,
}

/// An input behind which exactly one output stands.
pub const fn one(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::One }
}

/// An input that may be missing.
pub const fn optional(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Optional }
}

/// An input behind which several outputs may stand.
pub const fn several(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Several }
}

/// An input that may be missing, and behind which several outputs may stand.
pub const fn any(name: &'static str, about: &'static str) -> Input {
    Input { name, about, shape: Shape::Any }
}

/// A choice that brings these source files along (names as in `SOURCE`: `train/src/loss/am_softmax.rs`).
pub fn choice(files: &[&str]) -> Choice {
    let code = files.iter().map(|f| ((*f).to_owned(), String::new())).collect();
    Choice { code, ..Choice::default() }
}

/// A [`Stage`] without its type: what a worker's table holds (`&Align as &dyn Kind`).
pub trait Kind: Send + Sync {
    /// The name in `kind = "..."`.
    fn name(&self) -> &'static str;
    /// Its description.
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
            // A file that is not in the tables keeps a digest that says so; `every_choice_names_real_files`
            // in the worker's tests refuses it.
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

/// The JSON Schema of a parameter struct, every reference replaced by what it refers to.
fn schema<P: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<P>().to_value()
}
