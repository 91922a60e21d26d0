/**
 * All text of the studio's page, in English: `text`, and the sentences of the code that it shares with the page of
 * `poets-edge web`. A translation replaces this file.
 */

const LOCALE = "en";

/** "1 photo", "5,000 photos". */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString(LOCALE)} ${count === 1 ? one : many}`;
}

export function number(value: number): string {
  return value.toLocaleString(LOCALE);
}

/** "93.5 %", with a space at which lines do not break; `share` is between 0 and 1. */
export function percent(share: number, digits = 0): string {
  return `${(100 * share).toFixed(digits)}\u00a0%`;
}

export function milliseconds(value: number): string {
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

export function bytes(count: number): string {
  return count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(1)} MB`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function dateAndTime(iso: string): string {
  return new Date(iso).toLocaleString(LOCALE, { dateStyle: "medium", timeStyle: "short" });
}

const photos = (count: number) => counted(count, "photo");
const classes = (count: number) => counted(count, "class", "classes");

/** What to show for an error that no other sentence describes. */
export const unexpected = (detail: string) => `An unexpected error occurred (${detail}). Reload the page.`;

export const cameraText = {
  unsupported: "This browser does not give web pages access to a camera.",
  insecure: "Browsers give access to the live camera only to pages that are loaded over HTTPS.",
  instead: (obstacle: string) => `${obstacle} Take or choose a photo instead.`,
  refused: "Access to the camera was denied. Allow it in the browser's settings for this page, or choose a photo.",
  missing: "No camera was found. Choose a photo instead.",
  busy: "The camera is in use by another program. Close the program, or choose a photo.",
  failed: (detail: string) => `The camera could not be started (${detail}). Choose a photo instead.`,
  gone: "The camera was disconnected. Start it again, or choose a photo.",
};

export const photoText = {
  large: (megapixels: number, most: number) =>
    `This photo has ${megapixels} megapixels; the page accepts up to ${most}. Reduce its size first.`,
  heic: "This browser cannot read HEIC photos. Choose a JPEG or PNG, or set the camera to “most compatible”.",
  unreadable: "The browser cannot read this file as a picture. Choose a JPEG or PNG.",
};

export const modelText = {
  unreachable: "The model could not be loaded. Check the connection, and reload the page.",
  absent: (status: number) =>
    `model.tflite was not found beside this page (status ${status}). Write the page again: poets-edge web MODEL`,
  noRange:
    "The model does not specify its input range. Write the page with it: poets-edge web MODEL --input-range 0:1, -1:1 or 0:255",
  foreign: "model.tflite is not a TensorFlow Lite model. Export it again, or copy it again.",
  damaged: "model.tflite is damaged. Export it again, or copy it again.",
  count: (found: number, end: string) => `The model has ${found} ${end}s; an image classifier has one.`,
  type: (end: string) => `The type of the model's ${end} is not supported. Supported types: float32, uint8, int8.`,
  shape: (shape: readonly number[]) => `The input of the model is [${shape}], not one color picture [1, height, width, 3].`,
  normalization: (mean: readonly number[], std: readonly number[]) =>
    `The normalization of the model (mean ${mean}, deviation ${std}) is invalid. Export the model again.`,
  noLabels: "The model does not contain labels. Export it with poets-edge.",
  labels: (outputs: number, labels: number) => `The model has ${outputs} outputs but ${labels} labels.`,
};

export const runtimeText = {
  start: "LiteRT, which runs the model, could not be started. Use a current browser, and reload the page.",
  refused: "LiteRT cannot run this model. Export it again with poets-edge.",
  stopped: "The background process that runs the model has stopped. Reload the page.",
  threads: "This page cannot use several threads.",
};

export const text = {
  product: "poets_edge studio",
  local: "Everything stays on this computer.",
  demo: "Demonstration with drawn photos",
  licenses: "Licenses",
  steps: "Steps",
  skip: "Skip to the content",
  loading: "Opening the project…",
  offline: "The studio does not respond. If it was stopped, start it again in the terminal, and open the address that it prints.",
  restarted: "The studio was restarted. Open the address that it printed in the terminal; this page then continues.",
  undo: "Undo",
  redo: "Redo",
  undoStep: (step: string) => `Undo: ${step}`,
  redoStep: (step: string) => `Redo: ${step}`,
  undone: (step: string) => `Undone: ${step}`,
  redone: (step: string) => `Redone: ${step}`,
  cancel: "Cancel",
  close: "Close",
  dismiss: "Dismiss",
  photos,
  moreWarnings: (count: number) => counted(count, "more warning"),
  step: { photos: "Photos", check: "Check", train: "Train", try: "Try", choose: "Choose", take: "Take it" },
  state: {
    photos: (all: number, labels: number) => `${photos(all)}, ${classes(labels)}`,
    noPhotos: "Start here",
    findings: (count: number) => (count ? `${count} to decide` : "Nothing left to decide"),
    notChecked: "Not checked yet",
    trained: (accuracy: number | null) => (accuracy === null ? "Trained" : `${percent(accuracy)} correct`),
    retrain: "Changed: retrain",
    notTrained: "Not trained yet",
    try: "Camera or photo",
    choose: "Speed or accuracy",
    take: (files: number) => (files ? `${counted(files, "file")} ready` : "Files, Pi, phone, web"),
    needsModel: "After training",
  },
  job: {
    audit: "Checking photos",
    train: "Training",
    grid: "Comparing networks",
    deploy: "Deploying",
    take: "Preparing a download",
    left: (seconds: number) => `about ${duration(seconds)} left`,
    canceled: "Canceled.",
    failed: (line: string) => line,
    done: {
      audit: "The check is done.",
      train: "Training is done.",
      grid: "The comparison is done.",
      deploy: "The model runs on the device.",
      take: "The download is ready.",
    },
  },
  photo: {
    title: "Photos",
    lead: "Each class is a folder. Add 20 photos or more to each, as varied as what the camera will see.",
    all: "All photos",
    addClass: "Add class",
    className: "Name of the class",
    newClass: "New class",
    rename: (name: string) => `Rename ${name}`,
    remove: (name: string) => `Remove ${name}`,
    removed: (name: string) => `${name} is in the bin`,
    renamed: (before: string, after: string) => `Renamed ${before} to ${after}`,
    added: (name: string) => `Added ${name}`,
    excluded: (count: number) => `${number(count)} excluded`,
    unreadable: (count: number) => `${number(count)} unreadable`,
    few: "few",
    fewHint: (name: string, most: string) => `${name} has less than a third of the photos of ${most}`,
    imbalance: (small: string, large: string, times: number) =>
      `${large} has ${times} times as many photos as ${small}. Add photos to ${small}, or the model will favor ${large}.`,
    show: "Show",
    filter: { all: "All", ok: "Used", excluded: "Excluded", unreadable: "Unreadable" },
    grid: (where: string) => `Photos: ${where}`,
    selected: (count: number) => `${number(count)} selected`,
    selectAll: "Select all",
    clear: "Clear",
    move: "Move to…",
    exclude: "Exclude",
    include: "Include",
    delete: "Delete",
    moved: (count: number, name: string) => `Moved ${photos(count)} to ${name}`,
    excludedDone: (count: number) => `Excluded ${photos(count)} from training`,
    includedDone: (count: number) => `Included ${photos(count)} again`,
    deletedDone: (count: number) => `Moved ${photos(count)} to the bin`,
    keys: "Shift or drag selects · 1–9 moves · X excludes",
    touch: "Tap selects, hold opens",
    add: "Add photos",
    files: "Photos or zips",
    folder: "Folder",
    record: "Record",
    phone: "Phone",
    empty: "Drop photos here",
    emptyHint: "Folders, zips or photos. A folder becomes a class. Or record photos with the camera.",
    emptyClass: (name: string) => `No photos in ${name} yet`,
    emptyClassHint: "Drop photos here, record some with the camera, or take them with a phone.",
    nothing: "No photos match this filter",
    drop: (name: string | undefined) => (name === undefined ? "Drop to add: a folder becomes a class" : `Drop to add to ${name}`),
    needClass: "Choose or add a class first. Only photos in folders and zips have a class of their own.",
    uploading: (done: number, all: number) => `Adding ${number(done)} of ${number(all)}`,
    uploaded: (count: number) => `Added ${photos(count)}`,
    skipped: (count: number) => `${counted(count, "file")} skipped`,
    skippedTitle: "Skipped files",
    skippedAll: (name: string, reason: string, more: number) =>
      `${name}: ${reason}${more ? ` (and ${counted(more, "more file")})` : ""}`,
    notPhoto: "neither a photo nor a zip",
    tooLarge: (most: number) => `larger than ${bytes(most)}`,
    notSent: "not sent; add it again",
    open: (name: string) => `Open ${name}`,
    previous: "Previous photo",
    next: "Next photo",
    of: (at: number, all: number) => `${number(at)} of ${number(all)}`,
    dragging: (count: number) => photos(count),
    gone: "This photo was moved, renamed or deleted.",
  },
  record: {
    title: "Record with the camera",
    into: "Class",
    hold: "Hold to record",
    holding: "Recording…",
    hint: "Hold the button or the space bar. Turn the object, change distance and light.",
    taken: (count: number) => `${photos(count)} recorded`,
    starting: "Starting the camera…",
    switch: "Switch camera",
    preview: "Camera image",
  },
  phone: {
    title: "Use a phone",
    scan: {
      photos: "Scan with the phone's camera. The phone shows this project and can take photos into it.",
      try: "Scan with the phone's camera. The phone runs the model on its own camera images.",
    },
    code: "QR code of the studio's address",
    not: "The studio can be reached from this computer only.",
    certificate: "The phone warns about the certificate, because this computer created it. Continue to the page.",
  },
  check: {
    title: "Check",
    lead: "Finds photos that probably hurt the model. Nothing is decided for you, and every step can be undone.",
    start: "Check photos",
    again: "Check again",
    none: "Add photos of two classes first.",
    clean: "Nothing left to decide",
    cleanHint: "Train the model next.",
    toTrain: "Go to training",
    suspects: "Probably in the wrong class",
    suspectsHint: "Sorted by how much the correct label would help the model.",
    doubtful: "Less certain cases",
    doubtfulHint: "Probably in the right class; worth a look if there is time.",
    duplicates: "Near-duplicates",
    duplicatesHint: "Copies in training and test photos make the accuracy look better than it is.",
    outliers: "Outliers",
    outliersHint: "Photos unlike the rest of their class.",
    strangers: "Strangers",
    strangersHint: "Photos unlike every class.",
    unreadable: "Unreadable files",
    unreadableHint: "Cannot be decoded, so training skips them.",
    isIn: (name: string) => `in ${name}`,
    looksLike: (name: string, confidence: number) => `looks like ${name} (${percent(confidence)})`,
    moveTo: (name: string) => `Move to ${name}`,
    keep: "Keep",
    kept: (count: number) => `Kept ${photos(count)} as ${count === 1 ? "it is" : "they are"}`,
    exclude: "Exclude",
    bin: "Delete",
    keepFirst: "Keep the first",
    keepAll: "Keep all",
    keys: "Keys for the focused photo: M moves it to the suggested class · K keeps it · X excludes it · Delete removes it",
    decided: (done: number, all: number) => `${number(done)} of ${number(all)} decided`,
    more: (count: number) => `Show ${number(count)} more`,
    photo: (path: string, detail: string) => `${path}, ${detail}`,
  },
  train: {
    title: "Train",
    lead: "Learns your classes from the photos. Retraining after a change takes seconds.",
    choices: "How thorough",
    choice: { quick: "Quick", balanced: "Balanced", best: "Best", network: "A network by name" },
    choiceHint: {
      quick: "A small network. Seconds; runs on every device.",
      balanced: "A medium network. The usual choice.",
      best: "A large network. Minutes; slower on small devices.",
      network: "A particular network of your choice.",
    },
    network: "Network",
    start: "Train",
    again: "Train again",
    need: "Training needs two classes with photos.",
    curve: "Accuracy while training",
    curveSteps: "step",
    training: "training photos",
    validation: "validation photos",
    now: (training: number, validation: number) => `Training photos ${percent(training)}, validation photos ${percent(validation)}`,
    preparing: "Reading the photos. The curve follows.",
    result: "Result",
    correct: "correct",
    trained: (name: string, when: string) => `${name}, trained ${when}`,
    stale: "Photos have changed since this model was trained.",
    confusion: "Confusion matrix",
    confusionHint: "Rows: the class of the photo. Columns: the prediction of the model. Click a number to see its photos.",
    cell: (count: number, label: string, predicted: string) => `${photos(count)} of ${label} classified as ${predicted}`,
    right: (count: number, label: string) => `${photos(count)} of ${label} correct`,
    answered: (predicted: string, score: number) => `${predicted} (${percent(score)})`,
    actual: "Class",
    more: "Would more photos help?",
    moreUnknown: "A check of the photos estimates how much more photos would help.",
    toCheck: "Go to the check",
    photograph: (name: string) => `Add photos of ${name}`,
    changes: "What changed",
    changesHint: "Photos that the model classifies differently since the last training.",
    noChanges: "Every photo is classified as before.",
    change: (before: string, after: string) => `${before} → ${after}`,
    tryNext: "Try the model",
  },
  try: {
    title: "Try",
    lead: "Runs the file that you can download, in this page.",
    need: "Train a model first.",
    form: "File",
    loading: "Loading the model…",
    start: "Start camera",
    stop: "Stop camera",
    freeze: "Freeze",
    resume: "Resume",
    choose: "Choose a photo",
    hint: "Start the camera, or drop a photo here.",
    video: "Camera image",
    picture: "The photo",
    answer: "Prediction",
    unknown: "I don't know this",
    unknownHint: "Unlike the photos that the model was trained on.",
    unsure: "Not sure",
    timing: (inference: number, rate: number | undefined) =>
      `${milliseconds(inference)} for a prediction${rate === undefined ? "" : `, ${Math.round(rate)} images per second`}`,
    wrong: "Wrong? Add the photo to its correct class",
    fileUnder: (name: string) => `Add to ${name}`,
    filedCount: (count: number) => `${photos(count)} added`,
    retrain: "Retrain",
    keys: "Keys: 1 to 9 add to a class · space freezes",
  },
  choose: {
    title: "Choose",
    lead: "Compares the accuracy and the speed of several networks on your photos, as float32 and int8 files.",
    need: "Add photos of two classes first.",
    start: "Compare networks",
    again: "Compare again",
    on: "Device",
    here: "This computer",
    pi: "Raspberry Pi or another device",
    host: "Host name or user@host",
    hostHint: "Over SSH with your key.",
    limitLatency: "Slowest allowed",
    limitAccuracy: "Lowest accuracy",
    none: "no limit",
    chart: "Accuracy over latency",
    latency: "milliseconds for one photo",
    point: (name: string, form: string, accuracy: number, latency: number, size: number) =>
      `${name}, ${form}: ${percent(accuracy, 1)}, ${milliseconds(latency)}, ${bytes(size)}`,
    nothing: "No network is within both limits. Drag a limit outwards.",
    ship: "Ship this one",
    because: (accuracy: number, latency: number, rank: string) => `${percent(accuracy, 1)} correct in ${milliseconds(latency)}. ${rank}`,
    mostAccurate: "The most accurate within the limits; of equals, the fastest.",
    own: "Your choice.",
    table: "All points as a table",
    columns: ["Network", "Format", "Accuracy", "Interval", "Latency", "Size"],
  },
  take: {
    title: "Take it",
    lead: "Each file contains the labels and settings, and was evaluated on test photos.",
    files: "Files",
    use: {
      float32: "Most accurate; for computers and phones.",
      float16: "Half the size; for GPUs.",
      dynamic: "A quarter of the size; any processor.",
      "dynamic-range": "A quarter of the size; any processor.",
      int8: "Small and fast; for Raspberry Pi and phones.",
      "full-int8": "Whole numbers only; for microcontrollers and NPUs.",
    } as Record<string, string>,
    verified: (accuracy: number, tested: number) => `verified: ${percent(accuracy, 1)} of ${counted(tested, "test photo")} correct`,
    chosen: "your choice",
    prepare: "Prepare",
    download: "Download",
    targets: "For other places",
    target: {
      web: ["Web page", "A folder for any web server; works offline on phones."],
      apk: ["Android app", "An APK to install on Android phones, with this model in it."],
      coreml: ["iPhone, iPad and Mac", "A Core ML model for apps."],
      frigate: ["Frigate", "A classification model for your cameras."],
      firmware: ["Microcontroller", "A firmware folder with the model as C source."],
      onnx: ["ONNX", "For ONNX Runtime and other programs."],
      android: ["Sources of the Android app", "To change the app in Android Studio."],
    } as Record<string, readonly [string, string]>,
    phone: "Phone",
    phoneHint: "Opens the model on a phone by QR code.",
    qr: "Show QR code",
    board: "Board",
  },
  deploy: {
    title: "Raspberry Pi and Home Assistant",
    lead: "Copies the model to the device over SSH, starts it with the camera, and shows its first labels.",
    host: "Host name or user@host",
    password: "Password, if there is no key",
    passwordHint: "Used once, not stored.",
    source: "Camera or stream",
    sourceHint: "Empty: the camera of the device.",
    home: "Publish to Home Assistant",
    homeHint: "Home Assistant finds the camera through its MQTT broker, and shows the label, the score and a snapshot.",
    mqtt: "MQTT broker",
    mqtt_login: "Login, user:password",
    loginHint: "Stored on the device, for its user only.",
    mqtt_name: "Name of the camera",
    nameHint: "Empty: the name of the device.",
    start: "Deploy",
    firstLabels: "First labels on the device",
  },
};
