# What happens around a run: a lock before it, and after it what was found, also when a part failed.
from lorascope.screen.handler import LogHandler
from lorascope.study.durations import all_recorded, kind_of

# Profiles choose it; with another logger a run ends without the lines of this one.
SCREENS = [
    screen
    for screen in workflow.logger_manager.plugin_handlers
    if isinstance(screen, LogHandler) and workflow.modifier.is_main_snakefile()
]


def run_answer():
    """Return the lines that end a run."""
    from lorascope.study.answers import Asked

    return Asked(PLAN, SPARSE, placed).answers(sorted(workflow.dag_settings.targets))


for screen in SCREENS:
    screen.know([rule.name for rule in workflow.rules], run_answer)


onstart:
    start_run(placed(RESULTS), workflow._cores)
    outputs = [str(output) for job in workflow.dag.jobs for output in job.output]
    record_files(placed(NAMED), placed(RESULTS), outputs, key_of_part)
    for screen in SCREENS:
        records = {
            job.jobid: str(job.benchmark or f"logs/-/{job.rule.name}")
            for job in workflow.dag.needrun_jobs()
        }
        screen.expect(
            {job: kind_of(record) for job, record in records.items()},
            all_recorded(),
        )


onsuccess:
    for screen in SCREENS:
        screen.succeed()
    if not SCREENS:
        print("\n".join(run_answer()))


# A failed cell must not hide the others: the page is made of what there is, and names what is not.
onerror:
    for screen in SCREENS:
        screen.close_display()
    # What it could not do it has said; the run fails as it is.
    shell("lorascope salvage --config {CONFIG_JSON:q} --key {STUDIES_KEY} || true")
