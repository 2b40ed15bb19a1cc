//! Short runs.
