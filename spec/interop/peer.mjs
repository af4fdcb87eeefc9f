// What the published npm packages say: signs and verifies with them, and with nothing of ours.
// argv[2] is a JSON file: a list of { package, action, secret, secrets, body, id, timestamp, headers }.
// Prints the list of answers: the headers for "sign", true or the error's text for "verify".
//
// This file is copied beside the installed packages (script/interop), so that their names resolve.
import { sign, verifyWithFallback } from "@octokit/webhooks-methods";
import { readFileSync } from "node:fs";
import { Webhook } from "standardwebhooks";

const text = (value) => Buffer.from(value.base64, "base64").toString("utf8");

const packages = {
  standardwebhooks: {
    sign: (q) => ({
      "webhook-id": q.id,
      "webhook-timestamp": String(q.timestamp),
      "webhook-signature": new Webhook(q.secret).sign(q.id, new Date(q.timestamp * 1000), text(q.body)),
    }),
    // The package takes one secret: with a list, any may match.
    verify: (q) => {
      let problem;
      for (const secret of q.secrets) {
        try {
          new Webhook(secret).verify(text(q.body), q.headers, { jsonParse: false });
          return true;
        } catch (error) {
          problem = String(error.message);
        }
      }
      return problem;
    },
  },
  "@octokit/webhooks-methods": {
    sign: async (q) => ({ "X-Hub-Signature-256": await sign(q.secret, text(q.body)) }),
    verify: async (q) => {
      const [first, ...others] = q.secrets;
      const ok = await verifyWithFallback(first, text(q.body), q.headers["X-Hub-Signature-256"], others);
      return ok ? true : "no match";
    },
  },
};

const answers = [];
for (const question of JSON.parse(readFileSync(process.argv[2], "utf8"))) {
  answers.push(await packages[question.package][question.action](question));
}
process.stdout.write(JSON.stringify(answers));
