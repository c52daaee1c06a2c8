# Names to ask for: `snakemake --cores 4 spectral`; docs/targets.md lists them.


rule report:
    input:
        expand(
            f"{RESULTS}/{{dataset}}/report/index.html", dataset=PLAN.config["dataset"]
        ),
    """The page of every data set of the study."""
    localrule: True


rule summary:
    input:
        expand(
            f"{RESULTS}/{{dataset}}/summary/results.json",
            dataset=PLAN.config["dataset"],
        ),
    """The tables behind the page."""
    localrule: True


rule features:
    input:
        all_features,
    """All features, without training."""
    localrule: True


for name in REPRESENTATIONS:

    rule:
        """The probes of one representation, on all layer sets."""
        name:
            name
        input:
            runs_of(name),
        localrule: True


for name in PLAN.config["datasets"]:

    rule:
        """The page of one data set."""
        name:
            name
        input:
            f"{RESULTS}/{name}/report/index.html",
        localrule: True
