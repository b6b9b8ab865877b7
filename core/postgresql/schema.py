"""Django's PostgreSQL schema editor without the indexes that keys of ours do not need."""

from typing import Any

from django.db.backends.postgresql import schema


class SchemaEditor(schema.DatabaseSchemaEditor):
    def _create_like_index_sql(self, model: Any, field: Any) -> Any:
        """None where text compares byte by byte (`core.fields.KeyField`): its own index serves LIKE, too."""
        if field.db_parameters(self.connection).get("collation") == "C":
            return None
        return super()._create_like_index_sql(model, field)  # type: ignore[misc]  # Django's own
