"""The function that Python calls, in LLVM IR: it checks arrays, makes room for results, and runs native code, without going through Python.

    ptr @rlxc.python.call(ptr %self, ptr %arguments, i64 %count, ptr %names)          CPython's vectorcall

One such function serves every compiled function: `%self` has a `call`, which says what arrays it takes and where its native code is. Whatever is out
of the ordinary (an array that does not fit, an unknown name, results that overlap arguments) goes to the slow path, a Python function that takes the
same arguments, converts what can be converted, and raises what must be raised.

The text has no addresses in it: they are in the structures below, which are filled in at run time. So the machine code can be kept on disk.
"""

from __future__ import annotations

CALL = "rlxc.python.call"
PYTHON = "rlxc.python"

#: The structures that the code reads, with LLVM types. They lie in memory as in C.
STRUCTURES: dict[str, dict[str, str]] = {
    # What there is of CPython and NumPy: objects, offsets, and functions. One a process.
    "python": {
        "array_type": "ptr",  # numpy.ndarray
        "float_type": "ptr",
        "tuple_type": "ptr",
        "tuple_items": "i64",  # offset of the first item of a tuple
        "call_type": "ptr",  # of the object that has a `call`
        "call_slot": "i64",  # offset of that object in a callable; null if there is none yet
        "slow_path": "ptr",  # takes self and the arguments
        "new_array": "ptr",  # PyArray_NewFromDescr
        "new_tuple": "ptr",
        "set_item": "ptr",  # PyTuple_SetItem
        "keep": "ptr",  # Py_IncRef
        "drop": "ptr",  # Py_DecRef
        "bind": "ptr",  # PyMethod_New
        "apply": "ptr",  # PyObject_Vectorcall
        "apply_to_nothing": "ptr",  # PyObject_CallNoArgs
        "clear_error": "ptr",
        "release_gil": "ptr",  # PyEval_SaveThread
        "take_gil": "ptr",  # PyEval_RestoreThread
        "list_size": "ptr",
        "list_item": "ptr",
        "list_slice": "ptr",  # PyList_SetSlice
        "list_append": "ptr",
    },
    # One compiled function.
    "call": {
        "entry": "ptr",
        "threads": "ptr",  # the pool of threads, or null
        "workspaces": "ptr",  # a list of arrays of bytes that nobody uses now; null for a function that needs none
        "new_workspace": "ptr",  # makes one more
        "arguments": "i64",
        "results": "i64",
        "names": "ptr",  # of the arguments, and "out": interned strings
        "arrays": "ptr",  # one `array` for each argument, then one for each result
        "is_long": "i64",  # whether other Python threads may run meanwhile
        "calls": "i64",  # how many were made
    },
    # The type of an array.
    "array": {
        "dtype": "ptr",
        "rank": "i64",
        "shape": "ptr",
        "bytes": "i64",
        "scalar_type": "ptr",  # of NumPy's numbers of this dtype, for an array of rank 0, else null
        "float_bits": "i64",  # 32 or 64 where a Python float is taken for it, else 0
    },
}

# Where things are in CPython's and NumPy's objects, in 64-bit builds with a GIL; the runtime verifies it on objects before it relies on it.
TYPE = 8  # of any object
SIZE = 16  # of a tuple
NUMBER = 16  # in a Python float, or a number of NumPy's
STRUCTURE = 16  # of the object that ctypes has for a structure: its address
ARRAY = {"data": 16, "rank": 24, "shape": 32, "dtype": 56, "flags": 64}
DTYPE = {"order": 26, "number": 28}
READABLE = 0x101  # C-contiguous and aligned
WRITABLE = 0x501


def wrapper_text() -> str:
    """The module as LLVM IR."""
    types = (f"%{name} = type {{ {', '.join(fields.values())} }}" for name, fields in STRUCTURES.items())
    python = f'@"{PYTHON}" = global %python zeroinitializer'
    checks = _MATCH_NAMES, _FITS, _NUMBER, _ARGUMENTS_FIT, _OVERLAP, _OUTS_FIT
    work = _DROP_ALL, _MAKE_RESULTS, _TAKE_WORKSPACE, _RUN, _PACKED
    return "\n\n".join(["\n".join(types), python, _CALL, *checks, *work, _SLOW, ""])


def _field(name: str, structure: str, base: str, field: str) -> str:
    """`name` = a field of a structure."""
    fields = STRUCTURES[structure]
    place = f"{name}.place = getelementptr %{structure}, ptr {base}, i32 0, i32 {list(fields).index(field)}"
    return f"{place}\n  {name} = load {fields[field]}, ptr {name}.place"


def _python(field: str) -> str:
    """`%field` = something of CPython's or NumPy's."""
    return _field(f"%{field}", "python", f'@"{PYTHON}"', field)


def _at(name: str, type: str, base: str, offset: int | str) -> str:
    """`name` = what is at an offset in bytes."""
    return f"{name}.place = getelementptr i8, ptr {base}, i64 {offset}\n  {name} = load {type}, ptr {name}.place"


def _item(name: str, type: str, base: str, index: str) -> str:
    """`name` = an element of a C array."""
    return f"{name}.place = getelementptr {type}, ptr {base}, i64 {index}\n  {name} = load {type}, ptr {name}.place"


_CALL = f"""\
define ptr @"{CALL}"(ptr %self, ptr %given, i64 %flagged_count, ptr %names) {{
  {_python("call_slot")}
  {_at("%owner", "ptr", "%self", "%call_slot")}
  %nothing = icmp eq ptr %owner, null
  br i1 %nothing, label %slow, label %something
something:
  {_at("%type", "ptr", "%owner", TYPE)}
  {_python("call_type")}
  %is_known = icmp eq ptr %type, %call_type
  br i1 %is_known, label %known, label %slow
known:
  {_at("%call", "ptr", "%owner", STRUCTURE)}
  {_field("%count", "call", "%call", "arguments")}
  {_field("%results", "call", "%call", "results")}
  {_python("keep")}
  {_python("drop")}
  %positional = and i64 %flagged_count, {2**63 - 1} ; the highest bit is a flag
  %no_names = icmp eq ptr %names, null
  br i1 %no_names, label %by_position, label %by_name
by_position:
  %all = icmp eq i64 %positional, %count
  br i1 %all, label %start, label %slow
by_name:
  %and_out = add i64 %count, 1
  %sorted = alloca ptr, i64 %and_out
  %matched = call i1 @match_names(ptr %call, ptr %given, i64 %positional, ptr %names, ptr %sorted)
  br i1 %matched, label %start, label %slow

start:
  %arguments = phi ptr [ %given, %by_position ], [ %sorted, %by_name ]
  %total = add i64 %count, %results
  %addresses = alloca ptr, i64 %total
  %numbers = alloca i64, i64 %count
  %fit = call i1 @arguments_fit(ptr %call, ptr %arguments, ptr %addresses, ptr %numbers)
  br i1 %fit, label %results_given, label %slow
results_given:
  {_field("%calls", "call", "%call", "calls")}
  %one_call_more = add i64 %calls, 1
  store i64 %one_call_more, ptr %calls.place
  br i1 %no_names, label %make, label %maybe_given
maybe_given:
  %out = getelementptr ptr, ptr %arguments, i64 %count
  %given_results = load ptr, ptr %out
  %not_given = icmp eq ptr %given_results, null
  br i1 %not_given, label %make, label %use

use: ; results go to arrays that the caller has
  %outs_fit = call i1 @outs_fit(ptr %call, ptr %out, ptr %addresses)
  br i1 %outs_fit, label %write, label %slow
write:
  call void %keep(ptr %owner)
  %written = call i1 @run(ptr %call, ptr %addresses)
  call void %drop(ptr %owner)
  br i1 %written, label %return_given, label %failed
return_given:
  call void %keep(ptr %given_results)
  ret ptr %given_results

make: ; results are new
  call void %keep(ptr %owner)
  %made = alloca ptr, i64 %results
  %are_made = call i1 @make_results(ptr %call, ptr %addresses, ptr %made)
  br i1 %are_made, label %compute, label %no_memory
compute:
  %computed = call i1 @run(ptr %call, ptr %addresses)
  call void %drop(ptr %owner)
  br i1 %computed, label %return_made, label %give_up
return_made:
  %packed = call ptr @packed(ptr %made, i64 %results)
  ret ptr %packed
give_up:
  call void @drop_all(ptr %made, i64 %results)
  br label %failed
no_memory: ; the slow path will find the same, and say so
  call void %drop(ptr %owner)
  br label %slow

slow:
  %answer = call ptr @slow(ptr %self, ptr %given, i64 %flagged_count, ptr %names)
  ret ptr %answer
failed:
  ret ptr null
}}"""

_MATCH_NAMES = f"""\
; Arguments by position and by name in order, followed by what is given as `out`, or null. False if one is missing or another given. A name is
; found if it is the same string object, as it is for names in source code; looking for one starts behind the one found last.
define internal i1 @match_names(ptr %call, ptr %given, i64 %positional, ptr %names, ptr %sorted) {{
entry:
  {_field("%count", "call", "%call", "arguments")}
  {_field("%known", "call", "%call", "names")}
  {_python("tuple_items")}
  {_at("%named", "i64", "%names", SIZE)}
  %first = getelementptr i8, ptr %names, i64 %tuple_items
  %too_many = icmp sgt i64 %positional, %count
  br i1 %too_many, label %no, label %argument
argument: ; the names of arguments, and after them `out`
  %i = phi i64 [ 0, %entry ], [ %next, %put ]
  %found = phi i64 [ 0, %entry ], [ %found.next, %put ]
  %start = phi i64 [ 0, %entry ], [ %start.next, %put ]
  %next = add i64 %i, 1
  %more = icmp sle i64 %i, %count
  br i1 %more, label %one, label %all
one:
  %is_positional = icmp slt i64 %i, %positional
  br i1 %is_positional, label %by_position, label %by_name
by_position:
  {_item("%object", "ptr", "%given", "%i")}
  br label %put
by_name:
  {_item("%wanted", "ptr", "%known", "%i")}
  br label %search
search:
  %tried = phi i64 [ 0, %by_name ], [ %tried.next, %compare ]
  %more_names = icmp slt i64 %tried, %named
  br i1 %more_names, label %compare, label %absent
compare:
  %tried.next = add i64 %tried, 1
  %far = add i64 %start, %tried
  %around = sub i64 %far, %named
  %is_far = icmp sge i64 %far, %named
  %j = select i1 %is_far, i64 %around, i64 %far
  {_item("%name", "ptr", "%first", "%j")}
  %same = icmp eq ptr %name, %wanted
  br i1 %same, label %present, label %search
absent: ; which only `out` may be
  %is_argument = icmp slt i64 %i, %count
  br i1 %is_argument, label %no, label %put
present:
  %index = add i64 %positional, %j
  {_item("%named_object", "ptr", "%given", "%index")}
  %one_more = add i64 %found, 1
  %behind = add i64 %j, 1
  br label %put
put:
  %argument_object = phi ptr [ %object, %by_position ], [ null, %absent ], [ %named_object, %present ]
  %found.next = phi i64 [ %found, %by_position ], [ %found, %absent ], [ %one_more, %present ]
  %start.next = phi i64 [ %start, %by_position ], [ %start, %absent ], [ %behind, %present ]
  %place = getelementptr ptr, ptr %sorted, i64 %i
  store ptr %argument_object, ptr %place
  br label %argument
all: ; unless a name is left over
  %used_all = icmp eq i64 %found, %named
  ret i1 %used_all
no:
  ret i1 false
}}"""

_FITS = f"""\
; Whether an object is an ndarray of a type that has these flags. Subclasses have meanings of their own and are left to the slow path.
define internal i1 @fits(ptr %object, ptr %array, i32 %wanted_flags) {{
  {_python("array_type")}
  {_at("%type", "ptr", "%object", TYPE)}
  %is_array = icmp eq ptr %type, %array_type
  br i1 %is_array, label %dtype, label %no
dtype:
  {_at("%have_dtype", "ptr", "%object", ARRAY["dtype"])}
  {_field("%want_dtype", "array", "%array", "dtype")}
  %same = icmp eq ptr %have_dtype, %want_dtype
  br i1 %same, label %flags, label %equal
equal: ; equal dtypes may be two objects, for example after unpickling
  {_at("%have_number", "i32", "%have_dtype", DTYPE["number"])}
  {_at("%want_number", "i32", "%want_dtype", DTYPE["number"])}
  {_at("%have_order", "i8", "%have_dtype", DTYPE["order"])}
  {_at("%want_order", "i8", "%want_dtype", DTYPE["order"])}
  %same_number = icmp eq i32 %have_number, %want_number
  %same_order = icmp eq i8 %have_order, %want_order
  %is_equal = and i1 %same_number, %same_order
  br i1 %is_equal, label %flags, label %no
flags:
  {_at("%all_flags", "i32", "%object", ARRAY["flags"])}
  %have_flags = and i32 %all_flags, %wanted_flags
  %has_flags = icmp eq i32 %have_flags, %wanted_flags
  br i1 %has_flags, label %check_rank, label %no
check_rank:
  {_at("%have_rank", "i32", "%object", ARRAY["rank"])}
  %rank = sext i32 %have_rank to i64
  {_field("%want_rank", "array", "%array", "rank")}
  %same_rank = icmp eq i64 %rank, %want_rank
  br i1 %same_rank, label %shape, label %no
shape:
  {_at("%have_shape", "ptr", "%object", ARRAY["shape"])}
  {_field("%want_shape", "array", "%array", "shape")}
  br label %axis
axis:
  %i = phi i64 [ 0, %shape ], [ %next, %size ]
  %more = icmp slt i64 %i, %rank
  br i1 %more, label %size, label %yes
size:
  %next = add i64 %i, 1
  {_item("%have_size", "i64", "%have_shape", "%i")}
  {_item("%want_size", "i64", "%want_shape", "%i")}
  %same_size = icmp eq i64 %have_size, %want_size
  br i1 %same_size, label %axis, label %no
yes:
  ret i1 true
no:
  ret i1 false
}}"""

_NUMBER = f"""\
; Where the number is that an object stands for, if an array of rank 0 takes it, else null. NumPy's numbers of the array's dtype are taken as they lie;
; a Python float is converted, and put where `place` says.
define internal ptr @number(ptr %object, ptr %array, ptr %place) {{
  {_at("%type", "ptr", "%object", TYPE)}
  {_field("%scalar_type", "array", "%array", "scalar_type")}
  %inside = getelementptr i8, ptr %object, i64 {NUMBER}
  %is_scalar = icmp eq ptr %type, %scalar_type
  br i1 %is_scalar, label %as_it_lies, label %maybe_float
maybe_float:
  {_python("float_type")}
  %is_float = icmp eq ptr %type, %float_type
  br i1 %is_float, label %which, label %no
which:
  {_field("%takes", "array", "%array", "float_bits")}
  switch i64 %takes, label %no [ i64 64, label %as_it_lies i64 32, label %rounded ]
rounded: ; but not to infinity
  %exact = load double, ptr %inside
  %near = fptrunc double %exact to float
  store float %near, ptr %place
  %size = call float @llvm.fabs.f32(float %near)
  %is_infinite = fcmp oeq float %size, 0x7FF0000000000000
  %exact_size = call double @llvm.fabs.f64(double %exact)
  %was_finite = fcmp one double %exact_size, 0x7FF0000000000000
  %overflows = and i1 %is_infinite, %was_finite
  br i1 %overflows, label %no, label %yes
yes:
  ret ptr %place
as_it_lies:
  ret ptr %inside
no:
  ret ptr null
}}

declare float @llvm.fabs.f32(float)
declare double @llvm.fabs.f64(double)"""

_ARGUMENTS_FIT = f"""\
; Whether arguments fit; then their addresses are put where `addresses` says. `numbers` has room for numbers.
define internal i1 @arguments_fit(ptr %call, ptr %arguments, ptr %addresses, ptr %numbers) {{
entry:
  {_field("%count", "call", "%call", "arguments")}
  {_field("%arrays", "call", "%call", "arrays")}
  br label %check
check:
  %i = phi i64 [ 0, %entry ], [ %next, %put ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %next = add i64 %i, 1
  {_item("%object", "ptr", "%arguments", "%i")}
  %array = getelementptr %array, ptr %arrays, i64 %i
  %is_array = call i1 @fits(ptr %object, ptr %array, i32 {READABLE})
  br i1 %is_array, label %as_array, label %as_number
as_array:
  {_at("%data", "ptr", "%object", ARRAY["data"])}
  br label %put
as_number:
  %room = getelementptr i64, ptr %numbers, i64 %i
  %number = call ptr @number(ptr %object, ptr %array, ptr %room)
  %no_number = icmp eq ptr %number, null
  br i1 %no_number, label %no, label %put
put:
  %address = phi ptr [ %data, %as_array ], [ %number, %as_number ]
  %place = getelementptr ptr, ptr %addresses, i64 %i
  store ptr %address, ptr %place
  br label %check
yes:
  ret i1 true
no:
  ret i1 false
}}"""

_OVERLAP = f"""\
; Whether `bytes` at an address share memory with any of the first `count` arrays.
define internal i1 @overlaps(ptr %address, i64 %bytes, ptr %addresses, ptr %arrays, i64 %count) {{
entry:
  %start = ptrtoint ptr %address to i64
  %stop = add i64 %start, %bytes
  br label %check
check:
  %i = phi i64 [ 0, %entry ], [ %next, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %no
one:
  %next = add i64 %i, 1
  {_item("%other", "ptr", "%addresses", "%i")}
  %array = getelementptr %array, ptr %arrays, i64 %i
  {_field("%other_bytes", "array", "%array", "bytes")}
  %other_start = ptrtoint ptr %other to i64
  %other_stop = add i64 %other_start, %other_bytes
  %starts_before = icmp ult i64 %start, %other_stop
  %stops_after = icmp ult i64 %other_start, %stop
  %overlap = and i1 %starts_before, %stops_after
  br i1 %overlap, label %yes, label %check
yes:
  ret i1 true
no:
  ret i1 false
}}"""

_OUTS_FIT = f"""\
; Whether what was given for results is an array, or a tuple of arrays for several, that can take them and share no memory. Then their addresses
; are put behind those of the arguments.
define internal i1 @outs_fit(ptr %call, ptr %out, ptr %addresses) {{
entry:
  {_field("%first", "call", "%call", "arguments")}
  {_field("%count", "call", "%call", "results")}
  {_field("%arrays", "call", "%call", "arrays")}
  %single = icmp eq i64 %count, 1
  br i1 %single, label %check, label %several
several:
  {_item("%tuple", "ptr", "%out", "0")}
  {_at("%type", "ptr", "%tuple", TYPE)}
  {_python("tuple_type")}
  {_python("tuple_items")}
  %is_tuple = icmp eq ptr %type, %tuple_type
  br i1 %is_tuple, label %tuple_size, label %no
tuple_size:
  {_at("%size", "i64", "%tuple", SIZE)}
  %items = getelementptr i8, ptr %tuple, i64 %tuple_items
  %right_size = icmp eq i64 %size, %count
  br i1 %right_size, label %check, label %no
check:
  %i = phi i64 [ 0, %entry ], [ 0, %tuple_size ], [ %next, %put ]
  %outs = phi ptr [ %out, %entry ], [ %items, %tuple_size ], [ %outs, %put ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %next = add i64 %i, 1
  {_item("%object", "ptr", "%outs", "%i")}
  %index = add i64 %first, %i
  %array = getelementptr %array, ptr %arrays, i64 %index
  %fits = call i1 @fits(ptr %object, ptr %array, i32 {WRITABLE})
  br i1 %fits, label %alone, label %no
alone:
  {_at("%address", "ptr", "%object", ARRAY["data"])}
  {_field("%bytes", "array", "%array", "bytes")}
  %shared = call i1 @overlaps(ptr %address, i64 %bytes, ptr %addresses, ptr %arrays, i64 %index)
  br i1 %shared, label %no, label %put
put:
  %place = getelementptr ptr, ptr %addresses, i64 %index
  store ptr %address, ptr %place
  br label %check
yes:
  ret i1 true
no:
  ret i1 false
}}"""

_DROP_ALL = f"""\
; Give up objects that were made.
define internal void @drop_all(ptr %objects, i64 %count) {{
entry:
  {_python("drop")}
  br label %check
check:
  %i = phi i64 [ 0, %entry ], [ %next, %one ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %next = add i64 %i, 1
  {_item("%object", "ptr", "%objects", "%i")}
  call void %drop(ptr %object)
  br label %check
done:
  ret void
}}"""

_MAKE_RESULTS = f"""\
; New arrays for the results, in `made`, and their addresses behind those of the arguments. False if there is no memory: then nothing is made.
define internal i1 @make_results(ptr %call, ptr %addresses, ptr %made) {{
entry:
  {_field("%first", "call", "%call", "arguments")}
  {_field("%count", "call", "%call", "results")}
  {_field("%arrays", "call", "%call", "arrays")}
  {_python("array_type")}
  {_python("new_array")}
  {_python("keep")}
  br label %check
check:
  %i = phi i64 [ 0, %entry ], [ %next, %put ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %next = add i64 %i, 1
  %index = add i64 %first, %i
  %array = getelementptr %array, ptr %arrays, i64 %index
  {_field("%dtype", "array", "%array", "dtype")}
  {_field("%rank", "array", "%array", "rank")}
  {_field("%shape", "array", "%array", "shape")}
  %axes = trunc i64 %rank to i32
  call void %keep(ptr %dtype) ; the new array owns it
  %new = call ptr %new_array(ptr %array_type, ptr %dtype, i32 %axes, ptr %shape, ptr null, ptr null, i32 0, ptr null)
  %none = icmp eq ptr %new, null
  br i1 %none, label %no, label %put
put:
  {_at("%address", "ptr", "%new", ARRAY["data"])}
  %place = getelementptr ptr, ptr %addresses, i64 %index
  store ptr %address, ptr %place
  %made.place = getelementptr ptr, ptr %made, i64 %i
  store ptr %new, ptr %made.place
  br label %check
yes:
  ret i1 true
no:
  {_python("clear_error")}
  call void %clear_error()
  call void @drop_all(ptr %made, i64 %i)
  ret i1 false
}}"""

_TAKE_WORKSPACE = f"""\
; A workspace that nobody else has: a spare one, or a new one. Null if there is no memory; then an error is set.
define internal ptr @take_workspace(ptr %call, ptr %workspaces) {{
  {_python("list_size")}
  %size = call i64 %list_size(ptr %workspaces)
  %any = icmp sgt i64 %size, 0
  br i1 %any, label %spare, label %new
spare:
  %last = add i64 %size, -1
  {_python("list_item")}
  %space = call ptr %list_item(ptr %workspaces, i64 %last)
  {_python("keep")}
  call void %keep(ptr %space)
  {_python("list_slice")}
  %shorter = call i32 %list_slice(ptr %workspaces, i64 %last, i64 %size, ptr null)
  ret ptr %space
new:
  {_field("%new_workspace", "call", "%call", "new_workspace")}
  {_python("apply_to_nothing")}
  %made = call ptr %apply_to_nothing(ptr %new_workspace)
  ret ptr %made
}}"""

_RUN = f"""\
; Run native code on addresses. False if there is no memory for its workspace; then an error is set.
define internal i1 @run(ptr %call, ptr %addresses) {{
  {_field("%entry", "call", "%call", "entry")}
  {_field("%threads", "call", "%call", "threads")}
  {_field("%workspaces", "call", "%call", "workspaces")}
  %needs_none = icmp eq ptr %workspaces, null
  br i1 %needs_none, label %start, label %take
take:
  %taken = call ptr @take_workspace(ptr %call, ptr %workspaces)
  %none = icmp eq ptr %taken, null
  br i1 %none, label %failed, label %taken_one
taken_one:
  {_at("%room", "ptr", "%taken", ARRAY["data"])}
  br label %start
start:
  %space = phi ptr [ null, %0 ], [ %taken, %taken_one ]
  %workspace = phi ptr [ null, %0 ], [ %room, %taken_one ]
  {_field("%is_long", "call", "%call", "is_long")}
  %short = icmp eq i64 %is_long, 0
  br i1 %short, label %hold, label %release
hold:
  call void %entry(ptr %addresses, ptr %workspace, ptr %threads)
  br label %give
release:
  {_python("release_gil")}
  {_python("take_gil")}
  %state = call ptr %release_gil()
  call void %entry(ptr %addresses, ptr %workspace, ptr %threads)
  call void %take_gil(ptr %state)
  br label %give
give:
  br i1 %needs_none, label %done, label %give_back
give_back:
  {_python("list_append")}
  %appended = call i32 %list_append(ptr %workspaces, ptr %space)
  {_python("drop")}
  call void %drop(ptr %space)
  %lost = icmp ne i32 %appended, 0
  br i1 %lost, label %forget, label %done
forget: ; there was no memory to remember it
  {_python("clear_error")}
  call void %clear_error()
  br label %done
done:
  ret i1 true
failed:
  ret i1 false
}}"""

_PACKED = f"""\
; The one array that was made, or a tuple of them.
define internal ptr @packed(ptr %made, i64 %count) {{
entry:
  %single = icmp eq i64 %count, 1
  br i1 %single, label %array, label %several
array:
  %one = load ptr, ptr %made
  ret ptr %one
several:
  {_python("new_tuple")}
  {_python("set_item")}
  %tuple = call ptr %new_tuple(i64 %count)
  %none = icmp eq ptr %tuple, null
  br i1 %none, label %failed, label %check
check:
  %i = phi i64 [ 0, %several ], [ %next, %item ]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %done
item:
  %next = add i64 %i, 1
  {_item("%object", "ptr", "%made", "%i")}
  %set = call i32 %set_item(ptr %tuple, i64 %i, ptr %object)
  br label %check
done:
  ret ptr %tuple
failed:
  call void @drop_all(ptr %made, i64 %count)
  ret ptr null
}}"""

_SLOW = f"""\
; The same call by the Python function.
define internal ptr @slow(ptr %self, ptr %arguments, i64 %count, ptr %names) {{
  {_python("slow_path")}
  {_python("bind")}
  %method = call ptr %bind(ptr %slow_path, ptr %self)
  %none = icmp eq ptr %method, null
  br i1 %none, label %failed, label %bound
bound:
  {_python("apply")}
  %result = call ptr %apply(ptr %method, ptr %arguments, i64 %count, ptr %names)
  {_python("drop")}
  call void %drop(ptr %method)
  ret ptr %result
failed:
  ret ptr null
}}"""
