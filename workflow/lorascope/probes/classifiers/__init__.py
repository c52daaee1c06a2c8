"""The probes: every module here is one, and its name is the name of its section of settings.

A module has

``run(parts, n_classes, settings, seeds, device, threads)``
    which trains once a seed and yields each :class:`~lorascope.probes.runs.Run` when it is finished, and
``log_probabilities(state, columns, features)``
    which answers with ``Run.state``: natural logarithms of probabilities, float64 [n, classes], of features
    float32 [n, columns] as the probe saw them.

and may say ``SEEDLESS = True`` (every seed would give the same run again), ``STANDARDISED = False`` (it wants
the features as they are) and ``READS_FACTORS = True`` (it reads the representation ``factors``, and nothing
else). Planning imports these modules: what takes long to import (torch, scikit-learn) is imported by a run.
"""
