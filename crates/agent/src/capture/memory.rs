//! Memory shared with an X server, which writes pictures into it; and large buffers, which go back to the system.
#![allow(unsafe_code)]

use nix::{
    fcntl::{FcntlArg, SealFlag, fcntl},
    sys::{
        memfd::{MFdFlags, memfd_create},
        mman::{MapFlags, ProtFlags, mmap, munmap},
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

/// Makes the allocator give every large buffer back when it is free. By itself it soon keeps buffers of several megabytes for
/// reuse, and a picture's worth of them in each thread that ever handled one: about 14 MB more for a session that needs 45.
pub(crate) fn return_large_buffers() {
    // SAFETY: `mallopt` takes two numbers and may be called at any time; it changes where later allocations come from and touches
    // none that is in use.
    #[cfg(target_env = "gnu")]
    let done = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
    #[cfg(target_env = "gnu")]
    if done == 0 {
        tracing::debug!("the allocator keeps large buffers");
    }
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
