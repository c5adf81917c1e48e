//! Kinds of benign conversations, each with the ranges that a pair of hosts draws its own from.

/// Rhythm of a pair's conversations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// Pauses of exponential length: people.
    Drawn,
    /// Nearly even pauses: programs.
    Steady,
}

/// What carries a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    /// A connection for each conversation.
    Connection,
    /// The same with an exchange of keys at its beginning.
    Secured,
    /// One connection for as long as the pair is there.
    Held,
    /// Datagrams.
    Datagrams,
    /// DNS messages.
    Names,
    /// Echo requests.
    Echoes,
}

/// A kind of conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trade {
    /// Its ports, of which a pair uses one.
    pub(super) ports: &'static [u16],
    pub(super) carrier: Carrier,
    /// How often it is drawn, beside the others.
    pub(super) weight: u8,
    /// Bytes of a question and of an answer, of which a pair has its own typical ones.
    pub(super) asks: [u32; 2],
    pub(super) answers: [u32; 2],
    /// Questions of a conversation.
    pub(super) turns: [u32; 2],
    /// Seconds between two of them.
    pub(super) think: [f64; 2],
    /// Seconds between two conversations of a pair.
    pub(super) gap: [f64; 2],
    pub(super) rhythm: Rhythm,
}

/// All kinds.
pub(super) const TRADES: [Trade; 16] = [
    // Pages and interfaces in the clear.
    Trade {
        ports: &[80, 8_080, 3_000],
        carrier: Carrier::Connection,
        weight: 12,
        asks: [80, 900],
        answers: [200, 60_000],
        turns: [1, 8],
        think: [0.02, 3.0],
        gap: [1.0, 60.0],
        rhythm: Rhythm::Drawn,
    },
    // The same behind TLS.
    Trade {
        ports: &[443, 8_443],
        carrier: Carrier::Secured,
        weight: 20,
        asks: [100, 2_000],
        answers: [300, 120_000],
        turns: [1, 10],
        think: [0.02, 4.0],
        gap: [1.0, 60.0],
        rhythm: Rhythm::Drawn,
    },
    // Programs that poll.
    Trade {
        ports: &[80, 443, 8_080],
        carrier: Carrier::Secured,
        weight: 6,
        asks: [100, 800],
        answers: [60, 3_000],
        turns: [1, 1],
        think: [0.01, 0.1],
        gap: [2.0, 120.0],
        rhythm: Rhythm::Steady,
    },
    Trade {
        ports: &[53],
        carrier: Carrier::Names,
        weight: 16,
        asks: [6, 40],
        answers: [16, 200],
        turns: [1, 3],
        think: [0.001, 0.05],
        gap: [0.5, 40.0],
        rhythm: Rhythm::Drawn,
    },
    Trade {
        ports: &[123],
        carrier: Carrier::Datagrams,
        weight: 4,
        asks: [48, 48],
        answers: [48, 48],
        turns: [1, 1],
        think: [0.1, 0.1],
        gap: [16.0, 256.0],
        rhythm: Rhythm::Steady,
    },
    // QUIC.
    Trade {
        ports: &[443],
        carrier: Carrier::Datagrams,
        weight: 6,
        asks: [60, 1_200],
        answers: [300, 1_350],
        turns: [4, 60],
        think: [0.002, 0.1],
        gap: [2.0, 60.0],
        rhythm: Rhythm::Drawn,
    },
    // Voice and pictures.
    Trade {
        ports: &[3_478, 5_004, 10_000],
        carrier: Carrier::Datagrams,
        weight: 2,
        asks: [120, 1_000],
        answers: [120, 1_000],
        turns: [100, 400],
        think: [0.01, 0.04],
        gap: [30.0, 300.0],
        rhythm: Rhythm::Drawn,
    },
    // Shells.
    Trade {
        ports: &[22],
        carrier: Carrier::Held,
        weight: 4,
        asks: [36, 80],
        answers: [36, 1_500],
        turns: [1, 30],
        think: [0.08, 0.6],
        gap: [3.0, 60.0],
        rhythm: Rhythm::Drawn,
    },
    // Commands, copies and repositories over short sessions of a shell.
    Trade {
        ports: &[22],
        carrier: Carrier::Secured,
        weight: 3,
        asks: [200, 20_000],
        answers: [200, 50_000],
        turns: [2, 8],
        think: [0.01, 0.3],
        gap: [20.0, 200.0],
        rhythm: Rhythm::Drawn,
    },
    // Uploads and backups.
    Trade {
        ports: &[873, 445, 8_200],
        carrier: Carrier::Connection,
        weight: 3,
        asks: [20_000, 250_000],
        answers: [40, 400],
        turns: [1, 2],
        think: [0.05, 1.0],
        gap: [15.0, 300.0],
        rhythm: Rhythm::Drawn,
    },
    // Mail.
    Trade {
        ports: &[25, 587, 993],
        carrier: Carrier::Secured,
        weight: 4,
        asks: [20, 4_000],
        answers: [30, 8_000],
        turns: [3, 10],
        think: [0.01, 0.5],
        gap: [10.0, 200.0],
        rhythm: Rhythm::Drawn,
    },
    // Databases and caches.
    Trade {
        ports: &[5_432, 3_306, 6_379],
        carrier: Carrier::Held,
        weight: 4,
        asks: [40, 600],
        answers: [60, 8_000],
        turns: [1, 12],
        think: [0.001, 0.05],
        gap: [0.5, 20.0],
        rhythm: Rhythm::Drawn,
    },
    // Things that report and are kept alive.
    Trade {
        ports: &[1_883, 8_883, 5_222],
        carrier: Carrier::Held,
        weight: 6,
        asks: [20, 300],
        answers: [4, 120],
        turns: [1, 2],
        think: [0.01, 0.2],
        gap: [5.0, 60.0],
        rhythm: Rhythm::Steady,
    },
    // Telemetry.
    Trade {
        ports: &[4_317, 9_100, 8_086],
        carrier: Carrier::Connection,
        weight: 5,
        asks: [200, 6_000],
        answers: [20, 20_000],
        turns: [1, 1],
        think: [0.01, 0.1],
        gap: [2.0, 60.0],
        rhythm: Rhythm::Steady,
    },
    // Health checks: a connection without a word.
    Trade {
        ports: &[80, 443, 5_432],
        carrier: Carrier::Connection,
        weight: 2,
        asks: [0, 0],
        answers: [0, 0],
        turns: [0, 0],
        think: [0.0, 0.0],
        gap: [5.0, 60.0],
        rhythm: Rhythm::Steady,
    },
    // Is it still there?
    Trade {
        ports: &[0],
        carrier: Carrier::Echoes,
        weight: 3,
        asks: [32, 64],
        answers: [32, 64],
        turns: [1, 4],
        think: [0.2, 1.0],
        gap: [5.0, 120.0],
        rhythm: Rhythm::Steady,
    },
];
