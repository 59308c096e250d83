// The OpenAPI document, and reading it.

const VERBS = ["get", "post", "put", "patch", "delete"];
let whole = null;

/** Loads the document and gives its methods, in the contract's order. */
export async function load() {
  const answer = await fetch("/docs/openapi.json");
  if (!answer.ok) throw new Error(`openapi.json: ${answer.status}`);
  whole = await answer.json();
  const methods = [];
  for (const [path, item] of Object.entries(whole.paths)) {
    for (const verb of VERBS) {
      if (item[verb]) methods.push({ ...item[verb], verb: verb.toUpperCase(), path });
    }
  }
  return { whole, methods };
}

/** What a reference refers to; its own description counts before the other's. */
export function resolved(holder) {
  let found = holder;
  while (found && found.$ref) {
    const { $ref, ...own } = found;
    const target = $ref.slice(2).split("/").reduce((at, part) => at[part], whole);
    found = { ...target, ...own, called: $ref.split("/").pop() };
  }
  const refused = found && found.enum && found.not && found.not.enum;
  return refused ? { ...found, enum: found.enum.filter((value) => !refused.includes(value)) } : found;
}

/** A schema's type in words. */
export function kind(schema) {
  const found = resolved(schema);
  if (found.type === "array") return `list of ${kind(found.items)}`;
  if (found.enum) return found.called || "one of";
  if (found.type === "object") {
    const values = found.additionalProperties;
    if (values && typeof values === "object") return `map to ${kind(values)}`;
    return found.called || "object";
  }
  if (found.contentEncoding) return "base64";
  const type = [].concat(found.type || "any").join(" or ");
  return found.format && !["int32", "double", "password"].includes(found.format) ? `${type}, ${found.format}` : type;
}

/** What a schema asks of a value, in words. */
export function bounds(schema) {
  const found = resolved(schema);
  const said = [];
  if (found.minimum > -2147483648 || found.maximum < 2147483647) {
    said.push(`${found.minimum ?? "…"} to ${found.maximum ?? "…"}`);
  }
  if (found["x-minimum"] || found["x-maximum"]) said.push(`${found["x-minimum"]} to ${found["x-maximum"]}`);
  if (found.maxLength) said.push(`${found.minLength || 0} to ${found.maxLength} characters`);
  if (found.maxItems) said.push(`at most ${found.maxItems}`);
  if (found.pattern && !String(found.format).endsWith("int64")) said.push(`like ${found.pattern}`);
  return said.join("; ");
}
