//! An earlier result of which most rows may be the same.
//!
//! A key knows a data set as a whole: one image more, and nothing is known of the others. A kind that works by row is therefore given
//! the result that was computed last with the same code, parameters and other inputs. It takes over rows whose digests are the same,
//! so that the result is the same as without that help; `run --check` and `--force` give none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::task::{End, Mode, Run};
use super::work::RunContext;
use crate::cache::{Look, Record, Stored};
use crate::fingerprint::{Fingerprint, Key};

/// What a job is given.
#[derive(Default)]
pub(super) struct Earlier {
    /// Its key.
    pub key: Option<Key>,
    /// The outputs by name.
    pub outputs: BTreeMap<String, PathBuf>,
}

impl RunContext<'_> {
    /// The latest result that differs from a node's in those inputs alone by whose rows its kind works. That of the same node goes
    /// before those of others.
    pub(super) fn earlier(&self, task: &Run<'_>) -> Result<Earlier, End> {
        let kind = self.workers.kinds.get(&task.node.kind);
        let inputs = kind.map(|kind| kind.info.by_row.as_slice()).unwrap_or_default();
        if inputs.is_empty() || task.mode != Mode::Known {
            return Ok(Earlier::default());
        }
        let mut found: Option<(Key, Record)> = None;
        for key in self.cache.node_keys() {
            let Some(print) = self.cache.fingerprint::<Fingerprint>(&key) else { continue };
            if !task.fingerprint.differs_at_most_in(inputs, &print) {
                continue;
            }
            let Some(record) = self.cache.record(&key) else { continue };
            let own = record.made.node == task.node.name;
            if own {
                found = Some((key, record));
                break;
            }
            found.get_or_insert((key, record));
        }
        let Some((key, record)) = found else { return Ok(Earlier::default()) };
        // From here on no collection takes it away while this run goes on.
        self.cache.pin(&self.run, &[key])?;
        // What is taken over gets new digests: damage that hides would hide for good.
        if !self.cache.has_all(&record, Look::AtBytes).unwrap_or(false) {
            return Ok(Earlier::default());
        }
        let path = |(name, stored): (String, Stored)| (name, self.cache.object(&stored.digest));
        Ok(Earlier { key: Some(key), outputs: record.outputs.into_iter().map(path).collect() })
    }
}
