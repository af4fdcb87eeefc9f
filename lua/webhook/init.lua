--- Sends webhooks and never loses one: formats, signs, delivers, retries, logs, verifies.
local cjson = require "cjson"
local core = require "webhook.core"
local check = require "webhook.check"
local events = require "webhook.events"
local hooks = require "webhook.hooks"
local integer = require "webhook.integer"
local seen = require "webhook.seen"
local settings = require "webhook.settings"
local signatures = require "webhook.signatures"
local signing = require "webhook.signing"
local wait = require "webhook.wait"

local webhook = {
  _VERSION = core.version,
  --- JSON's null; the same value as cjson.null.
  null = cjson.null,
  --- The builders of events, and define.
  events = events,
  --- Stores of what was received, for verify to refuse replays.
  seen = seen,
  sign = signatures.sign,
  verify = signatures.verify,
  define_scheme = signatures.define_scheme,
  --- A new secret for signing_secret: "whsec_" and 32 random bytes in base64.
  -- @return a string that no other call returns
  generate_secret = core.generate_secret,
}

local FORMATS = { raw = true, slack = true, discord = true, teams = true }

local function check_name(name, known, what, level)
  if type(name) ~= "string" or not known[name] then
    error(("unknown %s '%s'%s"):format(what, tostring(name), check.suggestion(tostring(name), known)), level + 1)
  end
end

--- An integer that keeps every digit in a payload, on every Lua: the numbers of Lua 5.1 and LuaJIT are exact to 2^53 only.
-- It knows ==, <, <= and tostring. LuaJIT's own 64-bit integers (9007199254740993LL) may stand in events as they are.
-- @param value  decimal digits with or without '-', from -2^63 to 2^64 - 1; or a number that is exact, or such an integer
-- @return the integer, or nil, message, "invalid"
-- @usage webhook.events.invoice_paid { number = webhook.integer("9007199254740993") }
function webhook.integer(value)
  local made, message, code = integer.new(value, 2)
  return made, message, code
end

--- Opens a dispatcher.
-- @param path     a SQLite file, or ":memory:", which keeps nothing
-- @param options  how deliveries go, where a webhook does not say it itself (webhook.settings says what each means): retry,
--                 timeout (15 s), connect_timeout (5 s), disable_after (5 days), breaker, rate_limit (none), max_in_flight (16),
--                 ordered, headers, user_agent, ca_file, client_cert, client_key, proxy, http_version,
--                 max_response_body (20000 bytes), allow_networks (none); and
--
--                 connections (256, 1 to 1024): requests under way at once; max_in_flight_per_host (64, 1 to 1024): of those to
--                 one host; close_timeout (10 s), lease (15 s);
--
--                 retention: days that finished deliveries are kept, then pruned in small steps (default: for ever);
--                 idempotency_window (86400 s).
--
--                 logger: a function that gets records { time (ms), level = "info" | "warn" | "error", event, message }, and
--                 where they apply delivery_id, webhook_id, attempt, status (of the answer), error (a word), reason, count.
--                 event: "attempt_failed" (it is tried again), "delivery_failed" (given up), "webhook_disabled",
--                 "webhook_failing" (its breaker opened), "webhook_works" (and closed again),
--                 "store_failed" (once, until "store_recovered"), "lease_lost", "taken_over" (count deliveries of a dead
--                 process), "webhooks_unreadable" (count of them cannot be decrypted; once for each count),
--                 "records_dropped" (count: more than 1000 waited, the oldest went). No secret, URL or body stands in
--                 them. It is called on your thread, whenever a method of the dispatcher is (also poll): what it raises is
--                 caught and counted.
--
--                 on_disabled: a function(webhook_id, reason), called the same way when the dispatcher disabled a webhook.
--
--                 wait: for an event loop (cqueues, copas, luv, lua-http): a function(fd, seconds) that returns when the
--                 descriptor `fd` is readable or the time is up. Calls that take a while are then started, and wait with it,
--                 so that it can let other coroutines run; in Lua 5.1 not from iterators (`log:each()`) and metamethods
--                 (`log[id]`), where no coroutine can wait.
--
-- In nginx calls yield by themselves. Open in init_worker_by_lua and close in exit_worker_by_lua; nobody is served in these two,
-- and calls block there. A dispatcher opened there lasts as long as its worker: it hands records to `logger` by itself, and
-- claims nothing more once the worker is to end; opened elsewhere, call hooks:poll() from a timer. In log_by_lua and other
-- phases that cannot wait all but emit return nil, message, "phase": use ngx.timer.at. `logger` must not wait.
--
--                 encryption_key: 32 random bytes, or 64 hex digits (`openssl rand -hex 32`). The URLs, signing secrets and
--                 settings (headers, proxies, credentials) of webhooks are then stored under AES-256-GCM; names, events,
--                 filters and the whole log (bodies, answers, the host in an error) are not. A plain database is encrypted
--                 when it is first opened with a key, and its file is written anew so that nothing plain stays in it: that
--                 takes its size again in free space and some seconds (half a minute for a gigabyte on a slow disk) in
--                 which no other process can write, so do it while none is running. There is no way back to plain, and
--                 without the key the webhooks are lost. Every process that opens the database gives the same key; the
--                 code is "key" where it is missing or another one.
--
--                 old_encryption_keys: a list of up to 8 that it may still be encrypted under: then all is encrypted anew,
--                 under encryption_key, at once. A process that runs on with the old key goes on delivering what it knows,
--                 stores events for the webhooks that were changed since for others to deliver, and can make or change no
--                 webhook (code "key"). A webhook that cannot be decrypted otherwise (somebody wrote into the database)
--                 stops nothing else: its deliveries wait (and stay due), `get` fails with "key", `list` gives it a `problem`
--                 and no url; it can be deleted.
--
--                 Without a key everything is stored as it is. The file is made with mode 0600: other users cannot read it,
--                 but root, backups, copies and whoever gets the disk can. Keys in a page of memory of their own are kept
--                 out of core dumps and of forked children; the strings that Lua got them in are not.
-- @return the dispatcher, or nil, message, code
-- @usage local hooks = assert(webhook.open("webhooks.db"))
-- @usage local hooks = assert(webhook.open("webhooks.db", { encryption_key = assert(os.getenv("WEBHOOK_KEY")) }))
-- @usage local hooks = assert(webhook.open("webhooks.db", { encryption_key = new, old_encryption_keys = { old } }))
function webhook.open(path, options)
  local dispatcher, message, code = hooks.open(path, options) -- no tail call: errors point at our caller
  return dispatcher, message, code
end

-- core.format or core.preview of an event with what the application says about how it reads.
local function written(write, event, format)
  if format == "raw" then return write(event, false, format) end
  local parts, message, code = events.presentation(event)
  if parts == nil then return nil, message, code end
  return write(event, parts, format)
end

local function check_event(event, what)
  if type(event) ~= "table" or type(event.event) ~= "string" then
    error(what .. ": an event { event = name, data = {…} } expected", 3)
  end
end

--- The bytes that are sent for an event.
-- @param format "raw", "slack", "discord" or "teams"
-- @return body, content type; or nil, message, "invalid_event"
-- @usage local body, content_type = webhook.format(event, "slack")
function webhook.format(event, format)
  check_name(format, FORMATS, "format", 2)
  check_event(event, "format")
  local body, content_type, code = written(core.format, event, format)
  if not body then return nil, content_type, code end
  return body, content_type
end

--- What a person reads, as plain text for terminals and logs.
-- @param format "slack", "discord" or "teams" ("raw" is allowed, and reads the same)
-- @return text of a few lines; or nil, message, "invalid_event"
-- @usage print(webhook.preview(event, "slack"))
function webhook.preview(event, format)
  check_name(format, FORMATS, "format", 2)
  check_event(event, "preview")
  local text, message, code = written(core.preview, event)
  if not text then return nil, message, code end
  return text
end

local sending = wait.new()

local SEND = {
  url = "string", format = "string", event = "table", signing_secret = "string", signing = "string|list", headers = "table",
  timeout = "positive", connect_timeout = "positive", ca_file = "string", user_agent = "string", max_response_body = "integer",
  client_cert = "string", client_key = "string", proxy = "string", http_version = "string",
}
local HTTP_VERSIONS = { ["1.1"] = true, ["2"] = true }
local OURS = { ["content-type"] = true, ["webhook-id"] = true, ["x-signature"] = true, ["content-length"] = true,
  ["host"] = true, ["expect"] = true, ["transfer-encoding"] = true }

local SIGNED_BY_US = { ["webhook-timestamp"] = true, ["webhook-signature"] = true }

-- The set of schemes to sign by, or nil for none.
local function schemes_of(options, format, level)
  if not options.signing_secret then
    if options.signing then error("send: 'signing' needs a 'signing_secret'", level + 1) end
    return nil
  end
  if format ~= "raw" then error("send: only the raw format is signed", level + 1) end
  local set, message = signing.read(options.signing or "capawesome", "send", level + 1)
  if not set then error("send: " .. message, level + 1) end
  return set
end

-- Adds the headers of each scheme. @return true, or nil, message, code
local function add_signatures(list, schemes, secret, id, body)
  if schemes.capawesome then
    local signature, message, code = core.hmac_hex(secret, body)
    if not signature then return nil, message, code end
    list[#list + 1] = { "X-Signature", signature }
  end
  if not schemes.standard then return true end
  local signed, message, code = signatures.sign("standard", secret, body, { id = id })
  if not signed then return nil, message, code end
  for name, value in pairs(signed) do
    if name ~= "webhook-id" then list[#list + 1] = { name, value } end -- it is there already
  end
  return true
end

local function add_headers(list, headers, standard)
  for name, value in pairs(headers or {}) do
    if type(name) ~= "string" or not name:match("^[%w!#$%%&'*+.^_`|~-]+$") or type(value) ~= "string" then
      error(("send: headers: bad name or value at '%s'"):format(tostring(name)), 3)
    end
    if OURS[name:lower()] or standard and SIGNED_BY_US[name:lower()] then
      error(("send: headers: '%s' is set by us"):format(name), 3)
    end
    list[#list + 1] = { name, value }
  end
end

local function check_connection(options, level)
  if options.client_key and not options.client_cert then error("send: 'client_key' needs a 'client_cert'", level + 1) end
  if options.http_version then check_name(options.http_version, HTTP_VERSIONS, "http_version", level + 1) end
end

-- What concerns the request, as the core takes it.
local function request_settings(options, level)
  local chosen = {}
  for name in pairs(settings.OPTIONS) do
    if name ~= "headers" then chosen[name] = options[name] end
  end
  local read, message = settings.read(chosen, "send", level + 1)
  if not read then error("send: " .. message, level + 1) end
  return read
end

--- One attempt, waited for, without a store. Private addresses are allowed: the URL is the caller's own.
-- @param options url, event, format ("raw"); signing_secret, signing ("capawesome"; see hooks.webhooks:create), headers, timeout (15),
--                connect_timeout (5), user_agent, max_response_body (20000 bytes), and
--
--                ca_file: a PEM file of the authorities to trust, instead of the system's;
--                client_cert, client_key: PEM files for a receiver that asks who calls; the key may stand in the certificate's
--                file, and has no passphrase;
--                proxy: "http://user:password@proxy.example:3128", or https; port 1080 or 443 where none is named. It
--                connects to an https receiver blindly (CONNECT), whose certificate is checked as ever. http_proxy and the
--                like in the environment do not count;
--                http_version: "2" (default: over TLS, where the receiver offers it) or "1.1"
-- @return a delivery { id, status, event, request_body, response_status_code, response_body, response_body_cut, sent_at,
--         duration } when the answer was 2xx; else nil, message, code ("status", "timeout", "dns", "connect", "tls", …), the delivery
function webhook.send(options)
  check.options(options, SEND, "send", 2)
  if not options.url or not options.event then error("send: 'url' and 'event' are needed", 2) end
  local format = options.format or "raw"
  check_name(format, FORMATS, "format", 2)
  check_connection(options, 2)
  local schemes = schemes_of(options, format, 2)
  check_event(options.event, "send")
  local body, content_type, problem = written(core.format, options.event, format)
  if not body then return nil, content_type, problem end
  local id = core.new_id()
  local headers = { { "Content-Type", content_type }, { "Webhook-Id", id } }
  if schemes then
    local signed, why, why_code = add_signatures(headers, schemes, options.signing_secret, id, body)
    if not signed then return nil, why, why_code end
  end
  add_headers(headers, options.headers, schemes and schemes.standard)
  local delivery, message, code = sending:send {
    url = options.url, body = body, headers = headers, settings = request_settings(options, 2),
  }
  if not delivery then return nil, message, code end
  delivery.id, delivery.event, delivery.request_body = id, options.event.event, body
  local status = delivery.response_status_code
  if not delivery.error and status >= 200 and status <= 299 then
    delivery.status = "succeeded"
    return delivery
  end
  delivery.status = "failed"
  return nil, delivery.error or ("the receiver answered %d"):format(status), delivery.error_code or "status", delivery
end

return webhook
