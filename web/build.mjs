// Builds both pages into the package: `npm run build`, after `npm ci`. LiteRT itself is packed by tools/web_runtime.py.
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const PAGE = "../poets_edge/exporting/page";
const STUDIO = "../poets_edge/studio/page";
const STATIC = ["index.html", "icon.svg", "icon-192.png", "icon-512.png", "manifest.webmanifest"];
const { version } = JSON.parse(await readFile("node_modules/@litertjs/core/package.json", "utf8"));
const OPTIONS = {
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "safari16.4", "firefox113", "chrome113"],
  define: { LITERT_VERSION: JSON.stringify(version) },
  charset: "utf8",
  logLevel: "warning",
};
const LITERT = [
  ["poets_edge", "../LICENSE"],
  [`LiteRT.js ${version} (@litertjs/core), Copyright Google LLC, under the Apache License 2.0, as above`, "NOTICE.txt"],
  ["@noble/hashes", "node_modules/@noble/hashes/LICENSE"],
];
const PREACT = ["preact", "@preact/signals", "@preact/signals-core"].map((name) => [name, `node_modules/${name}/LICENSE`]);

// The page of `poets-edge web`.
await begin(PAGE);
await build({
  ...OPTIONS,
  entryPoints: {
    app: "src/app.ts",
    worker: "src/worker.ts",
    "service-worker": "src/service-worker.ts",
    style: "src/style.css",
  },
  outdir: PAGE,
});
await build({ ...OPTIONS, format: "esm", entryPoints: { "poets-edge": "src/module.ts" }, outdir: PAGE });
for (const name of STATIC) await copyFile(`src/${name}`, `${PAGE}/${name}`);
await writeLicenses(PAGE, LITERT);

// The page of `poets-edge studio`; its worker and LiteRT are those of the other page.
await begin(STUDIO);
await build({
  ...OPTIONS,
  jsx: "automatic",
  jsxImportSource: "preact",
  entryPoints: { studio: "studio/main.tsx", style: "studio/style.css" },
  outdir: STUDIO,
});
await copyFile("studio/index.html", `${STUDIO}/index.html`);
await copyFile("src/icon.svg", `${STUDIO}/icon.svg`);
await writeLicenses(STUDIO, [...LITERT, ...PREACT]);

async function begin(folder) {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
}

async function writeLicenses(folder, licenses) {
  const texts = await Promise.all(
    licenses.map(async ([name, file]) => `${name}\n${"=".repeat(name.length)}\n\n${(await readFile(file, "utf8")).trimEnd()}`),
  );
  await writeFile(`${folder}/LICENSES.txt`, `${texts.join("\n\n\n")}\n`);
}

// The builds of LiteRT that the page chooses from; WebGPU's and JSPI's are not among them.
const RUNTIME = "build/runtime";
await rm(RUNTIME, { recursive: true, force: true });
await mkdir(RUNTIME, { recursive: true });
for (const name of ["litert_wasm_internal", "litert_wasm_compat_internal", "litert_wasm_threaded_internal"]) {
  const source = `node_modules/@litertjs/core/wasm/${name}`;
  const { code } = await transform(await readFile(`${source}.js`, "utf8"), { minify: true, target: "es2022" });
  await writeFile(`${RUNTIME}/${name}.js`, code);
  await copyFile(`${source}.wasm`, `${RUNTIME}/${name}.wasm`);
}
