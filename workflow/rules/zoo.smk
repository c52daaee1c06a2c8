# In: a recipe. Out: <dataset>/zoo/<key>/ adapters-<block>.safetensors + .parquet, samples.png; base/<key>/.


rule zoo_base:
    """Train the zoo's base model (only with `base: train`; otherwise the shipped one serves)."""
    output:
        f"{RESULTS}/{{dataset}}/base/{{key}}/base.safetensors",
    log:
        "logs/{dataset}/zoo_base/{key}.log",
    benchmark:
        "logs/{dataset}/zoo_base/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=60,
    params:
        settings=base_settings,
    message:
        "Train the zoo's base model"
    shell:
        "exec lorascope zoo-base"
        " --settings {params.settings:q}"
        " --threads {threads}"
        " --out {output} 2> {log}"


rule zoo_train:
    """Train one block of adapters, all at once."""
    input:
        base=base_file,
    output:
        shard=f"{RESULTS}/{{dataset}}/zoo/{{key}}/adapters-{{block}}.safetensors",
        table=f"{RESULTS}/{{dataset}}/zoo/{{key}}/adapters-{{block}}.parquet",
    log:
        "logs/{dataset}/zoo_train/{key}.{block}.log",
    benchmark:
        "logs/{dataset}/zoo_train/{key}.{block}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=60,
    params:
        settings=zoo_settings,
        base=lambda wildcards, input: f"--base {input.base}" if input.base else "",
    message:
        "Train adapters of {wildcards.dataset}, block {wildcards.block}"
    shell:
        "exec lorascope zoo-train {params.base}"
        " --settings {params.settings:q}"
        " --block {wildcards.block}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output.shard} 2> {log}"


rule zoo_picture:
    """Draw what the base and some adapters generate from the same noise and prompt."""
    input:
        base=base_file,
        shards=shards,
    output:
        f"{RESULTS}/{{dataset}}/zoo/{{key}}/samples.png",
    log:
        "logs/{dataset}/zoo_picture/{key}.log",
    benchmark:
        "logs/{dataset}/zoo_picture/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=30,
    params:
        settings=zoo_settings,
        base=lambda wildcards, input: f"--base {input.base}" if input.base else "",
    message:
        "Draw samples of {wildcards.dataset}"
    shell:
        "exec lorascope zoo-picture {params.base}"
        " --settings {params.settings:q}"
        " --shards {input.shards}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output} 2> {log}"
