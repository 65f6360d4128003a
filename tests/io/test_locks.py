"""One process a folder and a file; what a killed process leaves keeps nobody out and goes away."""
import os
import signal
import subprocess
import sys

import pytest

from npvae.io import write_toml
from npvae.io.atomic import atomic_write, clear_temporaries
from npvae.io.locks import FolderInUse, exclusive_folder

posix = pytest.mark.skipif(os.name != "posix", reason="kills as POSIX does")
HOLD = """if True:
    import pathlib, sys
    from npvae.io.atomic import atomic_write
    from npvae.io.locks import exclusive_folder
    folder = pathlib.Path(sys.argv[1])
    with exclusive_folder(folder), atomic_write(folder / "config.toml") as file:
        file.write(b"half a fi")
        file.flush()
        print("ready", flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has ``tmp_path`` and is half way through writing into it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


def written(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_in_use_names_the_process(holder, tmp_path):
    words = f"in use by process {holder.pid} on "
    with pytest.raises(FolderInUse, match=words) as refused, exclusive_folder(tmp_path):
        pytest.fail("two had it")
    assert str(refused.value).startswith(f"{tmp_path} is in use") and "\n" not in str(refused.value)
    holder.communicate()  # its input ends, and so does its block
    with exclusive_folder(tmp_path):
        pass
    assert written(tmp_path) == ["config.toml"]


def test_a_folder_is_for_one_within_a_process_too(tmp_path):
    words = f"process {os.getpid()} on "
    with exclusive_folder(tmp_path), pytest.raises(FolderInUse, match=words):  # noqa: SIM117
        with exclusive_folder(tmp_path):
            pytest.fail("two had it")
    with exclusive_folder(tmp_path):
        assert written(tmp_path) == [".lock"]
    assert written(tmp_path) == []


@posix
def test_what_a_killed_process_leaves_is_no_obstacle_and_goes_away(holder, tmp_path):
    temporary, lock = sorted(written(tmp_path), reverse=True)
    assert lock == ".lock" and temporary.startswith(".npvae-")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert written(tmp_path) == [lock, temporary]
    with exclusive_folder(tmp_path):
        write_toml(tmp_path / "other.toml", {})
    assert written(tmp_path) == ["other.toml"]


def test_what_a_living_process_writes_is_left_to_it(holder, tmp_path):
    before = written(tmp_path)
    clear_temporaries(tmp_path)
    assert written(tmp_path) == before
    holder.communicate()
    assert (tmp_path / "config.toml").read_bytes() == b"half a fi"  # its block did end


def test_folders_are_searched_once_a_process(tmp_path):
    """Not at every write, which would take quadratic time for a folder of pictures."""
    write_toml(tmp_path / "a.toml", {})
    (tmp_path / ".npvae-0.tmp").touch()
    write_toml(tmp_path / "b.toml", {})
    assert (tmp_path / ".npvae-0.tmp").exists()


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o664])
def test_a_file_keeps_the_permissions_of_the_one_it_replaces(mode, tmp_path):
    path = write_toml(tmp_path / "config.toml", {})
    path.chmod(mode)
    write_toml(path, {"a": 1})
    assert path.stat().st_mode & 0o777 == mode and path.read_text() == "a = 1\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="for root alone")
def test_a_file_keeps_its_owner_and_group(tmp_path):
    path = write_toml(tmp_path / "config.toml", {})
    os.chown(path, 12345, 23456)
    write_toml(path, {"a": 1})
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_link_to_nothing_makes_what_it_points_at(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "target")
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink() and (tmp_path / "target").read_bytes() == b"new"
