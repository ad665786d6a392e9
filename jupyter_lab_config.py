"""Settings of JupyterLab when it is started in this directory (`make lab`, or `jupyter lab` by hand)."""

import os

c = get_config()  # noqa: F821  (given by Jupyter)

c.ServerApp.ip = "127.0.0.1"
c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0  # a container has no other user

# Nothing may be loaded from another address: no news feed, no check for updates, no catalogue of extensions.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
