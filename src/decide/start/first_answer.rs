//! How long `start` waits for the first answer of a server that it has started. Floor 1.

use std::time::Duration;

use super::speaks;
use crate::decide::facts::{Instance, Process, Sql};

/// How long it waits when nobody is there to follow: an election may be waiting.
const BRIEFLY: Duration = Duration::from_secs(1);
/// And where others may be promoted: nobody is, before this is over.
const A_MOMENT: Duration = Duration::from_millis(300);

/// Who starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Starts {
    /// It follows a live primary, or there is no cluster.
    pub follows: bool,
    /// Nobody but this node can be the primary.
    pub alone: bool,
    /// It was the primary, and has crashed a moment ago.
    pub barred: bool,
}

impl Starts {
    /// How long the first answer is waited for; none: as long as the action may take.
    #[must_use]
    pub fn patience(self) -> Option<Duration> {
        match (self.follows, self.alone) {
            (true, _) => None,
            (false, true) => Some(BRIEFLY),
            (false, false) => Some(A_MOMENT),
        }
    }

    /// A primary that has just crashed is not waited for at all once it replays: it first syncs its whole
    /// directory, which can take any time.
    fn replays(self, instance: &Instance) -> bool {
        let crashed = !self.follows && !self.alone && self.barred;
        crashed && matches!(instance.sql, Sql::Starting(_))
    }

    /// Whether the waiting is over. `late`: the patience is.
    #[must_use]
    pub fn is_over(self, instance: &Instance, late: bool) -> bool {
        let starting = matches!(instance.sql, Sql::Starting(_));
        let settled = speaks(&instance.sql) && !starting || instance.process == Process::None;
        settled || self.replays(instance) || late
    }

    /// Whether it then counts as out of time: a server that said nothing is asked until the action has to
    /// end (`ends`).
    #[must_use]
    pub fn out_of_time(self, instance: &Instance, late: bool, ends: bool) -> bool {
        self.replays(instance) || (speaks(&instance.sql) && late) || ends
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::decide::facts::DataDir;
    use crate::decide::support::{at_rest, in_recovery, running, writable};
    use crate::postgres::control_data::ClusterState;

    const fn starts(follows: bool, alone: bool, barred: bool) -> Starts {
        Starts { follows, alone, barred }
    }

    #[test]
    fn who_follows_waits_as_long_as_it_takes_and_who_may_be_overtaken_the_least() {
        for barred in [false, true] {
            assert_eq!(starts(true, false, barred).patience(), None);
            assert_eq!(starts(true, true, barred).patience(), None);
            assert_eq!(starts(false, true, barred).patience(), Some(BRIEFLY));
            assert_eq!(starts(false, false, barred).patience(), Some(A_MOMENT));
        }
    }

    #[test]
    fn an_answer_ends_the_waiting_and_silence_lasts_until_the_patience_is_over() {
        type Row<'a> = (&'a str, Starts, Instance, [(bool, bool); 2]);
        let up = |sql| running(ClusterState::InArchiveRecovery, sql);
        let replaying = || up(Sql::Starting("it replays".into()));
        let (follows, alone) = (starts(true, false, true), starts(false, true, true));
        let (others, crashed) = (starts(false, false, false), starts(false, false, true));
        // Over, and out of time: in its patience, and after it.
        let rows: [Row<'_>; 11] = [
            ("a standby answers", others, up(in_recovery()), [(true, false), (true, true)]),
            ("a primary does", others, up(writable()), [(true, false), (true, true)]),
            ("it is busy", others, up(Sql::Busy("x".into())), [(true, false), (true, true)]),
            ("it has ended", others, at_rest(DataDir::Absent), [(true, false), (true, false)]),
            ("it replays", others, replaying(), [(false, false), (true, true)]),
            ("it replays, and follows", follows, replaying(), [(false, false), (true, true)]),
            ("it replays, alone", alone, replaying(), [(false, false), (true, true)]),
            ("it crashed as the primary", crashed, replaying(), [(true, true), (true, true)]),
            ("and answers by now", crashed, up(in_recovery()), [(true, false), (true, true)]),
            ("it says nothing", others, up(Sql::Hung), [(false, false), (true, false)]),
            ("it refuses", others, up(Sql::Refused("x".into())), [(false, false), (true, false)]),
        ];
        for (name, who, instance, expected) in rows {
            let found = [false, true].map(|late| {
                (who.is_over(&instance, late), who.out_of_time(&instance, late, false))
            });
            assert_eq!(found, expected, "{name}");
            assert!(who.out_of_time(&instance, false, true), "{name}: the action ends");
        }
    }
}
