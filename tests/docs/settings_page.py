"""docs/settings.md: every flag of the server and every key of `polyserve.yaml`, from their tables."""

from __future__ import annotations

import re

from server.config import model_config
from server.config.flags import markdown
from server.config.settings import Settings

_HEAD = """\
# Settings

A flag beats its environment variable, which beats the default. Flags may be written with `-` for `_`, and
`polyserve serve DIR` is `polyserve serve --model_dir=DIR`. `polyserve serve --help` prints the same list.

## Of the server

{flags}
## Of one model

A `polyserve.yaml` in a model's folder overrides what was guessed. A key that is misspelt makes the model UNAVAILABLE,
with the nearest key in the reason. `options` are the adapter's own: see [adapters/README.md](../adapters/README.md).

```yaml not-run=example
{keys}```
"""


def page() -> str:
    """The whole page."""
    example = re.search(r"\n\n((?: {4}.*\n)+)", model_config.__doc__ or "")
    assert example is not None, "the docstring of model_config shows every key"
    keys = "".join(line.removeprefix("    ") + "\n" for line in example.group(1).splitlines())
    return _HEAD.format(flags=markdown(Settings), keys=keys)
