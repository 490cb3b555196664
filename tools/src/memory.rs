//! How memory goes back to the system.

/// A buffer of this many bytes is mapped by itself, and so given back when it is freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED: libc::c_int = 256 << 10;

/// A thread keeps this many free bytes for its next picture: giving them back each time and clearing them anew costs a sixth
/// of what a small picture takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 4 << 20;

/// Large buffers are mapped one by one, and so given back when they are freed. glibc else stops doing so once a large
/// buffer was freed: a picture of 100 MB then keeps its 100 MB for the rest of a run.
#[allow(unsafe_code)]
pub fn give_back_large_buffers() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt takes two integers, and is called before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
