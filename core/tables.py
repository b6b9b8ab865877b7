"""Tables declared by the name of their model, before the models are there: in `AppConfig.ready`, by lower layers."""

from dataclasses import dataclass

from django.apps import apps
from django.db.models import Model


@dataclass(frozen=True)
class Declared:
    """A model by its label, `app.Model`."""

    label: str

    @property
    def model(self) -> type[Model]:
        return apps.get_model(self.label)

    @property
    def table(self) -> str:
        return self.model._meta.db_table
