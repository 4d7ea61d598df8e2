// The worker that runs the package: started when it is first asked, and anew after it was stopped.
//
// Pages that only want a mistake made need no more than
//   await window.robertaRuntime.run("tanh-gelu", "She was <mask> to see him.")
// which resolves to the fields of `roberta.teaching.faults.FaultRun`, and rejects with an Error.

export class Runtime extends EventTarget {
  #worker = null;
  #ready = null;
  #waiting = new Map();
  #count = 0;

  /** Start it, unless it runs. Resolves to what the package has to offer, with the seconds of the start. */
  start() {
    this.#ready ??= new Promise((resolve, reject) => {
      this.#waiting.set("start", { resolve, reject });
      this.#worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      this.#worker.onmessage = ({ data }) => this.#hear(data);
      this.#worker.onerror = (event) => this.stop(event.message || "the worker could not be loaded");
      this.#tell("starting");
    });
    return this.#ready;
  }

  /** Ask it one thing; see spec.py for the verbs. */
  async ask(verb, given = {}) {
    await this.start();
    return new Promise((resolve, reject) => {
      const id = ++this.#count;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, verb, arguments: given });
    });
  }

  /** Make one mistake: `roberta.teaching.faults.run_fault`. */
  run(name, text) {
    return this.ask("run_fault", { name, text });
  }

  /** End it, in the middle of a loop, too. Whoever waits for an answer is told so. */
  stop(why = "stopped") {
    this.#worker?.terminate();
    this.#worker = this.#ready = null;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    waiting.forEach(({ reject }) => reject(new Error(why)));
    this.#tell("stopped", why);
  }

  #hear({ id = "start", value, error, ready, failed }) {
    if (failed) return this.stop(failed);
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) return reject(Object.assign(new Error(error.message), { name: error.kind, line: error.line }));
    resolve(ready ?? value);
    if (ready) this.#tell("ready", ready);
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

export const runtime = new Runtime();
window.robertaRuntime = runtime;
