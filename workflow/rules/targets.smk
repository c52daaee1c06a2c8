# Names to ask for: `snakemake --cores 4 spectral`; docs/targets.md lists them.


rule summary:
    """The tables behind the page."""
    input:
        results_with(["summary/results.json"]),
    localrule: True
    message:
        "Target {rule} is complete"


rule features:
    """All features, without training."""
    input:
        of_all_datasets(all_features),
    localrule: True
    message:
        "Target {rule} is complete"


rule sparse:
    """The page of the study of sparse training."""
    input:
        sparse_results,
    localrule: True
    message:
        "Target {rule} is complete: {input[0]}"


rule importance:
    """Which layers hold the label, and the map of adapters, without any cell."""
    input:
        of_all_datasets(study_analyses),
    localrule: True
    message:
        "Target {rule} is complete"


rule scaling:
    """Learning curves over sizes of the training part, all data sets side by side."""
    input:
        of_all_datasets(scaling_results),
    localrule: True
    message:
        "Target {rule} is complete"


for name in REPRESENTATIONS:

    rule:
        """The probes of one representation, on all layer sets."""
        name:
            name
        input:
            results_of(name),
        localrule: True
        message:
            "Target {rule} is complete"


for name in PLAN.config["datasets"]:

    rule:
        """The page of one data set."""
        name:
            name
        input:
            results_with(["report/index.html", "probes.json"], [name]),
        localrule: True
        message:
            "Target {rule} is complete"
