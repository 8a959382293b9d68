"""The samples in Kotlin, compiled; what they call of Android and of the runtimes is declared in ``stubs``."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs ``Check.kt`` with the samples; every warning of the compiler is an error."""
    if shutil.which("java") is None:
        pytest.skip("not installed: java (a JRE of 17 or newer runs the Kotlin compiler)")
    spec = importlib.util.spec_from_file_location("fetch_npm", ROOT / "scripts" / "npm.py")
    assert spec is not None and spec.loader is not None
    npm = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(npm)
    try:
        npm.install(HERE)
    except OSError as error:
        pytest.skip(f"Kotlin's compiler cannot be had from {npm.registry(HERE)}: {error}")
    library = HERE / "node_modules" / "kotlin-compiler" / "lib"
    needed = ("compiler", "stdlib", "script-runtime", "reflect", "daemon-client")
    jars = [*(library / f"kotlin-{name}.jar" for name in needed), library / "annotations-13.0.jar"]
    sources = [*(ROOT / "samples" / "android").glob("*.kt"), *HERE.rglob("*.kt")]
    folder = tmp_path_factory.mktemp("kotlin")
    stdlib = str(library / "kotlin-stdlib.jar")
    command = [
        "java",
        "-Xmx900m",
        "-cp",
        ":".join(map(str, jars)),
        "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler",
    ]
    options = ["-no-stdlib", "-no-reflect", "-Werror", "-cp", stdlib, "-d", str(folder)]
    done = subprocess.run([*command, *options, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ["java", "-cp", f"{folder}:{stdlib}", "CheckKt"]
