//! Several things wrong with one request: none hides another, and each is told with its place.

use std::convert::Infallible;

use domain::{Class, Fault as _, Item};

use crate::Error;

/// What is found wrong so far.
#[derive(Default)]
pub(crate) struct Faults(Vec<Error>);

impl Faults {
    /// What was found right; an error is kept.
    pub(crate) fn take<T>(&mut self, outcome: Result<T, Error>) -> Option<T> {
        outcome.map_err(|error| self.0.push(error)).ok()
    }

    /// [`Self::take`] of what stands at `pointer` in the request.
    pub(crate) fn at<T>(&mut self, pointer: &str, outcome: Result<T, Error>) -> Option<T> {
        self.take(outcome.map_err(|error| placed(error, pointer)))
    }

    /// Keeps what is wrong at `pointer`.
    pub(crate) fn say(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(placed(Error::Invalid(message.into()), pointer));
    }

    /// What was found `right`, where nothing is wrong.
    ///
    /// # Errors
    /// The one error; or all of them under the first that is of the request itself, or the first. One that is no fault of
    /// the request comes alone.
    pub(crate) fn done<T>(mut self, right: Option<T>) -> Result<T, Error> {
        if let Some(at) = self.0.iter().position(|error| !is_fault(error)) {
            return Err(self.0.swap_remove(at));
        }
        if self.0.len() < 2 {
            let unread = || Error::Invalid("the request cannot be read".to_owned());
            return match (self.0.pop(), right) {
                (None, Some(right)) => Ok(right),
                (error, _) => Err(error.unwrap_or_else(unread)),
            };
        }
        let items = self.0.iter().flat_map(items).collect();
        let first = self.0.iter().position(|error| error.class() == Class::Invalid).unwrap_or_default();
        Err(Error::At { items, error: Box::new(self.0.swap_remove(first)) })
    }
}

/// The error with its place in the request, where it has none.
pub(crate) fn placed(error: Error, pointer: &str) -> Error {
    if !error.items().is_empty() || !is_fault(&error) {
        return error;
    }
    let items = vec![Item { pointer: pointer.to_owned(), message: error.to_string() }];
    Error::At { items, error: Box::new(error) }
}

fn items(error: &Error) -> Vec<Item> {
    match error.items() {
        none if none.is_empty() => vec![Item { pointer: String::new(), message: error.to_string() }],
        items => items,
    }
}

/// Whether an error is of the request, and others may be told beside it.
pub(crate) fn is_fault(error: &Error) -> bool {
    let class = error.class();
    let ours = matches!(
        class,
        Class::Internal | Class::Unavailable | Class::TooMany | Class::Full | Class::Forbidden
    );
    !ours && !matches!(error, Error::HubMoved(_) | Error::Cancelled | Error::LeaseLost)
}

/// All that is known to be wrong with a request, told at once.
pub fn refused(known: Vec<Item>) -> Error {
    let mut faults = Faults::default();
    known.into_iter().for_each(|fault| faults.say(&fault.pointer, fault.message));
    match faults.done::<Infallible>(None) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// What `plan` finds wrong, beside what is known to be wrong with the request: of a place with a known fault nothing more.
pub async fn beside<P, T>(known: Vec<Item>, plan: P) -> Error
where
    P: AsyncFnOnce() -> Result<T, Error>,
{
    let mut faults = Faults::default();
    if let Err(error) = plan().await {
        let found = items(&error);
        let new = |item: &Item| known.iter().all(|known| known.pointer != item.pointer);
        match found.iter().all(new) || !is_fault(&error) {
            true => drop(faults.take::<()>(Err(error))),
            false => found.into_iter().filter(new).for_each(|item| faults.say(&item.pointer, item.message)),
        }
    }
    known.into_iter().for_each(|fault| faults.say(&fault.pointer, fault.message));
    match faults.done::<Infallible>(None) {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_keeps_its_code_and_several_are_told_with_their_places() {
        let mut one = Faults::default();
        one.at::<()>("/output", Err(Error::OutputExists("o/a".to_owned())));
        let one = one.done(Some(())).unwrap_err();
        let mut several = Faults::default();
        several.at::<()>("/output", Err(Error::OutputExists("o/a".to_owned())));
        several.say("/rank", "it is 0");
        let several = several.done(Some(())).unwrap_err();

        assert_eq!((one.code(), one.items()[0].pointer.as_str()), ("output_exists", "/output"));
        assert_eq!(one.to_string(), Error::OutputExists("o/a".to_owned()).to_string());
        let places: Vec<String> = several.items().into_iter().map(|item| item.pointer).collect();
        assert_eq!(
            (several.code(), places),
            ("invalid_request", vec!["/output".to_owned(), "/rank".to_owned()])
        );
        assert_eq!(several.headline(), "the request has 2 faults");
    }

    #[tokio::test]
    async fn what_a_plan_finds_stands_beside_what_is_known_unless_it_is_of_the_same_place() {
        let item =
            |pointer: &str, message: &str| Item { pointer: pointer.to_owned(), message: message.to_owned() };
        let known = || vec![item("/base", "it is missing"), item("/output", "it is no name")];
        let found = |places: &[&str]| {
            let mut faults = Faults::default();
            places.iter().for_each(|place| faults.say(place, "found"));
            faults.done(Some(()))
        };
        let told = |error: &Error| error.items().into_iter().map(|item| item.pointer).collect::<Vec<_>>();

        let both = beside(known(), async || found(&["/base", "/tuned"])).await;
        let none = beside(known(), async || found(&[])).await;
        let ours = beside(known(), async || Err::<(), _>(Error::Task("it stopped".to_owned()))).await;

        assert_eq!(told(&both), ["/tuned", "/base", "/output"]);
        assert_eq!(told(&none), ["/base", "/output"]);
        assert_eq!(ours.code(), "task_failed");
    }

    #[test]
    fn what_is_our_own_fault_comes_alone() {
        let mut faults = Faults::default();
        faults.say("/rank", "it is 0");
        faults.take::<()>(Err(Error::Task("it stopped".to_owned())));

        let error = faults.done(Some(())).unwrap_err();

        assert_eq!((error.code(), error.items().len()), ("task_failed", 0));
    }
}
