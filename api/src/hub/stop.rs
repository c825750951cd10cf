//! How a call about a repository ends before its own answer.

use actix_web::HttpResponse;
use http::{Problem, Result};

/// What is answered in the place of what was asked for.
pub enum Stop {
    Problem(Problem),
    /// Such as the way to a model's present name.
    Answer(HttpResponse),
}

/// What a call about a repository gives.
pub type Outcome<T = HttpResponse> = std::result::Result<T, Stop>;

impl<E: Into<Problem>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

/// The answer to a call, however it ended.
///
/// # Errors
/// The problem, where it ended with one.
pub fn settled(outcome: Outcome) -> Result<HttpResponse> {
    match outcome {
        Ok(answer) | Err(Stop::Answer(answer)) => Ok(answer),
        Err(Stop::Problem(problem)) => Err(problem),
    }
}
