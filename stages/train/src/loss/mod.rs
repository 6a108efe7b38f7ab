//! The losses, one file each. All act on the true class's cosine and on the log-sum-exp of the other logits, see
//! [`head`].

pub mod a_softmax;
pub mod am_lfs;
pub mod am_softmax;
pub mod arc_softmax;
pub mod head;
pub mod l5;
pub mod softmax;
pub mod v_softmax;

#[cfg(test)]
mod tests;
