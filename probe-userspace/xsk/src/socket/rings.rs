//! The rings of a socket, mapped where XDP_MMAP_OFFSETS says.

use std::io;
use std::os::fd::BorrowedFd;

use crate::memory::Memory;
use crate::ring::area::Area;
use crate::ring::cursor::{Consumer, Producer};
use crate::ring::{Completion, Descriptor, Fill, Rx, Tx};
use crate::umem::Umem;
use crate::{Error, syscall};

/// Where the kernel says that a socket's rings lie.
pub(super) struct Mapper<'a> {
    fd: BorrowedFd<'a>,
    umem: &'a Umem,
    thing: &'a str,
    offsets: libc::xdp_mmap_offsets,
}

impl<'a> Mapper<'a> {
    /// Asks. The ring sizes must have been set.
    pub(super) fn new(fd: BorrowedFd<'a>, umem: &'a Umem, thing: &'a str) -> Result<Self, Error> {
        let refused = |source| Error::kernel("getsockopt(XDP_MMAP_OFFSETS)", thing, source);
        let (offsets, length) =
            syscall::get_option::<libc::xdp_mmap_offsets>(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS)
                .map_err(refused)?;
        if length < size_of::<libc::xdp_mmap_offsets>() {
            // Linux before 5.4 has no flags word, so no need-wakeup either.
            return Err(refused(io::Error::from_raw_os_error(libc::ENOSYS)));
        }
        Ok(Self { fd, umem, thing, offsets })
    }

    pub(super) fn fill(&self, slots: u32) -> Result<Fill, Error> {
        let area = self.map::<u64>("fill", &self.offsets.fr, slots, libc::XDP_UMEM_PGOFF_FILL_RING as i64)?;
        Ok(Fill::new(self.umem.clone(), Producer::new(area)))
    }

    pub(super) fn completion(&self, slots: u32) -> Result<Completion, Error> {
        let offset = libc::XDP_UMEM_PGOFF_COMPLETION_RING as i64;
        let area = self.map::<u64>("completion", &self.offsets.cr, slots, offset)?;
        Ok(Completion::new(self.umem.clone(), Consumer::new(area)))
    }

    pub(super) fn rx(&self, slots: u32) -> Result<Rx, Error> {
        let area = self.map::<Descriptor>("RX", &self.offsets.rx, slots, libc::XDP_PGOFF_RX_RING)?;
        Ok(Rx::new(self.umem.clone(), Consumer::new(area)))
    }

    pub(super) fn tx(&self, slots: u32) -> Result<Tx, Error> {
        let area = self.map::<Descriptor>("TX", &self.offsets.tx, slots, libc::XDP_PGOFF_TX_RING)?;
        Ok(Tx::new(self.umem.clone(), Producer::new(area)))
    }

    fn map<T: Copy + Send + 'static>(
        &self,
        ring: &str,
        offsets: &libc::xdp_ring_offset,
        slots: u32,
        page_offset: i64,
    ) -> Result<Area<T>, Error> {
        let refused = |source| {
            Error::kernel("mmap(ring)", format!("{ring} ring of {slots} slots, {}", self.thing), source)
        };
        let length = Area::<T>::mapped_length(offsets, slots);
        let memory = Memory::of_socket(self.fd, length, page_offset).map_err(refused)?;
        Area::mapped(memory, offsets, slots)
            .ok_or_else(|| refused(io::Error::other("the kernel's offsets lie outside the ring's mapping")))
    }
}
