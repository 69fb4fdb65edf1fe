//! Goal: the records are the same over sqlite and PostgreSQL: one suite, one schema, and each keeps
//! what it answered.
//! Method: a real PostgreSQL that is killed with -9, and a sqlite file.

use std::path::Path;

use domain::TenantId;
use rand::SeedableRng;
use rand::rngs::StdRng;
use records::{MIGRATIONS, Place, Records, RecordsError, people};
use tests::postgres::Postgres;
use tests::records::{conforms, phone, transact};

async fn sqlite(dir: &Path) -> Records {
    Records::open(&Place::Sqlite(dir.join("records.db"))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&sqlite(dir.path()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_conforms() {
    let server = Postgres::start();
    conforms(&Records::open(&server.place()).await.unwrap()).await;
}

/// Tables and columns with their types, nullability and primary key; then unique and other indexes.
async fn shape(records: &Records) -> Vec<String> {
    let (columns, indexes) = match records.engine() {
        "sqlite" => (
            "SELECT m.name || '.' || c.name || ' ' || lower(c.type) || ' ' || c.\"notnull\" || ' ' || c.pk \
             FROM sqlite_master m JOIN pragma_table_info(m.name) c \
             WHERE m.type = 'table' AND m.name NOT LIKE '\\_%' ESCAPE '\\' AND m.name NOT LIKE 'sqlite%'",
            "SELECT i.name || ' ' || m.name || ' ' || i.\"unique\" || ' ' || \
             (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno)) \
             FROM sqlite_master m JOIN pragma_index_list(m.name) i \
             WHERE m.type = 'table' AND i.origin = 'c'",
        ),
        _ => (
            "SELECT c.table_name || '.' || c.column_name || ' ' || c.data_type || ' ' || \
             CASE c.is_nullable WHEN 'NO' THEN 1 ELSE 0 END || ' ' || \
             COALESCE((SELECT k.ordinal_position FROM information_schema.key_column_usage k \
               JOIN information_schema.table_constraints t USING (constraint_name, table_name) \
               WHERE t.constraint_type = 'PRIMARY KEY' AND k.table_name = c.table_name \
               AND k.column_name = c.column_name), 0) \
             FROM information_schema.columns c \
             WHERE c.table_schema = 'public' AND c.table_name NOT LIKE '\\_%'",
            "SELECT i.relname || ' ' || t.relname || ' ' || CASE WHEN x.indisunique THEN 1 ELSE 0 END \
             || ' ' || (SELECT string_agg(a.attname, ',' ORDER BY k.n) \
               FROM unnest(x.indkey) WITH ORDINALITY AS k(col, n) \
               JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.col) \
             FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid \
             JOIN pg_class t ON t.oid = x.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace \
             WHERE s.nspname = 'public' AND NOT x.indisprimary",
        ),
    };
    let mut shape = Vec::new();
    for sql in [columns, indexes] {
        for row in records.fetch("read the schema", sql, vec![]).await.unwrap() {
            shape.push(row.text(0).unwrap());
        }
    }
    shape.sort();
    shape
}

#[tokio::test]
async fn both_databases_have_one_schema() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    let ours = shape(&sqlite(dir.path()).await).await;
    let theirs = shape(&Records::open(&server.place()).await.unwrap()).await;
    assert_eq!(ours, theirs);
    assert!(ours.len() > 30, "there is something to compare: {ours:?}");
    let tables = ours.iter().filter_map(|line| line.split_once('.')).map(|(table, _)| table);
    for table in tables.filter(|table| *table != "tenants") {
        let has = ours.iter().any(|line| line.starts_with(&format!("{table}.tenant ")));
        assert!(has, "{table} has a tenant");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_start_at_once_make_one_schema() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    for place in [Place::Sqlite(dir.path().join("records.db")), server.place()] {
        let all = futures::future::join_all((0..6).map(|_| Records::open(&place))).await;
        for opened in all {
            opened.unwrap().close().await;
        }
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let (dir, server) = (tempfile::tempdir().unwrap(), Postgres::start());
    for place in [Place::Sqlite(dir.path().join("records.db")), server.place()] {
        let records = Records::open(&place).await.unwrap();
        let next = MIGRATIONS.len() as i64 + 1;
        let change = async |tx: &mut records::Tx| {
            let sql = "INSERT INTO _sqlx_migrations \
                SELECT version + $1, description, installed_on, success, checksum, execution_time \
                FROM _sqlx_migrations WHERE version = $1";
            tx.execute("go ahead", sql, vec![(next - 1).into()]).await
        };
        assert_eq!(transact(&records, change).await.unwrap(), 1);
        records.close().await;
        let refused = Records::open(&place).await;
        let Err(RecordsError::Newer { found, known }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((found, known), (2 * (next - 1), next - 1));
    }
}

#[tokio::test]
async fn a_postgresql_that_is_killed_is_said_to_be_away_and_keeps_what_it_answered() {
    let mut server = Postgres::start();
    let records = Records::open(&server.place()).await.unwrap();
    let ours = TenantId::default();
    let add = async |n: u32| {
        let now = domain::Timestamp::from_secs(1_795_822_200);
        let rng = || StdRng::seed_from_u64(u64::from(n));
        let change = async |tx: &mut records::Tx| {
            people::ensure(tx, &ours, &[&phone(n)], now, &mut rng()).await
        };
        transact(&records, change).await
    };
    let person = add(1).await.unwrap().remove(0);
    server.kill();
    let away = add(2).await.unwrap_err();
    assert!(matches!(away, RecordsError::Unavailable { .. }), "{away}");
    let away = people::of(&records, &ours, &phone(1)).await.unwrap_err();
    assert!(matches!(away, RecordsError::Unavailable { .. }), "{away}");
    server.restart();
    assert_eq!(people::of(&records, &ours, &phone(1)).await.unwrap(), Some(person));
    assert_eq!(people::of(&records, &ours, &phone(2)).await.unwrap(), None);
    add(2).await.unwrap();
}
