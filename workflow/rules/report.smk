# In: the results of all cells. Out, under plain names: studies/<study>/<dataset>/ summary/, report/.


rule stamp:
    """Mark by which key the plain-named results are made: a new stamp makes them old, whatever became of .snakemake."""
    output:
        touch(f"{NAMED}/{{part}}/.study/{{key}}"),
    log:
        f"{NAMED_LOGS}/{{part}}/stamp/{{key}}.log",
    localrule: True
    conda:
        "../../envs/lorascope.yaml"
    params:
        folder=subpath(output[0], parent=True),
    message:
        "Mark the results of {wildcards.part} as those of key {wildcards.key}"
    shell:
        "find {params.folder} -type f -delete 2> {log}"


rule aggregate:
    """Gather all cells into the summary tables."""
    input:
        cells=all_cells,
        analyses=all_analyses,
        curves=curve_files,
        labels=label_tables,
        passport=passport_file,
        controls=control_files,
        stamp=study_stamp,
    output:
        f"{NAMED}/{{dataset}}/summary/results.json",
        tables=expand(
            f"{NAMED}/{{{{dataset}}}}/summary/{{table}}.{{kind}}",
            table=TABLE_NAMES,
            kind=["parquet", "csv"],
        ),
    log:
        f"{NAMED_LOGS}/{{dataset}}/aggregate.log",
    benchmark:
        f"{NAMED_LOGS}/{{dataset}}/aggregate.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        config=study_config,
        key=study_key,
        folder=subpath(output[0], parent=True),
    message:
        "Gather the results of {wildcards.dataset}"
    shell:
        "exec lorascope aggregate"
        " --config {params.config:q}"
        " --dataset {wildcards.dataset}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"


rule keep_probes:
    """Keep the trained probes of each layer set's best cell: which ones these are, the tables tell."""
    input:
        summary=f"{NAMED}/{{dataset}}/summary/results.json",
        cells=all_cells,
        features=control_features,
        adapters=cell_adapters,
        layers=data_layers,
    output:
        f"{NAMED}/{{dataset}}/probes.json",
    log:
        f"{NAMED_LOGS}/{{dataset}}/keep_probes.log",
    benchmark:
        f"{NAMED_LOGS}/{{dataset}}/keep_probes.tsv"
    conda:
        "../../envs/lorascope.yaml"
    threads: 2
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        device=device_of,
        folder=subpath(input.summary, ancestor=2),
    message:
        "Keep the trained probes of the best cells of {wildcards.dataset}"
    shell:
        "exec lorascope keep {params.folder}"
        " --device {params.device}"
        " --threads {threads}"
        " --out {output} 2> {log}"


rule page:
    """Write the page and the figures."""
    input:
        summary=f"{NAMED}/{{dataset}}/summary/results.json",
        tables=rules.aggregate.output.tables,
        picture=picture,
    output:
        page=report(
            f"{NAMED}/{{dataset}}/report/index.html",
            caption="../report/page.rst",
            category="{dataset}",
            labels={"result": "page"},
        ),
        figures=report(
            directory(f"{NAMED}/{{dataset}}/report/figures"),
            patterns=["{name}.svg"],
            caption="../report/figure.rst",
            category="{dataset}",
            labels={"result": "{name}"},
        ),
    log:
        f"{NAMED_LOGS}/{{dataset}}/page.log",
    benchmark:
        f"{NAMED_LOGS}/{{dataset}}/page.tsv"
    conda:
        "../../envs/lorascope.yaml"
    threads: 2
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        key=study_key,
        summary=subpath(input.summary, parent=True),
        folder=subpath(output[0], parent=True),
        picture=lambda wildcards, input: (
            f"--picture {input.picture}" if input.picture else ""
        ),
    message:
        "Write {output.page}"
    shell:
        "exec lorascope report {params.picture}"
        " --summary {params.summary}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} > {log} 2>&1"
