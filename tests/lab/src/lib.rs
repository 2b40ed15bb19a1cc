//! The cluster in a box.
