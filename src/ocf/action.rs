//! The actions that Pacemaker or an operator may ask for, and the times suggested for them.
//! Floor 0.

use std::fmt;
use std::str::FromStr;

/// One action of the agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Starts PostgreSQL, always as a standby first.
    Start,
    /// Stops PostgreSQL and proves that nothing of it is left.
    Stop,
    /// Makes this node's instance the primary.
    Promote,
    /// Makes the primary a standby.
    Demote,
    /// Reports what runs here; also a probe, when its interval is 0.
    Monitor,
    /// Takes note of what the cluster does or has done.
    Notify,
    /// Checks the parameters, and what they name on this node.
    ValidateAll,
    /// Takes over changed parameters without touching the instance.
    ReloadAgent,
    /// Checks that pg_hba.conf lets this cluster's members in.
    ValidatePghba,
    /// Prints the meta-data.
    MetaData,
    /// Prints how the agent is called.
    Usage,
}

/// The agent does not know this action: the answer is exit code 3.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{action:?} is not an action of pgtwin; it knows {}", known())]
pub struct UnknownAction {
    action: String,
}

/// The role whose recurring monitor a suggestion is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The primary.
    Promoted,
    /// A standby.
    Unpromoted,
}

impl Role {
    /// OCF 1.1's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::Unpromoted => "Unpromoted",
        }
    }
}

/// An `<action>` of the meta-data: what tools put into a new resource's operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The action.
    pub action: Action,
    /// How long Pacemaker should wait for it, in seconds.
    pub timeout_s: u32,
    /// How often, in seconds; recurring actions only.
    pub interval_s: Option<u32>,
    /// For which role; recurring monitors only.
    pub role: Option<Role>,
    /// How thorough (`OCF_CHECK_LEVEL`); monitors only.
    pub depth: Option<u32>,
}

impl Action {
    /// All actions, in the order in which the meta-data lists them.
    pub const ALL: [Self; 11] = [
        Self::Start,
        Self::Stop,
        Self::Promote,
        Self::Demote,
        Self::Monitor,
        Self::Notify,
        Self::ReloadAgent,
        Self::ValidateAll,
        Self::ValidatePghba,
        Self::MetaData,
        Self::Usage,
    ];

    /// The word by which it is asked for.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Promote => "promote",
            Self::Demote => "demote",
            Self::Monitor => "monitor",
            Self::Notify => "notify",
            Self::ValidateAll => "validate-all",
            Self::ReloadAgent => "reload-agent",
            Self::ValidatePghba => "validate-pghba",
            Self::MetaData => "meta-data",
            Self::Usage => "usage",
        }
    }

    /// Whether it can answer without a resource, its parameters or PostgreSQL.
    pub const fn needs_no_resource(self) -> bool {
        match self {
            Self::MetaData | Self::Usage => true,
            Self::Start
            | Self::Stop
            | Self::Promote
            | Self::Demote
            | Self::Monitor
            | Self::Notify
            | Self::ValidateAll
            | Self::ReloadAgent
            | Self::ValidatePghba => false,
        }
    }
}

/// The suggestions of the meta-data. Two monitors of one resource must differ in their interval.
/// What only people ask for (validate-pghba, usage) is not among them: pcs would write it into every
/// cluster's configuration as an operation of its own.
pub const SUGGESTIONS: &[Suggestion] = &[
    once(Action::Start, 120),
    once(Action::Stop, 120),
    once(Action::Promote, 120),
    once(Action::Demote, 120),
    recurring(3, Role::Promoted),
    recurring(8, Role::Unpromoted),
    once(Action::Notify, 90),
    once(Action::ReloadAgent, 30),
    once(Action::ValidateAll, 20),
    once(Action::MetaData, 5),
];

const fn once(action: Action, timeout_s: u32) -> Suggestion {
    Suggestion { action, timeout_s, interval_s: None, role: None, depth: None }
}

const fn recurring(interval_s: u32, role: Role) -> Suggestion {
    Suggestion {
        action: Action::Monitor,
        timeout_s: 60,
        interval_s: Some(interval_s),
        role: Some(role),
        depth: Some(0),
    }
}

impl FromStr for Action {
    type Err = UnknownAction;

    fn from_str(text: &str) -> Result<Self, UnknownAction> {
        Self::ALL
            .into_iter()
            .find(|action| action.name() == text)
            .ok_or_else(|| UnknownAction { action: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn known() -> String {
    let names: Vec<&str> = Action::ALL.into_iter().map(Action::name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_found_by_its_name() {
        for action in Action::ALL {
            assert_eq!(action.name().parse(), Ok(action));
        }
    }

    #[test]
    fn an_unknown_action_is_an_error_that_lists_the_known_ones() {
        for word in ["", "Start", "start ", "reload", "status", "migrate_to", "start\n", "\0"] {
            let error = word.parse::<Action>().err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains("validate-pghba"), "{word:?}: {error}");
        }
        let long = "x".repeat(65_536).parse::<Action>().err().map(|e| e.to_string());
        assert!(long.is_some_and(|text| text.len() < 300));
    }

    #[test]
    fn every_action_of_pacemaker_has_a_suggestion_and_recurring_intervals_differ() {
        for action in Action::ALL {
            let people_only = matches!(action, Action::ValidatePghba | Action::Usage);
            assert_eq!(SUGGESTIONS.iter().any(|s| s.action == action), !people_only, "{action}");
        }
        let mut intervals: Vec<u32> = SUGGESTIONS.iter().filter_map(|s| s.interval_s).collect();
        let count = intervals.len();
        intervals.sort_unstable();
        intervals.dedup();
        assert_eq!((count, intervals.len()), (2, 2));
    }
}
