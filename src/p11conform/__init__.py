"""An executable model of PKCS#11 return values, and a model-based tester of PKCS#11 modules.

The names below are the public interface; they are loaded when they are asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .adapters.base import ModuleUnusable
    from .judging import judge
    from .properties.reports.results import Unreadable
    from .results import Comparison, Finding, Report, check, compare, load_report, modules
    from .study import Graph, Model, Permitted, Proofs, Sequence, explain, permitted, prove, reach

    __version__: str

_HOMES = {
    "Comparison": "results",
    "Finding": "results",
    "Graph": "study",
    "Model": "study",
    "ModuleUnusable": "adapters.base",
    "Permitted": "study",
    "Proofs": "study",
    "Report": "results",
    "Sequence": "study",
    "Unreadable": "properties.reports.results",
    "check": "results",
    "compare": "results",
    "explain": "study",
    "judge": "judging",
    "load_report": "results",
    "modules": "results",
    "permitted": "study",
    "prove": "study",
    "reach": "study",
}

__all__ = (
    "Comparison",
    "Finding",
    "Graph",
    "Model",
    "ModuleUnusable",
    "Permitted",
    "Proofs",
    "Report",
    "Sequence",
    "Unreadable",
    "__version__",
    "check",
    "compare",
    "explain",
    "judge",
    "load_report",
    "modules",
    "permitted",
    "prove",
    "reach",
)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("p11conform")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
