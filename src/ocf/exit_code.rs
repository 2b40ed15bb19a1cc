//! The exit codes by which an agent answers Pacemaker, and what each one sets in motion. Floor 0.
//!
//! Source: the OCF resource agent API 1.1, and Pacemaker Administration, "OCF Return Codes".

use std::fmt::{self, Write as _};

/// An answer to Pacemaker. The numbers are OCF's; 190 and 191 are Pacemaker's "degraded" pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExitCode {
    /// 0: the action succeeded; for monitor: running, unpromoted.
    Ok = 0,
    /// 1: the action failed; another try on this node may succeed.
    Error = 1,
    /// 2: the action was called with arguments this node can't use.
    Args = 2,
    /// 3: the agent does not know this action.
    Unimplemented = 3,
    /// 4: a file or a user of this node lacks a permission.
    Perm = 4,
    /// 5: a program that the agent needs is not installed on this node.
    Installed = 5,
    /// 6: the resource's configuration is wrong on every node.
    Configured = 6,
    /// 7: PostgreSQL is cleanly stopped.
    NotRunning = 7,
    /// 8: running as the primary.
    RunningPromoted = 8,
    /// 9: this node is to be the primary, and its PostgreSQL has failed.
    FailedPromoted = 9,
    /// 190: running unpromoted, but something needs attention.
    Degraded = 190,
    /// 191: running as the primary, but something needs attention.
    DegradedPromoted = 191,
}

impl ExitCode {
    /// All codes, by number.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::Error,
        Self::Args,
        Self::Unimplemented,
        Self::Perm,
        Self::Installed,
        Self::Configured,
        Self::NotRunning,
        Self::RunningPromoted,
        Self::FailedPromoted,
        Self::Degraded,
        Self::DegradedPromoted,
    ];

    /// The process's exit status.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The code of this number, as in a peer's operation history.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|known| i32::from(known.code()) == code)
    }

    /// OCF's name, as Pacemaker and its documentation write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OCF_SUCCESS",
            Self::Error => "OCF_ERR_GENERIC",
            Self::Args => "OCF_ERR_ARGS",
            Self::Unimplemented => "OCF_ERR_UNIMPLEMENTED",
            Self::Perm => "OCF_ERR_PERM",
            Self::Installed => "OCF_ERR_INSTALLED",
            Self::Configured => "OCF_ERR_CONFIGURED",
            Self::NotRunning => "OCF_NOT_RUNNING",
            Self::RunningPromoted => "OCF_RUNNING_PROMOTED",
            Self::FailedPromoted => "OCF_FAILED_PROMOTED",
            Self::Degraded => "OCF_DEGRADED",
            Self::DegradedPromoted => "OCF_DEGRADED_PROMOTED",
        }
    }

    /// When pgtwin gives this answer.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Ok => {
                "The action did what was asked, or found it done. From monitor: PostgreSQL runs \
                 as a standby and nothing is wrong with it."
            }
            Self::Error => {
                "The action failed for a reason that may pass: the primary could not be asked, a \
                 wait ran into its deadline, a better candidate for the promotion exists."
            }
            Self::Args => {
                "A parameter is well formed but can't be used on this node, for example a PGDATA \
                 that holds another major version than the installed programs, or application_name \
                 with more than one standby. Or the node can't be used: it is a guest or remote node, \
                 or a bundle's container."
            }
            Self::Unimplemented => "The action is unknown.",
            Self::Perm => {
                "PGDATA or a file in it has the wrong owner, mode or kind, or is damaged, so \
                 PostgreSQL or pgtwin can't use it on this node."
            }
            Self::Installed => {
                "PostgreSQL's programs or its user are missing on this node; with container_mode=true, \
                 the container engine or the image."
            }
            Self::Configured => {
                "A parameter of the resource is malformed, or the resource is not in a promotable \
                 clone. That is the same on every node and does not heal by itself; nothing else \
                 is answered with this code."
            }
            Self::NotRunning => {
                "No postmaster of this PGDATA and none of its children exist. Also the answer of \
                 a probe to a crashed instance that nobody expects to be the primary."
            }
            Self::RunningPromoted => "PostgreSQL runs as the primary and nothing is wrong with it.",
            Self::FailedPromoted => {
                "This node is the primary for Pacemaker, but its PostgreSQL has crashed, hangs, or \
                 is not writable."
            }
            Self::Degraded => {
                "The standby runs, but needs attention: its data is being brought back or waits for \
                 that (nothing runs then), it does not stream, there is no primary and \
                 it may not become one, a parameter is malformed, or a line in pg_hba.conf is missing."
            }
            Self::DegradedPromoted => {
                "The primary serves, but needs attention: no standby may replace it, fencing is \
                 off, a setting endangers the promises, a line in pg_hba.conf is missing, or a \
                 parameter is malformed."
            }
        }
    }

    /// What Pacemaker does with this answer.
    pub const fn pacemaker(self) -> &'static str {
        match self {
            Self::Ok => "Goes on with what it planned.",
            Self::Error => {
                "Counts a failure of the resource on this node. A failed monitor is followed by \
                 a restart, a failed start or promote by another attempt here or elsewhere (as \
                 start-failure-is-fatal and migration-threshold say), a failed stop by the fencing \
                 of this node."
            }
            Self::Args | Self::Perm | Self::Installed => {
                "Bans the resource from this node until the failure is cleaned up; other nodes \
                 are not affected."
            }
            Self::Unimplemented => {
                "Bans the resource from this node until the failure is cleaned up. An action that \
                 only a person asked for has no consequence."
            }
            Self::Configured => {
                "Stops the resource on every node, the primary too, until the failure is cleaned \
                 up."
            }
            Self::NotRunning => {
                "From a probe: knows that it may start it here. From a monitor that expected it \
                 to run: counts a failure and recovers."
            }
            Self::RunningPromoted => {
                "From a monitor of the promoted role: all is well. Where it expected a standby: \
                 demotes it."
            }
            Self::FailedPromoted => {
                "Counts a failure, and demotes the instance here; stops and starts it as well, \
                 unless the monitor has on-fail=demote; and promotes where the scores say."
            }
            Self::Degraded => {
                "Treats it as 0. crm_mon shows the reason; nothing is restarted. The monitor answers \
                 this once, then 0 while crm_mon shows the reason, and this again before that ends; \
                 a standby that may take over once in ten minutes."
            }
            Self::DegradedPromoted => {
                "Treats it as 8. crm_mon shows the reason; nothing is restarted. The monitor answers \
                 this once, then 8 while crm_mon shows the reason, and this again before that ends."
            }
        }
    }

    /// What the operator does about it.
    pub const fn operator(self) -> &'static str {
        match self {
            Self::Ok | Self::RunningPromoted => "Nothing.",
            Self::Error => {
                "Read the exit reason in crm_mon -1 and `pgtwin status`. It names what was tried \
                 and what to do next. Then `crm_resource --cleanup`, if Pacemaker has given up."
            }
            Self::Args => {
                "Repair this node as the exit reason says, then \
                 `crm_resource --cleanup --resource RSC --node NODE`."
            }
            Self::Unimplemented => {
                "Check the spelling of the action, or set the parameter back that asks for what \
                 does not exist yet."
            }
            Self::Perm => {
                "Correct the owner or mode that the exit reason names, then \
                 `crm_resource --cleanup --resource RSC --node NODE`."
            }
            Self::Installed => {
                "Install the package or mount the file system that the exit reason names, then \
                 `crm_resource --cleanup --resource RSC --node NODE`."
            }
            Self::Configured => {
                "Correct the parameter that the exit reason names, then \
                 `crm_resource --cleanup --resource RSC`. PostgreSQL's data is untouched."
            }
            Self::NotRunning => {
                "Nothing, if it was stopped on purpose. Otherwise see why in PostgreSQL's own log."
            }
            Self::FailedPromoted => {
                "See `pgtwin status` for who took over, and PostgreSQL's own log for the cause. \
                 Pacemaker starts the instance again, and it follows the new primary if its data \
                 fits, and else it is brought back: see docs/recovery.md."
            }
            Self::Degraded | Self::DegradedPromoted => {
                "Read the exit reason in crm_mon -1 and `pgtwin status`, at leisure: the service \
                 runs, but it may not survive the next failure."
            }
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.code())
    }
}

/// The text of `docs/exit-codes.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Exit codes\n\n\
         This page is made from `src/ocf/exit_code.rs`; change it there.\n\n\
         An action ends with one number. Pacemaker acts on the number, the operator reads the \
         exit reason\nthat comes with it: one line in `crm_mon -1` and in `pgtwin status` that \
         says what was attempted, on\nwhat, and what to do next.\n\n\
         Two rules hold for every action. `stop` and a probe never fail because of the \
         configuration. And a\ncondition that differs between nodes or that may heal is never \
         answered with 6, because a 6 from one\nnode stops the resource on all of them.\n\n\
         | code | name | in short |\n|---|---|---|\n",
    );
    for code in ExitCode::ALL {
        let short = code.meaning().split(['.', ':']).next().unwrap_or_default();
        let _ = writeln!(text, "| {} | `{}` | {short} |", code.code(), code.name());
    }
    for code in ExitCode::ALL {
        let _ = write!(
            text,
            "\n## {} {}\n\n{}\n\n- **Pacemaker:** {}\n- **You:** {}\n",
            code.code(),
            code.name(),
            code.meaning(),
            code.pacemaker(),
            code.operator()
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_ocf_and_pacemaker() {
        let numbers: Vec<u8> = ExitCode::ALL.into_iter().map(ExitCode::code).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 190, 191]);
    }

    #[test]
    fn every_number_finds_its_code_and_others_find_none() {
        for code in ExitCode::ALL {
            assert_eq!(ExitCode::from_code(i32::from(code.code())), Some(code));
        }
        for number in [-1, 10, 189, 192, 256, i32::MAX] {
            assert_eq!(ExitCode::from_code(number), None, "{number}");
        }
    }

    #[test]
    fn the_page_names_every_code_and_says_what_to_do() {
        let page = markdown();
        for code in ExitCode::ALL {
            assert!(page.contains(&format!("## {} {}", code.code(), code.name())));
            for part in [code.meaning(), code.pacemaker(), code.operator()] {
                assert!(part.len() > 5 && page.contains(part), "{code}");
            }
        }
    }
}
