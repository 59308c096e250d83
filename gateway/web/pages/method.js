// One method: what it does, takes, answers and refuses.
import { h, sample, words } from "./dom.js";
import { consoleOf } from "./console.js";
import { resolved } from "./document.js";
import { field, fields } from "./schema.js";

const REPEATS = {
  READ: "only reads", NATURAL: "a repeat changes nothing more", SECRET: "see the description",
  KEYED: "harmless with the same requestId", STORED: "harmless with the same requestId, for a day",
};

export function methodOf(method) {
  return h("article", {},
    h("h1", {}, method.operationId),
    h("p", { class: "route" }, h("span", { class: `verb ${method.verb.toLowerCase()}` }, method.verb), h("span", {}, route(method.path))),
    method.deprecated && h("p", { class: "old" }, "Deprecated: it will go."),
    words(method.description), facts(method),
    h("div", { class: "method" },
      h("div", {}, parameters(method), body(method), answers(method), refusals(method)),
      consoleOf(method)));
}

function route(path) {
  return path.split(/(\{[^}]+\})/).map((part) => (part.startsWith("{") ? h("i", {}, part) : part));
}

function facts(method) {
  const policy = method["x-palestra-policy"];
  const { limit } = policy;
  const said = [
    ["Who", { PUBLIC: "anyone", USER: "signed in", ROLE: `role ${policy.roles}` }[policy.access]],
    ["Scope", policy.scope && h("code", {}, policy.scope)],
    ["Limit", limit && `${limit.requests} in ${limit.windowS} s for each ${limit.key}`],
    ["Within", policy.timeoutMs ? `${policy.timeoutMs / 1000} s` : "streams until it ends"],
    ["Repeats", REPEATS[policy.repeat]],
    ["gRPC", h("code", {}, method["x-palestra-method"].slice(1))],
  ];
  return h("dl", { class: "facts" }, said.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function parameters(method) {
  const where = { path: "Path parameters", query: "Query parameters", header: "Header parameters" };
  return Object.entries(where).map(([place, title]) => {
    const own = (method.parameters || []).filter((each) => each.in === place);
    return own.length > 0 && [h("h2", {}, title), h("dl", { class: "fields" }, own.map((each) => (
      field(each.name, each.schema, each.required && "required", 0, each.description)
    )))];
  });
}

function body(method) {
  if (!method.requestBody) return null;
  const { schema } = method.requestBody.content["application/json"];
  return [h("h2", {}, "Body"), words(method.requestBody.description), fields(schema)];
}

function answers(method) {
  const [status, answer] = Object.entries(method.responses).find(([each]) => each.startsWith("2"));
  const contents = Object.entries(answer.content);
  const [, { schema, example }] = contents[0];
  return [
    h("h2", {}, `Answer ${status}`),
    h("p", { class: "quiet" }, contents.map(([type]) => type).join(" or "), contents.length > 1 ? ", by Accept. Each event:" : ""),
    fields(schema, "always there"),
    example && h("details", { class: "inner" }, h("summary", {}, "Example"), sample(JSON.stringify(example, null, 2))),
    "304" in method.responses && h("p", {}, h("b", {}, "304 "), method.responses[304].description.replaceAll("`", "")),
  ];
}

function refusals(method) {
  const rows = Object.entries(method.responses).flatMap(([status, each]) => (
    (resolved(each)["x-palestra-reasons"] || []).map((reason) => h("tr", {},
      h("td", {}, h("span", { class: "status" }, status)),
      h("td", {}, h("code", {}, reason.reason)),
      h("td", {}, h("p", {}, reason.en), h("p", { lang: "ru", class: "quiet" }, reason.ru))))
  ));
  return [
    h("h2", {}, "Refusals"),
    h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Refusals" }, h("table", {},
      h("thead", {}, h("tr", {}, ["HTTP", "Reason", "What people read"].map((each) => h("th", { scope: "col" }, each)))),
      h("tbody", {}, rows))),
  ];
}
