//! Every state that a model can reach, breadth first, so that the first counterexample is a shortest one.
//!
//! Two kinds of verdict: a state that must not be, and a state from which the end is out of reach (the parties wait for
//! each other for ever, or a cursor stands where nothing will ever come).

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher, Hash};

/// States after which a model is called unbounded: some ten times what the largest one here has.
const STATES_MAX: usize = 8_000_000;

/// What can be explored.
pub(crate) trait Model {
    type State: Copy + Eq + Hash + Debug;
    type Step: Copy + Debug;

    fn first(&self) -> Self::State;

    /// Does the step in the state; `false` = it cannot be done there, and the state is of no use any more.
    fn take(&self, state: &mut Self::State, step: Self::Step) -> bool;

    /// All steps that there are.
    fn steps(&self) -> Vec<Self::Step>;

    /// Whether everything has been done that was to be done.
    fn is_end(&self, state: &Self::State) -> bool;

    /// What is wrong with the state.
    fn wrong(&self, state: &Self::State) -> Option<Wrong>;
}

/// What a model says of a state that must not be.
pub(crate) type Wrong = &'static str;

/// From here the end cannot be reached.
pub(crate) const NO_WAY_OUT: Wrong = "no way leads to the end";

/// What was found.
#[derive(Debug)]
pub(crate) enum Found<Step> {
    /// Nothing wrong, in so many states.
    Sound { states: usize, ends: usize },
    /// This is wrong, after these steps.
    Broken { wrong: Wrong, steps: Vec<Step> },
}

/// How each state was reached first, and from where it can be reached at all.
struct Graph<Step> {
    reached: Vec<(u32, Option<Step>)>,
    edges: Vec<(u32, u32)>,
    ends: Vec<u32>,
}

/// Visits every state.
pub(crate) fn explore<M: Model>(model: &M) -> Found<M::Step> {
    let mut graph = Graph { reached: vec![(0, None)], edges: Vec::new(), ends: Vec::new() };
    let mut known = HashMap::from([(fingerprint(&model.first()), 0_u32)]);
    let mut open = VecDeque::from([(0_u32, model.first())]);
    let steps = model.steps();
    while let Some((number, state)) = open.pop_front() {
        if let Some(wrong) = model.wrong(&state) {
            return Found::Broken { wrong, steps: graph.way_to(number) };
        }
        if model.is_end(&state) {
            graph.ends.push(number);
        }
        for &step in &steps {
            let mut next = state;
            if !model.take(&mut next, step) || next == state {
                continue;
            }
            let new = graph.reached.len();
            assert!(new < STATES_MAX, "the model is unbounded: {next:?}");
            let to = *known.entry(fingerprint(&next)).or_insert(new as u32);
            if to as usize == new {
                graph.reached.push((number, Some(step)));
                open.push_back((to, next));
            }
            graph.edges.push((number, to));
        }
    }
    graph.judge()
}

impl<Step: Copy> Graph<Step> {
    /// Goes backwards from the ends; the first state that is not met has no way out.
    fn judge(self) -> Found<Step> {
        let states = self.reached.len();
        let mut before: Vec<Vec<u32>> = vec![Vec::new(); states];
        for &(from, to) in &self.edges {
            before[to as usize].push(from);
        }
        let mut leads_out = vec![false; states];
        let mut open = self.ends.clone();
        while let Some(number) = open.pop() {
            if !std::mem::replace(&mut leads_out[number as usize], true) {
                open.extend(&before[number as usize]);
            }
        }
        match leads_out.iter().position(|leads_out| !leads_out) {
            None => Found::Sound { states, ends: self.ends.len() },
            Some(stuck) => Found::Broken { wrong: NO_WAY_OUT, steps: self.way_to(stuck as u32) },
        }
    }

    fn way_to(&self, mut number: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        while let (from, Some(step)) = self.reached[number as usize] {
            steps.push(step);
            number = from;
        }
        steps.reverse();
        steps
    }
}

/// States themselves would take gigabytes. Of a million states two share 128 bits with a probability of 10^-27.
fn fingerprint(state: &impl Hash) -> u128 {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let (one, other) = (hasher.hash_one(state), hasher.hash_one((1_u8, state)));
    u128::from(one) << 64 | u128::from(other)
}
