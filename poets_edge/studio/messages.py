"""English sentences of the studio's server, as templates for `str.format`. A translation replaces this file.

The text of the page is in `web/text.ts`. Messages from library calls, for example about an unreadable archive, are the
same as on the command line.
"""

from __future__ import annotations

from poets_edge.core.wording import counted


def photos(count: int) -> str:
    """Format a number of photos as text, such as "2 photos"."""
    return counted(count, "photo")


def audited(*, audited_photos: int, wrong_labels: int, groups: int, outliers: int) -> str:
    """Return a one-line summary of an audit of the photos, such as "60 photos: 2 probably wrong labels, …"."""
    return (
        f"{photos(audited_photos)}: {counted(wrong_labels, 'probably wrong label')},"
        f" {counted(groups, 'group')} of near-duplicates, {counted(outliers, 'outlier')}."
    )


# Steps, which the page shows after "Undo:".
ADD_CLASS = "add the class {name}"
RENAME_CLASS = "rename {old} to {new}"
REMOVE_CLASS = "remove the class {name}"
MOVE = "move {photos} to {label}"
DELETE = "delete {photos}"
EXCLUDE = "exclude {photos}"
INCLUDE = "include {photos}"
KEEP = "keep {photos}"
ADD = "add {photos}"

# Changes.
NAMED_ALREADY = "The class is named {name!r} already."
IN_CLASS_ALREADY = "No photo to move: all of them are in {label} already."
NOTHING_TO_REPEAT = "There is nothing to {kind}."
NOTHING_TO_CHANGE = "Nothing to change."
NOT_CHANGED = "{path}: {reason}. Nothing was changed."
NAME_TAKEN = "There is a file or a link {name!r} in the project. Choose another name."
NO_FOLDER_NAME = "{name!r} cannot be the name of a folder. Use letters, digits, spaces, - and _."
NAME_TOO_LONG = "{name!r}…: more than {most} bytes. Shorten it."
CLASS_EXISTS = "There is a class {name!r} already. Choose another name."
NOT_IN_PROJECT = "{name}: not in this project. It may have been moved; load the page again."

# Uploads.
NO_CLASS = "{name}: choose a class for the picture."
NOT_A_CLASS = "{name!r} is not the name of a class."
UPLOAD_ENDED = "{name}: the upload ended early. Send it again."
TOO_LARGE = "{name}: larger than {megabytes:,.0f} MB."
SKIPPED_IN_CLASS_ALREADY = "in {label} already"
SKIPPED_EMPTY = "no photos in it (hidden files are skipped)"
SKIPPED_NOT_IN_A_CLASS = "not in a folder that names its class"
TOO_MANY_PHOTOS = "{name}: more than {most:,} photos. Divide it into several archives."
NO_SPACE_TO_UNPACK = "{name}: unpacked it needs {megabytes:,.0f} MB, which the disk does not have."
NOT_ADDED = "{name}: {reason}. Nothing was added."

# Photos and the project folder.
PHOTO_GONE = "{name}: no longer exists."
FILE_FAILED = "{name}: {reason}."
DISK = "the disk"
NOT_A_FILE = "not a regular file"
PHOTO_TOO_LARGE = "larger than {megabytes:,.0f} MB"
NOT_DECODED = "cannot be decoded"
PROJECT_GONE = (
    "{folder} was moved, deleted or replaced while the studio is open. Put it back, or stop the studio with Ctrl-C and"
    " start it again."
)
FOLDER_UNREADABLE = "{name}: cannot be read ({reason})."
FOLDER_IS_LINK = "a link, and the studio writes to folders only"
NOT_OWN = "neither a file nor a folder, so that the studio cannot have created it. Remove it"
LOOSE_PHOTOS = "{folder}: {photos} directly in the folder, outside of any class. Move them into a class folder."
UNSUITABLE_NAMES = "{folder}: {files} skipped, because of names that are not plain UTF-8 text. Rename them."
LINKS = "{folder}: {files} skipped, because the studio does not open links."
DEEPER_FOLDERS = "{folder}: {folders} inside class folders skipped. Move their photos one level up."

# Jobs.
STARTING = "starting"
INTERRUPTED = "The studio was stopped while this job was running. Start the job again."
JOB_RUNS = "The job {kind!r} is running. Wait for it, or cancel it."
NO_JOB = "There is no job {number!r}."
NO_RESULT = "The job is {state}; it has no result."
NOT_A_JOB = "Not a job: {reason}."
LINKS_IN_PROJECT = (
    "{folder} contains links ({names}), which the studio does not follow. Replace them with copies, or remove them, and"
    " start again."
)
NO_HOST = "Give the name of the device, such as pi@raspberrypi.local."
NO_FORM = "Choose a download format."
NOT_COMPARED = "not compared, because their weights are not on this computer: {names}."
DEPLOYED = "{host}: {service} runs. To remove it: {undo}"
PREPARING = "preparing {form}"

# Audit and training.
MORE_PHOTOS_HELP = (
    "With twice as many photos, the accuracy would be about {low:.0f} to {high:.0f} % (it is {now:.0f} % now); photos"
    " of {classes} help most."
)
TOO_FEW_TO_EVALUATE = "Too few photos to judge the model."
ACCURACY = (
    "Of 100 new photos like these, about {correct:.0f} get the right label ({low:.0f} to {high:.0f}, estimated from"
    " {photos} that it was not trained on)."
)
ASSUMPTION = " This assumes that no two photos show one person or object, which cannot be known."
WORST_CLASS = "{label} is recognized least often: {recall} of its photos. Take more photos of it."

# Model files and packages.
NO_MODEL = "There is no model yet. Train one first."
NO_SUCH_FORM = "{form!r} is not a download format."
NOT_PREPARED = "The download {form!r} does not exist yet. Prepare it first."
NOT_EXPORTED = "The model was not exported as {form}. Prepare this download first."
EVALUATED = "run on the test photos"
NOT_EVALUATED = "no test photos"
CONTAINS_INT8 = "contains the int8 file"
FRIGATE_LABELS = "Frigate assigns a label to {share} of the test photos"
FRIGATE_CORRECT = "; {share} of these labels are correct"
EQUAL_SCORES = "equal scores"
CLOSE_SCORES = "scores within {difference:.4f}"
FIRMWARE = (
    "{board}: {arena:,.0f} kB of memory and {flash:,.0f} kB of flash; run in TensorFlow Lite Micro, {scores} on"
    " {photos}"
)
NOT_RUN = "converted, but not run: Core ML models run on macOS only"
CONVERTED = "run on {photos}, scores within {difference:.0e} of float32"
APP_BUILT = "built, signed and checked, with the int8 file in it"
APP_NOT_BUILT = "Android app: the build failed ({reason})."
APP_TOO_SLOW = "Android app: the build did not end within {seconds} seconds."
APP_NEEDS_CHECKOUT = "The sources of the app are only in a checkout of poets_edge."
NOT_INSTALLED = "Not installed. Run: {command}"
NO_MESSAGE = "no message"

# Requests.
REQUEST_TOO_LARGE = "The request is too large."
REQUEST_ENDED = "The request ended early."
NOT_A_REQUEST = "Not a request of this page: {reason}."
NOT_A_CLASS_CHANGE = "Not a request of this page: wanted add, rename and to, or remove."
BUG = "A bug in the studio, please report it: {error}"
NO_PHONE = "A phone cannot reach this studio. End it with Ctrl-C, then: poets-edge studio --lan"
NO_SEGNO = "the QR code needs segno. Run: pip install 'poets-edge[studio]'"
OTHER_HOST = "Refused: this server answers to its own address only. Open the address that it printed."
OTHER_PAGE = "Refused: requests of other pages are not answered."
NO_TOKEN = "Refused: open the address with the token that `poets-edge studio` printed."
OTHER_METHOD = "Refused: {method} is not a method of this server."
OTHER_ORIGIN = "Refused: only the page of this server may change the project."
OTHER_BODY = "Refused: the body of a request is {types}."
