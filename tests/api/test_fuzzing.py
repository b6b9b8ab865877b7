"""Whatever a machine thinks of by the OpenAPI document, valid and not: no 5xx, documented refusals, described answers.

schemathesis over the whole document, in process. FUZZ is the number of examples per operation (tests/profile.py).
"""

from datetime import timedelta
from typing import Any, Final

import hypothesis
import hypothesis.strategies as st
import pytest
import schemathesis

from hitl.wsgi import application
from tests.api.test_hostile_input import Sender, connection_kept, sender, still_readable, wrong
from tests.api.test_schema import whole_document
from tests.api.test_tasks import Opened
from tests.profile import scaled

EXAMPLES: Final = scaled("FUZZ", 8, 160)

__all__ = ["sender"]  # a fixture


@pytest.fixture(scope="module")
def fuzzed() -> Any:
    schema = schemathesis.openapi.from_dict(whole_document())
    schema.app = application
    return schema


OPERATIONS: Final = [
    "create_human_task", "create_human_tasks",
    "list_tasks", "get_pending_tasks", "get_task", "assign_task", "complete_task", "claim_task",
    "start_task", "release_task", "route_task", "escalate_task", "withdraw_task", "comment_on_task", "reveal_detail",
    "claim_next_task", "hand_over_task", "hold_task", "resume_task", "extend_task", "get_task_clock",
    "get_metrics_summary",
    "list_task_events", "list_events", "list_webhook_endpoints", "create_webhook_endpoint",
    "get_webhook_endpoint", "change_webhook_endpoint", "delete_webhook_endpoint", "test_webhook_endpoint",
    "rotate_webhook_secret",
    "enable_webhook_endpoint", "recover_webhook_endpoint", "list_deliveries", "get_delivery", "redeliver",
]  # fmt: skip


def test_it_fuzzes_every_operation(fuzzed: Any) -> None:
    names = {result.ok().definition.raw["operationId"] for result in fuzzed.get_all_operations()}
    assert names == set(OPERATIONS)


@pytest.mark.django_db
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_it_survives_what_its_document_lets_a_machine_think_of(
    operation_id: str, fuzzed: Any, sender: Sender, opened: Opened
) -> None:
    known = [opened(error_detail="ask ops@acme.example")["task_id"] for _ in range(2)]
    tokens = [sender(who)._credentials["HTTP_AUTHORIZATION"] for who in ("bot", "sam", "root")]
    operation = fuzzed.find_operation_by_id(operation_id)
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    cases = st.one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

    @hypothesis.given(case=cases, token=st.sampled_from(tokens), task_id=st.sampled_from([None, *known]))
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=timedelta(seconds=5),
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
        derandomize=EXAMPLES <= 8,
    )
    def run(case: Any, token: str, task_id: str | None) -> None:
        if task_id is not None and "task_id" in (case.path_parameters or {}):
            case.path_parameters["task_id"] = task_id
        with connection_kept():
            response = case.call(headers={"Authorization": token, "Host": "127.0.0.1"})
        assert (fault := wrong(response)) is None, f"{case.as_curl_command()}\n{fault}"
        if response.status_code < 300:
            case.validate_response(response, checks=[schemathesis.checks.response_schema_conformance])

    run()
    if operation_id == "create_human_task":
        still_readable(sender("root"))
