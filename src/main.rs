//! pgtwin.
fn main() {}
