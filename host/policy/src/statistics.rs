//! What may be concluded from counts and sums, however often one looks.
//!
//! Everything here adds up: what two nodes counted, added, is what one node would have counted.

pub mod histogram;
pub mod moments;
pub mod recent;
pub mod sequential;
