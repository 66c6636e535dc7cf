//! Tests of tokens with a role: memory and file say the same, whatever happens.

use std::collections::HashSet;

use super::*;
use crate::domain::access::Role;
use crate::domain::page::Cursor;
use crate::domain::ports::{FindTokens as _, TokenLookup};
use crate::store::operations::fixture::{Fixture, at};

fn new(name: &str, account_id: Option<&AccountId>) -> NewAccessToken {
    NewAccessToken {
        name: name.parse().unwrap(),
        role: Role::Viewer,
        account_id: account_id.cloned(),
        expires_at: None,
    }
}

fn digest(name: &str) -> TokenDigest {
    TokenDigest::of(name.as_bytes())
}

impl Fixture {
    /// Makes a token whose text is its name.
    async fn token(&self, name: &str, account: Option<&AccountId>) -> Result<AccessToken> {
        let made =
            self.store.create_access_token(new(name, account), None, digest(name), "hint".to_owned(), at(0)).await;
        made.map(Option::unwrap)
    }

    fn works(&self, name: &str) -> bool {
        matches!(self.store.memory.access_tokens.look_up(&digest(name), at(60)), TokenLookup::Works(_))
    }

    /// The tokens that the file has. Fails if memory has others.
    async fn known(&self) -> usize {
        let of_file = self.step(|tx| all(tx.connection())).await.unwrap();
        let of_file: HashSet<_> =
            of_file.into_iter().map(|token| (token.digest, format!("{:?}", token.rights))).collect();
        let of_memory = self.store.memory.access_tokens.all().into_iter();
        let of_memory: HashSet<_> = of_memory.map(|(digest, rights)| (digest, format!("{rights:?}"))).collect();
        assert!(of_file == of_memory, "memory and file differ");
        of_file.len()
    }

    fn of_account(&self) -> ScopedStore {
        self.store.within(&Scope::Account { id: self.account.id.clone(), key: self.account.key })
    }
}

fn page(limit: u16, cursor: Option<Cursor>) -> PageRequest {
    PageRequest { limit, cursor }
}

#[tokio::test]
async fn memory_and_file_stay_equal_while_many_make_and_revoke() {
    let fixture = Fixture::new().await;
    let made = futures_util::future::join_all((0..100).map(|number| {
        let fixture = &fixture;
        async move {
            let account = (number % 3 == 0).then_some(&fixture.account.id);
            let token = fixture.token(&number.to_string(), account).await?;
            if number % 2 == 0 {
                fixture.store.revoke_access_token(token.id).await?;
            }
            Ok::<_, Error>(())
        }
    }));
    assert!(made.await.iter().all(Result::is_ok));
    assert_eq!(fixture.known().await, 50);
    assert!((0..100).all(|number| fixture.works(&number.to_string()) == (number % 2 == 1)));
    let fixture = fixture.restart(at(60)).await;
    assert_eq!(fixture.known().await, 50);
}

#[tokio::test]
async fn deleting_an_account_ends_its_tokens_and_no_others() {
    let fixture = Fixture::new().await;
    let (other, _) = fixture.another_account("bob", at(0)).await;
    for (name, account) in [("all", None), ("ada", Some(&fixture.account.id)), ("bob", Some(&other.id))] {
        fixture.token(name, account).await.unwrap();
    }
    fixture.of_account().delete_account(fixture.account.id.clone(), at(1)).await.unwrap();
    assert!(fixture.works("all") && !fixture.works("ada") && fixture.works("bob"));
    assert_eq!(fixture.known().await, 2);
    // Somebody else may take the id. The tokens of before do not come back.
    let again = fixture.store.create_account(
        Some(fixture.account.id.clone()),
        crate::domain::account::AccountFields {
            email: "new@example.com".parse().unwrap(),
            name: "New".parse().unwrap(),
            website: None,
        },
        digest("app"),
        "hint".to_owned(),
        at(2),
    );
    let again = again.await.unwrap();
    let before = fixture.of_account().account(again.id.clone()).await;
    assert!(before.is_err_and(|error| error.kind() == Kind::NotFound), "a scope is of an account, not of an id");
}

#[tokio::test]
async fn a_token_for_one_account_sees_and_makes_those_of_its_account() {
    let fixture = Fixture::new().await;
    let (other, _) = fixture.another_account("bob", at(0)).await;
    let foreign = fixture.token("foreign", Some(&other.id)).await.unwrap();
    let for_all = fixture.token("all", None).await.unwrap();
    let own = fixture.token("own", Some(&fixture.account.id)).await.unwrap();
    let scoped = fixture.of_account();
    let made = scoped.create_access_token(new("made", None), None, digest("made"), "hint".to_owned(), at(0)).await;
    let made = made.unwrap().unwrap();
    assert_eq!(made.account_id.as_ref(), Some(&fixture.account.id));
    let listed = scoped.access_tokens(page(1, None)).await.unwrap();
    assert_eq!(listed.items[0].id, own.id);
    let listed = scoped.access_tokens(page(10, listed.next)).await.unwrap();
    assert_eq!((listed.items.len(), &listed.items[0].id, listed.next), (1, &made.id, None));
    for id in [foreign.id, for_all.id, TokenId::generate()] {
        for refused in [scoped.access_token(id.clone()).await.map(drop), scoped.revoke_access_token(id).await] {
            assert_eq!(refused.unwrap_err().detail(), "There is no token with this id.");
        }
    }
    assert!(fixture.works("foreign") && fixture.works("all"));
    let refused = async |account: &AccountId| {
        let wanted = new("x", Some(account));
        scoped.create_access_token(wanted, None, digest("x"), "hint".to_owned(), at(0)).await.unwrap_err()
    };
    let (foreign, missing) = (refused(&other.id).await, refused(&AccountId::generate()).await);
    assert_eq!((foreign.code(), foreign.detail()), ("validation_failed", missing.detail()));
    scoped.revoke_access_token(own.id).await.unwrap();
    assert!(!fixture.works("own") && fixture.known().await == 3);
}

#[tokio::test]
async fn there_is_a_bound_for_each_account() {
    let fixture = Fixture::new().await;
    let (other, _) = fixture.another_account("bob", at(0)).await;
    let mut last = None;
    for number in 0..MAX_PER_ACCOUNT {
        last = Some(fixture.token(&number.to_string(), Some(&fixture.account.id)).await.unwrap());
    }
    let refused = fixture.token("more", Some(&fixture.account.id)).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "too_many_tokens"));
    assert!(fixture.token("bob", Some(&other.id)).await.is_ok() && fixture.token("all", None).await.is_ok());
    fixture.store.revoke_access_token(last.unwrap().id).await.unwrap();
    assert!(fixture.token("more", Some(&fixture.account.id)).await.is_ok());
    assert_eq!(fixture.known().await, MAX_PER_ACCOUNT + 2);
}

#[tokio::test]
async fn the_last_use_is_seen_at_once_and_written_only_when_it_is_new() {
    let fixture = Fixture::new().await;
    let token = fixture.token("one", None).await.unwrap();
    assert_eq!(token.last_used_at, None);
    let writes = || fixture.store.write_metrics().commit_writes.count;
    let before = writes();
    fixture.store.write_token_uses().await.unwrap();
    assert_eq!(writes(), before, "nothing is new");
    assert!(fixture.works("one"));
    assert_eq!(fixture.store.access_token(token.id.clone()).await.unwrap().last_used_at, Some(at(60)));
    let written = || fixture.value::<Option<i64>>("SELECT last_used_at FROM access_token");
    assert_eq!(written(), None);
    fixture.store.write_token_uses().await.unwrap();
    assert_eq!((written(), writes()), (Some(60_000), before + 1));
    fixture.store.write_token_uses().await.unwrap();
    assert_eq!(writes(), before + 1);
    // A stop writes what is new.
    let later = fixture.store.memory.access_tokens.look_up(&digest("one"), at(180));
    assert!(matches!(later, TokenLookup::Works(_)));
    let fixture = fixture.restart(at(180)).await;
    assert_eq!(fixture.store.access_token(token.id).await.unwrap().last_used_at, Some(at(180)));
}

#[tokio::test]
async fn after_a_failed_write_the_table_is_that_of_the_file() {
    let fixture = Fixture::new().await;
    fixture.token("kept", None).await.unwrap();
    // The row is gone from the file, but nobody has learned of the commit.
    let lost = fixture.step(|tx| {
        tx.connection().execute_batch("DELETE FROM access_token; COMMIT").map_err(crate::store::error::sql)?;
        Err::<(), _>(Error::unavailable(crate::error::Unavailable::Io, "as after a failed fsync"))
    });
    assert!(lost.await.is_err());
    assert_eq!(fixture.known().await, 0);
    assert!(!fixture.works("kept"));
}

#[tokio::test]
async fn a_change_that_fails_leaves_no_trace_in_the_table() {
    let fixture = Fixture::new().await;
    let token = fixture.token("one", None).await.unwrap();
    let failed = fixture.store.writer.submit_with_savepoint(move |tx| {
        tx.run("DELETE FROM access_token WHERE token_id = ?1", [token.id.as_str()])?;
        tx.publish_access_token(AccessTokenChange::Revoked(digest("one")));
        Err::<(), _>(Error::not_found("token"))
    });
    assert!(failed.await.is_err());
    assert!(fixture.works("one") && fixture.known().await == 1);
}

#[tokio::test]
async fn a_token_that_has_ended_makes_none_also_while_its_end_is_being_written() {
    let fixture = Fixture::new().await;
    let maker = fixture.token("maker", None).await.unwrap();
    let make = |store: ScopedStore, name: &'static str| async move {
        store.create_access_token(new(name, None), Some(digest("maker")), digest(name), "hint".to_owned(), at(0)).await
    };
    assert!(make(fixture.store.clone(), "before").await.unwrap().is_some());
    // Memory learns of the end only after both have been written.
    let (revoked, made) =
        tokio::join!(fixture.store.revoke_access_token(maker.id), make(fixture.store.clone(), "after"));
    assert!(revoked.is_ok() && made.unwrap().is_none());
    assert!(!fixture.works("after") && fixture.known().await == 1);
    // Without its account a token makes none either, whoever has the id now.
    let scoped = fixture.of_account();
    fixture.store.delete_account(fixture.account.id.clone(), at(1)).await.unwrap();
    let made = scoped.create_access_token(new("late", None), None, digest("late"), "hint".to_owned(), at(2)).await;
    assert_eq!(made.unwrap_err().kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_token_makes_none_that_outlives_it() {
    let fixture = Fixture::new().await;
    let until = |seconds| Some(TokenExpiry::new(at(seconds), at(0)).unwrap());
    let make = async |name: &str, maker: Option<&str>, expires_at, now| {
        let new = NewAccessToken { expires_at, ..new(name, None) };
        fixture.store.create_access_token(new, maker.map(digest), digest(name), "hint".to_owned(), at(now)).await
    };
    make("maker", None, until(70), 0).await.unwrap();
    for late in [None, until(71)] {
        let refused = make("x", Some("maker"), late, 0).await.unwrap_err();
        assert_eq!((refused.code(), refused.field_errors()[0].field.as_str()), ("validation_failed", "expires_at"));
    }
    assert!(make("x", Some("maker"), until(70), 0).await.unwrap().is_some());
    assert!(make("y", Some("maker"), until(70), 70).await.unwrap().is_none());
}

#[tokio::test]
async fn tokens_are_found_by_a_part_of_their_names_page_by_page() {
    let fixture = Fixture::new().await;
    for name in ["status page", "Status board", "backup", "status \u{c4}"] {
        fixture.token(name, None).await.unwrap();
    }
    fixture.token("status of the account", Some(&fixture.account.id)).await.unwrap();
    let found = async |store: &ScopedStore, text: &str, cursor| {
        let page = store.search_access_tokens(text.to_owned(), page(2, cursor)).await.unwrap();
        (page.items.iter().map(|token| token.name.to_string()).collect::<Vec<_>>(), page.next)
    };
    let (first, next) = found(&fixture.store, "STATUS", None).await;
    assert_eq!(first, ["status page", "Status board"]);
    let (second, next) = found(&fixture.store, "STATUS", next).await;
    assert_eq!(
        (second.as_slice(), next),
        (&["status \u{c4}".to_owned(), "status of the account".to_owned()][..], None)
    );
    assert_eq!(found(&fixture.store, "%", None).await.0, Vec::<String>::new());
    assert_eq!(found(&fixture.of_account(), "status", None).await.0, ["status of the account"]);
}

#[tokio::test]
async fn tokens_that_expire_soon_are_found_and_those_of_an_account_are_counted() {
    let fixture = Fixture::new().await;
    let account = Some(&fixture.account.id);
    for (name, account, expires) in [
        ("never", None, None),
        ("late", None, Some(11_000)),
        ("second", None, Some(9_000)),
        ("first", account, Some(2_000)),
        ("expired", account, Some(1_000)),
        ("lasts", account, None),
    ] {
        let expires_at = expires.map(|millis| TokenExpiry::new(Timestamp::from_millis(millis), at(0)).unwrap());
        let new = NewAccessToken { expires_at, ..new(name, account) };
        fixture.store.create_access_token(new, None, digest(name), String::new(), at(0)).await.unwrap().unwrap();
    }
    let now = Timestamp::from_millis(1_000);
    let soon = async |store: &ScopedStore, limit| {
        let found = store.expiring_access_tokens(now, Duration::from_secs(9), limit).await.unwrap();
        found.into_iter().map(|token| token.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(soon(&fixture.store, 9).await, ["first", "second"]);
    assert_eq!(soon(&fixture.store, 1).await, ["first"]);
    assert_eq!(soon(&fixture.of_account(), 9).await, ["first"]);
    assert_eq!(fixture.store.count_access_tokens(&fixture.account, now), 2);
    let other = Scope::Account { id: "acc_other".parse().unwrap(), key: AccountKey(i64::MAX) };
    assert_eq!(fixture.store.within(&other).count_access_tokens(&fixture.account, now), 0);
}
