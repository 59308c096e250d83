// Schemas as lists of fields, messages inside to be opened.
import { h, inline, words } from "./dom.js";
import { bounds, kind, resolved } from "./document.js";

const DEEPEST = 6;

/** The fields of a message; the words of a schema that is none. `must` is what the needed ones are called. */
export function fields(schema, must = "required", depth = 0) {
  const found = inside(schema);
  const properties = Object.entries(found.properties || {});
  if (!properties.length) return h("p", { class: "quiet" }, found.type === "object" ? "An empty object." : kind(found));
  const choices = chosen(found);
  return h("dl", { class: "fields" }, properties.map(([name, each]) => (
    field(name, each, ((found.required || []).includes(name) && must) || (choices.has(name) && "one of these"), depth, "", must)
  )));
}

/** The fields of choices of which one must be there. */
function chosen(schema) {
  const asked = [schema, ...(schema.allOf || [])].flatMap((each) => each.anyOf || []);
  return new Set(asked.flatMap((each) => each.required || []));
}

/** One field, parameter or header. */
export function field(name, schema, needed, depth = 0, said = "", must = "required") {
  const found = resolved(schema);
  const limits = bounds(schema);
  return h("div", {},
    h("dt", {},
      h("b", {}, name), h("span", { class: "kind" }, kind(schema)),
      needed && h("span", { class: needed === "required" ? "must" : "kind" }, needed),
      found.readOnly && h("span", { class: "mark" }, "read only"),
      found.deprecated && h("span", { class: "mark old" }, "deprecated"),
      found["x-palestra-personal"] && h("span", { class: "mark", title: "A class of personal data" }, found["x-palestra-personal"].toLowerCase()),
    ),
    h("dd", {}, words(said || found.description), limits && h("span", { class: "kind" }, limits), more(schema, depth, must)));
}

function more(schema, depth, must) {
  const found = inside(schema);
  if (found.enum) return values(found);
  if (!found.properties || depth > DEEPEST) return null;
  // Drawn when it is opened: messages may hold themselves.
  const details = h("details", { class: "inner", ontoggle: () => {
    if (details.open && details.children.length < 2) details.append(fields(found, must, depth + 1));
  } }, h("summary", {}, count(Object.keys(found.properties).length, "field")));
  return details;
}

const count = (number, what) => `${number} ${what}${number === 1 ? "" : "s"}`;

function values(found) {
  const told = found["x-enumDescriptions"] || {};
  return h("details", { class: "inner" }, h("summary", {}, count(found.enum.length, "value")),
    h("dl", { class: "fields" }, found.enum.map((value) => (
      h("div", {}, h("dt", {}, h("b", {}, value)), told[value] && h("dd", {}, inline(told[value])))
    ))));
}

/** What a list or a map holds, down to something that has fields of its own. */
function inside(schema) {
  let found = resolved(schema);
  while (found.type === "array" || typeof found.additionalProperties === "object") {
    found = resolved(found.type === "array" ? found.items : found.additionalProperties);
  }
  return found;
}
