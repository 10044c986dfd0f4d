"""Whether a module is a chain of dense layers: read from its graph, as torch.fx traces it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import fx, nn

Kind: TypeAlias = Literal["affine", "relu", "tanh", "flatten", "identity"]

_ACTIVATIONS: dict[Any, Kind] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.Identity: "identity",
    nn.functional.relu: "relu",
    nn.functional.tanh: "tanh",
    torch.relu: "relu",
    torch.tanh: "tanh",
    "relu": "relu",
    "tanh": "tanh",
}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True)
class Layer:
    """One link: an affine map with the names of its parameters, or an activation without any."""

    kind: Kind
    weight: str = ""
    bias: str = ""


def chain(module: nn.Module, row: tuple[int, ...], trained: tuple[str, ...]) -> tuple[Layer, ...] | None:
    """The affine maps and activations of a module whose examples have shape `row`; None for any other module.

    Linear, ReLU, Tanh, Identity and flattening, as layers or functions, one after the other; every trained parameter
    in exactly one of them; no hooks, since a graph does not show them.
    """
    if any(getattr(part, name) for part in module.modules() for name in _HOOKS):
        return None
    try:
        traced = fx.symbolic_trace(nn.Sequential(module))  # so that a layer alone is a link too, not its inside
    except Exception:  # noqa: BLE001  # a forward that cannot be traced may raise anything; it is trained another way
        return None
    source, *links, sink = traced.graph.nodes
    layers, previous, flat = [], source, len(row) == 1
    modules = dict(module.named_modules())
    for node in links:
        layer = _layer(node, modules, torch.Size(row).numel())
        if layer is None or node.args[:1] != (previous,) or len(previous.users) > 1:
            return None
        flat = flat or layer.kind == "flatten"
        if layer.kind == "affine" and not flat:
            return None  # a map of the last axis of a block
        layers.append(layer)
        previous = node
    names = [name for layer in layers for name in (layer.weight, layer.bias) if name]
    ends = sink.op == "output" and sink.args == (previous,)
    if not ends or sorted(names) != sorted(trained):
        return None
    return tuple(layer for layer in layers if layer.kind not in {"flatten", "identity"})


def _layer(node: fx.Node, modules: dict[str, nn.Module], size: int) -> Layer | None:
    if node.op == "call_module":
        name = str(node.target)[2:]  # without the "0." of the Sequential around it
        part, prefix = modules[name], f"{name}." if name else ""
        if type(part) is nn.Linear and len(node.args) == 1:
            return Layer("affine", f"{prefix}weight", f"{prefix}bias" if part.bias is not None else "")
        if type(part) is nn.Flatten:
            return Layer("flatten") if (part.start_dim, part.end_dim) == (1, -1) else None
        return _activation(type(part), node)
    if node.op in {"call_function", "call_method"}:
        return Layer("flatten") if _flattens(node, size) else _activation(node.target, node)
    return None


def _activation(what: Any, node: fx.Node) -> Layer | None:
    kind = _ACTIVATIONS.get(what)
    return Layer(kind) if kind and len(node.args) == 1 and set(node.kwargs) <= {"inplace"} else None


def _flattens(node: fx.Node, size: int) -> bool:
    shape = node.args[1:]
    if node.target in {torch.flatten, "flatten"}:
        return (shape == (1,) and not node.kwargs) or (not shape and node.kwargs == {"start_dim": 1})
    return node.target in {"view", "reshape"} and shape == (-1, size) and not node.kwargs
