"""Pages written by hand name what there is: links, commands with their options, errors, metrics, specs."""

from __future__ import annotations

import re
import shlex
import textwrap
from urllib.parse import urlsplit

import pytest
from addresses import HOSTS, external_links, navigation
from blocks import ROOT, blocks, pages

from ulzoo import errors
from ulzoo.cli import _parser
from ulzoo.spec import load_spec

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{target} is not there"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor in {_anchor(title) for title in titles}, f"{target} has no section #{anchor}"


def _anchor(title: str) -> str:
    """GitHub's: lower case, punctuation dropped, spaces to hyphens."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_can_be_given(page):
    """Every `ulzoo …` that a page tells to type is understood by the command line."""
    for block in blocks(str(page.relative_to(ROOT)), "sh"):
        for command in re.findall(r"(?<![-\w])ulzoo (?!-)[a-z][^\n;&|>]*", re.sub(r"#.*", "", block)):
            # A shell would have put something in place of `$run`.
            _parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_python_can_be_read(page):
    for block in blocks(str(page.relative_to(ROOT)), "python"):
        compile(textwrap.dedent(block), str(page), "exec")


def test_every_page_is_in_the_menu_and_in_the_index():
    written = {str(page.relative_to(ROOT / "docs")) for page in pages() if page.name != "README.md"}
    assert sorted(navigation()) == sorted(written | {"readme.md"})
    linked = {target for target, _ in LINK.findall((ROOT / "docs/index.md").read_text())}
    # Rules and studies are listed by pages of their own.
    for folder, page in (("reference", "rules.md"), ("studies", "index.md")):
        targets = LINK.findall((ROOT / "docs" / folder / page).read_text())
        linked |= {f"{folder}/{target}" for target, _ in targets}
    assert written - {"index.md"} <= linked


def test_external_addresses_are_of_known_hosts():
    links = external_links()
    assert links
    for address, where in links.items():
        assert urlsplit(address).scheme == "https", where
        assert urlsplit(address).hostname in HOSTS, (
            f"{where}: {address}: add its host to HOSTS, if it is to stay"
        )


def test_the_test_command_is_the_one_that_ci_reads():
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- test-command -->\n")[1].splitlines()
    assert block[0] == "```sh"
    assert block[1].endswith("python -m pytest")


def test_errors_are_worded_as_on_the_page(tmp_path, monkeypatch, builtin_registry):
    import ulzoo

    def check(flags):
        spec = load_spec("my.yaml", flags, builtin_registry)
        ulzoo.inspect(ulzoo.assemble(spec), spec)

    (tmp_path / "my.yaml").write_text(blocks("README.md", "yaml")[0])
    monkeypatch.chdir(tmp_path)
    text = (tmp_path / "my.yaml").read_text()
    mistakes = [
        ("rate_warmup_steps: 300", "rate_warmup_steps: 2000", []),
        ("", "", ["stage1.step=3"]),
        ("", "", ["prior.network.type=ulzoo.vit.v2"]),
        ("size: 16", "size: 18", []),
    ]
    told = []
    for old, new, flags in mistakes:
        (tmp_path / "my.yaml").write_text(text.replace(old, new) if old else text)
        with pytest.raises(errors.SpecError) as error:
            check(flags)
        told.append(f"{error.value}\n")
    assert blocks("docs/reference/errors.md", "text") == told


def test_every_metric_and_training_number_is_on_the_page(builtin_registry):
    from ulzoo.programs import stage1, stage2

    text = (ROOT / "docs/reference/metrics.md").read_text()
    for entry in builtin_registry.entries("metric"):
        assert f"`{entry.name}`" in text
    for stage, program in (("stage1", stage1), ("stage2", stage2)):
        for name, unit in program.UNITS.items():
            assert f"| `{stage}/train/{name}` | {unit} |" in text


def test_every_kind_is_on_the_plugin_page():
    from ulzoo.registry import KINDS

    text = (ROOT / "docs/how-to/plugin.md").read_text()
    assert [kind for kind in KINDS if f"`ulzoo.{kind}`" not in text] == []


def test_imagenet_specs_are_the_papers_models(builtin_registry):
    """Shapes and sizes of the paper's §4, and counts worked out by hand for the prior."""
    import ulzoo

    for name in ("ul-small", "ul-medium"):
        spec = load_spec(ROOT / f"specs/imagenet512/{name}.yaml", registry=builtin_registry)
        assembly = ulzoo.assemble(spec)
        reports = {report.role: report for report in ulzoo.inspect(assembly, spec)}
        assert (assembly.latent_shape, assembly.log_snr) == ((32, 32, 32), 5.0)
        d, e, tokens = 1024, 512, 32 * 32
        block = 4 * d * d + d + 8 * d * d + 5 * d + (e * 6 * d + 6 * d) + 2 * 64
        ends = (32 * d + d) + tokens * d + (64 * e + e + e * e + e) + (e * 2 * d + 2 * d) + (d * 32 + 32)
        assert reports["prior"].parameters == 8 * block + ends
        linear = 2 * 12 * d * d * tokens + 2 * 2 * tokens * tokens * d
        # What is left are the two ends and the modulations, below one per cent.
        assert reports["prior"].flops == pytest.approx(8 * linear, rel=0.01)


def test_kinetics_specs_are_the_papers_setting(builtin_registry):
    """16 frames of 128×128, latents 4×8×8 down, 5 frames given; the headers tell what a check finds."""
    import ulzoo

    for name in ("ul-small", "ul-medium", "class-to-video"):
        path = ROOT / f"specs/kinetics600/{name}.yaml"
        spec = load_spec(path, registry=builtin_registry)
        assembly = ulzoo.assemble(spec)
        assert assembly.data.shape == (3, 16, 128, 128)
        assert assembly.latent_shape[1:] == (4, 16, 16)
        given = [config.given for config in spec.base_model.conditioners if hasattr(config, "given")]
        assert given == ([((1, 0),)] if name == "class-to-video" else [((5, 0),)])
        assert assembly.data.num_classes == (600 if name == "class-to-video" else None)
        head = " ".join(line.strip("# ") for line in path.read_text().partition("\nulzoo:")[0].splitlines())
        for report in ulzoo.inspect(assembly, spec):
            flops = report.flops / 1e9
            cost = f"{flops:.3g} GFLOPs" if flops < 1000 else f"{flops / 1000:.3g} TFLOPs"
            assert f"{report.role.replace('_', ' ')} {report.parameters / 1e6:.3g} M, {cost}" in head
