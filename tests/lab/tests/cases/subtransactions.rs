//! A crash that leaves an overflowed snapshot: hot standby then never opens without an upstream.

use std::thread;

use lab::{Cluster, Result};

use crate::stage::SOON;

/// A transaction with more subtransactions than a snapshot has room for, held open for ever.
const OPEN: &str = "
BEGIN;
DO $$
BEGIN
  FOR number IN 1..200 LOOP
    BEGIN
      INSERT INTO writes (run, id) VALUES (0, -number);
    EXCEPTION WHEN division_by_zero THEN
      NULL;
    END;
  END LOOP;
END
$$;
SELECT pg_sleep(3600);
";

/// Opens such a transaction on the primary, has it noted in a checkpoint, and kills the
/// postmaster.
pub fn crash_with_many_subtransactions(cluster: &Cluster, primary: &str) -> Result<()> {
    thread::scope(|scope| {
        let open = scope.spawn(|| {
            let psql = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "postgres"];
            cluster.command_as_postgres(primary, &psql).stdin(OPEN).output()
        });
        let sleeps = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        cluster.wait_until("the transaction is open", SOON, || {
            cluster.psql(primary, sleeps).is_ok_and(|count| count == "1")
        })?;
        cluster.psql(primary, "CHECKPOINT")?;
        cluster.signal_postmaster(primary, "KILL")?;
        let ended = open.join().expect("the thread of the open transaction")?;
        assert!(!ended.ok(), "the transaction was committed: {}", ended.all());
        Ok(())
    })?;
    Ok(())
}
