//! Derives faults and doubts from the checks of a sample.

use super::Look;

/// Crops with less agreement with their mean than this (median correlation) have little in common.
const COMPARABLE: f64 = 0.45;
/// The share of images whose landmarks may be off.
const TAIL: f64 = 0.1;
/// Landmarks belong to the images if their wander is less than this fraction of that of the mean position.
const BETTER: f64 = 0.8;
/// The minimum darkness of eyes, in standard deviations.
const EYES: f64 = 0.1;

impl Look {
    /// What is wrong, in one sentence, if anything.
    pub fn fault(&self, max_residual: f64, max_wander: f64) -> Option<String> {
        self.by_points(max_residual)
            .or_else(|| self.by_scale())
            .or_else(|| self.by_crops(max_wander))
            .or_else(|| self.by_turned_heads())
    }

    /// A doubt, if the checks are inconclusive.
    pub fn doubt(&self) -> Option<String> {
        let (agreement, eyes) = (self.agreement?, self.eyes?);
        (agreement < COMPARABLE && eyes < 2.0 * EYES && !self.beats_mean_position()).then(|| {
            format!(
                "whether the landmarks belong to these images could not be confirmed: the crops of {} images have little in common \
                 (agreement {agreement:.2}) and show eyes but faintly; look at some crops",
                self.images
            )
        })
    }

    /// The number of images whose points do not have the shape of faces, and the number of profile heads among the outliers.
    pub fn far_off(&self, max_residual: f64) -> (usize, usize) {
        let off = || self.residuals.iter().filter(|r| r.0 > max_residual);
        let profiles = off().filter(|r| r.1).count();
        (off().count() - profiles, profiles)
    }

    /// Faults in the points and in the sizes of the pictures.
    fn by_points(&self, max_residual: f64) -> Option<String> {
        let (off, profiles) = self.far_off(max_residual);
        let others = self.residuals.len() - profiles;
        let aside = if profiles > 0 {
            format!(
                " Heads seen from the side, {profiles} images more by the shape of their points, are not counted."
            )
        } else {
            String::new()
        };
        if 2 * off > others {
            let r = super::median(
                self.residuals.iter().filter(|r| r.0 <= max_residual || !r.1).map(|r| r.0).collect(),
            )?;
            return Some(format!(
                "the landmarks do not have the shape of faces: fitted to the template they are {r:.1} pixels off (median, in a 112-pixel \
                 crop; at most {max_residual} are accepted): are points in another order, or x and y swapped? If these are heads seen \
                 from the side, raise `max-residual`.{aside}"
            ));
        }
        if too_many(self.turned, self.residuals.len()) {
            return Some(format!(
                "the landmarks of {} of {} images are turned by more than 60 degrees, as if the faces lay on their side or stood on \
                 their head (at most {} % of the images may): were they made without the EXIF orientation, on pictures that were not \
                 turned? Landmarks are those of the picture as a viewer shows it",
                self.turned,
                self.residuals.len(),
                100.0 * TAIL
            ));
        }
        if too_many(self.small, self.placed) {
            return Some(format!(
                "the landmarks are no faces by their size: in {} of {} images all points lie within a few pixels; are they fractions of \
                 width and height, or made for smaller images?",
                self.small, self.placed
            ));
        }
        if too_many(self.outside, self.placed) {
            return Some(format!(
                "the landmarks do not lie in these images: in {} of {} they are around a place outside of the picture; were they made \
                 for larger images?",
                self.outside, self.placed
            ));
        }
        too_many(off, self.residuals.len()).then(|| {
            format!(
                "the landmarks of {off} of {} images do not have the shape of faces: fitted to the template they are more than \
                 {max_residual} pixels off (in a 112-pixel crop; at most {} % of the images may be); are they of another source, or not \
                 corrected? If these are heads seen from the side, raise `max-residual`.{aside}",
                self.residuals.len(),
                100.0 * TAIL
            )
        })
    }

    /// Landmarks that fit at another scale; if most crops show no eyes, another scale explains nothing.
    fn by_scale(&self) -> Option<String> {
        let other = self.other_scale.as_ref().filter(|_| self.eyes.is_some_and(|eyes| eyes > 2.0 * EYES))?;
        let some: Vec<String> = other.images.iter().take(3).map(|n| format!("`{n}`")).collect();
        Some(format!(
            "the landmarks of a part of the images were made for another size: in at least {} of {} images eyes are where the landmarks \
             would be if they were multiplied by about {:.2}, and not where they are; among them {}",
            other.images.len(),
            self.images,
            other.factor,
            some.join(", ")
        ))
    }

    /// Landmarks that are turned although the heads are upright.
    fn by_turned_heads(&self) -> Option<String> {
        let heads = self.turned_heads.as_ref().filter(|heads| heads.too_many())?;
        Some(format!(
            "the landmarks of a part of the images are of another variant of the set: of {} heads that are turned by more than {:.1} \
             degrees against the others by their landmarks, {} look as upright as the others do; were these landmarks made before the \
             pictures were aligned?",
            heads.images, heads.degrees, heads.upright
        ))
    }

    /// Faults in the crops of a sample.
    fn by_crops(&self, max_wander: f64) -> Option<String> {
        let (wander, mean, agreement) = (self.wander?, self.wander_of_mean_position?, self.agreement?);
        let (eyes, best) = (self.eyes?, self.eyes_elsewhere?);
        let comparable = agreement >= COMPARABLE;
        if comparable && wander > max_wander && !self.beats_mean_position() {
            return Some(format!(
                "the landmarks do not belong to these images: eyes lie {wander:.1} pixels from where the landmarks put them \
                 (median of {} images, in a 112-pixel crop; at most {max_wander} are accepted), while one mean position for all \
                 images leaves {mean:.1}: are they of another variant of the set (other crop, other alignment)?",
                self.images
            ));
        }
        // Landmarks that mark the same place in each image have a constant offset, if any; then the darkest place nearby may be
        // hair.
        let elsewhere = if self.beats_mean_position() {
            best > 0.5 && eyes < 0.2 * best
        } else {
            best > 0.3 && eyes < 0.5 * best
        };
        if elsewhere {
            return Some(format!(
                "the landmarks are all off by the same amount: the mean crop of {} images shows no eyes where the landmarks \
                 put them ({eyes:.2} standard deviations darker), but does beside that place ({best:.2}): are the images of another size \
                 than those that were marked?",
                self.images
            ));
        }
        let empty = !self.beats_mean_position()
            && (eyes < -EYES || eyes < EYES && !comparable && wander > max_wander);
        empty.then(|| {
            format!(
                "the crops show no faces: those of {} images have little in common (agreement {agreement:.2}, {wander:.1} pixels apart), \
                 and there are no eyes where the landmarks put them ({eyes:.2} standard deviations darker): are the landmarks of other \
                 images, or of the same images at another size?",
                self.images
            )
        })
    }

    fn beats_mean_position(&self) -> bool {
        let both = self.wander.zip(self.wander_of_mean_position);
        both.is_some_and(|(wander, mean)| wander <= BETTER * mean)
    }
}

/// Whether there are too many outliers; a single one is never too many, unless there are fewer than three images.
fn too_many(off: usize, of: usize) -> bool {
    off as f64 > TAIL * of as f64 && (off > 1 || of < 3)
}
