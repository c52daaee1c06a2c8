"""lorascope: from a LoRA adapter's weights to what it was trained on, and where in the network that sits."""

from snakemake.utils import min_version

min_version("9.0")


configfile: workflow.source_path("config.yaml")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


# Here and not in targets.smk, because an included file cannot set the default target.
rule report:
    """The page of every data set of the study."""
    input:
        results_with(["report/index.html", "probes.json"]),
    localrule: True
    message:
        "Target {rule} is complete"


include: "workflow/rules/targets.smk"
include: "workflow/rules/zoo.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/importance.smk"
include: "workflow/rules/scaling.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/sparse.smk"
include: "workflow/rules/handlers.smk"
