// What was filled in -> a request, and the same as curl, Python and gRPC.
import { token } from "./session.js";

/** URL, headers and body of a method with values by parameter. */
export function requestOf(method, values, body, accept) {
  const headers = {};
  const query = new URLSearchParams();
  let path = method.path;
  for (const parameter of method.parameters || []) {
    const value = values[parameter.name];
    if (value == null || value === "" || (Array.isArray(value) && !value.length)) continue;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (parameter.in === "header") headers[parameter.name.toLowerCase()] = value;
    else for (const each of [].concat(value)) query.append(parameter.name, each);
  }
  if (accept) headers.accept = accept;
  if (method.requestBody) headers["content-type"] = "application/json";
  if (method.security.length && token()) headers.authorization = `Bearer ${token()}`;
  const asked = query.size ? `?${query}` : "";
  return { verb: method.verb, url: location.origin + path + asked, headers, body: method.requestBody ? body : null };
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The request as a command; the token is named, not shown. */
export function curl(request, streams) {
  const lines = [`curl ${streams ? "-N " : ""}${request.verb === "GET" ? "" : `-X ${request.verb} `}${quoted(request.url)}`];
  for (const [name, value] of Object.entries(request.headers)) {
    lines.push(name === "authorization" ? '-H "Authorization: Bearer $TOKEN"' : `-H ${quoted(`${name}: ${value}`)}`);
  }
  if (request.body != null) lines.push(`-d ${quoted(request.body)}`);
  return lines.join(" \\\n  ");
}

/** The request's message as JSON, as gRPC tools take it. */
export function message(method, values, body) {
  const grpc = method["x-palestra-grpc"];
  const made = {};
  let said = {};
  try { said = JSON.parse(body || "{}"); } catch { said = {}; }
  if (grpc.body === "*") Object.assign(made, said);
  else if (grpc.body) made[grpc.body] = said;
  for (const [field, template] of Object.entries(grpc.names)) {
    put(made, camel(field), template.replace(/\{(\w+)\}/g, (_, name) => values[name] || `{${name}}`));
  }
  for (const { name, in: where, schema } of method.parameters || []) {
    const value = values[name];
    if (where !== "query" || value == null || value === "" || (Array.isArray(value) && !value.length)) continue;
    put(made, name, ["integer", "number"].includes(schema.type) ? Number(value) : value);
  }
  return made;
}

function put(holder, path, value) {
  const names = path.split(".");
  const last = names.pop();
  for (const name of names) holder = holder[name] ??= {};
  holder[last] = value;
}

const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());

/** A call with grpcurl and the downloadable descriptor set. */
export function grpcurl(method, made) {
  const lines = ["grpcurl -protoset palestra.binpb -plaintext"];
  if (location.protocol === "https:") lines[0] = "grpcurl -protoset palestra.binpb";
  if (method.security.length) lines.push('-H "authorization: Bearer $TOKEN"');
  lines.push(`-d ${quoted(JSON.stringify(made))}`, location.host, method["x-palestra-method"].slice(1));
  return lines.join(" \\\n  ");
}

/** JSON as Python writes it; nothing here is null. */
const literal = (value) => JSON.stringify(value, null, 4).replace(/: (true|false)(,?)$/gm, (_, said, comma) => `: ${said === "true" ? "True" : "False"}${comma}`);

/** A call with the stubs that protoc makes for Python. */
export function python(method, made) {
  const { file, request } = method["x-palestra-grpc"];
  const parts = file.replace(".proto", "").split("/");
  const name = parts.pop();
  const [, service, rpc] = method["x-palestra-method"].match(/\.(\w+)\/(\w+)$/);
  const signed = method.security.length ? ', metadata=[("authorization", f"Bearer {token}")]' : "";
  const streams = "application/x-ndjson" in method.responses[200].content;
  const channel = location.protocol === "https:" ? "secure_channel" : "insecure_channel";
  const credentials = channel === "secure_channel" ? ", grpc.ssl_channel_credentials()" : "";
  return [
    "import grpc", "from google.protobuf.json_format import ParseDict",
    `from ${parts.join(".")} import ${name}_pb2 as pb, ${name}_pb2_grpc as rpc`, "",
    `request = ParseDict(${literal(made)}, pb.${request}())`,
    `with grpc.${channel}("${location.host}"${credentials}) as channel:`,
    `    stub = rpc.${service}Stub(channel)`,
    ...(streams
      ? [`    for event in stub.${rpc}(request${signed}):`, "        print(event)"]
      : [`    print(stub.${rpc}(request${signed}, timeout=5))`]),
  ].join("\n");
}
