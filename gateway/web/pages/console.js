// The console: fills in a request, sends it, shows what comes back as it comes.
import { h, sample } from "./dom.js";
import { resolved } from "./document.js";
import { curl, grpcurl, message, python, requestOf } from "./request.js";
import { send } from "./sending.js";
import { onChange, signIn, token } from "./session.js";

const kept = new Map();
let forget = () => {};

/** The console of a method; what was filled in stays as long as the page. */
export function consoleOf(method) {
  const state = kept.get(method.operationId) || start(method);
  kept.set(method.operationId, state);
  const samples = h("div", {});
  const said = h("div", { class: "said", "aria-live": "polite" });
  const note = h("p", { class: "quiet" });
  const asked = () => requestOf(method, state.values, state.body, state.accept);
  const draw = () => {
    tabs(samples, method, state, asked);
    note.replaceChildren(...(method.security.length && !token()
      ? [h("button", { type: "button", onclick: signIn }, "Sign in"), " to call this; without, see how it refuses."] : []));
  };
  const submit = h("button", { class: "first" }, "Send");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  const form = h("form", { class: "form", novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    const aborter = new AbortController();
    stop.onclick = () => aborter.abort();
    [submit.disabled, stop.hidden] = [true, false];
    await send(asked(), said, aborter.signal, asked);
    [submit.disabled, stop.hidden] = [false, true];
  }, onkeydown: (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  } },
  (method.parameters || []).map((each) => input(each, state, draw)),
  method.requestBody && body(state, draw), streams(method) && accepts(state, draw),
  note, h("div", { class: "line" }, submit, stop, h("span", { class: "quiet" }, "Ctrl + Enter")));
  forget();
  forget = onChange(draw);
  draw();
  return h("aside", { class: "try", "aria-label": "Try it" }, h("h2", {}, "Try it"), form, said, samples);
}

export const streams = (method) => "text/event-stream" in (method.responses[200].content || {});

function start(method) {
  const values = {};
  for (const each of method.parameters || []) if (each.example != null) values[each.name] = each.example;
  const body = method.requestBody ? JSON.stringify(method.requestBody.content["application/json"].example, null, 2) : "";
  return { values, body, accept: streams(method) ? "application/x-ndjson" : "", tab: "curl" };
}

function input(parameter, state, draw) {
  const schema = resolved(parameter.schema);
  const choices = schema.enum || (schema.type === "boolean" ? ["true", "false"] : null);
  const listed = schema.type === "array";
  const now = state.values[parameter.name] ?? "";
  const changed = (event) => {
    const { value } = event.target;
    state.values[parameter.name] = listed ? value.split(",").map((each) => each.trim()).filter(Boolean) : value;
    draw();
  };
  const control = choices
    ? h("select", { onchange: changed }, h("option", { value: "" }, "—"), choices.map((each) => h("option", { value: each }, each)))
    : h("input", { type: schema.type === "integer" ? "number" : "text", oninput: changed, spellcheck: "false", autocomplete: "off", placeholder: listed ? "a, b, c" : "" });
  control.value = [].concat(now).join(", ");
  return h("label", {}, h("span", {}, parameter.name, parameter.required && h("em", {}, " *")), control);
}

function body(state, draw) {
  const area = h("textarea", { rows: Math.min(14, state.body.split("\n").length + 1), spellcheck: "false", oninput: () => {
    state.body = area.value;
    let wrong = false;
    try { JSON.parse(area.value); } catch { wrong = true; }
    area.classList.toggle("wrong", wrong);
    area.setAttribute("aria-invalid", String(wrong));
    draw();
  } });
  area.value = state.body;
  return h("label", {}, h("span", {}, "body"), area);
}

function accepts(state, draw) {
  const select = h("select", { onchange: () => { state.accept = select.value; draw(); } },
    h("option", { value: "application/x-ndjson" }, "lines (application/x-ndjson)"),
    h("option", { value: "text/event-stream" }, "events (text/event-stream)"));
  select.value = state.accept;
  return h("label", {}, h("span", {}, "accept"), select);
}

function tabs(place, method, state, asked) {
  const made = message(method, state.values, state.body);
  const all = { curl: () => curl(asked(), streams(method)), Python: () => python(method, made), grpcurl: () => grpcurl(method, made) };
  const choose = (name) => { state.tab = name; tabs(place, method, state, asked); place.querySelector("[aria-selected=true]").focus(); };
  const names = Object.keys(all);
  place.replaceChildren(
    h("div", { class: "tabs", role: "tablist", "aria-label": "The same call", onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) choose(names[(names.indexOf(state.tab) + step + names.length) % names.length]);
    } }, names.map((name) => h("button", {
      type: "button", role: "tab", "aria-selected": String(name === state.tab), tabindex: name === state.tab ? "0" : "-1", onclick: () => choose(name),
    }, name))),
    h("div", { role: "tabpanel", "aria-label": state.tab }, sample(all[state.tab]())));
}
