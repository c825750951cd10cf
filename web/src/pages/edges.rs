//! Claims that weights or dates speak against, and the form by which people decide about edges.

use actix_web::HttpRequest;
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    caller::person,
    form::Form,
    view::{ContradictionRow, EdgeForm, Name, encoded},
};

#[derive(Template)]
#[template(path = "pages/contradictions.html")]
struct Page {
    rows: Vec<ContradictionRow>,
    next: Option<String>,
    /// Whether there are weights of two models, without which no claim is checked.
    checkable: bool,
    /// Whether dates speak against the claims, and not weights.
    by_date: bool,
}

/// `GET /contradictions?ground=&cursor=`
pub async fn contradictions(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let ground = asked.get("ground").unwrap_or("weights");
    let (rows, next) = source.contradictions(ground, asked.get("cursor")).await?;
    let next =
        next.map(|cursor| format!("/contradictions?ground={}&cursor={}", encoded(ground), encoded(&cursor)));
    let checkable = source.counts().await?.with_weights > 1;
    Ok(answer::ok(&Page { rows, next, checkable, by_date: ground == "dates" }))
}

/// `POST /edges`
pub async fn decide(source: Data, request: HttpRequest, Form(asked): Form) -> Answer {
    let form = EdgeForm {
        model: asked.text("model"),
        parent: asked.text("parent"),
        decision: asked.text("decision"),
        relation: asked.text("relation"),
        reason: asked.text("reason"),
    };
    let page = Name::from(form.model.as_str()).href();
    let decided = async { source.decide(&form, &person(&request).await?).await };
    Ok(match decided.await {
        Ok(()) => answer::see_other(&page),
        Err(failure) => {
            let typed = [
                ("Parent", &*form.parent),
                ("How", &form.relation),
                ("Decision", &form.decision),
                ("Reason", &form.reason),
            ];
            answer::refused(&failure, (page, &form.model), &typed)
        }
    })
}
