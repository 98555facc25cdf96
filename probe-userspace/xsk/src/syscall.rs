//! The system calls, each behind a function that cannot be called wrongly. None is on the path of a packet.
#![expect(unsafe_code, reason = "system calls")]

use std::ffi::CString;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// A type that the kernel reads and writes as bytes.
///
/// # Safety
/// `repr(C)` or a primitive, and every bit pattern is a value, all zeroes included.
pub(crate) unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($name:ty),* $(,)?) => { $(
        // SAFETY: integers, or `repr(C)` structures of integers only.
        unsafe impl $crate::syscall::Plain for $name {}
    )* };
}
pub(crate) use plain;

plain!(
    i32,
    u32,
    libc::xdp_umem_reg,
    libc::xdp_mmap_offsets,
    libc::xdp_statistics,
    libc::xdp_options,
    libc::sockaddr_xdp,
    libc::sockaddr_ll,
);

/// socket(2), close-on-exec.
pub(crate) fn socket(family: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: integers only; the result is checked before it becomes an owned descriptor.
    let fd = unsafe { libc::socket(family, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol) };
    owned(fd)
}

/// eventfd(2), non-blocking, close-on-exec.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: integers only; the result is checked before it becomes an owned descriptor.
    owned(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    check(fd)?;
    // SAFETY: the kernel just gave this descriptor to us and nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// bind(2) to an address of `address`'s family.
pub(crate) fn bind<A: Plain>(fd: BorrowedFd<'_>, address: &A) -> io::Result<()> {
    // SAFETY: pointer and length describe `address`, which lives through the call; the kernel only reads it.
    let result = unsafe { libc::bind(fd.as_raw_fd(), std::ptr::from_ref(address).cast(), length_of::<A>()) };
    check(result).map(drop)
}

/// setsockopt(2).
pub(crate) fn set_option<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let value = std::ptr::from_ref(value).cast();
    // SAFETY: pointer and length describe `value`, which lives through the call; the kernel only reads it.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value, length_of::<T>()) }).map(drop)
}

/// setsockopt(SO_ATTACH_FILTER) of a classic BPF program; replaces the one before.
pub(crate) fn attach_filter(fd: BorrowedFd<'_>, program: &[libc::sock_filter]) -> io::Result<()> {
    set_program(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, program)
}

/// setsockopt of a classic BPF program.
pub(crate) fn set_program(
    fd: BorrowedFd<'_>,
    level: i32,
    name: i32,
    program: &[libc::sock_filter],
) -> io::Result<()> {
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let size = length_of::<libc::sock_fprog>();
    // SAFETY: pointer and length describe `program`, which points to as many instructions as it says; the kernel copies them.
    check(unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, (&raw const program).cast(), size) })
        .map(drop)
}

/// getsockopt(2): the value and how many bytes of it the kernel wrote (an older kernel writes fewer; the rest is zero).
pub(crate) fn get_option<T: Plain>(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<(T, usize)> {
    let mut value = MaybeUninit::<T>::zeroed();
    let mut length = length_of::<T>();
    // SAFETY: pointer and length describe `value`; the kernel writes no more than `length` bytes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    check(result)?;
    // SAFETY: zeroed, then overwritten in part: `Plain` says that every bit pattern is a value.
    Ok((unsafe { value.assume_init() }, length as usize))
}

/// if_nametoindex(3).
pub(crate) fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: a NUL-terminated string that lives through the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// ioctl(SIOCGIFMTU), on a socket of no protocol: AF_XDP sockets have no ioctl.
pub(crate) fn mtu(name: &str) -> io::Result<u32> {
    let socket = socket(libc::AF_UNIX, 0)?;
    // SAFETY: integers, arrays of them, and a union of those: zeroes are a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let too_long = || io::Error::from_raw_os_error(libc::ENODEV);
    // One byte less, so that the name stays NUL-terminated.
    let room = request.ifr_name.len() - 1;
    let place = request.ifr_name[..room].get_mut(..name.len()).ok_or_else(too_long)?;
    place.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte as libc::c_char);
    // SAFETY: SIOCGIFMTU reads the name and writes the MTU, both in `request`.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) })?;
    // SAFETY: the kernel wrote this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// ppoll(2): how many of `fds` have something; 0 after `timeout`, and when a signal came.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<usize> {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `fds` and `limit` live through the call; a null limit means for ever, a null mask means no change.
    let ready = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, limit, std::ptr::null()) };
    match check(ready) {
        Ok(ready) => Ok(ready as usize),
        Err(error) if error.raw_os_error() == Some(libc::EINTR) => Ok(0),
        Err(error) => Err(error),
    }
}

/// recvfrom(2) of nothing: makes the driver look at its fill ring, and drives busy polling.
pub(crate) fn kick_receive(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no buffer is passed.
    let result = unsafe {
        libc::recvfrom(
            fd.as_raw_fd(),
            std::ptr::null_mut(),
            0,
            libc::MSG_DONTWAIT,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    check_long(result)
}

/// sendto(2) of nothing: makes the kernel look at the TX ring.
pub(crate) fn kick_send(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no buffer and no address are passed.
    let result =
        unsafe { libc::sendto(fd.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
    check_long(result)
}

/// write(2) and read(2) of an eventfd's counter. A full counter and an empty one are no errors: the wake-up is there, or is not.
pub(crate) fn eventfd_add(fd: BorrowedFd<'_>) {
    let one = 1_u64;
    // SAFETY: eight bytes of `one`, which lives through the call.
    let _full_is_awake = unsafe { libc::write(fd.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
}

/// See [`eventfd_add`].
pub(crate) fn eventfd_take(fd: BorrowedFd<'_>) -> bool {
    let mut count = 0_u64;
    // SAFETY: eight bytes of `count`, which lives through the call.
    let read = unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    read == size_of::<u64>() as isize && count > 0
}

/// getrlimit(2) of RLIMIT_MEMLOCK in bytes; none where there is no limit.
pub(crate) fn memory_lock_limit() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes one `rlimit`.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (result == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: isize) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sizes of kernel structures are tens of bytes.
fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}
