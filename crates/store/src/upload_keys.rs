//! Keys of uploads, which clients send large files with: to addresses that they ask without their token.

use domain::Digest;

use crate::{
    Result, Store, TokenRow,
    sql::{self, Params, wall_clock},
    tokens::{self, DAY, Scope, UPLOAD},
};

impl Store {
    /// A key that sends files as the bearer of `token` does, whose secret is `secret`: for one day at least and two at most,
    /// and no longer than the token. It is drawn from the secret and the day, so that all uploads of a day share one
    /// although only its hash is kept.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn upload_key(&self, token: &TokenRow, secret: &str) -> Result<String> {
        let now = wall_clock();
        let day = now.div_euclid(DAY);
        let key = Digest::of(format!("upload\0{day}\0{secret}").as_bytes()).hex();
        if self.token(&key).await?.is_some() {
            return Ok(key);
        }
        let tx = self.begin_write().await?;
        let mut params = Params::default();
        let sql = format!(
            "DELETE FROM tokens WHERE label LIKE {} AND expires_at < {}",
            params.add(format!("{UPLOAD}%")),
            params.add(now)
        );
        sql::run(&tx, &sql, params).await?;
        let expires_at = Some((day + 2) * DAY);
        let label = format!("{UPLOAD}{}", token.id);
        let derived = TokenRow { label, scope: Scope::Upload, expires_at, ..token.clone() };
        tokens::ensure(&tx, &key, &derived).await?;
        tx.commit().await?;
        Ok(key)
    }
}
