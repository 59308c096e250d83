// Who is signed in. The tokens live in this page's memory and nowhere else: closed, they are gone.
import { h } from "./dom.js";

let session = null;
const listeners = new Set();

export const token = () => (session ? session.accessToken : "");

/** Calls the listener at every sign-in and sign-out; gives what ends that. */
export function onChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function keep(told) {
  session = told;
  listeners.forEach((listener) => listener());
}

async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.message);
  return told;
}

/** Changes the refresh token for new ones; false where the session has ended. */
export async function renew() {
  if (!session) return false;
  try {
    const told = await post("/v1/auth:refresh", { refreshToken: session.refreshToken });
    keep({ ...session, ...told });
    return true;
  } catch {
    keep(null);
    return false;
  }
}

async function leave() {
  const { refreshToken } = session;
  keep(null);
  await post("/v1/auth:logout", { refreshToken }).catch(() => {});
}

/** The header's corner: who is signed in, or a button. */
export function corner(place) {
  const draw = () => place.replaceChildren(...(session
    ? [h("b", { title: session.user }, session.email), h("button", { type: "button", onclick: leave }, "Sign out")]
    : [h("button", { type: "button", class: "first", onclick: signIn }, "Sign in")]));
  onChange(draw);
  draw();
}

const contact = (address) => (address.includes("@") ? { email: address } : { phone: address });

function proof(typed) {
  const code = typed.trim();
  return code.replaceAll(" ", "").length === 6 ? { totpCode: code } : { recoveryCode: code };
}

/** Asks for address and password, and for a code where there is a second factor; the new account
 * is a real one of this stack. */
export function signIn() {
  const address = h("input", { required: true, autocomplete: "username" });
  const code = h("input", { autocomplete: "one-time-code" });
  const second = h("label", { hidden: true }, "Code of the app, or a recovery code", code);
  let asked = null;
  const password = h("input", { type: "password", required: true, autocomplete: "current-password" });
  const wrong = h("p", { class: "old", role: "alert" });
  const enter = async (make) => {
    wrong.textContent = "";
    try {
      const told = await make();
      if (told.secondFactor) {
        asked = told.secondFactor;
        second.hidden = false;
        code.required = true;
        code.focus();
        return;
      }
      keep(told);
      dialog.close();
    } catch (error) {
      wrong.textContent = error.message;
      code.value = "";
    }
  };
  const form = h("form", { class: "form", onsubmit: (event) => {
    event.preventDefault();
    enter(async () => ({
      email: address.value,
      ...await (asked
        ? post("/v1/auth:completeLogin", { ticket: asked.ticket, proof: proof(code.value) })
        : post("/v1/auth:login", { ...contact(address.value), password: password.value })),
    }));
  } },
  h("label", {}, "E-mail or phone", address), h("label", {}, "Password", password), second, wrong,
  h("div", { class: "line" },
    h("button", { class: "first" }, "Sign in"),
    h("button", { type: "button", onclick: () => enter(fresh) }, "New account to try with"),
    h("button", { type: "button", onclick: () => dialog.close() }, "Cancel")));
  const dialog = h("dialog", { "aria-labelledby": "sign-in", onclose: () => dialog.remove() },
    h("h2", { id: "sign-in" }, "Sign in"),
    form, h("p", { class: "quiet" }, "The token stays in this page's memory, and goes with it."));
  document.body.append(dialog);
  dialog.showModal();
}

async function fresh() {
  const random = (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const account = { email: `trying-${random(6)}@example.com`, password: random(12), displayName: "Vera" };
  return { email: account.email, ...await post("/v1/auth:register", account) };
}
