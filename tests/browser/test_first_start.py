"""The first start of JupyterLab with the course installed, in a home that holds nothing."""

from __future__ import annotations

from tests.browser.page import LabPage


def test_a_newcomer_is_not_asked_for_news(lab: LabPage) -> None:
    """JupyterLab asks as soon as it is restored, unless the environment's settings say no."""
    lab.open("00_start_here.ipynb")
    settings = lab.page.evaluate(
        """async () => {
            await jupyterapp.restored;
            const plugin = '@jupyterlab/apputils-extension:notification';
            const {schema, raw} = await jupyterapp.serviceManager.settings.fetch(plugin);
            return [raw, schema.properties.fetchNews.default, schema.properties.checkForUpdates.default];
        }"""
    )
    assert settings == ["{}", "false", False], "the home holds no settings of its own"
    lab.run_all()
    assert lab.page.locator(".Toastify__toast, .jp-Dialog").all_inner_texts() == []
