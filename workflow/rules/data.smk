# In: a source. Out: <dataset>/data/<key>/ weights, layer table; <dataset>/labels/<key>/ labels, split, manifest;
# <dataset>/passport/<key>/ what must be known of the data set before any score is read.


rule unusable:
    """Fail in the place of a data set that cannot be used, and say why; what does not need it is made."""
    output:
        f"{RESULTS}/{{dataset}}/unusable",
    log:
        "logs/{dataset}/unusable.log",
    priority: -1
    localrule: True
    conda:
        "../../envs/lorascope.yaml"
    params:
        why=unusable_of,
    message:
        "Read data set {wildcards.dataset}"
    shell:
        "echo {params.why:q} > {log}; exit 2"


rule download:
    """Fetch a data set from the hub into its cache, where snakemake runs: no other job needs a network."""
    output:
        f"{RESULTS}/{{part}}/download/{{key}}.json",
    log:
        "logs/{part}/download/{key}.log",
    benchmark:
        "logs/{part}/download/{key}.tsv"
    localrule: True
    conda:
        "../../envs/lorascope.yaml"
    params:
        pin=pin_folder,
        commit=pinned_commit,
    message:
        "Download {wildcards.part}"
    shell:
        "exec lorascope download"
        " --pin {params.pin}"
        " --commit {params.commit}"
        " --key {wildcards.key}"
        " --out {output} 2> {log}"


rule prepare:
    """Lay the weights of a data set out so that a layer group is one contiguous, mappable file."""
    input:
        shards=shards,
        tables=shard_tables,
        download=downloaded,
    output:
        weights=directory(f"{RESULTS}/{{dataset}}/data/{{key}}/weights"),
        layers=f"{RESULTS}/{{dataset}}/data/{{key}}/layers.parquet",
        norms=f"{RESULTS}/{{dataset}}/data/{{key}}/norms.parquet",
        table=f"{RESULTS}/{{dataset}}/data/{{key}}/source.parquet",
        description=f"{RESULTS}/{{dataset}}/data/{{key}}/source.json",
    log:
        "logs/{dataset}/prepare/{key}.log",
    benchmark:
        "logs/{dataset}/prepare/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    threads: prepare_threads
    resources:
        mem_mb=growing(2000),
        runtime=120,
    params:
        settings=data_settings,
        grouping=PLAN.config["grouping"],
        fingerprint=data_fingerprint,
        folder=subpath(output.layers, parent=True),
    message:
        "Lay out the weights of {wildcards.dataset}"
    shell:
        "exec lorascope prepare"
        " --dataset {wildcards.dataset}"
        " --settings {params.settings:q}"
        " --grouping {params.grouping}"
        " --shards {input.shards}"
        " {params.fingerprint}"
        " --download {input.download}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"


rule label:
    """Write the label and split table and the manifest."""
    input:
        data_tables,
    output:
        adapters=f"{RESULTS}/{{dataset}}/labels/{{key}}/adapters.parquet",
        manifest=f"{RESULTS}/{{dataset}}/labels/{{key}}/manifest.json",
    log:
        "logs/{dataset}/label/{key}.log",
    benchmark:
        "logs/{dataset}/label/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        settings=label_settings,
        data=data_folder,
        folder=subpath(output.adapters, parent=True),
    message:
        "Label and split {wildcards.dataset}"
    shell:
        "exec lorascope label"
        " --data {params.data}"
        " --settings {params.settings:q}"
        " --key {wildcards.key}"
        " --out {params.folder} 2> {log}"


rule passport:
    """Say how the adapters started, which are duplicates, and what the parts share, before any score."""
    input:
        data=data_weights,
        labels=passport_labels,
    output:
        passport=f"{RESULTS}/{{dataset}}/passport/{{key}}/passport.json",
        norms=f"{RESULTS}/{{dataset}}/passport/{{key}}/norms.parquet",
    log:
        "logs/{dataset}/passport/{key}.log",
    benchmark:
        "logs/{dataset}/passport/{key}.tsv"
    priority: 1
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        key=passport_key,
        data=data_folder,
        labels=label_folder,
        folder=subpath(output.passport, parent=True),
    message:
        "Passport of {wildcards.dataset}"
    shell:
        "exec lorascope passport"
        " --data {params.data}"
        " --labels {params.labels}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"
