"""scikit-learn's parameter protocol, without scikit-learn.

The constructor's signature is the one list of parameters: it stores each argument under its
own name, and everything here reads that signature.
"""
import inspect
from typing import Any, Self

from npvae.errors import ParameterError
from npvae.estimators.arguments import plain


class Parametrized:
    """``get_params``, ``set_params`` and a ``repr`` that shows what differs from the defaults."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def _store(self, arguments: dict[str, Any]) -> None:
        """Keep every constructor argument under its own name, as it came."""
        for name in self._parameter_names():
            setattr(self, name, arguments[name])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments, by name."""
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **params: Any) -> Self:
        """Change constructor arguments; takes effect at the next ``fit``.

        Raises
        ------
        ParameterError
            If a name is not one of the constructor's.
        """
        names = self._parameter_names()
        for name, value in params.items():
            if name not in names:
                raise ParameterError(
                    f"{type(self).__name__} has no parameter {name!r}; it has {', '.join(names)}"
                )
            setattr(self, name, value)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks before a pipeline or a grid search; nobody else calls this."""
        from sklearn.utils import Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            transformer_tags=TransformerTags(preserves_dtype=[]),  # dtype is an argument here
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if plain(value) != plain(defaults[name].default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"
