"""Environments of models that bring their own requirements: built once, cached, shared where they agree.

`environments` finds or builds one; `requirements` checks what a model asks for; `pip_settings` reads where the operator
lets packages come from; `install` runs uv or pip by `command`; `base` shares the server's own packages.
"""

from server.loading.environments.builder import Environments

__all__ = ["Environments"]
