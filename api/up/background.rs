//! The threads on which results are taken in. They give way to those that answer people: while results come as fast as the
//! machine can take them, a page still opens.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Of two threads that both want to run, one of the doors gets three times as much as one of these.
const NICE: i32 = 5;

/// A runtime whose threads give way, and with them every thread that is started from one of them: a consumer's, its client's.
///
/// # Errors
/// When the system has no thread left.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("pipeline").on_thread_start(give_way).enable_all().build()
}

/// What `make` makes has threads that give way, if it starts them itself.
///
/// # Errors
/// When the system has no thread left, or `make` panicked.
pub fn giving_way<T: Send>(make: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let made = std::thread::Builder::new().name("pipeline".to_owned()).spawn_scoped(scope, || {
            give_way();
            make()
        })?;
        made.join().map_err(|_| io::Error::other("a thread died; its message is above"))
    })
}

/// Lowers the calling thread's priority; on Linux a thread has one of its own.
#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "the standard library does not offer it; it takes numbers only")]
fn give_way() {
    // SAFETY: takes no pointers. That it fails is of no consequence but for the order in which threads run.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        tracing::debug!("the priority of a thread stays as it is: {}", io::Error::last_os_error());
    }
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}
