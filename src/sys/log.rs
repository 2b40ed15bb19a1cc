//! Where log lines go: to the terminal when run by hand; under Pacemaker to syslog and the cluster's
//! log file, as OCF agents do. Nothing here waits, and nothing here fails an action. Floor 2.
//!
//! `error!` and `warn!` keep their names, `info!` is a *notice* (something changed: one line a
//! decision), `debug!` and `trace!` are seen only when `HA_debug` asks for them. Spans are ignored.

mod line;
mod sink;

use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

pub use line::{exit_reason_line, fits_as_reason, one_line, write_exit_reason};
pub use sink::Facility;

use line::{Moment, Priority};
use sink::{LogFile, Syslog};

/// Where to log, as the environment says. See `Settings::from_env`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The resource's name, for the tag `pgtwin(RSC)[pid]`.
    pub instance: Option<String>,
    /// Syslog, with this facility.
    pub facility: Option<Facility>,
    /// Files to append to.
    pub files: Vec<PathBuf>,
    /// Files to append to, debug lines included.
    pub debug_files: Vec<PathBuf>,
    /// Standard error.
    pub stderr: bool,
    /// Whether debug lines are wanted.
    pub debug: bool,
}

impl Settings {
    /// Reads `OCF_RESOURCE_INSTANCE`, `HA_LOGFACILITY`, `HA_LOGFILE`, `HA_DEBUGLOG` and `HA_debug`.
    /// On a terminal, or when none of them names a place, the place is standard error, and no other.
    pub fn from_env(env: impl Fn(&str) -> Option<String>, stderr_is_terminal: bool) -> Self {
        let get = |name| env(name).filter(|value| !value.is_empty() && value != "none");
        let debug = get("HA_debug").is_some_and(|v| !matches!(v.as_str(), "0" | "no" | "off"));
        let file = |name| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let (log, debug_log) = (file("HA_LOGFILE"), file("HA_DEBUGLOG"));
        let mut settings = Self {
            instance: get("OCF_RESOURCE_INSTANCE"),
            facility: get("HA_LOGFACILITY").map(|name| Facility::named(&name)),
            files: log.into_iter().filter(|path| Some(path) != debug_log.as_ref()).collect(),
            debug_files: debug_log.into_iter().collect(),
            stderr: false,
            debug,
        };
        let nowhere = settings.facility.is_none()
            && settings.files.is_empty()
            && settings.debug_files.is_empty();
        if stderr_is_terminal || nowhere {
            settings.facility = None;
            settings.files.clear();
            settings.debug_files.clear();
            settings.stderr = true;
        }
        settings
    }
}

/// Opens the places and takes the events of this process from now on. What can't be opened is left
/// out without a word. Only the first call counts.
pub fn init(settings: &Settings) {
    // An error means that there is a subscriber already.
    let _ = tracing::subscriber::set_global_default(Logger::open(settings));
}

/// Turns events into lines.
#[derive(Debug)]
pub struct Logger {
    tag: String,
    debug: bool,
    stderr: bool,
    syslog: Option<Syslog>,
    files: Vec<LogFile>,
    debug_files: Vec<LogFile>,
}

impl Logger {
    /// Opens the places, while we still are who we are at the start.
    pub fn open(settings: &Settings) -> Self {
        let open = |paths: &[PathBuf]| paths.iter().filter_map(|p| LogFile::open(p)).collect();
        Self {
            tag: line::tag(settings.instance.as_deref(), std::process::id()),
            debug: settings.debug,
            stderr: settings.stderr,
            syslog: settings.facility.and_then(Syslog::open),
            files: open(&settings.files),
            debug_files: open(&settings.debug_files),
        }
    }

    fn write(&self, priority: Priority, text: &str) {
        let label = priority.label();
        if self.stderr {
            // Pacemaker listens there for the reason of our exit.
            sink::to_stderr(&format!("pgtwin: {label}: {}\n", line::no_reason(text)));
        }
        if let Some(syslog) = &self.syslog {
            syslog.send(priority, &format!("{}: {label}: {text}", self.tag));
        }
        let files = self.files.iter().filter(|_| priority != Priority::Debug);
        let mut stamp = None;
        for file in files.chain(&self.debug_files) {
            let stamp = stamp.get_or_insert_with(|| now().of_file());
            file.append(&format!("{stamp} {}:    {label}: {text}\n", self.tag));
        }
    }
}

fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::local(i64::try_from(since.as_secs()).unwrap_or_default())
}

impl Subscriber for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next() == Some("pgtwin");
        ours && metadata.is_event() && (self.debug || *metadata.level() <= Level::INFO)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if self.debug { LevelFilter::TRACE } else { LevelFilter::INFO })
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        text.message.push_str(&text.fields);
        self.write(Priority::of(*event.metadata().level()), &one_line(&text.message, line::MAX));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The message of an event, and its other fields as ` name=value`.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn settings(env: &[(&str, &str)], terminal: bool) -> Settings {
        let get =
            |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        Settings::from_env(get, terminal)
    }

    #[test]
    fn under_pacemaker_it_goes_to_syslog_and_the_clusters_file_and_not_to_stderr() {
        let env = [
            ("OCF_RESOURCE_INSTANCE", "db:0"),
            ("HA_LOGFACILITY", "local3"),
            ("HA_LOGFILE", "/var/log/pacemaker/pacemaker.log"),
        ];
        let seen = settings(&env, false);
        assert_eq!(
            seen,
            Settings {
                instance: Some("db:0".into()),
                facility: Some(Facility::named("local3")),
                files: vec!["/var/log/pacemaker/pacemaker.log".into()],
                debug_files: vec![],
                stderr: false,
                debug: false,
            }
        );
    }

    #[test]
    fn by_hand_it_goes_to_stderr_alone() {
        for (env, terminal) in [
            (&[][..], false),
            (&[][..], true),
            (&[("HA_LOGFACILITY", "daemon"), ("HA_LOGFILE", "/x")][..], true),
            (&[("HA_LOGFACILITY", "none"), ("HA_LOGFILE", "")][..], false),
            (&[("HA_LOGFILE", "relative/path")][..], false),
        ] {
            let seen = settings(env, terminal);
            assert!(seen.stderr && seen.facility.is_none() && seen.files.is_empty(), "{env:?}");
        }
    }

    #[test]
    fn one_file_named_twice_gets_each_line_once() {
        let seen =
            settings(&[("HA_LOGFILE", "/l"), ("HA_DEBUGLOG", "/l"), ("HA_debug", "1")], false);
        assert_eq!((seen.files.len(), seen.debug_files.len(), seen.debug), (0, 1, true));
        for off in ["0", "no", "off", "", "none"] {
            assert!(!settings(&[("HA_debug", off)], false).debug, "{off:?}");
        }
    }
}
