"""What is distributed: a wheel built from the source distribution, installed into an environment of its own."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from support import wait_until

from portside.settings.commands import GROUPS, all_commands
from portside.version import __version__

ROOT = Path(__file__).parents[2]
LIMIT_S = 400  # far more than it takes: only a build that hangs is ended

pytestmark = pytest.mark.timeout(LIMIT_S + 10)


def build(source: Path, target: str, folder: Path) -> Path:
    """Build a wheel or an sdist, as pip and other frontends have it done, without a network."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=source, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the unpacked source distribution."""
    source = tmp_path_factory.mktemp("source")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    return build(source / f"portside-{__version__}", "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installation(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with Portside from its wheel; what Portside depends on comes from ours."""
    folder = tmp_path_factory.mktemp("installation")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    install = ("install", "--quiet", "--no-deps", "--no-index", "--no-compile", str(wheel))
    subprocess.run([sys.executable, "-m", "pip", "--python", str(python), *install], check=True, timeout=LIMIT_S)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def run(folder: Path, *words: str, given: str = "") -> str:
    """What the installed program prints."""
    done = subprocess.run(
        [folder / "bin" / "portside", *words], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), words
    return done.stdout


def test_the_source_distribution_has_what_tests_and_build_need(sdist: Path) -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    with tarfile.open(sdist) as archive:
        there = {name.partition("/")[2] for name in archive.getnames()}
    assert {"PKG-INFO", "LICENSE", "pyproject.toml", "constraints.txt", "tests/run"} <= there
    # Not where the tests are run from such a distribution.
    missing = {name for name in tracked.stdout.splitlines() if not name.startswith(".ci/")} - there
    assert not missing


def test_the_wheel_describes_itself(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"portside-{__version__}.dist-info/METADATA").decode()
    assert "\nAuthor: Portside contributors\n" in metadata
    readme = metadata.partition("\n\n")[2]
    assert readme.startswith("# Portside\n")
    assert "](docs/" not in readme  # such links lead nowhere on an index


def test_an_installation_works(installation: Path) -> None:
    assert run(installation, "--version") == f"portside {__version__}\n"
    assert run(installation, "help", "rules").startswith("# portside rules\n")
    assert "portside help TOPIC" in run(installation, "help")
    assert run(installation, "diagnose", "--explain", "nagle-delay").startswith("# nagle-delay\n")
    where: list[str | Path] = [installation / "bin" / "python", "-c", "import portside; print(portside.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, timeout=60, check=True).stdout
    assert Path(found.strip()).is_relative_to(installation)


def test_a_server_and_a_client_of_an_installation(installation: Path, tmp_path: Path) -> None:
    # As pipx and uv tool install it: the program is a link into an environment that is not active.
    program = tmp_path / "portside"
    program.symlink_to(installation / "bin" / "portside")
    words: list[str | Path] = [
        program,
        "listen",
        "127.0.0.1:0",
        "--echo",
        "--once",
        "--no-control",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            address = wait_until(server.stdout.readline, "the server").rsplit(" ", 1)[1].strip()
            assert run(installation, "connect", address, given="hello\n") == "hello\n"
            assert server.wait(60) == 0
        finally:
            server.kill()


def test_man_pages_and_completions_are_where_programs_look(installation: Path) -> None:
    share = installation / "share"
    for name in ("", *GROUPS, *all_commands()):
        page = f"portside {name}".strip().replace(" ", "-")
        assert (share / "man" / "man1" / f"{page}.1").exists(), page
    found = subprocess.run(
        ["man", "-M", str(share / "man"), "-w", "portside", "listen"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert found.stdout.strip() == str(share / "man" / "man1" / "portside-listen.1")
    for place in (
        "bash-completion/completions/portside",
        "zsh/site-functions/_portside",
        "fish/vendor_completions.d/portside.fish",
    ):
        assert "portside" in (share / place).read_text()
