"""The parameters of a notebook: the cell that declares them, and how a study takes them from the kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import nbformat
import papermill
import pytest
from jupyter_client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from nbformat import NotebookNode

from mlcl_utils import studies
from mlcl_utils.errors import UsageError
from mlcl_utils.studies import cells
from mlcl_utils.studies.values import Configurations, Count, Fractions, Settings

STUDY = studies.get("02_label_space")
NAMES = STUDY.Parameters.model_fields


def tagged(name: str) -> NotebookNode:
    """The cell of parameters of a study's notebook."""
    notebook = nbformat.read(studies.get(name).notebook, as_version=4)
    (cell,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    return cell


@pytest.mark.parametrize("name", studies.names())
class TestEveryNotebook:
    def test_the_cell_is_what_the_study_declares(self, name: str) -> None:
        assert tagged(name).source == cells.source(studies.get(name)), "write it anew: make cells"

    def test_writing_the_cell_changes_nothing_else(self, name: str) -> None:
        study = studies.get(name)
        text = study.notebook.read_text(encoding="utf-8")
        assert cells.written(text, study) == text
        spoilt = text.replace("preset: str", "perset: str")
        assert spoilt != text
        assert cells.written(spoilt, study) == text

    def test_papermill_names_type_and_meaning_of_every_parameter(self, name: str) -> None:
        study = studies.get(name)
        told = papermill.inspect_notebook(study.notebook)
        assert set(told) == set(study.Parameters.model_fields)
        for parameter, info in study.Parameters.model_fields.items():
            assert told[parameter]["help"].startswith(info.description or "no description")
            assert told[parameter]["inferred_type_name"] == cells.kind(info.annotation)
            assert told[parameter]["default"] == ('"quick"' if parameter == "preset" else "None")

    def test_the_cell_as_it_is_gives_the_preset(self, name: str) -> None:
        study = studies.get(name)
        namespace: dict[str, Any] = {}
        exec(tagged(name).source, namespace)
        given = {key: value for key, value in namespace.items() if not key.startswith("__")}
        assert list(given)[:3] == ["preset", "datasets", "losses"]
        assert set(given) == set(study.Parameters.model_fields)
        assert study.resolve(given) == study.resolve({})

    def test_the_notebook_names_no_parameter_again(self, name: str) -> None:
        notebook = nbformat.read(studies.get(name).notebook, as_version=4)
        (begun,) = (cell.source for cell in notebook.cells if "studies.start(" in cell.source)
        assert f'study = studies.start("{name}", globals())' in begun.splitlines()
        assert not re.search(r"\b(\w+)=\1\b", begun)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (Count, "int"),
        (Count | None, "int"),
        (bool, "bool"),
        (Fractions, "list[float]"),
        (tuple[str, ...], "list[str]"),
        (Annotated[Literal["a", "b"], "of two"], "str"),
        (Path, "str"),
        (Settings, "dict"),
        (Configurations, "list[str]"),
    ],
)
def test_the_type_is_the_one_that_a_user_gives(annotation: Any, kind: str) -> None:
    assert cells.kind(annotation) == kind


class TestNamespace:
    """`studies.start` with a mapping, outside a notebook."""

    def start(self, tmp_path: Path, namespace: dict[str, Any], **given: Any) -> Any:
        usual = {"preset": "smoke", "results": str(tmp_path)}
        return studies.start("02_label_space", {**usual, **namespace}, **given).parameters

    def test_declared_names_are_taken_and_no_others(self, tmp_path: Path) -> None:
        others = {
            "study": 1,
            "num_lables": [3],
            "np": re,
            "__name__": "__main__",
            "_": None,
            "tables": object(),
        }
        assert self.start(tmp_path, {"num_labels": [10], **others}).num_labels == (10,)

    def test_a_name_that_is_missing_or_none_has_the_value_of_the_preset(self, tmp_path: Path) -> None:
        usual = STUDY.resolve({"preset": "smoke", "results": tmp_path})
        assert (
            self.start(tmp_path, {})
            == self.start(tmp_path, dict.fromkeys(set(NAMES) - {"preset", "results"}))
            == usual
        )

    def test_what_is_given_by_name_goes_before(self, tmp_path: Path) -> None:
        assert self.start(tmp_path, {"seed": 3, "epochs": 2}, seed=4).seed == 4
        with pytest.raises(UsageError, match="unknown parameter 'sede'; did you mean 'seed'"):
            self.start(tmp_path, {}, sede=4)

    @pytest.mark.parametrize("value", [re, print, lambda: 1, Path])
    def test_a_name_that_an_import_or_a_definition_has_taken(self, tmp_path: Path, value: Any) -> None:
        with pytest.raises(UsageError, match=r"^parameter 'losses' is a .* here: an import or a definition"):
            self.start(tmp_path, {"losses": value})

    def test_a_value_of_the_wrong_type_is_one_line(self, tmp_path: Path) -> None:
        for value in ({1: 2}, object(), "warm", [[1]], tmp_path, "x\ny"):
            with pytest.raises(UsageError, match=r"^parameter 'num_labels': ") as refusal:
                self.start(tmp_path, {"num_labels": value})
            assert len(str(refusal.value).splitlines()) == 1
        assert not list(tmp_path.iterdir())


class Kernel:
    """A kernel that runs cells as a notebook does."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, source: str) -> str:
        """Run a cell; what it printed, or the error's name and text."""
        printed: list[str] = []

        def hook(message: Any) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = self._client.execute_interactive(source, output_hook=hook, timeout=120)["content"]
        if reply["status"] == "error":
            return f"{reply['ename']}: {reply['evalue']}"
        return "".join(printed)


@pytest.fixture(scope="module")
def client() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


class TestKernel:
    """What a user does in one kernel, in this order, with the notebook's own cells."""

    START = "from mlcl_utils import studies\nstudy = studies.start('02_label_space', globals())"

    @pytest.fixture
    def kernel(self, client: BlockingKernelClient, tmp_path: Path) -> Kernel:
        """A kernel in which the cell of parameters has run, set to `smoke` and a folder of the test's own."""
        kernel = Kernel(client)
        kernel.run(self.cell(preset="smoke", results=str(tmp_path)))
        return kernel

    def cell(self, **values: Any) -> str:
        """The cell of parameters, with values that a user has put in."""
        source: str = tagged("02_label_space").source
        for name, value in values.items():
            source, count = re.subn(
                rf"^({name}: .*?) = .*?(?=  #)",
                lambda found, value=value: f"{found[1]} = {value!r}",
                source,
                flags=re.M,
            )
            assert count == 1
        return source

    def test_the_cell_is_enough(self, kernel: Kernel, tmp_path: Path) -> None:
        assert f"results in {tmp_path}/02_label_space/smoke" in kernel.run(self.START)

    def test_values_of_the_cell(self, kernel: Kernel, tmp_path: Path) -> None:
        kernel.run(self.cell(preset="smoke", results=str(tmp_path), num_labels=[10, 30], losses="bce,reg"))
        told = kernel.run(self.START)
        assert "10, 30  (given)" in told
        assert "bce, reg  (given)" in told

    def test_strings_as_papermill_gives_them(self, kernel: Kernel) -> None:
        kernel.run('# Parameters\nnum_labels = "[10,30]"\ntemperature = "0.25"\nlosses = "None"\n')
        told = kernel.run(self.START)
        assert "10, 30  (given)" in told
        assert "0.25  (given)" in told

    def test_a_typo_in_the_injected_cell(self, kernel: Kernel) -> None:
        kernel.run("# Parameters\nnum_lables = [10]\n")
        assert (
            kernel.run(self.START) == "UsageError: unknown parameter 'num_lables'; did you mean 'num_labels'?"
        )
        kernel.run("# Parameters\nnum_labels = [10]\n")
        assert "10  (given)" in kernel.run(self.START), "and mended"

    def test_a_typo_in_the_notebooks_own_cell(self, kernel: Kernel, tmp_path: Path) -> None:
        cell = self.cell(preset="smoke", results=str(tmp_path))
        for typo in ("losess = ['bce']", "losess: list = ['bce']", "%pwd\nlosess = epochs = 3"):
            kernel.run(f"{cell}\n{typo}")
            assert kernel.run(self.START) == "UsageError: unknown parameter 'losess'; did you mean 'losses'?"
        kernel.run(cell)
        assert "results in" in kernel.run(self.START), "and mended"

    def test_a_cell_that_did_not_run_counts_for_nothing(self, kernel: Kernel) -> None:
        assert "SyntaxError" in kernel.run("# Parameters\nnum_lables = [10\n")
        assert "results in" in kernel.run(self.START)

    def test_other_cells_may_set_what_they_like(self, kernel: Kernel) -> None:
        kernel.run("num_lables: list = [10]\nimport numpy as np")
        assert "results in" in kernel.run(self.START)

    def test_a_wrong_type(self, kernel: Kernel) -> None:
        kernel.run("temperature = {'a': 1}")
        assert kernel.run(self.START).startswith("UsageError: parameter 'temperature': {'a': 1} should be")

    def test_an_import_in_place_of_a_parameter(self, kernel: Kernel) -> None:
        kernel.run("from mlcl_utils import losses")
        assert kernel.run(self.START).startswith("UsageError: parameter 'losses' is a module here")
