# In: features and labels. Out: <dataset>/importance/<representation>/<key>/ and <dataset>/adapter_map/<key>/.


rule rank_layers:
    """Ask every layer alone for the label, then all layers without the best, and the best alone."""
    input:
        features=importance_features,
        adapters=cell_adapters,
    output:
        answers=f"{RESULTS}/{{dataset}}/importance/{{representation}}/{{key}}/answers.parquet",
        folds=f"{RESULTS}/{{dataset}}/importance/{{representation}}/{{key}}/folds.parquet",
    log:
        "logs/{dataset}/rank_layers/{representation}.{key}.log",
    benchmark:
        "logs/{dataset}/rank_layers/{representation}.{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        settings=importance_settings,
        layers=importance_layers,
        folder=subpath(output.answers, parent=True),
    message:
        "Rank the layers of {wildcards.dataset} by {wildcards.representation}"
    shell:
        "exec lorascope importance"
        " --features {input.features}"
        " --adapters {input.adapters}"
        " --layers {params.layers:q}"
        " --settings {params.settings:q}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"


rule adapter_map:
    """Place the adapters of a data set in the two directions in which their updates differ most."""
    input:
        data=data_weights,
        adapters=cell_adapters,
    output:
        f"{RESULTS}/{{dataset}}/adapter_map/{{key}}/map.parquet",
    log:
        "logs/{dataset}/adapter_map/{key}.log",
    benchmark:
        "logs/{dataset}/adapter_map/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        settings=map_settings,
        data=data_folder,
        groups=lambda wildcards: PLAN.groups(wildcards.dataset),
    message:
        "Map the adapters of {wildcards.dataset}"
    shell:
        "exec lorascope adapter-map"
        " --data {params.data}"
        " --groups {params.groups}"
        " --adapters {input.adapters}"
        " --settings {params.settings:q}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output} 2> {log}"
