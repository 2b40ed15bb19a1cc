//! Floor 0: what OCF gives and takes: actions, exit codes, parameters, meta-data, notifications.
