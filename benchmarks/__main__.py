"""Run the benchmarks: all of them, or those named on the command line."""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import platform
import subprocess
import sys

import benchmarks


def main() -> int:
    """Run each benchmark in a process of its own, so that none inherits another's memory."""
    names = sorted(module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name[0] != "_")
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(names)}; all if none is named")
    chosen = parser.parse_args().names or names
    for unknown in sorted(set(chosen) - set(names)):
        parser.error(f"there is no benchmark {unknown!r}; there are {', '.join(names)}")

    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} processors")
    failed = []
    for name in chosen:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n{name}: {(module.__doc__ or '').strip().splitlines()[0]}\n", flush=True)
        run = f"import benchmarks.{name} as benchmark; benchmark.main()"
        if subprocess.run([sys.executable, "-c", run], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nFailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
