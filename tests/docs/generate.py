"""Write the pages that are made from the code: `python -m tests.docs.generate` (`make docs`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.docs import errors_page, metrics_page, mistakes_page, settings_page
from tests.docs.session import ROOT

#: page -> what writes it
GENERATED: Mapping[str, Callable[[], str]] = {
    "docs/settings.md": settings_page.page,
    "docs/metrics.md": metrics_page.page,
    "docs/errors.md": errors_page.page,
    "docs/mistakes.md": mistakes_page.page,
}


def main() -> None:
    """Write them all."""
    for name, page in GENERATED.items():
        (ROOT / name).write_text(page())
        print(name)


if __name__ == "__main__":
    main()
