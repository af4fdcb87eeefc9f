--- hooks.webhooks: where events go. Wrong types and unknown names raise; a value that cannot be (a bad URL, an unknown
-- event) returns nil, message, "invalid".
local check = require "webhook.check"
local choice = require "webhook.choice"
local settings = require "webhook.settings"
local signing = require "webhook.signing"

local webhooks = {}
webhooks.__index = webhooks
webhooks.__name = "webhook.webhooks"

local FIELDS = {
  app_id = "string", name = "string", url = "string", format = "string", events = "list",
  signing_secret = "string|never", enabled = "boolean", filter = "table|never", channels = "list|never",
  signing = "string|list|never",
}
for name, kind in pairs(settings.OPTIONS) do FIELDS[name] = kind .. "|null" end
local ROTATE = { overlap = "number" }
local DAY = 86400 -- seconds
local LONGEST_OVERLAP = 365 * DAY

-- The fields as the core takes them.
local function prepare(fields, what, level)
  check.options(fields, FIELDS, what, level + 1)
  local record = {}
  for name, value in pairs(fields) do
    if type(value) == "string" and value:find("\0", 1, true) then
      return nil, name .. ": holds a NUL byte", "invalid"
    end
    if not settings.OPTIONS[name] then record[name] = value end
  end
  local said, problem, kind = settings.read(fields, what, level + 1)
  if not said then return nil, problem, kind end
  record.settings = said
  for name, text_of in pairs(choice) do
    if fields[name] then
      local text, message, code = text_of(fields[name], what, level + 1)
      if not text then return nil, message, code end
      record[name] = text
    end
  end
  if fields.signing then
    local text, message, code = signing.text(fields.signing, what, level + 1)
    if text == nil then return nil, message, code end
    record.signing = text
  end
  return record
end

--- Makes a webhook.
-- @param fields name, url, events (list of names; a star in one stands for any characters: "job_*", "*");
--               optional: app_id, format ("raw"), signing_secret, enabled;
--               filter: tests of fields of data, dotted paths ("customer.country"; "items.1.sku" counts from 1) and for each a
--               string, number, boolean or webhook.null that it must be, a list of those of which it must be one, or
--               webhook.events.exists or { exists = false }; all must hold. Numbers compare by value; a field that is absent
--               is null, and null does not exist. At most 32 fields, 64 values each, 16 KiB in all;
--               channels: 1 to 32 names (1 to 64 letters, digits, '_', '.', ':' or '-'); it gets only what is emitted with one
--               of them. A webhook without channels gets everything;
--               signing: "capawesome" (X-Signature; the default), "standard" (Standard Webhooks: webhook-id,
--               webhook-timestamp, webhook-signature) or a list of both. For standard the signing_secret is "whsec_…"
--               (webhook.generate_secret() makes one) or "whsk_…", an ed25519 key whose public half ("whpk_…") verifies.
--
--               And how its deliveries go, where that differs from what webhook.open said: every setting of webhook.settings
--               (retry, timeout, connect_timeout, disable_after, breaker, rate_limit, max_in_flight, ordered, headers,
--               user_agent, ca_file, client_cert, client_key, proxy, http_version, max_response_body, allow_networks).
--
--               Credentials in the URL ("https://user:password@host/") go out as an Authorization header; the record shows
--               the URL without them.
-- @usage hooks.webhooks:create { name = "failed jobs", url = SLACK, format = "slack", events = { "job_finished" },
--   filter = { status = { "failed", "timed_out" } } }
-- @usage hooks.webhooks:create { name = "shop", url = SHOP, events = { "*" }, retry = { 10, 60, 600 },
--   rate_limit = { requests = 100, seconds = 60 }, headers = { Authorization = "Bearer …" } }
-- @return the record: never with its secret; the settings it was given, the values of headers and the proxy's credentials as
--         "(hidden)"; url_credentials = true where the URL had some; failing_since (milliseconds since the epoch) where its
--         attempts fail since then without a success; or nil, message, code
function webhooks:create(fields)
  local record, message, code = prepare(fields, "webhooks:create", 2)
  if not record then return nil, message, code end
  for _, name in ipairs { "name", "url", "events" } do
    if record[name] == nil then error(("webhooks:create: '%s' is missing"):format(name), 2) end
  end
  if fields.signing and not fields.signing_secret then return nil, "signing: needs a signing_secret", "invalid" end
  record.format = record.format or "raw"
  return self.way:call("webhook_create", record)
end

--- @return the record, or nil, message, code: "not_found"; "key": it cannot be decrypted (see webhook.open, encryption_key)
function webhooks:get(id) return self.way:call("webhook_get", id) end

--- Changes the named fields; false clears signing_secret, filter or channels, and makes signing the default. A new
-- signing_secret replaces all there were at once; see rotate_secret.
--
-- webhook.null clears a setting: what webhook.open said holds again. (false means "none" for retry, disable_after, breaker and
-- rate_limit.) headers and allow_networks are replaced as a whole. Another URL forgets the credentials of the one before.
-- @usage hooks.webhooks:update(id, { retry = webhook.null, rate_limit = false, timeout = 30 })
-- @return the record after the change, or nil, message, code ("not_found", "invalid"; "newer": a newer version of lua-webhook
--         gave it settings that this one does not know)
function webhooks:update(id, changes)
  local record, message, code = prepare(changes, "webhooks:update", 2)
  if not record then return nil, message, code end
  return self.way:call("webhook_update", record, id)
end

--- Gives it a new secret. For `overlap` seconds the one before signs too, and so do those before that one whose time is not
-- up: receivers may change over at their leisure. Only standard has room for several signatures; X-Signature is made with
-- the new secret from now on.
-- @param options overlap: seconds (86400); 0: the one before signs nothing more
-- @return the record, or nil, message, code: "not_found"; "invalid": it has no secret, the new one is the one in use or not
--         in the form that standard wants, or more than 15 overlap
-- @usage local secret = webhook.generate_secret()
-- hooks.webhooks:rotate_secret(id, secret, { overlap = 2 * 86400 })
function webhooks:rotate_secret(id, secret, options)
  if type(secret) ~= "string" then error("webhooks:rotate_secret: a secret expected, got " .. type(secret), 2) end
  options = options or {}
  check.options(options, ROTATE, "webhooks:rotate_secret", 2)
  local overlap = options.overlap or DAY
  if not (overlap >= 0 and overlap <= LONGEST_OVERLAP) then
    error(("webhooks:rotate_secret: option 'overlap' must be 0 to %d seconds"):format(LONGEST_OVERLAP), 2)
  end
  if secret:find("\0", 1, true) then return nil, "signing_secret: holds a NUL byte", "invalid" end
  return self.way:call("webhook_rotate", id, secret, math.floor(overlap * 1000))
end

--- Deletes it; what was waiting for it is canceled. @return true, or nil, message, code
function webhooks:delete(id) return self.way:call("webhook_delete", id) end

--- @param filter app_id, query (part of the name or URL, in any case of A to Z), limit (1000), offset (0); all optional
-- @return a list of records, oldest first, or nil, message, code. One that cannot be decrypted has no url, and a `problem`
function webhooks:list(filter)
  filter = filter or {}
  check.options(filter, { app_id = "string", query = "string", limit = "integer", offset = "integer" },
    "webhooks:list", 2)
  return self.way:call("webhook_list", filter)
end

return webhooks
