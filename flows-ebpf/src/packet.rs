//! Direct access to a packet's bytes.

use flows_common::parse::Bytes;

/// The linear part of a packet, between the pointers the kernel gives.
#[derive(Clone, Copy)]
pub(crate) struct Linear {
    start: usize,
    end: usize,
}

impl Linear {
    /// `start` and `end` are a context's `data` and `data_end`, read after the last helper that
    /// may move them.
    #[inline(always)]
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Bytes of the linear part.
    #[inline(always)]
    pub(crate) const fn len(&self) -> usize {
        self.end - self.start
    }
}

impl Bytes for Linear {
    #[inline(always)]
    fn load<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        let mut bytes = [0; N];
        let to = bytes.as_mut_ptr();
        // SAFETY: `N` bytes from `at` lie before the packet's end, which is what the verifier
        // asks for too; words that nobody looks at are not loaded.
        unsafe {
            let mut done = 0;
            while done + 8 <= N {
                to.add(done).cast::<u64>().write_unaligned(load_u64(at + done));
                done += 8;
            }
            if done + 4 <= N {
                to.add(done).cast::<u32>().write_unaligned(load_u32(at + done));
                done += 4;
            }
            if done + 2 <= N {
                to.add(done).cast::<u16>().write_unaligned(load_u16(at + done));
                done += 2;
            }
            if done < N {
                to.add(done).write(*((at + done) as *const u8));
            }
        }
        Some(bytes)
    }
}

macro_rules! unaligned_load {
    ($name:ident, $type:ty, $instruction:literal) => {
        /// Single load at any address, which a packet allows and the compiler would do byte by
        /// byte: it knows no unaligned access on this target.
        ///
        /// # Safety
        /// The bytes must lie within the packet.
        #[inline(always)]
        unsafe fn $name(at: usize) -> $type {
            let value: u64;
            // SAFETY: reads what the caller vouches for, and nothing else.
            unsafe {
                core::arch::asm!(
                    $instruction,
                    value = out(reg) value,
                    at = in(reg) at,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            value as $type
        }
    };
}

unaligned_load!(load_u64, u64, "{value} = *(u64 *)({at} + 0)");
unaligned_load!(load_u32, u32, "{value} = *(u32 *)({at} + 0)");
unaligned_load!(load_u16, u16, "{value} = *(u16 *)({at} + 0)");

/// The same place in a map's value, whose content the compiler takes for changed, and of which the
/// verifier knows nothing.
///
/// The many ways through the parser leave as many sets of bounds behind; where they meet in a
/// map value, one is left, and what follows is verified once. Of the million instructions that a
/// kernel is willing to look at, the egress program takes 89 thousand without this, 84 thousand
/// with the packet read anew, and 28 thousand with what it made known of its flow, too (Linux 6.18).
#[inline(always)]
pub(crate) fn reread<T>(place: *mut T) -> *mut T {
    let same: *mut T;
    // SAFETY: a move of a register to itself. (No instruction at all would leave line information
    // that the kernel refuses.)
    unsafe { core::arch::asm!("{0} = {0}", inlateout(reg) place => same) };
    same
}
