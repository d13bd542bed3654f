//! Given, when, then: a story of one stream, told over any aggregate.
//!
//! What happened is sealed as the executor seals it before it is evolved, and every command goes
//! both ways, through `decide` and through the `cqrs_es::Aggregate`, which must agree.

use cqrs_es::Aggregate;
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use crate::aggregate::{Decider, replay};
use crate::ids::{EventId, PersonId};
use crate::personal::Personals;
use crate::problem::{FieldError, Kind};
use crate::{Problem, Timestamp};

pub(crate) const ANN: PersonId = PersonId(Uuid::from_u128(0xa));
pub(crate) const BOB: PersonId = PersonId(Uuid::from_u128(0xb));
pub(crate) const EVE: PersonId = PersonId(Uuid::from_u128(0xe));
/// 2024-11-22T16:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp(1_732_291_200_000_000);

/// An aggregate that stories are told of.
pub(crate) trait Told:
    Decider<Facts: Clone + Default>
    + Aggregate<Command: Clone, Event: Personals, Error = Problem, Services = <Self as Decider>::Facts>
{
}

impl<A> Told for A where
    A: Decider<Facts: Clone + Default>
        + Aggregate<Command: Clone, Event: Personals, Error = Problem, Services = <A as Decider>::Facts>
{
}

/// The id of the `n`th event of a story; the first is 1.
pub(crate) fn event(n: u128) -> EventId {
    EventId(Uuid::from_u128(n))
}

/// Puts a token in place of whatever is clear in `event`. The token's last part names the field
/// and the event.
pub(crate) fn seal(event: &mut impl Personals, event_id: EventId) {
    event.personals(&mut |field, _, personal| {
        if personal.clear().is_some() {
            personal.seal(format!("s1.test.{field}-{}", event_id.0.as_u128()), event_id);
        }
    });
}

pub(crate) struct Given<A: Told> {
    events: Vec<A::Event>,
    facts: A::Facts,
}

/// A stream in which `events` have happened, and facts that say nothing of other streams.
pub(crate) fn given<A: Told>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given { events: Vec::new(), facts: A::Facts::default() }.and(events)
}

impl<A: Told> Given<A> {
    pub(crate) fn and(mut self, events: impl IntoIterator<Item = A::Event>) -> Self {
        for mut happened in events {
            seal(&mut happened, event(self.events.len() as u128 + 1));
            self.events.push(happened);
        }
        self
    }

    pub(crate) fn knowing(self, facts: A::Facts) -> Self {
        Self { facts, ..self }
    }

    pub(crate) fn state(&self) -> A {
        replay(&self.events)
    }

    #[track_caller]
    pub(crate) fn when(self, command: A::Command) -> When<A> {
        let answer = self.state().decide(command.clone(), &self.facts);
        let handled = TestFramework::<A>::with(self.facts.clone())
            .given(self.events.clone())
            .when(command)
            .inspect_result();
        assert_eq!(handled, answer, "handle and apply do what decide and evolve do");
        When { given: self, answer }
    }
}

/// A command that was decided, and what came of it.
#[must_use]
pub(crate) struct When<A: Told> {
    given: Given<A>,
    answer: Result<Vec<A::Event>, Problem>,
}

impl<A: Told> When<A> {
    /// Exactly these events; the story can go on from there.
    #[track_caller]
    pub(crate) fn then(self, expected: impl IntoIterator<Item = A::Event>) -> Given<A> {
        let expected: Vec<A::Event> = expected.into_iter().collect();
        assert_eq!(self.answer, Ok(expected.clone()));
        self.given.and(expected)
    }

    /// The answer is good, and no event is written.
    #[track_caller]
    pub(crate) fn then_nothing(self) -> Given<A> {
        self.then([])
    }

    /// Exactly this problem, its text included.
    #[track_caller]
    pub(crate) fn then_problem(self, expected: impl Into<Problem>) -> Given<A> {
        assert_eq!(self.answer, Err(expected.into()));
        self.given
    }

    /// A problem of this kind, however it is worded.
    #[track_caller]
    pub(crate) fn then_refused(self, kind: Kind) -> Given<A> {
        match &self.answer {
            Err(problem) => assert!(problem.is(kind), "{problem} is not {}", kind.slug()),
            Ok(events) => panic!("{} was expected, not {events:?}", kind.slug()),
        }
        self.given
    }

    /// One field breaks one rule.
    #[track_caller]
    pub(crate) fn then_invalid(self, error: FieldError) -> Given<A> {
        self.then_problem(Problem::field(error))
    }
}
