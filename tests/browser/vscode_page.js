/**
 * A page that shows widgets as VS Code's notebooks do; test_vscode.py bundles it.
 *
 * The widget manager is that of VS Code. Its kernel connection knows no subshells, and
 * hands over one message at a time: the next one when the page says that it took it.
 */

import { ServerConnection } from "@jupyterlab/services";
import { KernelConnection } from "@jupyterlab/services/lib/kernel/default";
import { activate } from "@vscode/jupyter-ipywidgets8";

const WIDGET = "application/vnd.jupyter.widget-view+json";

/** Between the extension, which has the socket, and the page is a wire of their own. */
class OneByOne extends WebSocket {
  #take = null;
  #waiting = [];
  #wire = new MessageChannel();
  #isTaking = false;

  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => {
      this.#waiting.push(data);
      this.#next();
    });
    this.#wire.port2.onmessage = ({ data }) => {
      this.#take?.({ target: this, data, type: "message" });
      this.#wire.port2.postMessage("taken");
    };
    this.#wire.port1.onmessage = () => {
      this.#isTaking = false;
      this.#next();
    };
  }

  set onmessage(take) {
    this.#take = take;
  }

  get onmessage() {
    return this.#take;
  }

  #next() {
    if (this.#isTaking || !this.#waiting.length) return;
    this.#isTaking = true;
    this.#wire.port1.postMessage(this.#waiting.shift());
  }
}

/** Where VS Code looks for widgets that it does not bring: the kernel's nbextensions. */
const scriptLoader = {
  widgetsRegisteredInRequireJs: new Set(),
  async loadWidgetScript(name) {
    window.requirejs.config({ paths: { [name]: `${location.origin}/static/vscode/${name}/index` } });
    this.widgetsRegisteredInRequireJs.add(name);
  },
  successHandler() {},
  errorHandler(...args) {
    window.problems.push(args.map(String).join(" "));
  },
};

window.problems = [];
window.undef = window.requirejs.undef;
activate();
window.vscIPyWidgets8.load();

/** Connect to a kernel that runs; then `run` shows what a cell displays. */
window.connect = async (id) => {
  const settings = ServerConnection.makeSettings({
    baseUrl: `${location.origin}/`,
    wsUrl: `${location.origin.replace("http", "ws")}/`,
    WebSocket: OneByOne,
  });
  const kernel = new KernelConnection({ model: { id, name: "python3" }, serverSettings: settings });
  await kernel.info;
  const cells = document.querySelector("#cells");
  const log = () => {};
  const { WidgetManager } = window.vscIPyWidgets;
  const manager = new WidgetManager(kernel, cells, scriptLoader, log);
  /** Resolves to what the cell printed; an error it raised, too. */
  window.run = async (code) => {
    const future = kernel.requestExecute({ code });
    let text = "";
    const shown = [];
    future.onIOPub = ({ header, content }) => {
      if (header.msg_type === "stream") text += content.text;
      if (header.msg_type === "error") text += content.traceback.join("\n");
      const view = content.data?.[WIDGET];
      if (view) shown.push(show(view));
    };
    await future.done;
    await Promise.all(shown);
    return text;
  };
  async function show(data) {
    const el = cells.appendChild(document.createElement("div"));
    try {
      const model = await manager.get_model(data.model_id);
      const view = await manager.create_view(model, { el });
      await manager.display_view(data, view, { node: el });
    } catch (error) {
      window.problems.push(String(error));
    }
  }
};
