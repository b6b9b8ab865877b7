"""The words of open tasks get a table of their own, on PostgreSQL: their index was renewed with every change of a task.

An index on an expression is: the text of error and operation, which never changes, was parsed and indexed again by each
claim, start, hold and escalation (a third of the server's time of a sweep). Now it is when a task is opened; its end
takes the row away. Triggers see to both, whatever statement writes.
"""

from typing import Any

from django.db import migrations

WORDS = """
to_tsvector('simple'::regconfig,
            translate(left(error_detail, 4000) || ' ' || operation, '._/-@:?&=#+~<>;,|', '                 '))
"""

FORWARDS = f"""
CREATE TABLE tasks_app_openwords (task_id varchar(40) COLLATE "C" PRIMARY KEY, words tsvector NOT NULL);

INSERT INTO tasks_app_openwords SELECT task_id, {WORDS} FROM tasks_app_humantask WHERE completed_at IS NULL;

DROP INDEX task_open_words;

CREATE INDEX open_words ON tasks_app_openwords USING gin (words) WITH (gin_pending_list_limit = 256);

CREATE FUNCTION open_words_come() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks_app_openwords SELECT task_id, {WORDS} FROM fresh WHERE completed_at IS NULL
    ON CONFLICT (task_id) DO UPDATE SET words = excluded.words;
    RETURN NULL;
END $$;

CREATE FUNCTION open_words_go() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tasks_app_openwords WHERE task_id = OLD.task_id;
    RETURN NULL;
END $$;

CREATE TRIGGER open_words_come AFTER INSERT ON tasks_app_humantask
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION open_words_come();

CREATE TRIGGER open_words_end AFTER UPDATE ON tasks_app_humantask
    FOR EACH ROW WHEN (OLD.completed_at IS NULL AND NEW.completed_at IS NOT NULL) EXECUTE FUNCTION open_words_go();

CREATE TRIGGER open_words_go AFTER DELETE ON tasks_app_humantask
    FOR EACH ROW WHEN (OLD.completed_at IS NULL) EXECUTE FUNCTION open_words_go();

ANALYZE tasks_app_openwords;
"""

BACKWARDS = f"""
DROP TRIGGER open_words_come ON tasks_app_humantask;
DROP TRIGGER open_words_end ON tasks_app_humantask;
DROP TRIGGER open_words_go ON tasks_app_humantask;
DROP FUNCTION open_words_come, open_words_go;
DROP TABLE tasks_app_openwords;
CREATE INDEX task_open_words ON tasks_app_humantask USING gin (({WORDS}))
    WITH (gin_pending_list_limit = 256) WHERE completed_at IS NULL;
"""


def on_postgresql(statements: str) -> Any:
    def run(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(statements)

    return run


class Migration(migrations.Migration):
    dependencies = [("tasks_app", "0016_bounds")]

    operations = [migrations.RunPython(on_postgresql(FORWARDS), on_postgresql(BACKWARDS))]
