// The signature schemes once more, written against Node's crypto alone: what the specs compare with.
// argv[2] is a JSON file: a list of { scheme, secret, body, id, timestamp, url, params }, where texts are strings
// or { base64 }. Prints the list of the header tables that a sender would have sent.
//
// No value is checked here: a spec also needs right signatures over wrong timestamps and ids.
import { createHash, createHmac, createPrivateKey, sign as signWithKey } from "node:crypto";
import { readFileSync } from "node:fs";

const bytes = (value) =>
  value && value.base64 !== undefined ? Buffer.from(value.base64, "base64") : Buffer.from(value ?? "", "utf8");

// RFC 8410: what stands before the seed in a private key's DER.
const PKCS8_ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");

const hmac = (algorithm, key, ...parts) =>
  createHmac(algorithm, key).update(Buffer.concat(parts.map(bytesOf))).digest();
const bytesOf = (part) => (typeof part === "string" ? Buffer.from(part, "latin1") : part);
const ed25519 = (seed, ...parts) =>
  signWithKey(
    null,
    Buffer.concat(parts.map(bytesOf)),
    createPrivateKey({ key: Buffer.concat([PKCS8_ED25519, seed]), format: "der", type: "pkcs8" }),
  );

const text = (value) => bytes(value).toString("latin1");
const unprefixed = (secret, prefix) => Buffer.from(text(secret).slice(prefix.length), "base64");

const standardSignature = (q) => {
  const content = [text(q.id), ".", text(q.timestamp), ".", bytes(q.body)];
  return text(q.secret).startsWith("whsk_")
    ? "v1a," + ed25519(unprefixed(q.secret, "whsk_").subarray(0, 32), ...content).toString("base64")
    : "v1," + hmac("sha256", unprefixed(q.secret, "whsec_"), ...content).toString("base64");
};

const standardHeaders = (prefix) => (q) => ({
  [prefix + "-id"]: text(q.id),
  [prefix + "-timestamp"]: text(q.timestamp),
  [prefix + "-signature"]: standardSignature(q),
});

const schemes = {
  capawesome: (q) => ({ "X-Signature": hmac("sha256", bytes(q.secret), bytes(q.body)).toString("hex") }),
  standard: standardHeaders("webhook"),
  svix: standardHeaders("svix"),
  github: (q) => ({
    "X-Hub-Signature-256": "sha256=" + hmac("sha256", bytes(q.secret), bytes(q.body)).toString("hex"),
  }),
  stripe: (q) => {
    const signature = hmac("sha256", bytes(q.secret), text(q.timestamp), ".", bytes(q.body)).toString("hex");
    return { "Stripe-Signature": `t=${text(q.timestamp)},v1=${signature}` };
  },
  slack: (q) => ({
    "X-Slack-Request-Timestamp": text(q.timestamp),
    "X-Slack-Signature":
      "v0=" + hmac("sha256", bytes(q.secret), "v0:", text(q.timestamp), ":", bytes(q.body)).toString("hex"),
  }),
  shopify: (q) => ({ "X-Shopify-Hmac-SHA256": hmac("sha256", bytes(q.secret), bytes(q.body)).toString("base64") }),
  // The secret here is the seed of the private key, in hex.
  discord: (q) => ({
    "X-Signature-Ed25519": ed25519(Buffer.from(text(q.secret), "hex"), text(q.timestamp), bytes(q.body)).toString("hex"),
    "X-Signature-Timestamp": text(q.timestamp),
  }),
  twilio: (q) => {
    const parts = [bytes(q.url)];
    for (const name of Object.keys(q.params ?? {}).sort()) {
      const values = Array.isArray(q.params[name]) ? [...new Set(q.params[name])].sort() : [q.params[name]];
      for (const value of values) parts.push(Buffer.from(name), Buffer.from(value));
    }
    return { "X-Twilio-Signature": hmac("sha1", bytes(q.secret), ...parts).toString("base64") };
  },
  gitlab: (q) => ({ "X-Gitlab-Token": text(q.secret) }),

  // For schemes of the application's own: content is a list of texts, in the order that is signed.
  hmac: (q) => ({ signature: hmac(q.algorithm, bytes(q.secret), ...q.content.map(bytes)).toString(q.encoding) }),
  sha256: (q) => ({ digest: createHash("sha256").update(bytes(q.body)).digest("hex") }),
};

const questions = JSON.parse(readFileSync(process.argv[2], "utf8"));
process.stdout.write(JSON.stringify(questions.map((question) => schemes[question.scheme](question))));
