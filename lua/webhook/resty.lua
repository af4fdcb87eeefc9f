--- Receiving webhooks in OpenResty (nginx with its Lua module).
-- What a handler let through stands in ngx.ctx.webhook, for the content handler:
--   access_by_lua_block { require("receive").verify() }
--   content_by_lua_block { require("receive").content() }
-- where receive.lua is a module of the application with `verify = require("webhook.resty").verify { … }` in it.
local cjson = require "cjson"
local check = require "webhook.check"
local signatures = require "webhook.signatures"

local resty = {}

local VERIFY = {
  scheme = "string", secret = "string|list", tolerance = "number|never", seen = "table|userdata", seen_ttl = "positive",
  max_body = "integer", url = "string|function", duplicate_status = "integer",
}
local MAX_BODY = 1024 * 1024 -- bytes; as nginx's own client_max_body_size
local RETRY_AFTER = 5 -- seconds; asked of the sender when it is our fault
local ALL = 0 -- for ngx.req.get_headers, which otherwise stops at 100: one more could hide behind those
local FORM = "application/x-www-form-urlencoded"

-- What verify's codes are answered by; every other one is ours to mend.
local STATUS = {
  missing_header = 400, duplicate_header = 400, bad_format = 400, missing_params = 400,
  stale = 401, mismatch = 401,
}

-- -- answers -------------------------------------------------------------------------------------------

-- Ends the request. The body that may still come is thrown away, so that the connection stays usable.
local function answer(status, name, text)
  ngx.req.discard_body()
  local body = cjson.encode({ [name] = text })
  ngx.status = status
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Content-Length"] = #body
  ngx.print(body)
  return ngx.exit(ngx.HTTP_OK)
end

local function answer_busy(scheme, message)
  ngx.log(ngx.ERR, "a ", scheme, " webhook could not be taken: ", message)
  ngx.header["Retry-After"] = RETRY_AFTER
  return answer(503, "error", "the webhook could not be taken now; send it again")
end

local function refuse(scheme, status, reason)
  ngx.log(ngx.WARN, "a ", scheme, " webhook was refused: ", reason)
  return answer(status, "error", reason)
end

-- -- the request ---------------------------------------------------------------------------------------

-- Twilio also calls with GET, where all parameters stand in the URL; nobody else does.
local function allows(scheme, method)
  return method == "POST" or scheme == "twilio" and method == "GET"
end

-- The whole of a body that nginx put into a file; read at once, because all of it is signed.
local function read_file(name, max)
  local file, message = io.open(name, "rb")
  if not file then return nil, message end
  local size, body = file:seek("end"), nil
  if size and size <= max and file:seek("set") then body, message = file:read("*a") end
  file:close()
  if size and size > max then return nil, nil, "large" end
  if not body or #body ~= size then return nil, message or ("%s could not be read"):format(name) end
  return body
end

-- @return the body; or nil, message; or nil, nil, "large"
local function read_body(max)
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  if not body then
    local name = ngx.req.get_body_file()
    if name then return read_file(name, max) end
    body = ""
  end
  if #body > max then return nil, nil, "large" end
  return body
end

-- The URL that was called: as this server sees it, or as the application says.
local function url_of(url)
  if type(url) == "function" then return url() end
  local origin = url or ngx.var.scheme .. "://" .. (ngx.var.http_host or ngx.var.host)
  return origin .. ngx.var.request_uri
end

-- What Twilio signs beside the body's own scheme: the URL, and the parameters of a form.
local function twilio_fields(url, headers, body)
  local kind = headers["content-type"]
  local is_form = type(kind) == "string" and kind:lower():match("^%s*([^;%s]*)") == FORM
  return url_of(url), is_form and body ~= "" and ngx.decode_args(body, ALL) or nil
end

-- -- verify --------------------------------------------------------------------------------------------

local function check_options(options, level)
  local what = "resty.verify"
  if not ngx then error(what .. ": this is not nginx", level + 1) end
  check.options(options, VERIFY, what, level + 1)
  if not options.scheme then error(what .. ": 'scheme' is needed", level + 1) end
  if not options.secret then error(what .. ": 'secret' is needed", level + 1) end
  if options.max_body and options.max_body < 0 then
    error(what .. ": option 'max_body' must be bytes, 0 or more", level + 1)
  end
  local status = options.duplicate_status
  if status and status ~= 200 and status ~= 409 then
    error(what .. ": option 'duplicate_status' must be 200 or 409", level + 1)
  end
  if options.url and options.scheme ~= "twilio" then error(what .. ": only twilio signs the 'url'", level + 1) end
  if type(options.url) == "string" and not options.url:match("^https?://[^/?#%s]+$") then
    error(what .. ": option 'url' must be as 'https://example.com' (the request's path follows), or a function", level + 1)
  end
end

local function finish(scheme, duplicate_status, message, code)
  if code == "replayed" then return answer(duplicate_status, "status", "duplicate") end
  local status = STATUS[code]
  if status then return refuse(scheme, status, message) end
  return answer_busy(scheme, message)
end

--- Makes a handler that lets only verified webhooks through: for access_by_lua, also for rewrite_by_lua and at the beginning of
-- content_by_lua. Make it once for each worker (in a module, or in init_worker_by_lua), call it in every request.
--
-- It reads the body, from memory or from nginx's temporary file, and leaves ngx.ctx.webhook = { scheme, body, id, timestamp,
-- secret_index } (see webhook.verify). Everything else it answers itself, with { "error": reason } as JSON:
--
--   400  a header is missing, empty, doubled or not written as the scheme wants it
--   401  the signature does not match, or the timestamp is too far away
--   405  not POST (Twilio: nor GET)
--   413  the body is larger than max_body; nginx itself answers so beyond its client_max_body_size (1 MiB unless set)
--   503  the store of seen ids failed, or the body could not be read: nothing is lost, the sender sends it again
--
-- and a webhook that `seen` remembers with 200 { "status": "duplicate" }, since its sender need not send it again. With `seen`
-- also call resty.settle in log_by_lua, or else a webhook that the content handler failed on is a duplicate when it comes again.
-- @param options  scheme: its name; secret: a string, or a list of which any may match; tolerance, seen, seen_ttl: as in
--                 webhook.verify; max_body: bytes (1 MiB); duplicate_status: 200, or 409;
--                 url (twilio): scheme, host and port under which the sender knows this server, when that is not what the request
--                 says because a proxy stands before, or a function that returns the whole URL.
--                 Use webhook.seen.shared for `seen`: webhook.seen.sqlite waits for the disk, and all of the worker with it
-- @return a function without arguments
-- @usage local verify = require("webhook.resty").verify {
--   scheme = "github", secret = os.getenv("GITHUB_SECRET"), seen = webhook.seen.shared(ngx.shared.webhooks_seen) }
function resty.verify(options)
  check_options(options, 2)
  local scheme, url, max_body = options.scheme, options.url, options.max_body or MAX_BODY
  local duplicate_status, seen = options.duplicate_status or 200, options.seen
  local prove = signatures.verifier("resty.verify", scheme, options.secret, options, 2)
  local is_twilio = scheme == "twilio"

  return function()
    if not allows(scheme, ngx.req.get_method()) then
      ngx.header["Allow"] = is_twilio and "GET, POST" or "POST"
      return refuse(scheme, 405, "webhooks come by POST")
    end
    local headers = ngx.req.get_headers(ALL)
    local length = tonumber(headers["content-length"])
    if length and length > max_body then return refuse(scheme, 413, "the body is too large") end
    local body, problem, large = read_body(max_body)
    if large then return refuse(scheme, 413, "the body is too large") end
    if not body then return answer_busy(scheme, problem) end
    local called_url, params
    if is_twilio then called_url, params = twilio_fields(url, headers, body) end
    local ok, proof, code = prove(headers, body, called_url, params)
    if not ok then return finish(scheme, duplicate_status, proof, code) end
    proof.body = body
    local ctx = ngx.ctx
    ctx.webhook = proof
    if seen then ctx.webhook_seen = { store = seen, id = code } end
  end
end

--- Forgets the webhook of this request unless it was answered with 2xx, so that it passes when its sender tries again. For
-- log_by_lua, and the stores of webhook.seen (or one of your own that has a method remove(id)).
-- @usage log_by_lua_block { require("webhook.resty").settle() }
function resty.settle()
  local remembered = ngx.ctx.webhook_seen
  if not remembered or ngx.status >= 200 and ngx.status <= 299 then return end
  local removed, message = remembered.store:remove(remembered.id)
  if not removed then ngx.log(ngx.ERR, "a webhook that failed could not be forgotten: ", message) end
end

return resty
