//! Settings of the memory allocator: when memory goes back to the operating system.

/// Blocks of at least this size, in bytes, go back to the system as soon as they are freed.
///
/// glibc starts with 128 KiB and raises its threshold up to 32 MiB, depending on what is freed. Then long documents lie
/// between small blocks, and their memory stays with the process. Measured with eight documents of 10 MiB for 100
/// destinations and a memory budget of 64 MiB: the process grew to 146 MiB. With this threshold it grew to 76 MiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 512 * 1024;

/// Free bytes that are kept at the end of each heap for later use; there are up to eight heaps for each processor.
/// glibc's default of 128 KiB adapts only while the other threshold is not set. With 4 MiB a server kept 20 MiB after a
/// load.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 1024 * 1024;

/// Makes large blocks go back to the system when they are freed. Allocators other than glibc's do this by default.
pub fn give_large_blocks_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the arguments are plain numbers. Where the call refuses one, the setting stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
