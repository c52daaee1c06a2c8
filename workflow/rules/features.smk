# In: a layer group's weights. Out: <dataset>/fits/ and <dataset>/features/<representation>/<key>/<group>.*,
# which come from the shared store (features_dir) where they are there.


rule fit:
    """Fit one representation to the training part of one layer group."""
    input:
        data=data_weights,
        adapters=cell_adapters,
    output:
        f"{RESULTS}/{{dataset}}/fits/{{representation}}/{{key}}/{{group}}.safetensors",
    log:
        "logs/{dataset}/fit/{representation}.{key}.{group}.log",
    benchmark:
        "logs/{dataset}/fit/{representation}.{key}.{group}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=120,
    params:
        representation=fitted_of,
        data=data_folder,
    message:
        "Fit {wildcards.representation} to {wildcards.dataset}, layer group {wildcards.group}"
    shell:
        "exec lorascope fit"
        " --data {params.data}"
        " --adapters {input.adapters}"
        " --group {wildcards.group}"
        " --representation {params.representation}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output} 2> {log}"


rule extract:
    """Compute one representation of every matrix of one layer group."""
    input:
        data=data_weights,
        fit=fit_file,
    output:
        f"{RESULTS}/{{dataset}}/features/{{representation}}/{{key}}/{{group}}.parquet",
    log:
        "logs/{dataset}/extract/{representation}.{key}.{group}.log",
    benchmark:
        "logs/{dataset}/extract/{representation}.{key}.{group}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(1500),
        runtime=120,
    params:
        representation=representation_of,
        data=data_folder,
        fit=lambda wildcards, input: f"--fit {input.fit}" if input.fit else "",
        device=device_of,
        store=store_of,
    message:
        "Extract {wildcards.representation} of {wildcards.dataset}, layer group {wildcards.group}"
    shell:
        "exec lorascope extract {params.fit} {params.store}"
        " --device {params.device}"
        " --data {params.data}"
        " --group {wildcards.group}"
        " --representation {params.representation}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output} 2> {log}"
