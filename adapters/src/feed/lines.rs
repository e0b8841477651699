//! `Lines`: the lines of a text file, plain or gzip, UTF-8 or UTF-16, out of one big buffer.
//!
//! ```text
//! Origin (counts bytes) --> [gunzip] --> [UTF-16 to bytes] --> buffer [ done | line | line | part.. ] --> &[u8]
//! ```
//!
//! A line is borrowed from the buffer; nothing is allocated after `new`. What was read before a failure is
//! delivered before the failure is, and nothing is behind it.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use super::scan;

/// Longest line, in bytes, without its end.
pub(super) const LINE_BYTES_MAX: usize = 4096;

const BUFFER_BYTES: usize = 128 * 1024;
const COMPRESSED_BYTES: usize = 32 * 1024;
const WIDE_BYTES: usize = 32 * 1024;

/// Why there are no more lines.
#[derive(Debug)]
pub(super) enum LinesError {
    /// The line after the last one has more than [`LINE_BYTES_MAX`] bytes.
    TooLong,
    /// The gzip data ends before it is complete.
    GzipTruncated,
    /// The gzip data is damaged, or followed by something else.
    GzipDamaged(String),
    /// UTF-16 text ends in the middle of a character.
    HalfCharacter,
    /// The text has an encoding or a wrapping that is not read here; its name and how to get rid of it.
    Unsupported(&'static str, &'static str),
    /// The file could not be read.
    Unreadable(io::Error),
}

/// Beginnings of files that are something else: the bytes, what they mean, and the way out.
const FOREIGN: &[(&[u8], &str, &str)] = &[
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it with `zstd -d`, or compress it with gzip"),
    (b"\xfd7zX", "compressed with xz", "unpack it with `xz -d`, or compress it with gzip"),
    (b"BZh", "compressed with bzip2", "unpack it with `bzip2 -d`, or compress it with gzip"),
    (b"\xfe\xff", "UTF-16 text with the high byte first", "save it as UTF-8"),
];

/// The bytes of the file: counts them, and remembers whether it was reading that failed.
struct Origin {
    reader: Box<dyn Read + Send>,
    head: [u8; 2],
    head_at: usize,
    head_len: usize,
    taken: u64,
    failed: bool,
}

impl Read for Origin {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.head_at < self.head_len {
            let count = into.len().min(self.head_len - self.head_at);
            into[..count].copy_from_slice(&self.head[self.head_at..self.head_at + count]);
            self.head_at += count;
            return Ok(count);
        }
        let read = self.reader.read(into);
        match &read {
            Ok(count) => self.taken += *count as u64,
            Err(error) => self.failed = error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}

enum Source {
    Plain(Origin),
    Gzip(Box<MultiGzDecoder<BufReader<Origin>>>),
}

impl Source {
    /// A source over the reader, unpacked if its first two bytes are those of gzip (RFC 1952, section 2.3.1).
    fn open(reader: Box<dyn Read + Send>) -> (Self, Option<LinesError>) {
        let mut origin = Origin { reader, head: [0; 2], head_at: 0, head_len: 0, taken: 0, failed: false };
        let mut head = [0; 2];
        let (head_len, failure) = read_full(&mut origin, &mut head);
        (origin.head, origin.head_len) = (head, head_len);
        let failure = failure.map(LinesError::Unreadable);
        if head_len == 2 && head == [0x1f, 0x8b] {
            let buffered = BufReader::with_capacity(COMPRESSED_BYTES, origin);
            (Self::Gzip(Box::new(MultiGzDecoder::new(buffered))), failure)
        } else {
            (Self::Plain(origin), failure)
        }
    }

    const fn is_gzip(&self) -> bool {
        matches!(self, Self::Gzip(_))
    }

    fn origin(&self) -> &Origin {
        match self {
            Self::Plain(origin) => origin,
            Self::Gzip(decoder) => decoder.get_ref().get_ref(),
        }
    }

    /// Bytes of the file that were unpacked, or given out as they are.
    fn bytes_taken(&self) -> u64 {
        match self {
            Self::Plain(origin) => origin.taken,
            Self::Gzip(decoder) => {
                decoder.get_ref().get_ref().taken - decoder.get_ref().buffer().len() as u64
            }
        }
    }

    fn explain(&self, error: io::Error) -> LinesError {
        if self.origin().failed || !self.is_gzip() {
            LinesError::Unreadable(error)
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            LinesError::GzipTruncated
        } else {
            LinesError::GzipDamaged(error.to_string())
        }
    }
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(origin) => origin.read(into),
            Self::Gzip(decoder) => decoder.read(into),
        }
    }
}

/// Reads until `into` is full or nothing follows: how much it read, and what stopped it if not the end.
fn read_full(reader: &mut impl Read, into: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut len = 0;
    while len < into.len() {
        match reader.read(&mut into[len..]) {
            Ok(0) => break,
            Ok(count) => len += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (len, Some(error)),
        }
    }
    (len, None)
}

/// UTF-16 in, one byte a character out.
struct Wide {
    raw: Box<[u8]>,
    half: Option<u8>,
}

impl Wide {
    /// Appends the characters of `raw[..len]`; those beyond ASCII, which no field can hold, as `?`.
    fn narrow(&mut self, len: usize, into: &mut [u8]) -> usize {
        let mut written = 0;
        for &byte in &self.raw[..len] {
            match self.half.take() {
                None => self.half = Some(byte),
                Some(low) => {
                    into[written] = if byte == 0 && low.is_ascii() { low } else { b'?' };
                    written += 1;
                }
            }
        }
        written
    }
}

/// The lines of a text.
pub(super) struct Lines {
    source: Source,
    wide: Option<Wide>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Bytes that had been taken of the file when the buffer was filled.
    taken_before: u64,
    number: u64,
    ended: bool,
    failure: Option<LinesError>,
}

impl Lines {
    /// The lines that this reader holds. A failure at the very start is told by the first [`Self::next`].
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        let (source, failure) = Source::open(reader);
        let mut lines = Self {
            source,
            wide: None,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            taken_before: 0,
            number: 0,
            ended: failure.is_some(),
            failure,
        };
        if !lines.ended {
            lines.look_at_the_beginning();
        }
        lines
    }

    fn look_at_the_beginning(&mut self) {
        let mut head = [0; 4];
        let (len, error) = read_full(&mut self.source, &mut head);
        let mut head = &head[..len];
        if let Some(error) = error {
            self.failure = Some(self.source.explain(error));
            self.ended = true;
        } else if let Some((_, what, way_out)) = FOREIGN.iter().find(|(magic, ..)| head.starts_with(magic)) {
            self.failure = Some(LinesError::Unsupported(what, way_out));
            self.ended = true;
            head = &[];
        }
        if let Some(rest) = head.strip_prefix(b"\xff\xfe") {
            let mut wide = Wide { raw: vec![0; WIDE_BYTES].into_boxed_slice(), half: None };
            wide.raw[..rest.len()].copy_from_slice(rest);
            self.end = wide.narrow(rest.len(), &mut self.buffer);
            self.wide = Some(wide);
        } else {
            let rest = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
            self.buffer[..rest.len()].copy_from_slice(rest);
            self.end = rest.len();
        }
    }

    /// The next line without its end (LF or CRLF), or `None` after the last one.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, LinesError> {
        let mut searched = self.start;
        loop {
            let found = scan::first(&self.buffer[searched..self.end], b'\n').map(|at| searched + at);
            let line_end = match found {
                Some(at) => at,
                None if self.ended => {
                    if let Some(failure) = self.failure.take() {
                        self.start = self.end;
                        return Err(failure);
                    }
                    if self.start == self.end {
                        return Ok(None);
                    }
                    self.end
                }
                None if self.end - self.start > LINE_BYTES_MAX => self.end,
                None => {
                    searched = self.end - self.start;
                    self.fill();
                    continue;
                }
            };
            let line = self.start..line_end;
            if line.len() > LINE_BYTES_MAX {
                self.close();
                return Err(LinesError::TooLong);
            }
            self.start = if found.is_some() { line_end + 1 } else { line_end };
            self.number += 1;
            let line = &self.buffer[line];
            return Ok(Some(line.strip_suffix(b"\r").unwrap_or(line)));
        }
    }

    /// Gives no further line.
    pub(super) fn close(&mut self) {
        (self.start, self.ended, self.failure) = (self.end, true, None);
    }

    /// Moves the unfinished line to the front of the buffer and reads on behind it.
    #[cold]
    fn fill(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.end, self.start) = (self.end - self.start, 0);
        self.taken_before = self.source.bytes_taken();
        let free = &mut self.buffer[self.end..];
        let read = match &mut self.wide {
            None => self.source.read(free),
            Some(wide) => {
                let most = wide.raw.len().min(free.len());
                self.source.read(&mut wide.raw[..most])
            }
        };
        match read {
            Ok(0) => {
                self.ended = true;
                if self.wide.as_ref().is_some_and(|wide| wide.half.is_some()) {
                    self.failure = Some(LinesError::HalfCharacter);
                }
            }
            Ok(count) => {
                self.end += self.wide.as_mut().map_or(count, |wide| wide.narrow(count, free));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.failure = Some(self.source.explain(error));
                self.ended = true;
            }
        }
    }

    /// Number of the line that was returned last, from 1.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file that the lines so far are made of, before unpacking: of those in the buffer as large a share as
    /// was given out of it.
    pub(super) fn bytes_done(&self) -> f64 {
        let (before, taken) = (self.taken_before as f64, self.source.bytes_taken() as f64);
        let done = if self.end == 0 { 1.0 } else { self.start as f64 / self.end as f64 };
        before + (taken - before) * done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives its bytes a few at a time, with an interruption now and then, as a slow disk or a pipe does.
    struct Dripping {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
        interrupted: bool,
    }

    impl Read for Dripping {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let count = self.step.min(into.len()).min(self.bytes.len() - self.at);
            into[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
            self.at += count;
            Ok(count)
        }
    }

    fn all(reader: Box<dyn Read + Send>) -> (Vec<Vec<u8>>, Option<LinesError>) {
        let mut lines = Lines::new(reader);
        let mut found = Vec::new();
        loop {
            match lines.next() {
                Ok(Some(line)) => found.push(line.to_vec()),
                Ok(None) => return (found, None),
                Err(error) => return (found, Some(error)),
            }
        }
    }

    proptest! {
        #[test]
        fn lines_are_those_of_a_plain_split(text in "[ab\t]{0,40}(\n[ab\t]{0,40}){0,40}\n?", step in 1..50_usize) {
            let (found, error) = all(Box::new(Dripping { bytes: text.clone().into_bytes(), at: 0, step, interrupted: false }));
            prop_assert!(error.is_none());
            let expected: Vec<Vec<u8>> = text.lines().map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_file_larger_than_the_buffer_comes_out_whole() {
        let text: String = (0..40_000).map(|index| format!("line {index}\r\n")).collect();
        let (found, error) = all(Box::new(io::Cursor::new(text.into_bytes())));
        assert!(error.is_none());
        assert_eq!(found.len(), 40_000);
        assert!(found.iter().enumerate().all(|(index, line)| line == format!("line {index}").as_bytes()));
    }

    #[test]
    fn what_is_done_of_a_file_is_what_was_given_out_plain_packed_or_wide() {
        let text: String = (0..40_000).map(|index| format!("line {index:06}\n")).collect();
        let mut packed = flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast());
        let mut gzip = Vec::new();
        packed.read_to_end(&mut gzip).expect("packed");
        let wide = "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [text.into_bytes(), gzip, wide] {
            let all = bytes.len() as f64;
            let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)));
            for line in 1..=40_000 {
                lines.next().expect("readable").expect("a line");
                let (done, expected) = (lines.bytes_done() / all, f64::from(line) / 40_000.0);
                assert!((done - expected).abs() < 0.01, "{done} where {expected} is done");
            }
            assert!(lines.next().expect("readable").is_none());
            assert_eq!(lines.bytes_done(), all);
        }
    }

    #[test]
    fn a_failing_disk_is_told_from_bad_content() {
        struct Failing(usize);
        impl Read for Failing {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                self.0 += 1;
                if self.0 > 3 {
                    return Err(io::Error::other("input/output error"));
                }
                into[..2].copy_from_slice(b"x\n");
                Ok(2)
            }
        }
        let (found, error) = all(Box::new(Failing(0)));
        assert_eq!(found.len(), 3);
        assert!(matches!(error, Some(LinesError::Unreadable(_))), "{error:?}");
    }

    #[test]
    fn the_longest_line_passes_and_a_longer_one_does_not() {
        let line = |len: usize| [b"a\n".to_vec(), vec![b'x'; len], b"\nb\n".to_vec()].concat();
        let (found, error) = all(Box::new(io::Cursor::new(line(LINE_BYTES_MAX))));
        assert!(error.is_none() && found.len() == 3);
        for len in [LINE_BYTES_MAX + 1, 3 * BUFFER_BYTES] {
            let (found, error) = all(Box::new(io::Cursor::new(line(len))));
            assert!(matches!(error, Some(LinesError::TooLong)) && found.len() == 1, "{len}");
        }
    }
}
