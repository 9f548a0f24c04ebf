//! Memory shared with an X server, which writes pictures into it; and memory that goes back to the system: large buffers, and code that
//! only the start needed.
#![allow(unsafe_code)]

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap},
    },
    unistd::ftruncate,
};
use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    os::fd::{AsFd as _, OwnedFd},
    ptr::NonNull,
};

/// Buffers from this size on are given back to the system as soon as they are free.
#[cfg(target_env = "gnu")]
const LARGE: i32 = 256 << 10;
/// Heaps for small things. The display's thread and the uplink's are the only ones that ask often.
#[cfg(target_env = "gnu")]
const MOST_HEAPS: i32 = 2;

/// Makes the allocator give every large buffer back when it is free. By itself it soon keeps buffers of several megabytes for
/// reuse, and a picture's worth of them in each thread that ever handled one: about 14 MB more for a session that needs 45.
pub(crate) fn return_large_buffers() {
    // SAFETY: `mallopt` takes two numbers and may be called at any time; it changes where later allocations come from and touches
    // none that is in use.
    #[cfg(target_env = "gnu")]
    let done = unsafe {
        [libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE), libc::mallopt(libc::M_ARENA_MAX, MOST_HEAPS)]
    };
    #[cfg(target_env = "gnu")]
    if done.contains(&0) {
        tracing::debug!("the allocator keeps large buffers");
    }
}

/// Lets go of the pages of programs and libraries that are mapped here. What is needed again comes back from the system's cache, a few
/// microseconds for each stretch; what only the start, the connecting or the settings needed does not: about 9 MB.
pub(crate) fn forget_unused_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for (start, length) in clean_code(&maps) {
        // An address that `/proc` names is not null.
        let Some(start) = NonNull::new(start as *mut c_void) else { continue };
        // SAFETY: the range is a mapping of a file without any page of this process's own, and none can come to be, for it cannot be
        // written to: every page reads the same after it was dropped, from the file. Code is unmapped by `dlclose` alone, which
        // nothing here calls; should a range be gone all the same, the call fails or drops pages that are as clean.
        if let Err(error) = unsafe { madvise(start, length, MmapAdvise::MADV_DONTNEED) } {
            tracing::debug!(%error, "cannot let go of code that is not used");
        }
    }
}

/// Start and length of the mappings of files that can only be read or run, and of which every page is the file's. What the loader wrote
/// to before it took the right to write away has pages that are not.
fn clean_code(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut range = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        if let Some((start, end)) = first.split_once('-') {
            let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
            let number = |text| usize::from_str_radix(text, 16).ok();
            range = number(start).zip(number(end)).filter(|_| is_file && matches!(second, "r-xp" | "r--p"));
        } else if first == "Anonymous:"
            && let Some((start, end)) = range.take()
            && second == "0"
            && end > start
        {
            found.push((start, end - start));
        }
    }
    found
}

/// A mapped memory file of fixed size.
pub(super) struct SharedMemory {
    start: NonNull<c_void>,
    length: NonZeroUsize,
    fd: OwnedFd,
}

// SAFETY: the mapping belongs to the process, not to a thread, and only this value knows of it.
unsafe impl Send for SharedMemory {}

impl SharedMemory {
    /// Makes `length` bytes of it, all zero.
    pub(super) fn new(length: usize) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let length = NonZeroUsize::new(length).ok_or_else(invalid)?;
        let fd = memfd_create("playhead-capture", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
        ftruncate(&fd, i64::try_from(length.get()).map_err(|_| invalid())?)?;
        // The X server has the file too. Sealed, it can neither cut it off under the mapping, which would kill this process
        // at its next look, nor let it grow.
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals))?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in use. It has the size of the
        // file, which the seals keep from changing.
        let start = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &fd, 0)? };
        Ok(Self { start, length, fd })
    }

    /// The memory as a file, to hand to the X server.
    pub(super) fn share(&self) -> io::Result<OwnedFd> {
        self.fd.as_fd().try_clone_to_owned()
    }

    /// Copies bytes from `offset` on into `out`.
    ///
    /// A copy, for the X server could write at any time: what is looked at twice must not change in between.
    ///
    /// # Errors
    /// Bytes beyond the end.
    pub(super) fn read(&self, offset: usize, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len());
        if end.is_none_or(|end| end > self.length.get()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: the range was checked to lie within the mapping, which lives as long as `self`; `out` is memory of this
        // process and cannot overlap it. Should the X server write at the same time, the copy holds some mixture of old and
        // new bytes, and every byte is a valid `u8`.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.start.as_ptr().cast::<u8>().add(offset),
                out.as_mut_ptr(),
                out.len(),
            );
        };
        Ok(())
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // SAFETY: address and length are those that `mmap` gave, and nothing refers to the mapping any more.
        if let Err(error) = unsafe { munmap(self.start, self.length.get()) } {
            tracing::warn!(%error, "cannot unmap memory shared with the display");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, os::unix::fs::FileExt as _};

    #[test]
    fn only_code_that_is_all_the_files_is_let_go_of() {
        let map = |perms: &str, path: &str, anonymous: u32| {
            format!(
                "55d0c0a00000-55d0c0a02000 {perms} 00001000 fe:00 123   {path}\nSize: 8 kB\nRss: 8 kB\nAnonymous:  {anonymous} kB\n\
                 VmFlags: rd ex mr\n"
            )
        };
        let (program, found) = ("/usr/bin/playhead agent", vec![(0x55d0_c0a0_0000, 0x2000)]);
        assert_eq!(clean_code(&map("r-xp", program, 0)), found);
        for other in [
            map("r-xp", program, 4),
            map("r--p", program, 4),
            map("rw-p", program, 0),
            map("r-xp", "", 0),
            map("r-xp", "[vdso]", 0),
        ] {
            assert_eq!(clean_code(&other), [], "{other}");
        }
        forget_unused_code();
        assert!(!clean_code(&std::fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }

    #[test]
    fn what_the_other_side_writes_is_read_and_it_cannot_cut_the_memory() {
        let memory = SharedMemory::new(10_000).unwrap();
        let other = File::from(memory.share().unwrap());
        other.write_all_at(b"pixels", 9_994).unwrap();
        let mut bytes = [0; 6];
        memory.read(9_994, &mut bytes).unwrap();
        assert_eq!(&bytes, b"pixels");
        assert!(other.set_len(5_000).is_err());
        assert!(other.set_len(50_000).is_err());
        assert!(memory.read(9_995, &mut bytes).is_err());
        assert!(memory.read(usize::MAX, &mut bytes).is_err());
    }
}
