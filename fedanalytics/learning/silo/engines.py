"""Which engine takes a model's gradients apart: chosen by architecture, loss and shapes, and held to their definition.

| engine | takes                                                 | rows are independent  | speed-up over Opacus' hooks |
|--------|-------------------------------------------------------|-----------------------|-----------------------------|
| dense  | chains of Linear, ReLU, Tanh, plain cross entropy     | by proof              | about 10                    |
| layers | parameters in Linear and Conv2d layers, run once each | tested on this build  | about 1.6 (convolutions)    |
| opacus | what Opacus takes                                     | tested on this build  | 1                           |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import torch
from torch import nn

from fedanalytics import _validate
from fedanalytics.errors import BadArgument
from fedanalytics.learning.chains import chain
from fedanalytics.learning.clients import Pair
from fedanalytics.learning.engines import choose as federated
from fedanalytics.learning.local import LocalTraining
from fedanalytics.learning.losses import Loss, is_cross_entropy, per_example
from fedanalytics.learning.model import Model
from fedanalytics.learning.probing import Shapes, probe
from fedanalytics.learning.silo.dense import Dense
from fedanalytics.learning.silo.gradients import Gradients
from fedanalytics.learning.silo.layers import Layers
from fedanalytics.learning.silo.pieces import LONGEST, Piece, clipped, together

EngineName: TypeAlias = Literal["auto", "dense", "layers", "opacus"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

_BATCH_NORMS = (nn.modules.batchnorm._BatchNorm,)  # noqa: SLF001  # the common base of all batch norms
_TRIED = 32  # examples on which an engine is held to the definition


def choose(model: Model, loss_fn: Loss, shapes: Shapes, engine: str = "auto") -> Gradients:
    """The engine for such a model, such a loss and such examples.

    Raises:
        BadArgument: an unknown engine, one that cannot take this apart; a module whose examples see each other.
    """
    name = _validate.one_of(ENGINES, engine=engine)
    _check_apart(model, loss_fn, shapes)
    if name in {"auto", "dense"}:
        found = _dense(model, loss_fn, shapes)
        if found is not None:
            return _held(found, model, loss_fn, shapes)
        if name == "dense":
            raise BadArgument(
                "engine='dense' takes a chain of Linear, ReLU, Tanh and Flatten layers, every trained parameter in one "
                "of them, with the plain cross entropy over classes; use engine='auto'"
            )
    if name in {"auto", "layers"}:
        try:
            return _held(Layers(model, loss_fn, _layout(model, loss_fn, shapes)), model, loss_fn, shapes)
        except BadArgument as refusal:
            if name == "layers":
                raise BadArgument(f"engine='layers' cannot take this model apart: {refusal}") from refusal
    from fedanalytics.learning.silo.opacus_gradients import OpacusGradients  # noqa: PLC0415  # five seconds to import

    return _held(OpacusGradients(model, loss_fn), model, loss_fn, shapes)


def _dense(model: Model, loss_fn: Loss, shapes: Shapes) -> Gradients | None:
    classes = probe(model, loss_fn, shapes).classes
    if not is_cross_entropy(loss_fn) or classes is None or shapes.label or not shapes.row_type.is_floating_point:
        return None
    layers = chain(model.module().train(), shapes.row, model.names)
    return Dense(model, layers) if layers else None


def _layout(model: Model, loss_fn: Loss, shapes: Shapes) -> torch.memory_format:
    return federated(model, LocalTraining(loss_fn=loss_fn), shapes, "sequential", isolated=True).layout


def _check_apart(model: Model, loss_fn: Loss, shapes: Shapes) -> None:
    """Refuses a module, or a loss, by which an example's loss changes with the examples beside it."""
    for name, part in model.template.named_modules():
        if isinstance(part, _BATCH_NORMS):
            raise BadArgument(
                f"model_fn= builds {type(part).__name__} ({name or 'the module'}): it normalises an example by the "
                "others of its batch, so that no clipping bounds what one example does; use nn.GroupNorm (or LayerNorm)"
            )
    module, losses_of, (x, y) = model.module().train(), per_example(loss_fn), _examples(shapes)
    other = torch.cat([x[:1], x[1:].square() if x.is_floating_point() else torch.ones_like(x[1:])])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            first, second = (losses_of(_seeded(module, batch), y)[0] for batch in (x, other))
        except Exception as error:  # the user's module may raise anything
            raise BadArgument(
                f"model_fn= builds a module that raises for features from 0 to 1 ({error!r}): it must not branch "
                "on the values of examples"
            ) from error
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-4, equal_nan=True):
        raise BadArgument(
            "with model_fn= and loss_fn= the loss of an example depends on the other examples of its batch, so that no "
            "clipping bounds what one example does; normalise within an example (GroupNorm, LayerNorm)"
        )


def _held(engine: Gradients, model: Model, loss_fn: Loss, shapes: Shapes) -> Gradients:
    """The engine, if its sum is the gradient that autograd finds, on made-up examples.

    Raises:
        BadArgument: it is not.
    """
    examples = _examples(shapes)
    module = model.module().train()
    with torch.random.fork_rng(devices=[]):
        losses = per_example(loss_fn)(_seeded(module, examples[0]), examples[1])
        wanted = torch.autograd.grad(losses.sum(), model.parameters(module), allow_unused=True)
        engine.load(model.tensor(model.initial))
        torch.manual_seed(0)
        pieces = _taken(engine, examples)
        bound = 2 * float(together([piece.lengths for piece in pieces]).max()) or 1.0  # nothing is clipped
        found = clipped(pieces, bound, _TRIED) * (bound / LONGEST)
    pairs = zip(wanted, model.parameters(module), strict=True)
    reference = torch.cat([(torch.zeros_like(p) if g is None else g).detach().flatten() for g, p in pairs]).double()
    off, size = torch.linalg.vector_norm(found - reference), torch.linalg.vector_norm(reference)
    if size.isfinite() and not off <= 1e-3 * size + 1e-6:  # it is infinite where no loss is defined on such examples
        raise BadArgument(
            "model_fn= builds a module whose gradients by example do not add up to its gradient: a layer is used in a "
            "way that hooks do not see; run each layer as a module"
        )
    return engine


def _taken(engine: Gradients, examples: Pair) -> Sequence[Piece]:
    try:
        return engine.pieces(examples)
    except Exception as error:  # the user's module, under hooks, may raise anything
        raise BadArgument(
            f"model_fn= builds a module that raises when it is taken apart into examples: {error}; an output must not "
            "be overwritten (torch.relu_, x += ...)"
        ) from error


def _examples(shapes: Shapes) -> Pair:
    """Made-up ones, between 0 and 1: no data decides how they are computed with."""
    x, y = shapes.zeros(_TRIED)
    if x.is_floating_point():
        x = torch.rand(x.shape, generator=torch.Generator().manual_seed(1), dtype=x.dtype)
    return x, y


def _seeded(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    outputs: torch.Tensor = module(x)
    return outputs
