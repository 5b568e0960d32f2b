"""glTF nodes: the meshes that a scene shows, with the matrices of all their instances."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.formats.gltf_accessors import Accessors

INSTANCING = "EXT_mesh_gpu_instancing"
MOST_INSTANCES = 100_000
Matrices = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Placed:
    """Mesh number ``mesh`` with the matrices (n, 4, 4) of its instances."""

    mesh: int
    matrices: Matrices


def placed(accessors: Accessors) -> tuple[list[Placed], list[str]]:
    """Walk the nodes of the scene and return the meshes in it, with remarks on what it leaves out.

    Without a scene, every node that is not the child of another is shown. FormatError for nodes that are not a tree.
    """
    tree = accessors.tree
    nodes: list[dict[str, Any]] = tree.get("nodes", [])
    shown = sum("mesh" in node for node in nodes)
    if shown > MOST_INSTANCES:
        raise accessors.refused(f"{shown} mesh instances, more than 100,000")
    scenes, remarks = tree.get("scenes", []), []
    if len(scenes) > 1:
        remarks.append(f"scenes left out besides the shown one: {len(scenes) - 1}")
    if scenes:
        roots = scenes[_place(accessors, tree.get("scene", 0), len(scenes), "scene")].get("nodes", [])
    else:
        children = {child for node in nodes for child in node.get("children", [])}
        roots = [i for i in range(len(nodes)) if i not in children]
    out: list[Placed] = []
    seen: set[int] = set()
    waiting = [(root, np.eye(4)) for root in reversed(roots)]
    instances = skinned = 0
    while waiting:
        place, above = waiting.pop()
        node = nodes[_place(accessors, place, len(nodes), "node")]
        if place in seen:
            raise accessors.refused(f"node {place} has two parents")
        seen.add(place)
        matrix = above @ _local(accessors, node)
        if "mesh" in node:
            mesh = _place(accessors, node["mesh"], len(tree.get("meshes", [])), "mesh")
            matrices = _instances(accessors, node, matrix)
            instances += len(matrices)
            if instances > MOST_INSTANCES:
                raise accessors.refused(f"{instances} mesh instances, more than 100,000")
            if any(node.get("weights", [])):
                raise accessors.refused(
                    "a node with morph weights of its own is not read; export the shape as it stands"
                )
            skinned += "skin" in node
            out.append(Placed(mesh, matrices))
        waiting += [(child, matrix) for child in reversed(node.get("children", []))]
    if skinned:
        remarks.append(f"meshes with a skin, as modeled and not posed: {skinned}")
    return out, remarks


def _place(accessors: Accessors, place: Any, count: int, what: str) -> int:
    if not isinstance(place, int) or not 0 <= place < count:
        raise accessors.refused(f"there is no {what} {place!r} among {count}")
    return place


def _local(accessors: Accessors, node: dict[str, Any]) -> Matrices:
    """The matrix (4, 4) of a node: its matrix, or translation, rotation (x, y, z, w) and scale."""
    if "matrix" in node:
        matrix: Matrices = np.array(node["matrix"], np.float64).reshape(4, 4).T  # stored by columns
        if not np.isfinite(matrix).all() or (np.abs(matrix[3] - [0, 0, 0, 1]) > 1e-6).any():
            raise accessors.refused(f"a node matrix whose last row is {matrix[3].tolist()}")
        return matrix
    moves = np.array([node.get("translation", (0, 0, 0))], np.float64).reshape(1, 3)
    turns = np.array([node.get("rotation", (0, 0, 0, 1))], np.float64).reshape(1, 4)
    sizes = np.array([node.get("scale", (1, 1, 1))], np.float64).reshape(1, 3)
    local: Matrices = _composed(accessors, moves, turns, sizes)[0]
    return local


def _instances(accessors: Accessors, node: dict[str, Any], matrix: Matrices) -> Matrices:
    """The matrices (n, 4, 4) of a node with a mesh: its own, or those of its instances below it."""
    instancing = node.get("extensions", {}).get(INSTANCING)
    if instancing is None:
        return matrix[None]
    tables = {name: accessors.numbers(place) for name, place in instancing["attributes"].items() if name[:1] != "_"}
    counts = {len(table) for table in tables.values()}
    if len(counts) != 1 or max(counts) > MOST_INSTANCES:
        raise accessors.refused(f"instances with {sorted(counts)} rows of {', '.join(tables)}")
    (count,) = counts
    moves = tables.get("TRANSLATION", np.zeros((count, 3)))
    turns = tables.get("ROTATION", np.tile([0.0, 0.0, 0.0, 1.0], (count, 1)))
    sizes = tables.get("SCALE", np.ones((count, 3)))
    if moves.shape[1] != 3 or turns.shape[1] != 4 or sizes.shape[1] != 3:
        raise accessors.refused("instances whose TRANSLATION, ROTATION or SCALE have other lengths than 3, 4 and 3")
    below: Matrices = matrix @ _composed(accessors, moves, turns, sizes)
    return below


def _composed(accessors: Accessors, moves: Matrices, turns: Matrices, sizes: Matrices) -> Matrices:
    """Matrices (n, 4, 4) of translations (n, 3), quaternions (n, 4) and scales (n, 3), applied from right to left."""
    lengths = np.linalg.norm(turns, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 1e-3).all()):
        raise accessors.refused("a rotation of length zero")
    x, y, z, w = (turns / lengths).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    out = np.tile(np.eye(4), (len(moves), 1, 1))
    out[:, :3, :3] = np.moveaxis(np.array(rows), 2, 0) * sizes[:, None, :]
    out[:, :3, 3] = moves
    return out
