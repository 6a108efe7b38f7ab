mod geometry;
mod opencv;
mod real;
mod stage;
