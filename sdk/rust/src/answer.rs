/// What a hook returns: [`NO`], [`YES`], [`Writer::result`](crate::Writer::result) for what it has written,
/// [`Writer::failure`](crate::Writer::failure) where that is an error text, or one of [`data`], [`error`] and [`error_code`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answer(pub(crate) u64);

/// Drop · deny · invalid.
pub const NO: Answer = Answer(0);
/// Not mine · allow · valid · configured.
pub const YES: Answer = Answer(1);

const ERROR: u64 = 1 << 63;

/// An answer that is known beforehand.
#[inline(always)]
pub fn data(answer: &'static str) -> Answer {
    Answer::of(answer.as_ptr(), answer.len() as u32)
}

/// A text that says what is wrong.
#[inline(always)]
pub fn error(text: &'static str) -> Answer {
    data(text).failed()
}

/// A number, where there is no text.
#[inline(always)]
pub fn error_code(code: u32) -> Answer {
    Answer(ERROR | code as u64)
}

impl Answer {
    #[inline(always)]
    pub(crate) fn of(ptr: *const u8, len: u32) -> Answer {
        Answer((ptr as usize as u64) << 32 | len as u64)
    }

    #[inline(always)]
    pub(crate) fn failed(self) -> Answer {
        Answer(ERROR | self.0)
    }

    #[inline(always)]
    pub(crate) fn is_error(self) -> bool {
        self.0 & ERROR != 0
    }

    #[inline(always)]
    pub(crate) fn ptr(self) -> *const u8 {
        (self.0 >> 32 & 0x7fff_ffff) as usize as *const u8
    }

    /// The length of an answer, the number of an error.
    #[inline(always)]
    pub(crate) fn low(self) -> u32 {
        self.0 as u32
    }
}
