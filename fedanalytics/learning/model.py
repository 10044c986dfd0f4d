"""A torch module as one flat vector, and back: what every algorithm sees of a model."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedanalytics.errors import BadArgument

Vector: TypeAlias = npt.NDArray[np.floating]
ModelFunction: TypeAlias = Callable[[], nn.Module]

_NORMALISERS = (nn.modules.batchnorm._NormBase,)  # noqa: SLF001  # the common base of batch and instance norms


@dataclass(frozen=True, eq=False)
class Model:
    """What `model_fn` builds: where each trained parameter stands in a flat vector of `size` numbers.

    A parameter that several layers share stands there once. A frozen one (requires_grad=False) is no part of the vector
    and stays what `model_fn` made it. Dropout is trained in training mode, with random numbers that belong to the
    client and the round, and evaluated without.

    Attributes:
        names: of the trained parameters, in the order of the vector.
        shapes: theirs.
        dtype: of the vector: float32, or float64 for a module that was made double.

    Example:
        >>> model = Model.of(lambda: nn.Linear(3, 2))
        >>> model.size, model.names, model.shapes
        (8, ('weight', 'bias'), ((2, 3), (2,)))
        >>> module = model.module(np.arange(8))
        >>> module.bias.tolist(), model.flatten(module).tolist()
        ([6.0, 7.0], [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
    """

    template: nn.Module
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, model_fn: ModelFunction) -> Model:
        """The model that a function without arguments builds.

        The function is called twice: a client, or a process that resumes, calls it again and must get the same.

        Raises:
            BadArgument: it returns no module, or another architecture or other frozen parameters the second time; the
                module has buffers (BatchNorm), nothing to train, or parameters that are neither all float32 nor all
                float64, not on the CPU, or overlap in memory.
        """
        if isinstance(model_fn, nn.Module) or not callable(model_fn):
            raise BadArgument(f"model_fn= must be a function that builds a module, as lambda: Net(), got {model_fn!r}")
        first, second = (_module_of(model_fn) for _ in range(2))
        _agree(first, second)
        trained = {name: p for name, p in first.named_parameters() if p.requires_grad}
        shapes = tuple(tuple(p.shape) for p in trained.values())
        return cls(copy.deepcopy(first), tuple(trained), shapes, next(iter(trained.values())).dtype)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each parameter has."""
        return tuple(torch.Size(shape).numel() for shape in self.shapes)

    def shape(self, name: str) -> tuple[int, ...]:
        """That of one parameter."""
        return self.shapes[self.names.index(name)]

    @property
    def size(self) -> int:
        """The length of the vector."""
        return sum(self.sizes)

    @property
    def initial(self) -> Vector:
        """The vector that `model_fn` built, shape (size,)."""
        return self.flatten(self.template)

    def module(self, parameters: npt.ArrayLike | None = None) -> nn.Module:
        """A module of its own, with these parameters: in evaluation mode, ready to use.

        Raises:
            BadArgument: `parameters` is not a finite vector of shape (size,).
        """
        module = copy.deepcopy(self.template)
        if parameters is not None:
            self.load(module, self.tensor(parameters))
        return module.train(mode=False)

    def tensor(self, parameters: npt.ArrayLike) -> torch.Tensor:
        """The vector as a tensor of its own.

        Raises:
            BadArgument: it is not a finite vector of shape (size,).
        """
        vector = np.asarray(parameters, dtype=np.float64 if self.dtype == torch.float64 else np.float32)
        if vector.shape != (self.size,) or not np.isfinite(vector).all():
            what = f"shape {vector.shape}" if vector.shape != (self.size,) else "numbers that are not finite"
            raise BadArgument(f"parameters= must be a finite vector of shape ({self.size},), got {what}")
        return torch.tensor(vector)

    def split(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """Views of a tensor of shape (..., size): each parameter as (..., *shape)."""
        pieces = torch.split(vector, list(self.sizes), dim=-1)
        return [p.view(vector.shape[:-1] + shape) for p, shape in zip(pieces, self.shapes, strict=True)]

    def load(self, module: nn.Module, vector: torch.Tensor) -> None:
        """Sets the parameters of a module that `module` made."""
        with torch.no_grad():
            for parameter, value in zip(self.parameters(module), self.split(vector), strict=True):
                parameter.copy_(value)

    def parameters(self, module: nn.Module) -> list[nn.Parameter]:
        """The trained parameters of a module that `module` made, in the vector's order."""
        return [p for p in module.parameters() if p.requires_grad]

    def flatten(self, module: nn.Module) -> Vector:
        """The vector of a module that `module` made: shape (size,), a copy."""
        values: Vector = torch.cat([p.detach().reshape(-1) for p in self.parameters(module)]).numpy()
        return values


def _module_of(model_fn: ModelFunction) -> nn.Module:
    module = model_fn()
    if not isinstance(module, nn.Module):
        raise BadArgument(f"model_fn= must return a torch.nn.Module, got {type(module).__name__}")
    _check_buffers(module)
    _check_parameters(module)
    return module


def _check_buffers(module: nn.Module) -> None:
    for name, part in module.named_modules():
        if isinstance(part, _NORMALISERS) and part.track_running_stats:
            raise BadArgument(
                f"model_fn= builds {type(part).__name__} ({name or 'the module'}): its running statistics are data of "
                "the clients that no update carries and no clipping bounds; use GroupNorm or LayerNorm"
            )
    buffers = [name for name, _ in module.named_buffers()]
    if buffers:
        raise BadArgument(
            f"model_fn= builds a module with buffers ({', '.join(buffers[:3])}): what a client writes there is in no "
            "update; make a constant a frozen parameter, nn.Parameter(value, requires_grad=False)"
        )


def _check_parameters(module: nn.Module) -> None:
    trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
    if not trained:
        raise BadArgument("model_fn= builds a module without trained parameters (requires_grad=True)")
    for name, parameter in module.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise BadArgument(f"model_fn= leaves {name} without a shape (a lazy layer); give the layer its sizes")
        if parameter.device.type != "cpu":
            raise BadArgument(f"model_fn= puts {name} on {parameter.device}; training runs on the CPU, return it there")
    dtypes = sorted({str(p.dtype) for p in trained.values()})
    if dtypes not in (["torch.float32"], ["torch.float64"]):
        raise BadArgument(f"model_fn= builds parameters in {', '.join(dtypes)}; make them float32 (module.float())")
    memory = [p.untyped_storage().data_ptr() for p in trained.values() if p.numel()]
    if len(set(memory)) < len(memory):
        raise BadArgument("model_fn= builds parameters that overlap in memory; tie layers by one nn.Parameter object")


def _agree(first: nn.Module, second: nn.Module) -> None:
    """Whether two calls built the same thing, up to the initial values of what is trained."""
    none = ("nothing", None)
    pairs = itertools.zip_longest(first.named_parameters(), second.named_parameters(), fillvalue=none)
    for (name, one), (other_name, other) in pairs:
        if one is None or other is None or (name, *_traits(one)) != (other_name, *_traits(other)):
            raise BadArgument(
                "model_fn= must build the same architecture every time: its second call made "
                f"{_shown(other_name, other)} where the first made {_shown(name, one)}"
            )
        if not one.requires_grad and not torch.equal(one, other):
            raise BadArgument(
                f"model_fn= builds another {name} every time, and it is frozen: what is not trained is in no state, so "
                "load it from a file or seed it"
            )


def _traits(parameter: nn.Parameter) -> tuple[object, ...]:
    return tuple(parameter.shape), parameter.dtype, parameter.requires_grad


def _shown(name: str, parameter: nn.Parameter | None) -> str:
    return name if parameter is None else f"{name} {tuple(parameter.shape)}"
