//! pgtwin.
