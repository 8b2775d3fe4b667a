"""A build backend (PEP 517) for a project that is one folder of pure Python: it zips the folder."""
from __future__ import annotations

import base64
import hashlib
import io
import pathlib
import re
import tarfile
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAME = "pacewire"


def _project() -> dict[str, str]:
    """The plain texts below [project]: tomllib is not in Python 3.9."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("[project]\n")[2].partition("\n[")[0]
    return dict(re.findall(r'^([a-z-]+) = "(.*)"$', text, re.MULTILINE))


def _metadata() -> str:
    p = _project()
    head = {"Metadata-Version": "2.1", "Name": p["name"], "Version": p["version"], "Summary": p["description"],
            "Requires-Python": p["requires-python"], "License": "Apache-2.0", "Provides-Extra": "msgpack",
            "Requires-Dist": 'msgpack>=1.0 ; extra == "msgpack"', "Description-Content-Type": "text/markdown"}
    readme = (ROOT / p["readme"]).read_text(encoding="utf-8")
    return "".join(f"{key}: {value}\n" for key, value in head.items()) + "\n" + readme


def _dist_info() -> str:
    return f"{NAME}-{_project()['version']}.dist-info"


def _wheel(folder: str, files: dict[str, bytes]) -> str:
    """Writes a wheel of these files and returns its name."""
    info = _dist_info()
    files = {**files, f"{info}/METADATA": _metadata().encode(),
             f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: wheel_of_folder\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = f"{info}/RECORD"
    lines = [f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
             for name, data in files.items()]
    files[record] = ("\n".join([*lines, f"{record},,"]) + "\n").encode()
    name = f"{NAME}-{_project()['version']}-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)  # of a fixed date: the same files make the same wheel
            entry.external_attr = 0o644 << 16
            wheel.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return name


def _sources() -> list[pathlib.Path]:
    return sorted(p for p in (ROOT / NAME).rglob("*") if p.suffix in (".py", ".typed"))


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Makes a wheel of the package."""
    return _wheel(wheel_directory, {p.relative_to(ROOT).as_posix(): p.read_bytes() for p in _sources()})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Makes a wheel that points at this folder."""
    return _wheel(wheel_directory, {f"_{NAME}.pth": f"{ROOT}\n".encode()})


def build_sdist(sdist_directory, config_settings=None):
    """Makes an archive of the sources."""
    top = f"{NAME}-{_project()['version']}"
    with tarfile.open(pathlib.Path(sdist_directory, top + ".tar.gz"), "w:gz") as archive:
        entry = tarfile.TarInfo(top + "/PKG-INFO")
        data = _metadata().encode()
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
        for path in [ROOT / "pyproject.toml", ROOT / "README.md", pathlib.Path(__file__), *_sources()]:
            archive.add(path, f"{top}/{path.relative_to(ROOT).as_posix()}")
    return top + ".tar.gz"
