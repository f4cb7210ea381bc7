//! All schedules of a small world, or many random ones of a large world.

use crate::psp::{Style, Tier};
use crate::schedule::{Chooser, Client, Plan, Schedule};
use crate::world::{Past, eur};
use payment_intents::payment::{Action, TransactionId};
use std::collections::HashSet;

/// The largest number of steps of a schedule.
const STEPS_MAX: usize = 400;

/// A schedule that violates an invariant.
#[derive(Clone, Debug)]
pub struct Failure {
    pub what: String,
    pub plan: Plan,
    pub choices: Vec<usize>,
    /// The number of steps after which no more faults happened.
    pub steps: usize,
}

/// Follows the given choices, then takes the first option. Records the number of options at
/// each step.
struct Replay<'a> {
    choices: &'a [usize],
    widths: Vec<usize>,
}

impl Chooser for Replay<'_> {
    fn choose(&mut self, options: usize) -> usize {
        let chosen = self.choices.get(self.widths.len()).copied().unwrap_or(0);
        self.widths.push(options);
        chosen.min(options - 1)
    }
}

/// Runs the schedule that begins with `choices`. Stops at a state in `known`, checked from
/// the first new step on.
fn run(
    plan: &Plan,
    choices: &[usize],
    known: Option<&mut HashSet<u64>>,
    trace: bool,
    steps: usize,
) -> Ran {
    let mut schedule = Schedule::new(plan, trace);
    let mut replay = Replay { choices, widths: Vec::new() };
    let mut known = known;
    let mut is_cut = false;
    for _ in 0..steps {
        if schedule.violation().is_some() || !schedule.step(&mut replay) {
            break;
        }
        if let Some(known) = &mut known
            && replay.widths.len() >= choices.len()
            && !known.insert(schedule.fingerprint())
            && replay.widths.len() > choices.len().saturating_sub(1)
        {
            is_cut = true;
            break;
        }
    }
    if !is_cut && schedule.violation().is_none() {
        schedule.quiet();
    }
    Ran { violation: schedule.violation(), widths: replay.widths, trace: schedule.trace() }
}

struct Ran {
    violation: Option<String>,
    widths: Vec<usize>,
    trace: Vec<String>,
}

/// Explores every schedule of `plan`, depth first; equal states are continued once. Returns
/// false if there were more than `most` states.
pub fn exhaust(plan: &Plan, known: &mut HashSet<u64>, most: usize) -> Result<bool, Box<Failure>> {
    let mut choices: Vec<usize> = Vec::new();
    let limit = known.len().saturating_add(most);
    loop {
        let ran = run(plan, &choices, Some(known), false, STEPS_MAX);
        let taken: Vec<usize> =
            (0..ran.widths.len()).map(|step| choices.get(step).copied().unwrap_or(0)).collect();
        if let Some(what) = ran.violation {
            let (plan, steps) = (plan.clone(), STEPS_MAX);
            return Err(Failure { what, plan, choices: taken, steps }.into());
        }
        choices = taken;
        while let Some(last) = choices.pop() {
            if last + 1 < ran.widths[choices.len()] {
                choices.push(last + 1);
                break;
            }
        }
        if choices.is_empty() {
            return Ok(true);
        }
        if known.len() >= limit {
            return Ok(false);
        }
    }
}

/// A random number generator (splitmix64): a seed gives the same schedule on every machine.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(bound).unwrap()).unwrap()
    }
}

/// Chooses the first option, one of the first few, or any, and records its choices.
struct Dice<'a> {
    random: &'a mut Random,
    choices: Vec<usize>,
}

impl Chooser for Dice<'_> {
    fn choose(&mut self, options: usize) -> usize {
        let chosen = match self.random.below(4) {
            0 => 0,
            1 | 2 => self.random.below(options.min(4)),
            _ => self.random.below(options),
        };
        self.choices.push(chosen);
        chosen
    }
}

/// Runs one random schedule of a random plan.
pub fn random(seed: u64) -> Result<(), Box<Failure>> {
    let mut random = Random::new(seed);
    let plan = any_plan(&mut random);
    let mut schedule = Schedule::new(&plan, false);
    let ends_early = random.below(4) == 0;
    let steps = if ends_early { random.below(30) } else { STEPS_MAX };
    let mut dice = Dice { random: &mut random, choices: Vec::new() };
    for _ in 0..steps {
        if schedule.violation().is_some() || !schedule.step(&mut dice) {
            break;
        }
    }
    if schedule.violation().is_none() {
        schedule.quiet();
    }
    let choices = dice.choices;
    match schedule.violation() {
        Some(what) => Err(Failure { what, plan, choices, steps }.into()),
        None => Ok(()),
    }
}

fn any_plan(random: &mut Random) -> Plan {
    let past = match random.below(12) {
        0..=3 => Past::Captured,
        4 | 5 => Past::BegunElsewhere,
        6 => Past::Authorizing,
        7 => Past::Sale,
        _ => Past::Authorized,
    };
    let captured = matches!(past, Past::Captured | Past::Sale);
    let count = 1 + random.below(4);
    let keys = ["k1", "k2"];
    let clients = (0..count).map(|_| {
        let amount = eur([40, 60, 100][random.below(3)]);
        let charge = (random.below(3) == 0).then(|| TransactionId::parse("past-1").unwrap());
        let action = match random.below(8) {
            0 => Action::Cancel,
            1 => Action::Reverse,
            2..=4 if captured => Action::Refund { amount, charge },
            5 => Action::Refund { amount, charge: None },
            _ => Action::Capture { amount },
        };
        let key = (random.below(2) == 0).then(|| keys[random.below(2)]);
        let reference = (random.below(4) == 0).then_some("order-1");
        Client { action, key, repeats: u8::try_from(random.below(4)).unwrap(), reference }
    });
    let clients = clients.collect();
    let mut up_to = |most: usize| u8::try_from(random.below(most + 1)).unwrap();
    let (crashes, faults, recoveries) = (up_to(3), up_to(4), up_to(4));
    let jumps = up_to(2);
    // Half of the plans have no reports, and few have untrue ones.
    let (reports, events, untrue_reports) = match random.below(8) {
        0..=3 => (0, 0, 0),
        4 | 5 => (1 + random.below(4), 0, 0),
        6 => (1 + random.below(4), 1 + random.below(3), 0),
        _ => (1 + random.below(4), random.below(3), 1),
    };
    let [reports, events, untrue_reports] =
        [reports, events, untrue_reports].map(|most| u8::try_from(most).unwrap());
    let style = match random.below(4) {
        0 => Style::Shared,
        1 => Style::Nameless,
        _ => Style::Named,
    };
    Plan {
        tier: Tier::ALL[random.below(Tier::ALL.len())],
        past,
        style,
        is_timed: random.below(2) == 0,
        clients,
        crashes,
        faults,
        recoveries,
        reports,
        events,
        untrue_reports,
        jumps,
        decisions: random.below(2) == 0,
        is_skewed: random.below(4) == 0,
    }
}

impl Failure {
    /// The shortest schedule, with the most ordinary choices, that fails in the same world.
    pub fn minimised(&self) -> Self {
        let fails = |choices: &[usize]| run(&self.plan, choices, None, false, self.steps).violation;
        let mut best = self.clone();
        let Some(what) = fails(&best.choices) else { return best };
        best.what = what;
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..best.choices.len()).rev() {
                let mut shorter = best.choices.clone();
                shorter.remove(at);
                let mut ordinary = best.choices.clone();
                ordinary[at] = 0;
                for candidate in [shorter, ordinary] {
                    if candidate != best.choices
                        && let Some(what) = fails(&candidate)
                    {
                        best.choices = candidate;
                        best.what = what;
                        changed = true;
                        break;
                    }
                }
                if changed {
                    break;
                }
            }
        }
        best
    }

    /// The steps of the schedule, as text.
    pub fn trace(&self) -> Vec<String> {
        run(&self.plan, &self.choices, None, true, self.steps).trace
    }
}
