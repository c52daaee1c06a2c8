# In: a layer group's weights. Out: <dataset>/features/<representation>/<key>/<group>.parquet.


rule extract:
    """Compute one representation of every matrix of one layer group."""
    input:
        data_weights,
    output:
        f"{RESULTS}/{{dataset}}/features/{{representation}}/{{key}}/{{group}}.parquet",
    log:
        "logs/{dataset}/extract/{representation}.{key}.{group}.log",
    benchmark:
        "logs/{dataset}/extract/{representation}.{key}.{group}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        representation=representation_of,
        data=data_folder,
    message:
        "Extract {wildcards.representation} of {wildcards.dataset}, layer group {wildcards.group}"
    shell:
        "exec lorascope extract"
        " --data {params.data}"
        " --group {wildcards.group}"
        " --representation {params.representation}"
        " --key {wildcards.key}"
        " --threads {threads}"
        " --out {output} 2> {log}"
