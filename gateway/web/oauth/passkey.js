// Asks the browser for a passkey and sends what it says with the form that offers it. Where
// there is no script, or no passkeys, the form stays hidden: passwords and codes need neither.
'use strict';

const decoded = (text) =>
  Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (each) => each.charCodeAt(0));

const encoded = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');

// As PublicKeyCredential.parseRequestOptionsFromJSON and toJSON do, which not all browsers have.
const asked = (told) => ({
  ...told,
  challenge: decoded(told.challenge),
  allowCredentials: (told.allowCredentials || []).map((each) => ({...each, id: decoded(each.id)})),
});

const said = ({id, type, rawId, response, authenticatorAttachment}) => JSON.stringify({
  id,
  type,
  rawId: encoded(rawId),
  authenticatorAttachment: authenticatorAttachment || undefined,
  clientExtensionResults: {},
  response: {
    clientDataJSON: encoded(response.clientDataJSON),
    authenticatorData: encoded(response.authenticatorData),
    signature: encoded(response.signature),
    userHandle: response.userHandle ? encoded(response.userHandle) : undefined,
  },
});

const form = document.querySelector('form[data-passkey]');
if (form && window.PublicKeyCredential) {
  form.hidden = false;
  form.addEventListener('submit', async (event) => {
    if (form.elements.passkey.value) return;
    event.preventDefault();
    form.querySelector('[role=alert]').hidden = true;
    try {
      const publicKey = asked(JSON.parse(form.dataset.passkey));
      form.elements.passkey.value = said(await navigator.credentials.get({publicKey}));
      form.submit();
    } catch (error) {
      // Called off, or none is here: the other ways are on the page.
      form.querySelector('[role=alert]').hidden = false;
    }
  });
}
