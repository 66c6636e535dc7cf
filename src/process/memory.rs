//! How memory goes back to the operating system.

/// Blocks of this size and more are given back as soon as they are freed.
///
/// glibc begins with 128 KiB, and moves the bound up to 32 MiB with what is freed. Long documents then lie among small
/// blocks, and their room stays with the process: with eight documents of 10 MiB for 100 destinations, and 64 MiB for all
/// that is under way, the process grew to 146 MiB; with this bound to 76.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE: libc::c_int = 512 * 1024;

/// So much free memory at the end of a heap stays there, to be used again. It has to be said: where the other bound is set,
/// glibc moves neither any more, and this one would stay at 128 KiB.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT: libc::c_int = 4 * 1024 * 1024;

/// Lets large blocks go back when they are freed. Other allocators than that of glibc do so by themselves.
pub fn give_large_blocks_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: plain numbers. Where they are refused all stays as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
    }
}
