//! A TCP proxy that misbehaves on command: between a process and its store.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::pause;

/// What it does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Pass,
    /// Each piece is held up for so long.
    Delay(Duration),
    /// Nothing arrives, and nothing says so.
    Blackhole,
}

/// Forwards a port of loopback to another.
pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// Milliseconds; 0 passes, `u64::MAX` is a black hole.
    mood: AtomicU64,
    /// Bytes that the next answer is cut off after; 0 for never.
    cut_after: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// # Panics
    /// When no port is free.
    pub fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            mood: AtomicU64::new(0),
            cut_after: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away refuses; so do we.
                if let Ok(server) = TcpStream::connect(("127.0.0.1", to)) {
                    join(client, server, &serving);
                }
            }
        });
        Proxy { port, shared }
    }

    pub fn be(&self, mood: Mood) {
        let millis = match mood {
            Mood::Pass => 0,
            Mood::Delay(span) => u64::try_from(span.as_millis()).expect("short"),
            Mood::Blackhole => u64::MAX,
        };
        self.shared.mood.store(millis, Ordering::SeqCst);
    }

    /// Ends every connection at once.
    pub fn cut(&self) {
        for stream in self.shared.open.lock().expect("no panic while held").drain(..) {
            let _ = stream.shutdown(Shutdown::Both); // it may be over
        }
    }

    /// Lets so many bytes of the next answer through, and ends its connection.
    pub fn cut_mid_answer(&self, bytes: usize) {
        self.shared.cut_after.store(bytes, Ordering::SeqCst);
    }
}

fn join(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let copies = [client.try_clone(), server.try_clone(), client.try_clone(), server.try_clone()];
    let [Ok(c1), Ok(s1), Ok(c2), Ok(s2)] = copies else { return };
    shared.open.lock().expect("no panic while held").extend([c1, s1]);
    let (there, back) = (Arc::clone(shared), Arc::clone(shared));
    std::thread::spawn(move || pump(client, s2, &there, Way::There));
    std::thread::spawn(move || pump(server, c2, &back, Way::Back));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
}

fn pump(mut from: TcpStream, mut to: TcpStream, shared: &Shared, way: Way) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        while shared.mood.load(Ordering::SeqCst) == u64::MAX {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let delay = shared.mood.load(Ordering::SeqCst);
        if delay > 0 {
            pause(Duration::from_millis(delay));
        }
        let cut = if way == Way::Back { shared.cut_after.swap(0, Ordering::SeqCst) } else { 0 };
        let keep = if cut > 0 { cut.min(n) } else { n };
        if to.write_all(&bytes[..keep]).is_err() || cut > 0 {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both); // the other side may have done so
    let _ = to.shutdown(Shutdown::Both);
}
