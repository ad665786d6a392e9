"""A JupyterLab server of our own: 127.0.0.1, a free port, a token, and nothing of the user's settings."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

SETTINGS = {
    # Every cell stays in the page, so that a test can find what is scrolled out of sight.
    "notebook-extension/tracker": {"windowingMode": "none"},
    # A document is written when a test says so.
    "docmanager-extension/plugin": {"autosave": False},
}


class JupyterLab:
    """A running JupyterLab, as a context manager.

    Args:
        root: The directory it serves.
        home: An empty directory for its settings, workspaces, runtime files and log.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.home = home
        self.token = secrets.token_hex(16)
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> JupyterLab:
        for plugin, settings in SETTINGS.items():
            file = self.home / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(settings))
        with (self.home / "jupyter.log").open("wb") as log:
            self._process = subprocess.Popen(
                self._command(), env=self._environment(), cwd=self.root, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        try:
            self.url = self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server, which ends its kernels."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def log(self) -> str:
        """Return what the server has printed."""
        return (self.home / "jupyter.log").read_text(errors="replace")

    def _command(self) -> list[str]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": _free_port(),
            "ServerApp.port_retries": 50,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.root_dir": self.root,
            "IdentityProvider.token": self.token,
            "LabApp.expose_app_in_browser": True,
        }
        return [sys.executable, "-m", "jupyterlab", *(f"--{name}={value}" for name, value in options.items())]

    def _environment(self) -> dict[str, str]:
        places = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        for place in places.values():
            (self.home / place).mkdir(parents=True, exist_ok=True)
        python_path = os.pathsep.join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")]))
        return os.environ | {key: str(self.home / place) for key, place in places.items()} | {"PYTHONPATH": python_path}

    def _wait_until_up(self, timeout_s: float = 300) -> str:
        assert self._process is not None
        announcement = self.home / "runtime" / f"jpserver-{self._process.pid}.json"
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"JupyterLab ended at once:\n{self.log()}")
            try:
                port = json.loads(announcement.read_text())["port"]
                with socket.create_connection(("127.0.0.1", port), 1):
                    return f"http://127.0.0.1:{port}/"
            except (OSError, ValueError):
                time.sleep(0.1)
        raise TimeoutError(f"JupyterLab did not answer within {timeout_s} s:\n{self.log()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
