//! Floor 2: how PostgreSQL is run: on the host, or (later) in a container.
