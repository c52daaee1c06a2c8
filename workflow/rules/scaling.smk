# In: features and labels. Out: <dataset>/scaling/<representation>/<layer_set>.<probe>/<key>.parquet, and
# studies/<study>/scaling/ with the curves of all data sets, under plain names.


rule scale:
    """Train one cell on nested shares of its training part."""
    input:
        features=cell_features,
        adapters=cell_adapters,
    output:
        f"{RESULTS}/{{dataset}}/scaling/{{representation}}/{{layer_set}}.{{probe}}/{{key}}.parquet",
    log:
        "logs/{dataset}/scale/{representation}/{layer_set}.{probe}.{key}.log",
    benchmark:
        "logs/{dataset}/scale/{representation}/{layer_set}.{probe}.{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        settings=curve_settings,
        layers=cell_layers,
        device=device_of,
        fractions=canonical_json(PLAN.config["scaling"]["fractions"]),
        first_seed=PLAN.config["first_seed"],
        seeds=PLAN.config["seeds"],
    message:
        "Train {wildcards.probe} on shares of {wildcards.dataset}, {wildcards.representation}, {wildcards.layer_set} layers"
    shell:
        "exec lorascope scale"
        " --dataset {wildcards.dataset} --layer-set {wildcards.layer_set}"
        " --representation {wildcards.representation} --probe {wildcards.probe}"
        " --features {input.features} --adapters {input.adapters}"
        " --layers {params.layers:q} --settings {params.settings:q}"
        " --fractions {params.fractions:q}"
        " --first-seed {params.first_seed} --seeds {params.seeds}"
        " --key {wildcards.key} --device {params.device} --threads {threads}"
        " --out {output} 2> {log}"


rule scaling_figure:
    """Put the learning curves of all data sets side by side."""
    input:
        curves=all_curve_files,
        labels=all_labels,
        stamp=scaling_stamp,
    output:
        table=f"{NAMED}/scaling/sizes.parquet",
        figure=f"{NAMED}/scaling/sizes.svg",
    log:
        f"{NAMED_LOGS}/scaling/figure.log",
    benchmark:
        f"{NAMED_LOGS}/scaling/figure.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        config=CONFIG_JSON,
        key=lambda wildcards: scaling_key(PLAN),
        folder=subpath(output.table, parent=True),
    message:
        "Put the learning curves side by side: {output.figure}"
    shell:
        "exec lorascope scaling"
        " --config {params.config:q}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} > {log} 2>&1"
