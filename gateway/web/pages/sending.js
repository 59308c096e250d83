// Sending a request and showing its answer: whole, or line by line where it streams.
import { h } from "./dom.js";
import { renew } from "./session.js";

const MOST_LINES = 500;
const STREAMS = /ndjson|event-stream/;

/** Sends, and draws into `place`; a token that is over is renewed and the call made once more. */
export async function send(request, place, signal, again) {
  const begun = performance.now();
  place.replaceChildren(h("p", { class: "quiet" }, "Waiting …"));
  try {
    let answer = await call(request, signal);
    if (answer.status === 401 && ["TOKEN_EXPIRED", "TOKEN_REVOKED"].includes(reasonOf(await answer.clone().json().catch(() => null))) && await renew()) {
      answer = await call(again(), signal);
    }
    await show(answer, place, begun);
  } catch (error) {
    const stopped = error.name === "AbortError";
    const told = h("p", { class: stopped ? "quiet" : "old", role: "alert" }, stopped ? "Stopped." : `No answer: ${error.message}`);
    if (stopped) place.append(told);
    else place.replaceChildren(told);
  }
}

function call({ verb, url, headers, body }, signal) {
  return fetch(url, { method: verb, headers, body, signal, cache: "no-store", credentials: "omit" });
}

async function show(answer, place, begun) {
  const good = answer.ok || answer.status === 304;
  const figures = h("span", {});
  const measure = (bytes) => {
    figures.textContent = `${Math.round(performance.now() - begun)} ms · ${bytes.toLocaleString("en")} bytes`;
  };
  const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  const body = h("pre", { tabindex: "0" });
  place.replaceChildren(
    h("div", { class: "line" }, h("span", { class: `status ${good ? "good" : "bad"}` }, `${answer.status} ${answer.statusText}`), figures),
    h("details", { class: "more" }, h("summary", {}, "Headers"), h("pre", {}, headers)), body);
  measure(0);
  if (good && STREAMS.test(answer.headers.get("content-type"))) {
    await stream(answer, body, measure);
    return;
  }
  const text = await answer.text();
  measure(new TextEncoder().encode(text).length);
  let told = null;
  try { told = JSON.parse(text); } catch { /* Shown as it is. */ }
  body.textContent = told == null ? text || "(no body)" : JSON.stringify(told, null, 2);
  if (!good && reasonOf(told)) body.before(reason(told));
}

async function stream(answer, body, measure) {
  let bytes = 0;
  const decoder = new TextDecoder();
  const lines = [];
  let rest = "";
  for (const reader = answer.body.getReader(); ;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    const pieces = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = pieces.pop();
    lines.push(...pieces);
    // The newest only: a watch may go on for hours.
    if (lines.length > MOST_LINES) lines.splice(0, lines.length - MOST_LINES);
    body.textContent = lines.join("\n");
    body.scrollTop = body.scrollHeight;
    measure(bytes);
  }
}

function detail(told, type) {
  return (told?.details || []).filter((each) => String(each["@type"]).endsWith(type));
}

const reasonOf = (told) => detail(told, "ErrorInfo")[0]?.reason;

function reason(told) {
  return h("div", { class: "reason" }, h("b", {}, reasonOf(told)),
    detail(told, "LocalizedMessage").map((each) => h("div", { lang: each.locale }, each.message)));
}
