-- Sends webhooks: a dispatcher for each worker, and the handlers of POST /webhooks and POST /jobs.
local cjson = require "cjson.safe" -- nil instead of an error
local webhook = require "webhook"

local emit = {
  APP = "example",
  -- For trying it out; an application has one of its own, made by webhook.generate_secret().
  SECRET = os.getenv("WEBHOOK_SECRET") or "whsec_RXhhbXBsZXMgYXJlIG5vdCBzZWNyZXQgYXQgYWxsIQ==",
}

local CLOSE_SECONDS = 5

--- For init_worker_by_lua.
function emit.start()
  emit.hooks = assert(webhook.open(ngx.config.prefix() .. "/webhooks.db", {
    allow_networks = { "127.0.0.0/8" }, -- to try it on one machine; without it private addresses are refused
    close_timeout = CLOSE_SECONDS,
  }))
end

--- For exit_worker_by_lua: what is still under way is finished or, after a while, left to the next worker.
function emit.stop()
  if emit.hooks then emit.hooks:close() end
end

local function answer(status, fields)
  ngx.status = status
  ngx.say(cjson.encode(fields))
end

local function read_json()
  ngx.req.read_body()
  local value = cjson.decode(ngx.req.get_body_data() or "")
  if type(value) ~= "table" then error("a JSON object is expected", 0) end
  return value
end

-- What fn makes of the request's JSON, or nil once a refusal is sent: builders raise what is wrong with their fields.
local function read(fn)
  if ngx.req.get_method() ~= "POST" then return answer(405, { error = "this is for POST" }) end
  local ok, result = pcall(function() return fn(read_json()) end)
  if not ok then return answer(400, { error = result }) end
  return result
end

--- POST /webhooks { "url": … }: tells that URL of finished jobs from now on. In an application only its owner may ask for it.
function emit.subscribe()
  local url = read(function(json)
    if type(json.url) ~= "string" then error("'url' must be a string", 0) end
    return json.url
  end)
  if not url then return end
  local hook, problem = emit.hooks.webhooks:create {
    app_id = emit.APP, name = "finished jobs", url = url, events = { "job_finished" },
    signing = "standard", signing_secret = emit.SECRET,
  }
  if not hook then return answer(400, { error = problem }) end
  answer(201, { id = hook.id })
end

--- POST /jobs { "id": …, "status": … }: 202 once the event is on disk. From then on it is delivered, whatever happens to this
-- process.
function emit.content()
  local event = read(function(job)
    job.appId = emit.APP
    return webhook.events.job_finished(job)
  end)
  if not event then return end
  local message, problem = emit.hooks:emit(event)
  if not message then return answer(503, { error = problem }) end
  answer(202, { id = message.id, deliveries = message.deliveries })
end

return emit
