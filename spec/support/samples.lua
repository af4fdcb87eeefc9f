-- One well-formed webhook for each way of signing that is verified, signed by Node (reference.mjs), not by us.
--
-- A kind has: name, scheme, secret (what verify takes), signing_secret (what sign takes), body, signature_header,
-- timestamp_header, id_header, needed (the headers that must all be there), covers_body, and id, timestamp, url,
-- params where the scheme has them.
local node = require("spec.support.node")

local samples = { NOW = 1700000000, ID = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W" }

-- RFC 8032, section 7.1, test 1.
samples.ED25519_SEED = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
samples.ED25519_PUBLIC = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"

local BODY = '{"event":"job_finished","data":{"note":"h\195\169llo\\n","id":"42"}}'

local BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

--- Base64 of any bytes, written here so that a spec can also bend it.
function samples.base64(bytes)
  local out = {}
  for at = 1, #bytes, 3 do
    local a, b, c = bytes:byte(at, at + 2)
    local group = a * 65536 + (b or 0) * 256 + (c or 0)
    for place = 0, 3 do
      local value = math.floor(group / 2 ^ (18 - 6 * place)) % 64
      local padding = (place == 2 and not b) or (place == 3 and not c)
      out[#out + 1] = padding and "=" or BASE64:sub(value + 1, value + 1)
    end
  end
  return table.concat(out)
end

function samples.from_hex(hex)
  return (hex:gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

local seed, public = samples.from_hex(samples.ED25519_SEED), samples.from_hex(samples.ED25519_PUBLIC)

samples.SYMMETRIC = "whsec_" .. samples.base64(("0123456789abcdef"):rep(2))
samples.PRIVATE = "whsk_" .. samples.base64(seed .. public)
samples.PUBLIC = "whpk_" .. samples.base64(public)

-- The headers of Standard Webhooks, which are the same but for their names.
local function message(name, scheme, prefix, asymmetric)
  return {
    name = name,
    scheme = scheme,
    reference = prefix == "svix" and "svix" or "standard",
    secret = asymmetric and samples.PUBLIC or samples.SYMMETRIC,
    signing_secret = asymmetric and samples.PRIVATE or samples.SYMMETRIC,
    id = samples.ID,
    id_header = prefix .. "-id",
    timestamp_header = prefix .. "-timestamp",
    signature_header = prefix .. "-signature",
  }
end

samples.kinds = {
  { name = "capawesome", scheme = "capawesome", signature_header = "X-Signature" },
  message("standard v1", "standard", "webhook"),
  message("standard v1a", "standard", "webhook", true),
  message("svix", "svix", "svix"),
  message("svix with the standard header names", "svix", "webhook"),
  { name = "github", scheme = "github", signature_header = "X-Hub-Signature-256" },
  { name = "stripe", scheme = "stripe", signature_header = "Stripe-Signature", secret = "whsec_test_secret", timestamped = true },
  {
    name = "slack",
    scheme = "slack",
    signature_header = "X-Slack-Signature",
    timestamp_header = "X-Slack-Request-Timestamp",
    secret = "8f742231b10e8888abcd99yyyzzz85a5",
  },
  { name = "shopify", scheme = "shopify", signature_header = "X-Shopify-Hmac-SHA256" },
  {
    name = "discord",
    scheme = "discord",
    signature_header = "X-Signature-Ed25519",
    timestamp_header = "X-Signature-Timestamp",
    secret = samples.ED25519_PUBLIC,
    signing_secret = samples.ED25519_SEED,
  },
  {
    name = "twilio with a form",
    scheme = "twilio",
    signature_header = "X-Twilio-Signature",
    secret = "12345",
    url = "https://example.com/myapp?foo=1&bar=2",
    params = { CallSid = "CA1234567890ABCDE", Caller = "+14158675309", Digits = "1234", Empty = "", a = "lower", B = "upper" },
    body = "",
    covers_body = false,
  },
  {
    name = "twilio with JSON",
    scheme = "twilio",
    signature_header = "X-Twilio-Signature",
    secret = "12345",
  },
  {
    name = "gitlab",
    scheme = "gitlab",
    signature_header = "X-Gitlab-Token",
    secret = "my very-secret token",
    covers_body = false,
  },
}

for _, kind in ipairs(samples.kinds) do
  kind.body = kind.body or BODY
  kind.secret = kind.secret or "It's a Secret to Everybody"
  kind.signing_secret = kind.signing_secret or kind.secret
  kind.reference = kind.reference or kind.scheme
  kind.timestamped = kind.timestamped or kind.timestamp_header ~= nil
  kind.timestamp = kind.timestamped and samples.NOW or nil
  kind.covers_body = kind.covers_body ~= false
  kind.needed = {}
  for _, field in ipairs({ "signature_header", "timestamp_header", "id_header" }) do
    kind.needed[#kind.needed + 1] = kind[field]
  end
  samples[kind.name] = kind
end

local function question(kind, changes)
  local merged = {}
  for _, source in ipairs({ kind, changes or {} }) do
    for name, value in pairs(source) do
      merged[name] = value
    end
  end
  return {
    scheme = merged.reference,
    secret = node.bytes((changes or {}).secret or kind.signing_secret),
    body = node.bytes(merged.body),
    id = merged.id and node.bytes(merged.id),
    timestamp = merged.timestamp and node.bytes(tostring(merged.timestamp)),
    url = merged.url and node.bytes(merged.url),
    params = merged.params,
  }
end

--- Signs in Node: a list of { kind, changes } where changes holds other values of secret, body, id, timestamp, url,
-- params; returns a list of header tables.
function samples.sign_all(list)
  local questions = {}
  for index, pair in ipairs(list) do
    questions[index] = question(pair[1], pair[2])
  end
  return node.ask("spec/support/reference.mjs", questions)
end

function samples.sign(kind, changes)
  return samples.sign_all({ { kind, changes } })[1]
end

--- Any questions to reference.mjs.
function samples.ask(questions)
  return node.ask("spec/support/reference.mjs", questions)
end

--- The headers of each kind, by its name, with the JSON of twilio bound to its URL.
function samples.load()
  if samples.headers then
    return samples.headers
  end
  local json = samples["twilio with JSON"]
  local digest = samples.ask({ { scheme = "sha256", body = node.bytes(json.body) } })[1].digest
  json.url = "https://example.com/json?bodySHA256=" .. digest
  local list = {}
  for index, kind in ipairs(samples.kinds) do
    list[index] = { kind }
  end
  local answers = samples.sign_all(list)
  samples.headers = {}
  for index, kind in ipairs(samples.kinds) do
    samples.headers[kind.name] = answers[index]
  end
  return samples.headers
end

--- A copy of a kind's headers, with changes; `false` takes a header away.
function samples.headers_of(kind, changes)
  local copy = {}
  for name, value in pairs(samples.load()[kind.name]) do
    copy[name] = value
  end
  for name, value in pairs(changes or {}) do
    copy[name] = value or nil
  end
  return copy
end

--- The options that verify needs for a kind, with changes.
function samples.options_of(kind, changes)
  local options = { now = samples.NOW, url = kind.url, params = kind.params }
  for name, value in pairs(changes or {}) do
    options[name] = value
  end
  return options
end

return samples
