//! A JSON body with named fields: read as its type, or refused with what is wrong with every field.

use std::{collections::BTreeSet, fmt, marker::PhantomData};

use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use domain::{Item, nearest};
use futures::future::{FutureExt as _, LocalBoxFuture};
use http::Problem;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use utoipa::{
    ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Object, SchemaType, Type},
    },
};

/// The name of what a request makes, which a dry run may leave out.
const OUTPUT: &str = "output";

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
    let faults = match T::schema() {
        RefOr::T(Schema::Object(wanted)) => faults(&wanted, &sent.0, waived),
        _ => Vec::new(),
    };
    if !faults.is_empty() {
        return Err(Problem::misread(faults));
    }
    let fields = Value::Object(Map::from_iter(sent.0));
    serde_json::from_value(fields).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

/// What is wrong with the names and the types of the fields.
fn faults(wanted: &Object, sent: &[(String, Value)], waived: &[&str]) -> Vec<Item> {
    let item = |name: &str, message: String| Item { pointer: format!("/{name}"), message };
    let (mut faults, mut seen) = (Vec::new(), BTreeSet::new());
    let names: Vec<&str> = wanted.properties.keys().map(String::as_str).collect();
    for (name, value) in sent {
        if !seen.insert(name.as_str()) {
            faults.push(item(name, "it is given twice".to_owned()));
        } else if !names.contains(&name.as_str()) {
            let known = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let told = match nearest(name, &names) {
                Some(close) => format!("there is no such field; did you mean `{close}`?"),
                None => format!("there is no such field; there are {known}"),
            };
            faults.push(item(name, told));
        } else if let Some(RefOr::T(Schema::Object(field))) = wanted.properties.get(name)
            && let Some(told) = mistyped(&field.schema_type, value)
        {
            faults.push(item(name, told));
        }
    }
    let needed = wanted.required.iter().map(String::as_str);
    let output = names.contains(&OUTPUT).then_some(OUTPUT);
    for name in needed.chain(output).collect::<BTreeSet<_>>() {
        if !seen.contains(name) && !waived.contains(&name) {
            faults.push(item(name, "it is missing".to_owned()));
        }
    }
    faults
}

/// What a value of a simple type should be, where it is none.
fn mistyped(wanted: &SchemaType, value: &Value) -> Option<String> {
    let fits = |kind: &Type| match kind {
        Type::String => value.is_string(),
        Type::Number => value.is_number(),
        Type::Integer => value.is_i64() || value.is_u64(),
        Type::Boolean => value.is_boolean(),
        Type::Array => value.is_array(),
        Type::Null => value.is_null(),
        Type::Object => true,
    };
    let word = |kind: &Type| match kind {
        Type::String => "a text",
        Type::Number => "a number",
        Type::Integer => "a whole number",
        Type::Boolean => "true or false",
        Type::Array => "a list",
        Type::Null => "null",
        Type::Object => "an object",
    };
    let kinds = match wanted {
        SchemaType::Type(kind) => std::slice::from_ref(kind),
        SchemaType::Array(kinds) => kinds,
        SchemaType::AnyValue => return None,
    };
    let told = || kinds.iter().map(word).collect::<Vec<_>>().join(" or ");
    (!kinds.iter().any(fits)).then(|| format!("expected {}", told()))
}
