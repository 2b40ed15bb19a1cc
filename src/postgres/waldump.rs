//! WAL records as `pg_waldump` shows them, and where a record ends. Floor 0.
//!
//! Control data and pg_waldump give the *start* of a record; standbys report the *end* of what they
//! have. Source: PostgreSQL's `xlog_internal.h` for the headers of pages.

use super::control_data::ControlData;
use super::lsn::Lsn;

/// Bytes of the header of a page.
const SHORT_HEADER: u64 = 24;
/// Bytes of the header of the first page of a segment.
const LONG_HEADER: u64 = 40;
/// Records begin and end at multiples of this.
const ALIGNMENT: u64 = 8;

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub lsn: Lsn,
    /// Where its predecessor begins.
    pub prev: Lsn,
    /// Its length in bytes, without headers of pages and without padding.
    pub total_len: u32,
    /// The resource manager, as in `XLOG`.
    pub rmgr: String,
    /// Its kind and details, as in `CHECKPOINT_SHUTDOWN redo 0/2000028; tli 1; …`.
    pub desc: String,
}

/// How WAL is cut into segments and pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    segment_size: u64,
    block_size: u64,
}

/// The output has no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pg_waldump printed no record but {0:?}")]
pub struct NoRecord(String);

impl Record {
    /// Reads the first record of the output.
    pub fn parse(text: &str) -> Result<Self, NoRecord> {
        text.lines()
            .find_map(Self::of_line)
            .ok_or_else(|| NoRecord(text.trim().chars().take(120).collect()))
    }

    /// Reads one line; `None` if it is not a record.
    pub fn of_line(line: &str) -> Option<Self> {
        let (rmgr, rest) = line.strip_prefix("rmgr: ")?.split_once(" len (rec/tot):")?;
        let (lengths, rest) = rest.split_once(", tx:")?;
        let (_, rest) = rest.split_once(", lsn: ")?;
        let (lsn, rest) = rest.split_once(", prev ")?;
        let (prev, desc) = rest.split_once(", desc: ")?;
        Some(Self {
            lsn: lsn.parse().ok()?,
            prev: prev.parse().ok()?,
            total_len: lengths.split_once('/')?.1.trim().parse().ok()?,
            rmgr: rmgr.trim().to_owned(),
            desc: desc.trim().to_owned(),
        })
    }

    /// Whether it is what a primary writes last in an orderly shutdown.
    pub fn is_shutdown_checkpoint(&self) -> bool {
        self.rmgr == "XLOG" && self.kind() == "CHECKPOINT_SHUTDOWN"
    }

    /// Whether a client's write may have made it: all but what PostgreSQL writes about itself when a timeline begins,
    /// or a server starts and ends.
    pub fn may_be_a_write(&self) -> bool {
        match self.rmgr.as_str() {
            "XLOG" => !matches!(
                self.kind(),
                "END_OF_RECOVERY"
                    | "CHECKPOINT_SHUTDOWN"
                    | "CHECKPOINT_ONLINE"
                    | "CHECKPOINT_REDO"
                    | "PARAMETER_CHANGE"
                    | "FPW_CHANGE"
                    | "SWITCH"
                    | "NOOP"
            ),
            "Standby" => self.kind() != "RUNNING_XACTS",
            _ => true,
        }
    }

    /// Where it ends, as a standby that has replayed it reports its position.
    pub fn end(&self, geometry: Geometry) -> Lsn {
        let end = geometry.end_of_record(self.lsn, self.total_len);
        if self.rmgr == "XLOG" && self.kind() == "SWITCH" {
            // The rest of its segment belongs to it.
            geometry.segment_boundary_from(end)
        } else {
            end
        }
    }

    fn kind(&self) -> &str {
        self.desc.split_whitespace().next().unwrap_or_default()
    }
}

impl Geometry {
    /// Sizes in bytes; `None` when they are not powers of two with room for a page's header.
    pub fn new(segment_size: u32, block_size: u32) -> Option<Self> {
        let sound = segment_size.is_power_of_two()
            && block_size.is_power_of_two()
            && block_size >= 1024
            && block_size <= segment_size;
        sound.then(|| Self { segment_size: segment_size.into(), block_size: block_size.into() })
    }

    /// The sizes that a control file names.
    pub fn of(data: &ControlData) -> Option<Self> {
        Self::new(data.wal_segment_size, data.wal_block_size)
    }

    /// The end of a record of `total_len` bytes that begins at `lsn`: the position behind its
    /// padding. A record that fills its page ends at the beginning of the next one; one that would
    /// run beyond the largest position ends there.
    pub fn end_of_record(self, lsn: Lsn, total_len: u32) -> Lsn {
        let padded = |length: u64| length.div_ceil(ALIGNMENT).saturating_mul(ALIGNMENT);
        let mut at = self.skip_header(lsn.0);
        let mut left = padded(total_len.into());
        loop {
            let room = self.block_size.saturating_sub(self.offset(at));
            if left <= room {
                return Lsn(at.saturating_add(left));
            }
            left -= room;
            match at.checked_add(room) {
                Some(page) => at = self.skip_header(page),
                None => return Lsn::MAX,
            }
        }
    }

    /// Whether two positions bound the same bytes: they are equal, or one stands before and the
    /// other behind the header of a page.
    pub fn same_end(self, a: Lsn, b: Lsn) -> bool {
        self.canonical(a) == self.canonical(b)
    }

    /// The position with a bare page header before it taken off, so that ends of WAL can be
    /// compared as numbers.
    pub fn canonical(self, lsn: Lsn) -> Lsn {
        let offset = self.offset(lsn.0);
        let page = lsn.0.saturating_sub(offset);
        if offset == self.header(page) { Lsn(page) } else { lsn }
    }

    fn offset(self, at: u64) -> u64 {
        at & (self.block_size - 1)
    }

    fn header(self, page: u64) -> u64 {
        if page & (self.segment_size - 1) == 0 { LONG_HEADER } else { SHORT_HEADER }
    }

    fn skip_header(self, at: u64) -> u64 {
        let offset = self.offset(at);
        let page = at.saturating_sub(offset);
        page.saturating_add(offset.max(self.header(page)))
    }

    fn segment_boundary_from(self, lsn: Lsn) -> Lsn {
        Lsn(lsn.0.checked_next_multiple_of(self.segment_size).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use super::*;

    struct Captured {
        control: &'static str,
        records: &'static str,
        checkpoint: &'static str,
        identified: &'static str,
    }

    macro_rules! captured {
        ($version:literal) => {
            Captured {
                control: include_str!(concat!(
                    "../../tests/fixtures/postgres/",
                    $version,
                    "/control-shut-down.txt"
                )),
                records: include_str!(concat!(
                    "../../tests/fixtures/postgres/",
                    $version,
                    "/waldump.txt"
                )),
                checkpoint: include_str!(concat!(
                    "../../tests/fixtures/postgres/",
                    $version,
                    "/waldump-shutdown-checkpoint.txt"
                )),
                identified: include_str!(concat!(
                    "../../tests/fixtures/postgres/",
                    $version,
                    "/identify-after-clean-stop.txt"
                )),
            }
        };
    }

    const VERSIONS: [Captured; 4] =
        [captured!("13"), captured!("15"), captured!("17"), captured!("18")];

    fn lsn(text: &str) -> Lsn {
        text.parse().unwrap()
    }

    #[test]
    fn the_next_record_begins_where_one_ends_in_every_version() {
        for version in &VERSIONS {
            let geometry = Geometry::of(&ControlData::parse(version.control).unwrap()).unwrap();
            let records: Vec<Record> =
                version.records.lines().filter_map(Record::of_line).collect();
            assert_eq!(records.len(), version.records.lines().count());
            let (mut followed, mut pages, mut segments) = (0, 0, 0);
            for pair in records.windows(2).filter(|pair| pair[1].prev == pair[0].lsn) {
                let end = pair[0].end(geometry);
                assert!(geometry.same_end(end, pair[1].lsn), "{pair:?} {end}");
                followed += 1;
                pages += usize::from(end.0 / 8192 != pair[0].lsn.0 / 8192);
                segments += usize::from(end.0 >> 20 != pair[0].lsn.0 >> 20);
            }
            assert!(followed >= 10 && pages >= 5 && segments >= 2, "{followed} {pages} {segments}");
        }
    }

    #[test]
    fn a_standby_stands_at_the_end_of_the_shutdown_checkpoint_in_every_version() {
        for version in &VERSIONS {
            let control = ControlData::parse(version.control).unwrap();
            let record = Record::parse(version.checkpoint).unwrap();
            assert!(record.is_shutdown_checkpoint());
            assert_eq!(record.lsn, control.checkpoint);
            let end = record.end(Geometry::of(&control).unwrap());
            assert_eq!(version.identified.split('|').nth(2).unwrap(), end.to_string());
        }
    }

    #[test]
    fn headers_of_pages_and_segments_are_counted() {
        let geometry = Geometry::new(1 << 24, 8192).unwrap();
        for (from, length, end) in [
            ("0/2000028", 114, "0/20000A0"),
            ("0/2000028", 1, "0/2000030"),
            ("0/2001F88", 114, "0/2002000"),
            ("0/2001F90", 114, "0/2002020"),
            ("0/2001FF8", 26, "0/2002030"),
            ("0/2FFFF88", 114, "0/3000000"),
            ("0/2FFFF90", 114, "0/3000030"),
            ("0/2001F88", 120 + 8168, "0/2004000"),
            ("0/2001F88", 120 + 8169, "0/2004020"),
            // The header itself is never part of a record.
            ("0/2000000", 8, "0/2000030"),
            ("0/2002000", 8, "0/2002020"),
        ] {
            assert_eq!(geometry.end_of_record(lsn(from), length), lsn(end), "{from} {length}");
        }
        for at in [Lsn::MAX, Lsn(u64::MAX - 8191), Lsn(u64::MAX - 20_000)] {
            assert_eq!(geometry.end_of_record(at, u32::MAX), Lsn::MAX);
        }
    }

    #[test]
    fn positions_on_either_side_of_a_header_are_the_same_end() {
        let geometry = Geometry::new(1 << 24, 8192).unwrap();
        for (a, b, same) in [
            ("0/2002000", "0/2002000", true),
            ("0/2002000", "0/2002018", true),
            ("0/3000000", "0/3000028", true),
            ("0/3000000", "0/3000018", false),
            ("0/2002000", "0/2002028", false),
            ("0/2002000", "0/2002020", false),
            ("0/2002000", "0/2001FF8", false),
            ("0/2002018", "0/2004018", false),
        ] {
            assert_eq!(geometry.same_end(lsn(a), lsn(b)), same, "{a} {b}");
            assert_eq!(geometry.same_end(lsn(b), lsn(a)), same, "{b} {a}");
        }
    }

    #[test]
    fn a_switch_takes_the_rest_of_its_segment() {
        let geometry = Geometry::new(1 << 24, 8192).unwrap();
        let line = "rmgr: XLOG        len (rec/tot):     24/    24, tx:          0, \
                    lsn: 0/020000D8, prev 0/02000060, desc: SWITCH ";
        assert_eq!(Record::of_line(line).unwrap().end(geometry), lsn("0/3000000"));
    }

    #[test]
    fn what_postgresql_writes_about_itself_is_no_write() {
        let record = |rmgr: &str, desc: &str| {
            let line = format!(
                "rmgr: {rmgr} len (rec/tot): 24/24, tx: 0, lsn: 0/20000D8, prev 0/2000060, desc: {desc}"
            );
            Record::of_line(&line).unwrap()
        };
        for (rmgr, desc, written) in [
            ("XLOG", "END_OF_RECOVERY tli 2; prev tli 1; time 2026-11-28", false),
            ("XLOG", "CHECKPOINT_ONLINE redo 0/2000028; tli 2", false),
            ("XLOG", "FPI_FOR_HINT ", true),
            ("XLOG", "NEXTOID 24576", true),
            ("Standby", "RUNNING_XACTS nextXid 733", false),
            ("Standby", "LOCK xid 733", true),
            ("Transaction", "COMMIT 2026-11-28", true),
            ("Heap", "INSERT off 1", true),
            ("SomethingNew", "", true),
        ] {
            assert_eq!(record(rmgr, desc).may_be_a_write(), written, "{rmgr} {desc}");
        }
    }

    #[test]
    fn output_without_a_record_is_an_error() {
        for text in [
            "",
            "pg_waldump: error: could not find a valid record after 0/9000000",
            "rmgr: XLOG len (rec/tot): x/y, tx: 0, lsn: 0/1, prev 0/1, desc: z",
            "rmgr: XLOG len (rec/tot): 1/99999999999, tx: 0, lsn: 0/1, prev 0/1, desc: z",
        ] {
            assert!(Record::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn senseless_sizes_are_refused() {
        for (segment, block) in [(0, 8192), (1 << 24, 0), (1 << 24, 512), (8192, 16384), (3, 1024)]
        {
            assert_eq!(Geometry::new(segment, block), None, "{segment} {block}");
        }
    }
}
