"""Primitives of glTF packed with KHR_draco_mesh_compression, unpacked by DracoPy (``pip install ptdiff[draco]``).

Source: Khronos, KHR_draco_mesh_compression (2017).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import MissingPackage, needed
from ptdiff_datasets.formats.gltf_accessors import TYPES, Accessors

DRACO = "KHR_draco_mesh_compression"


def unpack(accessors: Accessors, primitive: dict[str, Any]) -> None:
    """Decode the indices and attributes of a packed primitive and give them to its accessors.

    FormatError for a broken stream, for numbers that the accessors do not declare, and without DracoPy.
    """
    packing = primitive["extensions"][DRACO]
    if primitive.get("mode", 4) != 4 or "indices" not in primitive:
        raise accessors.refused(f"{DRACO} of a primitive that is not a list of triangles")
    try:
        draco: Any = needed("DracoPy", "draco", accessors.path)
    except MissingPackage:  # only this file is not read
        raise accessors.refused(f"meshes packed with {DRACO} need DracoPy: pip install 'ptdiff[draco]'") from None
    try:
        mesh = draco.decode(bytes(accessors.view(packing["bufferView"])))
    except (draco.FileTypeException, ValueError) as error:
        raise accessors.refused(f"{DRACO} cannot be decoded: {str(error)[:80]}") from None
    faces = np.asarray(getattr(mesh, "faces", np.empty((0, 3))), np.int64)
    accessors.unpacked[primitive["indices"]] = _declared(accessors, primitive["indices"], faces.reshape(-1, 1))
    for name, number in packing["attributes"].items():
        found = mesh.get_attribute_by_unique_id(number)
        if found is None:
            raise accessors.refused(f"{DRACO} has no attribute {number} for {name}")
        table = np.asarray(found["data"])
        place = primitive["attributes"][name]
        accessors.unpacked[place] = _declared(accessors, place, table.reshape(len(table), -1))


def _declared(accessors: Accessors, place: int, table: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return decoded numbers in the type of their accessor; FormatError if it cannot hold them."""
    kind = accessors.tree["accessors"][place].get("componentType")
    cast = table.astype("<" + TYPES[kind])
    if not np.array_equal(cast.astype(np.float64), table.astype(np.float64), equal_nan=True):
        raise accessors.refused(f"{DRACO} has numbers that accessor {place} cannot hold")
    return cast
