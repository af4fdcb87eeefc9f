--- Signing and verifying webhooks by the schemes of many senders.
-- capawesome, standard (Standard Webhooks, v1 and v1a), svix, github, stripe, slack, shopify, discord, twilio, gitlab;
-- and those that the application defines.
local core = require "webhook.core"
local check = require "webhook.check"

local signatures = {}

local DAY = 86400 -- seconds
local SIGN = { id = "string", timestamp = "number", url = "string", params = "table" }
local VERIFY = {
  tolerance = "number|never", now = "number", url = "string", params = "table", seen = "table|userdata",
  seen_ttl = "positive",
}
local DEFINE = {
  header = "string", algorithm = "string", content = "string", encoding = "string", prefix = "string",
  timestamp_header = "string", id_header = "string", tolerance = "number|never",
}
local ALGORITHMS = { sha1 = true, sha256 = true, sha512 = true }
local ENCODINGS = { hex = true, base64 = true }
local FIELDS = { body = true, timestamp = true, id = true }

-- name -> the core's row
local schemes = core.schemes()

local core_sign, core_verify = core.sign, core.verify

-- Levels count as for error(): 2 is the caller of the function that checks.

local function unknown_scheme(name, level)
  name = tostring(name)
  error(("unknown scheme '%s'%s"):format(name, check.suggestion(name, schemes)), level + 1)
end

local function check_finite(options, name, what, level)
  local value = options[name]
  if type(value) == "number" and (value ~= value or value == math.huge or value == -math.huge) then
    error(("%s: option '%s' must be a finite number"):format(what, name), level + 1)
  end
end

local function check_tolerance(options, what, level)
  check_finite(options, "tolerance", what, level + 1)
  if options.tolerance and options.tolerance < 0 then
    error(("%s: option 'tolerance' must be seconds, 0 or more, or false for none"):format(what), level + 1)
  end
end

-- One value of a parameter. ngx.req.get_post_args gives `true` for a name without "=".
local function add_param(list, name, value, what, level)
  if value == true then value = "" end
  if type(name) ~= "string" or type(value) ~= "string" then
    error(("%s: option 'params': '%s' must be a string or a list of strings"):format(what, tostring(name)), level + 1)
  end
  list[#list + 1] = name
  list[#list + 1] = value
end

-- { name = value or { value, … } } -> { name, value, name, value, … }, or nil for nil
local function flatten(params, what, level)
  if params == nil then return nil end
  local list = {}
  for name, value in pairs(params) do
    if type(value) == "table" then
      for i = 1, #value do add_param(list, name, value[i], what, level + 1) end
    else
      add_param(list, name, value, what, level + 1)
    end
  end
  return list
end

-- sign with all that it takes; called by the core, so its caller's caller made the mistake.
local function sign(scheme, secrets, body, options)
  local row = schemes[scheme]
  if row == nil then unknown_scheme(scheme, 3) end
  local params
  if options ~= nil then
    check.options(options, SIGN, "sign", 3)
    if options.timestamp and options.timestamp % 1 ~= 0 then
      error("sign: option 'timestamp' must be whole seconds since the epoch", 3)
    end
    params = flatten(options.params, "sign", 3)
  end
  local headers, message, code = core_sign(row, secrets, body, options, params) -- no tail call: the core counts levels
  return headers, message, code
end

--- Signs a body.
-- @param scheme   its name, "github"
-- @param secrets  a string, or a list of strings: all of them sign where the scheme has a list of signatures (standard,
--                 svix, stripe), the first one signs elsewhere. For standard `whsec_…` (v1) or `whsk_…` (v1a), for discord
--                 the private seed in hex, for twilio the auth token
-- @param body     the exact bytes that are sent
-- @param options  id (a new one when absent) and timestamp (seconds since the epoch; now when absent) where the scheme
--                 signs them; url and params for twilio, as in verify
-- @return a table of headers; or nil, message, code: "missing_secret", "bad_secret", "bad_id", "bad_timestamp",
--         "missing_url", "missing_params", "mismatch" (the URL holds the hash of another body)
-- @usage webhook.sign("capawesome", secret, body) --> { ["X-Signature"] = "9f86d0…" }
-- @function signatures.sign
signatures.sign = core.signer(core.keyring, schemes, sign)

-- An object that lists itself (lua-http's headers have __pairs, and may give a name twice) as a plain table.
local function plain_headers(headers)
  local metatable = getmetatable(headers)
  local each = type(metatable) == "table" and rawget(metatable, "__pairs")
  if not each then return headers end
  local plain = {}
  for name, value in each(headers) do
    if plain[name] == nil then plain[name] = {} end
    local values = plain[name]
    if type(value) == "table" then
      for i = 1, #value do values[#values + 1] = value[i] end
    else
      values[#values + 1] = value
    end
  end
  return plain
end

-- How long a proven message could be sent again and still pass: until its timestamp is stale.
local function time_to_remember(row, proof, options)
  local tolerance = options.tolerance
  if tolerance == nil then tolerance = core.tolerance(row) end
  if not proof.timestamp or not tolerance then return options.seen_ttl or DAY end
  return math.max(1, proof.timestamp + tolerance + 1 - (options.now or os.time()))
end

-- Also gives the id that the store has now, for whoever wants it to be forgotten again.
local function check_replay(row, proof, hash, options)
  local id = proof.scheme .. ":" .. (proof.id or hash)
  local new, message, code = options.seen:add(id, time_to_remember(row, proof, options))
  if new then return true, id end
  if new == false then return nil, "this webhook was received before", "replayed" end
  return nil, message or "the store of seen ids failed", code or "store"
end

-- verify, once its arguments are checked. @return true, proof, the id in the store; or nil, message, code
local function prove(row, secrets, headers, body, options, params)
  local seen = options and options.seen
  local proof, hash, code = core_verify(row, secrets, headers, body, options, params, seen ~= nil)
  if not proof then return nil, hash, code end
  if not seen then return true, proof end
  local new, message, why = check_replay(row, proof, hash, options)
  if not new then return nil, message, why end
  return true, proof, message
end

local function check_seen(options, what, level)
  if options.seen and type(options.seen.add) ~= "function" then
    error(what .. ": option 'seen' must have a method add(id, ttl), as webhook.seen.memory() has", level + 1)
  end
end

local function check_verify_options(options, level)
  check.options(options, VERIFY, "verify", level + 1)
  check_tolerance(options, "verify", level + 1)
  check_finite(options, "now", "verify", level + 1)
  check_seen(options, "verify", level + 1)
end

--- Checks the signature of a webhook that came in, in constant time.
-- A second use of a webhook is refused with "replayed" when `options.seen` remembers the first. What is remembered is the
-- signed id (standard, svix, define_scheme with {id}), else SHA-256 of the signed content (gitlab, which signs nothing: of the
-- body). It is remembered until its timestamp is stale; where there is none, or any age passes, for `seen_ttl`. Give each
-- sender that does not trust the others a store of its own. A store that fails refuses the webhook with its own code.
-- @param scheme   its name, "github"
-- @param secrets  a string, or a list of strings of which any may match. For standard `whsec_…` (v1) or `whpk_…` (v1a), for
--                 discord the public key in hex, for twilio the auth token
-- @param headers  a table, names in any case, values strings or lists (ngx.req.get_headers(), or lua-http's headers)
-- @param body     the exact bytes that came in
-- @param options  tolerance (seconds that a timestamp may be off, before or after now; 300; false for any age), now (seconds
--                 since the epoch), seen (a store: webhook.seen), seen_ttl (seconds; one day);
--                 for twilio: url (the full one that was called), params (the decoded POST parameters: name -> string or list;
--                 leave them out when the body is JSON)
-- @return true and { scheme, id, timestamp, secret_index }; or nil, a reason, and a code: "missing_header",
--         "duplicate_header", "bad_format", "stale" (too old, or in the future), "mismatch", "replayed", "missing_secret",
--         "bad_secret", "missing_url", "missing_params"
-- @usage local ok, why, code = webhook.verify("stripe", secret, ngx.req.get_headers(), ngx.req.get_body_data())
function signatures.verify(scheme, secrets, headers, body, options)
  local row = schemes[scheme]
  if row == nil then unknown_scheme(scheme, 2) end
  local params
  if options ~= nil then
    check_verify_options(options, 2)
    params = flatten(options.params, "verify", 2)
  end
  if type(headers) == "table" then headers = plain_headers(headers) end
  local ok, proof, code = prove(row, secrets, headers, body, options, params) -- no tail call: the core counts levels
  if not ok then return nil, proof, code end
  return true, proof
end

-- A copy, so that nobody changes what was checked.
local function copy_secrets(row, secrets, what, level)
  local copy = secrets
  if type(secrets) == "table" then
    copy = {}
    for i, secret in pairs(secrets) do copy[i] = secret end
  end
  -- Without a header nothing but the secrets can be found wrong before the header is missed.
  local called, _, message, code = pcall(core_verify, row, copy, {}, "", nil, nil, false)
  if not called then error(what .. ": option 'secret' must be a string or a list of strings", level + 1) end
  if code ~= "missing_header" then error(("%s: option 'secret': %s"):format(what, message), level + 1) end
  return copy
end

--- verify with what stays the same checked once. Misuse raises at `level`.
-- @param what     who is asked, for messages
-- @param options  tolerance, seen, seen_ttl, as verify has them and of the right types
-- @return a function(headers, body, url, params) that returns true, the proof and the id that `seen` remembers now; or nil,
--         message, code, as verify. `headers` is a plain table
function signatures.verifier(what, scheme, secrets, options, level)
  local row = schemes[scheme]
  if row == nil then unknown_scheme(scheme, level + 1) end
  check_tolerance(options, what, level + 1)
  check_seen(options, what, level + 1)
  secrets = copy_secrets(row, secrets, what, level + 1)
  local fixed = { tolerance = options.tolerance, seen = options.seen, seen_ttl = options.seen_ttl }
  return function(headers, body, url, params)
    fixed.url = url -- nothing yields before it is read
    return prove(row, secrets, headers, body, fixed, flatten(params, what, 2))
  end
end

local function check_word(options, name, known, level)
  local word = options[name]
  if word and not known[word] then
    error(("define_scheme: unknown %s '%s'%s"):format(name, word, check.suggestion(word, known)), level + 1)
  end
end

local function check_definition(name, options, level)
  if type(name) ~= "string" or #name > 64 or not name:match("^[%w_.-]+$") then
    error("define_scheme: a name is 1 to 64 letters, digits, '_', '.' or '-'", level + 1)
  end
  if schemes[name] then error(("define_scheme: '%s' is defined already"):format(name), level + 1) end
  check.options(options, DEFINE, "define_scheme", level + 1)
  check_tolerance(options, "define_scheme", level + 1)
  if not options.header or not options.algorithm or not options.content then
    error("define_scheme: 'header', 'algorithm' and 'content' are needed", level + 1)
  end
  check_word(options, "algorithm", ALGORITHMS, level + 1)
  check_word(options, "encoding", ENCODINGS, level + 1)
  for field in options.content:gmatch("{([^{}]*)}") do
    if not FIELDS[field] then
      error(("define_scheme: content: unknown field '{%s}'%s"):format(field, check.suggestion(field, FIELDS)), level + 1)
    end
  end
  for option, value in pairs(options) do
    if type(value) == "string" and value:find("\0", 1, true) then
      error(("define_scheme: option '%s' holds a zero byte"):format(option), level + 1)
    end
  end
end

--- Defines a scheme of the application's own, for sign and verify: an HMAC, keyed with the secret as it is.
-- @param name     1 to 64 letters, digits, '_', '.' or '-'
-- @param options  header: where the signature stands; algorithm: "sha1", "sha256" or "sha512"; content: what is signed, text
--                 with {body}, {timestamp}, {id}; encoding: "hex" (lower-case, the default) or "base64"; prefix: what stands
--                 before the signature; timestamp_header, id_header: where those stand; tolerance: seconds (300), or false.
--                 With {timestamp} and no timestamp_header the header is laid out as Stripe's, "t=1614265330,v1=…", where
--                 "v1=" is the prefix.
-- @usage webhook.define_scheme("acme", { header = "X-Acme", algorithm = "sha256", content = "{timestamp}.{body}",
--   encoding = "hex", prefix = "v1=" })
function signatures.define_scheme(name, options)
  check_definition(name, options, 2)
  local row, message = core.define {
    name = name, header = options.header, algorithm = options.algorithm, content = options.content,
    encoding = options.encoding or "hex", prefix = options.prefix or "", timestamp_header = options.timestamp_header,
    id_header = options.id_header, tolerance = options.tolerance,
  }
  if not row then error("define_scheme: " .. message, 2) end
  schemes[name] = row
end

return signatures
