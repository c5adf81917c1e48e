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
        // SAFETY: `N` bytes from `at` lie before the packet's end, which is what the verifier
        // asks for too; a byte array has no alignment.
        Some(unsafe { *(at as *const [u8; N]) })
    }
}
