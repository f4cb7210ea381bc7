//! Random numbers that a seed repeats: splitmix64.

pub struct Random(u64);

impl Random {
    /// One of many independent streams of the same seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ Self(stream).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(u64::try_from(length).unwrap())).unwrap()
    }
}

/// The seeds of the random lives of a suite, of which every other one is `even`: those below
/// `usual`. `{name}_SEED` is the first or, alone, the only one, and `{name}_LIVES` their number.
pub fn seeds_of_lives(name: &str, usual: u64, even: bool) -> Vec<u64> {
    let variable = |part: &str| {
        #[allow(clippy::disallowed_methods, reason = "says which lives to try")]
        let value = std::env::var(format!("{name}_{part}")).ok();
        value.map(|value| value.parse::<u64>().unwrap())
    };
    let (seed, lives) = (variable("SEED"), variable("LIVES"));
    let first = seed.unwrap_or_default();
    let all = first..first + lives.unwrap_or(if seed.is_some() { 1 } else { usual });
    all.filter(|seed| seed.is_multiple_of(2) == even).collect()
}
