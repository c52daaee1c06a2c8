"""What a run shows: refusals in one line, few lines in a pipe, and last what failed and how to go on."""

import io
import logging
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import main
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from lorascope.errors import LorascopeError
from lorascope.screen.failures import Failure, closing_lines
from lorascope.screen.jobs import Jobs
from lorascope.screen.refusals import refusal
from lorascope.study.durations import Durations
from workflow import ROOT

USED = "Using workflow specific profile"
SANITY = ["dataset=sanity"]


def plan(tmp_path, capfd, *words):
    """Run `snakemake -n` in this process, as the shell would; return its exit code and what it printed."""
    arguments = ["-n", *words, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    out, err = capfd.readouterr()
    # Snakemake's first line, printed before any logger is there.
    said = [line for line in err.splitlines() if not line.startswith(USED)]
    return end.value.code, out.splitlines(), said


BROKEN = {
    "nope.yaml": None,
    "broken.yaml": "seeds: [1\nsplit: {",
    "list.yaml": "- dataset\n",
    "tab.yaml": "mlp:\n\tepochs: 3\n",
    "sedes.yaml": "sedes: 3\n",
    "text.yaml": "mlp: {learning_rate: fast}\n",
    "nested.yaml": "datasets: {mine: {source: disk}}\n",
    "absent.yaml": "dataset: mine\ndatasets: {mine: {source: disk, path: /absent/set}}\n",
}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--configfile", "nope.yaml"], "nope.yaml: No such file or directory"),
        (["--configfile", "broken.yaml"], "broken.yaml: line 2, column 6: not YAML"),
        (["--configfile", "list.yaml"], "Config file must be given as JSON or YAML with keys"),
        (["--configfile", "tab.yaml"], "tab.yaml: line 2, column 1: not YAML: found character"),
        (["--configfile", "sedes.yaml"], "config: unknown key 'sedes'; did you mean 'seeds'?"),
        (["--configfile", "text.yaml"], "mlp.learning_rate: 'fast' is text, not a number"),
        (["--configfile", "nested.yaml"], "'path' is a required property"),
        (["--configfile", "absent.yaml"], "/absent/set"),
        (["--config", "seeds"], "Config entries have to be defined as name=value"),
        (["--config", "sedes=3"], "config: unknown key 'sedes'"),
        (["--config", "representations=[spectrl]"], "unknown name 'spectrl'; did you mean 'spectral'"),
        (["--config", "dataset=zooo"], "unknown name 'zooo'; did you mean 'zoo'"),
        (["spectrl"], "no target and no file 'spectrl'; did you mean 'spectral'?"),
        (["wholly/else"], "no target and no file 'wholly/else'; `snakemake --list-target-rules`"),
        (["scaling"], "scaling.fractions is empty; set shares"),
        (["flat", "--config", "probes=[w2t]", "representations=[factors]"], "none of the probes reads flat"),
        (
            ["results/sanity/features/stats/0123456789/attn1.parquet", "--config", "dataset=sanity"],
            "key 0123456789 belongs to other settings; the present ones give",
        ),
    ],
)
def test_a_refusal_is_one_line_and_nothing_else(tmp_path, capfd, monkeypatch, words, message):
    for name, text in BROKEN.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    place = [str(tmp_path / word) if word in BROKEN else word for word in words]
    code, out, (line,) = plan(tmp_path, capfd, *place)
    assert code == 1
    assert out == []
    assert line.startswith("error: ")
    assert message in line


def test_a_dry_run_of_the_default_study_is_short(tmp_path, capfd):
    code, out, err = plan(tmp_path, capfd)
    assert (code, err) == (0, [])
    assert len("\n".join(out).encode()) <= 8000
    assert max(map(len, out)) <= 200
    assert "Train mlp on zoo, stats, visual layers, seeds 42 to 46" in out
    assert out[-1] == "This was a dry run: nothing was made."


def test_a_dry_run_says_why_when_it_is_asked_to(tmp_path, capfd):
    code, out, err = plan(tmp_path, capfd, "sanity", "--quiet", "host")
    assert (code, err) == (0, [])
    assert out[out.index("Lay out the weights of sanity") + 1].startswith("    Missing output files: ")


def test_every_profile_has_the_same_screen():
    profiles = {path.parent.name: yaml.safe_load(path.read_text()) for path in ROOT.glob("profiles/*/*.yaml")}
    assert len(profiles) == 5
    shared = [name for name in profiles["default"] if name not in ("retries",)]
    for profile in profiles.values():
        assert {name: profile[name] for name in shared} == profiles["default"]
    assert profiles["default"]["logger"] == ["lorascope"]


def test_a_mistake_of_ours_is_not_taken_for_bad_input():
    assert refusal(ZeroDivisionError("division by zero")) == ""
    assert refusal(ValueError("shapes do not fit")) == ""
    assert refusal(KeyError("stats")) == ""


def test_messages_of_several_lines_become_one():
    assert refusal(LorascopeError("one\n  two")) == "one two"


# failures


@pytest.mark.parametrize(
    ("text", "deaths", "why"),
    [
        ("seed 1\nlorascope train: error: features: NaN; run extract\n", [], "features: NaN; run extract"),
        ("Traceback (most recent call last):\n  File\nKeyError: 'a'\n", [], "KeyError: 'a'"),
        ("seed 1\n", ["… 2> {log}' died with <Signals.SIGKILL: 9>."], "killed by SIGKILL; perhaps there was"),
        ("seed 1\n", ["… 2> other.log' died with <Signals.SIGKILL: 9>."], "seed 1"),
        ("", [], "ended without a word; perhaps there was not enough memory"),
        (None, [], "said by snakemake"),
    ],
)
def test_why_a_job_failed(tmp_path, text, deaths, why):
    log = tmp_path / "job.log"
    if text is not None:
        log.write_text(text)
    said = "said by\n snakemake" if text is None else None
    failure = Failure.of("Train", [str(log)], [death.format(log=log) for death in deaths], said)
    assert failure.why.startswith(why)
    assert failure.log == ("" if text is None else str(log))
    assert failure.is_bug == ("Traceback" in (text or ""))


def test_closing_lines_say_what_why_where_and_how_to_go_on(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/usr/bin/snakemake", "--config", "probes=[mlp, ridge]"])
    lines = closing_lines([Failure("Train", "no space", "logs/train.log")] + [Failure("Draw", "no", "")] * 9)
    assert lines[:3] == ["Failed: Train", "  no space", "  log: logs/train.log"]
    assert lines[-2] == "and 2 more failed; `lorascope progress` names them"
    assert lines[-1].endswith(" go on with: snakemake --config 'probes=[mlp, ridge]'")


# the handler, fed with records as snakemake's


class Settings:
    printshellcmds = nocolor = debug_dag = verbose = dryrun = stdout = False
    show_failed_logs = True
    quiet = frozenset({Quietness.HOST, Quietness.REASON})


@pytest.fixture
def handler(capsys):
    from snakemake_logger_plugin_lorascope import LogHandler

    made = LogHandler(Settings(), None)
    yield made
    made.close()


def tell(handler, message="", level=logging.INFO, **extra):
    record = logging.LogRecord("snakemake.logging", level, "", 0, message, (), None)
    record.__dict__.update(extra)
    handler.emit(record)


def start(handler, job, what, log):
    tell(
        handler,
        event=LogEvent.JOB_INFO,
        jobid=job,
        rule_msg=what,
        rule_name="train",
        log=[str(log)],
        output=["a"],
        benchmark="logs/zoo/train/stats/all.mlp.0123456789.seeds-1-2.tsv",
        wildcards={},
        reason="Missing output files: a",
    )


def test_a_pipe_gets_a_line_a_job_and_last_what_failed(handler, tmp_path, capsys):
    (tmp_path / "b.log").write_text("lorascope train: error: no space\n")
    tell(handler, "Building DAG of jobs...")
    tell(handler, "2 jobs", event=LogEvent.RUN_INFO, stats={"total": 2})
    start(handler, 1, "Train one", tmp_path / "a.log")
    tell(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    tell(handler, event=LogEvent.PROGRESS, done=1, total=2)
    start(handler, 2, "Train two", tmp_path / "b.log")
    log = [str(tmp_path / "b.log")]
    tell(handler, level=40, event=LogEvent.JOB_ERROR, jobid=2, rule_name="train", rule_msg=None, log=log)
    tell(handler, "WARNING: a disk is slow", logging.WARNING)
    tell(handler, "error: At least one job did not complete successfully.", 40, event=LogEvent.ERROR)
    handler.know([], lambda: ["an answer"])
    handler.close()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "2 jobs"
    assert said[1].endswith("[0 of 2 done] Train one")
    assert said[2].endswith("[1 of 2 done] Train two")
    assert said[3:8] == [
        "Failed: Train two: no space",
        "WARNING: a disk is slow",
        "Failed: Train two",
        "  no space",
        f"  log: {tmp_path / 'b.log'}",
    ]
    assert len(said) == 9


def test_a_job_that_was_tried_again_has_not_failed(handler, tmp_path, capsys):
    start(handler, 1, "Train one", tmp_path / "a.log")
    tell(handler, event=LogEvent.JOB_ERROR, jobid=1, rule_name="train", rule_msg="lost", log=[])
    start(handler, 1, "Train one", tmp_path / "a.log")
    tell(handler, event=LogEvent.JOB_FINISHED, job_id=1)
    handler.close()
    assert "go on with" not in capsys.readouterr().err


@pytest.mark.parametrize("nothing", [True, False])
def test_the_answer_is_last_and_on_stdout(handler, capsys, nothing):
    handler.know([], lambda: ["an answer", "Page: here"])
    if nothing:
        tell(handler, "Nothing to be done (all requested files are present and up to date).")
    else:
        handler.succeed()
    handler.close()
    handler.close()
    assert capsys.readouterr().out == "an answer\nPage: here\n"


def test_a_run_without_an_end_has_no_answer(handler, capsys):
    handler.know([], lambda: ["an answer"])
    tell(handler, "Terminating processes on user request, this might take some time.")
    handler.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert "Stopped. What is done is kept; go on with: " in err


def test_a_job_that_was_stopped_has_not_failed(handler, tmp_path, capsys):
    """Ctrl-C reaches the jobs before snakemake says so."""
    log = tmp_path / "a.log"
    log.write_text("Traceback (most recent call last):\n  File\nKeyboardInterrupt\n")
    start(handler, 1, "Train one", log)
    capsys.readouterr()
    tell(handler, event=LogEvent.JOB_ERROR, jobid=1, rule_name="train", rule_msg=None, log=[str(log)])
    handler.close()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Stopped. ")


def test_an_answer_that_cannot_be_read_is_a_line(handler, capsys):
    def broken():
        raise LorascopeError("results.json: damaged")

    handler.know([], broken)
    handler.succeed()
    handler.close()
    assert capsys.readouterr().err == "error: results.json: damaged\n"


# time left, and what a terminal shows


def test_time_left_goes_by_the_speed_so_far():
    kind = ("zoo", "train", "stats")
    durations = Durations()
    durations.add(kind, 10.0)
    jobs = Jobs(total=4, began=0.0, durations=durations, waiting={1: kind, 2: kind, 3: kind})
    assert jobs.left(5.0) is None
    jobs.start(1, "one", kind)
    began = jobs.running()[0].began
    # One at a time since the beginning: 20 s wait, and half of the running one is done.
    jobs.began = began
    assert jobs.left(began + 5.0) == pytest.approx(25.0)
    # As much work in half of the time.
    jobs.began = began + 2.5
    assert jobs.left(began + 5.0) == pytest.approx(12.5)


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_shows_running_jobs_and_a_bar(width):
    from rich.console import Console

    from lorascope.screen.display import Display

    jobs = Jobs(total=30, done=3, waiting={})
    for job in range(13):
        jobs.start(
            job, f"Train mlp on zoo, delta_spectrum, visual layers, seeds {job} to 46 {'x' * 60}", ("a",)
        )
    console = Console(file=io.StringIO(), width=width, force_terminal=True)
    console.print(Display(console, jobs)._picture())
    lines = [line for line in console.file.getvalue().splitlines() if line.strip()]
    assert len(lines) == 12
    assert "and 3 more jobs" in lines[10]
    assert "3 of 30 jobs, 0:00" in lines[11]


def test_the_package_is_found_by_its_name():
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    assert "lorascope" in LoggerPluginRegistry().get_registered_plugins()
    assert Path(sys.modules["snakemake_logger_plugin_lorascope"].__file__).is_relative_to(ROOT)
