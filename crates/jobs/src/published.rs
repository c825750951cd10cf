//! Publishing derived models under the fence of their job: computed, or with the tensors of what the same recipe made before.

use std::{path::Path, sync::Arc};

use domain::RelativePath;
use serde_json::{Map, Value, json};
use weights::TensorSource;

use crate::{
    Derived, Error, Gathered, Incoming, Made, forecast, ingest_files,
    kinds::Run,
    operand::{Companion, CompanionFrom},
    provenance::{self, Effort},
    repeated::{self, Earlier},
    rights::{asker_of, still_may},
};

/// Writes, stores and publishes a derived model under the job's fence; gives the job's result. What its recipe made before, in
/// the same files, is not computed again.
pub async fn publish_derived(
    run: &Run,
    derived: Derived,
    source: Arc<dyn TensorSource>,
) -> Result<Map<String, Value>, Error> {
    let (registry, effort) = (&run.registry, Effort::begin());
    let layout = derived.layout(registry);
    let theirs = asker_of(registry, &run.job).await?.unwrap_or_else(|| registry.store.clone());
    let files = weights::checkpoint_files(&*source, layout)?;
    if let Some(earlier) = repeated::earlier(&theirs, &derived.recipe, &files).await? {
        return publish_again(run, (derived, &*source), (earlier, effort)).await;
    }
    let place = run.workplace()?;
    forecast::has_room(&place.out(), source.tensors())?;
    let laid = (Arc::clone(&source), layout);
    let done = match place.write(laid, derived.recipe.digest().to_string(), &run.pulse).await {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    run.told_kept(done.kept);
    let record = provenance::record(registry, &derived, (&*source, &done), &effort).await?;
    let (names, out) = (done.names, place.out());
    let sizes = names.iter().map(|name| Ok(fs_err::metadata(out.join(name))?.len()));
    run.pulse.begin("publishing", sizes.sum::<std::io::Result<u64>>()?);
    // What it was made of may have been closed to who asked for it meanwhile.
    still_may(registry, &run.job).await?;
    let mut gathered = Gathered::new();
    let texts = derived.texts(&*source, &record);
    let stored = match gather_weights(run, (&out, &names), &mut gathered).await {
        Ok(()) => gather_others(run, (&derived, texts), &mut gathered).await,
        failed => failed,
    };
    if let Err(error) = stored {
        gathered.discard(registry).await;
        return Err(error);
    }
    let mut told = publish(run, &derived, (gathered, record)).await?;
    told.insert("resumed_bytes".to_owned(), json!(done.kept));
    Ok(told)
}

/// The same with the weights of what the recipe made before.
async fn publish_again(
    run: &Run,
    (derived, source): (Derived, &dyn TensorSource),
    (earlier, effort): (Earlier, Effort),
) -> Result<Map<String, Value>, Error> {
    let (registry, from) = (&run.registry, earlier.named());
    run.pulse.tell(format!("the recipe was carried out before, as {from}; its tensors are taken over"));
    let record = provenance::again(registry, &derived, (source, &earlier), &effort);
    run.pulse.begin("publishing", 0);
    still_may(registry, &run.job).await?;
    let mut gathered = Gathered::new();
    let texts = derived.texts(source, &record);
    let stored = async {
        for file in &earlier.files {
            registry.store.pin(&gathered.holder, &file.digest).await?;
            let (digest, size) = (file.digest, file.size);
            gathered.files.push(Incoming { path: path_of(&file.path)?, digest, size });
        }
        gather_others(run, (&derived, texts), &mut gathered).await
    };
    if let Err(error) = stored.await {
        gathered.discard(registry).await;
        return Err(error);
    }
    let mut told = publish(run, &derived, (gathered, record)).await?;
    told.insert("copied_from".to_owned(), json!(from));
    Ok(told)
}

async fn publish(
    run: &Run,
    derived: &Derived,
    (gathered, record): (Gathered, Value),
) -> Result<Map<String, Value>, Error> {
    let (registry, fence) = (&run.registry, Some(run.job.hold()));
    let made = Made { fence, provenance: Some(record), ..derived.made() };
    let row = ingest_files(registry, &derived.id, gathered, made).await?;
    Ok(Map::from_iter([
        ("model".to_owned(), json!(row.name)),
        ("digest".to_owned(), json!(row.digest)),
        ("device".to_owned(), json!(registry.devices.told())),
    ]))
}

/// Stores the files of weights.
async fn gather_weights(
    run: &Run,
    (scratch, names): (&Path, &[String]),
    gathered: &mut Gathered,
) -> Result<(), Error> {
    for name in names {
        let (digest, size) = run.registry.store.put_file(&gathered.holder, &scratch.join(name)).await?;
        gathered.files.push(Incoming { path: path_of(name)?, digest, size });
        gathered.renew(&run.registry).await;
        run.pulse.advance(size)?;
    }
    Ok(())
}

/// Stores what goes with the weights.
async fn gather_others(
    run: &Run,
    (derived, texts): (&Derived, Vec<(String, String)>),
    gathered: &mut Gathered,
) -> Result<(), Error> {
    let store = &run.registry.store;
    for (name, text) in texts {
        let (digest, size) = store.put_bytes(&gathered.holder, text.as_bytes()).await?;
        gathered.files.push(Incoming { path: path_of(&name)?, digest, size });
    }
    for Companion { path, from } in &derived.heir.companions {
        let (digest, size) = match from {
            CompanionFrom::Blob(digest, size) => {
                store.pin(&gathered.holder, digest).await?;
                (*digest, *size)
            }
            CompanionFrom::Hub(file) => {
                let bytes = file.read_all(run.registry.limits.hub_file_bytes).await?;
                store.put_bytes(&gathered.holder, &bytes).await?
            }
            CompanionFrom::Text(text) => store.put_bytes(&gathered.holder, text.as_bytes()).await?,
            CompanionFrom::File(_) => continue,
        };
        gathered.files.push(Incoming { path: path_of(path)?, digest, size });
    }
    Ok(())
}

fn path_of(name: &str) -> Result<RelativePath, Error> {
    Ok(RelativePath::parse(name)?)
}
