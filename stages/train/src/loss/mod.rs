//! The losses, one file each. Most act on the true class's cosine and on the log-sum-exp of the other logits, some on
//! all cosines or on the embeddings themselves; see [`head`].

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
