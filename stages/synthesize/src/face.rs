//! Renders a face: its shape, its skin, and the photograph.
//!
//! A head is a surface over azimuth and height ([`shape`]). Its skin is a flat texture of paths and gradients ([`skin`], [`eyes`],
//! [`mouth`]), mapped to a mesh ([`head`], [`hair`]), which is rotated, lit and drawn with a depth buffer ([`camera`], [`raster`]).
//! Background, glasses and the like are drawn as paths ([`scene`]), and camera effects follow ([`finish`]). The landmarks are
//! computed from the same surface and camera ([`points`]).

use lfs_faces::DataError;
use lfs_faces::image::{Pixels, encode_jpeg};
use tiny_skia::Pixmap;

use crate::factors::Factors;
use crate::identity::Identity;
use camera::Camera;
use finish::ZOOM;
use points::Pointer;
use raster::Frame;
use shape::Shape;
use tones::Tones;

mod brush;
mod camera;
mod eyes;
mod finish;
mod hair;
mod head;
mod mouth;
pub mod non_face;
pub mod points;
mod raster;
mod scene;
mod shape;
mod skin;
mod tones;

/// The landmarks of a person's face in a photograph with these factors.
pub fn pointer(person: &Identity, f: &Factors) -> Pointer {
    Pointer::new(Shape::new(&person.traits, f), Camera::new(f, ZOOM as f32), f.size[0])
}

/// Draws a photograph.
///
/// # Errors
/// If the size cannot be drawn.
pub fn draw(person: &Identity, f: &Factors) -> Result<Pixels, DataError> {
    let too_large =
        || DataError::new(format!("a picture of {}x{} pixels cannot be drawn", f.size[0], f.size[1]));
    let shape = Shape::new(&person.traits, f);
    let camera = Camera::new(f, ZOOM as f32);
    let tones = Tones::new(&person.traits, shape.old);
    let mut pixmap = Pixmap::new(f.size[0] * ZOOM, f.size[1] * ZOOM).ok_or_else(too_large)?;
    scene::behind(&mut pixmap, f, &camera);
    let mut frame = Frame::new(pixmap);
    let skin = skin::paint(&shape, &tones, f, person.number).ok_or_else(too_large)?;
    head::neck(&mut frame, &shape, &camera, &skin);
    head::draw(&mut frame, &shape, &camera, &skin);
    head::ears(&mut frame, &shape, &camera, &skin);
    hair::draw(&mut frame, &shape, &camera, &tones, f, person.number);
    scene::before(&mut frame.pixmap, f, &camera, &shape, &tones);
    Ok(finish::finish(&frame.pixmap, f))
}

/// Draws and encodes a photograph.
///
/// # Errors
/// As [`draw`].
pub fn photograph(person: &Identity, f: &Factors) -> Result<Vec<u8>, DataError> {
    encode_jpeg(&draw(person, f)?, f.quality)
}
