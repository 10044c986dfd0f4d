"""A ledger's tables in PostgreSQL: made in the schema that the address names first, and recognised there.

The text of each object is what PostgreSQL's catalogue says of it, so that a missing or weakened guard is noticed. Text
is ordered by its bytes: an index must not depend on the operating system's dictionary.
"""

from __future__ import annotations

import re

from fedanalytics.errors import BadArgument, LedgerCorrupt, LedgerError, LedgerUnwritable
from fedanalytics.ledger.database import Connection

SCHEMA_VERSION = 1
CLASS = 0x66_61_4C_31  # "faL1": the class of our advisory locks; the second key is the oid of our table of entries
_MARK = re.compile(r"fedanalytics ledger, format (\d+)")
_TEXT = 'text COLLATE "C" NOT NULL'


def _function(name: str, body: str) -> str:
    return f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $${body}$$"


SCHEMA = {
    "entry": (
        "CREATE TABLE entry (seq bigint NOT NULL, prev bytea NOT NULL, hash bytea NOT NULL,"
        f" body {_TEXT}, PRIMARY KEY (seq))"
    ),
    "result": (
        'CREATE TABLE result (reservation bigint NOT NULL, "position" bigint NOT NULL, seq bigint NOT NULL,'
        f' digest {_TEXT}, hash {_TEXT}, body text COLLATE "C", PRIMARY KEY (reservation, "position"))'
    ),
    "budget": f"CREATE TABLE budget (name {_TEXT}, terms {_TEXT}, spent {_TEXT}, PRIMARY KEY (name))",
    "reservation": (
        f"CREATE TABLE reservation (budget {_TEXT}, key {_TEXT}, id {_TEXT}, digest {_TEXT}, units {_TEXT},"
        " seq bigint NOT NULL, PRIMARY KEY (budget, key))"
    ),
    "entry_order": _function(
        "entry_order",
        " BEGIN IF NEW.seq IS DISTINCT FROM (SELECT coalesce(max(seq), 0) + 1 FROM entry) THEN"
        " RAISE integrity_constraint_violation USING MESSAGE = 'entries are appended in order';"
        " END IF; RETURN NEW; END ",
    ),
    "append_only": _function(
        "append_only",
        " BEGIN RAISE integrity_constraint_violation USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END ",
    ),
    "entry_insert": "CREATE TRIGGER entry_insert BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION entry_order()",
    **{
        f"{table}_kept": (
            f"CREATE TRIGGER {table}_kept BEFORE DELETE OR UPDATE OR TRUNCATE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
        )
        for table in ("entry", "result")
    },
}

_FOUND = """
WITH ours AS (SELECT relnamespace AS schema FROM pg_class WHERE oid = to_regclass('entry'))
SELECT relname, CASE relpersistence WHEN 'p' THEN 'CREATE TABLE ' ELSE 'CREATE UNLOGGED TABLE ' END || relname || ' ('
    || (SELECT string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
            || coalesce(' COLLATE ' || quote_ident(nullif(collname, 'default')), '')
            || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END, ', ' ORDER BY attnum)
        FROM pg_attribute LEFT JOIN pg_collation ON pg_collation.oid = attcollation
        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped)
    || (SELECT ', ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = pg_class.oid AND contype = 'p')
    || ')'
FROM pg_class JOIN ours ON relnamespace = schema WHERE relkind = 'r'
UNION ALL
SELECT proname, 'CREATE FUNCTION ' || proname || '() RETURNS trigger LANGUAGE plpgsql'
    || CASE WHEN proconfig IS NOT NULL THEN ' SET search_path FROM CURRENT' ELSE '' END || ' AS $$' || prosrc || '$$'
FROM pg_proc JOIN ours ON pronamespace = schema
UNION ALL
SELECT tgname, pg_get_triggerdef(pg_trigger.oid, true)
FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN ours ON relnamespace = schema
WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')
"""


def found(connection: Connection) -> bool:
    """Whether a ledger, or something that uses its names, can be seen from here."""
    # By way of pg_class: its lock makes the server forget that it looked for the name before, and found nothing.
    rows = connection.execute("SELECT 1 FROM pg_class WHERE oid = to_regclass('entry')")
    return rows.fetchone() is not None


def recognise(connection: Connection, path: str) -> None:
    """Refuse what is no ledger of this version; then let names mean its tables alone, in this connection.

    Raises:
        BadArgument: there is no ledger, or the tables are another program's.
        LedgerError: a later version made it.
        LedgerCorrupt: a table, function or trigger is missing, disabled or not as we made it.
    """
    row = connection.execute(
        "SELECT quote_ident(nspname), coalesce(obj_description(pg_class.oid, 'pg_class'), '')"
        " FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE pg_class.oid = to_regclass('entry')"
    ).fetchone()
    if row is None:
        raise BadArgument(f"path={path!r} holds no ledger; name a ledger's database, and its schema (see Ledger)")
    schema, comment = row
    mark = _MARK.fullmatch(comment)
    if mark is None:
        raise _foreign(path, schema)
    if int(mark[1]) != SCHEMA_VERSION:
        raise LedgerError(f"{path} has ledger format {mark[1]}, this version knows {SCHEMA_VERSION}: upgrade")
    connection.execute("SELECT set_config('search_path', ?, false)", (f"{schema}, pg_temp",))
    objects = dict(connection.execute(_FOUND))
    changed = sorted(name for name, sql in SCHEMA.items() if objects.get(name) != sql)
    if changed:
        raise LedgerCorrupt(
            f"{path}: {', '.join(changed)} is missing, disabled or not as we made it: restore the newest copy"
        )


def create(connection: Connection, path: str) -> None:
    """Make the tables where there are none, inside the caller's transaction; one program at a time.

    Raises:
        BadArgument: the address names no schema that exists, or one that another program uses.
        LedgerUnwritable: the server cannot keep a promise or a text.
    """
    connection.execute("SELECT pg_advisory_xact_lock(?, 0)", (CLASS,))
    if found(connection):  # another program was first
        return
    (schema,) = connection.execute("SELECT quote_ident(current_schema())").fetchone()
    if schema is None:
        raise BadArgument(f"path={path!r}: its search_path names no schema that exists; CREATE SCHEMA first")
    if connection.execute(_STRANGERS).fetchone():
        raise _foreign(path, schema)
    (encoding,) = connection.execute("SELECT current_setting('server_encoding')").fetchone()
    if encoding != "UTF8":
        raise LedgerUnwritable(f"the database {path} is encoded in {encoding}: make one with ENCODING 'UTF8'")
    for statement in SCHEMA.values():
        connection.execute(statement)
    connection.execute(f"COMMENT ON TABLE entry IS 'fedanalytics ledger, format {SCHEMA_VERSION}'")


# What others keep in our schema; what an extension put there is nobody's data.
_STRANGERS = """
SELECT 1 FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f')
AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e')
LIMIT 1
"""


def _foreign(path: str, schema: str) -> BadArgument:
    return BadArgument(
        f"path={path!r}: the schema {schema} holds another program's tables; give the ledger one of its own: CREATE "
        "SCHEMA ledger, then postgresql://.../name?options=-csearch_path%3Dledger"
    )
