/// One of the ticks that `strategy_ticks` is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tick {
    /// Unix milliseconds.
    pub time: f64,
    /// The price.
    pub price: f64,
    /// The volume.
    pub volume: f64,
    /// The volume in the quote currency.
    pub quote: f64,
}

/// A view of a batch of ticks: u32 n, u32 handle, then n times four f64, little endian.
#[derive(Clone, Copy)]
pub struct Ticks<'a> {
    /// The handle that `strategy_open` was given.
    pub handle: u32,
    ticks: &'a [u8],
}

const TICK_BYTES: usize = 32;

impl<'a> Ticks<'a> {
    /// Reads a batch's head; None where the batch has not the length that its head tells.
    pub fn of(batch: &'a [u8]) -> Option<Self> {
        let n = u32::from_le_bytes(batch.get(0..4)?.try_into().ok()?);
        let handle = u32::from_le_bytes(batch.get(4..8)?.try_into().ok()?);
        let ticks = batch.get(8..)?;
        (ticks.len() as u64 == n as u64 * TICK_BYTES as u64).then(|| Ticks { handle, ticks })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ticks.len() / TICK_BYTES
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ticks.is_empty()
    }

    /// The ticks in their order.
    pub fn iter(&self) -> impl Iterator<Item = Tick> + 'a {
        self.ticks.chunks_exact(TICK_BYTES).map(|t| {
            let field = |i: usize| t.get(i * 8..i * 8 + 8).and_then(|b| b.try_into().ok()).map_or(0.0, f64::from_le_bytes);
            Tick { time: field(0), price: field(1), volume: field(2), quote: field(3) }
        })
    }
}
