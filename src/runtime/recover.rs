//! Crash recovery in single-user mode: nobody can connect meanwhile, and the end is a shutdown
//! checkpoint. Floor 2.

use crate::postgres::control_data::ControlData;
use crate::sys::deadline::Deadline;
use crate::sys::exec::Exec;

use super::data_dir::{SignalFile, control_data};
use super::{Runtime, RuntimeError, bare, nothing_runs, succeeded};

/// Recovers a crashed primary by itself, without opening it to anybody, and leaves it shut down
/// cleanly. `standby.signal` is put aside meanwhile, and stands there afterwards, in any case: this
/// node is going to start as a standby. Returns the control data of afterwards.
pub fn single_user_recover(
    runtime: &dyn Runtime,
    exec: &dyn Exec,
    deadline: &Deadline,
) -> Result<ControlData, RuntimeError> {
    let what = "recover the crashed instance in single-user mode";
    let place = runtime.place();
    nothing_runs(runtime, what)?;
    if SignalFile::Recovery.is_there(place)? {
        return Err(RuntimeError::Refused(format!(
            "cannot {what}: {} has a recovery.signal, a point-in-time recovery: finish it or remove that file",
            place.pgdata_text()
        )));
    }
    let cmd = runtime
        .command("postgres")?
        .arg("--single")
        .args(bare::config_args(place))
        .args(["-c", "logging_collector=off", "-c", "log_destination=stderr"])
        .arg("postgres")
        .limit(deadline.left());
    SignalFile::Standby.remove(place)?;
    let ran = exec.run(&cmd);
    let settled = runtime.settle();
    SignalFile::Standby.create(place)?;
    settled?;
    succeeded(what, &ran.map_err(|source| RuntimeError::Exec { what, source })?)?;
    let control = control_data(runtime, exec, deadline)?;
    if control.state.is_clean() {
        return Ok(control);
    }
    Err(RuntimeError::Failed { what, why: format!("afterwards its state was {}", control.state) })
}
