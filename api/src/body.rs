//! A JSON body with named fields: read as its type, or refused with what is wrong with every field.

use std::{collections::BTreeSet, fmt, marker::PhantomData};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use domain::{Item, json::pointed};
use futures::future::{FutureExt as _, LocalBoxFuture};
use http::Problem;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::schema;

/// The name of what a request makes, which a dry run may leave out.
const OUTPUT: &str = "output";

/// A field that is needed, and the one that may stand in its place.
const EITHER: (&str, &str) = ("source_tuned", "diff");

/// What was sent.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + ToSchema + 'static> FromRequest for Body<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let dry = request.query_string().split('&').any(|pair| pair == "dry_run=true");
        let waived: &[&str] = if dry { &[OUTPUT] } else { &[] };
        let sent = web::Json::<Fields<T>>::from_request(request, payload);
        async move { Ok(read(sent.await?.into_inner(), waived).map(Self)?) }.boxed_local()
    }
}

/// The fields of an object as they were sent, those given twice too.
struct Fields<T>(Vec<(String, Value)>, PhantomData<T>);

impl<'de, T> Deserialize<'de> for Fields<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each<T>(PhantomData<T>);
        impl<'de, T> Visitor<'de> for Each<T> {
            type Value = Fields<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<T>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields, PhantomData))
            }
        }
        deserializer.deserialize_map(Each(PhantomData))
    }
}

fn read<T: DeserializeOwned + ToSchema>(sent: Fields<T>, waived: &[&str]) -> Result<T, Problem> {
    let mut schema = serde_json::to_value(T::schema()).unwrap_or_default();
    let instead = sent.0.iter().any(|(name, _)| name == EITHER.1).then_some(EITHER.0);
    let waived: Vec<&str> = waived.iter().copied().chain(instead).collect();
    demand(&mut schema, &waived);
    let mut seen = BTreeSet::new();
    let twice = sent.0.iter().filter(|(name, _)| !seen.insert(name.as_str())).map(|(name, _)| Item {
        pointer: format!("/{}", pointed(name)),
        message: "it is given twice".to_owned(),
    });
    let mut faults: Vec<Item> = twice.take(http::MOST_FAULTS + 1).collect();
    let fields = Value::Object(Map::from_iter(sent.0));
    faults.extend(schema::faults(&schema, &fields, ""));
    if !faults.is_empty() {
        return Err(Problem::misread(faults));
    }
    serde_json::from_value(fields).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

/// Makes a schema ask for the name of the result too, and for one of two fields, unless that is waived, and for no field
/// that it does not know.
fn demand(schema: &mut Value, waived: &[&str]) {
    if !schema["properties"].is_object() {
        return;
    }
    let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let known = |name: &str| schema["properties"].get(name).is_some();
    let output = known(OUTPUT).then_some(OUTPUT);
    let either = (known(EITHER.0) && known(EITHER.1)).then_some(EITHER.0);
    let needed: BTreeSet<&str> =
        needed.chain(output).chain(either).filter(|name| !waived.contains(name)).collect();
    let needed = json!(needed);
    schema["required"] = needed;
    schema["additionalProperties"] = json!(false);
}
