"""Tests that the figures in SECURITY.md agree with the code, and that each of its promises has tests."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from poets_edge.bench.remote import answers, fetch_frames
from poets_edge.bench.remote.limits import LIMITS
from poets_edge.bench.remote.on_device import saved_frames
from poets_edge.nets import keras_weights, weights_file
from poets_edge.photos import archives, contents, decode_budget, digests, exclude, http, png_chunks, remote
from poets_edge.studio import server, uploads
from poets_edge.tflite import formats
from tests.conftest import ROOT

PAGE = " ".join((ROOT / "SECURITY.md").read_text(encoding="utf-8").split())
MB, GB = 1 << 20, 1 << 30

FIGURES = (
    (f"regular files only, of at most {contents.LARGEST_PHOTO // MB} MB.", True),
    (
        f"Photos of more than {contents._LARGE_PHOTO // MB} MB, or that need more than {decode_budget.LARGE // MB} MB",
        True,
    ),
    (f"metadata of a PNG are read up to {png_chunks.LARGEST_METADATA >> 10} KB per chunk", True),
    (f"a header of more than {archives._LARGEST_HEADER // MB} MB", True),
    (f"The directory of a zip has at most {archives._LARGEST_DIRECTORY // MB} MB", True),
    (f"at most {formats.LARGEST_DIRECTORY // MB} MB or {keras_weights._LARGEST_DIRECTORY // MB} MB", True),
    (f"at most {exclude._LARGEST_LIST // MB} MB; names that no file or class", True),
    (f"no pickles, at most {weights_file._MAX_BYTES // MB} MB", True),
    (f"A line has at most {answers.LONGEST_LINE // MB} MB.", True),
    (f"if the device sends nothing for {LIMITS.silence:.0f} s", True),
    ("does not accept data for two minutes", LIMITS.taking == 120),
    ("a login with a password may take three minutes", LIMITS.login == 180),
    (f"at most {LIMITS.measuring / 60:.0f} minutes between two messages", True),
    (f"at most {saved_frames.MOST_FRAMES:,} frames of at most {fetch_frames._LARGEST_FRAME // MB} MB each", True),
    (f"{http._HEADERS // MB} MB of status line and headers, {contents.LARGEST_PHOTO // MB} MB of a photo", True),
    (f"({http._UNANNOUNCED // MB} MB if the server does not declare its length)", True),
    (
        f"{remote._BLOCK // MB} MB per request for the directory of an archive with at most"
        f" {archives.MOST_REMOTE_MEMBERS:,} members",
        True,
    ),
    (f"{http._MOST_LISTED // MB} MB for all pages of a listing", True),
    (f"is at most {http._DEEPEST} levels deep and has at most {http._MOST_PAGES:,} folders", True),
    (f"within {http.SECONDS:.0f} seconds, plus one second for each {http._SLOWEST >> 10} kB", True),
    ("At most five redirects", http._REDIRECTS == 5),
    ("less than two seconds before it was read", digests.RACY_SECONDS == 2),
    (f"of {8 * server._TOKEN_BYTES} random bits", True),
    (f"archives {uploads.LARGEST_ARCHIVE // GB} GB", True),
)
"""Phrases that SECURITY.md must contain, and whether figures that they spell out in words agree with the code."""

PROMISES = {
    "without a shell unless you add `--shell`": ["watch_expands_no_variables_in_a_command_without_shell"],
    "verified before an interpreter loads them": [
        "verify_refuses_damaged_models_before_the_trial",
        "model_check_raises_only_flaw_errors_for_changed_bytes",
    ],
    "numbers must be finite": ["read_frozen_graph_refuses_nan"],
    "none of which runs Python code or reads files": ["load_model_refuses_keras_configurations_with_code_or_files"],
    "neither access files nor run code": ["load_model_refuses_saved_models_that_access_files"],
    "memory is estimated from the header": ["read_photo_rejects_images_that_need_more_than_the_memory_limit"],
    "regular files only": [
        "read_bytes_refuses_special_and_large_files",
        "read_bytes_refuses_a_file_that_is_replaced_after_its_check",
    ],
    "are in memory one at a time": [
        "photos_with_many_bytes_are_read_one_at_a_time",
        "photos_with_many_pixels_are_decoded_one_at_a_time",
    ],
    "numbers of segments, scans and blocks are limited": ["read_photo_rejects_files_that_take_too_long_to_decode"],
    "paths that lead out of the archive": ["read_archive_rejects_names_that_lead_out_of_the_archive"],
    "no member is decompressed beyond its declared size": ["declared_size_of_an_archive_member_is_checked"],
    "compressed responses are refused": ["compressed_responses_are_rejected"],
    "from every message on standard error": [
        "error_messages_do_not_contain_the_password",
        "train_does_not_write_the_password_to_files_or_output",
    ],
    "in the environment of helper processes": [
        "helper_process_receives_the_password_and_hides_it_from_its_child_processes"
    ],
    "even after redirects": ["redirection_to_another_server_omits_the_password"],
    "names that no file or class can have are refused": [
        "invalid_file_and_class_names_in_an_exclusion_list_are_rejected"
    ],
    "this includes folders that Windows would fetch from another machine": [
        "recorded_photos_on_other_machines_are_not_read"
    ],
    "no links, no pickles": [
        "read_backbone_runs_no_code_in_a_pickle",
        "read_backbone_does_not_follow_links_in_an_archive",
    ],
    "the error names the invalid field": ["round_from_json_reports_the_path_of_an_invalid_field"],
    "have checksums": ["grid_recomputes_damaged_cache_rows_before_cross_validation"],
    "damaged files are moved aside": ["damaged_cache_is_moved_aside", "damaged_cache_of_digests_is_moved_aside"],
    "control characters are never printed to a terminal": [
        "control_characters_are_escaped",
        "names_with_control_characters_or_invalid_encoding_are_escaped",
    ],
    "pages and drawings escape them": ["page_escapes_names", "report_has_no_external_resources_and_escapes_names"],
    "no process listens on a port": ["local_worker_processes_do_not_listen_on_sockets"],
    "addresses on other machines must use `tls://`": ["unencrypted_remote_scheduler_is_refused"],
    "certificates are verified with `mqtts://`": ["watch_checks_the_certificate_of_the_broker"],
    "a packet of more than 64 KB closes the connection": ["publisher_closes_the_connection_if_a_packet_is_too_large"],
    "a folder that only its user can read": ["deploy_publishes_to_a_broker_with_a_private_login"],
    "until another interpreter is installed": ["read_model_verifies_again_with_a_different_interpreter"],
    "files that it could not evaluate for lack of photos are not": [
        "model_exported_without_photos_is_not_recorded_as_verified"
    ],
    "a file is removed only if it is listed and its contents are unchanged": [
        "removal_keeps_and_reports_files_that_the_program_did_not_create",
        "removal_keeps_and_reports_user_files_named_like_those_of_the_program",
        "edited_systemd_unit_is_neither_overwritten_nor_removed",
    ],
    "Symbolic links are not followed, the folder of another user is not used": [
        "symbolic_links_are_not_followed",
        "folder_of_another_user_is_refused",
    ],
    "no decision about removal depends on a clock": ["expiry_does_not_depend_on_the_system_clock"],
    "A request with another name in `Host` is refused": ["requests_with_other_host_names_are_refused"],
    "Every request needs the token": ["requests_without_the_token_are_refused"],
    "the browser stores it in a cookie": ["entry_address_sets_a_cookie_that_scripts_and_other_sites_cannot_use"],
    "a header that forms cannot send": [
        "post_requests_from_other_pages_are_refused",
        "requests_with_form_bodies_are_refused",
    ],
    "Responses allow no scripts except the studio's own": ["every_response_has_a_strict_content_security_policy"],
    "links in the project are not followed": [
        "links_to_files_outside_the_project_are_not_opened",
        "paths_in_requests_never_lead_outside_the_project",
    ],
    "cannot rename files outside the folder": ["interrupted_step_does_not_change_files_behind_a_link"],
    "Results replace regular files only": [
        "writers_do_not_replace_special_files_or_folders",
        "writers_do_not_replace_the_file_that_a_standard_stream_writes_to",
    ],
    "by their missing lock": ["only_leftovers_of_killed_programs_are_removed"],
    "no database with tables of another program": ["databases_from_other_programs_stay_unchanged"],
    "a file that is replaced keeps its permissions": [
        "writers_preserve_permissions_and_do_not_replace_write_protected_files"
    ],
    "`--output` replaces only JSON files": ["output_option_does_not_replace_files_that_are_not_json"],
    "never a file that the same command reads": ["output_option_does_not_replace_an_input_file"],
    "records and pages of earlier runs": ["train_does_not_replace_files_that_training_did_not_write"],
    "`annotate` replaces only": ["annotate_does_not_replace_files_that_are_not_models"],
    "they were not edited since": [
        "web_does_not_replace_edited_files",
        "export_for_frigate_does_not_replace_existing_files",
        "write_generated_does_not_replace_edited_files",
        "write_codelab_preserves_edited_scripts",
        "audit_does_not_overwrite_pages_of_other_programs_or_edited_lists",
    ],
    "only together with its `grid.json`": ["grid_does_not_replace_files_of_other_programs"],
    "removes an earlier model only if it was listed and not changed since": [
        "removing_shipped_files_does_not_remove_user_files",
        "shipped_files_are_removed_unless_they_were_edited",
    ],
    "The studio removes only its own files": ["retraining_reports_each_changed_prediction"],
    "rounds, photos and windows of load that were not requested are refused": [
        "benchmark_on_rejects_rounds_that_it_did_not_request"
    ],
    "the number of messages is limited": ["benchmark_on_limits_the_number_of_messages_from_a_device"],
    "its scores are compared with those of this machine": ["benchmark_on_compares_scores_with_those_from_this_machine"],
    "no file is overwritten": [
        "fetch_never_overwrites_a_file_of_the_same_name",
        "fetch_refuses_answers_that_are_not_frames",
    ],
    "all other protocols of fsspec": [
        "scan_rejects_protocols_other_than_https_s3_and_gs",
        "scan_refuses_chained_protocols",
    ],
    "A response must arrive within": [
        "reading_from_a_slow_server_times_out",
        "reading_from_a_server_stops_at_a_size_limit_if_the_response_never_ends",
    ],
    "from `https` only to `https`": ["redirects_are_limited_to_https_and_localhost"],
    "links outside the address are ignored": ["folder_listing_ignores_links_that_lead_outside_its_address"],
    "without control characters. Time stamps": ["error_messages_escape_control_characters_sent_by_the_server"],
    "Time stamps in whole seconds are not trusted": [
        "photo_that_is_rewritten_within_one_second_is_detected_as_changed"
    ],
    "a plain `http` address is refused": [
        "download_without_a_checksum_requires_tls",
        "download_without_a_checksum_refuses_a_redirection_to_http",
    ],
    "is compared with the MD5": ["weights_without_the_published_checksum_are_refused"],
    "before it is renamed to its destination": ["download_renames_the_file_after_the_check"],
    "both sides must present a certificate": [
        "scheduler_with_tls_trains_an_identical_graph_and_refuses_unknown_clients"
    ],
    "never joined to a folder": ["server_serves_only_the_files_of_the_page", "server_refuses_paths_outside_the_folder"],
    "A connection that sends nothing for 30 s is closed": ["server_closes_a_connection_that_sends_nothing"],
    "The private key of `--https` is readable by the user only": [
        "certificate_with_a_damaged_or_exposed_key_is_replaced"
    ],
    "after SIGTERM, SIGINT": ["interrupted_watch_ends_its_running_commands"],
}
"""Promises in SECURITY.md, and the names of the tests for each promise, without `test_`."""


@pytest.fixture(scope="module")
def names() -> frozenset[str]:
    """Return the names of all tests, without `test_`."""

    def found() -> Iterator[str]:
        for path in (ROOT / "tests").rglob("test_*.py"):
            yield from re.findall(r"^(?:async )?def test_(\w+)\(", path.read_text(encoding="utf-8"), re.MULTILINE)

    return frozenset(found())


@pytest.mark.parametrize(("phrase", "in_words"), FIGURES, ids=[phrase[:60] for phrase, _ in FIGURES])
def test_figures_on_the_security_page_agree_with_the_code(phrase: str, in_words: bool) -> None:
    assert phrase in PAGE
    assert in_words


@pytest.mark.parametrize("phrase", PROMISES)
def test_promises_on_the_security_page_have_tests(phrase: str, names: frozenset[str]) -> None:
    assert phrase in PAGE
    assert not [name for name in PROMISES[phrase] if name not in names]
