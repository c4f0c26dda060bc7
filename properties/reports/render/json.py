"""A report as JSON, whole."""

import json
from collections.abc import Mapping
from typing import Any


def render(report: Mapping[str, Any]) -> str:
    """The report as docs/report.schema.json describes it."""
    return json.dumps(report, indent=1) + "\n"
