// The package in a worker: Pyodide, NumPy, regex and the wheel of roberta, all from this site's own folder `runtime`.
// A question is {id, verb, arguments}; its answer {id, value} or {id, error: {kind, message, line}}. When everything is
// loaded, {ready: {seconds by step}} is sent, or {failed: message}.

import { loadPyodide } from "../runtime/pyodide.mjs";

const FOLDER = new URL("../runtime/", import.meta.url).href;
const began = performance.now();
const seconds = () => (performance.now() - began) / 1000;

async function start() {
  const sources = ["stand_ins.py", "spec.py"];
  const texts = Promise.all(sources.map(async (name) => {
    const response = await fetch(FOLDER + name);
    if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
    return response.text();
  }));
  const python = await loadPyodide({
    indexURL: FOLDER,
    packageBaseUrl: FOLDER,
    packages: ["numpy", "regex", "roberta"],
    checkAPIVersion: true,
  });
  const loaded = seconds();
  (await texts).forEach((text, i) => python.FS.writeFile(`/home/pyodide/${sources[i]}`, text));
  python.runPython("import sys; sys.path.insert(0, '/home/pyodide'); import stand_ins; stand_ins.install(); import spec");
  const imported = seconds();
  const answer = python.globals.get("spec").answer;
  const about = JSON.parse(answer("about", "{}")); // loads the checkpoint, too
  if (about.error) throw new Error(about.error.message);
  self.postMessage({ ready: { ...about.value, seconds: { loaded, imported, ready: seconds() } } });
  return answer;
}

const started = start();
started.catch((error) => self.postMessage({ failed: String(error?.message ?? error) }));

self.onmessage = async ({ data: { id, verb, arguments: given } }) => {
  try {
    self.postMessage({ id, ...JSON.parse((await started)(verb, JSON.stringify(given))) });
  } catch (error) { // the interpreter itself broke: out of memory, for one
    self.postMessage({ id, error: { kind: "Error", message: String(error?.message ?? error), line: null } });
  }
};
