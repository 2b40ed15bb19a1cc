//! Floor 3: the loop of observe, decide and act.
