--- How deliveries go: what `webhook.open` says for all webhooks of a dispatcher, and a webhook for itself. Wrong types and
-- unknown names raise; a value that cannot be returns nil, message, "invalid".
--
-- - retry: seconds before the 2nd, 3rd, … attempt (at most 32 of them), or { base = 5, factor = 2, max = …, attempts = 10 },
--   or false: none. Default: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h. Each is +-20 %, and longer where the
--   receiver's Retry-After asks for it;
-- - timeout (15) and connect_timeout (5): seconds of one attempt, 0.001 to 3600;
-- - disable_after: seconds after which a webhook that had failures only is disabled (5 days; at most 365), or false: never;
-- - breaker = { failures = 10, pause = 5, max_pause = 900 }: after so many failures in a row nothing is sent for `pause`
--   seconds, then one delivery; while that fails too, the pause doubles up to max_pause (at most a day). Or false: none;
-- - rate_limit = { requests = 100, seconds = 60 }: requests at most, 1 to 1000000 in 0.001 to 86400 seconds (1). False: none,
--   the default;
-- - max_in_flight (16, 1 to 1024): deliveries under way at once to one webhook;
-- - ordered (false): one at a time, in the order of the emits; one that fails holds up the rest until its schedule ends;
-- - headers = { name = value }: sent with each request, at most 32. Those that we set cannot be overridden, nor those of a
--   connection; User-Agent is `user_agent`. A webhook's are added to the dispatcher's, or replace those of the same name;
-- - user_agent: "lua-webhook/<version>" where none is given;
-- - ca_file: a PEM file of the authorities to trust instead of the system's; client_cert, client_key: PEM files for a receiver
--   that asks who calls (the key may stand in the certificate's file; a webhook's certificate needs a key of its own);
-- - proxy: "http://user:password@proxy.example:3128", or https;
-- - http_version: "2" (default: over TLS, where the receiver offers it) or "1.1";
-- - max_response_body (20000, at most 64 MiB): bytes of an answer that are kept;
-- - allow_networks: private networks that may be called ("10.0.0.0/8", "fd00::/8" or an address; at most 64). A webhook's are
--   added to the dispatcher's.
local check = require "webhook.check"

local settings = {}

--- name -> kinds, as check.options takes them.
settings.OPTIONS = {
  retry = "never|list", timeout = "number", connect_timeout = "number", disable_after = "number|never",
  breaker = "table|never", rate_limit = "table|never", max_in_flight = "integer", ordered = "boolean", headers = "table",
  user_agent = "string", ca_file = "string", client_cert = "string", client_key = "string", proxy = "string",
  http_version = "string", max_response_body = "integer", allow_networks = "list",
}

local RETRY = { base = "positive", factor = "positive", max = "positive", attempts = "integer" }
local BREAKER = { failures = "integer", pause = "number", max_pause = "number" }
local RATE_LIMIT = { requests = "integer", seconds = "number" }
local MAX_DELAYS = 32 -- of a retry schedule
local LONGEST_DELAY = 30 * 86400 -- seconds
local HIDDEN = "(hidden)" -- what records show instead of a secret

-- { base, factor, max, attempts } as the list of delays before the second, third, … attempt.
local function growing_delays(retry, what, level)
  check.options(retry, RETRY, what .. ": retry", level + 1)
  local attempts, delay = retry.attempts or 10, retry.base or 5
  if attempts < 1 or attempts > MAX_DELAYS + 1 then
    return nil, ("retry: attempts must be 1 to %d"):format(MAX_DELAYS + 1), "invalid"
  end
  local list = {}
  for i = 1, attempts - 1 do
    list[i] = math.min(delay, retry.max or LONGEST_DELAY, LONGEST_DELAY)
    delay = delay * (retry.factor or 2)
  end
  return list
end

local read = {}

function read.retry(retry, what, level)
  if not retry then return false end
  if #retry == 0 and next(retry) ~= nil then
    local list, message, code = growing_delays(retry, what, level + 1) -- no tail call: errors point at the caller
    return list, message, code
  end
  for i = 1, #retry do
    local delay = retry[i]
    if type(delay) ~= "number" then
      error(("%s: retry: delay %d must be a number, got %s"):format(what, i, type(delay)), level + 1)
    end
    if not (delay >= 0 and delay <= LONGEST_DELAY) then
      return nil, ("retry: delay %d must be 0 to %d seconds"):format(i, LONGEST_DELAY), "invalid"
    end
  end
  return retry
end

function read.breaker(breaker, what, level)
  if not breaker then return false end
  check.options(breaker, BREAKER, what .. ": breaker", level + 1)
  local pause = breaker.pause or 5
  return { failures = breaker.failures or 10, pause = pause, max_pause = breaker.max_pause or math.max(900, pause) }
end

function read.rate_limit(limit, what, level)
  if not limit then return false end
  check.options(limit, RATE_LIMIT, what .. ": rate_limit", level + 1)
  if limit.requests == nil then error(what .. ": rate_limit: 'requests' is missing", level + 1) end
  return { requests = limit.requests, seconds = limit.seconds or 1 }
end

-- A list of { name, value }, by name.
function read.headers(headers, what, level)
  local list = {}
  for name, value in pairs(headers) do
    if type(name) ~= "string" then
      error(("%s: headers: a name must be a string, got %s"):format(what, type(name)), level + 1)
    end
    if type(value) ~= "string" then
      error(("%s: headers: the value of '%s' must be a string, got %s"):format(what, name, type(value)), level + 1)
    end
    if name:find("\0", 1, true) then return nil, "headers: a name holds a NUL byte", "invalid" end
    if value:find("\0", 1, true) then return nil, ("headers: the value of '%s' holds a NUL byte"):format(name), "invalid" end
    if value == HIDDEN then
      return nil, ("headers: the value of '%s' is what records show instead of it: leave headers out to keep them")
        :format(name), "invalid"
    end
    list[#list + 1] = { name, value }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

function read.proxy(proxy)
  if proxy:find(HIDDEN, 1, true) then
    return nil, "proxy: is what records show instead of it: leave it out to keep it", "invalid"
  end
  return proxy
end

function read.allow_networks(networks, what, level)
  for i = 1, #networks do
    local network = networks[i]
    if type(network) ~= "string" then
      error(("%s: allow_networks[%d] must be a string, got %s"):format(what, i, type(network)), level + 1)
    end
    if network:find("\0", 1, true) then return nil, ("allow_networks[%d]: holds a NUL byte"):format(i), "invalid" end
  end
  return networks
end

--- Those of the options that are settings, as the core takes them; webhook.null stays. Their types were checked with
-- settings.OPTIONS.
-- @return a table, or nil, message, "invalid"
function settings.read(options, what, level)
  local result = {}
  for name in pairs(settings.OPTIONS) do
    local value = options[name]
    if type(value) == "string" and value:find("\0", 1, true) then
      return nil, name .. ": holds a NUL byte", "invalid"
    end
    if read[name] and value ~= nil and not check.is_null(value) then
      local message, code
      value, message, code = read[name](value, what, level + 1)
      if value == nil then return nil, message, code end
    end
    result[name] = value
  end
  return result
end

return settings
