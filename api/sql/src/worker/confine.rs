//! What the worker may not: hold what it was not given, use more memory than it has, or push others aside.
#![allow(unsafe_code, reason = "the system calls have no safe form in what the product is built of")]

/// Closes every descriptor but the three standard ones: what `up` or whoever started it left open is none of the worker's.
pub fn close_inherited() {
    // SAFETY: this runs before the process opens anything, so nothing in it owns a descriptor above the standard ones.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, 0_u32) };
    if closed != 0 {
        // A kernel before 5.9. The descriptors of the product itself do not outlive exec.
        tracing::debug!("descriptors cannot be closed in one call: {}", std::io::Error::last_os_error());
    }
}

/// Bounds the memory that the process can write to: heap and stacks, not the files that it maps. An allocation past it
/// fails, which ends the process. No core is left behind, for it would hold rows of all tenants.
///
/// # Errors
/// When the system refuses.
pub fn limit(memory_bytes: u64) -> Result<(), String> {
    set(libc::RLIMIT_DATA, memory_bytes, "its memory")?;
    set(libc::RLIMIT_CORE, 0, "its core file")?;
    // The rest is good manners. When memory or CPU is short, this process gives way to the others.
    let asked = std::fs::write("/proc/self/oom_score_adj", "500");
    // Not `exe`, by which it was started.
    let named = std::fs::write("/proc/self/comm", "kizashi-sql");
    // SAFETY: takes numbers and changes only the scheduling of this process.
    let gave_way = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 5) };
    if asked.is_err() || named.is_err() || gave_way != 0 {
        tracing::debug!("the SQL worker runs as any other process: {asked:?}, {named:?}, {gave_way}");
    }
    Ok(())
}

fn set(which: libc::__rlimit_resource_t, bytes: u64, what: &str) -> Result<(), String> {
    let mut known = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a value of the right type that outlives the call.
    if unsafe { libc::getrlimit(which, &raw mut known) } != 0 {
        return Err(format!("{what} cannot be bounded: {}", std::io::Error::last_os_error()));
    }
    // Never above what it was given.
    let bytes = bytes.min(known.rlim_max);
    let wanted = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the pointer is to a value of the right type that outlives the call.
    if unsafe { libc::setrlimit(which, &raw const wanted) } != 0 {
        return Err(format!("{what} cannot be bounded: {}", std::io::Error::last_os_error()));
    }
    Ok(())
}
