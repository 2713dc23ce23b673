"""C programs around libraries that rlxc has built: written, compiled with sanitizers, run."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from rlxc.codegen.c_header import c_type
from rlxc.codegen.c_signature import CFunction
from rlxc.runtime.aot import Library

CC = shutil.which("gcc") or shutil.which("clang")
needs_cc = pytest.mark.skipif(CC is None, reason="there is no C compiler")
SANITIZED = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]

# Every buffer ends (or in the second thread begins) where a page begins that may not be touched.
PROGRAM = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "@LIBRARY@.h"

enum { PAGE = 4096 };

static void *guarded(size_t bytes, int at_end, size_t alignment) {
  size_t room = (bytes + PAGE - 1) / PAGE * PAGE;
  char *start = mmap(NULL, room + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) abort();
  mprotect(start, PAGE, PROT_NONE);
  mprotect(start + PAGE + room, PAGE, PROT_NONE);
  size_t slack = at_end ? (room - bytes) / alignment * alignment : 0;
  return start + PAGE + slack;
}

static inline void *filled(const char *file, size_t bytes, int at_end, size_t alignment) {
  char *buffer = guarded(bytes, at_end, alignment);
  FILE *f = fopen(file, "rb");
  if (!f || fread(buffer, 1, bytes, f) != bytes) abort();
  fclose(f);
  return buffer;
}

static inline void save(const char *file, int thread, const void *buffer, size_t bytes) {
  char name[256];
  snprintf(name, sizeof name, "%s.%d", file, thread);
  FILE *f = fopen(name, "wb");
  if (!f || fwrite(buffer, 1, bytes, f) != bytes) abort();
  fclose(f);
}

static void *work(void *argument) {
  int thread = *(int *)argument, at_end = thread == 0;
@BUFFERS@
  void *workspace = @MACRO@_WORKSPACE_SIZE ? guarded(@MACRO@_WORKSPACE_SIZE, at_end, 1) : NULL;
  if (@SYMBOL@_workspace_size() != @MACRO@_WORKSPACE_SIZE) abort();
  for (int i = 0; i < 20; i++)
    if (@CALL@ != RLXC_OK) abort();
@SAVES@
  return NULL;
}

int main(void) {
  pthread_t threads[2];
  int numbers[2] = {0, 1};
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, work, &numbers[i]);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  return 0;
}
"""


def program(library: Library, f: CFunction, *, generic: bool = False) -> str:
    """A program in which two threads at once call `f` on the arrays of files, and write its results to files."""
    macro = f.symbol.upper()
    buffers, saves = [], []
    for a in f.passed:
        t, n = c_type(a.dtype), f"{macro}_{a.identifier.upper()}_SIZE"
        buffers.append(f'  {t} *{a.identifier} = filled("{a.identifier}", {n} * sizeof({t}), at_end, sizeof({t}));')
    if f.maps_weights:
        buffers.append(f'  void *weights = filled("{library.name}.weights", {library.name.upper()}_WEIGHTS_SIZE, at_end, 64);')
    for r in f.results:
        t, n = c_type(r.dtype), f"{macro}_{r.identifier.upper()}_SIZE"
        buffers.append(f"  {t} *{r.identifier} = guarded({n} * sizeof({t}), at_end, sizeof({t}));")
        saves.append(f'  save("{r.identifier}", thread, {r.identifier}, {n} * sizeof({t}));')
    inputs = [*(a.identifier for a in f.passed), *["weights"] * f.maps_weights]
    outputs = [r.identifier for r in f.results]
    call = f"{f.symbol}({', '.join([*inputs, *outputs, 'workspace'])})"
    if generic:
        buffers.append(f"  const void *in[] = {{{', '.join([*inputs, 'NULL'])}}};\n  void *out[] = {{{', '.join([*outputs, 'NULL'])}}};")
        call = f"{f.symbol}_call(in, out, workspace)"
    text = PROGRAM
    for name, value in {
        "LIBRARY": library.name,
        "MACRO": macro,
        "SYMBOL": f.symbol,
        "CALL": call,
        "BUFFERS": "\n".join(buffers),
        "SAVES": "\n".join(saves),
    }.items():
        text = text.replace(f"@{name}@", value)
    return text


def compile_c(folder: Path, source: str, *objects: str, flags: list[str] = SANITIZED) -> Path:
    """The program of a source text and objects, in their folder."""
    (folder / "main.c").write_text(source)
    command = [CC, *WARNINGS, *flags, "main.c", *objects, "-o", "main", "-pthread", "-lm", "-Wl,-rpath,$ORIGIN"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "main"


def results_in_c(folder: Path, library: Library, f: CFunction, arrays: dict[str, np.ndarray], *objects: str, generic: bool = False) -> list[list[bytes]]:
    """The bytes of the results, from each of the two threads."""
    for a in f.passed:
        (folder / a.identifier).write_bytes(np.ascontiguousarray(arrays[a.name]).tobytes())
    (folder / f"{library.name}.h").write_text(library.header())
    path = compile_c(folder, program(library, f, generic=generic), *objects)
    done = subprocess.run([path], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [[(folder / f"{r.identifier}.{thread}").read_bytes() for r in f.results] for thread in (0, 1)]
