//! SPARQL over the forest: read only, one graph, and no question takes more than its purse holds.

mod dataset;
mod purse;
mod refuse;
mod term;
#[cfg(test)]
mod tests;

use std::{
    any::Any,
    collections::HashSet,
    io::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::Limits;
pub use sparesults::QueryResultsFormat as Rows;
use sparesults::QueryResultsSerializer;
use spareval::{QueryEvaluator, QueryResults};
use spargebra::SparqlParser;
use tokio::{runtime::Handle, sync::oneshot};

use self::{
    dataset::{Lineage, Lookup},
    purse::Spent,
};
use crate::{Error, Registry};

/// The parser and the evaluator go as deep as a question is nested; of this, only what they touch is ever there.
const STACK: usize = 256 << 20;

/// What a question is answered with.
#[derive(Debug)]
pub struct Answer {
    pub body: Vec<u8>,
    pub form: AnswerForm,
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// Of `SELECT` and `ASK`.
    Rows(Rows),
    /// N-Triples, of `CONSTRUCT` and `DESCRIBE`.
    Triples,
}

/// Tells the evaluation when nobody waits for it any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Answers a question over what the registry's viewer may see; `rows` is the form of a table.
///
/// # Errors
/// [`Error::BadSparql`], [`Error::SparqlRefused`], [`Error::SparqlSpent`] when a limit is reached, [`Error::SparqlBusy`]
/// while as many are answered as may be at once.
pub async fn sparql(registry: &Registry, text: String, rows: Rows) -> Result<Answer, Error> {
    let limits = registry.limits;
    if text.len() > limits.sparql_bytes {
        let most = limits.sparql_bytes;
        return Err(Error::SparqlSpent(format!("it is longer than {most} bytes (`sparql_bytes`)")));
    }
    let patience = Duration::from_secs(limits.sparql_seconds);
    let turn = tokio::time::timeout(patience, Arc::clone(&registry.answering).acquire_owned()).await;
    let turn = turn.ok().and_then(Result::ok).ok_or(Error::SparqlBusy)?;
    let forest = registry.forests.current().await?;
    let (handle, store) = (Handle::current(), registry.store.clone());
    let waiting = Waiting(Arc::default());
    let gone = Arc::clone(&waiting.0);
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("sparql".to_owned()).stack_size(STACK).spawn(move || {
        let lookup: Lookup =
            Arc::new(move |name: &str| Ok(handle.block_on(store.model_by_id(name))?.map(|row| row.id)));
        let answer = answer(Lineage::new(forest, lookup), &text, (rows, &limits, gone));
        drop(turn);
        let _ = tell.send(answer);
    })?;
    told.await.map_err(|error| Error::Task(error.to_string()))?
}

/// Answers on this thread, which has a deep stack and no other question.
fn answer(
    data: Lineage,
    text: &str,
    (rows, limits, gone): (Rows, &Limits, Arc<AtomicBool>),
) -> Result<Answer, Error> {
    purse::fill(limits, variables(text), gone);
    let evaluated = catch_unwind(AssertUnwindSafe(|| evaluate(data, text, (rows, limits))));
    evaluated.unwrap_or_else(|unwound| match unwound.downcast::<store::Error>() {
        Ok(error) => Err((*error).into()),
        Err(unwound) => ended(&*unwound, limits),
    })
}

/// Why an evaluation ended before its answer.
fn ended(unwound: &(dyn Any + Send), limits: &Limits) -> Result<Answer, Error> {
    match unwound.downcast_ref::<Spent>() {
        Some(Spent::Gone) => Err(Error::Cancelled),
        Some(Spent::Time) => {
            spent(format!("it took longer than {} seconds (`sparql_seconds`)", limits.sparql_seconds))
        }
        Some(Spent::Memory) => spent(format!(
            "it held more than {} bytes of rows at once (`sparql_memory_bytes`)",
            limits.sparql_memory_bytes
        )),
        Some(Spent::Facts) => {
            spent(format!("it read more than {} facts (`sparql_facts`)", limits.sparql_facts))
        }
        None => Err(Error::Task("the evaluation of a question failed".to_owned())),
    }
}

fn spent<T>(why: String) -> Result<T, Error> {
    Err(Error::SparqlSpent(why))
}

/// At least as many as a row of the question has.
fn variables(text: &str) -> usize {
    let named = |rest: &str| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    let names: HashSet<String> = text.split(['?', '$']).skip(1).map(named).collect();
    // Nameless nodes and the steps of paths get variables of their own.
    names.len() + text.matches(['[', '/', '_']).count().min(64)
}

fn evaluate(data: Lineage, text: &str, (rows, limits): (Rows, &Limits)) -> Result<Answer, Error> {
    if let Some(why) = refuse::unreadable(text) {
        return Err(Error::SparqlRefused(why));
    }
    let parser = || {
        // Each of them is an IRI.
        let add = |parser: SparqlParser, (name, iri)| parser.with_prefix(name, iri).unwrap_or_default();
        term::PREFIXES.into_iter().fold(SparqlParser::new(), add)
    };
    let query = match parser().parse_query(text) {
        Ok(query) => query,
        Err(_) if parser().parse_update(text).is_ok() => {
            return Err(Error::SparqlRefused("it changes data; this endpoint only reads".to_owned()));
        }
        Err(error) => return Err(Error::BadSparql(error.to_string())),
    };
    if refuse::judged(&query).map_err(Error::SparqlRefused)? {
        purse::join_texts();
    }
    let evaluator = QueryEvaluator::new();
    let failed = |error: spareval::QueryEvaluationError| Error::SparqlRefused(error.to_string());
    let results = evaluator.prepare(&query).execute(data).map_err(failed)?;
    let mut out = Bounded { bytes: Vec::new(), most: limits.sparql_answer_bytes };
    let too_large = |_: io::Error| {
        let most = limits.sparql_answer_bytes;
        Error::SparqlSpent(format!("its answer is longer than {most} bytes (`sparql_answer_bytes`)"))
    };
    let mut told = 0;
    let mut count = || -> Result<(), Error> {
        told += 1;
        if told > limits.sparql_rows {
            let most = limits.sparql_rows;
            return spent(format!("its answer has more than {most} rows (`sparql_rows`); ask with LIMIT"));
        }
        Ok(())
    };
    let serializer = QueryResultsSerializer::from_format(rows);
    let form = match results {
        QueryResults::Boolean(yes) => {
            serializer.serialize_boolean_to_writer(&mut out, yes).map_err(too_large)?;
            AnswerForm::Rows(rows)
        }
        QueryResults::Solutions(solutions) => {
            let names = solutions.variables().to_vec();
            let mut table = serializer.serialize_solutions_to_writer(&mut out, names).map_err(too_large)?;
            for solution in solutions {
                count()?;
                table.serialize(&solution.map_err(failed)?).map_err(too_large)?;
            }
            table.finish().map_err(too_large)?;
            AnswerForm::Rows(rows)
        }
        QueryResults::Graph(triples) => {
            for triple in triples {
                count()?;
                writeln!(out, "{} .", triple.map_err(failed)?).map_err(too_large)?;
            }
            AnswerForm::Triples
        }
    };
    Ok(Answer { body: out.bytes, form })
}

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
