"""What a service's schema consists of, and all its rows removed: its tables need not be made anew.

Speaks to the schema that a connection's role owns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import psycopg

# What a schema consists of: whatever is more, less or otherwise makes it another.
_SHAPE = """
SELECT coalesce(md5(string_agg(part, E'\\n' ORDER BY part)), '') FROM (
    SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull, attidentity,
        pg_get_expr(adbin, adrelid)) AS part
    FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = current_schema()::regnamespace AND attnum > 0
    UNION ALL
    SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace
    UNION ALL
    SELECT pg_get_indexdef(indexrelid)
    FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT concat_ws(' ', tgenabled, pg_get_triggerdef(pg_trigger.oid))
    FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace
    UNION ALL
    SELECT concat_ws(' ', oid::regprocedure, md5(prosrc), pg_get_function_sqlbody(oid))
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
) AS parts
"""
# The tables of revisions keep their row: by it the next migration sees that all is there.
_EMPTY = """
DO $$
DECLARE
    each regclass;
    filled boolean;
    names text;
BEGIN
    FOR each IN
        SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
            AND NOT relispartition AND relname NOT IN ('runtime_version', 'service_version')
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each) INTO filled;
        IF filled THEN
            names := concat_ws(', ', names, each);
        END IF;
    END LOOP;
    IF names IS NOT NULL THEN
        EXECUTE 'TRUNCATE ' || names || ' CASCADE';
    END IF;
    PERFORM setval(seqrelid, seqstart, false)
    FROM pg_sequence JOIN pg_class ON seqrelid = pg_class.oid
    WHERE relnamespace = current_schema()::regnamespace;
END $$
"""


def shape(connection: psycopg.Connection[tuple[Any, ...]]) -> str:
    """A digest of its columns, constraints, indexes, triggers and functions; an empty one is ''."""
    (found,) = connection.execute(_SHAPE).fetchone() or ("",)
    return str(found)


def empty(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Removes all rows but those that say which revision it is at; sequences begin anew."""
    connection.execute(_EMPTY)
