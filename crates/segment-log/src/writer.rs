//! The side that appends.
//!
//! Whoever appends writes the record himself, under a lock; that costs less than asking
//! another thread to. Only the disk is waited for elsewhere: one thread syncs once for all
//! that wait.

mod segment;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::thread::JoinHandle;

use tokio::sync::{Notify, oneshot};

use crate::frame::encode;
use crate::{LogError, Position, identity, segment_path, segments};
use segment::Segment;

/// Records that may wait for the disk; beyond it the caller is told to come again.
const WAITING_MAX: usize = 4_096;

/// Whether an answer must wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Yes,
    /// Written, so that it survives the process, but maybe not the machine.
    No,
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Names the files (`<name>-00000001.log`) and stands in errors.
    pub name: &'static str,
    /// The newest segment is gone on with; else each opening begins a new one.
    pub go_on: bool,
    /// Bytes that all segments together may take; beyond it nothing is accepted.
    pub bytes_max: u64,
}

/// Appends records; clone freely.
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
    /// Before `_thread`, so that the channel is closed when the thread is joined.
    disk: Sender<Work>,
    _thread: Arc<Thread>,
}

struct Shared {
    dir: PathBuf,
    name: &'static str,
    identity: String,
    bytes_max: AtomicU64,
    /// Held while any clone lives: two writers would overwrite each other.
    _lock: File,
    segment: Mutex<Segment>,
    /// Records that wait for the disk.
    waiting: AtomicUsize,
    /// One of each reader that waits for more; those of readers that are gone are dropped.
    synced_more: Mutex<Vec<Weak<Notify>>>,
    /// End of what is on the disk for sure; nothing behind it is read.
    synced: Mutex<Position>,
    /// Bytes of all segments; corrected when old ones are removed.
    bytes: AtomicU64,
}

/// What the thread that syncs is asked for, in the order of the records.
enum Work {
    /// Nothing more is appended to this file, and maybe not all of it is on the disk.
    Closed(Arc<File>),
    /// Tells once everything written so far is on the disk.
    Tell(Tell),
}

type Tell = oneshot::Sender<Result<(), LogError>>;

/// Joined when the last clone goes, so that what was accepted is written and the lock free.
struct Thread(Option<JoinHandle<()>>);

impl Drop for Thread {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            let _ = thread.join();
        }
    }
}

impl Writer {
    /// Opens or makes the folder, locks it and cuts a torn tail off the newest segment.
    ///
    /// # Errors
    /// [`LogError::Locked`] when another process has it; otherwise when the folder cannot
    /// be made, or the newest segment cannot be read or written.
    pub fn open(dir: &Path, options: &Options) -> Result<Self, LogError> {
        let name = options.name;
        let io = |source| LogError::Io { doing: "open", name, path: dir.to_owned(), source };
        std::fs::create_dir_all(dir).map_err(io)?;
        let lock = File::create(dir.join("lock")).map_err(io)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LogError::Locked { name, path: dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let last = segments(dir, name).map_err(io)?.last().copied();
        let number = last.map_or(1, |last| if options.go_on { last } else { last + 1 });
        let segment = Segment::open(dir, name, number).map_err(io)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            name,
            identity: identity::of(dir).map_err(io)?,
            bytes_max: AtomicU64::new(options.bytes_max),
            _lock: lock,
            synced: Mutex::new(segment.end()),
            segment: Mutex::new(segment),
            waiting: AtomicUsize::new(0),
            synced_more: Mutex::default(),
            bytes: AtomicU64::new(size(dir, name).map_err(io)?),
        });
        let (disk, queue) = channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("{name}-disk"))
            .spawn(move || serve(&queue, &served))
            .map_err(io)?;
        Ok(Writer { shared, disk, _thread: Arc::new(Thread(Some(thread))) })
    }

    /// Appends one record; returns when it is written, and with [`Sync::Yes`] on the disk.
    ///
    /// # Errors
    /// When too many wait, the log is full, or the disk refuses. The record is not kept,
    /// except when it was written and only its way to the disk failed.
    pub async fn append(&self, payload: &[u8], sync: Sync) -> Result<(), LogError> {
        self.shared.has_room()?;
        let mut frame = Vec::with_capacity(payload.len() + 16);
        encode(payload, &mut frame);
        let told = self.write(&frame, sync).map_err(|source| self.shared.io(source))?;
        match told {
            None => Ok(()),
            Some(told) => told.await.unwrap_or(Err(LogError::Stopped { name: self.shared.name })),
        }
    }

    /// What comes back tells when it is on the disk.
    fn write(
        &self,
        frame: &[u8],
        sync: Sync,
    ) -> io::Result<Option<oneshot::Receiver<Result<(), LogError>>>> {
        let mut segment = self.shared.segment();
        if let Some(closed) = segment.turn()? {
            let _ = self.disk.send(Work::Closed(closed)); // it lives as long as this
        }
        segment.append(frame)?;
        self.shared.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        if sync == Sync::No {
            return Ok(None);
        }
        let (tell, told) = oneshot::channel();
        self.shared.waiting.fetch_add(1, Ordering::Relaxed);
        let _ = self.disk.send(Work::Tell(tell));
        Ok(Some(told))
    }

    /// Woken when more is on the disk: one for each reader, so that none takes another's wake-up.
    pub fn synced_more(&self) -> Arc<Notify> {
        let woken = Arc::new(Notify::new());
        let mut readers = self.shared.synced_more.lock().expect("no panic while held");
        readers.push(Arc::downgrade(&woken));
        woken
    }

    /// The end of what is written: everything appended from now on lies behind it.
    pub fn end(&self) -> Position {
        self.shared.segment().end()
    }

    /// From now on all segments together may take so many bytes.
    pub fn allow(&self, bytes_max: u64) {
        self.shared.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    /// Bytes of all segments, and how many they may be.
    pub fn fill(&self) -> (u64, u64) {
        let Shared { bytes, bytes_max, .. } = &*self.shared;
        (bytes.load(Ordering::Relaxed), bytes_max.load(Ordering::Relaxed))
    }

    /// The end of what is on the disk for sure.
    pub fn synced(&self) -> Position {
        *self.shared.synced.lock().expect("no panic while held")
    }

    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Names the folder for as long as it exists: a host that comes back with an empty disk
    /// has another.
    pub fn identity(&self) -> &str {
        &self.shared.identity
    }
}

impl Shared {
    /// Tells every reader that there is more.
    fn wake(&self) {
        let mut readers = self.synced_more.lock().expect("no panic while held");
        readers.retain(|reader| {
            reader.upgrade().is_some_and(|woken| {
                woken.notify_one();
                true
            })
        });
    }

    fn segment(&self) -> MutexGuard<'_, Segment> {
        self.segment.lock().expect("no panic while held")
    }

    fn has_room(&self) -> Result<(), LogError> {
        let (name, bytes_max) = (self.name, self.bytes_max.load(Ordering::Relaxed));
        if self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return Err(LogError::Busy { name, waiting: WAITING_MAX });
        }
        if self.bytes.load(Ordering::Relaxed) >= bytes_max {
            // Old segments may be gone by now.
            if let Ok(bytes) = size(&self.dir, name) {
                self.bytes.store(bytes, Ordering::Relaxed);
            }
            if self.bytes.load(Ordering::Relaxed) >= bytes_max {
                return Err(LogError::Full { name, bytes_max });
            }
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> LogError {
        LogError::Io { doing: "write", name: self.name, path: self.dir.clone(), source }
    }
}

fn size(dir: &Path, name: &str) -> io::Result<u64> {
    let mut bytes = 0;
    for number in segments(dir, name)? {
        bytes += std::fs::metadata(segment_path(dir, name, number)).map_or(0, |m| m.len());
    }
    Ok(bytes)
}

/// The thread that syncs.
fn serve(queue: &Receiver<Work>, shared: &Shared) {
    let (mut closed, mut waiting) = (Vec::new(), Vec::new());
    while let Ok(first) = queue.recv() {
        // Under the lock, so that a segment which was closed before this one is known of.
        let (file, end) = {
            let segment = shared.segment();
            take(std::iter::once(first).chain(queue.try_iter()), &mut closed, &mut waiting);
            (Arc::clone(&segment.file), segment.end())
        };
        let done = closed.iter().chain([&file]).try_for_each(|file| file.sync_data());
        match &done {
            Ok(()) => {
                closed.clear();
                *shared.synced.lock().expect("no panic while held") = end;
            }
            Err(_) => {
                // What the system dropped from its memory is not written by a second try, and
                // what was appended meanwhile stands behind the gap.
                let mut segment = shared.segment();
                segment.broken = true;
                take(queue.try_iter(), &mut closed, &mut waiting);
            }
        }
        shared.waiting.fetch_sub(waiting.len(), Ordering::Relaxed);
        for tell in waiting.drain(..) {
            let answer = match &done {
                Ok(()) => Ok(()),
                Err(error) => Err(shared.io(io::Error::new(error.kind(), error.to_string()))),
            };
            let _ = tell.send(answer); // the caller may have gone
        }
        shared.wake();
    }
}

fn take(work: impl Iterator<Item = Work>, closed: &mut Vec<Arc<File>>, waiting: &mut Vec<Tell>) {
    for work in work {
        match work {
            Work::Closed(file) => closed.push(file),
            Work::Tell(tell) => waiting.push(tell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PAYLOAD_BYTES_MAX, Reader};

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn what_many_append_is_read_back_over_several_segments() {
        const TASKS: u8 = 4;
        let dir = tempfile::tempdir().unwrap();
        let options = Options { name: "test", go_on: true, bytes_max: u64::MAX };
        let writer = Writer::open(dir.path(), &options).unwrap();
        // 24 records of 3 MB: a segment takes 64 MiB.
        let task = |task: u8| {
            let writer = writer.clone();
            tokio::spawn(async move {
                for n in 0..6 {
                    let payload = vec![task * 10 + n; PAYLOAD_BYTES_MAX];
                    let sync = if n % 2 == 0 { Sync::No } else { Sync::Yes };
                    writer.append(&payload, sync).await.unwrap();
                }
            })
        };
        for task in (0..TASKS).map(task).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let end = writer.synced();
        assert!(end.segment > 1, "each one's last record was waited for");
        let mut reader = Reader::new(dir.path(), "test", Position::default());
        let mut of_task = vec![Vec::new(); usize::from(TASKS)];
        loop {
            let batch = reader.next_batch(end).unwrap();
            if batch.is_empty() {
                break;
            }
            for payload in batch {
                of_task[usize::from(payload[0] / 10)].push(payload[0] % 10);
            }
        }
        assert!(of_task.iter().all(|of| *of == [0, 1, 2, 3, 4, 5]), "{of_task:?}");
    }
}
