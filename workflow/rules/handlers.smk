# What happens around a run: a lock before it, and after it what was found, also when a part failed.


onstart:
    start_run(placed(RESULTS))


onsuccess:
    targets = shlex.join(sorted(workflow.dag_settings.targets))
    shell("lorascope verdict --config {CONFIG_JSON:q} --targets {targets}")


# A failed cell must not hide the others: the page is made of what there is, and names what is not.
onerror:
    # What it could not do it has said; the run fails as it is.
    shell("lorascope salvage --config {CONFIG_JSON:q} --key {STUDIES_KEY} || true")
