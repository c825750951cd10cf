//! How many connections the service keeps, and when it gives one up whose other side takes in nothing.

use std::any::Any;

use actix_web::rt::net::TcpStream;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files that one connection may need: its socket, the file that it downloads, and what the database opens for it.
const FILES_EACH: u64 = 4;

/// Lets the process open as many files as it may at all.
pub fn open_all_files() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, files) {
        tracing::warn!(
            "the number of open files stays limited to {:?}: {error}",
            getrlimit(Resource::Nofile)
        );
    }
}

/// How many connections each of `threads` keeps, of `most` in all.
pub fn of_each_thread(most: usize, threads: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.map_or(u64::MAX, |files| files / FILES_EACH);
    let all = most.min(usize::try_from(files).unwrap_or(usize::MAX));
    (all / threads.max(1)).max(1)
}

/// Has the system give up a connection whose other side takes in nothing for so many seconds; without it, one that
/// keeps its window shut is kept for ever.
pub fn give_up_after(seconds: u32, socket: &dyn Any) {
    #[cfg(target_os = "linux")]
    if let Some(socket) = socket.downcast_ref::<TcpStream>()
        && let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(socket, seconds.saturating_mul(1_000))
    {
        tracing::debug!("a connection is kept however little is taken in: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (seconds, socket.downcast_ref::<TcpStream>());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_shared_among_threads_and_bounded_by_open_files() {
        open_all_files();
        let files = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |files| files as usize);

        assert_eq!(of_each_thread(16, 4), 4.min(files / 16));
        assert!(of_each_thread(usize::MAX, 1) <= files / 4);
        assert_eq!(of_each_thread(1, 8), 1);
    }
}
