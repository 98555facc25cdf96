//! The ways to bind the first socket of a queue, in the order to try them: what is refused degrades in steps.

use super::{Mode, Options};

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attempt {
    /// The mode that it asks for; none where it is inherited.
    pub(super) mode: Option<Mode>,
    /// Bind flags.
    pub(super) flags: u16,
}

/// For the first socket of a UMEM. Multi-buffer is not to be had from kernels before 6.6 and from some drivers in zero-copy mode. Where a
/// frame of the interface fits in one buffer (`one_buffer`) the mode matters more, else multi-buffer does.
pub(super) fn of_umem(options: &Options, one_buffer: bool) -> Vec<Attempt> {
    let always = if options.need_wakeup { libc::XDP_USE_NEED_WAKEUP } else { 0 };
    let plain = |mode: &Mode| Attempt { mode: Some(*mode), flags: always | mode.flag() };
    let multi = |mode: &Mode| Attempt { flags: plain(mode).flags | libc::XDP_USE_SG, ..plain(mode) };
    let modes = options.modes.iter();
    match (options.multi_buffer, one_buffer) {
        (false, _) => modes.map(plain).collect(),
        (true, true) => modes.flat_map(|mode| [multi(mode), plain(mode)]).collect(),
        (true, false) => modes.clone().map(multi).chain(modes.map(plain)).collect(),
    }
}

/// For the first socket of a further queue: all is inherited, no other flag is taken.
pub(super) const INHERITED: Attempt = Attempt { mode: None, flags: libc::XDP_SHARED_UMEM };

impl Attempt {
    /// Packets of several buffers are asked for.
    pub(super) const fn is_multi_buffer(self) -> bool {
        self.flags & libc::XDP_USE_SG != 0
    }

    /// The flags as the kernel's header names them.
    pub(super) fn names(self) -> String {
        let named = [
            (libc::XDP_SHARED_UMEM, "XDP_SHARED_UMEM"),
            (libc::XDP_COPY, "XDP_COPY"),
            (libc::XDP_ZEROCOPY, "XDP_ZEROCOPY"),
            (libc::XDP_USE_NEED_WAKEUP, "XDP_USE_NEED_WAKEUP"),
            (libc::XDP_USE_SG, "XDP_USE_SG"),
        ];
        let set = named.iter().filter(|(flag, _)| self.flags & flag != 0);
        set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::{Interface, QueueId};

    fn tried(multi_buffer: bool, one_buffer: bool) -> Vec<String> {
        let loopback = Interface::by_name("lo").expect("every namespace has lo");
        let options =
            Options { multi_buffer, need_wakeup: false, ..Options::receiver(&loopback, QueueId(0)) };
        of_umem(&options, one_buffer).into_iter().map(Attempt::names).collect()
    }

    #[test]
    fn zero_copy_goes_before_multi_buffer_where_frames_fit_in_one_buffer() {
        let order = ["XDP_ZEROCOPY|XDP_USE_SG", "XDP_ZEROCOPY", "XDP_COPY|XDP_USE_SG", "XDP_COPY"];
        assert_eq!(tried(true, true), order);
    }

    #[test]
    fn multi_buffer_goes_before_zero_copy_where_they_do_not() {
        let order = ["XDP_ZEROCOPY|XDP_USE_SG", "XDP_COPY|XDP_USE_SG", "XDP_ZEROCOPY", "XDP_COPY"];
        assert_eq!(tried(true, false), order);
    }

    #[test]
    fn multi_buffer_is_not_tried_where_it_is_not_asked_for() {
        assert_eq!(tried(false, false), ["XDP_ZEROCOPY", "XDP_COPY"]);
    }
}
