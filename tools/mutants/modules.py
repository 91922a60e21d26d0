"""Modules to mutate (those with mathematics and input checks), and the test files that must detect the faults."""

from __future__ import annotations

PARTS: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "device/metrics.py": ("device/test_metrics.py",),
        "device/paired.py": ("device/test_paired.py",),
        "device/temperature.py": ("device/test_temperature.py",),
        "device/predictions.py": ("device/test_predictions.py", "device/test_overlap.py"),
        "device/evaluate.py": ("device/test_evaluate.py", "device/test_predictions.py", "device/test_overlap.py"),
        "device/classifier.py": ("device/test_classifier.py",),
    },
    {
        "tflite/verify/rules.py": ("tflite/test_rules.py", "tflite/test_shapes.py"),
        "tflite/verify/graph_rules.py": ("tflite/test_rules.py", "tflite/test_shapes.py"),
        "tflite/verify/shapes.py": ("tflite/test_shapes.py",),
        "tflite/verify/array_shapes.py": ("tflite/test_array_shapes.py",),
        "tflite/verify/tables.py": ("tflite/test_tables.py",),
        "tflite/verify/answers.py": ("tflite/test_trial.py",),
        "tflite/verify/memory.py": ("tflite/test_trial.py", "tflite/test_verified_models.py"),
        "tflite/verify/trial.py": ("tflite/test_trial.py",),
        "tflite/metadata.py": ("tflite/test_metadata.py",),
        "tflite/write_metadata.py": ("tflite/test_metadata.py",),
    },
    {
        "photos/image.py": (
            "photos/test_image.py",
            "photos/test_pixels.py",
            "photos/test_decode_budget.py",
            "photos/test_deep.py",
            "photos/test_large_photos.py",
            "photos/test_structure.py",
        ),
        "photos/archive_members.py": ("photos/test_archive_members.py",),
        "photos/archives.py": ("photos/test_archive_members.py", "photos/test_zip_names.py", "test_security_page.py"),
        "photos/decode_budget.py": ("photos/test_decode_budget.py", "photos/test_pixels.py", "test_security_page.py"),
        "photos/digests.py": ("photos/test_digests.py",),
        "photos/exclude.py": ("photos/test_exclude.py", "test_security_page.py"),
        "photos/folds.py": ("photos/test_folds.py",),
        "photos/minhash.py": ("photos/test_digests.py", "photos/test_pixels.py"),
        "photos/split.py": ("photos/test_split.py",),
    },
    {
        "training/head.py": ("training/test_head.py", "training/test_head_calibration.py", "training/test_figures.py"),
        "training/fold_heads.py": (
            "training/test_background_model.py",
            "training/test_cross_validation.py",
            "training/test_head_calibration.py",
        ),
        "training/cross_validation.py": ("training/test_cross_validation.py", "training/test_figures.py"),
        "training/temperature_scaling.py": ("training/test_figures.py", "training/test_head_calibration.py"),
        "training/data.py": ("training/test_figures.py", "training/test_own_test_set.py", "training/test_data.py"),
        "training/distort.py": ("training/test_distort.py", "training/test_tuning.py"),
    },
    {
        "training/fine_tuning/schedule.py": ("training/test_schedule.py", "training/test_tuning_loop.py"),
        "training/fine_tuning/options.py": (
            "training/test_schedule.py",
            "training/test_tuning.py",
            "training/test_options.py",
        ),
        "training/fine_tuning/activations.py": (
            "training/test_tuning.py",
            "training/test_tuning_loop.py",
            "training/test_cache_keys.py",
        ),
        "training/fine_tuning/checkpoint.py": ("training/test_tuning_loop.py", "core/test_json_files.py"),
        "training/fine_tuning/tail.py": ("training/test_tuning.py", "training/test_tail.py"),
        "training/fine_tuning/trainer.py": (
            "training/test_tuning.py",
            "training/test_tail.py",
            "training/test_tuning_loop.py",
        ),
        "training/fine_tuning/tuning.py": ("training/test_tuning.py", "training/test_tuning_loop.py"),
        "training/fine_tuning/views.py": ("training/test_tuning.py",),
    },
    {
        "quantize/activation_statistics.py": ("quantize/test_activation_statistics.py", "quantize/test_int8.py"),
        "quantize/float_io.py": ("quantize/test_float_io.py",),
        "quantize/gptq.py": ("quantize/test_gptq.py", "quantize/test_add.py"),
        "quantize/write_int8.py": ("quantize/test_int8.py", "quantize/test_add.py"),
        "nets/graphdef.py": (
            "nets/test_graphdef.py",
            "nets/test_read_graph.py",
            "nets/test_network.py",
            "nets/test_frozen.py",
        ),
        "nets/read_graph.py": ("nets/test_read_graph.py",),
    },
    {
        "bench/samples.py": ("bench/test_samples.py", "bench/test_measurement.py"),
        "bench/ratios.py": ("bench/test_ratios.py", "bench/test_ratio_intervals.py", "bench/test_run_variation.py"),
        "bench/rounds.py": ("bench/test_rounds.py", "bench/test_measurement.py"),
        "bench/timing.py": ("bench/test_rounds.py", "bench/test_measurement.py"),
        "bench/measurement.py": ("bench/test_measurement.py",),
        "sweep/architecture_result.py": ("sweep/test_architecture_result.py",),
        "sweep/budget.py": (
            "sweep/test_choice_rules.py",
            "sweep/test_points.py",
            "sweep/test_options.py",
            "sweep/test_choice_reasons.py",
        ),
        "sweep/choice.py": ("sweep/test_choice_reasons.py", "sweep/test_choice_rules.py", "sweep/test_points.py"),
        "sweep/points.py": ("sweep/test_choice_rules.py", "sweep/test_points.py"),
        "sweep/trend.py": ("sweep/test_choice_rules.py", "sweep/test_points.py"),
    },
    {
        "auditing/class_metrics.py": ("auditing/test_rules.py", "auditing/test_audit_formulas.py"),
        "auditing/image_stats.py": (
            "auditing/test_image_stats.py",
            "auditing/test_rules.py",
            "auditing/test_audit_formulas.py",
        ),
        "auditing/leaks.py": ("auditing/test_rules.py", "auditing/test_audit_formulas.py"),
        "auditing/extrapolation.py": ("auditing/test_learning_curve.py", "auditing/test_audit_formulas.py"),
        "auditing/learning_curve.py": (
            "auditing/test_learning_curve.py",
            "auditing/test_audit_formulas.py",
            "auditing/test_audit_steps.py",
        ),
        "auditing/mislabeled.py": ("auditing/test_rules.py", "auditing/test_audit_formulas.py"),
        "auditing/near_duplicates.py": (
            "auditing/test_rules.py",
            "auditing/test_audit_formulas.py",
            "auditing/test_near_duplicates.py",
            "auditing/test_audit_steps.py",
        ),
        "auditing/orientation.py": ("auditing/test_orientation.py", "auditing/test_audit_steps.py"),
        "auditing/outliers.py": (
            "auditing/test_rules.py",
            "auditing/test_audit_formulas.py",
            "auditing/test_audit_steps.py",
        ),
        "auditing/thresholds.py": ("auditing/test_thresholds.py", "auditing/test_audit_formulas.py"),
        "exporting/drop.py": ("exporting/test_drop.py", "exporting/test_export_facts.py"),
    },
    {
        "core/arguments.py": ("core/test_arguments.py",),
        "core/download.py": ("core/test_download.py", "core/test_guards.py"),
        "core/files.py": ("core/test_files.py", "core/test_guards.py", "core/test_json_files.py"),
        "core/json_checks.py": ("core/test_json_files.py", "core/test_json_checks.py", "core/test_guards.py"),
        "bench/remote/on_device/agent.py": (
            "bench/remote/test_agent.py",
            "bench/remote/test_agent_answers.py",
            "bench/remote/test_agent_folder.py",
            "bench/remote/test_agent_loop.py",
            "bench/remote/test_agent_process.py",
            "bench/remote/test_agent_transfers.py",
        ),
        "bench/remote/on_device/own_folder.py": (
            "bench/remote/test_agent.py",
            "bench/remote/test_agent_folder.py",
            "bench/remote/test_agent_transfers.py",
        ),
        "bench/remote/on_device/own_service.py": (
            "bench/remote/test_agent.py",
            "bench/remote/test_agent_folder.py",
            "bench/remote/test_agent_answers.py",
        ),
    },
    {
        "training/unknown.py": ("training/test_unknown.py",),
        "training/mahalanobis.py": (
            "training/test_unknown.py",
            "training/test_distance_models.py",
            "training/test_fold_distances.py",
        ),
        "training/background_model.py": ("training/test_background_model.py",),
        "quantize/write_full_int8.py": ("quantize/test_full_int8.py",),
        "quantize/write_detector.py": ("quantize/test_detector.py",),
        "bench/machine.py": ("bench/test_machine.py", "bench/test_samples.py"),
        "bench/load.py": ("bench/test_worker.py", "bench/test_load.py"),
        "bench/run_variation.py": ("bench/test_run_variation.py",),
        "photos/groups.py": ("photos/test_groups.py",),
    },
)
"""Modules in `poets_edge` with their test files in `tests`, in parts that take up to 20 minutes on two idle cores."""

MODULES = {module: tests for part in PARTS for module, tests in part.items()}


def module_name(module: str) -> str:
    """Return the dotted name of a module, such as "poets_edge.device.metrics" for "device/metrics.py"."""
    return f"poets_edge.{module.removesuffix('.py').replace('/', '.')}"
