# In: images. Out: sparse/<images>/ images/<key>/, runs/<gate>/<key>/seed-<seed>/; under plain names:
# studies/<study>/sparse/<images>/ comparison/, report/.


rule sparse_images:
    """Lay the images out as arrays that every run maps into memory."""
    input:
        download=downloaded_images,
    output:
        f"{RESULTS}/sparse/{{images}}/images/{{key}}/manifest.json",
    log:
        "logs/sparse/{images}/images/{key}.log",
    benchmark:
        "logs/sparse/{images}/images/{key}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=60,
    params:
        settings=image_settings,
        folder=subpath(output[0], parent=True),
    message:
        "Prepare the images of {wildcards.images}"
    shell:
        "exec lorascope sparse-images"
        " --settings {params.settings:q}"
        " --download {input.download}"
        " --key {wildcards.key} --threads {threads}"
        " --out {params.folder} 2> {log}"


rule sparse_train:
    """Train one gate with one seed, a checkpoint an epoch."""
    input:
        prepared_images,
    output:
        epochs=f"{RESULTS}/sparse/{{images}}/runs/{{gate}}/{{key}}/seed-{{seed}}/epochs.parquet",
        run=f"{RESULTS}/sparse/{{images}}/runs/{{gate}}/{{key}}/seed-{{seed}}/run.json",
    log:
        "logs/sparse/{images}/train/{gate}.{key}.seed-{seed}.log",
    benchmark:
        "logs/sparse/{images}/train/{gate}.{key}.seed-{seed}.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(3000),
        runtime=240,
    params:
        settings=sparse_settings,
        device=device_of,
        images=subpath(input[0], parent=True),
        folder=subpath(output.epochs, parent=True),
    message:
        "Train on {wildcards.images}, gate {wildcards.gate}, seed {wildcards.seed}"
    shell:
        "exec lorascope sparse-train"
        " --images {params.images}"
        " --settings {params.settings:q}"
        " --seed {wildcards.seed}"
        " --key {wildcards.key} --device {params.device} --threads {threads}"
        " --out {params.folder} 2> {log}"


rule sparse_compare:
    """Hold every gate against dense and uniform, at equal epochs and at equal time."""
    input:
        runs=sparse_files,
        stamp=sparse_stamp,
    output:
        f"{NAMED}/sparse/{{images}}/comparison/comparison.json",
    log:
        f"{NAMED_LOGS}/sparse/{{images}}/compare.log",
    benchmark:
        f"{NAMED_LOGS}/sparse/{{images}}/compare.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        key=lambda wildcards: SPARSE.key,
        runs=lambda wildcards: [placed(run.folder) for run in SPARSE.runs],
        folder=subpath(output[0], parent=True),
    message:
        "Compare the gates on {wildcards.images}"
    shell:
        "exec lorascope sparse-compare"
        " --runs {params.runs}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} 2> {log}"


rule sparse_page:
    """Write the page, the dashboard and the architecture diagram."""
    input:
        f"{NAMED}/sparse/{{images}}/comparison/comparison.json",
    output:
        page=f"{NAMED}/sparse/{{images}}/report/index.html",
    log:
        f"{NAMED_LOGS}/sparse/{{images}}/page.log",
    benchmark:
        f"{NAMED_LOGS}/sparse/{{images}}/page.tsv"
    conda:
        "../../envs/lorascope.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=30,
    params:
        key=lambda wildcards: SPARSE.key,
        comparison=subpath(input[0], parent=True),
        folder=subpath(output.page, parent=True),
    message:
        "Write {output.page}"
    shell:
        "exec lorascope sparse-report"
        " --comparison {params.comparison}"
        " --key {params.key}"
        " --threads {threads}"
        " --out {params.folder} > {log} 2>&1"
