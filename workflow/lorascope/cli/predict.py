"""Sub-commands that ask a finished study about adapter files."""

import argparse
import json
from dataclasses import asdict

from lorascope.cli.files import ADAPTER, add_files
from lorascope.cli.options import STUDY, add_results, command, log
from lorascope.errors import LorascopeError


def add(commands) -> None:
    """Add the sub-commands to ``lorascope``."""
    predict = command(commands, "predict", _predict, "say what adapter files were trained on")
    add_files(predict)
    for name, words in (
        ("representation", "of the cell that answers (default: the best on the validation part)"),
        ("layer-set", "of the cell that answers"),
        ("probe", "of the cell that answers"),
    ):
        predict.add_argument(f"--{name}", help=words)
    _add_keep(commands)
    similar = command(commands, "similar", _similar, "find the adapters of a study nearest to a file")
    similar.add_argument("file", metavar="FILE", help="adapter file or PEFT folder").complete = ADAPTER
    similar.add_argument("-k", type=int, default=10, metavar="N", help="how many (default: 10)")
    similar.add_argument("--layer-set", default="all", help="layers that count (default: all)")
    for each in (predict, similar):
        each.add_argument("--study", required=True, metavar="STUDY", help=STUDY)
        add_results(each)
        each.add_argument("--json", action="store_true", help="print JSON")


def _add_keep(commands) -> None:
    keep = command(commands, "keep", _keep, "keep the trained probes of a study's cells, for predict")
    keep.add_argument("study", metavar="STUDY", help=STUDY)
    add_results(keep)
    for name in ("representation", "layer-set", "probe"):
        keep.add_argument(
            f"--{name}",
            help="of the cell to keep, the best of those named so (default: each layer set's best)",
        )
    keep.add_argument(
        "--device", default="cpu", choices=("cpu", "cuda", "auto"), help="what the study ran on"
    )
    keep.add_argument("--threads", type=int, default=1, help="seeds trained at a time")
    keep.add_argument("--out", metavar="FILE", help="list of the files kept, as JSON")


def _keep(options: argparse.Namespace) -> None:
    from lorascope.devices import choose_device
    from lorascope.files import write_json
    from lorascope.study.finished import find_study
    from lorascope.study.keep import keep_probes, kept_files

    study = find_study(options.study, options.results)
    named = options.representation, options.layer_set, options.probe
    cells = [study.choose(*named)] if any(named) else study.best_cells()
    for cell in cells:
        for line in keep_probes(study, cell, choose_device(options.device), options.threads):
            log(line)
    if options.out:
        write_json(options.out, kept_files(study, cells))


def _predict(options: argparse.Namespace) -> None:
    from lorascope.study.finished import find_study
    from lorascope.study.predict import COVERAGE, calibrate, predict_files

    study = find_study(options.study, options.results)
    cell = study.choose(options.representation, options.layer_set, options.probe)
    files, failed = _read(study, cell, options.files)
    cards, calibration = predict_files(study, cell, files) if files else [], calibrate(study, cell)
    if options.json:
        about = {name: getattr(cell, name) for name in ("representation", "layer_set", "probe")}
        about |= {"seeds": len(cell.seeds), "test_accuracy": cell.test_accuracy}
        told = {"cell": about, "coverage": COVERAGE, "sanity": study.results["sanity"]}
        told["calibration"] = asdict(calibration)
        told["files"] = [asdict(card) for card in cards]
        told["files"] += [{"path": path, "error": str(error)} for path, error in failed.items()]
        print(json.dumps(told, indent=2, allow_nan=False))
    else:
        from lorascope.cli.prediction_cards import print_prediction

        for card in cards:
            print_prediction(card, cell, study, calibration)
    if failed:
        raise _failure(list(failed.values()), len(options.files))


def _read(study, cell, paths: list[str]) -> tuple[list, dict[str, LorascopeError]]:
    """Return the files in the study's layout, and what is wrong with the others."""
    from lorascope.adapters.files import read_adapter
    from lorascope.study.file_features import fit_files

    layers, files, failed = study.layers(cell.layer_set), [], {}
    for path in paths:
        try:
            files += fit_files(study, [read_adapter(path)], layers)
        except LorascopeError as error:
            failed[path] = error
    return files, failed


def _failure(errors: list[LorascopeError], given: int) -> LorascopeError:
    """Return one error for all files that have no card: the others were answered."""
    if given == 1:
        return errors[0]
    return LorascopeError(f"{len(errors)} of {given} files have no card, the first: {errors[0]}")


def _similar(options: argparse.Namespace) -> None:
    from lorascope.adapters.files import read_adapter
    from lorascope.study.file_features import fit_files
    from lorascope.study.finished import find_study
    from lorascope.study.similar import nearest

    if options.k < 1:
        raise LorascopeError(f"-k {options.k}: ask for at least one adapter")
    study = find_study(options.study, options.results)
    (file,) = fit_files(study, [read_adapter(options.file)], study.layers(options.layer_set))
    neighbours = nearest(study, file, options.k)
    if options.json:
        told = {"path": options.file, "warnings": file.warnings}
        told |= {"neighbours": [asdict(neighbour) for neighbour in neighbours]}
        print(json.dumps(told, indent=2, allow_nan=False))
        return
    from lorascope.cli.prediction_cards import print_neighbours

    print_neighbours(file, neighbours)
