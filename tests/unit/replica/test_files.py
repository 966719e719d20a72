"""Where the files of a segment lie, and which of them are believed."""

from pathlib import Path

import pytest

from nearcast_replica.control import ControlPage
from nearcast_replica.errors import ForeignReplicaError
from nearcast_replica.files import Files, memory_directory


def test_columns_lie_in_a_private_directory_in_memory(tmp_path: Path) -> None:
    found = memory_directory(tmp_path / "state", memory=tmp_path)
    assert found.parent == tmp_path
    assert found.stat().st_mode & 0o777 == 0o700
    assert memory_directory(tmp_path / "state", memory=tmp_path) == found


def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    memory_directory(tmp_path / "state", memory=tmp_path).chmod(0o777)
    assert memory_directory(tmp_path / "state", memory=tmp_path) == tmp_path / "state" / "replica"


def test_a_link_to_somewhere_else_is_not_used(tmp_path: Path) -> None:
    private = memory_directory(tmp_path / "state", memory=tmp_path)
    private.rename(tmp_path / "elsewhere")
    private.symlink_to(tmp_path / "elsewhere")
    assert memory_directory(tmp_path / "state", memory=tmp_path) == tmp_path / "state" / "replica"


def test_without_files_in_memory_the_state_directory_has_them(tmp_path: Path) -> None:
    assert memory_directory(tmp_path, memory=tmp_path / "none") == tmp_path / "replica"


def test_files_of_other_tenants_and_instances_are_left_alone(tmp_path: Path) -> None:
    one, other = (Files(tmp_path, tmp_path, "a", tenant_id) for tenant_id in (1, 11))
    third = Files(tmp_path, tmp_path, "b", 1)
    for files in (one, other, third):
        files.generation(2).touch()
        files.generation(3).touch()
        files.cold(files.cold_name(2)).touch()
    one.keep_only(3, one.cold(one.cold_name(2)))
    assert sorted(one.numbers()) == [2, 3]
    assert not one.generation(2).exists()
    assert sorted(other.numbers()) == sorted(third.numbers()) == [2, 2, 3]


@pytest.mark.parametrize("content", [b"", b"x" * 4096])
def test_what_is_no_control_page_is_not_read(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.t1.control"
    path.write_bytes(content)
    with pytest.raises(ForeignReplicaError):
        ControlPage.open(path)
