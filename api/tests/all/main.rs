//! The REST interface from outside, in one program: each of its own would link everything once more.

#![allow(clippy::unwrap_used)]

mod differences;
mod document;
mod edge;
mod edges;
mod evidence;
mod explained;
mod faults;
mod licences;
mod outputs;
mod progress;
mod relations;
mod requests;
mod snapshot;
mod support;
mod transferred;
mod writes;
