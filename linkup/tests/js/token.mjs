// Tokens as the server signs them, with lifetimes of which it knows nothing.

import { createHmac } from "node:crypto";

/** A token of `user` that is good for `seconds` at most, and a second less at least. */
export function tokenFor(secret, user, seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ userId: user.id, generation: 0, iat: now, exp: now + seconds })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}
