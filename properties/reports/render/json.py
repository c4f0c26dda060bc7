"""A report as JSON, whole."""

import json
from collections.abc import Mapping
from typing import Any, Final

SUFFIX: Final = ".json"


def render(report: Mapping[str, Any]) -> str:
    """The report as report.schema.json describes it."""
    return json.dumps(report, indent=1) + "\n"
