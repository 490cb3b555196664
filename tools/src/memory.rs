//! How memory goes back to the system.

/// Large buffers are mapped one by one, and so given back when they are freed. glibc else stops doing so once a large
/// buffer was freed: a picture of 100 MB then keeps its 100 MB for the rest of a run.
#[allow(unsafe_code)]
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers, and is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}
