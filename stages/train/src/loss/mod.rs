//! The losses. Most need only the target cosine and the log-sum-exp of the non-target logits, some all
//! cosines or the embeddings; see [`head`].

pub mod a_softmax;
pub mod adaface;
pub mod am_lfs;
pub mod am_softmax;
pub mod arc_softmax;
pub mod centre;
pub mod circle;
pub mod combined;
pub mod contrastive;
pub mod curricular;
pub mod head;
pub mod l5;
pub mod mv_softmax;
pub mod softmax;
pub mod triplet;
pub mod v_softmax;

#[cfg(test)]
pub(crate) mod tests;
