//! What this process has used of the machine.

/// CPU time of all threads, user and system, in seconds.
#[allow(unsafe_code)]
pub fn cpu_seconds() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is that of a live value of the type that the call fills.
    let status = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    if status == 0 { time.tv_sec as f64 + time.tv_nsec as f64 / 1e9 } else { 0.0 }
}

/// The most memory that was resident at any time, in bytes; 0 where the system does not tell.
pub fn peak_memory_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

#[test]
fn usage_grows() {
    let before = cpu_seconds();
    let sum = (0..20_000_000u64).fold(0, |sum, n| std::hint::black_box(sum ^ n));
    assert!(cpu_seconds() > before && sum < u64::MAX && peak_memory_bytes() > 0);
}
