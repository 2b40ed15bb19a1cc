//! What becomes of a container of our name: before a start, and after the end of its server. Floor 1.
//!
//! What the engine says of a container proves nothing about processes: those are found on the host. It says
//! only whether the name is free, and whose the container is.

use std::fmt;

use crate::cluster::known::Known;

/// In which state the engine sees a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It was made and never started, or its start is under way.
    Created,
    /// It runs.
    Running,
    /// It runs and stands still: its processes are frozen.
    Paused,
    /// It has ended.
    Exited {
        /// The exit code of its first process; 128 and a signal's number where one ended it.
        code: i64,
        /// It met its limit of memory, by the engine's word: not every kernel tells.
        out_of_memory: bool,
    },
    /// The engine is at work on it, or calls it something else: by this word.
    Other(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("was made and not started"),
            Self::Running => f.write_str("runs"),
            Self::Paused => f.write_str("is paused"),
            Self::Exited { out_of_memory: true, .. } => f.write_str("was out of memory"),
            Self::Exited { code, out_of_memory: false } => write!(f, "ended with code {code}"),
            Self::Other(word) => write!(f, "is {word}"),
        }
    }
}

/// Whose a container is, by its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of this resource.
    Ours,
    /// Of another resource of pgtwin's.
    AnothersOf(String),
    /// pgtwin has not made it.
    Nobodys,
}

/// A container that has the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose it is.
    pub whose: Whose,
    /// What it does.
    pub state: State,
}

/// What a start does about it. No process of the instance is there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Before {
    /// The name is free.
    Start,
    /// It is removed first; with a remark where its end was out of the ordinary.
    RemoveFirst(Option<String>),
    /// Nothing is started, for this reason.
    Refuse(String),
}

/// Before a start under this name.
pub fn before_start(name: &str, found: &Known<Option<Named>>) -> Before {
    let named = match found {
        Known::Unknown(why) => {
            return Before::Refuse(format!(
                "cannot start the container {name}, for what there is of it is not known: {why}"
            ));
        }
        Known::Known(None) => return Before::Start,
        Known::Known(Some(named)) => named,
    };
    match (&named.whose, &named.state) {
        (Whose::Nobodys, _) => Before::Refuse(format!(
            "a container {name} exists that pgtwin has not made: rename it, or set container_name"
        )),
        (Whose::AnothersOf(resource), _) => Before::Refuse(format!(
            "the container {name} belongs to the resource {resource}: set container_name for one of them"
        )),
        (Whose::Ours, State::Exited { out_of_memory: true, .. }) => Before::RemoveFirst(Some(
            format!("the container {name} had met its limit of memory: see container_memory"),
        )),
        (
            Whose::Ours,
            State::Created | State::Exited { out_of_memory: false, .. } | State::Other(_),
        ) => Before::RemoveFirst(None),
        // Its server is gone, and its first process not yet, or it was paused in its end.
        (Whose::Ours, State::Running | State::Paused) => Before::RemoveFirst(Some(format!(
            "the container {name} {} although its server is gone: it is removed",
            named.state
        ))),
    }
}

/// Whether a container of the name is removed after its server's end, which is proven.
#[must_use]
pub fn is_removed_after_end(found: &Known<Option<Named>>) -> bool {
    match found {
        // What there is stays, until the next start.
        Known::Unknown(_) | Known::Known(None) => false,
        Known::Known(Some(named)) => match (&named.whose, &named.state) {
            (Whose::Nobodys | Whose::AnothersOf(_), _) => false,
            (
                Whose::Ours,
                State::Created
                | State::Running
                | State::Paused
                | State::Exited { .. }
                | State::Other(_),
            ) => true,
        },
    }
}

/// Which of these containers are of programs (`name-PID-COUNT`) whose process is gone, so that nobody removes
/// them: an engine that hung has made them afterwards, or did not remove them in time. `names`: all of this
/// instance's.
#[must_use]
pub fn left_behind(
    name: &str,
    names: &[String],
    mut is_gone: impl FnMut(i32) -> bool,
) -> Vec<String> {
    let mut is_left = |one: &str| {
        let numbers = one.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        let Some((pid, count)) = numbers.and_then(|rest| rest.split_once('-')) else {
            return false;
        };
        let (Ok(pid), Ok(_)) = (pid.parse::<i32>(), count.parse::<u32>()) else { return false };
        pid > 0 && is_gone(pid)
    };
    names.iter().filter(|one| is_left(one)).cloned().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn found(whose: Whose, state: State) -> Known<Option<Named>> {
        Known::Known(Some(Named { whose, state }))
    }

    #[test]
    fn before_a_start_the_name_is_free_or_becomes_free_or_nothing_is_started() {
        use State::{Created, Exited, Other, Paused, Running};
        let killed = || Exited { code: 137, out_of_memory: false };
        let no_memory = || Exited { code: 137, out_of_memory: true };
        let rows = [
            ("nothing there", Known::Known(None), "start"),
            ("engine down", Known::unknown("docker gave no answer"), "refuse: is not known"),
            ("removed by hand meanwhile", Known::Known(None), "start"),
            ("ours, ended", found(Whose::Ours, killed()), "remove"),
            ("ours, out of memory", found(Whose::Ours, no_memory()), "remove: limit of memory"),
            ("ours, never started", found(Whose::Ours, Created), "remove"),
            ("ours, its init lives on", found(Whose::Ours, Running), "remove: runs"),
            ("ours, paused in its end", found(Whose::Ours, Paused), "remove: is paused"),
            ("ours, being removed", found(Whose::Ours, Other("removing".into())), "remove"),
            ("somebody's, ended", found(Whose::Nobodys, killed()), "refuse: not made"),
            ("somebody's, running", found(Whose::Nobodys, Running), "refuse: not made"),
            (
                "of another resource",
                found(Whose::AnothersOf("b".into()), Running),
                "refuse: resource b",
            ),
        ];
        for (name, found, expected) in rows {
            let (what, words) = expected.split_once(": ").unwrap_or((expected, ""));
            let (is, says) = match before_start("pg", &found) {
                Before::Start => ("start", String::new()),
                Before::RemoveFirst(remark) => ("remove", remark.unwrap_or_default()),
                Before::Refuse(why) => ("refuse", why),
            };
            assert_eq!(is, what, "{name}");
            assert!(says.contains(words) && says.is_empty() == words.is_empty(), "{name}: {says}");
        }
    }

    #[test]
    fn left_behind_is_a_programs_container_whose_process_is_gone() {
        for (one, left) in [
            ("pg-7-1", true),
            ("pg-7-12", true),
            ("pg-8-1", false),
            ("pg", false),
            ("pg-7", false),
            ("pg-7-", false),
            ("pg-7-x", false),
            ("pg--7-1", false),
            ("pg-0-1", false),
            ("pg-99999999999-1", false),
            ("pg-2-7-1", false),
            ("pgx-7-1", false),
            ("qg-7-1", false),
            ("", false),
        ] {
            let found = left_behind("pg", &[one.to_owned()], |pid| pid != 8);
            assert_eq!(found == [one], left, "{one}");
        }
    }

    #[test]
    fn only_our_own_container_is_removed() {
        let ended = || State::Exited { code: 0, out_of_memory: false };
        for (found, removed) in [
            (Known::Known(None), false),
            (Known::unknown("no answer"), false),
            (found(Whose::Ours, ended()), true),
            (found(Whose::Ours, State::Running), true),
            (found(Whose::Ours, State::Paused), true),
            (found(Whose::Ours, State::Created), true),
            (found(Whose::Ours, State::Other("stopping".into())), true),
            (found(Whose::Nobodys, ended()), false),
            (found(Whose::AnothersOf("b".into()), ended()), false),
        ] {
            assert_eq!(is_removed_after_end(&found), removed, "{found:?}");
        }
    }
}
