mod geometry;
mod real;
mod stage;
