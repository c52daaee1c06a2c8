"""Loops compiled to machine code, for what would cost numpy or torch many passes over memory.

numba compiles a loop when it is first called on a machine, and the machine code is kept on disk. Whenever it
is there, LLVM's loader alone maps it in: that takes a twentieth of the second that numba needs to get ready.
"""

import ctypes
import importlib.metadata
import inspect
import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property, partial, update_wrapper
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

import llvmlite.binding as llvm
import numpy as np

from lorascope.files import write_bytes

if TYPE_CHECKING:
    import torch

# Sums may be taken in another order, the same in every run on a processor; NaN and infinity stay as they are.
_ROUNDING = {"reassoc", "nsz"}
_ENTRY = "entry"
# Of these a loop keeps the value that they had when it was compiled; and of arrays.
_CONSTANTS = (bool, int, float, complex, str, bytes, tuple, np.generic)
# Where numba's calling convention puts a result, and an error: loops have neither.
_NOWHERE = ctypes.create_string_buffer(8)
_DIGEST_BYTES = sha256().digest_size
# Neither numba nor LLVM's Python side is made for threads; machine code is.
_LOCK = threading.Lock()


class ArrayType:
    """Annotation of a loop's argument: ``float32[2]`` is a matrix."""

    def __init__(self, name: str, ndim: int = 0):
        self.name, self.ndim, self.dtype = name, ndim, np.dtype(name)

    def __getitem__(self, ndim: int) -> "ArrayType":
        return ArrayType(self.name, ndim)

    def address(self, array: "np.ndarray | torch.Tensor", loop: str) -> int:
        """Return where the array's entries begin."""
        if isinstance(array, np.ndarray):
            address, in_order = array.ctypes.data, array.flags.c_contiguous
            same = array.dtype == self.dtype
        else:
            address, in_order = array.data_ptr(), array.is_contiguous()
            same = str(array.dtype) == f"torch.{self.name}"
        if not (in_order and same and array.ndim == self.ndim):
            found = f"{'' if in_order else 'not '}row-major {array.dtype} of {array.ndim} dimensions"
            raise TypeError(f"{loop} needs row-major {self.name} of {self.ndim} dimensions, got {found}")
        return address


float32, float64 = ArrayType("float32"), ArrayType("float64")
int32, int64 = ArrayType("int32"), ArrayType("int64")


def part_of_loops(function: Callable) -> Callable:
    """Mark a function that compiled loops of the same file call."""
    function.part_of_loops = True
    return function


def compiled(function: FunctionType | None = None, *, fused: bool = False) -> "Loop":
    """Make a :class:`Loop` of a function.

    Args:
        function: see :class:`Loop`.
        fused: whether products may be added up unrounded. That is faster where products are all there is to
            do; without it what cancels out cancels out exactly.
    """
    return Loop(function, fused) if function else partial(compiled, fused=fused)


class Loop:
    """A function of arrays, written as loops, that runs as machine code; threads run it at the same time.

    Its arguments are row-major arrays of numpy, or tensors of torch in main memory, as annotated. It returns
    nothing, makes no array, checks no index, and calls nothing but functions of its file that
    :func:`part_of_loops` marks, mathematical functions, and ``len``.

    The machine code is kept in ``__pycache__`` beside the source or, where that cannot be written, in
    ``$XDG_CACHE_HOME/lorascope`` (``~/.cache/lorascope``); failing both, every process compiles for itself.

    Raises:
        TypeError: an argument is not as annotated.
    """

    def __init__(self, function: FunctionType, fused: bool):
        update_wrapper(self, function)
        self.types = list(inspect.get_annotations(function).values())
        self.rounding = _ROUNDING | {"contract"} if fused else _ROUNDING

    def __call__(self, *arrays: "np.ndarray | torch.Tensor") -> None:
        addresses, sizes = [], []
        for array, wanted in zip(arrays, self.types, strict=True):
            addresses.append(wanted.address(array, self.__name__))
            sizes += array.shape
        packed = struct.pack(f"{len(addresses)}q", *addresses), struct.pack(f"{len(sizes)}q", *sizes)
        error = self._machine_code(_NOWHERE, _NOWHERE, *packed)
        if error:
            raise RuntimeError(f"{self.__name__} failed with status {error}")

    @cached_property
    def _machine_code(self) -> Callable:
        with _LOCK:
            engine, address = _load(self._object_code())
        result, argument = ctypes.c_int32, ctypes.c_void_p
        call = ctypes.CFUNCTYPE(result, argument, argument, argument, argument)(address)
        # The code lives as long as its engine: with this very object, for another thread may load its own.
        call.engine = engine
        return call

    def _object_code(self) -> bytes:
        for folder in self._folders():
            kept = _read(folder / self._file_name)
            if kept is not None:
                return kept
        code = _compile(self.__wrapped__, self.types, self.rounding)
        for folder in self._folders():
            with suppress(OSError):
                write_bytes(folder / self._file_name, sha256(code).digest() + code)
                break
        return code

    def _folders(self) -> Iterator[Path]:
        yield Path(inspect.getfile(self.__wrapped__)).parent / "__pycache__"
        # A user without a home, as in some containers, has no cache either.
        with suppress(RuntimeError):
            yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "lorascope")

    @cached_property
    def _file_name(self) -> str:
        """Name the machine code by all that it was compiled from, with and for."""
        source, here = Path(inspect.getfile(self.__wrapped__)), Path(__file__)
        types = [f"{one.name}[{one.ndim}]" for one in self.types]
        machine = llvm.get_default_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        versions = [importlib.metadata.version(name) for name in ("numba", "llvmlite")]
        told = [*machine, *versions, *types, *sorted(self.rounding), *_frozen(self.__wrapped__)]
        key = sha256("\0".join(told).encode())
        for path in (source, here):
            key.update(path.read_bytes())
        return f"{source.stem}.{self.__name__}-{key.hexdigest()[:16]}.o"


def _frozen(function: FunctionType) -> Iterator[str]:
    """Yield what machine code takes over of the names that a function refers to: their values at this time.

    The source does not tell these: a constant may come from another file.
    """
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        is_module = isinstance(value, ModuleType)
        inside = (attribute for attribute in names if is_module and hasattr(value, attribute))
        for each in [getattr(value, attribute) for attribute in inside] or [value]:
            yield f"{name} {_told(each)}"
            if _is_part(each):
                yield inspect.getsource(each)
                yield from _frozen(each)


def _told(value: object) -> str:
    if isinstance(value, np.ndarray):
        # An array's own text leaves entries out.
        return f"{value.dtype} {value.shape} {value.tobytes()!r}"
    if isinstance(value, _CONSTANTS):
        return f"{type(value).__name__} {value!r}"
    # The text of other objects has their address, which is another one in every process.
    return getattr(value, "__qualname__", type(value).__qualname__)


def _is_part(value: object) -> bool:
    return isinstance(value, FunctionType) and getattr(value, "part_of_loops", False)


def _read(path: Path) -> bytes | None:
    """Return machine code that was kept; None if there is none or it is not what was written."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if sha256(code).digest() == digest else None


def _compile(function: FunctionType, types: list[ArrayType], rounding: set[str]) -> bytes:
    """Return an object file with the function :data:`_ENTRY`, as numba's calling convention has it.

    Its arguments are where the result would go (none), where the error goes, the arrays' addresses and their
    sizes; it returns 0 or the status of an error.
    """
    import numba
    from numba.core.types import CPointer, intp, void, voidptr

    options = {"error_model": "numpy", "fastmath": rounding}
    names = dict(function.__globals__)
    for name, part in function.__globals__.items():
        if _is_part(part):
            names[name] = numba.njit(FunctionType(part.__code__, names), forceinline=True, **options)
    names["loop"] = numba.njit(FunctionType(function.__code__, names), forceinline=True, **options)
    exec(_trampoline(types), names)
    signature = void(CPointer(voidptr), CPointer(intp))
    entry = numba.cfunc(signature, **options)(names["trampoline"])
    # numba's own wrapper for C would swallow errors.
    return _object_file(entry.inspect_llvm(), entry.native_name.removeprefix("cfunc."), function.__name__)


def _trampoline(types: list[ArrayType]) -> str:
    """Return the source of the function that makes arrays of addresses and sizes and calls the loop."""
    arrays, first = [], 0
    for position, wanted in enumerate(types):
        shape = "".join(f"sizes[{axis}], " for axis in range(first, first + wanted.ndim))
        arrays.append(f"carray(pointers[{position}], ({shape}), {wanted.name})")
        first += wanted.ndim
    imports = "from numba import carray, float32, float64, int32, int64"
    return f"{imports}\ndef trampoline(pointers, sizes):\n    loop({', '.join(arrays)})"


def _object_file(ir: str, entry: str, name: str) -> bytes:
    """Translate one function of LLVM's intermediate representation, and what it calls, for this processor.

    Raises:
        TypeError: it needs Python or numba at run time: it can fail, or it makes arrays.
    """
    _initialize()
    module = llvm.parse_assembly(ir)
    for function in module.functions:
        if function.name == entry:
            function.name = _ENTRY
        elif not function.is_declaration:
            function.linkage = "internal"
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        codemodel="jitdefault",
        jit=True,
    )
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
    needed = [one.name for one in module.functions if one.name.startswith(("NRT_", "numba_", "Py"))]
    if needed:
        raise TypeError(f"{name} is no plain loop: it needs {', '.join(needed)} at run time")
    return machine.emit_object(module)


def _load(code: bytes) -> tuple[llvm.ExecutionEngine, int]:
    """Return the engine that keeps the machine code, and the address of :data:`_ENTRY`."""
    _initialize()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine, engine.get_function_address(_ENTRY)


def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
