// Builds the page into the package: `npm run build`, after `npm ci`. LiteRT itself is packed by tools/web_runtime.py.
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { build, transform } from "esbuild";

const OUT = "../poets_edge/exporting/page";
const STATIC = ["index.html", "style.css", "icon.svg", "icon-192.png", "icon-512.png", "manifest.webmanifest"];
const { version } = JSON.parse(await readFile("node_modules/@litertjs/core/package.json", "utf8"));

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT, { recursive: true });
await build({
  entryPoints: { app: "src/app.ts", worker: "src/worker.ts", "service-worker": "src/service-worker.ts" },
  bundle: true,
  minify: true,
  format: "iife",
  target: ["es2022", "safari16.4", "firefox113", "chrome113"],
  define: { LITERT_VERSION: JSON.stringify(version) },
  charset: "utf8",
  outdir: OUT,
  logLevel: "warning",
});
for (const name of STATIC) await copyFile(`src/${name}`, `${OUT}/${name}`);
const licences = [
  ["poets_edge", "../LICENSE"],
  [`LiteRT.js ${version} (@litertjs/core), Copyright Google LLC, under the Apache License 2.0, as above`, "NOTICE.txt"],
  ["@noble/hashes", "node_modules/@noble/hashes/LICENSE"],
];
const texts = await Promise.all(
  licences.map(async ([name, file]) => `${name}\n${"=".repeat(name.length)}\n\n${(await readFile(file, "utf8")).trimEnd()}`),
);
await writeFile(`${OUT}/LICENSES.txt`, `${texts.join("\n\n\n")}\n`);

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
