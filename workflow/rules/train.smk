# In: features and labels. Out: <dataset>/probes/<representation>/<layer_set>.<probe>/<key>/seeds-<first>-<last>.*;
# <dataset>/controls/<key>/ what could score as well, and the invariance of every representation.


rule train:
    """Train one cell (layer set × representation × probe) with a block of seeds."""
    input:
        features=cell_features,
        adapters=cell_adapters,
        passport=passport_file,
    output:
        runs=f"{RESULTS}/{{dataset}}/probes/{{representation}}/{{layer_set}}.{{probe}}/{{key}}/seeds-{{first}}-{{last}}.runs.parquet",
        details=f"{RESULTS}/{{dataset}}/probes/{{representation}}/{{layer_set}}.{{probe}}/{{key}}/seeds-{{first}}-{{last}}.details.parquet",
    log:
        "logs/{dataset}/train/{representation}/{layer_set}.{probe}.{key}.seeds-{first}-{last}.log",
    benchmark:
        "logs/{dataset}/train/{representation}/{layer_set}.{probe}.{key}.seeds-{first}-{last}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=240,
    params:
        settings=probe_settings,
        layers=cell_layers,
        device=device_of,
        folder=subpath(output.runs, parent=True),
    message:
        "Train {wildcards.probe} on {wildcards.dataset}, {wildcards.representation}, {wildcards.layer_set} layers, seeds {wildcards.first} to {wildcards.last}"
    shell:
        "exec lorascope train"
        " --dataset {wildcards.dataset} --layer-set {wildcards.layer_set}"
        " --representation {wildcards.representation} --probe {wildcards.probe}"
        " --features {input.features} --adapters {input.adapters}"
        " --layers {params.layers:q} --settings {params.settings:q}"
        " --first-seed {wildcards.first} --last-seed {wildcards.last}"
        " --key {wildcards.key} --device {params.device} --threads {threads}"
        " --out {params.folder} 2> {log}"


rule control:
    """Ask what could score as well: permuted labels, norms, the recipe, random layers; certify representations."""
    input:
        data=data_weights,
        features=control_features,
        passport=passport_files,
        adapters=cell_adapters,
    output:
        controls=f"{RESULTS}/{{dataset}}/controls/{{key}}/controls.parquet",
        invariance=f"{RESULTS}/{{dataset}}/controls/{{key}}/invariance.json",
    log:
        "logs/{dataset}/control/{key}.log",
    benchmark:
        "logs/{dataset}/control/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=120,
    params:
        key=control_key,
        config=study_config,
        folder=subpath(output.controls, parent=True),
    message:
        "Controls of {wildcards.dataset}"
    shell:
        "exec lorascope control"
        " --config {params.config:q}"
        " --dataset {wildcards.dataset}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"
