//! The product under test: the real binary, in a folder of its own, on a free port.

pub mod events;
pub mod product;
pub mod wait;

pub use product::{Asker, Product, Settings};
pub use wait::until;
