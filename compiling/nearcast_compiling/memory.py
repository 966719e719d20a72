"""Numbers at an address: a mapping that may only be read is then no other type to compile for.

Only for compiled functions, and only where there is machine code. An index counts entries and is never
checked: whoever gives the address answers for what lies there, and keeps it alive during the call.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

Kind = TypeVar("Kind")
Load = Callable[[int, int], Kind]
Store = Callable[[int, int, Kind], None]

# Numbers of numba's own making have no types of Python; what they are to a compiled function is said below.
_intrinsic: Any = intrinsic


def _pointer(context: Any, builder: Any, kind: Any, address: Any, index: Any) -> Any:
    pointer = builder.inttoptr(address, context.get_data_type(kind).as_pointer())
    return builder.gep(pointer, [index])


def _loader(kind: Any, given: Any, *, is_fixed: bool = False) -> Any:
    """Whatever the width in memory, `given` is one type for all: each type more is compiled for once more.

    What is fixed does not change during a call, so it is loaded before a loop instead of in it.
    """

    def load(_typing: Any, _address: Any, _index: Any) -> Any:
        def code(context: Any, builder: Any, _signature: Any, place: Any) -> Any:
            value = builder.load(_pointer(context, builder, kind, *place))
            if is_fixed:
                value.set_metadata("invariant.load", builder.module.add_metadata([]))
            return context.cast(builder, value, kind, given)

        return given(types.int64, types.int64), code

    return _intrinsic(load)


def _storer(kind: Any, given: Any) -> Any:
    def store(_typing: Any, _address: Any, _index: Any, _value: Any) -> Any:
        def code(context: Any, builder: Any, _signature: Any, given_values: Any) -> Any:
            address, index, value = given_values
            narrow = context.cast(builder, value, given, kind)
            builder.store(narrow, _pointer(context, builder, kind, address, index))
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, given), code

    return _intrinsic(store)


load_f4: Load[float] = _loader(types.float32, types.float64)
load_f8: Load[float] = _loader(types.float64, types.float64)
load_i4: Load[int] = _loader(types.int32, types.int64)
load_i8: Load[int] = _loader(types.int64, types.int64)
load_u1: Load[int] = _loader(types.uint8, types.int64)
load_u2: Load[int] = _loader(types.uint16, types.int64)
load_u4: Load[int] = _loader(types.uint32, types.int64)
load_u8: Load[np.uint64] = _loader(types.uint64, types.uint64)
fixed: Load[int] = _loader(types.int64, types.int64, is_fixed=True)
fixed_f8: Load[float] = _loader(types.float64, types.float64, is_fixed=True)
store_f8: Store[float] = _storer(types.float64, types.float64)
store_i4: Store[int] = _storer(types.int32, types.int64)
store_i8: Store[int] = _storer(types.int64, types.int64)
store_u1: Store[int] = _storer(types.uint8, types.int64)
store_u8: Store[np.uint64] = _storer(types.uint64, types.uint64)


def _load_latest(_typing: Any, _address: Any, _index: Any) -> Any:
    """A word that another process moves on: what it wrote before is seen by whoever has read this."""

    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        pointer = _pointer(context, builder, types.int64, *given)
        return builder.load_atomic(pointer, "acquire", 8)

    return types.int64(types.int64, types.int64), code


def _float_of(_typing: Any, _word: Any) -> Any:
    """The number that the low 32 bits of a word spell as a float32."""

    def code(context: Any, builder: Any, _signature: Any, given: Any) -> Any:
        bits = builder.trunc(given[0], ir.IntType(32))
        return context.cast(builder, builder.bitcast(bits, ir.FloatType()), types.float32, types.float64)

    return types.float64(types.uint64), code


load_latest: Load[int] = _intrinsic(_load_latest)
float_of: Callable[[np.uint64], float] = _intrinsic(_float_of)


def address_of(array: np.ndarray[Any, Any]) -> int:
    """Where the first entry lies."""
    return int(array.ctypes.data)
